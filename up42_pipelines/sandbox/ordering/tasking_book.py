"""Feasibility studies and quotations in the database, and the decisions that move a tasking order on.

A decision writes everything that follows from it at once, up to the next decision: nothing drives a tasking order.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Mapping
from typing import Any

from up42_pipelines.sandbox.account import accounting, budgets
from up42_pipelines.sandbox.catalog.order_forms import DEFAULTS
from up42_pipelines.sandbox.catalog.products import TASKING
from up42_pipelines.sandbox.control import fates
from up42_pipelines.sandbox.core import clock, geometry
from up42_pipelines.sandbox.core.problems import Refused, bad_request
from up42_pipelines.sandbox.ordering import acquisitions, lifecycle, order_book
from up42_pipelines.sandbox.ordering.lifecycle import Lot, Status, SubStatus
from up42_pipelines.sandbox.ordering.order_input import OrderInput, Task
from up42_pipelines.sandbox.storage import deliveries
from up42_pipelines.sandbox.world import World

_PRIORITIES = (("Standard priority", 1.0), ("High priority, ahead of other requests", 1.5))


def place(world: World, order: OrderInput, task: Task, display_name: str) -> str:
    """Write a tasking order up to its feasibility study; inside a transaction. Returns its id."""
    placed_at, product = world.now(), order.offer.product
    details = _details(order.params, geometry.as_geojson(task.aoi))
    order_id = order_book.add(world, order, display_name, details, placed_at, fate=fates.take(world, "order"))
    after = lifecycle.study_after(_lot(world, order_id))
    order_book.add_steps(
        world,
        order_id,
        placed_at,
        (
            (0, Status.CREATED, SubStatus.FEASIBILITY_WAITING_UPLOAD),
            (after, Status.CREATED, SubStatus.FEASIBILITY_WAITING_RESPONSE),
        ),
    )
    price, area_km2 = product.price(geometry.area_km2(task.aoi))
    options = [
        {
            "id": str(uuid.uuid4()),
            "credits": round(price * factor),
            "description": f"{priority}: {area_km2} km² for about {round(price * factor)} credits",
        }
        for priority, factor in _PRIORITIES
    ]
    world.database.write(
        "INSERT INTO studies (id, order_id, created_at, options) VALUES (?, ?, ?, ?)",
        (str(uuid.uuid4()), order_id, order_book.later(world, placed_at, after), json.dumps(options)),
    )
    return order_id


def accept_option(world: World, study_id: str, option_id: object) -> None:
    """Choose an option of a feasibility study; the order's quotation follows.

    Raises:
        Refused: 404, there is no such study; 405, it is decided, or its order has ended; 400, no such option.
    """
    with world.database.transaction():
        now = world.now()
        study, order = _undecided(
            world,
            world.database.rows("SELECT * FROM studies WHERE id = ? AND created_at <= ?", (study_id, now)),
            missing=f"Resource (FeasibilityStudy) not found with Id='{study_id}'.",
            decided="Resource (FeasibilityStudy) is write-protected.",
            awaited=SubStatus.FEASIBILITY_WAITING_RESPONSE,
        )
        option = next((option for option in json.loads(study["options"]) if option["id"] == option_id), None)
        if option is None:
            raise bad_request(f"acceptedOptionId must be the id of an option of study {study_id}")
        world.database.write(
            "UPDATE studies SET accepted_option_id = ?, decided_at = ? WHERE id = ?", (option["id"], now, study_id)
        )
        after = lifecycle.quotation_after(_lot(world, order["id"]))
        order_book.add_steps(
            world,
            order["id"],
            now,
            (
                (0, Status.CREATED, SubStatus.QUOTATION_WAITING_UPLOAD),
                (after, Status.CREATED, SubStatus.QUOTATION_WAITING_RESPONSE),
            ),
        )
        world.database.write(
            "INSERT INTO quotations (id, order_id, created_at, credits) VALUES (?, ?, ?, ?)",
            (str(uuid.uuid4()), order["id"], order_book.later(world, now, after), option["credits"]),
        )


def decide_quotation(world: World, quotation_id: str, *, accepted: bool) -> None:
    """Accept a quotation, which spends its credits, or reject it, which ends the order.

    Raises:
        Refused: 404, there is no such quotation; 405, it is decided, or its order has ended; 403, account or budget
            cannot pay it.
    """
    with world.database.transaction():
        now = world.now()
        quotation, order = _undecided(
            world,
            world.database.rows("SELECT * FROM quotations WHERE id = ? AND created_at <= ?", (quotation_id, now)),
            missing="Resource does not exist.",
            decided="Resource (Quotation) is write-protected.",
            awaited=SubStatus.QUOTATION_WAITING_RESPONSE,
        )
        if accepted:
            budgets.check(world, order["budget_id"], quotation["credits"])
            accounting.require(world, quotation["credits"])
            world.database.write("UPDATE orders SET credits = ? WHERE id = ?", (quotation["credits"], order["id"]))
            _activate(world, order, now)
        else:
            after = lifecycle.canceled_after(_lot(world, order["id"]))
            rejected = SubStatus.QUOTATION_REJECTED
            steps = ((0, Status.CREATED, rejected), (after, Status.CANCELED, rejected))
            order_book.add_steps(world, order["id"], now, steps)
        decision = ("ACCEPTED" if accepted else "REJECTED", now, quotation_id)
        world.database.write("UPDATE quotations SET decision = ?, decided_at = ? WHERE id = ?", decision)


def _activate(world: World, order: sqlite3.Row, now: int) -> None:
    """Write what becomes of an order whose quotation was accepted, with its deliveries."""
    lot = _lot(world, order["id"])
    life = lifecycle.plan_tasking(lot, fate=order["fate"])
    steps = ((after, status, SubStatus.QUOTATION_ACCEPTED) for after, status in life.steps)
    order_book.add_steps(world, order["id"], now, steps)
    request = _request(order, lot)
    for arrival in life.arrivals:
        content = acquisitions.content(world.seed, request, arrival.part, len(life.arrivals))
        becomes = lifecycle.transformation(order["fate"])
        deliveries.record(world, order["id"], arrival, now, content, transformation=becomes)


def _request(order: sqlite3.Row, lot: Lot) -> acquisitions.Request:
    details = json.loads(order["details"])
    return acquisitions.Request(
        lot=lot,
        product=next(product for product in TASKING.products if product.id == order["product_id"]),
        aoi=geometry.order_area(details["geometry"]),
        first=clock.parse_instant(details["acquisitionStart"]),
        last=clock.parse_instant(details["acquisitionEnd"]),
        max_cloud_percent=details["maxCloudCover"],
        max_incidence_degrees=details["maxIncidenceAngle"],
    )


def _details(params: Mapping[str, Any], aoi: dict[str, Any]) -> dict[str, Any]:
    """Write `orderDetails`, with the form's defaults; two of the form's names are others there."""
    wanted = {**DEFAULTS, **params}
    details = {
        "acquisitionStart": wanted["acquisitionStart"],
        "acquisitionEnd": wanted["acquisitionEnd"],
        "geometry": aoi,
        "extraDescription": wanted.get("extraDescription"),
        "acquisitionMode": wanted["acquisitionMode"],
        "maxCloudCover": wanted["cloudCoverage"],
        "maxIncidenceAngle": wanted["incidenceAngle"],
        "geometricProcessing": wanted["geometricProcessing"],
        "minBH": wanted.get("minBH"),
        "maxBH": wanted.get("maxBH"),
    }
    return {key: value for key, value in details.items() if value is not None}


def _lot(world: World, order_id: str) -> Lot:
    """Return what chance decides by: the same for the n-th tasking order of a data product in every state folder."""
    (order,) = world.database.rows(
        "SELECT product_id, (SELECT count(*) FROM orders e WHERE e.product_id = o.product_id AND e.number < o.number)"
        " AS ordinal FROM orders o WHERE id = ?",
        (order_id,),
    )
    return (world.seed, "tasking", order["product_id"], order["ordinal"])


def _undecided(
    world: World, rows: list[sqlite3.Row], *, missing: str, decided: str, awaited: SubStatus
) -> tuple[sqlite3.Row, sqlite3.Row]:
    """Return a study or a quotation, and its order, if that waits for the decision.

    Raises:
        Refused: 404, there are no rows; 405, it is decided, or the order was canceled instead.
    """
    if not rows:
        raise _problem(404, missing)
    order = order_book.find(world, rows[0]["order_id"])
    if order is None or order["sub_status"] != awaited or order["status"] == Status.CANCELED:
        raise _problem(405, decided)
    return rows[0], order


def _problem(status: int, title: str) -> Refused:
    return Refused(status, title, body={"status": status, "title": title, "detail": {}})
