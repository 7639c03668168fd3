import io
import json
import zipfile
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import rasterio
import rasterio.features
import rasterio.warp
import requests
from rasterio.io import MemoryFile
from rio_cogeo.cogeo import cog_validate
from shapely.geometry import Point, shape
from shapely.ops import unary_union

from up42_pipelines.sandbox import geometry, synthetic


def assets_of(sandbox, order_id):
    return sandbox.get("/v2/assets", params={"search": order_id}).json()["content"]


@pytest.fixture(scope="module")
def fulfilled(sandbox, take_scene):
    """A whole delivery: scene, order id, item."""
    scene = take_scene(max_cloud=60)
    order_id = sandbox.place(scene.id, tags=["kept"])
    assert sandbox.wait_for_end(order_id) == "FULFILLED"
    (item,) = sandbox.wait_for_items(order_id)
    return scene, order_id, item


def test_a_delivery_is_a_cog_that_agrees_with_its_item(sandbox, fulfilled, aoi, tmp_path):
    scene, _, item = fulfilled
    path = tmp_path / "data.tiff"
    path.write_bytes(sandbox.data_of(item))
    valid, errors, _ = cog_validate(str(path), quiet=True)
    assert (valid, errors) == (True, [])
    with rasterio.open(path) as raster:
        assert (raster.count, raster.dtypes[0], raster.nodata) == (4, "uint16", 0)
        assert raster.descriptions == ("blue", "green", "red", "nir")
        assert raster.crs.to_epsg() == item["properties"]["proj:epsg"] == 32633
        assert raster.res == (item["properties"]["gsd"],) * 2 == (3.0, 3.0)
        assert (raster.bounds.left % 3, raster.bounds.top % 3) == (0, 0)
        inside = rasterio.features.geometry_mask(
            [geometry.project(shape(aoi), 32633)], raster.shape, raster.transform, invert=True
        )
        pixels = raster.read()
    assert (pixels[:, inside] > 0).all()
    assert (pixels[:, ~inside] == 0).all()
    assert 0 < (~inside).sum() < inside.sum()
    assert shape(item["geometry"]).equals_exact(shape(aoi).normalize(), 1e-9) or shape(item["geometry"]).equals(
        shape(aoi)
    )
    assert item["bbox"] == pytest.approx(shape(aoi).bounds)
    assert item["properties"]["eo:cloud_cover"] == scene.cloud_cover_percent


def test_the_archive_holds_the_same_raster(sandbox, fulfilled):
    _, order_id, item = fulfilled
    (asset,) = assets_of(sandbox, order_id)
    assert asset["name"] == f"sandbox-host_{order_id}.zip"
    assert (asset["contentType"], asset["orderId"], asset["source"]) == ("application/zip", order_id, "ARCHIVE")
    assert (asset["tags"], asset["geospatialMetadataExtractionStatus"]) == (["kept"], "SUCCESSFUL")
    assert asset["id"] == item["properties"]["up42-system:asset_id"]
    assert sandbox.get(f"/v2/assets/{asset['id']}/metadata").json() == asset
    whole = sandbox.get(f"/v2/assets/{asset['id']}").content
    assert len(whole) == asset["size"]
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        (image,) = [name for name in archive.namelist() if name.endswith(".TIF")]
        assert archive.read(image) == sandbox.data_of(item)
        (metadata,) = [name for name in archive.namelist() if name.endswith(".JSON")]
        assert json.loads(archive.read(metadata))["orderId"] == order_id
    collection = sandbox.get(f"/v2/assets/stac/collections/{item['collection']}").json()
    original = collection["assets"][asset["name"]]
    assert original["href"] == f"{sandbox.url}/v2/assets/{asset['id']}"
    assert original["roles"] == ["data", "original"]


def test_the_display_product_is_for_the_eye(sandbox, take_scene):
    order_id = sandbox.place(take_scene(product="display").id, product="display")
    assert sandbox.wait_for_end(order_id) == "FULFILLED"
    (item,) = sandbox.wait_for_items(order_id)
    with MemoryFile(sandbox.data_of(item)) as memory, memory.open() as raster:
        assert (raster.count, raster.dtypes[0], raster.nodata) == (3, "uint8", 0)
        assert [color.name for color in raster.colorinterp] == ["red", "green", "blue"]


def tiny(west, south, side):
    ring = [[west, south], [west + side, south], [west + side, south + side], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


@pytest.mark.parametrize(
    ("clip", "zone", "gsd"),
    [(tiny(13.37, 52.51, 1e-5), 32633, 3), (tiny(13.37, 52.51, 2e-4), 32633, 3), ("whole", 32633, 24)],
    ids=["smaller than a pixel", "a few pixels", "a whole scene"],
)
def test_any_size_of_aoi_can_be_rendered(take_scene, tmp_path, clip, zone, gsd):
    scene, source = take_scene(), synthetic.SyntheticScenes(0)
    aoi = scene.footprint if clip == "whole" else shape(clip)
    content = source.content(scene, source.collection.products[0], aoi, 0)
    assert (content["epsg"], content["gsd"]) == (zone, gsd)
    synthetic.write_data(content, tmp_path / "data.tiff")
    synthetic.write_preview(content, tmp_path / "preview.jpg")
    with rasterio.open(tmp_path / "data.tiff") as raster:
        assert max(raster.shape) <= 2048
        assert (raster.read(1) > 0).any()


def test_the_southern_hemisphere_has_its_own_zones(tmp_path):
    source = synthetic.SyntheticScenes(0)
    day = datetime(2026, 3, 1, tzinfo=UTC)
    scene = next(source.find(Point(-58.4, -34.6), day, day + timedelta(days=9)))
    aoi = scene.footprint.centroid.buffer(0.005)
    content = source.content(scene, source.collection.products[0], aoi, 2)
    assert content["epsg"] == 32721
    synthetic.write_data(content, tmp_path / "data.tiff")
    with rasterio.open(tmp_path / "data.tiff") as raster:
        west, south, east, north = rasterio.warp.transform_bounds(raster.crs, 4326, *raster.bounds)
    assert (west, south, east, north) == pytest.approx(content["bbox"], abs=2e-4)


def test_two_dates_show_the_same_ground(sandbox, take_scene):
    pixels = []
    for _ in range(2):
        order_id = sandbox.place(take_scene(max_cloud=0).id)
        sandbox.wait_for_end(order_id)
        (item,) = sandbox.wait_for_items(order_id)
        with MemoryFile(sandbox.data_of(item)) as memory, memory.open() as raster:
            pixels.append(raster.read())
    assert np.array_equal(*pixels)


def test_a_partial_delivery_comes_in_two_halves_that_fit(sandbox, take_scene, aoi):
    order_id = sandbox.place(take_scene(parts=2).id)
    assert sandbox.wait_for_end(order_id) == "FULFILLED"
    items = sandbox.wait_for_items(order_id, count=2)
    west, east = sorted(items, key=lambda item: item["bbox"][0])
    assert west["collection"] != east["collection"]
    assert west["bbox"][2] == pytest.approx(east["bbox"][0])
    both = unary_union([shape(item["geometry"]) for item in items])
    assert both.symmetric_difference(shape(aoi)).area < 1e-9
    covered = {}
    for name, item in (("west", west), ("east", east)):
        with MemoryFile(sandbox.data_of(item)) as memory, memory.open() as raster:
            rows, columns = np.nonzero(raster.read(1))
            xs, ys = rasterio.transform.xy(raster.transform, rows, columns)
            covered[name] = set(zip(np.round(xs, 1), np.round(ys, 1), strict=True))
    assert not covered["west"] & covered["east"]
    names = [asset["name"] for asset in assets_of(sandbox, order_id)]
    assert len(set(names)) == 2


def test_the_first_half_comes_before_the_order_is_fulfilled(start_sandbox, take_scene, await_true):

    def leisurely(life):
        first = life.arrivals[0]
        return first.asset_after < 120 and min(first.items_after, life.steps[-1][0]) - first.asset_after > 90

    gentle, scene = start_sandbox(speed=60.0), take_scene(parts=2, life_is=leisurely)
    order_id = gentle.place(scene.id)
    asset = await_true(lambda: assets_of(gentle, order_id))
    assert len(asset) == 1
    assert gentle.status(order_id) == "BEING_FULFILLED"
    assert asset[0]["geospatialMetadataExtractionStatus"] == "IN_PROGRESS"
    assert gentle.items_of(order_id) == []
    # The original can be fetched before there is a STAC item.
    signed = gentle.post(f"/v2/assets/{asset[0]['id']}/download-url").json()["url"]
    assert requests.head(signed, timeout=10).headers["Content-Length"] == str(asset[0]["size"])


def test_a_failed_order_delivers_nothing(sandbox, take_scene):
    order_id = sandbox.place(take_scene(ends="FAILED_PERMANENTLY").id)
    assert sandbox.wait_for_end(order_id) == "FAILED_PERMANENTLY"
    assert assets_of(sandbox, order_id) == sandbox.items_of(order_id) == []


def test_the_asset_list_filters_and_sorts(sandbox, fulfilled):
    _, order_id, _ = fulfilled
    (asset,) = assets_of(sandbox, order_id)

    def found(**params):
        return [
            entry["id"] for entry in sandbox.get("/v2/assets", params={"search": order_id, **params}).json()["content"]
        ]

    keep = [
        {"tags": ["kept", "other"]},
        {"sources": ["ARCHIVE", "TASKING"]},
        {"collectionNames": "sandbox-optical"},
        {"producerNames": "Sandbox"},
        {"workspaceId": sandbox.workspace_id},
        {"geospatialMetadataExtractionStatus": "SUCCESSFUL"},
        {"createdAfter": "2020-01-01T00:00:00Z"},
        *({"sort": f"{field},desc"} for field in ("name", "title", "size", "createdAt", "updatedAt", "source")),
    ]
    for params in keep:
        assert found(**params) == [asset["id"]], params
    drop = [
        {"tags": "other"},
        {"sources": "TASKING"},
        {"collectionNames": "phr"},
        {"producerNames": "Airbus"},
        {"geospatialMetadataExtractionStatus": "FAILED"},
        {"createdBefore": "2020-01-01T00:00:00Z"},
        {"search": "something else"},
    ]
    for params in drop:
        assert found(**params) == [], params
    assert sandbox.get("/v2/assets?createdAfter=yesterday").status_code == 400


def test_the_files_of_an_item_need_a_token(sandbox, fulfilled):
    _, _, item = fulfilled
    for asset in item["assets"].values():
        assert requests.get(asset["href"], timeout=10).status_code == 401
        answer = sandbox.http.get(asset["href"])
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == asset["type"]
