"""Items that were delivered as an archive: unpacked, understood, and landed as rasters."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pystac
import pytest

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake import COG_MEDIA_TYPE, AssetLanded, Lake, read_item
from up42_pipelines.lake.archives.limits import UnpackLimits
from up42_pipelines.lake.upkeep.verify import verify


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def delivery(files, up42_item, zipped, cog_bytes, striped_bytes):
    """An archive alone, as UP42 serves one: a COG, a raster that is none, a picture and papers."""
    content = zipped(
        {
            "order/ms.tif": cog_bytes,
            "order/visual.tif": striped_bytes,
            "order/readme.txt": b"Read me.",
            "order/broken.json": b"",
            "__MACOSX/order/._ms.tif": b"junk",
        }
    )
    href = files.put("archive", content)
    return up42_item({"data": (href, "application/zip", ["data", "original"])})


def test_an_archive_becomes_rasters_and_papers(land, lake, delivery, files, cog_bytes):
    unpacked = []

    def look(event):
        if isinstance(event, AssetLanded):
            unpacked.extend(Path(lake.root).rglob("*.unpacked"))

    landed = land(lake, delivery, on_event=look)
    assert unpacked == [], "its place is free as soon as its files are made"
    assert (landed.assets_fetched, landed.withheld) == (1, {})
    item = landed.item
    assert {"ms", "visual"} <= set(item.assets)
    assert "data" not in item.assets
    ms = item.assets["ms"]
    assert lake.fs.cat_file(ms.href) == cog_bytes
    assert ms.extra_fields["up42-pipelines:source_href"] == delivery.assets["data"].href
    assert ms.extra_fields["up42-pipelines:verified_by"] == "crc32c"
    assert "Converted" in item.assets["visual"].extra_fields["processing:lineage"]
    assert item.properties["up42-order:id"] == "0rder000"
    assert item.datetime == delivery.datetime, "UP42 knows when the scene was taken"
    assert "up42-pipelines:datetime_from" not in item.properties
    left_out = item.properties["up42-pipelines:left_out"]
    assert any("MACOSX" in name for name in left_out)
    assert [link.target for link in item.links if link.rel == "derived_from"] == ["https://api.up42.invalid/self"]
    names = lake.list("collections", "phr", delivery.id)
    assert not [name for name in names if name.startswith(".") or name.endswith(".unpacked")]


def test_landing_again_asks_nothing_and_a_damaged_file_fetches_all_of_it_again(land, lake, delivery, files):
    first = land(lake, delivery)
    files.requests.clear()
    again = land(lake, delivery)
    assert again.already_there
    assert files.requests == []
    assert again.item.to_dict(transform_hrefs=False) == first.item.to_dict(transform_hrefs=False)
    lake.write_bytes(b"cut", "collections", "phr", delivery.id, "visual.tif")
    healed = land(lake, delivery)
    assert healed.assets_fetched == 1
    assert healed.item.to_dict(transform_hrefs=False) == first.item.to_dict(transform_hrefs=False)


def test_an_item_made_of_the_order_gets_its_time_from_the_delivery_and_says_so(land, lake, delivery):
    delivery.properties["up42-pipelines:datetime_from"] = "the delivery"
    landed = land(lake, delivery)
    assert landed.item.datetime == delivery.datetime
    assert "delivery" in landed.item.properties["up42-pipelines:datetime_from"]


def test_what_lies_beside_the_archive_lands_too_and_later_too(land, lake, delivery, files):
    def metadata(name):
        return pystac.Asset(files.put(name, b'{"a": 1}'), name, None, "application/json", ["metadata"])

    delivery.add_asset("first", metadata("first"))
    landed = land(lake, delivery)
    assert {"ms", "visual", "first"} <= set(landed.item.assets)
    assert landed.item.assets["first"].title == "first"
    delivery.add_asset("second", metadata("second"))
    grown = land(lake, delivery)
    assert {"ms", "visual", "first", "second"} <= set(grown.item.assets)
    assert land(lake, delivery).already_there


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"error": "not yet"}', "neither zip nor tar"),
        ({"readme.txt": b"nothing else"}, "no imagery"),
        ({"../../evil.tif": b"II*\0"}, "evil"),
        ({"a.tif": b"II*\0 not a raster"}, "a.tif"),
    ],
)
def test_a_bad_archive_publishes_nothing(land, lake, files, up42_item, content, reason, zipped):
    content = content if isinstance(content, bytes) else zipped(content)
    item = up42_item({"data": (files.put("archive", content), "application/zip", ["data"])})
    with pytest.raises(InvalidDelivery, match=reason) as caught:
        land(lake, item)
    assert "'data'" in str(caught.value)
    assert read_item(lake, "phr", item.id) is None
    assert lake.fs.find(lake.root) == [], "what was delivered wrong is not resumed"


def test_limits_are_the_callers(land, lake, delivery):
    with pytest.raises(InvalidDelivery, match="entries"):
        land(lake, delivery, unpack=UnpackLimits(entries=2))


def test_a_fetching_folder_that_others_can_enter_is_not_used(land, delivery, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"up42-pipelines-{os.geteuid()}"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with pytest.raises(LakeError, match="others can enter"):
        land(Lake("memory://private"), delivery)


def test_the_lake_has_valid_json(land, lake, delivery):
    land(lake, delivery)
    document = lake.read_json("collections", "phr", delivery.id, f"{delivery.id}.json")
    assert "Signature" not in json.dumps(document)
    assert document["assets"]["visual"]["up42-pipelines:encoding"]["compression"] == "ZSTD"
    assert document["assets"]["visual"]["up42-pipelines:profile"] == "analytic"


def test_archives_with_files_of_one_name_lose_none(land, lake, files, up42_item, zipped, cog_bytes, striped_bytes):
    papers = {"order/license.txt": b"You may look at it."}
    one = zipped({"order/image.tif": cog_bytes, **papers})
    other = zipped({"order/image.tif": striped_bytes, **papers})
    item = up42_item(
        {
            "b.zip": (files.put("b", other), "application/zip", ["data"]),
            "a.zip": (files.put("a", one), "application/zip", ["data"]),
            "license": (files.put("license", b"Another license."), "text/plain", ["license"]),
        }
    )
    landed = land(lake, item)
    assets = landed.item.assets
    images = {key for key, asset in assets.items() if asset.media_type == COG_MEDIA_TYPE}
    assert images == {"a.zip/image", "b.zip/image"}
    assert lake.fs.cat_file(assets["a.zip/image"].href) == cog_bytes
    assert {key for key in assets if "license" in key} == {"license", "a.zip/license", "b.zip/license"}
    assert list(verify(lake)) == []
    assert land(lake, item).already_there


def test_a_file_of_an_archive_has_another_key_than_what_lies_beside_it(land, lake, files, up42_item, zipped, cog_bytes):
    archive = zipped({"order/image.tif": cog_bytes, "order/license.txt": b"You may look at it."})
    item = up42_item(
        {
            "data": (files.put("a", archive), "application/zip", ["data"]),
            "license": (files.put("license", b"Another license."), "text/plain", ["license"]),
        }
    )
    landed = land(lake, item)
    texts = {key: lake.fs.cat_file(asset.href) for key, asset in landed.item.assets.items() if "license" in key}
    assert texts == {"license": b"Another license.", "license-of-archive": b"You may look at it."}
    assert {"image", "image-quicklook"} < landed.item.assets.keys()


def test_an_archive_without_times_has_the_period_of_its_item(land, lake, files, up42_item, zipped, cog_bytes):
    period = {"start_datetime": "2024-05-01T10:00:00Z", "end_datetime": "2024-05-01T11:00:00Z"}
    archive = zipped({"order/image.tif": cog_bytes})
    item = up42_item(
        {"data": (files.put("a", archive), "application/zip", ["data"])}, properties={"datetime": None, **period}
    )
    properties = land(lake, item).item.properties
    assert {name: properties[name] for name in ("datetime", *period)} == {"datetime": None, **period}
    assert "up42-pipelines:datetime_from" not in properties
