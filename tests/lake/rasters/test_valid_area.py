"""The footprint of valid pixels."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform as to_degrees
from shapely.geometry import shape

from up42_pipelines.lake.rasters.cog import ensure_cog
from up42_pipelines.lake.rasters.valid_area import MAX_VERTICES, outline_of

UTM33 = Affine(0.5, 0, 500_000, 0, -0.5, 5_800_000)


def land(make_raster, seen, *, crs="EPSG:32633", transform=UTM33, **options):
    """A raster that is valid where `seen`, shape (y, x), is True, landed."""
    values = np.where(seen, 100, 0).astype("uint8")[None]
    path = make_raster("a.tif", values, crs=crs, transform=transform, nodata=0, **options)
    return ensure_cog(path, path.with_name("cog.tif"))


def places(seen, transform, crs):
    """Centres of True pixels as points in degrees."""
    rows, columns = np.nonzero(seen)
    xs = transform.c + (columns + 0.5) * transform.a + (rows + 0.5) * transform.b
    ys = transform.f + (columns + 0.5) * transform.d + (rows + 0.5) * transform.e
    return shapely.points(*to_degrees(crs, "EPSG:4326", xs.tolist(), ys.tolist()))


def swath(height=600, width=500):
    """A slanted strip, as rectified scenes are."""
    rows, columns = np.mgrid[:height, :width]
    return (columns > 100 + rows / 5) & (columns < 300 + rows / 5)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32633", UTM33),
        ("EPSG:32633", Affine(5, 3, 500_000, 3, -5, 5_800_000)),
        ("EPSG:32633", Affine(5, 0, 500_000, 0, 5, 5_800_000)),
        ("EPSG:4326", Affine(0.01, 0, 13, 0, -0.01, 52)),
        ("EPSG:3413", Affine(1000, 0, -900_000, 0, -1000, 900_000)),
    ],
)
def test_it_holds_the_valid_pixels_and_little_else(make_raster, crs, transform):
    seen = swath()
    landed = land(make_raster, seen, crs=crs, transform=transform)
    area, outline = shape(landed.valid_footprint), shape(landed.info.footprint_4326)
    assert area.is_valid
    inside = shapely.contains(area.buffer(abs(transform.determinant) ** 0.5 * (1 if crs == "EPSG:4326" else 1e-5)),
                              places(seen, transform, crs))  # fmt: skip
    assert inside.mean() > 0.999
    assert shapely.contains(area, places(~seen, transform, crs)).mean() < 0.03
    assert area.area == pytest.approx(seen.mean() * outline.area, rel=0.2)
    assert shapely.get_num_coordinates(area) < 300
    if crs != "EPSG:3413":  # that strip crosses the antimeridian
        assert landed.valid_bbox == pytest.approx(area.bounds)


def test_everything_valid_is_the_outline(make_raster):
    landed = land(make_raster, np.ones((60, 50), bool))
    assert landed.valid_footprint == landed.info.footprint_4326
    assert landed.valid_bbox == landed.info.bbox


def test_nothing_valid_is_nowhere(make_raster):
    landed = land(make_raster, np.zeros((60, 50), bool))
    assert (landed.valid_footprint, landed.valid_bbox, landed.valid_percent) == (None, None, 0)
    assert landed.info.footprint_4326 is not None


def test_across_the_antimeridian(make_raster):
    seen = swath()
    transform = Affine(300, 0, 750_000, 0, -300, 1_800_000)
    landed = land(make_raster, seen, crs="EPSG:32660", transform=transform)
    area = shape(landed.valid_footprint)
    assert area.geom_type == "MultiPolygon"
    assert area.is_valid
    west, _, east, _ = landed.valid_bbox
    assert -180 < east < -178 < 178 < west < 180
    assert shapely.contains(area.buffer(0.003), places(seen, transform, "EPSG:32660")).mean() > 0.999


def test_around_the_pole(make_raster):
    rows, columns = np.mgrid[:300, :300]
    seen = np.hypot(rows - 150, columns - 150) < 100
    landed = land(make_raster, seen, crs="EPSG:3413", transform=Affine(1000, 0, -150_000, 0, -1000, 150_000))
    area = shape(landed.valid_footprint)
    assert area.buffer(1e-6).contains(shapely.Point(10, 89.99))
    assert not area.contains(shapely.Point(10, 88.9))
    assert area.bounds[3] == pytest.approx(90)


def test_clouds_and_specks_are_no_outline(make_raster):
    seen = swath()
    smooth = land(make_raster, seen).valid_footprint
    seen[300, 220] = seen[310:313, 230:233] = False
    seen[5, 490] = True
    assert land(make_raster, seen).valid_footprint == smooth


def test_a_large_hole_stays(make_raster):
    seen = np.ones((400, 400), bool)
    seen[100:300, 100:300] = False
    area = shape(land(make_raster, seen).valid_footprint)
    assert len(area.interiors) == 1


def test_a_ragged_area_is_simplified(make_raster):
    rng = np.random.default_rng(5)
    for share in (0.5, 0.01):
        area = outline_of(rng.random((1024, 1024)) < share)
        assert shapely.get_num_coordinates(area) <= MAX_VERTICES
        assert area.area > 0.5 * 1024 * 1024
    teeth = np.zeros((1000, 1000), bool)
    teeth[:, ::4] = teeth[500:] = True
    area = outline_of(teeth)
    assert area.is_valid
    assert shapely.get_num_coordinates(area) <= MAX_VERTICES


def test_ground_control_points_give_the_outline(make_raster):
    def decorate(dataset):
        points = [GroundControlPoint(row, col, 13 + col / 1e4, 52 - row / 1e4) for row in (0, 600) for col in (0, 500)]
        dataset.gcps = points, CRS.from_epsg(4326)

    values = np.where(swath(), 100, 0).astype("uint8")[None]
    path = make_raster("a.tif", values, bare=True, nodata=0, decorate=decorate)
    landed = ensure_cog(path, path.with_name("cog.tif"))
    assert landed.valid_footprint == landed.info.footprint_4326 is not None


def test_a_raster_without_a_place_has_no_footprint(make_raster):
    path = make_raster("a.tif", np.where(swath(), 100, 0).astype("uint8")[None], bare=True, nodata=0)
    landed = ensure_cog(path, path.with_name("cog.tif"))
    assert landed.valid_footprint is None
    assert landed.valid_percent == pytest.approx(100 * swath().mean())
