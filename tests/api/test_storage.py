"""STAC over what was delivered: found, read, described; at the sandbox and on the wire."""

import threading

import pystac
import pytest
from shapely.geometry import box, mapping, shape

from up42_pipelines.api import Storage, equals
from up42_pipelines.api.storage import STAC_PATH
from up42_pipelines.errors import InvalidRequest, NotFound, ServerProblem, UnexpectedAnswer

NOBODY = "00000000-0000-4000-8000-000000000000"
SEARCH = f"{STAC_PATH}search"
AREA = box(4.35, 50.84, 4.355, 50.845)
CONFORMS = [
    *(
        f"https://api.stacspec.org/v1.0.0-rc.1/{name}"
        for name in ("core", "collections", "ogcapi-features", "item-search", "item-search#sort", "item-search#filter")
    ),
    "https://api.stacspec.org/v1.0.0-rc.1/item-search#filter:basic-cql",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
]


@pytest.fixture(scope="module")
def storage(delivered):
    return delivered.client.storage


@pytest.fixture(scope="module")
def items(storage):
    """All three by id."""
    found = {item.id: item for item in storage.search()}
    assert len(found) == 3
    return found


@pytest.fixture
def scripted(script, transport):
    """Storage whose landing page is the documented one: only POST searches."""
    script.on(STAC_PATH, (200, landing(script.url), {}))
    return Storage(transport, lambda: "w")


def landing(url):
    links = [
        {"rel": "self", "href": f"{url}{STAC_PATH}"},
        {"rel": "root", "href": f"{url}{STAC_PATH}"},
        {"rel": "data", "href": f"{url}{STAC_PATH}collections"},
        {"rel": "search", "href": f"{url}{SEARCH}", "method": "POST", "type": "application/geo+json"},
    ]
    body = {"type": "Catalog", "id": "up42-storage", "stac_version": "1.0.0", "description": "x"}
    return body | {"links": links, "conformsTo": CONFORMS, "stac_extensions": []}


def feature(name, collection="c-1", **properties):
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": collection,
        "geometry": {"type": "Point", "coordinates": [1, 2]},
        "bbox": [1, 2, 1, 2],
        "properties": {"datetime": "2026-05-01T10:12:13+00:00", **properties},
        "links": [],
        "assets": {},
    }


def page(*features, next_body=None, url=""):
    link = {"rel": "next", "href": f"{url}{SEARCH}", "method": "POST", "type": "application/json", "body": next_body}
    return (200, {"type": "FeatureCollection", "features": features, "links": [link] if next_body else []}, {})


class TestItems:
    def test_of_an_order(self, storage, delivered):
        [item] = storage.items_of_order(delivered.whole)
        assert isinstance(item, pystac.Item)
        assert item.properties["up42-order:id"] == delivered.whole
        assert shape(item.geometry).intersects(AREA)
        assert any("data" in (asset.roles or []) for asset in item.assets.values())
        assert [one.id for one in storage.items_of_collection(item.collection_id)] == [item.id]

    def test_of_an_order_in_parts(self, storage, delivered):
        items = storage.items_of_order(delivered.parts)
        assert len({item.id for item in items}) == len(items) == 2
        assert [item.id for item in items] == sorted(item.id for item in items)
        assert {item.properties["up42-order:id"] for item in items} == {delivered.parts}

    def test_of_nothing(self, storage):
        assert storage.items_of_order(NOBODY) == []
        assert storage.items_of_job(NOBODY) == []
        assert storage.items_of_collection(NOBODY) == []

    def test_name_the_asset_they_were_made_of(self, storage, delivered):
        made_of = {item.properties["up42-system:asset_id"] for item in storage.items_of_order(delivered.parts)}
        assert made_of == {asset.id for asset in storage.assets.of_order(delivered.parts)}

    @pytest.mark.parametrize(("call", "name"), [("items_of_order", "order_id"), ("items_of_job", "job_id")])
    def test_are_asked_for_by_their_queryable(self, script, scripted, call, name):
        script.on(SEARCH, page(feature("b"), feature("a")))
        assert [item.id for item in getattr(scripted, call)("x-1")] == ["a", "b"]
        assert script.bodies(SEARCH) == [
            {"limit": 100, "filter": {"op": "=", "args": [{"property": name}, "x-1"]}, "filter-lang": "cql2-json"}
        ]

    def test_one_by_its_link(self, storage, items):
        item = next(iter(items.values()))
        found = storage.item(item.self_href)
        assert found.to_dict(include_self_link=False) == item.to_dict(include_self_link=False)
        assert found.self_href == item.self_href
        assert found.get_root() is storage.stac
        with pytest.raises(NotFound):
            storage.item(item.self_href.replace(item.id, NOBODY))


class TestSearch:
    @pytest.mark.parametrize("limit", [1, 2, 100])
    def test_page_size_changes_nothing(self, storage, items, limit):
        found = [item.id for item in storage.search(limit=limit)]
        assert len(found) == len(items)
        assert set(found) == set(items)

    def test_by_what_pystac_client_knows(self, storage, items):
        item = next(iter(items.values()))
        for conditions in (
            {"ids": [item.id]},
            {"collections": [item.collection_id]},
            {"ids": [item.id, NOBODY], "intersects": mapping(AREA), "datetime": item.datetime},
        ):
            assert [found.id for found in storage.search(**conditions)] == [item.id]
        assert list(storage.search(bbox=[100, 10, 101, 11])) == []
        assert {found.id for found in storage.search(bbox=AREA.bounds)} == set(items)

    @pytest.mark.parametrize("sortby", ["+id", "-id"])
    def test_in_an_order(self, storage, items, sortby):
        found = [item.id for item in storage.search(sortby=sortby, limit=2)]
        assert found == sorted(items, reverse=sortby == "-id")

    def test_cql2(self, storage, items, delivered):
        cloudy = max(item.properties["eo:cloud_cover"] for item in items.values())
        same_order, clear = (
            equals("order_id", delivered.parts),
            {"op": "<", "args": [{"property": "eo:cloud_cover"}, 0]},
        )
        for condition, found in (
            (same_order, 2),
            ({"op": "not", "args": [same_order]}, 1),
            ({"op": "<=", "args": [{"property": "eo:cloud_cover"}, cloudy]}, 3),
            (clear, 0),
            ({"op": "and", "args": [same_order, {"op": "not", "args": [clear]}]}, 2),
            ({"op": "or", "args": [same_order, equals("order_id", delivered.whole)]}, 3),
            (equals("workspace_id", delivered.client.workspace_id), 3),
            (equals("workspace_id", NOBODY), 0),
            (equals("collection_name", "sandbox-optical"), 3),
        ):
            assert len(list(storage.search(condition))) == found, condition

    def test_cql2_and_conditions_together(self, storage, items, delivered):
        [item] = storage.search(equals("order_id", delivered.whole), ids=list(items))
        assert item.properties["up42-order:id"] == delivered.whole

    def test_refused_in_the_words_of_up42(self, storage):
        with pytest.raises(InvalidRequest, match="no_such_name"):
            list(storage.search(equals("no_such_name", 1)))

    def test_queryables(self, storage, items):
        names = storage.queryables()
        assert {"id", "collection", "order_id", "asset_id", "workspace_id", "eo:cloud_cover", "tags"} <= set(names)
        assert len(list(storage.search(equals("asset_id", NOBODY)))) == 0
        assert len(items) == 3


class TestSearchOnTheWire:
    @pytest.mark.parametrize("answer", [[], {}, {"properties": None}, {"properties": ["id"]}])
    def test_queryables_of_another_shape_are_told(self, script, scripted, answer):
        script.on(f"{STAC_PATH}queryables", (200, answer, {}))
        with pytest.raises(UnexpectedAnswer, match="queryables"):
            scripted.queryables()

    def test_pages_are_followed_as_they_are_consumed(self, script, scripted):
        following = {"limit": 2, "token": "next:b"}
        script.on(
            SEARCH,
            page(feature("a"), feature("b"), next_body=following, url=script.url),
            page(feature("b"), feature("c")),
        )
        found = scripted.search(limit=2)
        assert script.asked == []
        assert [next(found).id, next(found).id] == ["a", "b"]
        assert script.bodies(SEARCH) == [{"limit": 2}]
        assert [item.id for item in found] == ["c"]
        assert script.bodies(SEARCH) == [{"limit": 2}, following]
        assert {one["method"] for one in script.requests(SEARCH)} == {"POST"}

    def test_links_in_a_circle_end(self, script, scripted):
        first, second = ({"limit": 1, "token": f"next:{name}"} for name in "ab")
        script.on(
            SEARCH,
            page(feature("a"), next_body=first, url=script.url),
            page(feature("b"), next_body=second, url=script.url),
            page(feature("c"), next_body=first, url=script.url),
        )
        assert [item.id for item in scripted.search(limit=1)] == ["a", "b", "c"]
        assert len(script.requests(SEARCH)) == 3

    def test_an_empty_page_with_a_next_link_is_not_the_end(self, script, scripted):
        script.on(SEARCH, page(next_body={"token": "next:a"}, url=script.url), page(feature("b")))
        assert [item.id for item in scripted.search()] == ["b"]

    @pytest.mark.parametrize("links", [None, ["next"], [{"href": "x"}]])
    def test_odd_links_end_it(self, script, scripted, links):
        script.on(SEARCH, (200, {"features": [feature("a")], "links": links}, {}))
        assert [item.id for item in scripted.search()] == ["a"]

    @pytest.mark.parametrize("answer", [{}, [], {"type": "Catalog"}, {"message": "maintenance"}])
    def test_a_landing_page_that_is_none(self, script, scripted, answer):
        script.on(STAC_PATH, (200, answer, {}))
        with pytest.raises(UnexpectedAnswer, match=f"{STAC_PATH}.* is not the landing page|no JSON object"):
            scripted.items_of_order("o-1")

    def test_an_item_loses_nothing(self, script, scripted):
        link = {
            "rel": "self",
            "href": f"{script.url}{STAC_PATH}collections/c-1/items/a",
            "type": "application/geo+json",
        }
        asset = {
            "href": f"{script.url}/v2/assets/f-1",
            "title": "Multispectral data",
            "description": "four bands",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data", "multispectral"],
            "gsd": 2.0,
        }
        properties = {"title": "H", "gsd": 0.5, "eo:cloud_cover": 0, "up42-order:id": "o-1", "up42-user:tags": ["a"]}
        body = feature("a", new=None, **properties) | {
            "links": [link],
            "assets": {"k3j2_ms.tiff": asset},
            "beside": [1],
        }
        script.on(SEARCH, page(body))
        [item] = scripted.search()
        written = item.to_dict(transform_hrefs=False)
        assert written["properties"] == body["properties"] | {"datetime": "2026-05-01T10:12:13Z"}
        assert (written["assets"], written["beside"]) == (body["assets"], [1])
        assert link in written["links"]
        for name in ("id", "collection", "geometry", "bbox", "type"):
            assert written[name] == body[name]

    def test_is_tried_again(self, script, scripted):
        script.on(SEARCH, (503, {}, {}), "cut", page(feature("a")))
        assert [item.id for item in scripted.search()] == ["a"]

    @pytest.mark.parametrize(
        ("answer", "error", "told"),
        [
            (
                (400, {"code": "BadRequest", "description": "no such queryable"}, {}),
                InvalidRequest,
                "no such queryable",
            ),
            ((500, {"title": "broken"}, {}), ServerProblem, "broken"),
            ((200, b"<html>", {}), UnexpectedAnswer, "not JSON"),
            ((200, {"data": None, "error": {"code": 404, "message": "gone"}}, {}), NotFound, "gone"),
            (page({"type": "Feature", "id": "x"}), UnexpectedAnswer, "STAC item that cannot be read"),
            (page({**feature("x"), "properties": None}), UnexpectedAnswer, "STAC item that cannot be read"),
            (page({**feature("x"), "properties": {"datetime": "soon"}}), UnexpectedAnswer, "STAC item that cannot"),
            (page(5), UnexpectedAnswer, "STAC item that cannot be read"),
            ((200, [], {}), UnexpectedAnswer, "no JSON object"),
            ((200, {}, {}), UnexpectedAnswer, "no list of features"),
            ((200, {"features": None}, {}), UnexpectedAnswer, "no list of features"),
        ],
    )
    def test_problems_are_ours(self, script, scripted, answer, error, told):
        script.on(SEARCH, answer)
        with pytest.raises(error, match=told):
            list(scripted.search())

    def test_landing_page_is_read_once_by_any_number_of_threads(self, script, scripted):
        barrier, seen = threading.Barrier(8), []

        def look():
            barrier.wait()
            seen.append(scripted.stac)

        threads = [threading.Thread(target=look) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seen) == 8
        assert len({id(one) for one in seen}) == 1
        [request] = script.requests(STAC_PATH)
        assert request["headers"]["Authorization"] == "Bearer token-1"
        assert request["headers"]["User-Agent"].startswith("up42-pipelines/")


class TestUpdateItem:
    PATH = f"{STAC_PATH}collections/c-1/items/i-1"

    @pytest.mark.parametrize(
        ("changes", "sent"),
        [
            ({}, {}),
            ({"title": "T"}, {"up42-user:title": "T"}),
            ({"title": None}, {"up42-user:title": None}),
            ({"tags": ("a", "b")}, {"up42-user:tags": ["a", "b"]}),
            ({"tags": "harbour"}, {"up42-user:tags": ["harbour"]}),
            ({"tags": []}, {"up42-user:tags": []}),
            ({"tags": None}, {"up42-user:tags": None}),
            ({"title": "T", "tags": None}, {"up42-user:title": "T", "up42-user:tags": None}),
        ],
    )
    def test_sends_what_was_given(self, script, scripted, changes, sent):
        script.on(self.PATH, (503, {}, {}), (200, feature("i-1", **{"up42-user:title": "now"}), {}))
        updated = scripted.update_item(pystac.Item.from_dict(feature("i-1")), **changes)
        assert updated.properties["up42-user:title"] == "now"
        assert updated.get_root() is scripted.stac
        assert {one["method"] for one in script.requests(self.PATH)} == {"PATCH"}
        assert script.bodies(self.PATH) == [sent, sent]

    def test_the_least_answer_that_is_an_item(self, script, scripted):
        least = {"type": "Feature", "stac_version": "1.0.0", "id": "i-1", "collection": "c-1"}
        script.on(self.PATH, (200, least | {"properties": {"datetime": "2026-05-01T10:12:13Z"}}, {}))
        assert scripted.update_item(pystac.Item.from_dict(feature("i-1")), title="T").id == "i-1"

    def test_an_answer_that_is_none(self, script, scripted):
        script.on(self.PATH, (200, {}, {}))
        with pytest.raises(UnexpectedAnswer, match="STAC item that cannot be read"):
            scripted.update_item(pystac.Item.from_dict(feature("i-1")), title="T")

    def test_ids_cannot_leave_their_place_in_the_path(self, script, scripted):
        with pytest.raises(NotFound):
            scripted.update_item(pystac.Item.from_dict(feature("../i?x", collection="../c#y")), title="T")
        assert script.asked[-1]["path"] == f"{STAC_PATH}collections/..%2Fc%23y/items/..%2Fi%3Fx"

    def test_of_an_item_that_is_nowhere(self, script, scripted):
        with pytest.raises(UnexpectedAnswer, match="names no collection"):
            scripted.update_item(pystac.Item.from_dict(feature("i-1", collection=None)), title="T")
        assert script.asked == []

    def test_at_the_sandbox(self, storage, delivered):
        [item] = storage.items_of_order(delivered.whole)
        changed = storage.update_item(item, title="Harbour", tags=["a", "b"])
        assert (changed.properties["up42-user:title"], changed.properties["up42-user:tags"]) == ("Harbour", ["a", "b"])
        changed = storage.update_item(item, tags=["c"])
        assert (changed.properties["up42-user:title"], changed.properties["up42-user:tags"]) == ("Harbour", ["c"])
        again = storage.item(item.self_href).properties
        assert (again["up42-user:title"], again["up42-user:tags"]) == ("Harbour", ["c"])
        cleared = storage.update_item(item, title=None, tags=None).properties
        assert not cleared.get("up42-user:title")
        assert not cleared.get("up42-user:tags")
        assert changed.self_href == item.self_href
