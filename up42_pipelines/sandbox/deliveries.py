"""What was delivered: one row per UP42 asset, and its files, made when somebody first wants their bytes.

A file is written under a temporary name and renamed, and follows from the row alone: a sandbox that was killed, or that
lost its files, makes the same bytes again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sqlite3
import threading
import zipfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import google_crc32c
import numpy as np

from up42_pipelines.sandbox import chance, lifecycle, previews, raster_files, synthetic
from up42_pipelines.sandbox.clock import SECOND
from up42_pipelines.sandbox.products import HOST
from up42_pipelines.sandbox.world import World

ID_COLUMNS = frozenset({"order_id", "asset_id", "collection_id", "item_id"})
_VISIBLE = (
    "SELECT d.*, o.tags AS order_tags FROM deliveries d JOIN orders o ON o.id = d.order_id WHERE d.{gate} <= :now"
)
_checksum: Callable[[], Any] = google_crc32c.Checksum
_making: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


@dataclass(frozen=True)
class Delivery:
    """One UP42 asset with the STAC collection and item made from it.

    Attributes:
        number: position in the order of placement.
        visible_at: when the asset is there, microseconds since 1970.
        items_at: when collection and item are there, microseconds since 1970.
        tags: of the order; its assets inherit them.
        content: what it is, see `Source.content`.
    """

    number: int
    asset_id: str
    order_id: str
    collection_id: str
    item_id: str
    visible_at: int
    items_at: int
    tags: tuple[str, ...] | None
    content: Mapping[str, Any]

    @property
    def host_id(self) -> str:
        """The provider's order id."""
        return chance.name_uuid("host-order", self.order_id)


@dataclass(frozen=True)
class File:
    """One downloadable file. The digests are base64; crc32c is big-endian, as in `x-goog-hash`."""

    id: str
    kind: str
    name: str
    media_type: str
    path: Path
    size: int
    md5: str
    crc32c: str


def record(world: World, order_id: str, arrival: lifecycle.Arrival, placed_at: int, content: dict[str, Any]) -> None:
    """Write down a future delivery of an order; inside the transaction that places it."""
    asset_id = chance.name_uuid("asset", order_id, arrival.part)
    at, items_at = (
        placed_at + round(after / world.speed * SECOND) for after in (arrival.asset_after, arrival.items_after)
    )
    world.database.write(
        "INSERT INTO deliveries (asset_id, order_id, collection_id, item_id, visible_at, items_at, content)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            asset_id,
            order_id,
            chance.name_uuid("collection", asset_id),
            chance.name_uuid("item", asset_id),
            at,
            items_at,
            json.dumps(content),
        ),
    )
    prefix = chance.letters(8, asset_id)
    part = f"_{arrival.part}" if arrival.part else ""
    for kind, name, media_type in (
        ("original", f"{HOST}_{order_id}{part}.zip", "application/zip"),
        ("data", f"{prefix}_{content['data_suffix']}", content["data_type"]),
        ("thumbnail", f"{prefix}_preview.jpg", "image/jpeg"),
        ("metadata", f"{prefix}_metadata.json", "application/json"),
    ):
        file_id = asset_id if kind == "original" else chance.name_uuid("file", asset_id, kind)
        world.database.write(
            "INSERT INTO files (id, asset_id, kind, name, media_type) VALUES (?, ?, ?, ?, ?)",
            (file_id, asset_id, kind, name, media_type),
        )


def with_assets(world: World) -> list[Delivery]:
    """List the deliveries whose asset is there, newest first."""
    return _listed(world, "visible_at", {})


def with_items(world: World, ids: Mapping[str, str] = MappingProxyType({})) -> list[Delivery]:
    """List the deliveries whose STAC collection and item are there, newest first.

    Args:
        world: the sandbox.
        ids: values that columns of ID_COLUMNS must have.
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
    sql = f"{_VISIBLE.format(gate=gate)} AND d.{column} = :id"
    rows = world.database.rows(sql, {"now": world.now(), "id": identifier})
    return _delivery(rows[0]) if rows else None


def file_rows(world: World, asset_id: str) -> dict[str, sqlite3.Row]:
    """List the files of a delivery by kind, without making them."""
    return {row["kind"]: row for row in world.database.rows("SELECT * FROM files WHERE asset_id = ?", (asset_id,))}


def delivery_of_file(world: World, file_id: str) -> Delivery | None:
    """Find the delivery of a downloadable file: the original from the asset's arrival, the others from the items'."""
    rows = world.database.rows("SELECT asset_id, kind FROM files WHERE id = ?", (file_id,))
    if not rows:
        return None
    gate = "visible_at" if rows[0]["kind"] == "original" else "items_at"
    return one(world, "asset_id", rows[0]["asset_id"], gate=gate)


def make_file(world: World, delivery: Delivery, kind: str) -> File:
    """Return a file of a delivery, with its digests, made now if need be."""
    row = file_rows(world, delivery.asset_id)[kind]
    path = world.state / "files" / row["id"]
    with _making[row["id"]]:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.part")
            _write(world, delivery, kind, temporary)
            temporary.replace(path)
        row = file_rows(world, delivery.asset_id)[kind]
        if row["md5"] is None:
            size, md5, crc32c = _digests(path)
            world.database.write(
                "UPDATE files SET size = ?, md5 = ?, crc32c = ? WHERE id = ?", (size, md5, crc32c, row["id"])
            )
            row = file_rows(world, delivery.asset_id)[kind]
    return File(row["id"], kind, row["name"], row["media_type"], path, row["size"], row["md5"], row["crc32c"])


def _write(world: World, delivery: Delivery, kind: str, path: Path) -> None:
    content = delivery.content
    if kind == "original":
        _write_zip(world, delivery, path)
    elif kind == "metadata":
        path.write_text(json.dumps(_metadata(delivery), indent=1), encoding="utf-8")
    elif content["kind"] == "synthetic":
        (synthetic.write_data if kind == "data" else synthetic.write_preview)(content, path)
    elif kind == "data":
        shutil.copyfile(world.state / "sources" / content["source"], path)
    else:
        picture = previews.draw(world.state / "sources" / content["source"], content["driver"], 256)
        path.write_bytes(picture if picture is not None else raster_files.jpeg(np.zeros((3, 64, 64), np.uint8)))


def _write_zip(world: World, delivery: Delivery, path: Path) -> None:
    """Pack the delivery as the provider does: a folder with image, preview and metadata; dates fixed."""
    title, suffix = delivery.content["title"], Path(delivery.content["data_suffix"]).suffix.upper()
    members = {
        f"IMG_{title}{'.TIF' if suffix == '.TIFF' else suffix}": make_file(world, delivery, "data").path,
        f"PREVIEW_{title}.JPG": make_file(world, delivery, "thumbnail").path,
        f"METADATA_{title}.JSON": make_file(world, delivery, "metadata").path,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, source in members.items():
            entry = zipfile.ZipInfo(f"{title}/{name}", date_time=(2026, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.file_size = source.stat().st_size
            with source.open("rb") as reader, archive.open(entry, "w") as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)


def _metadata(delivery: Delivery) -> dict[str, Any]:
    content = delivery.content
    return {
        "sceneId": content["scene_id"],
        "orderId": delivery.order_id,
        "acquisitionDate": content["datetime"],
        "dataProduct": content["product"],
        "cloudCoverPercent": content["cloud_cover"],
        "resolutionMetres": content["gsd"],
        "epsg": content["epsg"],
        "bands": content["bands"],
        "footprint": content["geometry"],
    }


def _digests(path: Path) -> tuple[int, str, str]:
    md5, crc32c, size = hashlib.md5(usedforsecurity=False), _checksum(), 0
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            md5.update(piece)
            crc32c.update(piece)
            size += len(piece)
    return size, base64.b64encode(md5.digest()).decode(), base64.b64encode(crc32c.digest()).decode()


def _listed(world: World, gate: str, ids: Mapping[str, str]) -> list[Delivery]:
    narrower = "".join(f" AND d.{column} = :{column}" for column in ids if column in ID_COLUMNS)
    sql = f"{_VISIBLE.format(gate=gate)}{narrower} ORDER BY d.{gate} DESC, d.number DESC"
    return [_delivery(row) for row in world.database.rows(sql, {"now": world.now(), **ids})]


def _delivery(row: sqlite3.Row) -> Delivery:
    return Delivery(
        number=row["number"],
        asset_id=row["asset_id"],
        order_id=row["order_id"],
        collection_id=row["collection_id"],
        item_id=row["item_id"],
        visible_at=row["visible_at"],
        items_at=row["items_at"],
        tags=None if row["order_tags"] is None else tuple(json.loads(row["order_tags"])),
        content=json.loads(row["content"]),
    )
