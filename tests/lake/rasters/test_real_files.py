"""Imagery of real providers and files made to harm: what becomes of each one is written down here."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import rasterio

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.rasters.raster import closed_world
from up42_pipelines.lake.rasters.source import RasterSource

KEPT, CONVERTED, REFUSED = "kept", "converted", "refused"

# A striped file of at most 512 x 512 pixels is a valid COG: it is read in one go anyway.
IMAGERY = {
    "above_31band_uint8_esri102001_cog.tif": KEPT,
    "dem_float32_lv95_nodata.tif": KEPT,
    "dem_int16_srtm_utm31.tif": CONVERTED,
    "hls_int16_scale_offset_customcrs_cog.tif": KEPT,
    "landcover_palette_uint8_webmercator_cog.tif": KEPT,
    "landsat5_nbar_int16_gda94mga55.tif": KEPT,
    "landsat7_6band_uint8_epsg31985_striped_with_ovr.tif": CONVERTED,
    "landsat7_rgb_uint8_utm18_striped.tif": CONVERTED,
    "landsat8_antimeridian_utm60_cog.tif": KEPT,
    "landsat8_lst_float32_utm15_nan.tif": CONVERTED,
    "landsat8_qa_uint16_utm21_striped_noncog.tif": CONVERTED,
    "landsat8_qa_uint16_utm21_tiled_cog.tif": KEPT,
    "landsat8_rgb_uint16_epsg4326_cog.tif": KEPT,
    "made_bigtiff_cog_uint16_epsg4326.tif": KEPT,
    "made_dem_float32_lerc_zstd_cog.tif": KEPT,
    "made_landsat7_no_crs_no_transform.tif": KEPT,
    "made_landsat7_rotated30_utm18.tif": KEPT,
    "made_landsat7_worldfile.tfw": REFUSED,
    "made_landsat7_worldfile.tif": KEPT,  # without its side-car, so without a place
    "mars_hirise_rgb_nonearth_cog.tif": KEPT,
    "naip_rgbir_uint8_utm16.tif": KEPT,
    "nitf_rgb_epsg4326.ntf": CONVERTED,
    "ortho_rgb_jpeg_mask_webmercator_cog.tif": KEPT,
    "ortho_rgba_jpeg_webmercator.tif": CONVERTED,
    "planetscope_all_nodata_uint16_utm28.tif": CONVERTED,
    "planetscope_analyticms_4band_uint16_utm15.tif": KEPT,
    "pleiades_pan_uint16_rpc_sensor.tif": KEPT,
    "pleiades_pan_uint16_sheared_nocrs.tif": KEPT,
    "quicklook_512.png": REFUSED,
    "quicklook_phr_like_909x1032.jpg": REFUSED,
    "rotated_geotransform_utm11_tiny.tif": CONVERTED,
    "sentinel1_grd_uint16_210gcps_cog.tif": KEPT,
    "sentinel2_b01_uint16_utm32.jp2": CONVERTED,
    "sentinel2_tci_rgb_uint8_utm34_cog.tif": KEPT,
    "skysat_rgb_uint8_webmercator.tif": KEPT,
    "thumbnail_s2_128.jpg": REFUSED,
    "uav_rgba_uint8_utm50s_lzw_noncog.tif": CONVERTED,
    "usgs_hro_rgb_external_mask.tif": KEPT,
    "usgs_hro_rgb_external_mask.tif.msk": KEPT,  # a TIFF like any other
    "usgs_hro_rgb_internal_mask_cog.tif": KEPT,
    "world_36000x18000_uint8_epsg4326_cog.tif": KEPT,
    "worldview_pan_uint16_rpc.tif": KEPT,
}
UNPLACED = {
    "made_landsat7_no_crs_no_transform.tif",
    "made_landsat7_worldfile.tif",
    "mars_hirise_rgb_nonearth_cog.tif",
    "pleiades_pan_uint16_rpc_sensor.tif",
    "pleiades_pan_uint16_sheared_nocrs.tif",
    "usgs_hro_rgb_external_mask.tif.msk",
    "worldview_pan_uint16_rpc.tif",  # declares EPSG:4326 with an identity geotransform; only its RPCs place it
}
# Everything else is refused.
HOSTILE_THAT_LAND = {
    "corrupted_pixels_uncompressed_silent.tif": KEPT,  # every byte is a valid pixel; only the transfer's checksum knows
    "decompression_bomb_14000x14000_zeros_cog.tif": KEPT,  # a valid COG of zeros, read in strips
    "ifd_loop.tif": KEPT,  # GDAL stops after the first directory
    "nodata_out_of_dtype_range_float.tif": KEPT,
    "south_up.tif": KEPT,  # the geotransform says so
}


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


@pytest.mark.parametrize("name", sorted(IMAGERY))
def test_imagery(real_data, raster_worker, tmp_path, name):
    source, target = real_data / "imagery" / name, tmp_path / "target.tif"
    if IMAGERY[name] == REFUSED:
        with pytest.raises(InvalidDelivery, match="none of TIFF, NITF and JPEG 2000"):
            raster_worker.land(source, target)
        assert list(tmp_path.iterdir()) == []
        return
    landed = raster_worker.land(source, target)
    assert landed.kept == (IMAGERY[name] == KEPT)
    assert landed.info.is_cog
    assert (landed.info.footprint_4326 is None) == (name in UNPLACED)
    assert (landed.valid_footprint is None) == (name in UNPLACED or landed.valid_percent == 0)
    assert landed.profile == PROFILES.get(name, landed.profile), landed.reason
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


def test_every_image_has_an_expected_result(real_data):
    assert {path.name for path in (real_data / "imagery").iterdir()} == set(IMAGERY)


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


def test_hostile_files(real_data, raster_worker, tmp_path):
    results = {}
    for source in sorted((real_data / "hostile").iterdir()):
        try:
            landed = raster_worker.land(source, tmp_path / "target.tif")
            results[source.name] = KEPT if landed.kept else CONVERTED
        except InvalidDelivery:
            results[source.name] = REFUSED
            assert list(tmp_path.iterdir()) == []
        (tmp_path / "target.tif").unlink(missing_ok=True)
        assert raster_worker.usage.peak_bytes < 300 << 20, source
        assert raster_worker.usage.cpu_seconds < 5, source
    assert {name: result for name, result in results.items() if result != REFUSED} == HOSTILE_THAT_LAND


def test_hostile_documents_as_dimaps(real_data, raster_worker, tmp_path):
    for source in sorted((real_data / "hostile").glob("*.xml")):
        with pytest.raises(InvalidDelivery):
            raster_worker.land(RasterSource(path=source, driver="DIMAP"), tmp_path / "target.tif")
        assert list(tmp_path.iterdir()) == []
