"""The orders in the database. Status and updatedAt follow from the last event that has come: nothing drives them."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from up42_pipelines.sandbox import listing
from up42_pipelines.sandbox.account import account, budgets
from up42_pipelines.sandbox.account.accounting import cost_of
from up42_pipelines.sandbox.control import fates
from up42_pipelines.sandbox.core import geometry
from up42_pipelines.sandbox.core.clock import SECOND, timestamp
from up42_pipelines.sandbox.core.paging import PageRequest
from up42_pipelines.sandbox.listing import Where
from up42_pipelines.sandbox.ordering import lifecycle
from up42_pipelines.sandbox.ordering.lifecycle import Status, SubStatus
from up42_pipelines.sandbox.ordering.order_input import Line, OrderInput
from up42_pipelines.sandbox.storage import deliveries
from up42_pipelines.sandbox.world import World

SORTS = {"createdAt": "created_at", "updatedAt": "updated_at", "type": "type", "status": "status"}
_CURRENT = """(
  SELECT o.*, e.status AS status, e.sub_status AS sub_status, e.at AS status_at,
         max(e.at, coalesce(o.patched_at, 0)) AS updated_at
  FROM orders o JOIN order_events e ON e.order_id = o.id AND (e.at, e.step) = (
    SELECT at, step FROM order_events WHERE order_id = o.id AND at <= :now ORDER BY at DESC, step DESC LIMIT 1)
) AS current"""
_WAITING = (SubStatus.FEASIBILITY_WAITING_RESPONSE, SubStatus.QUOTATION_WAITING_RESPONSE)
Step = tuple[float, Status, SubStatus | None]


@dataclass(frozen=True)
class OrderFilter:
    """Which orders a list shows; everything given must hold, an empty entry restricts nothing.

    Attributes:
        placed_until: the latest time at which they were placed, microseconds since 1970.
        display_name: part of the name, in any case.
        tags: any of them, exactly as written.
    """

    placed_until: int
    workspace_id: str | None = None
    types: Sequence[str] = ()
    statuses: Sequence[str] = ()
    sub_statuses: Sequence[str] = ()
    display_name: str | None = None
    tags: Sequence[str] = ()
    budget_ids: Sequence[str] = ()
    order_ids: Sequence[str] = ()


def place(world: World, order: OrderInput, line: Line, display_name: str) -> str:
    """Write an archive order, its whole life and its deliveries; inside a transaction. Returns its id."""
    product = order.offer.product
    (earlier,) = world.database.rows(
        "SELECT count(*) AS number FROM orders WHERE scene_id = ? AND product_id = ?", (line.scene.id, product.id)
    )
    fate, placed_at = fates.take(world, "order"), world.now()
    divisible = product.unit == "SQ_KM"
    life = lifecycle.plan(world.seed, line.scene.id, product.id, earlier["number"], divisible=divisible, fate=fate)
    aoi = geometry.as_geojson(line.scene.footprint if line.aoi is None else line.aoi)
    details = {"aoi": aoi, "imageId": line.scene.id}
    order_id = add(
        world, order, display_name, details, placed_at, scene_id=line.scene.id, credits=line.credits, fate=fate
    )
    add_steps(world, order_id, placed_at, ((after, status, None) for after, status in life.steps))
    for arrival in life.arrivals:
        content = line.source.content(line.scene, product, line.aoi, arrival.part)
        deliveries.record(world, order_id, arrival, placed_at, content, transformation=lifecycle.transformation(fate))
    return order_id


def add(
    world: World, order: OrderInput, display_name: str, details: Mapping[str, Any], placed_at: int, **columns: Any
) -> str:
    """Write the row of an order, with the columns that only its type has; inside a transaction. Returns its id."""
    row = {
        "id": str(uuid.uuid4()),
        "type": order.offer.collection.type,
        "product_id": order.offer.product.id,
        "collection": order.offer.collection.name,
        "display_name": display_name,
        "tags": None if order.tags is None else json.dumps(order.tags),
        "budget_id": order.budget_id,
        "details": json.dumps(details),
        "created_at": placed_at,
        **columns,
    }
    names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    world.database.write(" ".join(("INSERT INTO orders (", names, ") VALUES (", values, ")")), row)
    return str(row["id"])


def add_steps(world: World, order_id: str, since: int, steps: Iterable[Step]) -> None:
    """Write what becomes of an order, in simulated seconds after an instant; inside a transaction."""
    (last,) = world.database.rows(
        "SELECT coalesce(max(step), -1) AS step FROM order_events WHERE order_id = ?", (order_id,)
    )
    for step, (after, status, sub_status) in enumerate(steps, last["step"] + 1):
        event = (order_id, later(world, since, after), step, status, sub_status)
        world.database.write("INSERT INTO order_events VALUES (?, ?, ?, ?, ?)", event)


def later(world: World, instant: int, seconds: float) -> int:
    """Return the time that is some simulated seconds after an instant, microseconds since 1970."""
    return instant + round(seconds / world.speed * SECOND)


def get(world: World, order_id: str) -> dict[str, Any] | None:
    """Return one order as the API shows it."""
    row = find(world, order_id)
    return None if row is None else as_json(row)


def find(world: World, order_id: str, now: int | None = None) -> sqlite3.Row | None:
    """Return the row of an order with its `status`, `sub_status`, `status_at` and `updated_at` at a time, or now."""
    rows = _current(world, "WHERE id = :id", {"id": order_id, "now": world.now() if now is None else now})
    return rows[0] if rows else None


def everything(world: World, now: int) -> list[sqlite3.Row]:
    """Return the rows of all orders at a time, see `find`, oldest first."""
    return _current(world, "ORDER BY number", {"now": now})


def page(world: World, wanted: OrderFilter, request: PageRequest) -> tuple[list[dict[str, Any]], int]:
    """Return one page of orders and how many there are in all."""
    rows, total = listing.select_page(world, _CURRENT, _where(wanted), SORTS, request)
    return [as_json(row) for row in rows], total


def patch(world: World, order_id: str, changes: Mapping[str, Any]) -> None:
    """Replace `tags` or `budget_id` of an order; inside a transaction.

    Raises:
        Refused: the budget does not pay for the order, or it must have one; see `budgets.check`.
    """
    if "budget_id" in changes:
        (order,) = world.database.rows("SELECT budget_id FROM orders WHERE id = ?", (order_id,))
        if order["budget_id"] != changes["budget_id"]:
            budgets.check(world, changes["budget_id"], cost_of(world, order_id))
        world.database.write("UPDATE orders SET budget_id = ? WHERE id = ?", (changes["budget_id"], order_id))
    if "tags" in changes:
        world.database.write("UPDATE orders SET tags = ? WHERE id = ?", (json.dumps(changes["tags"]), order_id))
    if changes:
        world.database.write("UPDATE orders SET patched_at = ? WHERE id = ?", (world.now(), order_id))


def cancel(world: World, order_id: str) -> sqlite3.Row | None:
    """End an order, and everything that was to become of it, if that is still possible.

    Returns:
        The order as it was, see `find`; None when there is no such order.
    """
    with world.database.transaction():
        now = world.now()
        order = find(world, order_id, now)
        if order is None or not lifecycle.is_cancelable(order["status"], order["sub_status"]):
            return order
        for removal in (
            "DELETE FROM order_events WHERE order_id = :id AND at > :now",
            "DELETE FROM studies WHERE order_id = :id AND created_at > :now",
            "DELETE FROM quotations WHERE order_id = :id AND created_at > :now",
            "DELETE FROM files WHERE asset_id IN (SELECT asset_id FROM deliveries WHERE order_id = :id)",
            "DELETE FROM deliveries WHERE order_id = :id",
        ):
            world.database.write(removal, {"id": order_id, "now": now})
        add_steps(world, order_id, now, [(0, Status.CANCELED, order["sub_status"])])
        return order


def as_json(row: sqlite3.Row) -> dict[str, Any]:
    """Write an order as the API shows it."""
    user = {"id": account.WORKSPACE_ID, "type": "USER"}
    sub_status = {} if row["sub_status"] is None else {"subStatus": row["sub_status"]}
    order = {
        "id": row["id"],
        "workspaceId": account.WORKSPACE_ID,
        "accountId": account.ACCOUNT_ID,
        "displayName": row["display_name"],
        "type": row["type"],
        "status": row["status"],
        "dataProductId": row["product_id"],
        "tags": None if row["tags"] is None else json.loads(row["tags"]),
        "budgetId": row["budget_id"],
        "orderDetails": {**json.loads(row["details"]), **sub_status},
        "createdAt": timestamp(row["created_at"]),
        "updatedAt": timestamp(row["updated_at"]),
        "createdBy": user,
        "updatedBy": user if _changed_by_user(row) else {"id": "system", "type": "INTERNAL"},
    }
    return {key: value for key, value in order.items() if key != "tags" or value is not None}


def _changed_by_user(row: sqlite3.Row) -> bool:
    if row["patched_at"] is not None and row["patched_at"] >= row["status_at"]:
        return True
    return row["status"] == Status.CANCELED or (row["status"] == Status.CREATED and row["sub_status"] not in _WAITING)


def _current(world: World, tail: str, values: Mapping[str, Any]) -> list[sqlite3.Row]:
    return world.database.rows(" ".join(("SELECT * FROM", _CURRENT, tail)), values)


def _where(wanted: OrderFilter) -> Where:
    where = Where()
    where.clauses.append(f"created_at <= {where.bind(wanted.placed_until)}")
    where.in_workspace(wanted.workspace_id)
    where.any_of("type", wanted.types)
    where.any_of("status", wanted.statuses)
    where.any_of("sub_status", wanted.sub_statuses)
    where.any_of("budget_id", wanted.budget_ids)
    where.any_of("id", wanted.order_ids)
    if wanted.display_name:
        where.clauses.append(f"instr(lower(display_name), lower({where.bind(wanted.display_name)})) > 0")
    if wanted.tags:
        # Every clause is made of constants and of names for bound values.
        any_tag = f"EXISTS (SELECT 1 FROM json_each(current.tags) WHERE value IN ({where.bind_all(wanted.tags)}))"  # noqa: S608
        where.clauses.append(any_tag)
    return where
