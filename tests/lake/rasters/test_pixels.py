"""One pass over all pixels, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.rasters import pixels as pixels_module
from up42_pipelines.lake.rasters.pixels import read_pixels
from up42_pipelines.lake.rasters.raster import open_raster
from up42_pipelines.lake.rasters.source import RasterSource


@pytest.fixture
def small_windows(monkeypatch):
    """Several windows, and groups of bands, in rasters that are quick to make."""
    monkeypatch.setattr(pixels_module, "_TILE", 64)
    monkeypatch.setattr(pixels_module, "_WINDOW_BYTES", 64 * 64 * 4)
    monkeypatch.setattr(pixels_module, "_CHUNK", 1000)
    monkeypatch.setattr(pixels_module, "COARSE", 50)


def read(path):
    with open_raster(path) as dataset:
        return read_pixels(dataset, name=path.name), dataset.read(), dataset.read_masks()


def agree(found, values):
    """Statistics of a band equal numpy's of its valid values."""
    values = values[np.isfinite(values)].astype(np.float64)
    if values.size == 0:
        assert (found.minimum, found.maximum, found.mean, found.stddev) == (None,) * 4
        return
    assert (found.minimum, found.maximum) == (values.min(), values.max())
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert found.stddev == pytest.approx(values.std(), rel=1e-9)


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("uint8", 0), ("uint8", None), ("uint8", -9999), ("int8", -1), ("uint16", 7), ("int16", -999), ("uint32", 0),
        ("int32", -1), ("float32", np.nan), ("float32", -3.4028234663852886e38), ("float32", 1e300), ("float64", 3),
        ("float32", -np.inf), ("float64", np.inf),
    ],
)  # fmt: skip
def test_statistics(make_raster, noise, small_windows, dtype, nodata):
    values = noise(3, 150, top=120).astype(dtype)
    beyond = {("uint8", -9999), ("float32", 1e300)}  # what no pixel can be
    fill = values.dtype.type(nodata) if nodata is not None and (dtype, nodata) not in beyond else None
    if dtype.startswith("float"):
        values += 1e5  # far from zero, where sums of squares lose their digits
        values[2, 10:20] = np.nan
        values[2, 30, 30] = np.inf
        fill = np.nan if nodata != nodata else fill
    if fill is not None:
        values[0, :70] = fill
        values[1] = fill
    stored = nodata if fill is not None or nodata is None else None
    found, read_back, _ = read(make_raster("a.tif", values, nodata=stored))
    valid = ~np.isnan(read_back)
    if fill is not None and fill == fill:
        valid &= read_back != fill
    for band, statistics in enumerate(found.statistics):
        agree(statistics, read_back[band][valid[band]])
        assert statistics.valid_percent == pytest.approx(100 * valid[band].mean())
    assert found.valid_percent == pytest.approx(100 * valid.any(axis=0).mean())
    rows, columns = np.nonzero(valid.any(axis=0))
    expected = np.zeros_like(found.coarse)
    expected[rows // found.cell, columns // found.cell] = True
    assert found.cell == 3
    np.testing.assert_array_equal(found.coarse, expected)


def test_mask_and_alpha(make_raster, noise, small_windows, alpha):
    def mask(dataset):
        seen = np.full(dataset.shape, 255, np.uint8)
        seen[:40, 30:] = 0
        dataset.write_mask(seen)

    values = noise(3, 150, "uint8", 250)
    found, read_back, masks = read(make_raster("mask.tif", values, decorate=mask))
    for band, statistics in enumerate(found.statistics):
        agree(statistics, read_back[band][masks[band] != 0])
    assert found.valid_percent == pytest.approx(100 * (masks[0] != 0).mean())
    values = noise(4, 150, "uint8", 250)
    values[3, :90] = 0
    found, read_back, masks = read(make_raster("alpha.tif", values, decorate=alpha))
    for band in range(3):
        agree(found.statistics[band], read_back[band][values[3] != 0])
    agree(found.statistics[3], values[3][values[3] != 0])
    assert [band.valid_percent for band in found.statistics] == pytest.approx([40.0] * 4), (
        "what nobody sees is not there"
    )
    assert found.valid_percent == pytest.approx(40.0)
    assert found.coarse[:30].any() == False  # noqa: E712 - numpy's own
    assert found.coarse[30:].all()


def test_complex_numbers_by_their_absolute_value(make_raster, noise):
    values = noise(1, 100).astype("complex64") * (3 + 4j)
    found, _, _ = read(make_raster("a.tif", values))
    agree(found.statistics[0], np.abs(values[0]))


def test_values_beyond_double_precision_have_no_spread(make_raster):
    values = np.full((1, 20, 20), 1e300)
    values[0, :10] = -1e300
    found, _, _ = read(make_raster("a.tif", values))
    assert (found.statistics[0].minimum, found.statistics[0].stddev) == (-1e300, None)


@pytest.mark.parametrize("place", [(0, 0, 0), (1, 149, 99), (2, 70, 64)])
def test_one_changed_pixel_is_seen(make_raster, noise, small_windows, place):
    values = noise(3, 150)
    before = make_raster("a.tif", values)
    values[place] += 1
    after = make_raster("b.tif", values)
    with open_raster(before) as one, open_raster(after) as other:
        with pytest.raises(InvalidDelivery, match=f"changed pixels of band {place[0] + 1}"):
            read_pixels(one, other, name="a.tif")
        assert read_pixels(one, one, name="a.tif").valid_percent == 100


def test_one_changed_pixel_of_the_mask_is_seen(make_raster, noise, small_windows):
    def seen(at):
        def decorate(dataset):
            mask = np.full(dataset.shape, 255, np.uint8)
            mask[at] = 0
            dataset.write_mask(mask)

        return decorate

    values = noise(3, 150, "uint8", 250)
    before, after = (
        make_raster(name, values, decorate=seen(at)) for name, at in (("a.tif", (5, 5)), ("b.tif", (5, 6)))
    )
    with open_raster(before) as one, open_raster(after) as other, pytest.raises(InvalidDelivery, match="its mask"):
        read_pixels(one, other, name="a.tif")


def test_any_value_but_zero_means_seen(raster_worker, make_raster, noise, tmp_path):
    """Side-car masks often hold 1, which becomes 255 in the COG."""
    path = make_raster("a.tif", noise(1, 100, "uint8", 250))
    seen = np.ones((1, 100, 50), "uint8")
    seen[0, :25] = 0
    mask = make_raster("a.tif.msk", seen, decorate=lambda dataset: dataset.update_tags(INTERNAL_MASK_FLAGS_1="2"))
    landed = raster_worker.land(RasterSource(path=path, members=(mask,)), tmp_path / "cog.tif")
    assert landed.valid_percent == 75


def test_nothing_is_left_out(make_raster, noise, small_windows):
    """Every pixel of every band lies in exactly one window and group."""
    with rasterio.open(make_raster("a.tif", noise(5, 200))) as dataset:
        times = np.zeros((5, *dataset.shape), int)
        for window in pixels_module._windows(dataset):
            rows, columns = window.toslices()
            for bands in pixels_module._groups(dataset, window):
                times[np.ix_(bands, range(rows.start, rows.stop), range(columns.start, columns.stop))] += 1
    assert (times == 1).all()
