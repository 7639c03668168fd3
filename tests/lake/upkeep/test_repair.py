"""`repair` derives anew what the items tell, and changes no item."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from up42_pipelines.errors import LakeError
from up42_pipelines.lake import Lake
from up42_pipelines.lake.stac import index
from up42_pipelines.lake.stac.catalog import write_items
from up42_pipelines.lake.upkeep import repair as module
from up42_pipelines.lake.upkeep.gc import remove_debris
from up42_pipelines.lake.upkeep.repair import repair
from up42_pipelines.lake.upkeep.verify import verify

FOLDER = ("collections", "c")


def everything_derived(lake):
    lake.remove("catalog.json")
    for collection in lake.list("collections"):
        lake.remove("collections", collection, "collection.json")
        for name in lake.list("collections", collection, "index"):
            lake.remove("collections", collection, "index", name)


def check_all_is_lost(lake, land):
    for name in "abc":
        land(lake, name)
    land(lake, "d", collection="../d")
    land(lake, "w", withheld=True)
    catalog, collection = lake.read_json("catalog.json"), lake.read_json(*FOLDER, "collection.json")
    everything_derived(lake)
    (one, other) = list(repair(lake))
    assert (one.items, one.rows, one.damaged, one.removed) == (3, 3, (), ())
    assert other.items == 1
    assert list(verify(lake)) == []
    assert lake.read_json("catalog.json") == catalog
    assert lake.read_json(*FOLDER, "collection.json") == collection
    assert lake.read_json("collections", other.collection, "collection.json")["id"] == "../d"
    assert [item["id"] for item in index.search(lake, "c")] == ["a", "b", "c"]


def test_all_is_lost(lake, land):
    check_all_is_lost(lake, land)


def test_all_is_lost_on_this_machine(tmp_path, land):
    check_all_is_lost(Lake(str(tmp_path)), land)


def test_a_whole_lake_stays_as_it_is(lake, land):
    land(lake, "a")
    before = {name: lake.read_bytes(*FOLDER, name) for name in ("collection.json",)}
    (done,) = repair(lake)
    assert (done.items, done.rows) == (1, 0)
    assert {name: lake.read_bytes(*FOLDER, name) for name in before} == before


def test_a_damaged_item_is_reported_and_stays(lake, land):
    land(lake, "a")
    land(lake, "b")
    lake.write_bytes(b"{", *FOLDER, "a", "a.json")
    (done,) = repair(lake)
    assert (done.items, done.rows, done.damaged) == (1, 1, ("collections/c/a/a.json",))
    assert lake.read_bytes(*FOLDER, "a", "a.json") == b"{"
    assert [item["id"] for item in index.search(lake, "c")] == ["b"]
    assert lake.exists(*FOLDER, "a", "a.tif")


def test_what_people_wrote_into_a_collection_stays(lake, land):
    land(lake, "a")
    document = lake.read_json(*FOLDER, "collection.json")
    document |= {"title": "Harbour", "links": [*document["links"], {"rel": "license", "href": "https://h/eula"}]}
    document["extent"]["spatial"]["bbox"] = [[-180, -90, 180, 90]]
    lake.write_json(document, *FOLDER, "collection.json")
    list(repair(lake))
    mended = lake.read_json(*FOLDER, "collection.json")
    assert mended["title"] == "Harbour"
    assert "license" in {link["rel"] for link in mended["links"]}
    assert mended["extent"]["spatial"]["bbox"] == [[13.0, 52.0, 13.0, 52.0]]


def test_damaged_parts_are_removed_and_their_rows_made_anew(lake, land):
    land(lake, "a")
    land(lake, "b")
    name = lake.list(*FOLDER, "index")[0]
    lake.write_bytes(b"PAR1", *FOLDER, "index", name)
    (done,) = repair(lake)
    assert (done.removed, done.rows) == ((f"collections/c/index/{name}",), 1)
    assert len(lake.list(*FOLDER, "index")) == 1
    assert list(verify(lake)) == []


def test_in_batches(lake, land, monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 2)
    for name in "abcde":
        land(lake, name)
    everything_derived(lake)
    (done,) = repair(lake)
    assert (done.items, done.rows) == (5, 5)
    assert list(verify(lake)) == []


def test_one_that_is_committed_meanwhile_is_linked(lake, land, monkeypatch):
    land(lake, "a")
    everything_derived(lake)
    write_json, once = Lake.write_json, iter([True])

    def slow(self, document, *parts):
        if parts[-1] == "collection.json" and next(once, False):
            land(self, "meanwhile")
        write_json(self, document, *parts)

    monkeypatch.setattr(Lake, "write_json", slow)
    list(repair(lake))
    assert list(verify(lake)) == []
    assert [item["id"] for item in index.search(lake, "c")] == ["a", "meanwhile"]


def test_one_that_is_committed_while_its_row_is_found_missing(lake, land, monkeypatch):
    """Its row is there, its mark came after the listing: the row stays."""
    land(lake, "a")
    digests, once = index.digests, iter([True])

    def slow(*arguments):
        if next(once, False):
            land(lake, "meanwhile")
        return digests(*arguments)

    everything_derived(lake)
    monkeypatch.setattr(index, "digests", slow)
    list(repair(lake))
    assert list(verify(lake)) == []


def test_nothing_to_derive(lake):
    write_items(lake, "c", [])
    assert list(repair(lake)) == []
    assert lake.list() == []


EDITS = {
    "no time": lambda item: item["properties"].update(datetime="yesterday"),
    "time without zone": lambda item: item["properties"].update(datetime="2024-05-01T00:00:00"),
    "number as time": lambda item: item["properties"].update(datetime=5),
    "texts as box": lambda item: item.update(bbox=["13", "52", "13", "52"]),
    "short box": lambda item: item.update(bbox=[13, 52]),
    "infinite box": lambda item: item.update(bbox=[13, 52, float("nan"), 52]),
    "asset": lambda item: item.update(assets={"a": 5}),
    "link": lambda item: item.update(links=["../collection.json"]),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_item_edited_by_hand_is_named_and_keeps_nobody_from_working(lake, land, edit):
    land(lake, "a")
    land(lake, "b")
    edited = lake.read_json(*FOLDER, "a", "a.json")
    edit(edited)
    lake.write_bytes(json.dumps(edited).encode(), *FOLDER, "a", "a.json")
    path = "collections/c/a/a.json"
    assert ("damaged", path) in [(finding.kind, finding.path) for finding in verify(lake)]
    lake.remove(*FOLDER, "collection.json")
    land(lake, "n")
    (done,) = repair(lake)
    assert (done.items, done.damaged) == (2, (path,))
    assert [finding.kind for finding in verify(lake)] == ["damaged"]
    assert {one.why for one in remove_debris(lake, now=datetime.now(UTC) + timedelta(days=2))} == {"removal"}
    assert lake.exists(*FOLDER, "a", "a.tif")
    assert [item["id"] for item in index.search(lake, "c")] == ["b", "n"]


@pytest.mark.parametrize(
    "extent", [{"temporal": {"interval": [["yesterday", None]]}}, {"spatial": {"bbox": [["13", 52, 13, 52]]}}]
)
def test_a_collection_edited_by_hand_is_made_anew(lake, land, extent):
    land(lake, "a")
    before = lake.read_json(*FOLDER, "collection.json")
    lake.write_json({**before, "extent": {**before["extent"], **extent}}, *FOLDER, "collection.json")
    assert [finding.kind for finding in verify(lake)] == ["damaged"]
    with pytest.raises(LakeError, match="lake repair"):
        land(lake, "b")
    list(repair(lake))
    assert list(verify(lake)) == []
