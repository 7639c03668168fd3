"""What may be opened, what a header may claim, and where a raster is."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine
from shapely.geometry import shape

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake import describe, ensure_cog, quicklook_png
from up42_pipelines.lake.rasters import raster

PNG = b"\x89PNG\r\n\x1a\n"


def tiff(width, height, bands=1, bits=8):
    """A TIFF header that claims this and holds nothing."""
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8),
        (277, 3, 1, bands), (278, 4, 1, height), (279, 4, 1, 10),
    ]  # fmt: skip
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + body + bytes(14)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"<html>403</html>", "<html>"),
        (b'{"title": "Not found"}', "none of TIFF, NITF and JPEG 2000"),
        (b"PK\3\4" + bytes(40), "none of TIFF"),
        (b"II*\0", "cannot be read as GTiff"),
        (tiff(100, 100, 65_535), "65535 bands"),
        (tiff(2_000_000, 2_000_000), "claims 2000000 x 2000000"),
        (tiff(200_000, 200_000), "times the file's"),
        (tiff(30_000, 30_000, bits=64), "times the file's"),
    ],
)
def test_what_is_no_believable_raster_is_refused(tmp_path, content, reason):
    path = tmp_path / "scene.tif"
    path.write_bytes(content)
    for look in (describe, quicklook_png, lambda path: ensure_cog(path, tmp_path / "target.tif")):
        with pytest.raises(InvalidDelivery, match=reason):
            look(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["scene.tif"]


def test_a_vrt_cannot_read_local_files(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"password")
    vrt = tmp_path / "scene.tif"
    vrt.write_text(
        '<VRTDataset rasterXSize="8" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1" '
        f'subClass="VRTRawRasterBand"><SourceFilename relativetoVRT="0">{secret}</SourceFilename>'
        "</VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(InvalidDelivery, match="none of TIFF, NITF and JPEG 2000"):
        ensure_cog(vrt, tmp_path / "target.tif")


def test_side_cars_are_not_read(make_raster, noise, tmp_path):
    """A neighbour cannot change what a file says."""
    path = make_raster("a.tif", noise(), bare=True)
    path.with_suffix(".tfw").write_text("1\n0\n0\n-1\n0\n0\n")
    path.with_name("a.tif.aux.xml").write_text('<PAMDataset><Metadata><MDI key="A">1</MDI></Metadata></PAMDataset>')
    assert describe(path).transform is None
    with raster.open_raster(path) as dataset:
        assert "A" not in dataset.tags()


def test_huge_blocks_are_refused(make_raster, noise, monkeypatch):
    monkeypatch.setattr(raster, "MAX_BLOCK_BYTES", 1000)
    with pytest.raises(InvalidDelivery, match="do not fit in memory"):
        describe(make_raster("a.tif", noise()))


@pytest.mark.parametrize(
    ("transform", "crs", "reason"),
    [
        (Affine(0.5, 0, float("nan"), 0, -0.5, 0), "EPSG:32633", "not finite"),
        (Affine(10, 0, 385_000, 0, -10, 5_800_000), "EPSG:4326", "cannot be degrees"),
        (Affine(1, 0, 0, 1, 0, 0), "EPSG:32633", "no area"),
    ],
)
def test_georeferences_that_contradict_themselves_are_refused(make_raster, noise, transform, crs, reason):
    with pytest.raises(InvalidDelivery, match=reason):
        describe(make_raster("a.tif", noise(), crs=crs, transform=transform))


def test_a_footprint_is_cut_at_the_antimeridian(make_raster, noise):
    info = describe(
        make_raster("a.tif", noise(), crs="EPSG:32660", transform=Affine(300, 0, 700_000, 0, -300, 5_800_000))
    )
    west, _, east, _ = info.bbox
    assert 179 < west < 180
    assert -180 < east < -177
    assert info.footprint_4326["type"] == "MultiPolygon"
    footprint = shape(info.footprint_4326)
    assert footprint.is_valid
    assert footprint.area < 10
    assert -180 <= footprint.bounds[0] < footprint.bounds[2] <= 180


def test_ground_control_points_across_the_antimeridian(make_raster, noise):
    def decorate(dataset):
        points = [
            GroundControlPoint(row, col, (178 + col / 200 + 180) % 360 - 180, 10 - row / 200)
            for row in (0, 700)
            for col in (0, 650)
        ]
        dataset.gcps = points, CRS.from_epsg(4326)

    info = describe(make_raster("a.tif", noise(), decorate=decorate, bare=True))
    assert info.bbox == pytest.approx((178, 6.5, -178.75, 10), abs=0.01)
    assert shape(info.footprint_4326).area == pytest.approx(3.25 * 3.5, rel=0.01)


def test_a_footprint_around_the_pole_holds_the_pole(make_raster, noise):
    info = describe(
        make_raster("a.tif", noise(), crs="EPSG:3413", transform=Affine(1000, 0, -325_000, 0, -1000, 350_000))
    )
    assert shape(info.footprint_4326).buffer(1e-6).contains(shape({"type": "Point", "coordinates": (10, 89.9)}))


def test_the_whole_world(make_raster):
    info = describe(
        make_raster("a.tif", np.ones((1, 90, 180), "uint8"), crs="EPSG:4326", transform=Affine(2, 0, -180, 0, -2, 90))
    )
    assert info.bbox == (-180, -90, 180, 90)


def test_another_planet_has_no_footprint(make_raster, noise):
    path = make_raster("a.tif", noise(), crs="+proj=eqc +R=3396190 +units=m", transform=Affine(10, 0, 0, 0, -10, 0))
    with rasterio.open(path) as dataset:
        assert dataset.crs.is_projected
    info = describe(path)
    assert info.crs_wkt is not None
    assert info.crs_code is None


class TestQuicklook:
    def look(self, path, tmp_path):
        png = quicklook_png(path)
        assert png.startswith(PNG)
        assert len(png) <= 40_000
        target = tmp_path / "quicklook.png"
        target.write_bytes(png)
        with raster.closed_world(), rasterio.open(target) as picture:
            assert (picture.count, picture.dtypes[0]) == (3, "uint8")
            assert max(picture.shape) <= 256
            return picture.read()

    @pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
    def test_any_number_of_bands(self, make_raster, noise, tmp_path, count):
        picture = self.look(make_raster("a.tif", noise(count)), tmp_path)
        assert picture.std() > 10

    def test_noise_still_fits(self, make_raster, noise, tmp_path):
        assert self.look(make_raster("a.tif", noise(3, 256, "uint8", 255)), tmp_path).shape[0] == 3

    def test_colours_by_description(self, make_raster, tmp_path):
        pixels = np.full((4, 100, 100), 50, "uint16")
        pixels[2, :50] = 4000  # red above

        def decorate(dataset):
            dataset.descriptions = ("blue", "green", "red", "nir")

        red, green, _ = self.look(make_raster("a.tif", pixels, decorate=decorate, photometric="MINISBLACK"), tmp_path)
        assert red[:50].mean() > 200 > 5 > red[50:].mean()
        assert green.std() == 0

    def test_stretch_ignores_nodata_and_nan(self, make_raster, tmp_path):
        pixels = np.tile(np.linspace(0, 1, 100, dtype="float32"), (100, 1))[None]
        pixels[0, :40] = np.nan
        pixels[0, 40:50] = -9999
        picture = self.look(make_raster("a.tif", pixels, nodata=-9999), tmp_path)
        assert (picture[:, :50] == 0).all()
        assert picture[0, 60, 0] <= 2
        assert picture[0, 60, -1] >= 253

    @pytest.mark.parametrize("fill", [0, np.nan])
    def test_all_nodata_is_grey(self, make_raster, tmp_path, fill):
        picture = self.look(make_raster("a.tif", np.full((3, 90, 80), fill, "float32"), nodata=fill), tmp_path)
        assert (picture == 128).all()

    def test_constant_raster(self, make_raster, tmp_path):
        assert (self.look(make_raster("a.tif", np.full((1, 90, 80), 7, "uint16")), tmp_path) == 128).all()

    def test_palette(self, make_raster, tmp_path):
        def decorate(dataset):
            dataset.write_colormap(1, {1: (255, 0, 0, 255), 2: (0, 0, 255, 255)})

        pixels = np.ones((1, 50, 50), "uint8")
        pixels[0, 25:] = 2
        picture = self.look(make_raster("a.tif", pixels, decorate=decorate), tmp_path)
        assert picture[:, 0, 0].tolist() == [255, 0, 0]
        assert picture[:, 49, 0].tolist() == [0, 0, 255]

    def test_very_wide(self, make_raster, tmp_path):
        assert self.look(make_raster("a.tif", np.ones((1, 2, 3000), "uint8")), tmp_path).shape == (3, 1, 256)

    def test_complex(self, make_raster, noise, tmp_path):
        assert self.look(make_raster("a.tif", noise().astype("complex64") * 1j), tmp_path).std() > 10
