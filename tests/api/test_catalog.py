"""The catalogue client: against the sandbox, and against answers that only a script gives."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pystac
import pytest
from shapely.geometry import box, mapping, shape

from up42_pipelines.api import Catalog, DeliveryTime
from up42_pipelines.errors import InvalidRequest, NotFound, ServerProblem, UnexpectedAnswer

AOI = box(19.02, 47.48, 19.05, 47.50)
START, END = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 4, 30, tzinfo=UTC)
KATHMANDU = timezone(timedelta(hours=5, minutes=45))
SEARCH = "/catalog/hosts/h/stac/search"


@pytest.fixture(scope="module")
def catalog(slow_sandbox):
    client = slow_sandbox.client()
    yield client.catalog
    client.transport.close()


@pytest.fixture(scope="module")
def find(catalog):
    def find(**changes):
        options = {"collections": ["sandbox-optical"], "intersects": mapping(AOI), "start": START, "end": END}
        return list(catalog.search("sandbox-host", **{**options, **changes}))

    return find


@pytest.fixture(scope="module")
def everything(find):
    """All scenes of the area and the month."""
    scenes = find()
    assert len(scenes) > 7
    return scenes


def ids(scenes):
    return [scene.id for scene in scenes]


class TestSearch:
    @pytest.mark.parametrize("limit", [1, 3, 7, 500])
    def test_page_size_changes_nothing(self, find, everything, limit):
        assert ids(find(limit=limit)) == ids(everything)
        assert len(set(ids(everything))) == len(everything)

    def test_scenes_say_where_when_and_how_cloudy(self, everything):
        for scene in everything:
            assert shape(scene.geometry).intersects(AOI)
            assert START <= scene.acquired <= END
            assert scene.acquired.utcoffset() == timedelta(0)
            assert 0 <= scene.cloud_cover_percent <= 100
            assert scene.collection == "sandbox-optical"
            assert scene.resolution == 3.0
            assert scene.delivery_time is DeliveryTime.MINUTES
            assert scene.raw["properties"]["id"] == scene.id
            assert scene.model_extra["up42:usageType"] == ["DATA"]

    def test_both_ends_are_included_in_any_time_zone(self, find, everything):
        moment = everything[3].acquired.astimezone(KATHMANDU)
        assert ids(find(start=moment)) == ids(everything[:4])
        assert ids(find(end=moment)) == ids(everything[3:])
        assert ids(find(start=moment + timedelta(microseconds=1))) == ids(everything[:3])
        assert ids(find(end=moment - timedelta(microseconds=1))) == ids(everything[4:])

    def test_an_open_interval(self, find, everything):
        earlier = find(start=None, end=START + timedelta(days=3), ids=ids(everything))
        assert ids(earlier) == [scene.id for scene in everything if scene.acquired <= START + timedelta(days=3)]
        assert ids(find(start=None, end=None, ids=ids(everything))) == ids(everything)

    def test_by_bounding_box(self, find, everything):
        assert ids(find(intersects=None, bbox=AOI.bounds)) == ids(everything)
        assert not set(ids(find(intersects=None, bbox=[100, -60, 100.01, -59.99]))) & set(ids(everything))

    def test_by_id(self, find, everything):
        wanted = [everything[4].id, everything[1].id]
        assert ids(find(ids=[*wanted, "no-such-scene"])) == wanted[::-1]
        assert ids(find(intersects=None, start=None, end=None, ids=wanted[:1])) == wanted[:1]

    @pytest.mark.parametrize("percent", [0, 20, 100])
    def test_cloud_cover(self, find, everything, percent):
        expected = [scene.id for scene in everything if scene.cloud_cover_percent <= percent]
        assert ids(find(max_cloud_cover_percent=percent)) == expected
        assert len(expected) < len(everything) or percent == 100

    @pytest.mark.parametrize(("metres", "found"), [(2.9, False), (3, True), (10, True)])
    def test_resolution(self, find, everything, metres, found):
        assert ids(find(max_resolution_m=metres)) == (ids(everything) if found else [])

    @pytest.mark.parametrize(
        ("times", "found"),
        [([DeliveryTime.MINUTES], True), (["DAYS", "MINUTES"], True), ([DeliveryTime.HOURS], False), ([], True)],
    )
    def test_delivery_time(self, find, everything, times, found):
        assert ids(find(delivery_times=times)) == (ids(everything) if found else [])

    def test_everything_at_once(self, find, everything):
        clear = [scene for scene in everything if scene.cloud_cover_percent <= 60]
        found = find(max_cloud_cover_percent=60, max_resolution_m=5, delivery_times=["MINUTES"], ids=ids(everything))
        assert ids(found) == ids(clear)

    def test_nothing_there(self, find):
        assert find(start=END, end=END + timedelta(seconds=1)) == []

    @pytest.mark.parametrize(
        "wrong", [{"limit": 501}, {"limit": 0}, {"collections": ["no-such-thing"]}, {"bbox": [0, 0, 1, 1]}]
    )
    def test_refused_in_the_words_of_up42(self, find, wrong):
        with pytest.raises(InvalidRequest, match=r"search\.limit|no-such-thing|Only one of bbox"):
            find(**wrong)

    def test_unknown_host(self, catalog):
        with pytest.raises(InvalidRequest, match="Unknown host nobody"):
            list(catalog.search("nobody", collections=["c"], intersects=mapping(AOI), start=START, end=END))


def feature(name, **properties):
    geometry = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 2], [0, 0]]]}
    properties = {"id": name, "datetime": "2026-04-02T10:00:00Z", **properties}
    return {"type": "Feature", "geometry": geometry, "bbox": [0, 0, 1, 2], "properties": properties}


def page(features, link=None):
    links = [{"rel": "self", "href": "/self"}, *([{"rel": "next", "href": link}] if link else [])]
    return {"type": "FeatureCollection", "features": features, "links": links}


def search(transport, **changes):
    options = {"collections": ["c"], "intersects": {"type": "Point", "coordinates": [1, 2]}, "start": START, "end": END}
    return Catalog(transport).search("h", **{**options, **changes})


class TestSearchOnTheWire:
    def test_body(self, script, transport):
        script.on(SEARCH, (200, page([]), {}))
        assert list(search(transport, start=datetime.fromisoformat("2026-04-01T01:30:00+02:00"), limit=5)) == []
        [request] = script.requests(SEARCH)
        assert json.loads(request["body"]) == {
            "collections": ["c"],
            "intersects": {"type": "Point", "coordinates": [1, 2]},
            "datetime": "2026-03-31T23:30:00.000000Z/2026-04-30T00:00:00.000000Z",
            "limit": 5,
        }

    @pytest.mark.parametrize(
        ("condition", "sent"),
        [
            ({"max_cloud_cover_percent": 0}, {"query": {"cloudCoverage": {"lte": 0}}}),
            ({"max_cloud_cover_percent": 12.5}, {"query": {"cloudCoverage": {"lte": 12.5}}}),
            ({"max_resolution_m": 0.5}, {"query": {"resolution": {"lte": 0.5}}}),
            ({"delivery_times": [DeliveryTime.DAYS, "HOURS"]}, {"query": {"deliveryTime": {"in": ["DAYS", "HOURS"]}}}),
            ({"delivery_times": ()}, {}),
            ({"ids": ("a", "b")}, {"ids": ["a", "b"]}),
            ({"ids": ()}, {}),
            ({"bbox": (0, 1.5, 2, 3)}, {"bbox": [0, 1.5, 2, 3]}),
            ({"start": START}, {"datetime": "2026-04-01T00:00:00.000000Z/.."}),
            ({"end": END}, {"datetime": "../2026-04-30T00:00:00.000000Z"}),
        ],
    )
    def test_conditions(self, script, transport, condition, sent):
        script.on(SEARCH, (200, page([]), {}))
        list(Catalog(transport).search("h", collections=["c"], **condition))
        assert script.bodies(SEARCH) == [{"collections": ["c"], "limit": 500, **sent}]

    def test_conditions_on_several_properties_are_one_query(self, script, transport):
        script.on(SEARCH, (200, page([]), {}))
        list(search(transport, max_cloud_cover_percent=1, max_resolution_m=2, delivery_times=["DAYS"]))
        [body] = script.bodies(SEARCH)
        assert set(body["query"]) == {"cloudCoverage", "resolution", "deliveryTime"}

    def test_is_lazy(self, script, transport):
        script.on(SEARCH, (200, page([feature("a")], f"{SEARCH}?next=2"), {}), (200, page([feature("b")]), {}))
        scenes = search(transport)
        assert script.requests(SEARCH) == []
        assert next(scenes).id == "a"
        assert len(script.requests(SEARCH)) == 1
        assert ids(scenes) == ["b"]
        assert len(script.requests(SEARCH)) == 2

    def test_a_next_link_that_leads_back_ends_it(self, script, transport):
        script.on(SEARCH, (200, page([feature("a")], SEARCH), {}))
        assert ids(search(transport)) == ["a"]
        assert len(script.requests(SEARCH)) == 1

    def test_a_next_link_that_leads_elsewhere_gets_no_token(self, script, transport):
        elsewhere = script.url.replace("127.0.0.1", "localhost")
        script.on(SEARCH, (200, page([], f"{elsewhere}{SEARCH}?next=2"), {}), (200, page([feature("a")]), {}))
        assert ids(search(transport)) == ["a"]
        assert ["Authorization" in one["headers"] for one in script.requests(SEARCH)] == [True, False]

    def test_a_refusal_inside_a_success(self, script, transport):
        script.on(SEARCH, (200, {"data": None, "error": {"code": 422, "message": "No such thing", "details": ""}}, {}))
        with pytest.raises(InvalidRequest, match="No such thing"):
            list(search(transport))

    def test_a_page_without_a_list_of_scenes_is_not_the_empty_end(self, script, transport):
        script.on(SEARCH, (200, {"message": "maintenance"}, {}))
        with pytest.raises(UnexpectedAnswer, match="no list of features"):
            list(search(transport))

    @pytest.mark.parametrize("absolute", [False, True])
    def test_further_pages_ask_the_same(self, script, transport, absolute):
        base = script.url if absolute else ""
        script.on(
            SEARCH,
            (200, page([feature("a"), feature("b")], f"{base}{SEARCH}?next=x%3D"), {}),
            (200, page([feature("b"), feature("c")]), {}),
        )
        assert [scene.id for scene in search(transport)] == ["a", "b", "c"]
        first, second = script.requests(SEARCH)
        assert (first["query"], second["query"]) == ("", "next=x%3D")
        assert first["body"] == second["body"]
        assert first["method"] == second["method"] == "POST"

    def test_an_empty_page_with_a_next_link_is_not_the_end(self, script, transport):
        script.on(SEARCH, (200, page([], f"{SEARCH}?next=2"), {}), (200, page([feature("a")]), {}))
        assert [scene.id for scene in search(transport)] == ["a"]

    @pytest.mark.parametrize("missing", ["id", "geometry"])
    def test_a_scene_without_what_is_promised(self, script, transport, missing):
        broken = feature("a")
        broken["geometry"] = None if missing == "geometry" else broken["geometry"]
        broken["properties"].pop(missing, None)
        script.on(SEARCH, (200, page([broken]), {}))
        with pytest.raises(UnexpectedAnswer, match=rf"Scene that cannot be read: {missing}: "):
            list(search(transport))


@pytest.mark.parametrize("picture", ["quicklook", "thumbnail"])
class TestPictures:
    def test_there(self, catalog, everything, picture):
        found = getattr(catalog, picture)("sandbox-host", everything[0].id)
        assert found.startswith(b"\xff\xd8\xff")

    @pytest.mark.parametrize(("host", "scene"), [("sandbox-host", "no-such-scene"), ("nobody", "no-such-scene")])
    def test_not_there(self, catalog, host, scene, picture):
        assert getattr(catalog, picture)(host, scene) is None

    def test_on_the_wire(self, script, transport, picture):
        script.on(f"/catalog/h/image/a%2Fb/{picture}", (200, b"\x89PNG", {"Content-Type": "image/png"}))
        assert getattr(Catalog(transport), picture)("h", "a/b") == b"\x89PNG"

    def test_a_problem_is_not_an_absence(self, script, transport, picture):
        script.on(f"/catalog/h/image/a/{picture}", (500, {"title": "broken"}, {}))
        with pytest.raises(ServerProblem):
            getattr(Catalog(transport), picture)("h", "a")


def test_thumbnails_are_smaller_than_quicklooks(catalog, everything):
    host, scene = "sandbox-host", everything[0].id
    assert len(catalog.thumbnail(host, scene)) < len(catalog.quicklook(host, scene))


def test_names_cannot_leave_their_place_in_the_path(script, transport):
    catalog = Catalog(transport)
    for call in (catalog.collection, catalog.order_form):
        with pytest.raises(NotFound):
            call("../a?b#c")
    for call in (catalog.quicklook, catalog.thumbnail):
        assert call("../h?x", "../a?b#c") is None
    with pytest.raises(NotFound):
        next(catalog.search("../h?x", collections=["c"]))
    odd, host = "..%2Fa%3Fb%23c", "..%2Fh%3Fx"
    assert [one["path"] for one in script.asked if "/realms/" not in one["path"]] == [
        f"/v2/collections/{odd}",
        f"/orders/schema/{odd}",
        f"/catalog/{host}/image/{odd}/quicklook",
        f"/catalog/{host}/image/{odd}/thumbnail",
        f"/catalog/hosts/{host}/stac/search",
    ]
    assert {one["query"] for one in script.asked} == {""}


class TestStac:
    def test_finds_the_same_scenes(self, catalog, everything):
        found = catalog.stac.search(
            collections=["sandbox-optical"], intersects=mapping(AOI), datetime=(START, END), limit=3
        )
        items = {item.id: item for item in found.items()}
        assert set(items) == set(ids(everything))
        for scene in everything:
            item = items[scene.id]
            assert isinstance(item, pystac.Item)
            assert (item.datetime, item.collection_id) == (scene.acquired, "sandbox-optical")
            assert item.properties["eo:cloud_cover"] == scene.cloud_cover_percent
            assert item.geometry == scene.geometry

    def test_filters(self, catalog, everything):
        clear = {"op": "<=", "args": [{"property": "eo:cloud_cover"}, 20]}
        found = catalog.stac.search(
            collections=["sandbox-optical"], intersects=mapping(AOI), datetime=(START, END), filter=clear
        )
        assert {item.id for item in found.items()} == {s.id for s in everything if s.cloud_cover_percent <= 20}

    def test_collections_and_single_items(self, catalog, everything):
        assert "sandbox-optical" in {collection.id for collection in catalog.stac.get_collections()}
        collection = catalog.stac.get_collection("sandbox-optical")
        assert collection.get_item(everything[0].id).id == everything[0].id

    def test_is_opened_once(self, catalog):
        assert catalog.stac is catalog.stac

    def test_where_it_is_not_offered(self, script, transport):
        catalog = Catalog(transport)
        with pytest.raises(NotFound):
            _ = catalog.stac
        landing = {"type": "Catalog", "id": "x", "stac_version": "1.0.0", "description": "x", "links": []}
        script.on("/v2/catalog/", (200, {**landing, "conformsTo": []}, {}))
        assert catalog.stac.id == "x"
