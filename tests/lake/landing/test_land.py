"""Landing an item over real HTTP: whole or not at all, once, and again after a kill."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import time
import uuid
from pathlib import Path

import pystac
import pytest
import rasterio
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from up42_pipelines.errors import InvalidDelivery, LakeError, TransferError
from up42_pipelines.lake import (
    AssetLanded,
    AssetProgress,
    AssetSkipped,
    AssetStarted,
    Lake,
    LandingOptions,
    RasterWorker,
    land_item,
    read_item,
)
from up42_pipelines.lake.stac.index import search
from up42_pipelines.lake.transfer.patience import Patience

HASTE = LandingOptions(patience=Patience(first_pause_s=0))
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
JPEG = b"\xff\xd8\xff\xe0" + bytes(200)


@pytest.fixture(params=["local", "memory"])
def lake(request, tmp_path):
    return Lake(str(tmp_path / "lake") if request.param == "local" else f"memory://{uuid.uuid4()}")


@pytest.fixture
def delivery(files, up42_item, cog_bytes, striped_bytes):
    """An item with a COG, a GeoTIFF that is none, a preview and metadata."""
    files.put("f1", cog_bytes)
    files.put("f2", striped_bytes)
    files.put("f3", JPEG)
    files.put("f4", b'{"a": 1}')
    return up42_item(
        {
            "k3j2_ms.tiff": (f"{files.url}/f1", COG, ["data", "multispectral"]),
            "k3j2_visual.tif": (f"{files.url}/f2", "image/tiff", ["data", "visual"]),
            "preview.jpg": (f"{files.url}/f3", "image/jpeg", ["thumbnail"]),
            "metadata": (f"{files.url}/f4", "application/json", ["metadata"]),
        }
    )


@pytest.fixture
def land(rasters):
    def run(lake, item, files, **options):
        given = {"options": HASTE, "sign": files.sign, **options}
        return land_item(lake, item, collection_id="phr", rasters=rasters, **given)

    return run


def assert_nothing_published(lake, item_id):
    """No item, no file, no index, no staging."""
    assert read_item(lake, "phr", item_id) is None
    waiting = f"collections/phr/{item_id}/.fetching.part/"  # what is resumed, and nothing that has the name of a file
    assert [path for path in lake.fs.find(lake.root) if waiting not in path] == []


def test_lands_whole(land, lake, delivery, files, cog_bytes):
    events = []
    landed = land(lake, delivery, files, on_event=events.append)
    assert not landed.already_there
    assert (landed.assets_fetched, landed.files_kept) == (4, 3)
    assert landed.bytes_fetched == sum(len(stored.content) for stored in files.objects.values())
    assert landed.quicklook.startswith(b"\x89PNG")
    folder = ("collections", "phr", delivery.id)
    names = ["k3j2_ms.tif", "k3j2_visual-quicklook.png", "k3j2_visual.tif", "metadata.json", "preview.jpg"]
    assert lake.list(*folder) == sorted([f"{delivery.id}.json", *names])
    for asset in landed.item.assets.values():
        content = lake.fs.cat_file(asset.href)
        assert asset.extra_fields["file:size"] == len(content)
        assert asset.extra_fields["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()
        assert "Signature" not in json.dumps(asset.to_dict())
    assert lake.read_bytes(*folder, "k3j2_ms.tif") == cog_bytes
    assert landed.item.assets["k3j2_ms.tiff"].extra_fields["processing:lineage"] == "Kept as delivered."
    assert "Converted" in landed.item.assets["k3j2_visual.tif"].extra_fields["processing:lineage"]
    assert landed.item.assets["k3j2_visual.tif"].media_type == COG
    document = lake.read_json(*folder, f"{delivery.id}.json")
    JsonSchemaSTACValidator().validate_core(document, pystac.STACObjectType.ITEM, "1.1.0")
    assert [type(event) for event in events if event.asset_key == "metadata"] == [
        AssetStarted,
        AssetProgress,
        AssetLanded,
    ]


def test_landing_again_asks_nothing(land, lake, delivery, files):
    first = land(lake, delivery, files)
    files.requests.clear()
    events = []
    again = land(lake, delivery, files, on_event=events.append)
    assert again.already_there
    assert (again.bytes_fetched, again.assets_fetched) == (0, 0)
    assert again.item.to_dict(transform_hrefs=False) == first.item.to_dict(transform_hrefs=False)
    assert files.requests == []
    assert {type(event) for event in events} == {AssetSkipped}
    assert again.quicklook == first.quicklook


def test_a_delivery_that_grew_fetches_what_is_new(land, lake, delivery, files, cog_bytes):
    land(lake, delivery, files)
    files.requests.clear()
    files.put("f5", cog_bytes)
    delivery.add_asset("pan.tif", pystac.Asset(f"{files.url}/f5", media_type=COG, roles=["data"]))
    grown = land(lake, delivery, files)
    assert (grown.assets_fetched, grown.already_there) == (1, False)
    assert [path.partition("?")[0] for path, _ in files.requests] == ["/f5"]
    assert len(grown.item.assets) == 5 + 1, "the quicklook of the first landing"
    assert land(lake, delivery, files).already_there


def test_another_source_or_a_damaged_file_is_fetched_again(land, lake, delivery, files, cog_bytes, striped_bytes):
    land(lake, delivery, files)
    files.requests.clear()
    files.put("f9", striped_bytes)
    delivery.assets["k3j2_ms.tiff"].href = f"{files.url}/f9"
    lake.write_bytes(b"cut", "collections", "phr", delivery.id, "metadata.json")
    again = land(lake, delivery, files)
    assert sorted(path.partition("?")[0] for path, _ in files.requests) == ["/f4", "/f9"]
    with (
        rasterio.MemoryFile(lake.fs.cat_file(again.item.assets["k3j2_ms.tiff"].href)) as memory,
        memory.open() as dataset,
    ):
        assert dataset.shape == (700, 650)


def test_a_committed_item_is_away_while_its_files_are_replaced(land, lake, delivery, files, striped_bytes, monkeypatch):
    land(lake, delivery, files)
    files.put("f9", striped_bytes)
    delivery.assets["k3j2_ms.tiff"].href = f"{files.url}/f9"
    publish, seen = Lake.publish, []

    def watched(self, *arguments):
        seen.append(read_item(lake, "phr", delivery.id))
        publish(self, *arguments)

    monkeypatch.setattr(Lake, "publish", watched)
    land(lake, delivery, files)
    assert set(seen) == {None}


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"<html>403 Forbidden</html>", "none of TIFF"), (b"", "it is empty"), (b"PK\3\4", "starts with")],
)
def test_data_that_is_no_raster_refuses_the_item(land, lake, delivery, files, content, reason):
    files.put("f2", content)
    with pytest.raises(InvalidDelivery, match=reason) as caught:
        land(lake, delivery, files)
    assert delivery.id in str(caught.value)
    assert "k3j2_visual.tif" in str(caught.value)
    assert_nothing_published(lake, delivery.id)


def test_a_cut_off_raster_refuses_the_item(land, lake, delivery, files, cog_bytes):
    files.put("f1", cog_bytes[:-2000])
    with pytest.raises(InvalidDelivery, match=r"k3j2_ms\.tiff"):
        land(lake, delivery, files)
    assert_nothing_published(lake, delivery.id)
    files.put("f1", cog_bytes)
    assert land(lake, delivery, files).assets_fetched == 4


def test_a_transfer_that_does_not_heal_refuses_the_item(land, lake, delivery, files, fault):
    files.faults["/f4"] = [fault(flip=True)] * 5
    with pytest.raises(TransferError, match="crc32c"):
        land(lake, delivery, files)
    assert_nothing_published(lake, delivery.id)


def test_faults_on_the_way_heal(land, lake, delivery, files, fault):
    files.faults["/f1"] = [fault(drop_after=1000), fault(status=503), fault(flip=True)]
    files.faults["/f2"] = [fault(status=400), fault(drop_after=5000)]
    assert land(lake, delivery, files).assets_fetched == 4


@pytest.mark.parametrize("announced", [{"file:size": 7}, {"file:checksum": "1220" + "00" * 32}])
def test_what_the_item_announces_must_hold(land, lake, delivery, files, announced):
    delivery.assets["k3j2_ms.tiff"].extra_fields |= announced
    with pytest.raises(InvalidDelivery, match="announces"):
        land(lake, delivery, files)
    assert_nothing_published(lake, delivery.id)


def test_an_archive_beside_rasters_is_left_out(land, lake, delivery, files):
    href = files.put("zip", b"PK")
    delivery.add_asset("original", pystac.Asset(href, media_type="application/zip", roles=["data", "original"]))
    landed = land(lake, delivery, files)
    assert "original" not in landed.item.assets
    assert "archive" in landed.item.properties["up42-pipelines:left_out"]["original"]
    assert land(lake, delivery, files).already_there


def test_a_preview_that_is_something_else_is_left_out(land, lake, delivery, files):
    files.put("f3", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>')
    landed = land(lake, delivery, files)
    assert "preview.jpg" not in landed.item.assets
    assert "not image/jpeg" in landed.item.properties["up42-pipelines:left_out"]["preview.jpg"]
    assert "preview.jpg" not in lake.list("collections", "phr", delivery.id)


def test_an_item_without_assets_is_refused(land, lake, files, up42_item):
    with pytest.raises(InvalidDelivery, match="has no assets"):
        land(lake, up42_item({}), files)


def test_hostile_names_get_files_of_their_own(land, lake, files, up42_item, cog_bytes):
    keys = [
        "../evil",
        "a/b",
        "",
        "A",
        "a",
        "b",
        "B",
        "a.tif",
        "..",
        "\0",
        "x" * 400,
        "17e30000-0000.json",
        "C:\\a.tif",
        ".fetched",
    ]
    files.put("f1", cog_bytes)
    item = up42_item({key: (f"{files.url}/f1", COG, ["data"]) for key in keys})
    landed = land(lake, item, files)
    assert set(landed.item.assets) == {*keys, "-quicklook"}
    names = [name for name in lake.list("collections", "phr", item.id) if name.endswith(".tif")]
    assert len({name.casefold() for name in names}) == len(keys)
    assert len(lake.list("collections", "phr", item.id)) == len(keys) + 2
    assert lake.list() == ["catalog.json", "collections"]
    assert lake.list("collections", "phr") == sorted(["collection.json", "index", item.id])


def test_type_is_told_by_content_when_none_is_given(land, lake, files, up42_item, striped_bytes):
    files.put("noname", striped_bytes)
    landed = land(lake, up42_item({"mask": (f"{files.url}/noname", None, ["mask"])}), files)
    assert landed.item.assets["mask"].media_type == COG


def test_signed_hrefs_are_not_kept(land, lake, files, up42_item, cog_bytes):
    files.put("f1", cog_bytes)
    item = up42_item({"a": (f"{files.url}/f1?Signature=OLD", COG, ["data"])})
    landed = land(lake, item, files)
    assert "OLD" not in json.dumps(landed.item.to_dict(transform_hrefs=False))
    item.assets["a"].href = f"{files.url}/f1?Signature=NEW"
    assert land(lake, item, files).already_there, "a new signature is not a new source"


def test_a_lake_that_cannot_be_written(land, tmp_path, delivery, files):
    (tmp_path / "lake").write_text("a file")
    with pytest.raises(LakeError, match="move it away"):
        land(Lake(str(tmp_path / "lake")), delivery, files)


def _land_and_die(url, document, killed_at):
    """Land in a process of its own, which kills itself before one of the steps that change the lake."""
    steps = {"publish": 0, "write_all_json": 0, "write_json": 0}

    def count(name, real):
        def step(self, *arguments):
            if killed_at == (name, steps[name]):
                os.kill(os.getpid(), signal.SIGKILL)
            steps[name] += 1
            return real(self, *arguments)

        return step

    for name in steps:
        setattr(Lake, name, count(name, getattr(Lake, name)))
    with RasterWorker() as rasters:
        land_item(
            Lake(url), pystac.Item.from_dict(document), collection_id="phr", sign=lambda href: href, rasters=rasters
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "killed_at", [("publish", 0), ("publish", 2), ("write_all_json", 0), ("write_json", 0), ("write_json", 1)], ids=str
)
def test_killed_between_two_steps(land, tmp_path, delivery, files, killed_at):
    lake = Lake(str(tmp_path / "lake"))
    spawn = multiprocessing.get_context("spawn")
    document = delivery.to_dict(transform_hrefs=False)
    process = spawn.Process(target=_land_and_die, args=(lake.url, document, killed_at))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    process.close()
    committed = read_item(lake, "phr", delivery.id)
    assert (committed is not None) == (killed_at[0] == "write_json")
    again = land(lake, delivery, files)
    assert again.already_there == (committed is not None)
    for asset in again.item.assets.values():
        assert Path(asset.href).stat().st_size == asset.extra_fields["file:size"]
    index = lake.read_json("collections", "phr", "collection.json")
    assert [link["href"] for link in index["links"] if link["rel"] == "item"] == [f"./{delivery.id}/{delivery.id}.json"]
    assert [link["rel"] for link in lake.read_json("catalog.json")["links"]] == ["root", "child"]
    assert [found["id"] for found in search(lake, "phr")] == [delivery.id]


def _land_slowly(url, document):
    with RasterWorker() as rasters:
        land_item(
            Lake(url), pystac.Item.from_dict(document), collection_id="phr", sign=lambda href: href, rasters=rasters,
            on_event=lambda _: time.sleep(0.3),
        )  # fmt: skip


@pytest.mark.slow
def test_killed_while_bytes_arrive(land, tmp_path, delivery, files):
    lake = Lake(str(tmp_path / "lake"))
    process = multiprocessing.get_context("spawn").Process(
        target=_land_slowly, args=(lake.url, delivery.to_dict(transform_hrefs=False))
    )
    process.start()
    while not files.requests:
        time.sleep(0.02)
    process.kill()
    process.join()
    process.close()
    assert read_item(lake, "phr", delivery.id) is None
    assert not lake.exists("catalog.json")
    assert lake.list("collections", "phr", delivery.id) == [], "what lies around is hidden"
    assert land(lake, delivery, files).assets_fetched == 4
