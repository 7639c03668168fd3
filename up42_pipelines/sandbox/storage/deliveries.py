"""What was delivered: one row per UP42 asset, with the STAC collection and item made from it, and its files by name.

The files themselves are made later, see `delivered_files`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from up42_pipelines.sandbox.catalog.products import HOST
from up42_pipelines.sandbox.core import chance
from up42_pipelines.sandbox.core.clock import SECOND
from up42_pipelines.sandbox.ordering import lifecycle
from up42_pipelines.sandbox.world import World

ID_COLUMNS = frozenset({"order_id", "job_id", "asset_id", "collection_id", "item_id"})
_VISIBLE = """
SELECT d.*, f.name, o.tags AS order_tags, CASE WHEN d.job_id IS NULL THEN o.type ELSE 'PROCESSING' END AS source
FROM deliveries d JOIN files f ON f.id = d.asset_id LEFT JOIN orders o ON o.id = d.order_id WHERE d.{gate} <= :now
"""


@dataclass(frozen=True)
class Delivery:
    """One UP42 asset with the STAC collection and item made from it.

    Attributes:
        number: position in the order of placement.
        order_id: the order it comes from; None when it comes from a job.
        job_id: the processing job it comes from; None when it comes from an order.
        source: ARCHIVE, TASKING or PROCESSING.
        name: of the archive that is the asset.
        visible_at: when the asset is there, microseconds since 1970.
        items_at: when the transformation ends, and collection and item are there, microseconds since 1970.
        patched_at: when a user last changed title or tags of the asset, microseconds since 1970.
        title: of the asset, given by a user.
        tags: of the asset, given by a user, else those of the order; None for none.
        item_title: of the item, given by a user.
        item_tags: of the item, given by a user, else those of the order; None for none.
        content: what it is, see `Source.content`.
    """

    number: int
    asset_id: str
    order_id: str | None
    job_id: str | None
    collection_id: str
    item_id: str
    source: str
    name: str
    visible_at: int
    items_at: int
    patched_at: int | None
    title: str | None
    tags: tuple[str, ...] | None
    item_title: str | None
    item_tags: tuple[str, ...] | None
    content: Mapping[str, Any]

    @property
    def transformation(self) -> str:
        """What becomes of the attempt to make STAC items of it, see `lifecycle.Transformation`."""
        return str(self.content.get("transformation", lifecycle.Transformation.SUCCEEDS))

    @property
    def host_id(self) -> str | None:
        """The provider's order id; None when there is no order."""
        return None if self.order_id is None else chance.name_uuid("host-order", self.order_id)


def record(
    world: World,
    order_id: str,
    arrival: lifecycle.Arrival,
    placed_at: int,
    content: dict[str, Any],
    *,
    transformation: lifecycle.Transformation = lifecycle.Transformation.SUCCEEDS,
) -> None:
    """Write down a future delivery of an order; inside the transaction that places it."""
    at, items_at = (
        placed_at + round(after / world.speed * SECOND) for after in (arrival.asset_after, arrival.items_after)
    )
    part = f"_{arrival.part}" if arrival.part else ""
    row = {
        "asset_id": chance.name_uuid("asset", order_id, arrival.part),
        "order_id": order_id,
        "visible_at": at,
        "items_at": items_at,
        "content": json.dumps({**content, "transformation": transformation}),
    }
    _insert(world, row, f"{HOST}_{order_id}{part}.zip", content)


def record_result(world: World, job_id: str, at: int, title: str, content: dict[str, Any]) -> None:
    """Write down the future result of a job; inside the transaction that executes it.

    Args:
        world: the sandbox.
        job_id: the job.
        at: when the job succeeds, microseconds since 1970.
        title: of asset and item.
        content: what it is, see `Source.content`, with the `process` that made it.
    """
    row = {
        "asset_id": result_asset_id(job_id),
        "job_id": job_id,
        "visible_at": at,
        "items_at": at,
        "title": title,
        "item_title": title,
        "content": json.dumps(content),
    }
    _insert(world, row, f"{content['process']}_{job_id}.zip", content)


def result_asset_id(job_id: str) -> str:
    """Return the id of the asset that a job makes if it succeeds."""
    return chance.name_uuid("asset", job_id)


def collection_id(asset_id: str) -> str:
    """Return the id of the STAC collection made from an asset."""
    return chance.name_uuid("collection", asset_id)


def file_id(asset_id: str, kind: str) -> str:
    """Return the id under which a file of a delivery is downloaded."""
    return asset_id if kind == "original" else chance.name_uuid("file", asset_id, kind)


def with_assets(world: World) -> list[Delivery]:
    """List the deliveries whose asset is there, newest first."""
    return _listed(world, "visible_at", {})


def with_items(world: World, ids: Mapping[str, Sequence[str]] = MappingProxyType({})) -> list[Delivery]:
    """List the deliveries whose STAC collection and item are there, newest first.

    Args:
        world: the sandbox.
        ids: the values that columns of ID_COLUMNS may have.
    """
    return _listed(world, "items_at", ids)


def one(world: World, column: str, identifier: str, *, gate: str) -> Delivery | None:
    """Find a delivery by one of its ids.

    Args:
        world: the sandbox.
        column: `asset_id`, `collection_id` or `item_id`.
        identifier: the id.
        gate: `visible_at` or `items_at`: which time must have come.
    """
    found = _listed(world, gate, {column: [identifier]})
    return found[0] if found else None


def file_rows(world: World, asset_id: str) -> dict[str, sqlite3.Row]:
    """List the files of a delivery by kind, without making them; empty when it was removed."""
    return {row["kind"]: row for row in world.database.rows("SELECT * FROM files WHERE asset_id = ?", (asset_id,))}


def delivery_of_file(world: World, file_id: str) -> Delivery | None:
    """Find the delivery of a downloadable file: the original from the asset's arrival, the others from the items'."""
    rows = world.database.rows("SELECT asset_id, kind FROM files WHERE id = ?", (file_id,))
    if not rows:
        return None
    gate = "visible_at" if rows[0]["kind"] == "original" else "items_at"
    return one(world, "asset_id", rows[0]["asset_id"], gate=gate)


def describe_asset(world: World, asset_id: str, changes: Mapping[str, Any]) -> None:
    """Change `title` or `tags` of an asset; None clears, what is absent stays."""
    _change(world, asset_id, {**_user_columns(changes, ""), "patched_at": world.now()})


def describe_item(world: World, asset_id: str, changes: Mapping[str, Any]) -> None:
    """Change `title` or `tags` of the item made from an asset; None clears, what is absent stays."""
    _change(world, asset_id, _user_columns(changes, "item_"))


def forget(world: World, delivery: Delivery) -> None:
    """Delete the rows of a delivery."""
    with world.database.transaction():
        for table in ("files", "deliveries"):
            world.database.write(" ".join(("DELETE FROM", table, "WHERE asset_id = ?")), (delivery.asset_id,))


def _insert(world: World, row: dict[str, Any], archive_name: str, content: Mapping[str, Any]) -> None:
    asset_id = row["asset_id"]
    row |= {"collection_id": collection_id(asset_id), "item_id": chance.name_uuid("item", asset_id)}
    names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    world.database.write(" ".join(("INSERT INTO deliveries (", names, ") VALUES (", values, ")")), row)
    prefix = chance.letters(8, asset_id)
    for kind, name, media_type in (
        ("original", archive_name, "application/zip"),
        *((file["kind"], f"{prefix}_{file['suffix']}", file["type"]) for file in content["data"]),
        ("thumbnail", f"{prefix}_preview.jpg", "image/jpeg"),
        ("metadata", f"{prefix}_metadata.json", "application/json"),
    ):
        world.database.write(
            "INSERT INTO files (id, asset_id, kind, name, media_type) VALUES (?, ?, ?, ?, ?)",
            (file_id(asset_id, kind), asset_id, kind, name, media_type),
        )


def _user_columns(changes: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return columns for what a user says. Cleared tags are the JSON `null`: an empty column means the order's."""
    columns = {}
    if "title" in changes:
        columns[f"{prefix}title"] = changes["title"]
    if "tags" in changes:
        columns[f"{prefix}tags"] = json.dumps(changes["tags"])
    return columns


def _change(world: World, asset_id: str, columns: Mapping[str, Any]) -> None:
    if columns:
        changes = ", ".join(f"{column} = :{column}" for column in columns)
        sql = " ".join(("UPDATE deliveries SET", changes, "WHERE asset_id = :asset_id"))
        world.database.write(sql, {**columns, "asset_id": asset_id})


def _listed(world: World, gate: str, ids: Mapping[str, Sequence[str]]) -> list[Delivery]:
    values = {column: json.dumps(ids[column]) for column in ids if column in ID_COLUMNS}
    # Every part of it is a constant.
    narrower = "".join(f" AND d.{column} IN (SELECT value FROM json_each(:{column}))" for column in values)  # noqa: S608
    sql = f"{_VISIBLE.format(gate=gate)}{narrower} ORDER BY d.{gate} DESC, d.number DESC"
    found = [_delivery(row) for row in world.database.rows(sql, {"now": world.now(), **values})]
    succeeds = lifecycle.Transformation.SUCCEEDS
    return [one for one in found if gate != "items_at" or one.transformation == succeeds]


def _delivery(row: sqlite3.Row) -> Delivery:
    return Delivery(
        number=row["number"],
        asset_id=row["asset_id"],
        order_id=row["order_id"],
        job_id=row["job_id"],
        collection_id=row["collection_id"],
        item_id=row["item_id"],
        source=row["source"],
        name=row["name"],
        visible_at=row["visible_at"],
        items_at=row["items_at"],
        patched_at=row["patched_at"],
        title=row["title"],
        tags=_tags(row["order_tags"] if row["tags"] is None else row["tags"]),
        item_title=row["item_title"],
        item_tags=_tags(row["order_tags"] if row["item_tags"] is None else row["item_tags"]),
        content=json.loads(row["content"]),
    )


def _tags(text: str | None) -> tuple[str, ...] | None:
    tags = None if text is None else json.loads(text)
    return None if tags is None else tuple(tags)
