"""The orders in the database. Status and updatedAt follow from the last event that has come: nothing drives them."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from up42_pipelines.sandbox import account, deliveries, geometry, lifecycle
from up42_pipelines.sandbox.clock import SECOND, timestamp
from up42_pipelines.sandbox.lifecycle import Status
from up42_pipelines.sandbox.order_input import Line, OrderInput
from up42_pipelines.sandbox.paging import PageRequest
from up42_pipelines.sandbox.world import World

SORTS = {"createdAt": "created_at", "updatedAt": "updated_at", "type": "type", "status": "status"}
_CURRENT = """
WITH current AS (
  SELECT o.*, e.status AS status, e.sub_status AS sub_status, e.at AS status_at,
         max(e.at, coalesce(o.patched_at, 0)) AS updated_at
  FROM orders o JOIN order_events e ON e.order_id = o.id AND (e.at, e.step) = (
    SELECT at, step FROM order_events WHERE order_id = o.id AND at <= :now ORDER BY at DESC, step DESC LIMIT 1))
"""


@dataclass(frozen=True)
class OrderFilter:
    """Which orders a list shows; everything given must hold, an empty entry restricts nothing.

    Attributes:
        display_name: part of the name, in any case.
        tags: any of them, exactly as written.
    """

    workspace_id: str | None = None
    type: str | None = None
    statuses: Sequence[str] = ()
    sub_statuses: Sequence[str] = ()
    display_name: str | None = None
    tags: Sequence[str] = ()
    budget_ids: Sequence[str] = ()
    order_ids: Sequence[str] = ()


@dataclass
class _Where:
    clauses: list[str] = field(default_factory=lambda: ["1"])
    values: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any) -> str:
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"

    def any_of(self, column: str, values: Sequence[str]) -> None:
        if values:
            self.clauses.append(f"{column} IN ({self.bind_all(values)})")

    def bind_all(self, values: Sequence[str]) -> str:
        return ", ".join(self.bind(value) for value in values)

    def text(self) -> str:
        return f"WHERE {' AND '.join(self.clauses)}"


def place(world: World, order: OrderInput, line: Line, display_name: str) -> str:
    """Write an order, its whole life and its deliveries; inside a transaction. Returns its id."""
    database, placed_at, order_id = world.database, world.now(), str(uuid.uuid4())
    earlier = database.rows(
        "SELECT count(*) AS number FROM orders WHERE scene_id = ? AND product_id = ?", (line.scene.id, order.product.id)
    )[0]["number"]
    divisible = order.product.unit == "SQ_KM"
    life = lifecycle.plan(world.seed, line.scene.id, order.product.id, earlier, divisible=divisible)
    database.write(
        "INSERT INTO orders (id, product_id, scene_id, collection, display_name, tags, details, credits, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            order_id,
            order.product.id,
            line.scene.id,
            order.product.collection,
            display_name,
            None if order.tags is None else json.dumps(order.tags),
            json.dumps(
                {
                    "aoi": geometry.as_geojson(line.scene.footprint if line.aoi is None else line.aoi),
                    "imageId": line.scene.id,
                }
            ),
            line.credits,
            placed_at,
        ),
    )
    for step, (after, status) in enumerate(life.steps):
        at = placed_at + round(after / world.speed * SECOND)
        database.write("INSERT INTO order_events VALUES (?, ?, ?, ?, NULL)", (order_id, at, step, status))
    for arrival in life.arrivals:
        content = order.source.content(line.scene, order.product, line.aoi, arrival.part)
        deliveries.record(world, order_id, arrival, placed_at, content)
    return order_id


def get(world: World, order_id: str) -> dict[str, Any] | None:
    """Return one order as the API shows it."""
    rows = _current(world, "*", "WHERE id = :id", {"id": order_id})
    return as_json(rows[0]) if rows else None


def page(world: World, wanted: OrderFilter, request: PageRequest) -> tuple[list[dict[str, Any]], int]:
    """Return one page of orders and how many there are in all."""
    where = _where(wanted)
    where.values["now"] = world.now()
    condition, direction = where.text(), "DESC" if request.descending else "ASC"
    total = _current(world, "count(*) AS number", condition, where.values)
    order = f"ORDER BY {SORTS[request.sort_field]} {direction}, number {direction} LIMIT :size OFFSET :offset"
    cut = {"size": request.size, "offset": request.offset}
    rows = _current(world, "*", f"{condition} {order}", {**where.values, **cut})
    return [as_json(row) for row in rows], total[0]["number"]


def patch_tags(world: World, order_id: str, tags: Sequence[str]) -> None:
    """Replace the tags of an order."""
    world.database.write(
        "UPDATE orders SET tags = ?, patched_at = ? WHERE id = ?", (json.dumps(tags), world.now(), order_id)
    )


def cancel(world: World, order_id: str) -> Status | None:
    """End an order that has not reached the provider. Returns the status it had; None when there is no such order."""
    with world.database.transaction():
        now = world.now()
        rows = _current(world, "status", "WHERE id = :id", {"id": order_id, "now": now})
        if not rows:
            return None
        status = Status(rows[0]["status"])
        if status in lifecycle.CANCELABLE:
            world.database.write("DELETE FROM order_events WHERE order_id = ? AND at > ?", (order_id, now))
            world.database.write(
                "INSERT INTO order_events VALUES (?, ?, 1000, ?, NULL)", (order_id, now, Status.CANCELED)
            )
            world.database.write(
                "DELETE FROM files WHERE asset_id IN (SELECT asset_id FROM deliveries WHERE order_id = ?)", (order_id,)
            )
            world.database.write("DELETE FROM deliveries WHERE order_id = ?", (order_id,))
        return status


def ledger(world: World) -> list[dict[str, Any]]:
    """List every order, oldest first, with what it costs."""
    rows = _current(world, "*", "ORDER BY number")
    return [
        {
            "id": row["id"],
            "status": row["status"],
            "tags": None if row["tags"] is None else json.loads(row["tags"]),
            "displayName": row["display_name"],
            "dataProductId": row["product_id"],
            "sceneId": row["scene_id"],
            "credits": row["credits"],
            "createdAt": timestamp(row["created_at"]),
        }
        for row in rows
    ]


def available_credits(world: World, *, reserved: bool) -> int:
    """Return the balance: what was credited less what fulfilled orders cost; less all open orders too if `reserved`."""
    credited = world.database.rows("SELECT sum(amount) AS amount FROM credits WHERE at <= ?", (world.now(),))
    statuses = [Status.FULFILLED] if not reserved else set(Status) - {Status.FAILED_PERMANENTLY, Status.CANCELED}
    where = _Where()
    where.any_of("status", sorted(statuses))
    spent = _current(world, "coalesce(sum(credits), 0) AS credits", where.text(), where.values)
    return int(credited[0]["amount"] - spent[0]["credits"])


def as_json(row: sqlite3.Row) -> dict[str, Any]:
    """Write an order as the API shows it."""
    patched_last = row["patched_at"] is not None and row["patched_at"] >= row["status_at"]
    by_user = patched_last or row["status"] in (Status.CREATED, Status.CANCELED)
    user = {"id": account.WORKSPACE_ID, "type": "USER"}
    order = {
        "id": row["id"],
        "workspaceId": account.WORKSPACE_ID,
        "accountId": account.ACCOUNT_ID,
        "displayName": row["display_name"],
        "type": row["type"],
        "status": row["status"],
        "dataProductId": row["product_id"],
        "tags": None if row["tags"] is None else json.loads(row["tags"]),
        "budgetId": None,
        "orderDetails": json.loads(row["details"]),
        "createdAt": timestamp(row["created_at"]),
        "updatedAt": timestamp(row["updated_at"]),
        "createdBy": user,
        "updatedBy": user if by_user else {"id": "system", "type": "INTERNAL"},
    }
    return {key: value for key, value in order.items() if key != "tags" or value is not None}


def _current(
    world: World, columns: str, tail: str = "", values: Mapping[str, Any] = MappingProxyType({})
) -> list[sqlite3.Row]:
    """Query the orders as they are now, or at the `now` among the values."""
    sql = " ".join((_CURRENT, "SELECT", columns, "FROM current", tail))
    return world.database.rows(sql, {"now": world.now(), **values})


def _where(wanted: OrderFilter) -> _Where:
    where = _Where()
    if wanted.workspace_id is not None and wanted.workspace_id.lower() != account.WORKSPACE_ID:
        where.clauses.append("0")
    # No archive order has a sub-status or a budget.
    if wanted.sub_statuses or wanted.budget_ids:
        where.clauses.append("0")
    if wanted.type is not None:
        where.clauses.append(f"type = {where.bind(wanted.type)}")
    where.any_of("status", wanted.statuses)
    where.any_of("id", [order_id.lower() for order_id in wanted.order_ids])
    if wanted.display_name:
        where.clauses.append(f"instr(lower(display_name), lower({where.bind(wanted.display_name)})) > 0")
    if wanted.tags:
        # Every clause is made of constants and of names for bound values.
        any_tag = f"EXISTS (SELECT 1 FROM json_each(current.tags) WHERE value IN ({where.bind_all(wanted.tags)}))"  # noqa: S608
        where.clauses.append(any_tag)
    return where
