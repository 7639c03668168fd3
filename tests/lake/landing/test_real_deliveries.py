"""Every file of ../shared/data through the whole landing, each with what is to become of it."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake import Lake, LandedItem
from up42_pipelines.lake.quality import Check
from up42_pipelines.lake.rasters.raster import closed_world
from up42_pipelines.lake.stac.catalog import read_item, read_withheld
from up42_pipelines.lake.stac.validation import problems
from up42_pipelines.lake.upkeep.verify import verify

KEPT, CONVERTED, DOCUMENT, WITHHELD = "kept", "converted", "document", "withheld"
MB = 1 << 20

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
    "made_landsat7_worldfile.tfw": DOCUMENT,
    "made_landsat7_worldfile.tif": KEPT,  # without its side-car, so without a place
    "mars_hirise_rgb_nonearth_cog.tif": KEPT,
    "naip_rgbir_uint8_utm16.tif": KEPT,
    "nitf_rgb_epsg4326.ntf": CONVERTED,
    "ortho_rgb_jpeg_mask_webmercator_cog.tif": KEPT,
    "ortho_rgba_jpeg_webmercator.tif": CONVERTED,
    "planetscope_all_nodata_uint16_utm28.tif": WITHHELD,  # not one valid pixel
    "planetscope_analyticms_4band_uint16_utm15.tif": KEPT,
    "pleiades_pan_uint16_rpc_sensor.tif": KEPT,
    "pleiades_pan_uint16_sheared_nocrs.tif": KEPT,
    "quicklook_512.png": DOCUMENT,
    "quicklook_phr_like_909x1032.jpg": DOCUMENT,
    "rotated_geotransform_utm11_tiny.tif": CONVERTED,
    "sentinel1_grd_uint16_210gcps_cog.tif": KEPT,
    "sentinel2_b01_uint16_utm32.jp2": CONVERTED,
    "sentinel2_tci_rgb_uint8_utm34_cog.tif": KEPT,
    "skysat_rgb_uint8_webmercator.tif": KEPT,
    "thumbnail_s2_128.jpg": DOCUMENT,
    "uav_rgba_uint8_utm50s_lzw_noncog.tif": CONVERTED,
    "usgs_hro_rgb_external_mask.tif": KEPT,
    "usgs_hro_rgb_external_mask.tif.msk": KEPT,  # a TIFF like any other
    "usgs_hro_rgb_internal_mask_cog.tif": KEPT,
    "world_36000x18000_uint8_epsg4326_cog.tif": KEPT,
    "worldview_pan_uint16_rpc.tif": KEPT,
}

OLI = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10", "B11", "BQA"]
MSI = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A", "TCI"]
JOB = ["7e17f023-a8e3-43bd-aaac-5bbef749c7f4_0-0"]


@dataclass(frozen=True)
class Delivered:
    """The rasters that come of an archive, and how many other files, the quicklook included."""

    kept: list[str]
    converted: list[str]
    documents: int


DELIVERIES: dict[str, Delivered | str] = {
    "LC08_L1TP_090084_20160121_20170405_01_T1.tar.gz": Delivered(OLI, [], 3),
    "LT05_L1TP_090085_19970406_20161231_01_T1.tar.gz": Delivered([*OLI[:7], "BQA"], [], 7),
    "PALSAR2_N23W161_20_MOS_F02DAR.tar.gz": Delivered([], ["mask", "local_incidence_angle", "date", "HH", "HV"], 2),
    "S2A_MSIL1C_20180629T000241_N0206_R030_T56JMM_20180629T012042.zip": Delivered([], MSI, 7),
    "dimap1_spot_gdal": r"the image is none of TIFF and JPEG 2000 \(hostile\)",  # a VRT
    # GDAL's own samples of sensor products: metres under the label of degrees.
    "dimap2_phr_bundle_gdal": "cannot be degrees in EPSG:4326",
    "dimap2_phr_single_component_gdal": "cannot be degrees in EPSG:4326",
    "dimap2_pneo_primary_jp2_gdal": Delivered([], ["pan"], 3),
    "dimap2_pneo_vhr2020_ms_fs_gdal": Delivered([], ["ms-fs"], 3),
    "landsat8_c2_l2sp_scene": Delivered(["SR_B2", "SR_B3", "SR_B4", "SR_B5", "ST_B10", "QA_PIXEL"], [], 9),
    "made_dimap2_phr_ortho": Delivered([], ["pms"], 10),
    "made_dimap2_phr_ortho_7654321101.zip": Delivered([], ["pms"], 10),
    "made_nested_order_macos.zip": Delivered(OLI, ["ms-fs"], 6),
    "made_planet_order_psscene4band.zip": Delivered(["analytic", "udm", "visual"], [], 5),
    "made_zip_pneo_000123456_1_1_STD_A.zip": Delivered([], ["ms-fs"], 3),
    "up42_job_result_s2_berlin.tgz": Delivered([], JOB, 2),
    "up42_job_result_s2_berlin.zip": Delivered([], JOB, 2),
}

# What it becomes, or why it is refused.
HOSTILE = {
    "absurd_65535_bands.tif": "claims 65535 bands",
    "absurd_dimensions_2000000x2000000.tif": "claims 2000000 x 2000000 pixels",
    "absurd_dimensions_4000000000px.tif": "cannot be read as GTiff",
    "corrupted_pixels_uncompressed_silent.tif": KEPT,  # every byte is a valid pixel; only a checksum can know
    "corrupted_tiles_deflate_cog.tif": "cannot be read as GTiff",
    "crs_wrong_utm_coords_labelled_4326.tif": "cannot be degrees",
    "decompression_bomb_14000x14000_zeros_cog.tif": KEPT,  # a valid COG of zeros, read in strips
    "dimap_missing_tile_R2C1.zip": r"tile R2C1 of .* was not delivered",
    "dimap_zero_byte_tile.zip": r"tile R1C2 of .* has 0 bytes",
    "gcs_expired_signature_xml.tif": "none of TIFF",
    "gdal_corrupted_deflate_singlestrip.tif": "Decoding error",
    "gdal_dimensions_above_31bit.jp2": "cannot be read as JP2OpenJPEG",
    "gdal_huge_raster_huge_block.tif": "claims 65535 bands",
    "gdal_truncated.jp2": "is cut off",
    "gdal_wms_loopback.xml": DOCUMENT,  # its bytes, which nobody reads; see AS_METADATA and AS_A_RASTER
    "gdal_zackthecat_corrupted.tif": "cannot be read as GTiff",
    "geotransform_nan.tif": "is not finite",
    "html_error_page.tif": "none of TIFF",
    "ifd_loop.tif": KEPT,  # GDAL stops after the first directory
    "jpeg_named.tif": "none of TIFF",
    "json_big_number.json": DOCUMENT,
    "json_deep_nesting_50000.json": DOCUMENT,
    "json_duplicate_keys.json": DOCUMENT,
    "json_error_body.zip": "neither zip nor tar",
    "nodata_out_of_dtype_range_float.tif": KEPT,
    "png_huge_dimensions.png": "more pixels than a picture has",
    "rasterio_corrupt_jpeg.tif": "cannot be read as GTiff",
    "south_up.tif": KEPT,  # the geotransform says so
    "strip_bytecount_overflow.tif": "cannot be read as GTiff",
    "svg_named_quicklook.jpg": "none of its assets can be used.*is not image/jpeg",
    "tar_path_traversal.tgz": "leads out of the folder",
    "tif_named.zip": "neither zip nor tar",
    "truncated_cog_50pct.tif": "cannot be read as GTiff",
    "truncated_header_200bytes.tif": "cannot be read as GTiff",
    "truncated_sentinel2_30pct.jp2": "is cut off",
    "truncated_striped_15pct.tif": "cannot be read as GTiff",
    "vrt_disguised_as_tif.tif": "none of TIFF",
    "vrt_raw_reads_local_file.tif": "none of TIFF",
    "xml_billion_laughs.xml": DOCUMENT,
    "xml_latin1_declared_utf8.xml": DOCUMENT,
    "xml_truncated_dimap.xml": DOCUMENT,
    "xml_xxe_local_file.xml": DOCUMENT,
    "zero_bytes.tif": "it is empty",
    "zip_5000_empty_entries.zip": r"it has 0 bytes .* 4995 more",
    "zip_bad_crc.zip": "bytes and tells",
    "zip_bomb_190MB.zip": "would become 190000000",
    "zip_duplicate_and_case_names.zip": "have the same name",
    "zip_empty.zip": "no imagery found in 0 files",
    "zip_encrypted_password_test.zip": "is encrypted",
    "zip_lying_size.zip": "more than the 1000 bytes it tells",
    "zip_nested_bomb_3levels_100MB.zip": "no imagery found",  # the third level stays packed
    "zip_odd_names.zip": KEPT,
    "zip_only_metadata.zip": "no imagery found",
    "zip_path_traversal.zip": "leads out of the folder",
    "zip_symlink_escape.zip": "is a symbolic link",
    "zip_truncated_no_central_directory.zip": "is damaged",
}
# The same documents where a product would have its metadata, with a raster beside them: the name there, and why it is
# refused; None when it is no metadata, and the raster lands.
AS_METADATA = {
    "gdal_wms_loopback.xml": ("order/DIM_X.XML", None),
    "json_big_number.json": ("order/manifest.json", None),  # no manifest of Planet's: a document like another
    "json_deep_nesting_50000.json": ("order/manifest.json", None),
    "json_duplicate_keys.json": ("order/manifest.json", None),
    "xml_billion_laughs.xml": ("order/DIM_X.XML", "entities"),
    "xml_latin1_declared_utf8.xml": ("order/DIM_X.XML", "not well-formed"),
    "xml_truncated_dimap.xml": ("order/DIM_X.XML", "not well-formed"),
    "xml_xxe_local_file.xml": ("order/DIM_X.XML", "entities"),
}

TYPES = {
    ".tif": "image/tiff",
    ".msk": "image/tiff",
    ".jp2": "image/jp2",
    ".ntf": "application/vnd.nitf",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".zip": "application/zip",
    ".tgz": "application/gzip",
    ".gz": "application/gzip",
    ".xml": "application/xml",
    ".json": "application/json",
    ".tfw": "text/plain",
}
NO_DATA = {".jpg", ".png", ".xml", ".json", ".tfw"}


@dataclass(frozen=True)
class Arena:
    """A lake, a secret beside it, and everything that could be found outside of it by a file that escapes."""

    top: Path
    lake: Lake
    secret: bytes

    def outside(self) -> set[str]:
        roots = [path for path in self.top.rglob("*") if not path.is_relative_to(self.lake.root)]
        strays = [path for folder in (tempfile.gettempdir(), "/") for path in Path(folder).glob("*evil*")]
        return {f"{path} {os.lstat(path).st_size}" for path in [*roots, *strays]}

    def published(self) -> list[str]:
        """Everything in the lake's folders, temporary files too."""
        return self.lake.fs.find(self.lake.root)


@pytest.fixture
def arena(tmp_path: Path) -> Arena:
    (tmp_path / "secret.txt").write_bytes(secret := b"S3CR3T-of-this-machine")
    return Arena(tmp_path, Lake(str(tmp_path / "lake")), secret)


@pytest.fixture
def send(arena, land, files, up42_item) -> Callable[..., LandedItem]:
    """Have a file delivered as the only asset of an item."""

    def run(name: str, content: bytes, suffix: str | None = None, **given) -> LandedItem:
        suffix = suffix or Path(name).suffix.lower()
        href = files.put("asset", content)
        roles = ["metadata"] if suffix in NO_DATA else ["data"]
        return land(arena.lake, up42_item({"data": (href, TYPES[suffix], roles)}, item_id="it"), **given)

    return run


@pytest.fixture
def refused(arena, send, rasters) -> Callable[..., None]:
    """The file is refused, and nothing of it is anywhere."""

    def run(name: str, content: bytes, reason: str, suffix: str | None = None) -> None:
        before, worker = arena.outside(), rasters.usage
        started = time.process_time()
        with pytest.raises(InvalidDelivery, match=reason) as caught:
            send(name, content, suffix)
        assert "'it'" in str(caught.value)
        assert arena.published() == []
        assert not list(Path(arena.lake.root).rglob("it*")), "not even the item's folder"
        assert arena.outside() == before
        assert time.process_time() - started < 20
        if rasters.usage is not worker:
            assert rasters.usage.peak_bytes < 250 * MB

    return run


def assert_sound(arena: Arena, landed: LandedItem) -> None:
    """The item is valid and says what the files are, every COG opens, and nothing of this machine is in it."""
    read = read_withheld if landed.withheld else read_item
    item = read(arena.lake, "phr", "it")
    assert problems(item.to_dict(transform_hrefs=False)) == ()
    assert list(verify(arena.lake)) == []
    folder = Path(arena.lake.path("collections", "phr", "it"))
    names = {path.name for path in folder.iterdir()}
    mark = "it.withheld.json" if landed.withheld else "it.json"
    assert names == {mark, *(Path(asset.href).name for asset in item.assets.values())}
    for asset in item.assets.values():
        content = Path(asset.href).read_bytes()
        assert asset.extra_fields["file:checksum"] == f"1220{hashlib.sha256(content).hexdigest()}"
        assert arena.secret not in content
        if asset.media_type.startswith("image/tiff"):
            with closed_world(), rasterio.open(asset.href) as dataset:
                assert dataset.driver == "GTiff"
                assert [dataset.height, dataset.width] == asset.extra_fields["proj:shape"]


def window_of(dataset) -> Window:
    """At most 128 x 128 pixels of the middle."""
    height, width = min(dataset.height, 128), min(dataset.width, 128)
    return Window((dataset.width - width) // 2, (dataset.height - height) // 2, width, height)


def assert_same_pixels(source, href: str) -> None:
    with closed_world(), rasterio.open(source) as before, rasterio.open(href) as after:
        assert (before.shape, before.count, before.crs) == (after.shape, after.count, after.crs)
        window = window_of(before)
        np.testing.assert_array_equal(after.read(window=window), before.read(window=window))
        np.testing.assert_array_equal(after.read_masks(window=window), before.read_masks(window=window))


def outcome_of(landed: LandedItem) -> str:
    if landed.withheld:
        return WITHHELD
    lineage = landed.item.assets["data"].extra_fields.get("processing:lineage")
    return DOCUMENT if lineage is None else KEPT if lineage == "Kept as delivered." else CONVERTED


@pytest.mark.parametrize("name", IMAGERY)
def test_imagery(real_data, arena, send, rasters, name):
    source = real_data / "imagery" / name
    landed = send(name, source.read_bytes())
    assert outcome_of(landed) == IMAGERY[name]
    assert_sound(arena, landed)
    asset = landed.item.assets["data"]
    if IMAGERY[name] in {KEPT, DOCUMENT}:
        assert Path(asset.href).read_bytes() == source.read_bytes()
    else:
        assert_same_pixels(source, asset.href)
    assert set(landed.withheld) == ({Check.NODATA} if IMAGERY[name] == WITHHELD else set())
    if IMAGERY[name] != DOCUMENT:
        assert rasters.usage.peak_bytes < 300 * MB
        assert 0 < len(landed.quicklook) < 60_000


@pytest.mark.parametrize("name", [name for name, expected in DELIVERIES.items() if isinstance(expected, Delivered)])
def test_deliveries(real_data, arena, send, zipped, name):
    source, expected = real_data / "deliveries" / name, DELIVERIES[name]
    content, suffix = (zipped(source), ".zip") if source.is_dir() else (source.read_bytes(), None)
    landed = send(name, content, suffix)
    assert_sound(arena, landed)
    lineages = {key: asset.extra_fields.get("processing:lineage") for key, asset in landed.item.assets.items()}
    kept = [key for key, lineage in lineages.items() if lineage == "Kept as delivered."]
    documents = [key for key, lineage in lineages.items() if lineage is None]
    converted = [key for key in lineages if key not in kept and key not in documents]
    assert Delivered(kept, converted, len(documents)) == expected
    assert landed.item.assets[(kept or converted)[0]].extra_fields["up42-pipelines:verified_by"] == "crc32c"
    assert landed.withheld == {}
    # Airbus delivers web pages and style sheets, which a lake that is shown in a browser does not take.
    (complete,) = (finding for finding in landed.findings if finding.check == Check.COMPLETE)
    assert complete.passed == (not name.startswith("made_dimap2_phr_ortho")), complete.detail
    if name == "made_dimap2_phr_ortho_7654321101.zip":
        assert_pixels_of_the_tiles(
            real_data / "deliveries/made_dimap2_phr_ortho/7654321101/IMG_PHR1B_PMS_001", landed.item.assets["pms"].href
        )


def assert_pixels_of_the_tiles(folder: Path, mosaic_href: str) -> None:
    with closed_world(), rasterio.open(mosaic_href) as mosaic:
        for tile in folder.glob("*.TIF"):
            row, column = (int(digit) - 1 for digit in (tile.stem[-3], tile.stem[-1]))
            with rasterio.open(tile) as dataset:
                window = Window(column * 200, row * 200, dataset.width, dataset.height)
                np.testing.assert_array_equal(mosaic.read(window=window), dataset.read())


@pytest.mark.parametrize("name", [name for name, expected in DELIVERIES.items() if isinstance(expected, str)])
def test_deliveries_that_are_refused(real_data, refused, zipped, name):
    refused(name, zipped(real_data / "deliveries" / name), DELIVERIES[name], ".zip")


@pytest.mark.parametrize("name", [name for name, result in HOSTILE.items() if result in {KEPT, DOCUMENT}])
def test_hostile_files_that_do_no_harm(real_data, arena, send, rasters, name):
    source = real_data / "hostile" / name
    before, started = arena.outside(), time.process_time()
    landed = send(name, source.read_bytes())
    assert time.process_time() - started < 20
    assert arena.outside() == before
    assert_sound(arena, landed)
    if "data" in landed.item.assets:
        assert outcome_of(landed) == HOSTILE[name]
        assert Path(landed.item.assets["data"].href).read_bytes() == source.read_bytes()
    if HOSTILE[name] == KEPT:
        assert rasters.usage.peak_bytes < 250 * MB


@pytest.mark.parametrize("name", [name for name, result in HOSTILE.items() if result not in {KEPT, DOCUMENT}])
def test_hostile_files_that_are_refused(real_data, refused, name):
    refused(name, (real_data / "hostile" / name).read_bytes(), HOSTILE[name])


@pytest.mark.parametrize("name", AS_METADATA)
def test_hostile_metadata_of_a_product(real_data, arena, send, refused, zipped, cog_bytes, name):
    path, reason = AS_METADATA[name]
    archive = zipped({path: (real_data / "hostile" / name).read_bytes(), "order/IMG_X.TIF": cog_bytes})
    if reason is not None:
        refused("order.zip", archive, reason)
        return
    landed = send("order.zip", archive)
    assert_sound(arena, landed)
    assert outcome_of_archive(landed) == {"IMG_X": KEPT}


@pytest.mark.parametrize("name", AS_METADATA)
def test_documents_are_no_rasters_whatever_they_are_called(real_data, refused, name):
    refused("image.tif", (real_data / "hostile" / name).read_bytes(), "none of TIFF")


def outcome_of_archive(landed: LandedItem) -> dict[str, str]:
    lineages = {key: asset.extra_fields.get("processing:lineage") for key, asset in landed.item.assets.items()}
    return {key: KEPT if lineage == "Kept as delivered." else CONVERTED for key, lineage in lineages.items() if lineage}


def test_no_file_is_missing(real_data):
    for folder, table in (("imagery", IMAGERY), ("deliveries", DELIVERIES), ("hostile", HOSTILE)):
        assert {path.name for path in (real_data / folder).iterdir()} == set(table)
    documents = {path.name for path in (real_data / "hostile").iterdir() if path.suffix in {".xml", ".json"}}
    assert documents == set(AS_METADATA)


# --- the same without the test data -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ("../../evil-out.tif", "leads out of the folder"),
        ("/tmp/evil-absolute.tif", "absolute path"),
        ("C:\\evil.tif", "backslashes"),
    ],
)
def test_a_zip_that_leads_out_of_its_folder(refused, zipped, cog_bytes, member, reason):
    refused("order.zip", zipped({"a.tif": cog_bytes, member: cog_bytes}), reason)


def test_a_zip_with_a_link_to_a_local_file(refused, arena):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        link = zipfile.ZipInfo("image.tif")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(arena.top / "secret.txt"))
    refused("order.zip", packed.getvalue(), "is a symbolic link")


@pytest.mark.parametrize("packed", [False, True])
def test_a_vrt_that_reads_a_local_file(refused, arena, zipped, packed):
    vrt = f"""<VRTDataset rasterXSize="22" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1"
        subClass="VRTRawRasterBand"><SourceFilename relativeToVRT="0">{arena.top}/secret.txt</SourceFilename>
        </VRTRasterBand></VRTDataset>""".encode()
    if packed:
        refused("order.zip", zipped({"image.tif": vrt}), r"\(hostile\)")
    else:
        refused("image.tif", vrt, "none of TIFF")


def test_metadata_that_name_a_local_file(refused, arena, zipped, cog_bytes):
    xml = f'<!DOCTYPE d [<!ENTITY x SYSTEM "file://{arena.top}/secret.txt">]><Dimap_Document>&x;</Dimap_Document>'
    refused("order.zip", zipped({"DIM_X.XML": xml.encode(), "IMG_X.TIF": cog_bytes}), "entities")


def test_a_cut_off_cog(refused, cog_bytes):
    refused("image.tif", cog_bytes[: len(cog_bytes) // 2], "cannot be read as GTiff")


def test_a_bomb(refused, zipped):
    refused("order.zip", zipped({"image.tif": bytes(140_000_000)}), "would become 140000000")


def test_a_raster_that_is_far_larger_than_its_file(arena, send, rasters, make_raster):
    path = make_raster("zeros.tif", np.zeros((1, 6000, 6000), "uint8"), tiled=True, compress="deflate", sparse_ok=True)
    content = path.read_bytes()
    path.unlink()
    landed = send("zeros.tif", content)
    assert_sound(arena, landed)
    assert outcome_of(landed) == CONVERTED
    assert rasters.usage.peak_bytes < 250 * MB


@pytest.fixture
def dimap(make_raster, noise) -> Callable[[], dict[str, bytes]]:
    """A DIMAP product of two tiles side by side, as Airbus names them."""

    def make() -> dict[str, bytes]:
        tiles = noise(3, 80)
        height, width = tiles.shape[1:]
        members = {}
        for column in (1, 2):
            path = make_raster(f"t{column}.tif", tiles + column, bare=True)
            members[f"1001/IMG_PHR/IMG_PHR_R1C{column}.TIF"] = path.read_bytes()
            path.unlink()
        files = "".join(
            f'<Data_File tile_R="1" tile_C="{column}"><DATA_FILE_PATH href="IMG_PHR_R1C{column}.TIF"/></Data_File>'
            for column in (1, 2)
        )
        members["1001/IMG_PHR/DIM_PHR.XML"] = f"""<?xml version="1.0" encoding="UTF-8"?>
            <Dimap_Document><Metadata_Identification><METADATA_FORMAT version="2.15">DIMAP</METADATA_FORMAT>
            </Metadata_Identification><Raster_Data><Data_Access><DATA_FILE_FORMAT>image/tiff</DATA_FILE_FORMAT>
            <DATA_FILE_TILES>true</DATA_FILE_TILES><Data_Files>{files}</Data_Files></Data_Access>
            <Raster_Dimensions><NROWS>{height}</NROWS><NCOLS>{2 * width}</NCOLS><NBANDS>3</NBANDS><Tile_Set>
            <NTILES>2</NTILES><Regular_Tiling><NTILES_SIZE nrows="{height}" ncols="{width}"/>
            <NTILES_COUNT ntiles_R="1" ntiles_C="2"/><OVERLAP_COL>0</OVERLAP_COL><OVERLAP_ROW>0</OVERLAP_ROW>
            </Regular_Tiling></Tile_Set></Raster_Dimensions><Raster_Encoding><DATA_TYPE>INTEGER</DATA_TYPE>
            <NBITS>16</NBITS><SIGN>UNSIGNED</SIGN></Raster_Encoding></Raster_Data></Dimap_Document>""".encode()
        return members

    return make


def test_a_product_of_tiles(arena, send, zipped, noise, dimap):
    tiles = noise(3, 80)
    landed = send("order.zip", zipped(dimap()))
    assert_sound(arena, landed)
    (asset,) = (one for one in landed.item.assets.values() if "proj:shape" in one.extra_fields)
    with closed_world(), rasterio.open(asset.href) as dataset:
        np.testing.assert_array_equal(dataset.read(), np.concatenate([tiles + 1, tiles + 2], axis=2))


def test_a_product_without_one_of_its_tiles(refused, zipped, dimap):
    members = dimap()
    del members["1001/IMG_PHR/IMG_PHR_R1C2.TIF"]
    refused("order.zip", zipped(members), "was not delivered")


def test_a_safe_product_in_a_zip(arena, send, zipped, make_raster, noise):
    """Bands of Sentinel-2 as JPEG 2000, without loss, and the metadata that name them."""
    root, granule = "S2B_MSIL2A_X.SAFE", "GRANULE/L2A_T33UUU/IMG_DATA/R10m"
    pixels = {band: noise(1, 90) + number for number, band in enumerate(("B02", "B03"))}
    names = {band: f"{granule}/T33UUU_{band}_10m" for band in pixels}
    members = {}
    for band, array in pixels.items():
        path = make_raster(f"{band}.jp2", array, driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES")
        members[f"{root}/{names[band]}.jp2"] = path.read_bytes()
        path.unlink()
    files = "".join(f"<IMAGE_FILE>{name}</IMAGE_FILE>" for name in names.values())
    members[f"{root}/MTD_MSIL2A.xml"] = f"""<Level-2A_User_Product><General_Info><Product_Info>
        <PRODUCT_START_TIME>2022-03-01T10:00:00Z</PRODUCT_START_TIME>
        <PRODUCT_STOP_TIME>2022-03-01T10:00:09Z</PRODUCT_STOP_TIME><Datatake><SPACECRAFT_NAME>Sentinel-2B
        </SPACECRAFT_NAME></Datatake><Granule_List><Granule>{files}</Granule></Granule_List></Product_Info>
        </General_Info></Level-2A_User_Product>""".encode()
    landed = send("order.zip", zipped(members))
    assert_sound(arena, landed)
    assert outcome_of_archive(landed) == {"B02": CONVERTED, "B03": CONVERTED}
    assert landed.item.common_metadata.platform == "sentinel-2b"
    for band, array in pixels.items():
        with closed_world(), rasterio.open(landed.item.assets[band].href) as dataset:
            np.testing.assert_array_equal(dataset.read(), array)
