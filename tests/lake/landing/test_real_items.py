"""Every STAC document of ../shared/data through the whole landing, its assets served by a real server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pystac
import pytest
import rasterio.shutil

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake import Lake
from up42_pipelines.lake.content import Kind, kind_of, media_type_of
from up42_pipelines.lake.stac.item import source_item
from up42_pipelines.lake.stac.validation import problems
from up42_pipelines.lake.upkeep.verify import verify

# Every other item lands. Items whose bbox is wrong do when their pixels tell the place.
REFUSED = {
    "examples_0.9.0_items/sentinel2-sample.json": "bbox: does not contain the geometry",
    "examples_1.0.0-beta.2_items/sentinel2-sample.json": "bbox: does not contain the geometry",
    "invalid/invalid-datetimes.json": "properties/end_datetime: ",
    "invalid/invalid-item.json": "id: ''",
    "invalid/made_datetime_null_without_range.json": "If datetime is None, a start_datetime and end_datetime must",
    "invalid/made_no_assets.json": "has no assets",
    "invalid/made_stac_version_9.json": "has STAC version '9.9.9'; 0.8 to 1.1 can be read",
    "invalid/shared-id/test/test-item-1/test-item-1.json": "has no assets",
    "providers/up42_search_response.json": "has STAC version 'None'; 0.8 to 1.1 can be read",
    "windows_hrefs/test-collection/test-item/test-item.json": "none of its assets can be used. .*The file is empty",
}
NO_ITEM = "is no STAC item|has STAC version '(None|0.6.0)'"
# Served as assets by the items beside them, or no STAC: what was ordered, and a table of items.
OTHERS = {".tif": 7, ".png": 5, ".jpg": 1, ".xml": 1, ".txt": 1, ".jsonl": 1, ".parquet": 1}
CONTENTS = {
    "image/jpeg": b"\xff\xd8\xff\xe0 a picture",
    "image/png": b"\x89PNG\r\n\x1a\n" + bytes(16),
    "application/json": b"{}",
    "application/geo+json": b'{"type": "FeatureCollection", "features": []}',
    "application/xml": b"<a/>",
    "text/xml": b"<a/>",
}


@dataclass(frozen=True)
class Found:
    name: str
    path: Path
    document: dict[str, Any]


def documents_in(folder: Path) -> Iterator[Found]:
    for path in sorted(folder.rglob("*.json")):
        content = json.loads(path.read_text())
        several = content if isinstance(content, list) else content.get("features", [content])
        for document in several:
            yield Found(path.relative_to(folder).as_posix(), path, document)


@pytest.fixture
def small_cog(make_raster, noise) -> bytes:
    source = make_raster("small.tif", noise(1, 66))
    target = source.with_name("small_cog.tif")
    rasterio.shutil.copy(source, target, driver="COG")
    return target.read_bytes()


@pytest.fixture
def serve_assets(files, zipped, small_cog) -> Callable[[pystac.Item, Path], dict[str, str]]:
    """Serve what an item's assets are: the files beside it where there are such, else something of their type.

    Of several rasters only the first stays in the item, unless they are UP42's or beside it: the others would be the
    same bytes. Gives the addresses by href.
    """
    served = {Kind.RASTER: small_cog, Kind.ARCHIVE: zipped({"image.tif": small_cog})}

    def run(item: pystac.Item, path: Path) -> dict[str, str]:
        urls: dict[str, str] = {}
        rasters = 0
        for key, asset in list(item.assets.items()):
            kind, beside = kind_of(asset), path.parent / asset.href.replace("\\", "/")
            is_beside = (
                "://" not in asset.href and beside.is_file() and beside.resolve().is_relative_to(path.parent.resolve())
            )
            rasters += kind is Kind.RASTER
            if kind is Kind.RASTER and rasters > 1 and not is_beside and "up42_real" not in path.parts:
                del item.assets[key]
                continue
            content = (
                beside.read_bytes() if is_beside else served.get(kind, CONTENTS.get(media_type_of(asset), b"text"))
            )
            urls[asset.href] = files.put(f"{len(files.objects)}", content)
        return urls

    return run


def test_every_item_lands_or_is_refused_as_stated(real_data, land, serve_assets):
    lake, landed, refused = Lake("memory://every-item"), 0, {}
    for number, found in enumerate(documents_in(real_data / "stac")):
        if found.document.get("type") != "Feature":
            with pytest.raises(InvalidDelivery, match=NO_ITEM):
                source_item(found.document)
            continue
        collection = f"c{number}"
        try:
            item = source_item(found.document)
            urls = serve_assets(item, found.path)
            one = land(lake, item, sign=urls.__getitem__, collection_id=collection)
        except InvalidDelivery as error:
            refused[found.name] = str(error)
            assert lake.list("collections", collection) == []
            continue
        landed += 1
        document = one.item.to_dict(transform_hrefs=False)
        assert problems(document) == ()
        assert document["id"] == found.document["id"]
        assert one.assets_fetched == len(item.assets)
        assert one.withheld == {}
        # Whatever hrefs and keys say, the files lie beside the item.
        folder = lake.href("collections", collection)
        assert all(asset.href.startswith(f"{folder}/") and ".." not in asset.href for asset in one.item.assets.values())
    assert refused.keys() == REFUSED.keys()
    assert landed == 152
    assert [name for name, reason in REFUSED.items() if not re.search(reason, refused[name])] == []
    assert list(verify(lake)) == []


def test_no_file_is_missing(real_data):
    suffixes = [path.suffix for path in (real_data / "stac").rglob("*") if path.is_file() and path.suffix != ".json"]
    assert {suffix: suffixes.count(suffix) for suffix in suffixes} == OTHERS
