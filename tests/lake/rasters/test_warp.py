"""Warping on request: what comes out lies where the source says."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC
from rasterio.transform import RPCTransformer, rowcol
from rasterio.warp import transform as project

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.rasters.cog import land_raster
from up42_pipelines.lake.rasters.raster import closed_world
from up42_pipelines.lake.rasters.warp import utm_code

SPOT = (120, 90)  # row, column
LON, LAT, STEP = 13.0, 52.0, 1e-4


@pytest.fixture
def spotted(make_raster):
    """Noise around 100 with a bright square at `SPOT`, placed by what `decorate` writes."""

    def make(decorate, **options):
        values = np.random.default_rng(0).integers(90, 110, (1, 300, 250)).astype("uint16")
        values[0, SPOT[0] - 3 : SPOT[0] + 4, SPOT[1] - 3 : SPOT[1] + 4] = 4000
        return make_raster("sensor.tif", values, decorate=decorate, bare=True, **options)

    return make


def with_gcps(dataset):
    dataset.gcps = (
        [
            GroundControlPoint(row, col, LON + (col + row / 10) * STEP, LAT - row * STEP)
            for row in (0, 150, 300)
            for col in (0, 125, 250)
        ],
        CRS.from_epsg(4326),
    )


def with_rpcs(dataset):
    one = [1.0] + [0.0] * 19
    dataset.rpcs = RPC(
        height_off=500, height_scale=500, lat_off=52, lat_scale=0.02, long_off=13, long_scale=0.02, line_off=150,
        line_scale=150, samp_off=125, samp_scale=125, line_num_coeff=[0, 0, -1, 0.1] + [0.0] * 16, line_den_coeff=one,
        samp_num_coeff=[0, 1, 0, 0.05] + [0.0] * 16, samp_den_coeff=one, err_bias=None, err_rand=None,
    )  # fmt: skip


def bright(path):
    """Centre of the bright pixels as x, y in the raster's CRS."""
    with rasterio.open(path) as dataset:
        rows, columns = np.nonzero(dataset.read(1) > 2000)
        assert rows.size > 20
        return dataset.crs, dataset.transform @ (columns.mean() + 0.5, rows.mean() + 0.5), dataset.res[0]


def assert_at(path, lon, lat):
    crs, (x, y), pixel = bright(path)
    (east,), (north,) = project("EPSG:4326", crs, [lon], [lat])
    assert (x, y) == pytest.approx((east, north), abs=1.5 * pixel)


@pytest.mark.parametrize(("to", "crs"), [("utm", "EPSG:32633"), ("EPSG:3035", "EPSG:3035")])
def test_by_ground_control_points(raster_worker, spotted, tmp_path, to, crs):
    landed = raster_worker.land(spotted(with_gcps), tmp_path / "cog.tif", warp_to=to)
    assert (landed.resampled_to, landed.info.crs_code, landed.kept) == (crs, crs, False)
    assert landed.info.is_cog
    assert landed.info.has_mask, "what was not seen is no zero"
    assert 60 < landed.valid_percent < 95
    row, col = SPOT[0] + 0.5, SPOT[1] + 0.5
    assert_at(landed.path, LON + (col + row / 10) * STEP, LAT - row * STEP)
    assert landed.quicklook.startswith(b"\x89PNG")


def test_by_rpcs_at_their_mean_height(raster_worker, spotted, tmp_path):
    source = spotted(with_rpcs)
    with rasterio.open(source) as dataset, RPCTransformer(dataset.rpcs, RPC_HEIGHT=500) as sensor:
        (lon,), (lat,) = sensor.xy([SPOT[0]], [SPOT[1]], zs=[0])
    landed = raster_worker.land(source, tmp_path / "cog.tif", warp_to="utm")
    assert landed.resampled_to == "EPSG:32633"
    assert_at(landed.path, lon, lat)


def with_square_gcps(dataset):
    """Ten metres per pixel of UTM zone 33, said by points."""
    dataset.gcps = (
        [
            GroundControlPoint(row, col, 500_000 + 10 * col, 5_800_000 - 10 * row)
            for row in (0, dataset.height)
            for col in (0, dataset.width)
        ],
        CRS.from_epsg(32633),
    )


def test_nodata_is_no_neighbour_to_blend_with(make_raster, tmp_path):
    values = np.full((1, 200, 200), 50, "int16")
    values[0, :100] = -999
    source = make_raster("a.tif", values, nodata=-999, decorate=with_square_gcps, bare=True)
    landed = land_raster(source, tmp_path / "cog.tif", warp_to="EPSG:32632")
    assert landed.info.nodata == (-999,)
    assert not landed.info.has_mask
    (statistics,) = landed.statistics
    assert (statistics.minimum, statistics.maximum) == (50, 50)
    (x,), (y,) = project("EPSG:32633", "EPSG:32632", [501_000], [5_798_500])
    with rasterio.open(landed.path) as dataset:
        assert dataset.read(1)[rowcol(dataset.transform, x, y)] == 50


def test_classes_are_not_blended(make_raster, tmp_path):
    values = np.where(np.random.default_rng(0).random((1, 300, 300)) < 0.5, 10, 200).astype("uint8")
    source = make_raster("a.tif", values, nodata=0, decorate=with_square_gcps, bare=True)
    landed = land_raster(source, tmp_path / "cog.tif", warp_to="EPSG:32632")
    assert landed.profile == "classes"
    with rasterio.open(landed.path) as dataset:
        assert set(np.unique(dataset.read())) == {0, 10, 200}


@pytest.mark.parametrize("options", [{}, {"bare": True}], ids=["in a projection", "nowhere"])
def test_only_sensor_geometry_is_warped(make_raster, noise, tmp_path, options):
    """Asking for it does not resample what is on a grid already, nor refuse what has no place."""
    pixels = noise(1, 200)
    landed = land_raster(make_raster("a.tif", pixels, **options), tmp_path / "cog.tif", warp_to="EPSG:3035")
    assert landed.resampled_to is None
    with closed_world(), rasterio.open(landed.path) as dataset:
        np.testing.assert_array_equal(dataset.read(), pixels)


def test_sensor_geometry_is_kept_unless_asked(raster_worker, spotted, tmp_path):
    for decorate in (with_gcps, with_rpcs):
        landed = raster_worker.land(spotted(decorate), tmp_path / "cog.tif")
        assert (landed.resampled_to, landed.info.transform) == (None, None)
        assert landed.info.has_gcps or landed.info.has_rpcs


def test_what_cannot_be_warped_is_refused(raster_worker, spotted, tmp_path):
    with pytest.raises(InvalidDelivery, match="cannot be warped"):
        raster_worker.land(spotted(with_gcps), tmp_path / "cog.tif", warp_to="EPSG:1")
    assert not (tmp_path / "cog.tif").exists()


@pytest.mark.parametrize(
    ("lon", "lat", "code"),
    [
        (13, 52, 32633), (-0.1, 51, 32630), (179.9, 10, 32660), (180, 10, 32601), (-180, -10, 32701), (540, 0, 32601),
        (0, 85, 32661), (0, -85, 32761),
    ],
)  # fmt: skip
def test_zones(lon, lat, code):
    assert utm_code(lon, lat) == code
