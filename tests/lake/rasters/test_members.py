"""Rasters of several files: what belongs to them is read, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.rasters import members
from up42_pipelines.lake.rasters.cog import ensure_cog
from up42_pipelines.lake.rasters.members import gathered
from up42_pipelines.lake.rasters.raster import closed_world, describe
from up42_pipelines.lake.rasters.source import RasterSource

SECRET = b"password"


def vrt(path):
    """A VRT whose pixels are the bytes of a local file."""
    return (
        '<VRTDataset rasterXSize="8" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1" '
        f'subClass="VRTRawRasterBand"><SourceFilename relativetoVRT="0">{path}</SourceFilename>'
        "</VRTRasterBand></VRTDataset>"
    )


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


def refused(worker, source, tmp_path, reason):
    """Refused by the worker, and in this process, and no secret anywhere."""
    target = tmp_path / "cog.tif"
    for land in (worker.land, ensure_cog):
        with pytest.raises(InvalidDelivery, match=reason) as error:
            land(source, target)
        assert SECRET.decode() not in str(error.value)
        assert not target.exists()


@pytest.mark.parametrize("root", ["Dimap_Document", "PHR_DIMAP_Document"])
def test_a_dimap_of_one_tile(raster_worker, make_raster, make_dimap, noise, tmp_path, root):
    tile = make_raster("package/IMAGERY.TIF", noise(1, 100))
    source = make_dimap("IMAGERY.TIF", (tile,), width=50, height=100)
    source.path.write_text(source.path.read_text().replace("Dimap_Document", root))
    landed = raster_worker.land(source, tmp_path / "cog.tif")
    assert (landed.source_driver, landed.kept) == ("DIMAP", False)
    with rasterio.open(landed.path) as after:
        np.testing.assert_array_equal(after.read(), noise(1, 100))


def test_a_tile_that_is_a_vrt_reads_nothing(raster_worker, make_dimap, secret, tmp_path):
    """Opening a DIMAP registers the VRT driver, so that its tiles could be any."""
    source = make_dimap("IMAGERY.TIF")
    tile = source.path.with_name("IMAGERY.TIF")
    tile.write_text(vrt(secret))
    refused(raster_worker, RasterSource(path=source.path, driver="DIMAP", members=(tile,)), tmp_path, "IMAGERY.TIF")
    tile.rename(tile.with_suffix(".XML"))
    source = make_dimap("IMAGERY.XML", (tile.with_suffix(".XML"),))
    refused(raster_worker, source, tmp_path, "IMAGERY.XML")


@pytest.mark.parametrize("href", ["{folder}/outside.tif", "../outside.tif", "x/../../outside.tif", "..\\outside.tif"])
def test_a_tile_outside_of_the_package_is_not_read(raster_worker, make_raster, make_dimap, noise, tmp_path, href):
    outside = make_raster("outside.tif", noise(1, 100))
    source = make_dimap(href.format(folder=outside.parent), width=50, height=100)
    refused(raster_worker, source, tmp_path, "lies outside of its package")


@pytest.mark.parametrize(
    "spelling",
    [
        '<data_file_path href="{}"/>',
        '<DATA_FILE_PATH HREF="{}"/>',
        '<DATA_FILE_PATH HREF="{}" href="IMAGERY.TIF"/>',
        "<DATA_FILE_PATH><href>{}</href></DATA_FILE_PATH>",
    ],
)
def test_spellings_that_only_gdal_takes_for_a_reference(
    raster_worker, make_raster, make_dimap, noise, tmp_path, spelling
):
    """GDAL compares names without case, and takes elements for attributes."""
    outside = make_raster("outside.tif", noise(1, 100))
    source = make_dimap("IMAGERY.TIF", width=50, height=100)
    hostile = spelling.format(f"{'../' * 9}{outside}")
    document = source.path.read_text().replace('<DATA_FILE_PATH href="IMAGERY.TIF"/>', hostile)
    source.path.write_text(document)
    refused(raster_worker, source, tmp_path, "lies outside of its package")


@pytest.mark.parametrize(
    "href", ["/vsicurl/http://127.0.0.1:9/a.tif", "http://127.0.0.1:9/a.tif", "GTIFF_DIR:1:/etc/a.tif", "C:\\a.tif"]
)
def test_a_tile_that_is_no_file_name_is_not_read(raster_worker, make_dimap, tmp_path, href):
    refused(raster_worker, make_dimap(href), tmp_path, "lies outside of its package")


def test_a_file_that_is_no_member_is_not_read(raster_worker, make_raster, make_dimap, noise, tmp_path):
    make_raster("package/IMAGERY.TIF", noise(1, 100))
    refused(raster_worker, make_dimap("IMAGERY.TIF", width=50, height=100), tmp_path, "IMAGERY.TIF")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<VRTDataset/>", "no DIMAP document"),
        ("<Dimap_Document>", "cannot be read as XML"),
        ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Dimap_Document>&b;</Dimap_Document>', "as XML"),
        ("<Dimap_Document/>", "cannot be read as DIMAP"),
        ("no XML", "cannot be read as XML"),
    ],
)
def test_what_is_no_dimap_is_refused(raster_worker, tmp_path, content, reason):
    path = tmp_path / "DIM.XML"
    path.write_text(content)
    refused(raster_worker, RasterSource(path=path, driver="DIMAP"), tmp_path, reason)


def test_a_driver_that_the_bytes_contradict_is_refused(make_raster, noise, tmp_path):
    path = make_raster("a.tif", noise())
    for driver in ("DIMAP", "JP2OpenJPEG", "VRT"):
        with pytest.raises(InvalidDelivery, match=f"is to be {driver}, and is GTiff"):
            describe(RasterSource(path=path, driver=driver))


def mask_of(path, seen):
    with rasterio.open(path) as dataset:
        profile = {"driver": "GTiff", "width": dataset.width, "height": dataset.height, "count": 1, "dtype": "uint8"}
    mask = path.with_name(f"{path.name}.msk")
    with closed_world(), rasterio.open(mask, "w", **profile) as dataset:
        dataset.update_tags(INTERNAL_MASK_FLAGS_1="2")
        dataset.write(seen.astype("uint8")[None] * 255)
    return mask


def test_a_side_car_mask_becomes_part_of_the_cog(raster_worker, make_raster, noise, tmp_path):
    path = make_raster("a.tif", noise(3, 300, "uint8", 250))
    seen = np.ones((300, 250), bool)
    seen[:60] = False
    mask = mask_of(path, seen)
    landed = raster_worker.land(RasterSource(path=path, members=(mask,)), tmp_path / "cog.tif")
    assert landed.info.has_mask
    assert landed.valid_percent == pytest.approx(80)
    with rasterio.open(landed.path) as after:
        np.testing.assert_array_equal(after.dataset_mask() != 0, seen)
    assert not raster_worker.describe(path).has_mask, "only as a member"


def test_a_mask_that_is_a_vrt_is_ignored(raster_worker, make_raster, noise, secret, tmp_path):
    path = make_raster("a.tif", noise(1, 300, "uint8", 250))
    mask = path.with_name("a.tif.msk")
    mask.write_text(vrt(secret))
    landed = raster_worker.land(RasterSource(path=path, members=(mask,)), tmp_path / "cog.tif")
    assert not landed.info.has_mask
    assert landed.valid_percent == 100
    with gathered(RasterSource(path=path, members=(mask,))) as linked:
        assert [entry.name for entry in linked.parent.iterdir()] == ["a.tif"]


def test_absurdly_large_side_cars_are_not_read(make_raster, make_dimap, noise, tmp_path, monkeypatch):
    path = make_raster("a.tif", noise(1, 100), bare=True)
    world = path.with_suffix(".tfw")
    world.write_text("2\n0\n0\n-2\n500001\n5799999\n" + " " * 1000)
    assert describe(RasterSource(path=path, members=(world,))).transform is None
    monkeypatch.setattr(members, "_MAX_XML_BYTES", 100)
    with pytest.raises(InvalidDelivery, match="too many for metadata"):
        describe(make_dimap("IMAGERY.TIF"))


def test_a_world_file_gives_the_place(raster_worker, make_raster, noise, tmp_path):
    path = make_raster("a.tif", noise(), bare=True)
    world = path.with_suffix(".tfw")
    world.write_text("2\n0\n0\n-2\n500001\n5799999\n")
    landed = raster_worker.land(RasterSource(path=path, members=(world,)), tmp_path / "cog.tif")
    assert landed.info.transform == (2, 0, 500_000, 0, -2, 5_800_000)
    assert raster_worker.describe(path).transform is None
