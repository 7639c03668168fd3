"""Pictures in metadata: they show what they are to show, and stay small."""

from __future__ import annotations

import base64
import re
import warnings
from datetime import UTC, datetime

import numpy as np
import pystac
import pytest
import shapely
from rasterio.io import MemoryFile

from up42_pipelines.assets import processed_cogs
from up42_pipelines.assets.previews import MAX_BYTES, before_after, features_picture, picture, png
from up42_pipelines.lake import PARQUET_MEDIA_TYPE, LandedItem

BOUNDS = (13.0, 52.0, 14.0, 53.0)
OUTLINE = [255, 214, 10]
GREY = png(np.full((1, 100, 200), 128, "uint8"))
NOISE = png(np.random.default_rng(1).integers(0, 255, (3, 300, 300), dtype="uint8"))


def pixels(image, driver="PNG"):
    """Of a picture, `(y, x, band)`."""
    with warnings.catch_warnings(), MemoryFile(image) as file:
        warnings.simplefilter("ignore")
        with file.open(driver=driver) as source:
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
    return [base64.b64decode(found) for found in re.findall(r"data:image/jpeg;base64,([^)]+)\)", metadata.value)]


def test_two_pictures_side_by_side():
    metadata = before_after(NOISE, GREY)
    before, after = images(metadata)
    assert pixels(before, "JPEG").shape == (200, 200, 3), "noise does not compress well"
    assert pixels(after, "JPEG").shape == (100, 200, 1)
    header, rule, row = metadata.value.splitlines()
    assert (header, rule) == ("| before | after |", "| --- | --- |")
    assert re.fullmatch(r"\| !\[before\]\(\S+\) \| !\[after\]\(\S+\) \|", row)
    assert sum(map(len, images(before_after(NOISE, NOISE)))) <= MAX_BYTES


def test_a_picture_that_is_missing_or_none():
    assert before_after(None, b"no picture").value.endswith("| _no picture_ | _cannot be shown_ |")
    assert len(images(before_after(None, GREY))) == 1


def test_a_box_with_heights_is_a_place_too(monkeypatch):
    """STAC allows it; a picture must not fail what has landed."""
    item = pystac.Item("i", None, [13, 52, 0, 14, 53, 80], datetime(2026, 6, 1, tzinfo=UTC), {})
    item.add_asset("found", pystac.Asset("found.parquet", media_type=PARQUET_MEDIA_TYPE))
    landed = LandedItem(
        item=item,
        findings=(),
        withheld={},
        bytes_fetched=0,
        assets_fetched=0,
        files_kept=0,
        seconds=0.0,
        already_there=True,
        quicklook=None,
    )
    outline = shapely.box(13.25, 52.25, 13.75, 52.75)
    monkeypatch.setattr(processed_cogs, "read_features", lambda *_: [outline])
    flat = features_picture([outline], BOUNDS, None)
    assert processed_cogs._features_picture(None, landed, None, None) == picture(flat, alt="features")
