"""Deleting items: whole collections or nothing."""

import json

import pytest

from up42_pipelines.api import Storage
from up42_pipelines.api.storage import STAC_PATH
from up42_pipelines.errors import IncompleteDeletion, NotAuthorized, NotFound

NOBODY = "00000000-0000-4000-8000-000000000000"
SEARCH = f"{STAC_PATH}search"
HELD = {"c-1": ["a", "b"], "c-2": ["c"], "c-3": ["d"]}


def feature(name, collection):
    body = {"type": "Feature", "stac_version": "1.0.0", "id": name, "collection": collection, "geometry": None}
    return body | {"properties": {"datetime": "2026-05-01T10:12:13Z"}, "links": [], "assets": {}}


@pytest.fixture
def storage(script, transport):
    """Storage that holds `HELD`, two items per page."""
    url = script.url
    links = [{"rel": "search", "href": f"{url}{SEARCH}", "method": "POST", "type": "application/geo+json"}]
    root = {"type": "Catalog", "id": "up42-storage", "stac_version": "1.0.0", "description": "x", "links": links}
    conforms = ["https://api.stacspec.org/v1.0.0-rc.1/core", "https://api.stacspec.org/v1.0.0-rc.1/item-search"]
    script.on(STAC_PATH, (200, root | {"conformsTo": conforms}, {}))
    script.answers[SEARCH] = Held(script)
    for collection in HELD:
        script.on(f"{STAC_PATH}collections/{collection}", (204, b"", {}))
    return Storage(transport, lambda: "w")


class Held:
    """Answers a search by what it asks for."""

    def __init__(self, script):
        self._script = script

    def __len__(self):
        return 1

    def __getitem__(self, _):
        wanted = json.loads(self._script.asked[-1]["body"])
        found = [
            feature(name, collection)
            for collection, names in HELD.items()
            for name in names
            if name in wanted.get("ids", names) and collection in wanted.get("collections", HELD)
        ]
        begin = int(wanted.get("token", "0"))
        follow = {"rel": "next", "href": f"{self._script.url}{SEARCH}", "method": "POST"}
        links = [follow | {"body": {**wanted, "token": str(begin + 2)}}] if begin + 2 < len(found) else []
        return (200, {"type": "FeatureCollection", "features": found[begin : begin + 2], "links": links}, {})


def deleted(script):
    return [one["path"].rsplit("/", 1)[-1] for one in script.asked if one["method"] == "DELETE"]


class TestDeletion:
    @pytest.mark.parametrize(
        ("items", "collections"),
        [
            (["c"], ["c-2"]),
            (["b", "a"], ["c-1"]),
            (["d", "c", "a", "b", "c"], ["c-1", "c-2", "c-3"]),
            (iter(["c"]), ["c-2"]),
            ([], []),
        ],
    )
    def test_of_whole_collections(self, script, storage, items, collections):
        assert storage.delete_items(items) == collections
        assert deleted(script) == collections

    @pytest.mark.parametrize("items", [["c"], ["a", "b", "c", "d"]])
    def test_dry_run_only_tells(self, script, storage, items):
        assert storage.delete_items(items, dry_run=True) == sorted(
            collection for collection, names in HELD.items() if set(names) <= set(items)
        )
        assert deleted(script) == []

    @pytest.mark.parametrize(
        ("items", "unknown", "left_over", "told"),
        [
            (["a"], [], {"c-1": {"b"}}, "collection c-1 also holds b"),
            (["c", "b"], [], {"c-1": {"a"}}, "collection c-1 also holds a"),
            (["c", "x"], ["x"], {}, "not in storage: x"),
            (["y", "x", "a"], ["x", "y"], {"c-1": {"b"}}, "not in storage: x, y; collection c-1 also holds b"),
            ("c-2", ["-", "2"], {}, "not in storage: -, 2"),
        ],
    )
    @pytest.mark.parametrize("dry_run", [False, True])
    def test_anything_less_deletes_nothing(self, script, storage, items, unknown, left_over, told, dry_run):
        with pytest.raises(IncompleteDeletion, match=told) as caught:
            storage.delete_items(items, dry_run=dry_run)
        assert (caught.value.unknown, caught.value.left_over) == (unknown, left_over)
        assert "Nothing was deleted" in str(caught.value)
        assert deleted(script) == []

    def test_a_collection_that_is_gone_already_is_no_problem(self, script, storage):
        script.on(f"{STAC_PATH}collections/c-1", (503, {}, {}), (404, {"title": "gone"}, {}))
        assert storage.delete_items(["a", "b", "c"]) == ["c-1", "c-2"]
        assert deleted(script) == ["c-1", "c-1", "c-2"]

    def test_a_refusal_ends_it(self, script, storage):
        script.on(f"{STAC_PATH}collections/c-1", (403, {"title": "Forbidden"}, {}))
        with pytest.raises(NotAuthorized):
            storage.delete_items(["a", "b", "c"])
        assert deleted(script) == ["c-1"]


def test_at_the_sandbox(delivered):
    storage = delivered.client.storage
    [item] = storage.items_of_order(delivered.whole)
    first, second = storage.items_of_order(delivered.parts)
    with pytest.raises(IncompleteDeletion, match=NOBODY):
        storage.delete_items([item.id, NOBODY])
    assert storage.delete_items([item.id], dry_run=True) == [item.collection_id]
    assert len(list(storage.search())) == 3
    assert set(storage.delete_items([item.id, first.id])) == {item.collection_id, first.collection_id}
    assert [left.id for left in storage.search()] == [second.id]
    assert storage.assets.of_order(delivered.whole) == []
    assert delivered.client.orders.get(delivered.whole).is_fulfilled
    with pytest.raises(NotFound):
        storage.item(item.self_href)
    with pytest.raises(IncompleteDeletion, match=f"not in storage: {item.id}"):
        storage.delete_items([item.id])
