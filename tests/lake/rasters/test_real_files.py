"""Imagery of real providers: what it is taken for, and DIMAP products through their XML."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import rasterio

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.rasters.raster import closed_world
from up42_pipelines.lake.rasters.source import RasterSource

# What is read of a delivery through its XML; `None` for a reason why it is refused.
DIMAPS = {
    "dimap1_spot_gdal/METADATA.DIM": "IMAGERY.TIF",  # its image is a VRT: no member, so not there
    "dimap2_phr_bundle_gdal/DIM_foo.XML": "cannot be degrees",  # UTM coordinates labelled EPSG:4326
    "dimap2_phr_bundle_gdal/DIM_foo2.XML": "cannot be degrees",
    "dimap2_phr_single_component_gdal/DIM_foo.XML": "cannot be degrees",
    "dimap2_pneo_primary_jp2_gdal/DIM_PNEO3_STD_x_1_1_F_1.XML": None,
    "dimap2_pneo_vhr2020_ms_fs_gdal/MS-FS/DIM_MS-FS.XML": None,
    "made_dimap2_phr_ortho/7654321101/IMG_PHR1B_PMS_001/DIM_PHR1B_PMS_202404301534215_ORT_7654321101.XML": None,
}
# What each is taken for; `tests/lake/landing/test_real_deliveries.py` says what becomes of every image.
PROFILES = {
    "above_31band_uint8_esri102001_cog.tif": "visual",
    "dem_int16_srtm_utm31.tif": "dem",
    "landcover_palette_uint8_webmercator_cog.tif": "classes",
    "landsat8_lst_float32_utm15_nan.tif": "analytic",
    "landsat8_qa_uint16_utm21_striped_noncog.tif": "classes",  # few values
    "naip_rgbir_uint8_utm16.tif": "visual",
    "planetscope_analyticms_4band_uint16_utm15.tif": "analytic",
    "sentinel2_b01_uint16_utm32.jp2": "analytic",
}


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_imagery(real_data, raster_worker, tmp_path, name):
    source, target = real_data / "imagery" / name, tmp_path / "target.tif"
    landed = raster_worker.land(source, target)
    assert landed.info.is_cog
    assert landed.profile == PROFILES[name], landed.reason
    assert len(landed.quicklook) <= 40_000
    assert raster_worker.usage.peak_bytes < 320 << 20
    assert list(tmp_path.iterdir()) == [target]
    if landed.kept:
        assert target.read_bytes() == source.read_bytes()
        return
    assert landed.encoding.compression == "ZSTD"
    with closed_world(), rasterio.open(source) as before, rasterio.open(target) as after:
        np.testing.assert_array_equal(after.read(), before.read())
        np.testing.assert_array_equal(after.read_masks(), before.read_masks())


@pytest.mark.parametrize("name", sorted(DIMAPS))
def test_dimaps(real_data, raster_worker, tmp_path, name):
    path, target = real_data / "deliveries" / name, tmp_path / "target.tif"
    members = tuple(file for file in path.parent.rglob("*") if file.is_file() and file != path)
    source = RasterSource(path=path, driver="DIMAP", members=members)
    if DIMAPS[name] is not None:
        with pytest.raises(InvalidDelivery, match=DIMAPS[name]):
            raster_worker.land(source, target)
        assert list(tmp_path.iterdir()) == []
        return
    landed = raster_worker.land(source, target)
    assert landed.source_driver == "DIMAP"
    assert landed.info.is_cog
    assert bool(landed.notes) == ("primary" in name), "RPCs that are the names of the fields"
    if landed.info.width > 10_000:
        return  # one tile of many is there
    with closed_world(), rasterio.open(path) as before, rasterio.open(target) as after:
        np.testing.assert_array_equal(after.read(), before.read())
        assert after.descriptions == before.descriptions


@pytest.mark.parametrize("spoil", ["missing", "empty"])
def test_a_dimap_without_one_of_its_tiles_is_refused(real_data, raster_worker, tmp_path, spoil):
    name = next(name for name in DIMAPS if name.startswith("made_"))
    package = tmp_path / "package"
    shutil.copytree((real_data / "deliveries" / name).parent, package)
    (tile,) = package.glob("*R1C2.TIF")
    tile.unlink() if spoil == "missing" else tile.write_bytes(b"")
    path = package / name.rpartition("/")[2]
    source = RasterSource(
        path=path, driver="DIMAP", members=tuple(file for file in package.rglob("*") if file.is_file())
    )
    with pytest.raises(InvalidDelivery, match="R1C2"):
        raster_worker.land(source, tmp_path / "target.tif")
    assert list(tmp_path.iterdir()) == [package]


def test_hostile_documents_as_dimaps(real_data, raster_worker, tmp_path):
    for source in sorted((real_data / "hostile").glob("*.xml")):
        with pytest.raises(InvalidDelivery):
            raster_worker.land(RasterSource(path=source, driver="DIMAP"), tmp_path / "target.tif")
        assert list(tmp_path.iterdir()) == []
