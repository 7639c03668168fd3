"""A conversion changes the layout, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from rasterio.transform import Affine
from rio_cogeo.cogeo import cog_validate

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake import describe, ensure_cog
from up42_pipelines.lake.rasters import cog, raster
from up42_pipelines.lake.rasters.raster import closed_world
from up42_pipelines.lake.rasters.source import RasterSource

ROTATED = Affine(0.43, 0.25, 500_000, 0.25, -0.43, 5_800_000)
NAMELESS_CRS = "+proj=tmerc +lat_0=1.5 +lon_0=13.2 +k=0.9999 +ellps=bessel +units=m"
RPCS = RPC(
    height_off=100,
    height_scale=500,
    lat_off=44,
    lat_scale=0.1,
    line_off=350,
    line_scale=350,
    long_off=5,
    long_scale=0.1,
    samp_off=325,
    samp_scale=325,
    err_bias=1.5,
    err_rand=0.5,
    line_num_coeff=[i / 7 for i in range(20)],
    line_den_coeff=[1, *[i / 1e6 for i in range(19)]],
    samp_num_coeff=[i / 11 for i in range(20)],
    samp_den_coeff=[1, *[i / 1e7 for i in range(19)]],
)


def facts(path):
    """Everything that must survive, read by other means than the code under test uses."""
    with closed_world(), rasterio.open(path) as dataset:
        points, points_crs = dataset.gcps
        return {
            "pixels": dataset.read(),
            "mask": dataset.read_masks(),
            "dtypes": dataset.dtypes,
            "nodata": [repr(value) for value in dataset.nodatavals],
            "crs": dataset.crs,
            "transform": dataset.transform,
            "descriptions": dataset.descriptions,
            "units": dataset.units,
            "scales": (dataset.scales, dataset.offsets),
            "gcps": [point.asdict() | {"id": None} for point in points],
            "gcps_crs": points_crs if points else None,
            "rpcs": dataset.rpcs.to_dict() if dataset.rpcs else None,
            "tags": {key: value for key, value in dataset.tags().items() if key != "AREA_OR_POINT"},
            "band tags": [dataset.tags(band) for band in dataset.indexes],
            "palette": [dataset.colormap(1)[value] for value in (0, 1)]
            if ColorInterp.palette in dataset.colorinterp
            else None,
        }


def assert_converted(source, target):
    """`source` becomes a valid COG at `target` with equal pixels and metadata; gives back what landed."""
    landed = ensure_cog(source, target)
    assert not landed.kept
    with closed_world():
        assert cog_validate(target, strict=True, quiet=True)[0]
    before, after = facts(source), facts(target)
    for fact, value in before.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(after[fact], value, err_msg=fact)
        else:
            assert after[fact] == value, fact
    assert sorted(path.name for path in target.parent.iterdir() if path.name.startswith(target.name)) == [target.name]
    return landed


def describe_everything(dataset):
    dataset.descriptions = ("blue", "green", "red", "nir")[: dataset.count]
    dataset.scales, dataset.offsets = (0.0001,) * dataset.count, (-0.1,) * dataset.count
    dataset.units = ("reflectance",) * dataset.count
    dataset.update_tags(PRODUCER="Airbus", AREA_OR_POINT="Point", TIFFTAG_DATETIME="2024:05:01 10:12:13")
    dataset.update_tags(1, WAVELENGTH="450")


def test_uint16_striped_with_everything(make_raster, noise, tmp_path):
    source = make_raster("a.tif", noise(4), decorate=describe_everything, nodata=7, photometric="MINISBLACK")
    landed = assert_converted(source, tmp_path / "cog.tif")
    assert landed.info.descriptions == ("blue", "green", "red", "nir")
    assert landed.info.scales == (0.0001,) * 4
    assert landed.info.is_cog
    assert landed.info.gsd_m == 0.5


@pytest.mark.parametrize(
    "options",
    [
        {"interleave": "band"},
        {"tiled": True, "blockxsize": 256, "blockysize": 256},
        {"compress": "LZW"},
        {"BIGTIFF": "YES"},
        {"crs": "EPSG:32633", "transform": ROTATED},
        {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 500_000, 0, 0.5, 5_800_000)},
        {"crs": NAMELESS_CRS, "transform": Affine(0.5, 0, 0, 0, -0.5, 0)},
        {"crs": "ESRI:102001", "transform": Affine(30, 0, 0, 0, -30, 0)},
        {"crs": "EPSG:32633+5773", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_800_000)},
        {"bare": True},
    ],
    ids=str,
)
def test_layouts_and_georeferences(make_raster, noise, tmp_path, options):
    assert_converted(make_raster("a.tif", noise(2), **options), tmp_path / "cog.tif")


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("uint8", 0), ("int8", -128), ("int16", -999), ("uint32", 0), ("int32", -(2**31)), ("int64", -(2**53)),
        ("uint64", 0), ("float32", np.nan), ("float32", -3.4028234663852886e38), ("float64", -9999.5),
        ("float32", None), ("complex64", None), ("complex128", None),
    ],
)  # fmt: skip
def test_data_types(make_raster, noise, tmp_path, dtype, nodata):
    pixels = noise(1, top=120).astype(dtype)
    if dtype.startswith("float"):
        pixels[0, :200] = np.nan
        pixels[0, 300] = np.inf
    if dtype.startswith("complex"):
        pixels += 1j * pixels[:, ::-1]
    landed = assert_converted(make_raster("a.tif", pixels, nodata=nodata), tmp_path / "cog.tif")
    assert repr(landed.info.nodata[0]) == repr(None if nodata is None else float(nodata))


@pytest.mark.parametrize(("bits", "dtype"), [(12, "uint16"), (1, "uint8"), (4, "uint8")])
def test_samples_of_odd_width(make_raster, noise, tmp_path, bits, dtype):
    """GDAL refuses its own predictor for them."""
    assert_converted(make_raster("a.tif", noise(1, top=2**bits, dtype=dtype), NBITS=bits), tmp_path / "cog.tif")


def test_reversible_jpeg_2000(make_raster, noise, tmp_path):
    pixels = noise(3, 300)
    source = make_raster("a.jp2", pixels, driver="JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES", NBITS=12)
    landed = assert_converted(source, tmp_path / "cog.tif")
    assert landed.source_driver == "JP2OpenJPEG"
    np.testing.assert_array_equal(facts(landed.path)["pixels"], pixels)


@pytest.mark.parametrize("image_compression", ["NC", "C3", "C8"])
def test_nitf_in_a_utm_zone(raster_worker, make_raster, noise, tmp_path, image_compression):
    """NITF gives the zone and no name; the COG has the name too."""
    plain, source = make_raster("a.tif", noise(3, 300, "uint8", 250)), tmp_path / "a.ntf"
    rasterio.shutil.copy(plain, source, driver="NITF", IC=image_compression)
    landed = raster_worker.land(source, tmp_path / "cog.tif")
    assert (landed.source_driver, landed.info.crs_code) == ("NITF", "EPSG:32633")
    np.testing.assert_array_equal(facts(landed.path)["pixels"], facts(source)["pixels"])


def test_palette_keeps_its_classes_in_overviews(make_raster, noise, tmp_path):
    def decorate(dataset):
        dataset.write_colormap(1, {1: (0, 0, 0, 255), 3: (100, 100, 100, 255), 6: (200, 200, 200, 255)})

    pixels = np.where(noise(1, 1200) % 2, 1, 6).astype("uint8")
    landed = assert_converted(make_raster("a.tif", pixels, decorate=decorate, nodata=0), tmp_path / "cog.tif")
    assert landed.info.colorinterp == ("palette",)
    with rasterio.open(landed.path, overview_level=0) as overview:
        assert set(np.unique(overview.read())) <= {1, 6}, "an average would invent classes"


def test_internal_mask(make_raster, noise, tmp_path):
    def decorate(dataset):
        mask = np.full(dataset.shape, 255, np.uint8)
        mask[:300, 100:] = 0
        dataset.write_mask(mask)

    source = make_raster("a.tif", noise(3, dtype="uint8", top=255), decorate=decorate)
    landed = assert_converted(source, tmp_path / "cog.tif")
    assert landed.info.has_mask


def test_alpha(make_raster, noise, tmp_path, alpha):
    pixels = noise(4, dtype="uint8", top=255)
    pixels[3, :200] = 0
    landed = assert_converted(make_raster("a.tif", pixels, decorate=alpha), tmp_path / "cog.tif")
    assert landed.info.colorinterp == ("red", "green", "blue", "alpha")
    assert not landed.info.has_mask


def test_fourth_band_that_is_no_alpha(make_raster, noise, tmp_path):
    source = make_raster("a.tif", noise(4, dtype="uint8", top=255), photometric="RGB", ALPHA="NO")
    assert assert_converted(source, tmp_path / "cog.tif").info.colorinterp[3] == "undefined"


def test_ground_control_points(make_raster, noise, tmp_path):
    points = [
        GroundControlPoint(row, col, 13 + col / 1e4 + row / 1e5, 52 - row / 1e4, 35.5)
        for row in (0, 350, 700)
        for col in (0, 300, 650)
    ]

    def decorate(dataset):
        dataset.gcps = points, CRS.from_epsg(4326)

    landed = assert_converted(make_raster("a.tif", noise(), decorate=decorate, bare=True), tmp_path / "cog.tif")
    assert landed.info.has_gcps
    assert landed.info.transform is None
    west, south, east, north = landed.info.bbox
    assert (west, north) == pytest.approx((13, 52))
    assert (east, south) == pytest.approx((13.072, 51.93))


def test_rational_polynomial_coefficients(make_raster, noise, tmp_path):
    def decorate(dataset):
        dataset.rpcs = RPCS

    landed = assert_converted(make_raster("a.tif", noise(), decorate=decorate, bare=True), tmp_path / "cog.tif")
    assert landed.info.has_rpcs
    assert landed.info.footprint_4326 is None


def test_lossy_jpeg_is_decoded_once(make_raster, noise, tmp_path):
    source = make_raster("a.tif", noise(3, dtype="uint8", top=255), compress="JPEG", photometric="YCBCR", tiled=True)
    assert_converted(source, tmp_path / "cog.tif")
    with rasterio.open(tmp_path / "cog.tif") as dataset:
        assert dataset.compression.name == "zstd"


def test_other_metadata_domains_are_dropped(make_raster, noise, tmp_path):
    """What the documentation says the COG driver drops; a newer GDAL that keeps them is welcome to fail this."""
    source = make_raster("a.tif", noise(), decorate=lambda dataset: dataset.update_tags(ns="VENDOR", A="1"))
    assert_converted(source, tmp_path / "cog.tif")
    with rasterio.open(tmp_path / "cog.tif") as dataset:
        assert "VENDOR" not in dataset.tag_namespaces()


def test_a_valid_cog_keeps_its_bytes(tmp_path, cog_bytes):
    source = tmp_path / "source.tif"
    source.write_bytes(cog_bytes)
    landed = ensure_cog(source, tmp_path / "target.tif")
    assert landed.kept
    assert (tmp_path / "target.tif").read_bytes() == cog_bytes
    ensure_cog(source, tmp_path / "target.tif")


def test_a_large_tiled_file_without_overviews_is_converted(make_raster, noise, tmp_path):
    """rio-cogeo only warns; without overviews nobody can look at it cheaply."""
    source = make_raster("a.tif", noise(), tiled=True, blockxsize=512, blockysize=512)
    plain = tmp_path / "plain.tif"
    rasterio.shutil.copy(source, plain, driver="COG", OVERVIEWS="NONE")
    assert cog_validate(plain, quiet=True)[0]
    assert_converted(plain, tmp_path / "cog.tif")


def test_damaged_tiles_below_a_valid_header_are_found(tmp_path, cog_bytes):
    source = tmp_path / "source.tif"
    middle = len(cog_bytes) // 2
    source.write_bytes(cog_bytes[:middle] + np.random.default_rng(0).bytes(400) + cog_bytes[middle + 400 :])
    with pytest.raises(InvalidDelivery, match="cannot be read"):
        ensure_cog(source, tmp_path / "target.tif")
    assert not (tmp_path / "target.tif").exists()


def test_damaged_overviews_are_found(make_raster, noise, tmp_path):
    """The picture reads one of them; whoever zooms reads the others."""
    source = tmp_path / "source.tif"
    rasterio.shutil.copy(make_raster("a.tif", noise(1, 1100)), source, driver="COG", COMPRESS="ZSTD", BLOCKSIZE=256)
    with rasterio.open(source) as dataset:
        assert len(dataset.overviews(1)) == 3
        at, size = (
            int(dataset.get_tag_item(f"BLOCK_{what}_0_0", "TIFF", bidx=1, ovr=0)) for what in ("OFFSET", "SIZE")
        )
    content = source.read_bytes()
    source.write_bytes(content[:at] + bytes(size) + content[at + size :])
    assert raster.is_cog(source)
    with pytest.raises(InvalidDelivery, match="cannot be read"):
        ensure_cog(source, tmp_path / "target.tif")
    assert not (tmp_path / "target.tif").exists()


def test_a_file_of_several_images_is_refused(make_raster, noise, tmp_path):
    """A COG has room for one; GDAL opens the first, and says nothing of the others."""
    pages = make_raster("a.tif", noise(1, 100))
    make_raster("a.tif", noise(1, 100), APPEND_SUBDATASET="YES")
    parts = make_raster("a.ntf", noise(1, 100, "uint8", 250), driver="NITF", NUMI=2, bare=True)
    for source in (pages, parts):
        with pytest.raises(InvalidDelivery, match=f"{source.name} holds 2 images"):
            ensure_cog(source, tmp_path / "target.tif")


def test_masks_of_single_bands_are_not_lost(make_raster, noise, tmp_path):
    path = make_raster("a.tif", noise(3, 100, "uint8", 250))
    flags = {f"INTERNAL_MASK_FLAGS_{band}": "0" for band in (1, 2, 3)}
    masks = noise(3, 100, "uint8", 2) * 255
    mask = make_raster("a.tif.msk", masks, decorate=lambda dataset: dataset.update_tags(**flags))
    with pytest.raises(InvalidDelivery, match="masks of single bands"):
        ensure_cog(RasterSource(path=path, members=(mask,)), tmp_path / "target.tif")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_cut_off_files_are_found(tmp_path, cog_bytes, striped_bytes, share):
    for content in (cog_bytes, striped_bytes):
        source = tmp_path / "source.tif"
        source.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(InvalidDelivery):
            ensure_cog(source, tmp_path / "target.tif")
        assert [path.name for path in tmp_path.glob("target*")] == []


@pytest.mark.parametrize("share", [0.02, 0.3, 0.999])
def test_cut_off_jpeg_2000_is_found(make_raster, noise, tmp_path, share):
    """OpenJPEG decodes what is left, and reports success."""
    tiles = {"blockxsize": 256, "blockysize": 256}
    content = make_raster(
        "a.jp2", noise(1, 400), driver="JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES", **tiles
    ).read_bytes()
    source = tmp_path / "cut.jp2"
    source.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InvalidDelivery, match="cut off"):
        ensure_cog(source, tmp_path / "target.tif")


def test_cut_off_jpeg_2000_that_reaches_to_the_end_of_its_file_is_found(make_raster, noise, tmp_path):
    """A box of length 0 is as long as the file, however short that is."""
    content = make_raster("a.jp2", noise(1, 100), driver="JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES").read_bytes()
    box = content.index(b"jp2c") - 4
    open_ended, source = content[:box] + bytes(4) + content[box + 4 :], tmp_path / "open.jp2"
    source.write_bytes(open_ended)
    assert describe(source).width == 50
    source.write_bytes(open_ended[:-100])
    with pytest.raises(InvalidDelivery, match="no end marker"):
        describe(source)


@pytest.mark.parametrize("spoil", ["pixels", "tags", "rpcs", "crs", "layout"])
def test_a_conversion_that_changes_something_is_refused(make_raster, noise, tmp_path, monkeypatch, spoil):
    """GDAL did what it should so far; this is for the day when it does not."""
    real = rasterio.shutil.copy

    def wrong(source, target, **options):
        if spoil == "layout":
            options = {"driver": "GTiff"}
        real(source, target, **options)
        if spoil != "layout":
            with rasterio.open(target, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
                if spoil == "pixels":
                    dataset.write(dataset.read() + 1)
                elif spoil == "rpcs":
                    dataset.rpcs = RPCS
                elif spoil == "crs":
                    dataset.crs = CRS.from_epsg(25833)
                else:
                    dataset.update_tags(1, NEW="1")

    monkeypatch.setattr(rasterio.shutil, "copy", wrong)
    if spoil != "layout":
        monkeypatch.setattr(cog, "is_cog", lambda _: True)
    with pytest.raises(
        InvalidDelivery, match=r"changed pixels|changed band tags|changed RPCs|changed the CRS|no valid COG"
    ):
        ensure_cog(make_raster("a.tif", noise()), tmp_path / "cog.tif")
    assert not (tmp_path / "cog.tif").exists()


def test_describe_reads_no_pixel(make_raster, noise, tmp_path):
    source = make_raster("a.tif", noise(2), nodata=0)
    info = describe(source)
    assert (info.width, info.height, info.count) == (650, 700, 2)
    assert info.crs_code == "EPSG:32633"
    assert info.bounds == (500_000, 5_799_650, 500_325, 5_800_000)
    west, south, east, north = info.bbox
    assert 14.9 < west < 15 < east < 15.01
    assert 52.34 < south < north < 52.36
    assert info.footprint_4326["type"] == "Polygon"


@pytest.mark.parametrize(
    ("row_bytes", "expected"),
    [
        (1000, 16 << 20),
        (10_000 * 8, 10_000 * 8 * 512 * 9 // 8),  # 46 MB for four bands of 16 bits, 10,000 pixels wide
        (1_000_000 * 8, 128 << 20),
    ],
)
def test_the_cache_holds_a_row_of_tiles(row_bytes, expected):
    assert cog.cache_bytes(row_bytes) == expected
