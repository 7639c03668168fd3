"""How much of an archive order's area was delivered; tasking orders are looked at with their deliveries."""

import pytest
from shapely.geometry import MultiPolygon, Polygon, box, mapping, shape

from up42_pipelines.sandbox.core import geometry
from up42_pipelines.sandbox.ordering import coverage

EMPTY = {"type": "FeatureCollection", "features": []}
AREA = box(13, 52, 13.02, 52.01)


def test_nothing_delivered():
    found = coverage.measure(AREA, [])
    assert found["covered"] == {"sqKmArea": 0.0, "percentage": 0.0, "geometry": EMPTY}
    assert found["remainder"]["percentage"] == 100
    assert found["remainder"]["sqKmArea"] == pytest.approx(geometry.area_km2(AREA), abs=1e-4)
    (feature,) = found["remainder"]["geometry"]["features"]
    assert feature["type"] == "Feature"
    assert shape(feature["geometry"]).equals(AREA)


def test_a_part_delivered():
    found = coverage.measure(AREA, [box(12.9, 51, 13.005, 53)])
    assert (found["covered"]["percentage"], found["remainder"]["percentage"]) == pytest.approx((25, 75), abs=0.01)
    assert found["covered"]["percentage"] + found["remainder"]["percentage"] == 100
    total = found["covered"]["sqKmArea"] + found["remainder"]["sqKmArea"]
    assert total == pytest.approx(geometry.area_km2(AREA), abs=1e-3)
    (feature,) = found["covered"]["geometry"]["features"]
    assert shape(feature["geometry"]).symmetric_difference(box(13, 52, 13.005, 52.01)).area < 1e-12


def test_what_is_delivered_twice_counts_once():
    half = box(13, 52, 13.01, 52.01)
    assert coverage.measure(AREA, [half, half]) == coverage.measure(AREA, [half])


def test_separate_parts_are_one_feature():
    found = coverage.measure(AREA, [box(13, 52, 13.005, 52.01), box(13.015, 52, 13.02, 52.01)])
    (feature,) = found["covered"]["geometry"]["features"]
    assert feature["geometry"]["type"] == "MultiPolygon"
    assert found["covered"]["percentage"] == pytest.approx(50, abs=0.01)


@pytest.mark.parametrize("turned", [Polygon([(13, 52), (13.02, 52.003), (13.017, 52.013), (12.998, 52.008)]), AREA])
def test_halves_leave_no_splinters_between_them(turned):
    west, south, east, north = turned.bounds
    middle = west + (east - west) / 3
    halves = [
        turned.intersection(box(west, south, middle, north)),
        turned.intersection(box(middle, south, east, north)),
    ]
    found = coverage.measure(turned, halves)
    assert found["remainder"] == {"sqKmArea": 0.0, "percentage": 0.0, "geometry": EMPTY}
    assert found["covered"]["percentage"] == 100


def test_areas_of_several_polygons():
    two = MultiPolygon([box(179.9, 0, 180, 0.1), box(-180, 0, -179.9, 0.1)])
    assert coverage.measure(two, [two.geoms[0]])["covered"]["percentage"] == pytest.approx(50, abs=0.01)


def test_an_order_in_two_parts_is_covered_by_halves(start_sandbox, take_scene, aoi):
    sandbox = start_sandbox(speed=1)
    sandbox.post("/sandbox/fates", {"kind": "order", "fate": "in_parts"})
    order_id, seen = sandbox.place(take_scene().id), []
    while sandbox.status(order_id) != "FULFILLED":
        found = sandbox.get(f"/v2/coverage/orders/{order_id}").json()
        seen += [found] if found not in seen else []
        sandbox.post("/sandbox/clock", {"advance": 5})
    nothing, half = seen
    assert (nothing["covered"]["percentage"], nothing["covered"]["geometry"]) == (0, EMPTY)
    assert half["covered"]["percentage"] == pytest.approx(50, abs=0.1)
    everything = sandbox.get(f"/v2/coverage/orders/{order_id}").json()
    assert everything["remainder"] == {"sqKmArea": 0.0, "percentage": 0.0, "geometry": EMPTY}
    (feature,) = everything["covered"]["geometry"]["features"]
    assert shape(feature["geometry"]).symmetric_difference(shape(aoi)).area < 1e-12


def test_what_lies_outside_the_scene_is_never_covered(sandbox, take_scene):
    scene = take_scene()
    west, south, east, north = scene.footprint.bounds
    beyond = mapping(box(west - 0.1, south, east, north))
    order_id = sandbox.place(scene.id, geometries=[beyond])
    sandbox.wait_for_end(order_id)
    found = sandbox.get(f"/v2/coverage/orders/{order_id}").json()
    assert 50 < found["covered"]["percentage"] < 90
    assert found["covered"]["sqKmArea"] == pytest.approx(geometry.area_km2(scene.footprint), rel=1e-4)


def test_an_unknown_order_has_no_coverage(sandbox):
    for order_id in ("00000000-0000-4000-8000-000000000000", "nonsense"):
        answer = sandbox.get(f"/v2/coverage/orders/{order_id}")
        assert (answer.status_code, answer.json()["status"]) == (404, 404)
