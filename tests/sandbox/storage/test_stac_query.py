from datetime import UTC, datetime

import pytest

from up42_pipelines.sandbox.core.problems import Refused
from up42_pipelines.sandbox.storage import stac_query

QUERYABLES = dict.fromkeys(("id", "collection", "geometry", "datetime", "cloud", "tags"), "string")
VIEW = {
    "id": "x",
    "collection": "c",
    "geometry": {"type": "Point", "coordinates": [1.0, 2.0]},
    "datetime": "2026-03-01T10:00:00Z",
    "cloud": 3.5,
    "tags": [],
}


def read(**body):
    return stac_query.read({key.replace("_", "-"): value for key, value in body.items()}, QUERYABLES)


@pytest.mark.parametrize(
    ("body", "matches"),
    [
        ({}, True),
        ({"ids": ["y", "x"]}, True),
        ({"ids": ["X"]}, False),
        ({"collections": ["c"]}, True),
        ({"collections": ["d"]}, False),
        ({"bbox": [0, 0, 1, 2]}, True),
        ({"bbox": [0, 0, -100, 1, 2, 100]}, True),
        ({"bbox": [2, 0, 3, 3]}, False),
        ({"intersects": {"type": "Point", "coordinates": [1, 2]}}, True),
        (
            {
                "intersects": {
                    "type": "GeometryCollection",
                    "geometries": [
                        {"type": "Point", "coordinates": [50, 50]},
                        {"type": "LineString", "coordinates": [[0, 2], [2, 2]]},
                    ],
                }
            },
            True,
        ),
        ({"datetime": "2026-03-01t10:00:00z"}, True),
        ({"datetime": "2026-03-01T11:00:00.0000000+01:00"}, True),
        ({"datetime": "../2026-03-01T09:59:59Z"}, False),
        ({"datetime": "2026-03-01T10:00:00Z/"}, True),
        ({"filter": "cloud < 3"}, False),
        ({"ids": ["x"], "filter": "cloud < 3"}, False),
    ],
)
def test_everything_that_is_given_must_hold(body, matches):
    assert read(**body).matches(VIEW) is matches


@pytest.mark.parametrize(
    "text",
    [
        "/",
        "../..",
        "",
        "2026-03-01",
        "2026-03-01T10:00:00",
        "2026-03-01 10:00:00Z",
        "2026-03-01T10:00:00+0100",
        "2026-03-01T10:00:00,5Z",
        "2026-03-01T10:00:00.Z",
        "2026-03-01T25:00:00Z",
        "26-03-01T10:00:00Z",
        "2026-03-02T00:00:00Z/2026-03-01T00:00:00Z",
        "/2026-03-01T00:00:00Z/2026-03-02T00:00:00Z",
        7,
    ],
)
def test_what_is_not_rfc_3339_is_refused(text):
    with pytest.raises(Refused):
        read(datetime=text)


@pytest.mark.parametrize(
    "body",
    [
        {"bbox": [0, 0, 1]},
        {"bbox": [0, 0, 0, 1, 1]},
        {"bbox": "0,0,1,1"},
        {"bbox": [0, 0, 1, 1], "intersects": {"type": "Point", "coordinates": [0, 0]}},
        {"intersects": {"type": "GeometryCollection", "geometries": [{"type": "Curve"}]}},
        {"limit": 0},
        {"limit": True},
        {"limit": "ten"},
        {"token": 7},
        {"ids": "x"},
        {"collections": [7]},
        {"sortby": [{"field": "mood"}]},
        {"sortby": [{"field": "tags"}]},
        {"sortby": [{"field": "cloud", "direction": "up"}]},
        {"sortby": "datetime"},
    ],
)
def test_what_makes_no_sense_is_refused(body):
    with pytest.raises(Refused) as refused:
        read(**body)
    assert refused.value.status == 400


def test_a_query_string_asks_for_the_same_as_a_body():
    given = {
        "ids": "x,y",
        "collections": "c",
        "bbox": "0,0,1.5,2",
        "datetime": "2026-03-01T10:00:00Z/..",
        "limit": "7",
        "sortby": "-cloud,+properties.datetime, id",
        "filter": "cloud < 4",
        "token": "next:x",
        "unknown": "ignored",
    }
    assert stac_query.body_of(given.get) == {
        "ids": ["x", "y"],
        "collections": ["c"],
        "bbox": [0, 0, 1.5, 2],
        "datetime": "2026-03-01T10:00:00Z/..",
        "limit": 7,
        "sortby": [
            {"field": "cloud", "direction": "desc"},
            {"field": "properties.datetime", "direction": "asc"},
            {"field": "id", "direction": "asc"},
        ],
        "filter": "cloud < 4",
        "filter-lang": "cql2-text",
        "token": "next:x",
    }
    shape = {"intersects": '{"type": "Point", "coordinates": [1, 2]}'}
    assert stac_query.body_of(shape.get) == {"intersects": {"type": "Point", "coordinates": [1, 2]}}


@pytest.mark.parametrize("given", [{"bbox": "[0,0,1,1]"}, {"intersects": "POINT(1 2)"}, {"limit": "-1"}])
def test_a_query_string_that_cannot_be_read_is_refused(given):
    with pytest.raises(Refused):
        stac_query.body_of(given.get)


def test_limits_are_cut_down():
    assert read().limit == 10
    assert read(limit=1_000_000).limit == 500


def test_views_are_ordered_field_by_field_with_null_last():
    views = [{"id": name, "cloud": cloud} for name, cloud in (("a", 2), ("b", None), ("c", 1), ("d", 2))]

    def order(*sort):
        query = read(sortby=[{"field": f"properties.{field}", "direction": way} for field, way in sort])
        return "".join(view["id"] for view in sorted(views, key=query.position))

    assert order(("cloud", "asc")) == "cadb"
    assert order(("cloud", "desc")) == "adcb"
    assert order(("cloud", "desc"), ("id", "desc")) == "dacb"
    assert order() == "abcd"


def test_search_and_filter_together_leave_an_interval_and_an_area():
    query = read(datetime="2026-01-01T00:00:00Z/..", filter="datetime < TIMESTAMP('2026-02-01T00:00:00Z')")
    assert query.interval == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    assert read(filter="S_INTERSECTS(geometry, BBOX(0, 0, 1, 1))").reach.bounds == (0, 0, 1, 1)
    assert read(bbox=[0, 0, 2, 2], filter="S_INTERSECTS(geometry, BBOX(0, 0, 1, 1))").reach.bounds == (0, 0, 2, 2)
    assert read(filter="id = 'x'").demanded("id") == "x"
    assert (read().interval, read().reach, read().demanded("id")) == ((None, None), None, None)
