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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c

from up42_pipelines.sandbox.core.problems import not_found
from up42_pipelines.sandbox.imagery import imagery_folder, synthetic
from up42_pipelines.sandbox.processing.compute import results
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
    if kind == "original":
        _write_zip(world, delivery, path)
    elif kind == "metadata":
        path.write_text(json.dumps(_metadata(delivery), indent=1), encoding="utf-8")
    elif kind == "thumbnail":
        _write_preview(world, delivery, path)
    else:
        _write_data(delivery.content, kind, world.state / "sources", path)


def _write_data(content: Mapping[str, Any], kind: str, sources: Path, path: Path) -> None:
    file = next(file for file in content["data"] if file["kind"] == kind)
    if content["kind"] == "synthetic":
        synthetic.write_data(content, file, path)
    elif content["kind"] == "imagery":
        imagery_folder.write_data(content, sources, path)
    else:
        results.write_data(content, sources, path)


def _write_preview(world: World, delivery: Delivery, path: Path) -> None:
    content = delivery.content
    if content["kind"] == "synthetic":
        synthetic.write_preview(content, path)
    elif content["kind"] == "imagery":
        imagery_folder.write_preview(content, world.state / "sources", path)
    else:
        (file,) = content["data"]
        results.write_preview(file, make_file(world, delivery, file["kind"]).path, path)


def _write_zip(world: World, delivery: Delivery, path: Path) -> None:
    """Pack the delivery as the provider does: a folder with data, preview and metadata; dates fixed."""
    title, data = delivery.content["title"], delivery.content["data"]
    members = {
        **{_member(title, file, alone=len(data) == 1): file["kind"] for file in data},
        f"PREVIEW_{title}.JPG": "thumbnail",
        f"METADATA_{title}.JSON": "metadata",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, kind in members.items():
            source = make_file(world, delivery, kind).path
            entry = zipfile.ZipInfo(f"{title}/{name}", date_time=(2026, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.file_size = source.stat().st_size
            with source.open("rb") as reader, archive.open(entry, "w") as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)


def _member(title: str, file: Mapping[str, Any], *, alone: bool) -> str:
    """Name a data file inside the archive."""
    suffix = Path(file["suffix"]).suffix.upper()
    return "".join(
        (
            "IMG_" if file["bands"] else "VEC_",
            title,
            "" if alone else f"_{file['kind'].upper()}",
            ".TIF" if suffix == ".TIFF" else suffix,
        )
    )


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
        "bands": [band for file in content["data"] for band in file["bands"]],
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
