"""Items that were delivered as an archive: unpacked, understood, and landed as rasters."""

from __future__ import annotations

import io
import json
import os
import zipfile

import pystac
import pytest

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake import Lake, LandingOptions, land_item, read_item
from up42_pipelines.lake.archives.limits import UnpackLimits
from up42_pipelines.lake.transfer.patience import Patience

HASTE = LandingOptions(patience=Patience(first_pause_s=0))


def zipped(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def land(rasters, files, lake):
    def run(item, options=HASTE, **given):
        return land_item(lake, item, collection_id="phr", sign=files.sign, rasters=rasters, options=options, **given)

    return run


@pytest.fixture
def delivery(files, up42_item, cog_bytes, striped_bytes):
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
    landed = land(delivery)
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
    first = land(delivery)
    files.requests.clear()
    again = land(delivery)
    assert again.already_there
    assert files.requests == []
    assert again.item.to_dict(transform_hrefs=False) == first.item.to_dict(transform_hrefs=False)
    lake.write_bytes(b"cut", "collections", "phr", delivery.id, "visual.tif")
    healed = land(delivery)
    assert healed.assets_fetched == 1
    assert healed.item.to_dict(transform_hrefs=False) == first.item.to_dict(transform_hrefs=False)


def test_an_item_made_of_the_order_gets_its_time_from_the_delivery_and_says_so(land, delivery):
    delivery.properties["up42-pipelines:datetime_from"] = "the delivery"
    landed = land(delivery)
    assert landed.item.datetime == delivery.datetime
    assert "delivery" in landed.item.properties["up42-pipelines:datetime_from"]


def test_what_lies_beside_the_archive_lands_too_and_later_too(land, delivery, files):
    def metadata(name):
        return pystac.Asset(files.put(name, b'{"a": 1}'), name, None, "application/json", ["metadata"])

    delivery.add_asset("first", metadata("first"))
    landed = land(delivery)
    assert {"ms", "visual", "first"} <= set(landed.item.assets)
    assert landed.item.assets["first"].title == "first"
    delivery.add_asset("second", metadata("second"))
    grown = land(delivery)
    assert {"ms", "visual", "first", "second"} <= set(grown.item.assets)
    assert land(delivery).already_there


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"error": "not yet"}', "neither zip nor tar"),
        (zipped({"readme.txt": b"nothing else"}), "no imagery"),
        (zipped({"../../evil.tif": b"II*\0"}), "evil"),
        (zipped({"a.tif": b"II*\0 not a raster"}), "a.tif"),
    ],
)
def test_a_bad_archive_publishes_nothing(land, lake, files, up42_item, content, reason):
    item = up42_item({"data": (files.put("archive", content), "application/zip", ["data"])})
    with pytest.raises(InvalidDelivery, match=reason) as caught:
        land(item)
    assert "'data'" in str(caught.value)
    assert read_item(lake, "phr", item.id) is None
    assert lake.fs.find(lake.root) == [], "what was delivered wrong is not resumed"


def test_limits_are_the_callers(land, delivery):
    options = LandingOptions(patience=HASTE.patience, unpack=UnpackLimits(entries=2))
    with pytest.raises(InvalidDelivery, match="entries"):
        land(delivery, options)


def test_a_fetching_folder_that_others_can_enter_is_not_used(rasters, files, delivery, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"up42-pipelines-{os.geteuid()}"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with pytest.raises(LakeError, match="others can enter"):
        land_item(
            Lake("memory://private"), delivery, collection_id="phr", sign=files.sign, rasters=rasters, options=HASTE
        )


def test_the_lake_has_valid_json(land, lake, delivery):
    land(delivery)
    document = lake.read_json("collections", "phr", delivery.id, f"{delivery.id}.json")
    assert "Signature" not in json.dumps(document)
    assert document["assets"]["visual"]["up42-pipelines:encoding"]["compression"] == "ZSTD"
    assert document["assets"]["visual"]["up42-pipelines:profile"] == "analytic"
