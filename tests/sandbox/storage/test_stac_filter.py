import contextlib
import json
import time
from datetime import UTC, datetime

import pytest
from shapely.geometry import Point, box

from up42_pipelines.sandbox.core.problems import Refused
from up42_pipelines.sandbox.storage import stac_filter

VIEW = {
    "id": "x",
    "collection": "c",
    "geometry": {"type": "Point", "coordinates": [1.0, 2.0]},
    "datetime": "2026-03-01T00:00:00Z",
    "cloud": 3.5,
    "job_id": None,
    "tags": ["a", "b"],
}


def read(source, language=None):
    return stac_filter.read(source, language, VIEW)


def where(op, name, *values):
    return {"op": op, "args": [{"property": name}, *values]}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("cloud < 4 AND collection = 'c'", True),
        ("cloud BETWEEN 3 AND 4", True),
        ("cloud NOT BETWEEN 3 AND 4", False),
        ("datetime = TIMESTAMP('2026-03-01T01:00:00+01:00')", True),
        ("datetime BETWEEN TIMESTAMP('2026-01-01T00:00:00Z') AND TIMESTAMP('2027-01-01T00:00:00Z')", True),
        ("datetime BETWEEN TIMESTAMP('2025-01-01T00:00:00Z') AND TIMESTAMP('2026-01-01T00:00:00Z')", False),
        ("T_DURING(datetime, INTERVAL('2026-01-01T00:00:00Z', '..'))", True),
        ("datetime > DATE('2026-03-01')", False),
        ("S_INTERSECTS(geometry, POLYGON((0 0, 3 0, 3 3, 0 3, 0 0)))", True),
        ("S_INTERSECTS(geometry, BBOX(2, 2, 3, 3))", False),
        ("A_CONTAINS(tags, ('a'))", True),
        ("id IN ('y', 'x')", True),
        ("CASEI(id) LIKE CASEI('X%')", True),
        ("job_id IS NULL", True),
        # A comparison with null is neither true nor false.
        ("job_id = 'x'", False),
        ("NOT job_id = 'x'", False),
        ("job_id = 'x' OR id = 'x'", True),
        ("cloud = 'three'", False),
    ],
)
def test_what_holds(text, holds):
    found = read(text)
    assert found.holds(VIEW) is holds
    # The same filter, written as JSON.
    assert read(json.loads(json.dumps(found.expression.to_json()))).holds(VIEW) is holds


@pytest.mark.parametrize(
    ("source", "language"),
    [
        ({"op": "resembles", "args": [{"property": "id"}, "x"]}, None),
        (where("=", "up42-order:id", "x"), None),
        ({"nonsense": 1}, None),
        (where("=", "id"), None),
        (where("between", "cloud", [0, 4]), None),
        (where(">", "datetime", {"timestamp": "yesterday"}), None),
        (where(">", "datetime", {"date": "2026-02-30"}), None),
        (where("t_during", "datetime", {"interval": ["2026-01-01T00:00:00Z", 7]}), None),
        (where("s_intersects", "geometry", {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}), None),
        (where("s_intersects", "geometry", {"bbox": [0, 0, 1]}), None),
        ("id =", None),
        (7, None),
        ("id = 'x'", "cql2-json"),
        (where("=", "id", "x"), "cql2-text"),
        ("id = 'x'", "sql"),
        ("{", "cql2-json"),
    ],
)
def test_what_would_quietly_match_nothing_is_refused(source, language):
    with pytest.raises(Refused) as refused:
        read(source, language)
    assert refused.value.status == 400


def test_json_may_come_as_a_text():
    assert read(json.dumps(where("=", "id", "x")), "cql2-json").holds(VIEW)


@pytest.mark.parametrize(
    "source",
    [
        "(" * 30 + "id = 'x'",
        "id = 'x' AND (" * 30,
        "(" * 5000 + "id = 'x'" + ")" * 5000,
        "cloud = " + "1 + " * 20_000 + "1",
        "NOT " * 20_000 + "id = 'x'",
        {"op": "in", "args": [{"property": "id"}, [[[[[[["x"]] * 2] * 2] * 2] * 2] * 2]]},
    ],
    ids=lambda source: str(source)[:12],
)
def test_what_would_hang_or_kill_the_parser_is_refused_or_read_at_once(source):
    before = time.monotonic()
    with contextlib.suppress(Refused):
        read(source)
    assert time.monotonic() - before < 1


def test_a_filter_nested_too_deeply_is_refused():
    tree = where("=", "id", "x")
    for _ in range(200):
        tree = {"op": "not", "args": [tree]}
    with pytest.raises(Refused):
        read(tree)


@pytest.mark.parametrize(
    ("text", "demanded"),
    [
        ("id = 'x'", "x"),
        ("cloud < 4 AND (collection = 'c' AND id = 'x')", "x"),
        ("id = 'x' OR id = 'y'", None),
        ("NOT id = 'x'", None),
        ("id <> 'x'", None),
        ("collection = 'x'", None),
    ],
)
def test_only_what_must_be_equal_is_demanded(text, demanded):
    assert read(text).demanded("id") == demanded


MARCH = datetime(2026, 3, 1, tzinfo=UTC)
LATER = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("datetime >= TIMESTAMP('2026-03-01T00:00:00Z') AND cloud < 4", (MARCH, None)),
        ("datetime < TIMESTAMP('2026-03-02T12:00:00Z')", (None, LATER)),
        ("datetime = TIMESTAMP('2026-03-01T00:00:00Z')", (MARCH, MARCH)),
        ("datetime BETWEEN TIMESTAMP('2026-03-01T00:00:00Z') AND TIMESTAMP('2026-03-02T12:00:00Z')", (MARCH, LATER)),
        ("T_DURING(datetime, INTERVAL('2026-03-01T00:00:00Z', '2026-03-02T12:00:00Z'))", (MARCH, LATER)),
        ("datetime <= DATE('2026-03-01')", (None, datetime(2026, 3, 1, 23, 59, 59, 999_999, tzinfo=UTC))),
        (
            "datetime > TIMESTAMP('2020-01-01T00:00:00Z') AND datetime > TIMESTAMP('2026-03-01T00:00:00Z')",
            (MARCH, None),
        ),
        ("datetime > TIMESTAMP('2026-03-01T00:00:00Z') OR cloud < 4", (None, None)),
        ("datetime <> TIMESTAMP('2026-03-01T00:00:00Z')", (None, None)),
        ("T_DISJOINT(datetime, INTERVAL('2026-03-01T00:00:00Z', '2026-03-02T12:00:00Z'))", (None, None)),
    ],
)
def test_the_interval_that_a_filter_leaves(text, interval):
    assert read(text).interval() == interval


def test_the_area_that_a_filter_leaves():
    assert read("S_WITHIN(geometry, BBOX(0, 0, 3, 3)) AND cloud < 4").area() == box(0, 0, 3, 3)
    assert read("S_INTERSECTS(geometry, POINT(1 2))").area() == Point(1, 2)
    assert read("S_DISJOINT(geometry, POINT(1 2))").area() is None
    assert read("S_INTERSECTS(geometry, POINT(1 2)) OR cloud < 4").area() is None


@pytest.mark.parametrize(
    ("text", "excluded"),
    [
        ("collection = 'other' AND cloud < 4", True),
        ("collection <> 'c'", True),
        ("collection IN ('a', 'b')", True),
        ("NOT collection = 'c'", True),
        ("collection = 'c'", False),
        ("collection = 'other' OR cloud < 4", False),
        ("job_id IS NULL", False),
        ("NOT job_id IS NULL", False),
        ("cloud > 99", False),
    ],
)
def test_what_is_known_may_exclude_a_match(text, excluded):
    assert read(text).excludes({"collection": "c"}) is excluded
