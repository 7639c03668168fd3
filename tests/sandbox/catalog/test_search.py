import base64
import json
import math
from datetime import UTC, datetime, timedelta
from io import BytesIO

import numpy as np
import pytest
import rasterio
from shapely.geometry import box, shape

SEARCH = "/catalog/hosts/sandbox-host/stac/search"
MARCH = "2026-03-01T00:00:00Z/2026-03-31T23:59:59Z"
BBOX = [13.3, 52.4, 13.4, 52.5]


def pages(sandbox, body, url=None):
    """Follow the next links, POSTing the same body."""
    url = url or sandbox.url + SEARCH
    while url:
        answer = sandbox.http.post(url, json=body)
        assert answer.status_code == 200, answer.text
        yield answer.json()["features"]
        url = next((link["href"] for link in answer.json()["links"] if link["rel"] == "next"), None)


def find(sandbox, **body):
    return [feature["properties"] for page in pages(sandbox, body) for feature in page]


def test_scenes_lie_where_and_when_they_were_asked_for(sandbox):
    (features,) = pages(sandbox, {"bbox": BBOX, "datetime": MARCH, "collections": ["SANDBOX-OPTICAL"]})
    assert len(features) > 10
    for feature in features:
        properties = feature["properties"]
        assert shape(feature["geometry"]).intersects(box(*BBOX))
        assert feature["bbox"] == pytest.approx(shape(feature["geometry"]).bounds)
        assert properties["acquisitionDate"].startswith("2026-03-")
        assert properties["datetime"] == properties["acquisitionDate"]
        assert properties["id"] == properties["sceneId"]
        assert 0 <= properties["cloudCoverage"] <= 100
        assert (properties["collection"], properties["providerName"]) == ("sandbox-optical", "sandbox-host")
        assert properties["deliveryTime"] == "MINUTES"
        assert "incidenceAngle" in properties["providerProperties"]
        assert "id" not in feature
        assert "assets" not in feature
    dates = [feature["properties"]["acquisitionDate"] for feature in features]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize("sort", [None, ("acquisitionDate", "asc"), ("properties.cloudCoverage", "desc")])
def test_pages_lose_and_repeat_nothing(sandbox, sort):
    body = {"bbox": BBOX, "datetime": MARCH}
    if sort:
        body["sortby"] = [{"field": sort[0], "direction": sort[1]}]
    whole = [scene["id"] for scene in find(sandbox, **body)]
    cut = list(pages(sandbox, {**body, "limit": 7}))
    assert [feature["properties"]["id"] for page in cut for feature in page] == whole
    assert {len(page) for page in cut[:-1]} == {7}
    assert len(set(whole)) == len(whole) > 20


def test_the_cursor_is_base64_json_with_host_and_offset(sandbox):
    answer = sandbox.post(SEARCH, {"bbox": BBOX, "datetime": MARCH, "limit": 2}).json()
    next_link = next(link["href"] for link in answer["links"] if link["rel"] == "next")
    cursor = json.loads(base64.urlsafe_b64decode(next_link.partition("?next=")[2].replace("%3D", "=")))
    assert (cursor["providerName"], cursor["nextOffset"]) == ("sandbox-host", 2)


def test_conditions_choose(sandbox):
    everything = find(sandbox, bbox=BBOX, datetime=MARCH)
    clear = find(sandbox, bbox=BBOX, datetime=MARCH, query={"cloudCoverage": {"LT": 10}, "resolution": {"lte": 3}})
    assert [scene for scene in everything if scene["cloudCoverage"] < 10] == clear
    assert 0 < len(clear) < len(everything)
    assert find(sandbox, bbox=BBOX, datetime=MARCH, query={"resolution": {"gt": 3}}) == []
    assert find(sandbox, bbox=BBOX, datetime=MARCH, query={"resolution": {"eq": 3}}) == everything
    assert find(sandbox, bbox=BBOX, datetime=MARCH, query={"deliveryTime": {"in": ["DAYS"]}}) == []


def test_ids_alone_are_enough(sandbox):
    some = find(sandbox, bbox=BBOX, datetime=MARCH)[3:5]
    assert find(sandbox, ids=[scene["id"] for scene in some] + ["SBX_20260301T101010_R100C0100A"]) == some


def test_a_multipolygon_counts_as_its_bounding_box(sandbox):
    corners = [box(13.0, 52.0, 13.01, 52.01), box(13.9, 52.9, 13.91, 52.91)]
    multi = {"type": "MultiPolygon", "coordinates": [[list(map(list, part.exterior.coords))] for part in corners]}
    assert find(sandbox, intersects=multi, datetime=MARCH) == find(
        sandbox, bbox=[13.0, 52.0, 13.91, 52.91], datetime=MARCH
    )


def test_a_bbox_may_cross_the_antimeridian(sandbox):
    found = find(sandbox, bbox=[179.9, -17.2, -179.9, -17.0], datetime=MARCH)
    columns = {scene["id"][-5:-1] for scene in found}
    assert {"0000", "1439"} <= columns


def test_nothing_comes_from_the_future_or_from_before_2015(sandbox):
    soon = datetime.now(UTC) + timedelta(minutes=1)
    month = timedelta(days=30)
    assert find(sandbox, bbox=BBOX, datetime=f"{soon.isoformat()}/..") == []
    assert find(sandbox, bbox=BBOX, datetime=f"{soon.isoformat()}/{(soon + month).isoformat()}") == []
    assert find(sandbox, bbox=BBOX, datetime=f"{(soon - month).isoformat()}/{soon.isoformat()}")
    assert find(sandbox, bbox=BBOX, datetime="../2014-12-31T23:59:59Z") == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"limit": 501}, 400),
        ({"limit": 0}, 400),
        ({"collections": ["phr"]}, 422),
        ({"bbox": [13.4, 52.5, 13.3]}, 422),
        ({"bbox": [13.3, 52.5, 13.4, 52.4]}, 422),
        ({"bbox": [13.3, 52.4, 13.4, 152.5]}, 422),
        ({"bbox": [13.3, 52.4, 13.4, "north"]}, 422),
        ({"intersects": {"type": "Point", "coordinates": [13, 52]}}, 422),
        ({"bbox": None, "intersects": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}}, 422),
        ({"bbox": None, "intersects": {"type": "GeometryCollection", "geometries": []}}, 422),
        ({"datetime": "2026-03-01"}, 422),
        ({"datetime": "../.."}, 422),
        ({"datetime": "2026-03-02T00:00:00Z/2026-03-01T00:00:00Z"}, 422),
        ({"datetime": 20260301}, 422),
        ({"query": {"cloudCoverage": {"near": 3}}}, 422),
        ({"query": {"mood": {"lt": 3}}}, 422),
        ({"sortby": [{"field": "properties.mood", "direction": "desc"}]}, 422),
        ({"bbox": None}, 422),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_documented_body(sandbox, change, status):
    answer = sandbox.post(SEARCH, {"bbox": BBOX, "datetime": MARCH} | change)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "details"}
    assert error["code"] == ("INVALID_ARGUMENT" if status == 400 else 422)
    assert error["message"]


def test_an_unknown_host_and_a_foreign_cursor_are_refused(sandbox):
    assert sandbox.post("/catalog/hosts/oneatlas/stac/search", {"bbox": BBOX}).status_code == 422
    odd = [{"nextOffset": math.inf}, {"after": [math.nan, "x"]}, {"after": [1e300, "x"]}, {"providerName": "oneatlas"}]
    cursors = [{"providerName": "sandbox-host", "nextOffset": 1, "after": [0, "x"], **one} for one in odd]
    for cursor in ["rubbish", *(base64.urlsafe_b64encode(json.dumps(one).encode()).decode() for one in cursors)]:
        answer = sandbox.post(f"{SEARCH}?next={cursor}", {"bbox": BBOX, "datetime": MARCH})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_ARGUMENT"), cursor


def test_a_search_that_is_too_large_says_how_to_narrow_it(sandbox):
    answer = sandbox.post(SEARCH, {"bbox": [-10, 35, 30, 70], "datetime": "2020-01-01T00:00:00Z/.."})
    assert answer.status_code == 422
    assert "Narrow the interval or the area" in answer.json()["error"]["details"]


@pytest.mark.parametrize(("name", "side"), [("quicklook", 512), ("thumbnail", 128)])
def test_pictures_show_the_full_scene(sandbox, take_scene, name, side):
    scene = take_scene(max_cloud=5)
    answer = sandbox.get(f"/catalog/sandbox-host/image/{scene.id}/{name}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        picture = rasterio.open(BytesIO(answer.content))
    with picture:
        assert side * 0.9 < max(picture.shape) <= side
        assert np.ptp(picture.read(2)[picture.height // 2]) > 0


def test_a_scene_that_is_not_there_has_no_picture(sandbox):
    answer = sandbox.get("/catalog/sandbox-host/image/unknown/quicklook")
    assert (answer.status_code, answer.json()) == (404, {"error": {"message": "Not Found"}})
