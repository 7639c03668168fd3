"""`gc` removes what killed work has left, and nothing that an item refers to, nor anything that is not its business."""

from __future__ import annotations

import json
import os
import uuid
from datetime import UTC, datetime, timedelta

import pystac
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from up42_pipelines.lake import Lake
from up42_pipelines.lake.scratch import fetching_folder
from up42_pipelines.lake.stac import index
from up42_pipelines.lake.stac.catalog import index_collection, item_folder, read_withheld, write_items, write_withheld
from up42_pipelines.lake.upkeep.files import files_below
from up42_pipelines.lake.upkeep.gc import find_debris, remove_debris
from up42_pipelines.lake.upkeep.verify import verify

FOLDER = ("collections", "c")
LATER = datetime.now(UTC) + timedelta(days=30)


def found(lake, **options):
    return sorted((debris.why, debris.file.path) for debris in find_debris(lake, **{"now": LATER, **options}))


def everything(lake):
    return {file.path for file in files_below(lake)}


def check_debris(lake, land):
    land(lake, "a", files={"a.tif": b"a", "sub name.tif": b"b"})
    land(lake, "w", withheld=True)
    whole = everything(lake)
    debris = {
        "catalog.json": None,
        ".catalog.json.0123456789abcdef.part": "temporary",
        "collections/c/.collection.json.0123456789abcdef.part": "temporary",
        "collections/c/index/.x.parquet.0123456789abcdef.part": "temporary",
        "collections/c/a/.a.tif.0123456789abcdef.part": "temporary",
        "collections/c/a/.fetching.part/0.part": "temporary",
        "collections/c/a/old.tif": "unreferenced",
        "collections/c/w/sub/old.tif": "unreferenced",
        "collections/c/dead/a.tif": "no item",
        "collections/c/dead/.staging.01.part/a.tif": "temporary",
    }
    del debris["catalog.json"]
    for path in debris:
        lake.write_bytes(b"debris", *path.split("/"))
    assert found(lake) == sorted((why, path) for path, why in debris.items())
    assert found(lake, now=datetime.now(UTC)) == []
    assert everything(lake) == whole | debris.keys()
    removed = {item.file.path for item in remove_debris(lake, now=LATER)}
    assert removed == debris.keys()
    assert everything(lake) == whole
    assert list(verify(lake)) == []


def test_debris(lake, land):
    check_debris(lake, land)


def test_debris_on_this_machine(tmp_path, land):
    check_debris(Lake(str(tmp_path)), land)


def test_an_empty_lake(lake):
    assert found(lake) == []
    assert list(remove_debris(lake, now=LATER)) == []


def test_other_places_are_not_looked_at(lake, land):
    land(lake, "a")
    for path in (
        "purchases/ledgers/p/000001.json",
        "purchases/intents/key/.000001.json.0123456789abcdef.part",
        "assets/cogs/berlin/2026-06-01.json",
        "assets/.x.part",
        "notes.txt",
        "collections/c/README.md",
        "collections/c/index/notes.parquet",
        "elsewhere/.x.part",
    ):
        lake.write_bytes(b"mine", *path.split("/"))
    before = everything(lake)
    assert list(remove_debris(lake, now=LATER)) == []
    assert everything(lake) == before


def test_a_folder_in_which_anything_is_young_is_left_alone(tmp_path, land):
    lake, old = Lake(str(tmp_path)), (datetime.now(UTC) - timedelta(days=9)).timestamp()
    land(lake, "a")
    lake.write_bytes(b"a", *FOLDER, "dead", "a.tif")
    lake.write_bytes(b"b", *FOLDER, "dead", "b.tif")
    lake.write_bytes(b"b", *FOLDER, "a", "b.tif")
    now = datetime.now(UTC) + timedelta(hours=25)
    assert [why for why, _ in found(lake, now=now)] == ["no item", "no item", "unreferenced"]
    os.utime(lake.path(*FOLDER, "dead", "a.tif"), (now.timestamp(), now.timestamp()))
    assert [why for why, _ in found(lake, now=now)] == ["unreferenced"]
    # An unpacked file keeps its time; that it was moved here just now still shows.
    for name in ("a.tif", "b.tif"):
        os.utime(lake.path(*FOLDER, "dead", name), (old, old))
    assert found(lake, now=datetime.now(UTC)) == []


def test_what_a_damaged_item_may_need_is_left_alone(lake, land):
    land(lake, "a")
    lake.write_bytes(b"{", *FOLDER, "a", "a.json")
    assert found(lake) == []


def test_the_commit_counts_and_what_the_withheld_one_needs_stays_until_it_is_gone(lake, land):
    land(lake, "a", files={"new.tif": b"new"})
    document = lake.read_json(*FOLDER, "a", "a.json")
    lake.write_json({**document, "assets": {"old": {"href": "./old.tif"}}}, *FOLDER, "a", "a.withheld.json")
    lake.write_bytes(b"old", *FOLDER, "a", "old.tif")
    assert [item.why for item in remove_debris(lake, now=LATER)] == ["superseded"]
    assert [item.why for item in remove_debris(lake, now=LATER)] == ["unreferenced"]
    assert list(verify(lake)) == []


@pytest.mark.parametrize("href", ["../b/shared.tif", "../b/sh%61red.tif", "{lake}/collections/c/b/shared.tif"])
def test_a_file_that_another_item_refers_to(lake, land, href):
    land(lake, "a")
    land(lake, "b")
    lake.write_bytes(b"shared", *FOLDER, "b", "shared.tif")
    assert found(lake) == [("unreferenced", "collections/c/b/shared.tif")]
    document = lake.read_json(*FOLDER, "a", "a.json")
    document["assets"]["shared"] = {"href": "x", "alternate": {"s3": {"href": href.format(lake=lake.href())}}}
    lake.write_json(document, *FOLDER, "a", "a.json")
    assert found(lake) == []


def test_a_landing_that_began_meanwhile(lake, land, monkeypatch):
    """It commits a folder of debris between look and removal; all of its files are old, as a copy's may be."""
    lake.write_bytes(b"x", *FOLDER, "a", "a.tif")
    lake.write_bytes(b"x", *FOLDER, "b", "b.tif")
    removal = remove_debris(lake, now=LATER)
    assert next(removal).file.path == "collections/c/a/a.tif"
    land(lake, "b", files={"b.tif": b"x"})
    assert list(removal) == []
    index_collection(lake, "c")
    assert list(verify(lake)) == []


class TestRemovals:
    def test_it_goes_when_no_row_needs_it(self, lake, land):
        land(lake, "a")
        land(lake, "b")
        land(lake, "a", withheld=True)
        (name,) = index.listing(lake, "c").removals
        path = f"collections/c/index/{name}"
        assert found(lake) == []  # the row of before is still there
        assert list(remove_debris(lake, now=datetime.now(UTC))) == []
        assert [item.file.path for item in remove_debris(lake, now=LATER)] == [path]
        assert [item["id"] for item in index.search(lake, "c")] == ["b"]
        assert list(verify(lake)) == []
        assert read_withheld(lake, "c", "a") is not None

    def test_it_goes_when_the_item_is_back(self, lake, land):
        land(lake, "a")
        land(lake, "a", withheld=True)
        land(lake, "a")
        assert [item.why for item in remove_debris(lake, now=LATER)] == ["removal"]
        assert list(verify(lake)) == []

    def test_it_stays_while_a_link_needs_it(self, lake, land):
        land(lake, "a")
        land(lake, "b")
        document = lake.read_json(*FOLDER, "collection.json")
        land(lake, "a", withheld=True)
        lake.write_json(document, *FOLDER, "collection.json")  # as a slow writer does, just before it lists again
        assert list(remove_debris(lake, now=LATER)) == []
        index_collection(lake, "c")
        assert len(list(remove_debris(lake, now=LATER))) == 1
        assert list(verify(lake)) == []


def test_empty_folders_go_too(tmp_path, land):
    lake = Lake(str(tmp_path))
    land(lake, "a")
    (tmp_path / "collections/c/dead/.staging.01.part/sub").mkdir(parents=True)
    lake.write_bytes(b"x", *FOLDER, "dead2", "x.tif")
    list(remove_debris(lake, now=datetime.now(UTC)))
    assert (tmp_path / "collections/c/dead").is_dir()
    list(remove_debris(lake, now=LATER))
    assert sorted(path.name for path in (tmp_path / "collections/c").iterdir()) == ["a", "collection.json", "index"]


NAMES = st.sampled_from(["a", "b", "index", "x y", "é"])
FILES = st.sampled_from(["a.tif", "b.tif", "a.json.tif", "é %41.tif"])
STEPS = st.one_of(
    st.tuples(st.just("land"), NAMES, st.sets(FILES, min_size=1)),
    st.tuples(st.just("withhold"), NAMES, st.sets(FILES, min_size=1)),
    st.tuples(st.just("debris"), NAMES, st.sets(FILES)),
    st.tuples(st.just("uncommit"), NAMES, st.just(())),
    st.tuples(st.just("damage"), NAMES, st.just(())),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=6))
def test_nothing_that_is_referred_to_goes(land, steps):
    lake = Lake(f"memory://{uuid.uuid4()}")
    for verb, name, files in steps:
        folder = item_folder("c", name)
        if verb in {"land", "withhold"}:
            land(lake, name, files=dict.fromkeys(files, b"x"), withheld=verb == "withhold")
        elif verb == "debris":
            for file in files:
                lake.write_bytes(b"debris", *folder, file)
        elif verb == "uncommit":
            lake.remove(*folder, f"{folder[-1]}.json")
        elif lake.exists(*folder, f"{folder[-1]}.json"):
            lake.write_bytes(b"{", *folder, f"{folder[-1]}.json")
    before = everything(lake)
    needed = _needed(lake)
    removed = {debris.file.path for debris in remove_debris(lake, now=LATER)}
    assert not removed & needed
    kept = {path for path in before - removed if not path.startswith("collections/c/index/")}
    assert kept <= everything(lake)
    assert {path for path in everything(lake) if path.endswith(".tif")} <= needed
    assert list(remove_debris(lake, now=LATER)) == []


def _needed(lake):
    """What marks refer to, and the marks; everything in a folder whose mark is damaged."""
    needed = set()
    for file in files_below(lake):
        if len(file.parts) != 4 or not file.path.endswith(".json") or file.parts[2] == "index":
            continue
        needed.add(file.path)
        folder = file.path.rpartition("/")[0]
        try:
            assets = json.loads(lake.read_bytes(*file.parts))["assets"].values()
        except ValueError:
            needed |= {other.path for other in files_below(lake, *file.parts[:3])}
        else:
            needed |= {f"{folder}/{asset['href'].removeprefix('./')}" for asset in assets}
    superseded = {path for path in needed if path.endswith(".withheld.json")}
    return needed - {path for path in superseded if path.replace(".withheld.json", ".json") in needed}


def test_writers_of_a_collection_are_unharmed(lake, land):
    land(lake, "a")
    write_withheld(lake, "c", _item(lake, "a"), {"cloud": "too much"})
    list(remove_debris(lake, now=LATER))
    write_items(lake, "c", [_item(lake, "a", withheld=True)])
    assert list(verify(lake)) == []


def _item(lake, name, *, withheld=False):
    parts = (*FOLDER, name, f"{name}{'.withheld' if withheld else ''}.json")
    document = lake.read_json(*parts)
    document["properties"].pop("up42-pipelines:withheld", None)
    return pystac.Item.from_dict(document)


def test_what_a_landing_at_work_needs_stays_whatever_the_clocks_say(tmp_path):
    lake = Lake(str(tmp_path))
    folder = item_folder("c", "one")
    with fetching_folder(lake, folder) as place:
        (place / "ms.tif").write_bytes(b"half")
        assert list(remove_debris(lake, now=LATER)) == []
        assert (place / "ms.tif").exists()
    assert {item.file.parts[-1] for item in remove_debris(lake, now=LATER)} == {"ms.tif", "lock"}
    assert list(tmp_path.rglob("*")) == [tmp_path / "collections"]


def test_all_of_a_folder_is_removed_before_anything_is_told(tmp_path, land):
    """Who reads the list slowly does not have files removed that a landing has put there meanwhile."""
    lake = Lake(str(tmp_path))
    for name in ("a.tif", "b.tif"):
        lake.write_bytes(b"x", *item_folder("c", "one"), name)
    told = remove_debris(lake, now=LATER)
    next(told)
    lake.write_bytes(b"new", *item_folder("c", "one"), "b.tif")
    list(told)
    assert lake.read_bytes(*item_folder("c", "one"), "b.tif") == b"new"


def test_files_of_unknown_age_stay(lake, land, monkeypatch):
    land(lake, "a")
    lake.write_bytes(b"x", *item_folder("c", "a"), "old.tif")
    find = lake.fs.find

    def ageless(*arguments, **options):
        return {path: {**info, "created": None} for path, info in find(*arguments, **options).items()}

    assert len(find_debris(lake, now=LATER)) == 1
    monkeypatch.setattr(lake.fs, "find", ageless)
    assert find_debris(lake, now=LATER) == []
