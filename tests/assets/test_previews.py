"""Pictures in metadata: they show what they are to show, and stay small."""

from __future__ import annotations

import base64
import re
import warnings

import numpy as np
import pytest
import shapely
from rasterio.io import MemoryFile

from up42_pipelines.assets.previews import MAX_BYTES, before_after, features_picture, png

BOUNDS = (13.0, 52.0, 14.0, 53.0)
OUTLINE = [255, 214, 10]
GREY = png(np.full((1, 100, 200), 128, "uint8"))
NOISE = png(np.random.default_rng(1).integers(0, 255, (3, 300, 300), dtype="uint8"))


def pixels(image):
    """Of a PNG, `(y, x, band)`."""
    with warnings.catch_warnings(), MemoryFile(image) as file:
        warnings.simplefilter("ignore")
        with file.open(driver="PNG") as source:
            return np.moveaxis(source.read(), 0, -1)


def touched(image):
    """Rows and columns of the outline, as shares of the picture: top, left, bottom, right."""
    found = np.argwhere((pixels(image) == OUTLINE).all(axis=-1))
    shape = pixels(image).shape[:2]
    return [*(found.min(axis=0) / shape), *((found.max(axis=0) + 1) / shape)] if len(found) else []


@pytest.mark.parametrize(
    "geometry",
    [
        shapely.box(13.25, 52.5, 13.75, 52.75),
        shapely.MultiPolygon([shapely.box(13.25, 52.5, 13.3, 52.6), shapely.box(13.7, 52.7, 13.75, 52.75)]),
        shapely.LineString([(13.25, 52.5), (13.75, 52.75)]),
        shapely.GeometryCollection([shapely.MultiLineString([[(13.25, 52.5), (13.75, 52.75)]]), shapely.Polygon()]),
    ],
)
@pytest.mark.parametrize("background", [None, GREY, NOISE])
def test_features_are_drawn_where_they_are(geometry, background):
    drawn = features_picture([geometry], BOUNDS, background)
    assert touched(drawn) == pytest.approx([0.25, 0.25, 0.5, 0.75], abs=0.02)
    assert len(drawn) <= MAX_BYTES


def test_a_polygon_is_an_outline_and_a_point_a_dot():
    square, point = shapely.box(13.25, 52.25, 13.75, 52.75), shapely.Point(13.5, 52.5)
    middle = pixels(features_picture([square], BOUNDS, GREY))[50, 100]
    assert middle.tolist() == [128, 128, 128], "what was found can be seen"
    assert pixels(features_picture([square, point], BOUNDS, GREY))[50, 100].tolist() == OUTLINE


def test_the_shape_is_that_of_the_image_or_of_the_place():
    assert pixels(features_picture([], BOUNDS, GREY)).shape == (100, 200, 3)
    height, width, _ = pixels(features_picture([], BOUNDS, None)).shape
    assert width / height == pytest.approx(np.cos(np.radians(52.5)), abs=0.02)
    assert pixels(features_picture([], BOUNDS, b"no picture")).shape == (height, width, 3)


def test_nothing_there_is_nothing_drawn():
    elsewhere = shapely.box(40, 10, 41, 11)
    for features in ([], [shapely.Point()], [elsewhere]):
        assert touched(features_picture(features, BOUNDS, GREY)) == []
    assert touched(features_picture([elsewhere], (13, 52, 13, 52), None)) == []


def test_across_the_antimeridian():
    beyond = shapely.box(-179.875, 0.0, -179.75, 0.25)
    found = touched(features_picture([beyond], (179.5, -0.5, -179.5, 0.5), None))
    assert found == pytest.approx([0.25, 0.625, 0.5, 0.75], abs=0.02)


def images(metadata):
    return [base64.b64decode(found) for found in re.findall(r"data:image/png;base64,([^)]+)\)", metadata.value)]


def test_two_pictures_side_by_side():
    assert sum(map(len, images(before_after(NOISE, NOISE)))) <= MAX_BYTES
    metadata = before_after(NOISE, GREY)
    before, after = images(metadata)
    assert pixels(before).shape[0] < 200, "noise does not compress"
    assert pixels(after).shape == (100, 200, 1)
    header, rule, row = metadata.value.splitlines()
    assert (header, rule) == ("| before | after |", "| --- | --- |")
    assert re.fullmatch(r"\| !\[before\]\(\S+\) \| !\[after\]\(\S+\) \|", row)


def test_a_picture_that_is_missing_or_none():
    assert before_after(None, b"no picture").value.endswith("| _no picture_ | _cannot be shown_ |")
    assert len(images(before_after(None, GREY))) == 1
