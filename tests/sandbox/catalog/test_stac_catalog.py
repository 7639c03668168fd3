import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pystac_client
import pytest
import rasterio
import requests
from rasterio.transform import from_bounds
from shapely.geometry import Point, box, shape

from up42_pipelines.sandbox import app
from up42_pipelines.sandbox.catalog import scene_pages, scene_shapes
from up42_pipelines.sandbox.core.problems import Refused
from up42_pipelines.sandbox.imagery import scenes
from up42_pipelines.sandbox.storage import stac_query

ROOT = "/v2/catalog"
BBOX = [13.3, 52.4, 13.4, 52.5]
MARCH = "2026-03-01T00:00:00Z/2026-03-31T23:59:59Z"
IN_MARCH = {"bbox": BBOX, "datetime": MARCH}


@pytest.fixture(scope="module")
def client(sandbox):
    headers = {"Authorization": sandbox.http.headers["Authorization"]}
    return pystac_client.Client.open(f"{sandbox.url}{ROOT}/", headers=headers)


def pages(sandbox, method="POST", **search):
    """The pages of a search, following the next links as they are."""
    url, body, query = f"{sandbox.url}{ROOT}/search", search, None
    if method == "GET":
        body, query = None, search
    while url:
        answer = sandbox.http.request(method, url, json=body, params=query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "application/geo+json"
        yield answer.json()["features"]
        link = next((link for link in answer.json()["links"] if link["rel"] == "next"), {"href": None})
        if link["href"]:
            assert (link["method"], link["href"].count("token=")) == (method, 1 if method == "GET" else 0)
        url, body, query = link["href"], link.get("body"), None


def ids(sandbox, method="POST", **search):
    return [item["id"] for page in pages(sandbox, method, **search) for item in page]


def test_the_root_says_what_it_can(sandbox):
    root = sandbox.http.get(f"{sandbox.url}{ROOT}/").json()
    assert sandbox.http.get(f"{sandbox.url}{ROOT}", allow_redirects=False).json() == root
    links = {(link["rel"], link.get("method")): link["href"] for link in root["links"]}
    assert links["search", "GET"] == links["search", "POST"] == f"{sandbox.url}{ROOT}/search"
    assert sandbox.http.get(links["conformance", None]).json()["conformsTo"] == root["conformsTo"]
    assert requests.get(links["service-desc", None], timeout=10).json()["openapi"].startswith("3.")
    assert requests.get(f"{sandbox.url}{ROOT}/", timeout=10).status_code == 401


def test_pystac_client_opens_it(client):
    assert [collection.id for collection in client.get_collections()] == ["sandbox-optical"]
    for name in ("COLLECTIONS", "ITEM_SEARCH", "FEATURES", "FILTER", "SORT"):
        assert client.conforms_to(name), name
    collection = client.get_collection("sandbox-optical")
    first, second = itertools.islice(collection.get_items(), 2)
    assert collection.get_item(first.id).properties == first.properties
    found = client.search(ids=[second.id, first.id], limit=1).items()
    assert [item.id for item in found] == [first.id, second.id]


def test_two_thousand_items_come_once_each_and_in_order(client):
    germany = box(6, 47.5, 15, 55)
    search = client.search(bbox=list(germany.bounds), datetime=MARCH, limit=500, max_items=2100)
    found = [item["id"] for item in search.items_as_dicts()]
    last = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)
    expected = scenes.find_scenes(0, germany, last - timedelta(days=10), last)
    assert found == [scene.id for scene in itertools.islice(expected, 2100)]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_lose_and_repeat_nothing(sandbox, method):
    where = {"bbox": ",".join(map(str, BBOX)) if method == "GET" else BBOX, "datetime": MARCH}
    whole = ids(sandbox, method, **where, limit=500)
    cut = list(pages(sandbox, method, **where, limit=7))
    assert [item["id"] for page in cut for item in page] == whole
    assert {len(page) for page in cut[:-1]} == {7}
    assert len(set(whole)) == len(whole) > 20


def test_items_are_stac_and_can_be_ordered(sandbox, take_scene):
    scene = take_scene()
    path = f"{ROOT}/collections/{scene.collection}/items/{scene.id}"
    item = sandbox.get(path).json()
    assert (item["type"], item["stac_version"], item["collection"]) == ("Feature", "1.0.0", "sandbox-optical")
    assert shape(item["geometry"]).equals(scene.footprint)
    assert item["bbox"] == pytest.approx(scene.footprint.bounds)
    angles = scene.provider_properties
    assert item["properties"] == {
        "datetime": scene.acquired_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "title": scene.id,
        "constellation": "SANDBOX",
        "platform": scene.platform,
        "gsd": 3.0,
        "eo:cloud_cover": scene.cloud_cover_percent,
        "view:incidence_angle": angles["incidenceAngle"],
        "view:azimuth": angles["azimuthAngle"],
        "view:sun_azimuth": angles["illuminationAzimuthAngle"],
        "view:sun_elevation": angles["illuminationElevationAngle"],
    }
    links = {link["rel"]: link["href"] for link in item["links"]}
    assert links["self"] == sandbox.url + path
    assert links["collection"] == links["parent"] == f"{sandbox.url}{ROOT}/collections/sandbox-optical"
    for name in ("thumbnail", "overview"):
        picture = sandbox.http.get(item["assets"][name]["href"])
        assert picture.headers["Content-Type"] == item["assets"][name]["type"] == "image/jpeg"
    assert sandbox.place(item["id"])


@pytest.mark.parametrize(
    ("filter_", "keep"),
    [
        ({"op": "<", "args": [{"property": "eo:cloud_cover"}, 10]}, lambda scene: scene.cloud_cover_percent < 10),
        ("eo:cloud_cover BETWEEN 10 AND 50", lambda scene: 10 <= scene.cloud_cover_percent <= 50),
        ("platform = 'SANDBOX-2'", lambda scene: scene.platform == "SANDBOX-2"),
        ("view:incidence_angle > 20", lambda scene: scene.provider_properties["incidenceAngle"] > 20),
        ("datetime < TIMESTAMP('2026-03-10T00:00:00Z')", lambda scene: scene.acquired_at.day < 10),
        ("S_INTERSECTS(geometry, POINT(13.35 52.45))", lambda scene: scene.footprint.intersects(Point(13.35, 52.45))),
        ("collection = 'phr'", lambda _: False),
    ],
)
def test_filters(client, filter_, keep):
    first, last = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)
    everything = list(scenes.find_scenes(0, box(*BBOX), first, last))
    expected = [scene.id for scene in everything if keep(scene)]
    assert len(expected) < len(everything)
    for method in ("GET", "POST"):
        if method == "GET" and isinstance(filter_, dict):
            continue
        found = client.search(method=method, filter=filter_, limit=50, **IN_MARCH).items()
        assert [item.id for item in found] == expected


def test_a_filter_alone_says_where_and_when(sandbox):
    """Without the bounds that it leaves, these would be needles in the globe's haystack."""
    scene = next(scenes.find_scenes(0, Point(13.35, 52.45), *[datetime(2025, 7, 1 + n, tzinfo=UTC) for n in (0, 9)]))
    second = scene.acquired_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert scene.id in ids(sandbox, filter=f"datetime = TIMESTAMP('{second}')", limit=500)
    assert ids(sandbox, filter=f"id = '{scene.id}'") == [scene.id]
    there = "S_INTERSECTS(geometry, POINT(13.35 52.45)) AND datetime > TIMESTAMP('2026-01-01T00:00:00Z')"
    assert ids(sandbox, filter=f"{there} AND eo:cloud_cover = -1") == []
    assert ids(sandbox, filter="collection <> 'sandbox-optical'") == []


@pytest.mark.parametrize("field", ["eo:cloud_cover", "properties.datetime", "id", "platform"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_sorting_holds_from_page_to_page(sandbox, field, direction):
    sort = [{"field": field, "direction": direction}]
    found = [item for page in pages(sandbox, sortby=sort, limit=9, **IN_MARCH) for item in page]
    assert sorted(item["id"] for item in found) == sorted(ids(sandbox, **IN_MARCH))
    values = [item["id"] if field == "id" else item["properties"][field.removeprefix("properties.")] for item in found]
    assert values == sorted(values, reverse=direction == "desc")


def test_the_items_of_a_collection(sandbox):
    path = f"{ROOT}/collections/sandbox-optical/items"
    answer = sandbox.get(path, params={"bbox": ",".join(map(str, BBOX)), "datetime": MARCH, "limit": 5}).json()
    expected = ids(sandbox, **IN_MARCH)
    assert [item["id"] for item in answer["features"]] == expected[:5]
    links = {link["rel"]: link["href"] for link in answer["links"]}
    assert links["self"] == sandbox.url + path
    assert [item["id"] for item in sandbox.http.get(links["next"]).json()["features"]] == expected[5:10]
    assert len(sandbox.get(path).json()["features"]) == 10


def test_every_collection_has_its_own_items(start_sandbox, tmp_path):
    profile = {"driver": "GTiff", "width": 16, "height": 16, "count": 1, "dtype": "uint8", "crs": 4326}
    with rasterio.open(tmp_path / "a.tif", "w", transform=from_bounds(13, 52, 13.1, 52.1, 16, 16), **profile) as raster:
        raster.write(np.ones((1, 16, 16), np.uint8))
    both = start_sandbox(imagery=tmp_path)
    june = "2026-06-01T00:00:00Z/2026-06-04T00:00:00Z"
    found = [item for page in pages(both, datetime=june, bbox=[13, 52, 13.1, 52.1], limit=3) for item in page]
    dates = [item["properties"]["datetime"] for item in found]
    assert dates == sorted(dates, reverse=True)
    (file,) = [item for item in found if item["collection"] == "sandbox-imagery"]
    assert [any(name.startswith("view:") for name in thing["properties"]) for thing in found].count(False) == 1
    assert [any("/view/" in name for name in thing["stac_extensions"]) for thing in found].count(False) == 1
    assert len(file["stac_extensions"]) == 1
    optical = [item["id"] for item in found if item["collection"] == "sandbox-optical"]
    assert optical
    path = f"{ROOT}/collections/sandbox-{{}}/items"
    assert [item["id"] for item in both.get(path.format("imagery")).json()["features"]] == [file["id"]]
    assert both.get(f"{path.format('imagery')}/{file['id']}").json() == file
    assert both.get(f"{path.format('optical')}/{file['id']}").status_code == 404
    assert both.get(f"{path.format('imagery')}/{optical[0]}").status_code == 404
    assert ids(both, filter="collection <> 'sandbox-optical'") == [file["id"]]


def test_the_whole_archive_begins_with_what_was_taken_last(sandbox):
    before = datetime.now(UTC)
    (newest, *_), *_ = itertools.islice(pages(sandbox), 1)
    assert before - timedelta(minutes=1) < datetime.fromisoformat(newest["properties"]["datetime"])
    (oldest, *_), *_ = itertools.islice(pages(sandbox, sortby=[{"field": "datetime", "direction": "asc"}]), 1)
    assert oldest["properties"]["datetime"].startswith("2015-01-01T00:00")


def test_what_is_still_to_be_taken_is_not_there(start_sandbox):
    early = start_sandbox()
    now = datetime.now(UTC)
    coming = next(scenes.find_scenes(0, Point(13.35, 52.45), now + timedelta(days=1), now + timedelta(days=9)))
    item = f"{ROOT}/collections/sandbox-optical/items/{coming.id}"
    assert early.get(item).status_code == 404
    soon, later = (f"{now + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}" for minutes in (1, 20_000))
    for search in ({"ids": [coming.id]}, {"datetime": f"{soon}/.."}, {"datetime": f"{soon}/{later}"}):
        assert ids(early, **search) == []
    assert early.post("/sandbox/clock", {"advance": 10 * 86_400}).status_code == 200
    assert early.get(item).status_code == 200
    assert ids(early, ids=[coming.id]) == [coming.id]


@pytest.mark.parametrize(
    "body",
    [
        {"token": "next:SBX_20260301T101010_R100C0100A"},
        {"token": "prev:unknown"},
        {"filter": {"op": "=", "args": [{"property": "order_id"}, "x"]}},
        {"sortby": [{"field": "properties.title"}]},
        {"datetime": "yesterday"},
    ],
)
def test_what_cannot_be_searched_is_400(sandbox, body):
    answer = sandbox.post(f"{ROOT}/search", body)
    assert (answer.status_code, answer.json()["status"]) == (400, 400)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A sandbox's world, in this process; it looks at 50 scenes before it gives up."""
    monkeypatch.setattr(scene_pages, "MAX_LOOKED_AT", 50)
    world = app.open_world(state=tmp_path / "state")
    yield world
    world.database.close()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"filter": "eo:cloud_cover < 0"}, "none of 50 scenes in a row matches"),
        ({"sortby": [{"field": "eo:cloud_cover"}]}, "more than 50 scenes would have to be sorted"),
    ],
)
def test_a_search_that_is_too_large_says_how_to_narrow_it(world, body, problem):
    with pytest.raises(Refused) as refused:
        scene_pages.find(world, stac_query.read({**IN_MARCH, **body}, scene_shapes.QUERYABLES))
    assert refused.value.status == 400
    assert problem in refused.value.detail
    assert "Narrow the area or the datetime" in refused.value.detail


def test_what_does_not_match_in_between_is_not_in_vain(world):
    everything = scenes.find_scenes(0, box(*BBOX), *[datetime(2026, 3, day, tzinfo=UTC) for day in (1, 31)])
    cloudy = [scene for scene in everything if scene.cloud_cover_percent > 10]
    search = {**IN_MARCH, "datetime": "2026-03-01T00:00:00Z/2026-03-31T00:00:00Z", "limit": 500}
    query = stac_query.read({**search, "filter": "eo:cloud_cover > 10"}, scene_shapes.QUERYABLES)
    assert scene_pages.find(world, query) == (cloudy, None)


def test_a_page_may_be_short_after_a_long_search_in_vain(world):
    late = "datetime > TIMESTAMP('2026-03-25T00:00:00Z') OR eo:cloud_cover < 0"
    page, token = scene_pages.find(
        world, stac_query.read({**IN_MARCH, "filter": late, "limit": 500}, scene_shapes.QUERYABLES)
    )
    assert {scene.acquired_at.day for scene in page} <= set(range(25, 32))
    assert 0 < len(page) < 500
    assert token == f"next:{page[-1].id}"


@pytest.mark.parametrize(
    "path",
    [
        "collections/phr",
        "collections/phr/items",
        "collections/phr/queryables",
        "collections/sandbox-optical/items/unknown",
    ],
)
def test_what_is_not_there_is_404(sandbox, path):
    assert sandbox.get(f"{ROOT}/{path}").status_code == 404


def test_queryables_name_themselves(sandbox):
    for path in ("queryables", "collections/sandbox-optical/queryables"):
        answer = sandbox.get(f"{ROOT}/{path}")
        assert answer.headers["Content-Type"] == "application/schema+json"
        assert answer.json()["$id"] == f"{sandbox.url}{ROOT}/{path}"
        assert {"eo:cloud_cover", "datetime", "geometry", "platform"} <= set(answer.json()["properties"])
