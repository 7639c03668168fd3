"""The files of deliveries, made when somebody first wants their bytes.

A file is written under a temporary name and renamed, and follows from the row of its delivery alone: a sandbox that was
killed, or that lost its files, makes the same bytes again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import threading
import zipfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from up42_pipelines.sandbox.core.problems import not_found
from up42_pipelines.sandbox.imagery import previews, raster_files, synthetic
from up42_pipelines.sandbox.storage import deliveries
from up42_pipelines.sandbox.storage.deliveries import Delivery
from up42_pipelines.sandbox.world import World

_checksum: Callable[[], Any] = google_crc32c.Checksum
_making: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


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


def make_file(world: World, delivery: Delivery, kind: str) -> File:
    """Return a file of a delivery, with its digests, made now if need be.

    Raises:
        Refused: 404, the delivery was removed meanwhile.
    """
    file_id = deliveries.file_id(delivery.asset_id, kind)
    path = world.state / "files" / file_id
    with _making[file_id]:
        row = deliveries.file_rows(world, delivery.asset_id).get(kind)
        if row is None:
            raise not_found("Asset", file_id)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.part")
            _write(world, delivery, kind, temporary)
            temporary.replace(path)
        size, md5, crc32c = row["size"], row["md5"], row["crc32c"]
        if md5 is None:
            size, md5, crc32c = _digests(path)
            world.database.write(
                "UPDATE files SET size = ?, md5 = ?, crc32c = ? WHERE id = ?", (size, md5, crc32c, file_id)
            )
    return File(file_id, kind, row["name"], row["media_type"], path, size, md5, crc32c)


def remove(world: World, delivery: Delivery) -> None:
    """Remove a delivery for good: asset, collection, item and files. What it came from stays."""
    file_ids = [row["id"] for row in deliveries.file_rows(world, delivery.asset_id).values()]
    deliveries.forget(world, delivery)
    for file_id in file_ids:
        with _making[file_id]:
            (world.state / "files" / file_id).unlink(missing_ok=True)


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
        **({"jobId": delivery.job_id} if delivery.order_id is None else {"orderId": delivery.order_id}),
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
