"""What landed opens in other people's tools, by nothing but its address."""

from __future__ import annotations

import asyncio
from pathlib import Path

import duckdb
import numpy as np
import odc.stac
import pystac
import pytest
import rioxarray
import rustac
from rasterio.transform import Affine

from up42_pipelines.lake import Lake
from up42_pipelines.lake.stac.validation import problems

# odc-geo 0.5 with shapely 2.2
OF_ODC = pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning")
SIZE, METRES = 80, 10.0
WEST, NORTH = 500_000.0, 5_800_000.0


@pytest.fixture
def deliveries(files, up42_item, make_raster, noise):
    """Two scenes side by side, a day apart: items, and pixels of shape (band, y, x) whose first columns are nodata."""
    items, pixels = [], []
    for number in (0, 1):
        scene = noise(3, SIZE + 50)[:, :SIZE, :SIZE] + number
        scene[:, :, :4] = 0
        place = Affine(METRES, 0, WEST + number * SIZE * METRES, 0, -METRES, NORTH)
        name = f"scene{number}.tif"
        path = make_raster(name, scene, crs="EPSG:32633", transform=place, nodata=0)
        href = files.put(name, path.read_bytes())
        path.unlink()
        item = up42_item({"ms": (href, "image/tiff", ["data"])}, f"scene-{number}")
        item.datetime = item.datetime.replace(day=1 + number)
        item.properties["eo:cloud_cover"] = 10.0 + 50 * number
        items.append(item)
        pixels.append(scene)
    return items, pixels


@pytest.fixture
def landed(land, deliveries, tmp_path) -> tuple[Lake, list[pystac.Item]]:
    lake = Lake(str(tmp_path / "lake"))
    items = [land(lake, item).item for item in deliveries[0]]
    return lake, items


def index_of(lake: Lake) -> Path:
    return Path(lake.path("collections", "phr", "index"))


def test_rioxarray_opens_lazily(landed, deliveries):
    for item, pixels in zip(landed[1], deliveries[1], strict=True):
        with rioxarray.open_rasterio(item.assets["ms"].href) as array:
            assert not array.variable._in_memory, "opening reads no pixel"
            assert (array.shape, array.rio.crs, array.rio.nodata) == (pixels.shape, "EPSG:32633", 0)
            assert array.rio.transform().a == METRES
            np.testing.assert_array_equal(array.values, pixels)


def assert_mosaic(items, pixels):
    loaded = odc.stac.load(items, chunks={})
    (first, *_) = bands = list(loaded.data_vars)
    assert len(bands) == 3
    assert loaded[first].shape == (2, SIZE, 2 * SIZE)
    assert not loaded[first].variable._in_memory
    assert loaded.odc.crs == "EPSG:32633"
    assert (loaded.odc.geobox.transform.c, loaded.odc.geobox.transform.f) == (WEST, NORTH)
    assert list(loaded.time.dt.day.values) == [1, 2]
    for number, band in enumerate(bands):
        assert (loaded[band].dtype, loaded[band].odc.nodata) == ("uint16", 0)
        mosaic = loaded[band].compute(scheduler="synchronous").values
        np.testing.assert_array_equal(mosaic[0, :, :SIZE], pixels[0][number])
        np.testing.assert_array_equal(mosaic[1, :, SIZE:], pixels[1][number])
        assert not mosaic[0, :, SIZE:].any(), "nodata where the other scene is"
        assert not mosaic[1, :, :SIZE].any()


@OF_ODC
def test_odc_stac_loads_both_scenes_as_one_cube(landed, deliveries):
    assert_mosaic(landed[1], deliveries[1])


def test_pystac_walks_the_catalogue(landed):
    lake, items = landed
    catalog = pystac.Catalog.from_file(lake.href("catalog.json"))
    found = {item.id: item for item in catalog.get_items(recursive=True)}
    assert found.keys() == {item.id for item in items}
    (collection,) = catalog.get_collections()
    first, last = collection.extent.temporal.intervals[0]
    assert (first.day, last.day) == (1, 2)
    for item in found.values():
        assert problems(item.to_dict(transform_hrefs=False)) == ()
        assert item.get_collection().id == "phr"
        for asset in item.assets.values():
            assert Path(asset.get_absolute_href()).stat().st_size == asset.extra_fields["file:size"]


def test_rustac_reads_the_index_as_valid_items(landed):
    async def read():
        return [await rustac.read(str(part)) for part in index_of(landed[0]).glob("*.parquet")]

    features = [feature for collection in asyncio.run(read()) for feature in collection["features"]]
    assert {feature["id"] for feature in features} == {"scene-0", "scene-1"}
    for feature in features:
        assert problems(feature) == ()
        assert Path(feature["assets"]["ms"]["href"]).is_file()


def test_duckdb_finds_items_by_place_time_and_cloud(landed):
    later = "datetime >= timestamptz '2024-05-02 00:00:00Z'"
    expected = {
        "true": ["scene-0", "scene-1"],
        "bbox.xmin <= 15.005 and bbox.xmax >= 15.0": ["scene-0"],
        later: ["scene-1"],
        '"eo:cloud_cover" < 20': ["scene-0"],
        f'"eo:cloud_cover" < 20 and {later}': [],
    }
    with duckdb.connect() as database:
        for where, found in expected.items():
            query = f"select id, assets['ms']['href'] from read_parquet(?) where {where} order by id"
            rows = database.execute(query, [f"{index_of(landed[0])}/*.parquet"]).fetchall()
            assert [row[0] for row in rows] == found, where
            assert all(Path(href).is_file() for _, href in rows)


@OF_ODC
@pytest.mark.parametrize("object_store", ["s3"], indirect=True)
def test_on_an_object_store(object_store, land, deliveries, monkeypatch):
    """The hrefs are what GDAL opens, once it knows where this S3 is."""
    lake = Lake(f"{object_store.url}/readers", object_store.storage_options)
    items = [land(lake, item).item for item in deliveries[0]]
    assert all(item.assets["ms"].href.startswith("s3://bucket/readers/collections/phr/") for item in items)
    endpoint = object_store.storage_options["endpoint_url"].removeprefix("http://")
    for name, value in {"AWS_S3_ENDPOINT": endpoint, "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE"}.items():
        monkeypatch.setenv(name, value)
    with rioxarray.open_rasterio(items[0].assets["ms"].href) as array:
        np.testing.assert_array_equal(array.values, deliveries[1][0])
    assert_mosaic(items, deliveries[1])
