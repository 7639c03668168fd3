"""`lake`: what is there, whether it is whole, and cleaning up, on a lake made by hand; no account is needed."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from types import SimpleNamespace

import pystac
import pytest

from up42_pipelines.lake import Lake, write_item
from up42_pipelines.lake.stac.catalog import write_withheld


def item(lake, name, *, day=1, cloud=5.0, collection="phr"):
    west = 13.0 + day
    ring = [[west, 52], [west + 1, 52], [west + 1, 53], [west, 53], [west, 52]]
    made = pystac.Item(
        name,
        {"type": "Polygon", "coordinates": [ring]},
        [west, 52, west + 1, 53],
        datetime(2026, 6, day, tzinfo=UTC),
        {"eo:cloud_cover": cloud},
        collection=collection,
    )
    made.add_link(pystac.Link("collection", "../collection.json", "application/json"))
    content = name.encode() * 1000
    lake.write_bytes(content, "collections", collection, name, "data.tif")
    described = {"file:size": len(content), "file:checksum": f"1220{hashlib.sha256(content).hexdigest()}"}
    made.add_asset("data", pystac.Asset("./data.tif", roles=["data"], extra_fields=described))
    return made


@pytest.fixture
def lake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Lake("lake")
    for day in (1, 2, 3):
        write_item(made, "phr", item(made, f"scene-{day}", day=day, cloud=day * 10))
    write_item(made, "pneo", item(made, "other", collection="pneo"))
    write_withheld(made, "phr", item(made, "cloudy", day=4), {"cloud": "too much"})
    return made


@pytest.fixture
def run(cli_of, lake):
    return cli_of(SimpleNamespace(environment={"UP42_LAKE_URL": "lake"}))


def test_ls(run):
    said = run("lake ls")
    assert [line.split()[:3] for line in said.lines] == [
        ["collection", "items", "withheld"],
        ["phr", "3", "1"],
        ["pneo", "1", "0"],
    ]
    assert run("lake ls --json").json[0] == {
        "collection": "phr",
        "items": 3,
        "withheld": 1,
        "first": "2026-06-01T00:00:00Z",
        "last": "2026-06-03T00:00:00Z",
    }
    items = run("lake ls --collection phr").lines
    assert [line.split()[0] for line in items] == ["item", "scene-3", "scene-2", "scene-1"]
    assert items[1].split()[1:] == ["phr", "2026-06-03T00:00:00Z", "30", "%", "1", "7.0", "kB"]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("", ["scene-3", "scene-2", "other", "scene-1"]),
        ("--collection phr --limit 2", ["scene-3", "scene-2"]),
        ("--bbox 15.5 52 16.5 53", ["scene-3", "scene-2"]),
        ("--start 2026-06-02 --end 2026-06-02", ["scene-2"]),
        ("--max-cloud 10 --end 2026-06-01", ["other", "scene-1"]),
        ("--bbox 0 0 1 1", []),
    ],
)
def test_search(run, arguments, found):
    said = run(f"lake search {arguments}")
    assert said.code == 0
    assert [line.split()[0] for line in said.lines[1:]] == found
    assert bool(found) or said.stderr == "No item matches.\n"
    document = run(f"lake search {arguments} --json").json
    assert document["type"] == "FeatureCollection"
    assert [feature["id"] for feature in document["features"]] == found


def test_wrong_usage(run):
    assert run("lake search --bbox 0 2 1 1").code == 2
    assert "south before north" in run("lake search --bbox 0 2 1 1").stderr
    for command in ("ls", "search", "verify", "repair"):
        said = run(f"lake {command} --collection nobody")
        assert (said.code, said.stderr) == (
            1,
            "error: Lake lake has no collection 'nobody'. It has phr, pneo.\n",
        )


def test_verify_and_repair(run, lake):
    said = run("lake verify")
    assert (said.code, said.stdout, said.stderr) == (0, "", "Everything is as the items say.\n")
    said = run("lake verify --lake misspelt")
    assert "Nothing has landed in" in said.stderr
    lake.write_bytes(b"damaged", "collections", "phr", "scene-1", "data.tif")
    lake.remove("collections", "phr", "collection.json")
    said = run("lake verify --fast")
    assert said.code == 1
    assert [line.split()[:2] for line in said.lines[1:]] == [
        ["wrong", "size"],
        ["missing", "file"],
        ["dangling", "link"],
    ]
    assert run("lake verify --collection pneo").code == 0
    said = run("lake repair")
    assert said.code == 0
    assert said.lines[1].split() == ["phr", "3", "0", "0"]
    (finding,) = run("lake verify --json").json
    assert finding == {
        "kind": "wrong size",
        "path": "collections/phr/scene-1/data.tif",
        "what": "It has 7 bytes instead of 7000.",
    }


def test_repair_tells_of_damaged_items(run, lake):
    lake.write_bytes(b"{", "collections", "phr", "scene-1", "scene-1.json")
    said = run("lake repair")
    assert said.code == 1
    assert "collections/phr/scene-1/scene-1.json is no STAC item: remove it" in said.stderr
    assert run("lake repair --json").json[0]["damaged"] == ["collections/phr/scene-1/scene-1.json"]


def test_gc(run, lake):
    lake.write_bytes(b"debris", "collections", "phr", "scene-1", "old.tif")
    said = run("lake gc")
    assert (said.code, said.stdout, said.stderr) == (0, "", "There is no debris.\n")
    said = run("lake gc --older-than 0")
    assert [line.split()[0] for line in said.lines] == ["why", "unreferenced"]
    assert said.stderr == "Would remove, with --remove: 1 file, 6 bytes.\n"
    assert lake.exists("collections", "phr", "scene-1", "old.tif")
    said = run("lake gc --older-than 0 --remove --json")
    assert [debris["path"] for debris in said.json] == ["collections/phr/scene-1/old.tif"]
    assert said.stderr == "Removed 1 file, 6 bytes.\n"
    assert not lake.exists("collections", "phr", "scene-1", "old.tif")
    assert run("lake verify").code == 0
