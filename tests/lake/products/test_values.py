from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import shape

from up42_pipelines.lake.products import values

ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@given(value=ANYTHING)
def test_no_value_of_a_stranger_raises(value: Any) -> None:
    for read in (values.percent, values.gsd_m, values.angle, values.azimuth, values.elevation):
        found = read(value)
        assert found is None or math.isfinite(found)
    assert values.integer(value, 1, 9) in {None, *range(1, 10)}
    assert values.utc(value) is None or isinstance(value, str)
    assert values.text(value) is None or isinstance(value, str)
    assert values.footprint_of_geojson(value) is None
    assert values.footprint_of_geojson({"type": "Polygon", "coordinates": [[[value, value]] * 4]}) is None


@pytest.mark.parametrize(
    ("read", "value", "found"),
    [
        (values.percent, "100.1", None),
        (values.percent, -1, None),
        (values.percent, "7,5", None),
        (values.percent, True, None),
        (values.percent, " 7.5 ", 7.5),
        (values.azimuth, "-10", 350.0),
        (values.angle, "-19.9", 19.9),
        (values.elevation, "-3", -3.0),
        (values.gsd_m, "0", None),
        (values.text, " a\n b ", "a b"),
        (values.text, "a\u202eb", None),
        (values.text, "x" * 201, None),
        (values.utc, "2024-04-30T15:34:21.1234567Z", datetime(2024, 4, 30, 15, 34, 21, 123_456, tzinfo=UTC)),
        (values.utc, "2024-04-30T15:34:21", datetime(2024, 4, 30, 15, 34, 21, tzinfo=UTC)),
        (values.utc, "2024-04-30T15:34:21+02:00", datetime(2024, 4, 30, 13, 34, 21, tzinfo=UTC)),
        (values.utc, "0001-01-01T00:00:00+14:00", None),
        (values.utc, "9999-12-31T23:59:59Z", None),
        (values.utc, "IMAGING_DATE", None),
    ],
)
def test_single_values(read: Any, value: object, found: object) -> None:
    assert read(value) == found


SQUARE = [(10, 50), (11, 50), (11, 49), (10, 49)]


def test_a_footprint_is_a_counter_clockwise_ring() -> None:
    ring = values.footprint(SQUARE)
    assert ring is not None
    assert shape(ring).exterior.is_ccw
    assert shape(ring).bounds == (10, 49, 11, 50)
    assert values.footprint(reversed(SQUARE)) is not None


def test_a_ring_that_crosses_itself_is_its_hull() -> None:
    crossed = [SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]]
    assert shape(values.footprint(crossed)).area == pytest.approx(1)
    assert shape(values.footprint([*SQUARE, (10.5, 49.5)], corners_only=True)).area == pytest.approx(1)


@pytest.mark.parametrize("east", [-179.0, 181.0])
def test_a_footprint_is_cut_at_the_antimeridian(east: float) -> None:
    geometry = values.footprint([(179, 1), (east, 1), (east, -1), (179, -1)])
    assert geometry is not None
    assert geometry["type"] == "MultiPolygon"
    assert shape(geometry).area == pytest.approx(4)
    assert sorted(part.bounds for part in shape(geometry).geoms) == [(-180, -1, -179, 1), (179, -1, 180, 1)]


@pytest.mark.parametrize(
    "points",
    [
        [],
        SQUARE[:2],
        [(0, 0), (1, 1), (2, 2)],
        [*SQUARE, (10, 91)],
        [*SQUARE, ("LON", "LAT")],
        [*SQUARE, (math.nan, 1)],
        [(0, 0), (120, 10), (240, 0)],
    ],
)
def test_points_without_an_area_on_earth_are_no_footprint(points: list[tuple[Any, Any]]) -> None:
    assert values.footprint(points) is None


@given(points=st.lists(st.tuples(st.floats(-180, 360), st.floats(-90, 90)), max_size=8), hull=st.booleans())
def test_a_footprint_lies_within_the_degrees_of_the_earth(points: list[tuple[float, float]], hull: bool) -> None:
    geometry = values.footprint(points, corners_only=hull)
    if geometry is not None:
        west, south, east, north = shape(geometry).bounds
        assert -180 <= west <= east <= 180
        assert -90 <= south <= north <= 90
