"""Landing an item over real HTTP: whole or not at all, once, and again after a kill."""

from __future__ import annotations

import hashlib
import json
import uuid
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial

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
    Check,
    DeliveryRules,
    Lake,
    Severity,
    read_item,
)
from up42_pipelines.lake.landing import land as land_module
from up42_pipelines.lake.stac.catalog import read_withheld
from up42_pipelines.lake.stac.index import search
from up42_pipelines.lake.upkeep import gc
from up42_pipelines.lake.upkeep.gc import remove_debris
from up42_pipelines.lake.upkeep.verify import verify

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
JPEG = b"\xff\xd8\xff\xe0" + bytes(200)


@pytest.fixture(scope="module", params=["local", "memory", "s3", "gs"])
def place(request, emulated):
    """Where lakes are: a URL and its storage options; None for a local folder."""
    if request.param in {"s3", "gs"}:
        with emulated(request.param) as store:
            yield store
    else:
        yield ("memory:/", {}) if request.param == "memory" else None


@pytest.fixture
def lake(place, tmp_path):
    """One on every kind of storage."""
    return Lake(str(tmp_path / "lake")) if place is None else Lake(f"{place[0]}/{uuid.uuid4()}", place[1])


@pytest.fixture
def local_lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


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


def assert_nothing_published(lake, item_id):
    """No item, no file, no index, no staging."""
    assert read_item(lake, "phr", item_id) is None
    waiting = f"collections/phr/{item_id}/.fetching.part/"  # what is resumed, and nothing that has the name of a file
    assert [path for path in lake.fs.find(lake.root) if waiting not in path] == []


def assert_told_in_order(events):
    """Started, how far it is (as often as there is time to tell), landed."""
    started, *progress, landed = events
    assert (type(started), type(landed)) == (AssetStarted, AssetLanded)
    assert {type(event) for event in progress} == {AssetProgress}
    received = [event.received for event in progress]
    assert received == sorted(received)
    assert received[-1] == progress[-1].total


def test_lands_whole(land, lake, delivery, files, cog_bytes):
    events = []
    landed = land(lake, delivery, on_event=events.append)
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
    for key in delivery.assets:
        assert_told_in_order([event for event in events if event.asset_key == key])


def test_landing_again_asks_nothing(land, lake, delivery, files):
    first = land(lake, delivery)
    files.requests.clear()
    events = []
    again = land(lake, delivery, on_event=events.append)
    assert again.already_there
    assert (again.bytes_fetched, again.assets_fetched) == (0, 0)
    assert again.item.to_dict(transform_hrefs=False) == first.item.to_dict(transform_hrefs=False)
    assert files.requests == []
    assert {type(event) for event in events} == {AssetSkipped}
    assert again.quicklook == first.quicklook


def test_a_delivery_that_grew_fetches_what_is_new(land, lake, delivery, files, cog_bytes):
    land(lake, delivery)
    files.requests.clear()
    files.put("f5", cog_bytes)
    delivery.add_asset("pan.tif", pystac.Asset(f"{files.url}/f5", media_type=COG, roles=["data"]))
    grown = land(lake, delivery)
    assert (grown.assets_fetched, grown.already_there) == (1, False)
    assert [path.partition("?")[0] for path, _ in files.requests] == ["/f5"]
    assert len(grown.item.assets) == 5 + 1, "the quicklook of the first landing"
    assert land(lake, delivery).already_there


def test_an_asset_that_got_another_key_stays_when_others_come(land, local_lake, delivery, files, cog_bytes):
    land(local_lake, delivery)
    delivery.assets["ms"] = delivery.assets.pop("k3j2_ms.tiff")
    delivery.add_asset("pan", pystac.Asset(files.put("f5", cog_bytes), media_type=COG, roles=["data"]))
    landed = land(local_lake, delivery)
    assert delivery.assets.keys() < landed.item.assets.keys()
    assert local_lake.fs.cat_file(landed.item.assets["ms"].href) == cog_bytes
    assert land(local_lake, delivery).already_there


def test_another_source_or_a_damaged_file_is_fetched_again(land, lake, delivery, files, cog_bytes, striped_bytes):
    land(lake, delivery)
    files.requests.clear()
    files.put("f9", striped_bytes)
    delivery.assets["k3j2_ms.tiff"].href = f"{files.url}/f9"
    lake.write_bytes(b"cut", "collections", "phr", delivery.id, "metadata.json")
    again = land(lake, delivery)
    assert sorted(path.partition("?")[0] for path, _ in files.requests) == ["/f4", "/f9"]
    with (
        rasterio.MemoryFile(lake.fs.cat_file(again.item.assets["k3j2_ms.tiff"].href)) as memory,
        memory.open() as dataset,
    ):
        assert dataset.shape == (700, 650)


@pytest.fixture
def check_replaced(land, delivery, files, striped_bytes, monkeypatch):
    """An item stays as it was until what replaces it is there; in a lake, by rules."""
    return partial(_check_replaced, land, delivery, files, striped_bytes, monkeypatch)


def test_a_committed_item_stays_until_another_replaces_it(lake, check_replaced):
    check_replaced(lake, DeliveryRules())


def test_a_withheld_item_stays_until_another_replaces_it(local_lake, check_replaced):
    check_replaced(local_lake, DeliveryRules(bands=9))


def _check_replaced(land, delivery, files, striped_bytes, monkeypatch, lake, rules):
    before = land(lake, delivery, rules=rules)
    files.put("f9", striped_bytes)
    delivery.assets["k3j2_ms.tiff"].href = f"{files.url}/f9"
    publish, seen = Lake.publish, []

    def watched(self, *arguments):
        if not seen and not lake.local:
            # A collector on another machine meets it when all of the item is old, and nothing new is there yet.
            with monkeypatch.context() as elsewhere:
                elsewhere.setattr(gc, "fetching_folder", lambda *_: nullcontext())
                assert list(remove_debris(lake, now=datetime.now(UTC) + timedelta(days=2))) == []
        publish(self, *arguments)
        if not seen:
            now = read_item(lake, "phr", delivery.id) or read_withheld(lake, "phr", delivery.id)
            assert now.to_dict(transform_hrefs=False) == before.item.to_dict(transform_hrefs=False)
            assert [finding.kind for finding in verify(lake)] == ["extra file"]
        seen.append(arguments)

    monkeypatch.setattr(Lake, "publish", watched)
    after = land(lake, delivery, rules=rules)
    assert seen
    old, new = (one.item.assets["k3j2_ms.tiff"].href for one in (before, after))
    assert old != new
    (removed,) = remove_debris(lake, now=datetime.now(UTC) + timedelta(days=2))
    assert removed.file.parts[-1] == old.rpartition("/")[2]
    assert list(verify(lake, fast=True)) == []


def test_a_landing_that_waited_for_another_takes_what_that_one_landed(land, local_lake, delivery, files, monkeypatch):
    folder = land_module.fetching_folder

    def late(*arguments):
        monkeypatch.setattr(land_module, "fetching_folder", folder)
        land(local_lake, delivery)
        files.requests.clear()
        return folder(*arguments)

    monkeypatch.setattr(land_module, "fetching_folder", late)
    landed = land(local_lake, delivery)
    assert files.requests == []
    assert landed.already_there
    assert list(verify(local_lake)) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"<html>403 Forbidden</html>", "none of TIFF"), (b"", "it is empty"), (b"PK\3\4", "starts with")],
)
def test_data_that_is_no_raster_refuses_the_item(land, local_lake, delivery, files, content, reason):
    files.put("f2", content)
    with pytest.raises(InvalidDelivery, match=reason) as caught:
        land(local_lake, delivery)
    assert delivery.id in str(caught.value)
    assert "k3j2_visual.tif" in str(caught.value)
    assert_nothing_published(local_lake, delivery.id)


def test_a_cut_off_raster_refuses_the_item(land, lake, delivery, files, cog_bytes):
    files.put("f1", cog_bytes[:-2000])
    with pytest.raises(InvalidDelivery, match=r"k3j2_ms\.tiff"):
        land(lake, delivery)
    assert_nothing_published(lake, delivery.id)
    files.put("f1", cog_bytes)
    assert land(lake, delivery).assets_fetched == 4


def test_a_transfer_that_does_not_heal_refuses_the_item(land, local_lake, delivery, files, fault):
    files.faults["/f4"] = [fault(flip=True)] * 5
    with pytest.raises(TransferError, match="crc32c"):
        land(local_lake, delivery)
    assert_nothing_published(local_lake, delivery.id)


def test_faults_on_the_way_heal(land, local_lake, delivery, files, fault):
    files.faults["/f1"] = [fault(drop_after=1000), fault(status=503), fault(flip=True)]
    files.faults["/f2"] = [fault(status=400), fault(drop_after=5000)]
    assert land(local_lake, delivery).assets_fetched == 4


@pytest.mark.parametrize("announced", [{"file:size": 7}, {"file:checksum": "1220" + "00" * 32}])
def test_what_the_item_announces_must_hold(land, local_lake, delivery, files, announced):
    delivery.assets["k3j2_ms.tiff"].extra_fields |= announced
    with pytest.raises(InvalidDelivery, match="announces"):
        land(local_lake, delivery)
    assert_nothing_published(local_lake, delivery.id)


def test_an_archive_beside_rasters_is_left_out(land, local_lake, delivery, files):
    href = files.put("zip", b"PK")
    delivery.add_asset("original", pystac.Asset(href, media_type="application/zip", roles=["data", "original"]))
    landed = land(local_lake, delivery)
    assert "original" not in landed.item.assets
    assert "archive" in landed.item.properties["up42-pipelines:left_out"]["original"]
    assert land(local_lake, delivery).already_there


def test_a_preview_that_is_something_else_is_left_out(land, local_lake, delivery, files):
    files.put("f3", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>')
    landed = land(local_lake, delivery)
    assert "preview.jpg" not in landed.item.assets
    assert "not image/jpeg" in landed.item.properties["up42-pipelines:left_out"]["preview.jpg"]
    assert "preview.jpg" not in local_lake.list("collections", "phr", delivery.id)


def test_an_item_without_assets_is_refused(land, lake, files, up42_item):
    with pytest.raises(InvalidDelivery, match="has no assets"):
        land(lake, up42_item({}))


def test_hostile_names_get_files_of_their_own(land, local_lake, files, up42_item, cog_bytes):
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
    landed = land(local_lake, item)
    assert set(landed.item.assets) == {*keys, "-quicklook"}
    names = [name for name in local_lake.list("collections", "phr", item.id) if name.endswith(".tif")]
    assert len({name.casefold() for name in names}) == len(keys)
    assert len(local_lake.list("collections", "phr", item.id)) == len(keys) + 2
    assert local_lake.list() == ["catalog.json", "collections"]
    assert local_lake.list("collections", "phr") == sorted(["collection.json", "index", item.id])


def test_type_is_told_by_content_when_none_is_given(land, local_lake, files, up42_item, striped_bytes):
    files.put("noname", striped_bytes)
    landed = land(local_lake, up42_item({"mask": (f"{files.url}/noname", None, ["mask"])}))
    assert landed.item.assets["mask"].media_type == COG


def test_signed_hrefs_are_not_kept(land, local_lake, files, up42_item, cog_bytes):
    files.put("f1", cog_bytes)
    item = up42_item({"a": (f"{files.url}/f1?Signature=OLD", COG, ["data"])})
    landed = land(local_lake, item)
    assert "OLD" not in json.dumps(landed.item.to_dict(transform_hrefs=False))
    item.assets["a"].href = f"{files.url}/f1?Signature=NEW"
    assert land(local_lake, item).already_there, "a new signature is not a new source"


def test_a_lake_that_cannot_be_written(land, tmp_path, delivery, files):
    (tmp_path / "lake").write_text("a file")
    with pytest.raises(LakeError, match="move it away"):
        land(Lake(str(tmp_path / "lake")), delivery)


def test_withheld_released_and_withheld_again(land, lake, delivery, files):
    strict, lenient = DeliveryRules(bands=4), DeliveryRules(severities={Check.BANDS: Severity.WARN}, bands=4)
    other = pystac.Item.from_dict({**delivery.to_dict(transform_hrefs=False), "id": "other"})
    land(lake, other)
    files.requests.clear()

    def shown() -> tuple[list[str], list[str]]:
        links = lake.read_json("collections", "phr", "collection.json")["links"]
        linked = [link["href"].split("/")[1] for link in links if link["rel"] == "item"]
        return sorted(found["id"] for found in search(lake, "phr")), sorted(linked)

    both = sorted(["other", delivery.id])
    first = land(lake, delivery, rules=strict)
    assert set(first.withheld) == {Check.BANDS}
    assert first.item.properties["up42-pipelines:withheld"] == first.withheld
    fetched = len(files.requests)
    for rules, withheld in ((strict, True), (lenient, False), (lenient, False), (strict, True), (lenient, False)):
        landed = land(lake, delivery, rules=rules)
        assert (bool(landed.withheld), landed.already_there) == (withheld, True)
        assert shown() == ((["other"], ["other"]) if withheld else (both, both))
        assert (read_item(lake, "phr", delivery.id) is None) == withheld
        assert (read_withheld(lake, "phr", delivery.id) is None) != withheld
        assert ("up42-pipelines:withheld" in landed.item.properties) == withheld
        marks = [name for name in lake.list("collections", "phr", delivery.id) if name.startswith(delivery.id)]
        assert marks == [f"{delivery.id}{'.withheld' if withheld else ''}.json"]
    assert list(verify(lake)) == []
    assert len(files.requests) == fetched, "nothing is fetched again"


def test_an_item_of_which_nothing_can_be_used_is_refused(land, local_lake, files, up42_item):
    item = up42_item({"preview": (files.put("f1", b"<svg/>"), "image/jpeg", ["thumbnail"])})
    with pytest.raises(InvalidDelivery, match=r"none of its assets can be used\. preview: The file is not image/jpeg"):
        land(local_lake, item)
    assert_nothing_published(local_lake, item.id)
