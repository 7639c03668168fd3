"""Records survive the way between processes."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from up42_pipelines.lake.confined.limits import ProcessLimits
from up42_pipelines.lake.confined.wire import from_line, rebuilt, to_line
from up42_pipelines.lake.rasters.records import Landed, RasterInfo
from up42_pipelines.lake.rasters.source import RasterSource

FLOATS = st.one_of(st.floats(), st.integers(-(2**63), 2**64))
TEXTS = st.text(max_size=20)  # surrogates are added below: names of files need not be UTF-8
PATHS = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=20).map(Path)
GEOMETRIES = st.none() | st.fixed_dictionaries(
    {"type": st.just("Polygon"), "coordinates": st.lists(st.lists(st.lists(st.floats(-180, 180), max_size=2)))}
)
INFOS = st.builds(
    RasterInfo,
    nodata=st.lists(st.none() | FLOATS, max_size=3).map(tuple),
    footprint_4326=GEOMETRIES,
)
LANDED = st.builds(Landed, info=INFOS, path=PATHS, valid_footprint=GEOMETRIES, quicklook=st.none() | st.binary())


def same(one, other) -> bool:
    """Equal, with NaN equal to itself, and 1 different from 1.0 and True."""
    if dataclasses.is_dataclass(one):
        return type(one) is type(other) and all(
            same(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one)
        )
    if isinstance(one, tuple | list):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return type(one) is type(other) and one == other


@settings(max_examples=60, deadline=None)
@given(st.one_of(INFOS, LANDED, st.builds(RasterSource, path=PATHS, members=st.lists(PATHS).map(tuple))))
def test_round_trip(record):
    line = to_line(record)
    assert line.count(b"\n") == 1
    assert same(from_line(line, type(record)), record)


def test_names_that_are_not_utf_8():
    source = RasterSource(path=Path("caf\udce9.tif"))
    assert from_line(to_line(source), RasterSource) == source


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({}, ProcessLimits),
        ({"path": "a", "driver": None, "members": [], "more": 1}, RasterSource),
        ({"path": 1, "driver": None, "members": []}, RasterSource),
        ({"path": "a", "driver": 5, "members": []}, RasterSource),
        ("a", float),
        (True, float),
        (True, int),
        (1, bool),
        ([1, 2, 3], tuple[int, int]),
        (["a"], tuple[int, ...]),
        ("not base64!", bytes),
        ([1], dict),
    ],
)
def test_anything_else_is_refused(value, kind):
    with pytest.raises(ValueError):  # noqa: PT011 - decoders word it
        rebuilt(value, kind)
