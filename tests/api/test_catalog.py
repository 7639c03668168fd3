"""The catalogue client: against the sandbox, and against answers that only a script gives."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from shapely.geometry import box, mapping, shape

from up42_pipelines.api import Catalog, Collection, Scene
from up42_pipelines.errors import InvalidRequest, NotFound, ServerProblem, UnexpectedAnswer

AOI = box(19.02, 47.48, 19.05, 47.50)
START, END = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 4, 30, tzinfo=UTC)
KATHMANDU = timezone(timedelta(hours=5, minutes=45))
SEARCH = "/catalog/hosts/h/stac/search"


@pytest.fixture(scope="module")
def client(slow_sandbox):
    client = slow_sandbox.client()
    yield client
    client.transport.close()


@pytest.fixture(scope="module")
def catalog(client):
    return client.catalog


@pytest.fixture(scope="module")
def optical(catalog):
    return catalog.collection("sandbox-optical")


@pytest.fixture(scope="module")
def find(catalog, optical):
    def find(**changes):
        options = {"collections": ["sandbox-optical"], "intersects": mapping(AOI), "start": START, "end": END}
        return list(catalog.search(optical.host, **{**options, **changes}))

    return find


class TestGlossary:
    def test_collections(self, catalog, optical):
        found = list(catalog.collections())
        assert optical in found
        assert [one.name for one in found] == sorted(one.name for one in found)

    def test_collection(self, optical):
        assert optical.name == "sandbox-optical"
        assert optical.type == "ARCHIVE"
        assert optical.host == "sandbox-host"
        assert {product.name for product in optical.data_products} == {"analytic", "display"}

    def test_unknown_collection(self, catalog):
        with pytest.raises(NotFound, match="Collection with name no-such-thing not found"):
            catalog.collection("no-such-thing")

    def test_data_product_by_name_or_id(self, optical):
        product = optical.data_product("analytic")
        assert product.name == "analytic"
        assert optical.data_product(product.id) == product

    def test_unknown_data_product_lists_what_there_is(self, optical):
        with pytest.raises(NotFound, match="no data product 'anaIytic'") as caught:
            optical.data_product("anaIytic")
        assert caught.value.status == 404
        for product in optical.data_products:
            assert f"{product.name} ({product.id})" in str(caught.value)
        with pytest.raises(NotFound, match="It has: none"):
            Collection(name="empty").data_product("any")

    def test_the_host_is_the_provider_with_that_role(self):
        providers = [{"name": "p", "roles": ["PRODUCER"]}, {"name": "h", "roles": ["PRODUCER", "HOST"]}]
        assert Collection.parse({"name": "c", "providers": providers}).host == "h"
        with pytest.raises(UnexpectedAnswer, match="Collection c lists no host"):
            _ = Collection.parse({"name": "c", "providers": providers[:1]}).host

    def test_order_schema(self, catalog, optical):
        schema = catalog.order_schema(optical.data_product("analytic").id)
        assert {"id", "aoi"} <= set(schema["properties"])
        assert schema["required"]

    @pytest.mark.parametrize("product_id", ["00000000-0000-4000-8000-000000000000", "no-uuid"])
    def test_unknown_schema(self, catalog, product_id):
        with pytest.raises(NotFound, match=product_id):
            catalog.order_schema(product_id)

    def test_names_cannot_leave_their_place_in_the_path(self, script, transport):
        catalog = Catalog(transport)
        for call in (catalog.collection, catalog.order_schema):
            with pytest.raises(NotFound):
                call("../a?b#c")
        assert catalog.quicklook("../h?x", "../a?b#c") is None
        odd = "..%2Fa%3Fb%23c"
        assert [one["path"] for one in script.asked if "/realms/" not in one["path"]] == [
            f"/v2/collections/{odd}",
            f"/orders/schema/{odd}",
            f"/catalog/..%2Fh%3Fx/image/{odd}/quicklook",
        ]
        assert {one["query"] for one in script.asked} == {""}

    def test_collections_over_several_pages(self, script, transport):
        script.on(
            "/v2/collections",
            (200, {"content": [{"name": "a"}, {"name": "b"}], "totalPages": 2}, {}),
            (200, {"content": [{"name": "b"}, {"name": "c"}], "totalPages": 2}, {}),
        )
        assert [one.name for one in Catalog(transport).collections()] == ["a", "b", "c"]
        asked = [one["query"] for one in script.requests("/v2/collections")]
        assert asked == ["page=0&size=100&sort=name%2Casc", "page=1&size=100&sort=name%2Casc"]


class TestSearch:
    @pytest.mark.parametrize("limit", [1, 3, 7, 500])
    def test_page_size_changes_nothing(self, find, limit):
        expected = [scene.id for scene in find()]
        assert len(expected) > 7
        assert len(set(expected)) == len(expected)
        assert [scene.id for scene in find(limit=limit)] == expected

    def test_scenes_say_where_when_and_how_cloudy(self, find):
        for scene in find():
            assert shape(scene.geometry).intersects(AOI)
            assert START <= scene.acquired <= END
            assert scene.acquired.utcoffset() == timedelta(0)
            assert 0 <= scene.cloud_cover_percent <= 100
            assert scene.collection == "sandbox-optical"
            assert scene.raw["properties"]["id"] == scene.id
            assert scene.model_extra["up42:usageType"] == ["DATA"]

    def test_both_ends_are_included_in_any_time_zone(self, find):
        scene = find()[3]
        moment = scene.acquired.astimezone(KATHMANDU)
        assert scene.id in [one.id for one in find(start=moment, end=moment)]
        assert scene.id not in [one.id for one in find(start=moment + timedelta(microseconds=1))]
        assert scene.id not in [one.id for one in find(end=moment - timedelta(microseconds=1))]

    def test_cloud_cover(self, find):
        everything = find()
        assert {scene.id for scene in find(max_cloud_cover_percent=20)} == {
            scene.id for scene in everything if scene.cloud_cover_percent <= 20
        }
        assert 0 < len(find(max_cloud_cover_percent=20)) < len(everything)
        assert all(scene.cloud_cover_percent == 0 for scene in find(max_cloud_cover_percent=0))

    def test_nothing_there(self, find):
        assert find(start=END, end=END + timedelta(seconds=1)) == []

    def test_is_lazy(self, script, transport):
        script.on(SEARCH, (200, page([feature("a")], f"{SEARCH}?next=2"), {}))
        assert next(search(transport)).id == "a"
        assert len(script.requests(SEARCH)) == 1

    @pytest.mark.parametrize("wrong", [{"limit": 501}, {"limit": 0}, {"collections": ["no-such-thing"]}])
    def test_refused_in_the_words_of_up42(self, find, wrong):
        with pytest.raises(InvalidRequest, match=r"search\.limit|no-such-thing"):
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

    @pytest.mark.parametrize("percent", [0, 12.5])
    def test_cloud_cover(self, script, transport, percent):
        script.on(SEARCH, (200, page([]), {}))
        list(search(transport, max_cloud_cover_percent=percent))
        [request] = script.requests(SEARCH)
        assert json.loads(request["body"])["query"] == {"cloudCoverage": {"lte": percent}}

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


class TestScene:
    @pytest.mark.parametrize(
        ("properties", "acquired"),
        [
            ({"datetime": "2026-04-02T10:00:00Z", "acquisitionDate": "2020-01-01T00:00:00Z"}, "2026-04-02T10:00:00"),
            ({"datetime": None, "acquisitionDate": "2026-04-02T10:00:00.123Z"}, "2026-04-02T10:00:00.123000"),
            ({"datetime": None, "start_datetime": "2026-04-02T10:00:00Z"}, "2026-04-02T10:00:00"),
            ({"datetime": None, "startDatetime": "2026-04-02T10:00:00Z"}, "2026-04-02T10:00:00"),
            ({"datetime": "2026-04-02T10:00:00"}, "2026-04-02T10:00:00"),
            ({"datetime": "2026-04-02"}, "2026-04-02T00:00:00"),
            ({"datetime": "2026-04-02T01:00:00+05:45"}, "2026-04-01T19:15:00"),
        ],
    )
    def test_acquired_is_utc_whatever_the_answer_calls_it(self, properties, acquired):
        scene = Scene.of_feature(feature("a", **properties))
        assert scene.acquired.isoformat() == f"{acquired}+00:00"

    def test_a_scene_without_date_can_be_looked_at_but_not_dated(self):
        scene = Scene.of_feature(feature("undated", datetime=None))
        with pytest.raises(UnexpectedAnswer, match="Scene undated carries no acquisition date"):
            _ = scene.acquired
        assert "undated" in repr(scene)
        assert scene.model_dump()["id"] == "undated"

    def test_a_date_that_is_none_is_an_unexpected_answer(self):
        with pytest.raises(UnexpectedAnswer, match="Scene that cannot be read: datetime: "):
            Scene.of_feature(feature("a", datetime="yesterday"))

    def test_as_stac_item(self):
        properties = {"sceneId": "S", "cloudCoverage": 12.5, "resolution": 0.5, "constellation": "PHR", "extra": 1}
        item = Scene.of_feature(feature("a", collection="phr", **properties)).to_item()
        assert (item.id, item.datetime) == ("a", datetime(2026, 4, 2, 10, tzinfo=UTC))
        assert item.bbox == [0, 0, 1, 2]
        assert item.properties["eo:cloud_cover"] == 12.5
        assert item.properties["gsd"] == 0.5
        assert item.properties["constellation"] == "PHR"
        assert item.properties["title"] == "S"
        assert item.properties["up42-product:collection_name"] == "phr"
        assert item.properties["up42:scene"]["extra"] == 1
        assert any("/eo/" in extension for extension in item.stac_extensions)

    def test_as_stac_item_with_little_known(self):
        item = Scene.of_feature(feature("a")).to_item()
        assert item.properties["title"] == "a"
        assert not {"eo:cloud_cover", "gsd", "constellation", "up42-product:collection_name"} & set(item.properties)
        assert not item.stac_extensions

    def test_a_clear_sky_is_known(self):
        assert Scene.of_feature(feature("a", cloudCoverage=0)).to_item().properties["eo:cloud_cover"] == 0

    def test_unknown_cloud_cover(self):
        assert Scene.of_feature(feature("a")).cloud_cover_percent is None
        assert math.isclose(Scene.of_feature(feature("a", cloudCoverage=3.5)).cloud_cover_percent, 3.5)


class TestQuicklook:
    def test_there(self, catalog, optical, find):
        picture = catalog.quicklook(optical.host, find()[0].id)
        assert picture.startswith(b"\xff\xd8\xff")

    @pytest.mark.parametrize(("host", "scene"), [("sandbox-host", "no-such-scene"), ("nobody", "no-such-scene")])
    def test_not_there(self, catalog, host, scene):
        assert catalog.quicklook(host, scene) is None

    def test_a_problem_is_not_an_absence(self, script, transport):
        script.on("/catalog/h/image/a/quicklook", (500, {"title": "broken"}, {}))
        with pytest.raises(ServerProblem):
            Catalog(transport).quicklook("h", "a")
