"""Writers of the catalogue: in batches, at once, killed at each step; links, rows and commit marks agree in the end."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pystac
import pytest

from up42_pipelines.errors import LakeError
from up42_pipelines.lake import Lake
from up42_pipelines.lake.stac import catalog, index
from up42_pipelines.lake.stac.catalog import (
    index_collection,
    item_folder,
    read_item,
    read_withheld,
    write_items,
    write_withheld,
)

FOLDER = ("collections", "c")


@pytest.fixture
def lake():
    return Lake(f"memory://{uuid.uuid4()}")


@pytest.fixture
def remote(object_store):
    return Lake(f"{object_store.url}/{uuid.uuid4()}", object_store.storage_options)


def item(name, cloud=5.0):
    return pystac.Item(name, None, None, datetime(2024, 5, 1, tzinfo=UTC), {"eo:cloud_cover": cloud})


def linked(lake, *parts, relation="item"):
    return sorted(link["href"] for link in lake.read_json(*parts)["links"] if link["rel"] == relation)


def committed(lake, *, copied=False):
    """Ids of the items that are committed, once it is sure that links and rows say the same.

    The rows of a lake that was copied have hrefs into the first one.
    """
    marks = {}
    for name in lake.list(*FOLDER):
        if lake.exists(*FOLDER, name, f"{name}.json"):
            marks[name] = lake.read_json(*FOLDER, name, f"{name}.json")
    assert linked(lake, *FOLDER, "collection.json") == [f"./{name}/{name}.json" for name in sorted(marks)]
    assert linked(lake, "catalog.json", relation="child") == ["./collections/c/collection.json"]
    rows = {row["id"]: row["properties"]["eo:cloud_cover"] for row in index.search(lake, "c")}
    assert rows == {mark["id"]: mark["properties"]["eo:cloud_cover"] for mark in marks.values()}
    digests = {mark["id"]: catalog.placed(lake, FOLDER, name, mark).digest() for name, mark in marks.items()}
    assert copied or index.digests(lake, "c") == digests
    return sorted(rows)


def check_life_of_an_item(lake):
    write_items(lake, "c", [item("a"), item("b"), item("c")])
    assert committed(lake) == ["a", "b", "c"]
    write_withheld(lake, "c", item("a", 80), {"nodata": "91 % of the pixels", "cloud": "80 % instead of 10 %"})
    assert committed(lake) == ["b", "c"]
    assert read_item(lake, "c", "a") is None
    withheld = read_withheld(lake, "c", "a")
    assert withheld.properties["up42-pipelines:withheld"] == {
        "cloud": "80 % instead of 10 %",
        "nodata": "91 % of the pixels",
    }
    assert read_withheld(lake, "c", "b") is read_withheld(lake, "c", "nobody") is None
    write_items(lake, "c", [item("a", 3), item("d")])
    assert committed(lake) == ["a", "b", "c", "d"]
    assert read_withheld(lake, "c", "a") is None
    assert lake.list(*FOLDER, "a") == ["a.json"]
    assert read_item(lake, "c", "a").properties["eo:cloud_cover"] == 3
    assert [found["id"] for found in index.search(lake, "c", max_cloud_cover_percent=4)] == ["a"]


def test_committed_withheld_and_committed_again(lake):
    check_life_of_an_item(lake)


def test_committed_withheld_and_committed_again_on_this_machine(tmp_path):
    check_life_of_an_item(Lake(str(tmp_path)))


def test_committed_withheld_and_committed_again_in_an_object_store(remote):
    check_life_of_an_item(remote)


def test_the_first_of_a_collection_may_be_withheld(lake):
    write_withheld(lake, "c", item("a"), {"cloud": "too much"})
    assert lake.list(*FOLDER) == ["a"]
    assert not lake.exists("catalog.json")
    write_items(lake, "c", [item("a")])
    assert committed(lake) == ["a"]


def test_the_item_that_is_given_is_not_changed(lake):
    given = item("a")
    before = given.to_dict(transform_hrefs=False)
    write_withheld(lake, "c", given, {"cloud": "too much"})
    assert given.to_dict(transform_hrefs=False) == before


def test_a_withheld_item_whose_assets_can_be_opened(lake):
    given = item("a")
    given.add_asset("a.tif", pystac.Asset("./a.tif"))
    write_withheld(lake, "c", given, {"cloud": "too much"})
    assert read_withheld(lake, "c", "a").assets["a.tif"].href == lake.href(*FOLDER, "a", "a.tif")


def test_a_batch_is_linked_once(tmp_path, monkeypatch):
    lake = Lake(str(tmp_path))
    write_items(lake, "c", [item("first")])
    written, write_json = [], Lake.write_json
    monkeypatch.setattr(
        Lake, "write_json", lambda lake, doc, *parts: written.append(parts) or write_json(lake, doc, *parts)
    )
    write_items(lake, "c", [item(f"i{number}") for number in range(300)])
    assert written == [(*FOLDER, "collection.json")]
    assert len(index.listing(lake, "c").parts) == 2
    assert len(committed(lake)) == 301


def test_no_items(lake):
    write_items(lake, "c", [])
    assert lake.list() == []


def test_a_batch_that_cannot_be_written_whole_is_not_written(lake):
    write_items(lake, "c", [item("a")])
    odd = item("c")
    odd.properties["eo:cloud_cover"] = float("nan")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_items(lake, "c", [item("b"), odd])
    assert committed(lake) == ["a"]


def test_a_failed_batch_leaves_no_temporary_file(tmp_path, monkeypatch):
    lake, replace, calls = Lake(str(tmp_path)), os.replace, iter(range(9))

    def full(path, target):
        if next(calls) == 2:
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(LakeError, match="Free disk space"):
        write_items(lake, "c", [item(f"i{number}") for number in range(5)])
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["i0.json", "i1.json"]


@pytest.mark.parametrize("name", ["index", "Index", "collection.json"])
def test_an_item_does_not_take_the_place_of_the_index(lake, name):
    write_items(lake, "c", [item(name), item("other")])
    assert committed(lake) == sorted([name, "other"])
    assert item_folder("c", name)[-1].casefold() != name.casefold()
    assert read_item(lake, "c", name).id == name


def test_a_damaged_item_does_not_keep_others_out(lake):
    write_items(lake, "c", [item("a")])
    lake.write_bytes(b'{"id": ', *FOLDER, "half", "half.json")
    write_items(lake, "c", [item("b")])
    assert linked(lake, *FOLDER, "collection.json") == ["./a/a.json", "./b/b.json"]


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"type": "Collection", "links": [{"rel": "item"}]}'])
def test_a_damaged_collection_says_what_to_do(lake, content):
    write_items(lake, "c", [item("a")])
    lake.write_bytes(content, *FOLDER, "collection.json")
    with pytest.raises(LakeError, match=r"collection\.json is (damaged.* lake repair|no JSON)"):
        write_items(lake, "c", [item("b")])


def test_a_row_of_before_is_brought_up_to_date(lake):
    write_items(lake, "c", [item("a", 1), item("b")])
    lake.write_json(item("a", 70).to_dict(transform_hrefs=False), *FOLDER, "a", "a.json")
    index_collection(lake, "c", "a")
    assert committed(lake) == ["a", "b"]


class TestAtOnce:
    def test_two_write_one_item_and_the_slower_row_is_of_the_older_json(self, lake, monkeypatch):
        """Ours is written first, then the other's, then our row, which would win."""
        add_rows, once = index.add_rows, iter([True])

        def slow(lake, *arguments, **options):
            if next(once, False):
                write_items(lake, "c", [item("a", 90)])
            return add_rows(lake, *arguments, **options)

        monkeypatch.setattr(index, "add_rows", slow)
        write_items(lake, "c", [item("a", 1)])
        assert committed(lake) == ["a"]
        assert read_item(lake, "c", "a").properties["eo:cloud_cover"] == 90

    def test_one_withholds_while_the_other_commits(self, lake, monkeypatch):
        add_rows, once = index.add_rows, iter([True])

        def slow(lake, *arguments, **options):
            if next(once, False):
                write_withheld(lake, "c", item("a"), {"cloud": "too much"})
            return add_rows(lake, *arguments, **options)

        write_items(lake, "c", [item("b")])
        monkeypatch.setattr(index, "add_rows", slow)
        write_items(lake, "c", [item("a", 1)])
        index_collection(lake, "c", "a")
        assert index.search(lake, "c")[0]["id"] == "b"
        assert len(index.search(lake, "c")) == 1

    def test_a_slow_writer_links_what_was_withheld_meanwhile(self, lake, monkeypatch):
        write_items(lake, "c", [item("a"), item("b")])
        write_json, once = Lake.write_json, iter([True])

        def slow(self, document, *parts):
            if parts[-1] == "collection.json" and next(once, False):
                write_withheld(self, "c", item("a"), {"cloud": "too much"})
            write_json(self, document, *parts)

        monkeypatch.setattr(Lake, "write_json", slow)
        write_items(lake, "c", [item("n")])
        assert committed(lake) == ["b", "n"]

    def test_what_a_killed_writer_committed_gets_its_row(self, lake):
        write_items(lake, "c", [item("a")])
        lake.write_json(item("dead").to_dict(transform_hrefs=False), *FOLDER, "dead", "dead.json")
        write_items(lake, "c", [item("b")])
        assert committed(lake) == ["a", "b", "dead"]

    def test_eight_processes(self, race, tmp_path):
        lake = Lake(str(tmp_path))
        race("commit", lake, rounds=2)
        assert committed(lake) == [
            "contested",
            *(f"racer-{racer}-{number}" for racer in range(8) for number in range(2)),
        ]

    def test_three_writers_of_an_object_store(self, remote):
        with ThreadPoolExecutor(3) as threads:
            batches = [[item(f"i{racer}"), item("contested", racer)] for racer in range(3)]
            list(threads.map(lambda batch: write_items(remote, "c", batch), batches))
        assert committed(remote) == ["contested", "i0", "i1", "i2"]


PROGRAM = Path(__file__).with_name("killed.py")


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """By scenario, lakes in which its process was killed at one moment later each; and what the scenarios do."""
    folder = tmp_path_factory.mktemp("killed")
    said = subprocess.run([sys.executable, PROGRAM, folder], stdout=subprocess.PIPE, check=True, timeout=110).stdout
    spec = importlib.util.spec_from_file_location("killed_writers", PROGRAM)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    lakes = {
        scenario: [Lake(str(folder / scenario / str(moment))) for moment in range(count)]
        for scenario, count in json.loads(said).items()
    }
    return lakes, program.SCENARIOS


@pytest.fixture
def copies(tmp_path):
    """Lakes of one's own: whoever heals one changes it."""
    return lambda lakes: [
        Lake(str(shutil.copytree(lake.root, tmp_path / str(number)))) for number, lake in enumerate(lakes)
    ]


AFTER = {
    "commit": ["a", "b", "n1", "n2"],
    "rewrite": ["a", "b"],
    "withhold": ["b"],
    "release": ["a", "b", "w"],
    "merge": ["a", "b"],
    "repair": ["a", "b"],
    "gc": ["a", "b"],
}


@pytest.mark.parametrize("scenario", AFTER)
def test_killed_at_each_step(killed, copies, scenario):
    lakes, scenarios = copies(killed[0][scenario]), killed[1]
    assert len(lakes) >= 4
    for lake in lakes:
        rows = {row["id"] for row in index.search(lake, "c")}
        assert {"b"} <= rows <= {"a", *AFTER["commit"], *AFTER["release"]}, lake
        scenarios[scenario](lake)
        assert committed(lake, copied=True) == AFTER[scenario], lake
        assert read_withheld(lake, "c", "gone") is not None


def test_after_a_kill_any_other_writer_links_what_was_committed(killed, copies):
    for lake in copies(killed[0]["commit"]):
        write_items(lake, "c", [item("other")])
        assert {"a", "b", "other"} <= set(committed(lake, copied=True))
