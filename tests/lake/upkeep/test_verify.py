"""`verify` finds whatever is not as the items say, and nothing in a lake that is whole."""

from __future__ import annotations

import pytest

from up42_pipelines.errors import LakeError
from up42_pipelines.lake import Lake
from up42_pipelines.lake.stac import index
from up42_pipelines.lake.upkeep.repair import repair
from up42_pipelines.lake.upkeep.verify import verify

FOLDER = ("collections", "c")


def kinds(lake, **options):
    return sorted((finding.kind, finding.path) for finding in verify(lake, **options))


def change(lake, *parts, **changes):
    lake.write_json({**lake.read_json(*parts), **changes}, *parts)


def check_whole_and_damaged(lake, land):
    land(lake, "a", files={"a.tif": b"x" * 5000, "a.json.txt": b"y"})
    land(lake, "b")
    land(lake, "w", withheld=True)
    land(lake, "other", collection="d")
    assert kinds(lake) == []
    lake.write_bytes(b"x" * 4999 + b"z", *FOLDER, "a", "a.tif")
    lake.write_bytes(b"short", *FOLDER, "w", "w.tif")
    lake.remove(*FOLDER, "b", "b.tif")
    lake.write_bytes(b"", *FOLDER, "b", "extra.tif")
    fast = [
        ("extra file", "collections/c/b/extra.tif"),
        ("missing file", "collections/c/b/b.tif"),
        ("wrong size", "collections/c/w/w.tif"),
    ]
    assert kinds(lake, fast=True) == fast
    assert kinds(lake) == sorted([*fast, ("wrong checksum", "collections/c/a/a.tif")])
    assert kinds(lake, collection="d") == []


def test_files(lake, land):
    check_whole_and_damaged(lake, land)


def test_files_on_this_machine(tmp_path, land):
    check_whole_and_damaged(Lake(str(tmp_path)), land)


def test_an_empty_lake(lake):
    assert kinds(lake) == []


def test_a_collection_that_is_not_there(lake, land):
    land(lake, "a")
    with pytest.raises(LakeError, match=r"no collection 'x'. It has c\."):
        kinds(lake, collection="x")


def test_only_withheld_items(lake, land):
    land(lake, "w", withheld=True)
    assert kinds(lake) == []


def test_work_that_goes_on_is_not_looked_at(lake, land):
    land(lake, "a")
    lake.write_bytes(b"half", *FOLDER, "landing", "x.tif")
    lake.write_bytes(b"half", *FOLDER, "a", ".a.tif.0123.part")
    assert kinds(lake) == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"{", "damaged"), (b"[]", "damaged"), (b'{"id": "a"}', "damaged")],
)
def test_an_item_that_cannot_be_read(lake, land, content, kind):
    land(lake, "a")
    lake.write_bytes(content, *FOLDER, "a", "a.json")
    assert (kind, "collections/c/a/a.json") in kinds(lake)


def test_an_item_that_is_no_valid_stac(lake, land):
    land(lake, "a")
    change(lake, *FOLDER, "a", "a.json", bbox=None)
    list(repair(lake))
    assert kinds(lake) == [("invalid", "collections/c/a/a.json")]


def test_an_item_in_the_wrong_place(lake, land):
    land(lake, "a")
    change(lake, *FOLDER, "a", "a.json", id="b", collection="d")
    list(repair(lake))
    assert kinds(lake) == [("wrong place", "collections/c/a/a.json")] * 2


def test_a_file_that_is_not_described(lake, land):
    land(lake, "a", files={"a.tif": b"a", "b.tif": b"b"})
    document = lake.read_json(*FOLDER, "a", "a.json")
    del document["assets"]["a.tif"]["file:size"]
    document["assets"]["b.tif"]["file:checksum"] = "d50110" + "0" * 32
    document["assets"]["far"] = {"href": "https://example.com/far.tif"}
    lake.write_json(document, *FOLDER, "a", "a.json")
    list(repair(lake))
    assert kinds(lake) == [("not described", f"collections/c/a/{name}") for name in ("a.json", "a.tif", "b.tif")]


def test_committed_and_withheld(lake, land):
    land(lake, "a")
    lake.write_json(lake.read_json(*FOLDER, "a", "a.json"), *FOLDER, "a", "a.withheld.json")
    assert kinds(lake) == [("both marks", "collections/c/a/a.withheld.json")]


class TestDerived:
    """Collections, catalogue and index; each finding is gone after `repair`."""

    @pytest.fixture(autouse=True)
    def _repaired_afterwards(self, lake, land):
        land(lake, "a")
        land(lake, "b")
        yield
        list(repair(lake))
        assert kinds(lake) == []

    def test_links(self, lake):
        document = lake.read_json(*FOLDER, "collection.json")
        document["links"] = [link for link in document["links"] if link["href"] != "./a/a.json"]
        document["links"].append({"rel": "item", "href": "./nobody/nobody.json"})
        lake.write_json(document, *FOLDER, "collection.json")
        assert kinds(lake) == [
            ("dangling link", "collections/c/collection.json"),
            ("not linked", "collections/c/collection.json"),
        ]

    @pytest.mark.parametrize(
        "extent",
        [
            {"spatial": {"bbox": [[12, 51, 12.5, 53]]}, "temporal": {"interval": [["2024-05-01T00:00:00Z"] * 2]}},
            {"spatial": {"bbox": [[12, 51, 14, 53]]}, "temporal": {"interval": [["2024-05-02T00:00:00Z"] * 2]}},
        ],
    )
    def test_extent(self, lake, extent):
        change(lake, *FOLDER, "collection.json", extent=extent)
        assert kinds(lake) == [("extent", "collections/c/collection.json")]

    def test_a_wider_extent_is_fine(self, lake):
        interval = ["2020-05-01T00:00:00Z", "2030-05-01T00:00:00Z"]
        extent = {"spatial": {"bbox": [[12, 51, 14, 53]]}, "temporal": {"interval": [interval]}}
        change(lake, *FOLDER, "collection.json", extent=extent)
        assert kinds(lake) == []

    @pytest.mark.parametrize("content", [b"{", b'{"links": []}', b"[]"])
    def test_a_damaged_collection(self, lake, content):
        lake.write_bytes(content, *FOLDER, "collection.json")
        assert kinds(lake) == [("damaged", "collections/c/collection.json")]

    def test_a_lost_collection(self, lake):
        lake.remove(*FOLDER, "collection.json")
        assert kinds(lake) == [("dangling link", "catalog.json"), ("missing file", "collections/c/collection.json")]

    def test_an_invalid_collection(self, lake):
        change(lake, *FOLDER, "collection.json", license=None)
        assert [kind for kind, _ in kinds(lake)] == ["invalid"]
        lake.remove(*FOLDER, "collection.json")

    def test_catalogue(self, lake):
        document = lake.read_json("catalog.json")
        document["links"] = [{"rel": "child", "href": "./collections/nobody/collection.json"}]
        lake.write_json(document, "catalog.json")
        assert kinds(lake) == [("dangling link", "catalog.json"), ("not linked", "catalog.json")]

    @pytest.mark.parametrize("content", [b"{", b"[]", None])
    def test_no_catalogue(self, lake, content):
        lake.remove("catalog.json")
        if content is not None:
            lake.write_bytes(content, "catalog.json")
        assert kinds(lake) == [("missing file" if content is None else "damaged", "catalog.json")]

    def test_rows(self, lake):
        for name in lake.list(*FOLDER, "index"):
            lake.remove(*FOLDER, "index", name)
        assert kinds(lake) == [("not indexed", "collections/c/index")] * 2

    def test_a_row_of_before(self, lake):
        document = lake.read_json(*FOLDER, "a", "a.json")
        document["properties"]["eo:cloud_cover"] = 6
        lake.write_json(document, *FOLDER, "a", "a.json")
        assert kinds(lake) == [("index row", "collections/c/index")]

    def test_a_row_of_no_item(self, lake):
        lake.remove(*FOLDER, "a", "a.json")
        assert kinds(lake) == [("dangling link", "collections/c/collection.json"), ("index row", "collections/c/index")]

    def test_a_damaged_index(self, lake):
        lake.write_bytes(b"PAR1", *FOLDER, "index", lake.list(*FOLDER, "index")[0])
        assert kinds(lake) == [("damaged", "collections/c/index")]

    def test_a_damaged_removal(self, lake):
        lake.write_bytes(b"{", *FOLDER, "index", f"_{0:019d}-00000000.removed.json")
        assert kinds(lake) == [("damaged", "collections/c/index")]


def test_a_lake_that_moved_has_rows_of_the_old_place(tmp_path, land):
    land(Lake(str(tmp_path / "old")), "a")
    (tmp_path / "old").rename(tmp_path / "new")
    lake = Lake(str(tmp_path / "new"))
    assert kinds(lake) == [("index row", "collections/c/index")]
    list(repair(lake))
    assert kinds(lake) == []
    assert index.search(lake, "c")[0]["assets"]["a.tif"]["href"] == str(tmp_path / "new/collections/c/a/a.tif")


def test_progress(lake, land):
    for name in "abc":
        land(lake, name, files={"x.tif": b"x" * 1000})
    seen = []
    assert list(verify(lake, on_progress=seen.append)) == []
    assert [(progress.items, progress.of_items, progress.bytes_read) for progress in seen] == [
        (1, 3, 1000),
        (2, 3, 2000),
        (3, 3, 3000),
    ]
