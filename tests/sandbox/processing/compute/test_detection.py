"""Detections on pictures painted by hand."""

import numpy as np
import pyproj
import pytest
from shapely.geometry import box, shape

from up42_pipelines.sandbox.imagery.layers import Layer
from up42_pipelines.sandbox.imagery.rendering import Grid
from up42_pipelines.sandbox.processing.compute import change, detection, vectors

GRID = Grid(epsg=32633, west=390_000.0, north=5_817_000.0, gsd_m=3.0, width=80, height=80)
BANDS = ("blue", "green", "red", "nir")
WATER, GREEN, ROOF, CLOUD = (0.06, 0.05, 0.03, 0.015), (0.035, 0.07, 0.04, 0.38), (0.29, 0.31, 0.33, 0.35), (0.6,) * 4


def painted(ground, *patches, bands=BANDS, valid=None):
    """A layer of one kind of ground with rectangles (rows, columns, kind) on it."""
    pixels = np.empty((4, GRID.height, GRID.width), np.float32)
    pixels[:] = np.array(ground, np.float32)[:, None, None]
    for rows, columns, kind in patches:
        pixels[:, rows, columns] = np.array(kind, np.float32)[:, None, None]
    everywhere = np.ones((GRID.height, GRID.width), bool)
    return Layer(GRID, BANDS, pixels, everywhere if valid is None else valid).select(bands)


def found(process_id, layer):
    return detection.detect(detection.TARGETS[process_id], [layer], {})["features"]


def changes(source, reference, sensitivity=2):
    return change.detect_change([source, reference], {"sensitivity": sensitivity})["features"]


HALL = (slice(10, 30), slice(40, 60), ROOF)


def test_a_building_is_outlined_where_it_stands():
    (building,) = found("detection-buildings-spacept", painted(GREEN, HALL))
    assert building["properties"] == {"class": "building", "score": pytest.approx(0.85, abs=0.05), "area_m2": 3600.0}
    outline = shape(building["geometry"])
    west, south, east, north = outline.bounds
    corner = pyproj.Transformer.from_crs(32633, 4326, always_xy=True).transform(390_120, 5_816_970)
    assert (west, north) == pytest.approx(corner, abs=2e-5)
    assert outline.exterior.is_ccw
    # 60 m are about 0.00088 degrees of longitude here, and 0.00054 of latitude.
    assert (east - west, north - south) == pytest.approx((8.8e-4, 5.4e-4), abs=5e-5)


def test_a_building_is_found_in_the_colours_alone():
    (building,) = found("detection-buildings-spacept", painted(GREEN, HALL, bands=("red", "green", "blue")))
    assert building["properties"]["area_m2"] == 3600.0


def test_where_there_is_nothing_the_collection_is_empty():
    for process_id in detection.TARGETS.keys() - {"detection-trees-spacept"}:
        assert found(process_id, painted(GREEN)) == [], process_id
    assert found("detection-trees-spacept", painted(WATER)) == []


def test_trees_are_points_one_in_each_piece_of_wood():
    bright = tuple(value * 1.35 for value in GREEN)
    trees = found("detection-trees-spacept", painted(GREEN, (slice(0, 40), slice(0, 80), bright)))
    assert {tree["geometry"]["type"] for tree in trees} == {"Point"}
    # Blocks of 13 pixels (40 m): four rows of them begin within the bright 40 rows, seven columns in 80.
    assert len(trees) == 4 * 7
    assert {tree["properties"]["class"] for tree in trees} == {"tree"}
    assert [tree["id"] for tree in trees] == list(range(1, 29))


def test_a_ship_has_water_around_it():
    boat = (slice(40, 44), slice(40, 50), ROOF)
    (ship,) = found("detection-ships-airbus", painted(WATER, boat))
    assert (ship["properties"]["class"], ship["properties"]["area_m2"]) == ("ship", 360.0)
    assert found("detection-ships-airbus", painted(GREEN, boat)) == []


def test_a_tank_is_compact_and_an_aircraft_is_not():
    square, long = (slice(10, 30), slice(10, 30), ROOF), (slice(50, 54), slice(5, 65), ROOF)
    (tank,) = found("detection-storage-tanks-airbus", painted(GREEN, square, long))
    (aircraft,) = found("detection-aircraft-oi", painted(GREEN, square, long))
    assert (tank["properties"]["area_m2"], aircraft["properties"]["area_m2"]) == (3600.0, 2160.0)


def test_shadows_are_dark_but_not_water():
    shadow = (slice(0, 10), slice(0, 10), (0.02, 0.025, 0.025, 0.1))
    (dark,) = found(
        "detection-shadows-spacept", painted(GREEN, shadow, (slice(40, 60), slice(0, 80), (0.03, 0.025, 0.015, 0)))
    )
    assert dark["properties"]["area_m2"] == 900.0


def test_what_is_a_cloud_or_no_data_is_nothing():
    valid = np.ones((GRID.height, GRID.width), bool)
    valid[10:30, 40:60] = False
    assert found("detection-buildings-spacept", painted(GREEN, HALL, valid=valid)) == []
    assert found("detection-storage-tanks-airbus", painted(GREEN, (slice(10, 30), slice(40, 60), CLOUD))) == []


def test_the_largest_are_kept(monkeypatch):
    monkeypatch.setattr(vectors, "MOST_FEATURES", 1)
    (building,) = found("detection-buildings-spacept", painted(GREEN, HALL, (slice(50, 79), slice(0, 79), ROOF)))
    assert building["properties"]["area_m2"] == 29 * 79 * 9


def test_what_was_built_is_a_change():
    (one,) = changes(painted(GREEN, HALL), painted(GREEN))
    assert (one["properties"]["class"], one["properties"]["area_m2"]) == ("change", 3600.0)
    (other,) = changes(painted(GREEN), painted(GREEN, HALL))
    assert other["geometry"] == one["geometry"]
    assert changes(painted(GREEN, HALL), painted(GREEN, HALL)) == []


def test_a_higher_sensitivity_finds_fainter_changes():
    faint = tuple(value + 0.07 for value in GREEN)
    source = painted(GREEN, HALL, (slice(50, 60), slice(50, 60), faint))
    assert [len(changes(source, painted(GREEN), sensitivity)) for sensitivity in (1, 2, 3, 4, 9)] == [0, 1, 1, 2, 2]
    assert change.detect_change([source, painted(GREEN)], {})["features"] == changes(source, painted(GREEN), 2)


def test_clouds_and_their_edges_are_no_change():
    cloud = (slice(30, 50), slice(60, 80), CLOUD)
    assert changes(painted(GREEN, cloud), painted(GREEN)) == changes(painted(GREEN), painted(GREEN, cloud)) == []
    # The hall ends where the cloud begins: 30 m of it are not looked at.
    (one,) = changes(painted(GREEN, HALL, cloud), painted(GREEN))
    assert one["properties"]["area_m2"] < 3000


def test_only_what_both_show_is_compared():
    valid = np.zeros((GRID.height, GRID.width), bool)
    valid[:, :50] = True
    (one,) = changes(painted(GREEN, HALL), painted(GREEN, valid=valid))
    assert one["properties"]["area_m2"] == 10 * 20 * 9
    (one,) = changes(painted(GREEN, HALL), painted(GREEN, bands=("red", "nir")))
    assert one["properties"]["area_m2"] == 3600.0


def test_a_coarser_reference_is_laid_over_the_source():
    coarse = painted(GREEN).onto(GRID.coarser(4))
    (one,) = changes(painted(GREEN, HALL), coarse)
    assert one["properties"]["area_m2"] == 3600.0


def test_scores_grow_with_the_contrast():
    dim = tuple(value * 0.7 for value in ROOF)
    bright, faint = found("detection-buildings-spacept", painted(GREEN, HALL, (slice(50, 60), slice(0, 10), dim)))
    assert 1 >= bright["properties"]["score"] > faint["properties"]["score"] > 0.5


def test_every_feature_lies_in_the_grid():
    area = box(13.379, 52.489, 13.384, 52.493)
    for feature in found("detection-trees-spacept", painted(tuple(value * 1.4 for value in GREEN))):
        assert area.contains(shape(feature["geometry"]))
