import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from unittest.mock import ANY

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

from up42_pipelines.sandbox.core import geometry
from up42_pipelines.sandbox.imagery import synthetic


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
    synthetic.write_data(content, content["data"][0], tmp_path / "data.tiff")
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
    synthetic.write_data(content, content["data"][0], tmp_path / "data.tiff")
    with rasterio.open(tmp_path / "data.tiff") as raster:
        west, south, east, north = rasterio.warp.transform_bounds(raster.crs, 4326, *raster.bounds)
    assert (west, south, east, north) == pytest.approx(content["bbox"], abs=2e-4)


def test_two_dates_show_the_same_ground_but_for_a_few_building_sites(sandbox, take_scene):
    pixels = []
    for _ in range(2):
        order_id = sandbox.place(take_scene(max_cloud=0).id)
        sandbox.wait_for_end(order_id)
        (item,) = sandbox.wait_for_items(order_id)
        with MemoryFile(sandbox.data_of(item)) as memory, memory.open() as raster:
            pixels.append(raster.read())
    before, after = pixels
    assert 0 < (before != after).any(axis=0).mean() < 0.06


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


@pytest.mark.parametrize(
    "query",
    [
        "createdAfter=yesterday",
        "createdBefore=2026-01-01",
        "createdBefore=9999-12-31T23:59:59-23:00",
        "workspaceId=a",
        "sources=SPACE",
        "geospatialMetadataExtractionStatus=DONE",
        "sort=mood,asc",
        "sort=name,up",
        "page=-1",
        "size=0",
    ],
)
def test_asset_lists_that_make_no_sense_are_400(sandbox, query):
    answer = sandbox.get(f"/v2/assets?{query}")
    assert (answer.status_code, answer.json()["status"]) == (400, 400)


@pytest.fixture(scope="module")
def various(start_sandbox, take_scene):
    """A sandbox with assets of all sources; the second archive asset has a title. Assets by source."""
    own = start_sandbox()
    own.post("/sandbox/fates", {"kind": "order", "fate": "fulfilled", "times": 3})
    own.post("/sandbox/fates", {"kind": "job", "fate": "successful"})
    for tag in ("first", "second"):
        own.place(take_scene().id, tags=[tag])
        own.post("/sandbox/clock", {"advance": 60})
    item = own.post("/v2/assets/stac/search", {}).json()["features"][0]
    title = {"title": "Alpha", "tags": ["renamed"]}
    own.post(f"/v2/assets/{item['properties']['up42-system:asset_id']}/metadata", title)
    given = {"title": "Beta", "item": next(link["href"] for link in item["links"] if link["rel"] == "self")}
    path = f"/v2/processing/processes/upsampling-ns/execution?workspaceId={own.workspace_id}"
    assert own.post(path, {"inputs": given}).status_code == 201
    _task(own)
    own.post("/sandbox/clock", {"advance": 3600})
    assets = own.get("/v2/assets", params={"size": 100}).json()["content"]
    return own, assets


def _task(sandbox):
    """Place a tasking order and decide for it until it is delivered."""
    tasking = next(c for c in sandbox.get("/v2/collections").json()["content"] if c["type"] == "TASKING")
    product_id = tasking["dataProducts"][0]["id"]
    schema = sandbox.get(f"/orders/schema/{product_id}").json()
    soon = datetime.now(UTC)
    params = {"acquisitionStart": soon + timedelta(days=1), "acquisitionEnd": soon + timedelta(days=20)}
    params = {key: value.strftime("%Y-%m-%dT%H:%M:%SZ") for key, value in params.items()}
    params |= {"displayName": "task", "acquisitionMode": "mono", "cloudCoverage": 20, "incidenceAngle": 30}
    geometry_ = tiny(13.4, 52.5, 0.02)
    body = {
        "dataProduct": product_id,
        "displayName": "task",
        "params": {key: value for key, value in params.items() if key in schema["properties"]},
        "featureCollection": {
            "type": "FeatureCollection",
            "features": [{"type": "Feature", "properties": {}, "geometry": geometry_}],
        },
    }
    placed = sandbox.post(f"/v2/orders?workspaceId={sandbox.workspace_id}", body)
    assert placed.json()["errors"] == [], placed.text
    sandbox.post("/sandbox/clock", {"advance": 60})
    (study,) = sandbox.get("/v2/tasking/feasibility-studies").json()["content"]
    chosen = {"acceptedOptionId": study["options"][0]["id"]}
    assert sandbox.http.patch(f"{sandbox.url}/v2/tasking/feasibility-studies/{study['id']}", json=chosen).ok
    sandbox.post("/sandbox/clock", {"advance": 60})
    (quotation,) = sandbox.get("/v2/tasking/quotation").json()["content"]
    accepted = {"decision": "ACCEPTED"}
    assert sandbox.http.patch(f"{sandbox.url}/v2/tasking/quotation/{quotation['id']}", json=accepted).ok


def test_the_source_follows_from_the_order_or_the_job(various):
    own, assets = various
    sources = [asset["source"] for asset in assets]
    assert sorted(set(sources)) == ["ARCHIVE", "PROCESSING", "TASKING"]
    for asset in assets:
        same = {"filter": {"op": "=", "args": [{"property": "asset_id"}, asset["id"]]}}
        (item,) = own.post("/v2/assets/stac/search", same).json()["features"]
        assert item["properties"]["up42-system:source"] == asset["source"]
        assert ("orderId" in asset) == (asset["source"] != "PROCESSING")
        collection = own.get(f"/v2/assets/stac/collections/{item['collection']}").json()
        assert collection["up42-system:source"] == asset["source"]
    for source in ("ARCHIVE", "TASKING", "PROCESSING"):
        expected = [asset["id"] for asset in assets if asset["source"] == source]
        found = own.get("/v2/assets", params={"sources": source}).json()["content"]
        assert [asset["id"] for asset in found] == expected
    joined = own.get("/v2/assets?sources=TASKING,PROCESSING").json()["totalElements"]
    repeated = own.get("/v2/assets?sources=TASKING&sources=PROCESSING").json()["totalElements"]
    assert joined == repeated == len(assets) - sources.count("ARCHIVE")


@pytest.mark.parametrize(
    "field", ["name", "title", "size", "createdAt", "updatedAt", "source", "collectionName", "producerName"]
)
def test_assets_are_sorted_by_every_documented_field(various, field):
    own, assets = various
    for direction in ("asc", "desc"):
        listed = own.get("/v2/assets", params={"sort": f"{field},{direction}", "size": 100}).json()["content"]
        values = [asset[field] or "" for asset in listed]
        assert values == sorted(values, reverse=direction == "desc")
        assert sorted(asset["id"] for asset in listed) == sorted(asset["id"] for asset in assets)


def test_assets_are_searched_by_name_title_and_order(various):
    own, assets = various
    titled = next(asset for asset in assets if asset["title"] == "Alpha")
    for text in ("alph", titled["orderId"], titled["name"].upper()):
        found = own.get("/v2/assets", params={"search": text}).json()["content"]
        assert [asset["id"] for asset in found] == [titled["id"]]
    older = [asset for asset in assets if asset["createdAt"] < titled["createdAt"]]
    for name, text in (("createdBefore", titled["createdAt"]), ("createdAfter", titled["createdAt"])):
        found = own.get("/v2/assets", params={name: text, "size": 100}).json()["content"]
        expected = {asset["id"] for asset in assets if (asset in older) == (name == "createdBefore")} | {titled["id"]}
        assert {asset["id"] for asset in found} == expected
    assert own.get("/v2/assets?tags=renamed&tags=first").json()["totalElements"] == 2
    assert own.get("/v2/assets?tags=second").json()["totalElements"] == 0


def test_a_user_gives_an_asset_title_and_tags(sandbox, take_scene):
    order_id = sandbox.place(take_scene().id, tags=["inherited"])
    sandbox.wait_for_items(order_id)
    (asset,) = assets_of(sandbox, order_id)
    path = f"/v2/assets/{asset['id']}/metadata"

    def after(change):
        changed = sandbox.post(path, change)
        assert (changed.status_code, changed.json()) == (200, sandbox.get(path).json())
        return changed.json()

    changed = after({"title": "Harbour", "tags": ["ship"]})
    assert changed == {**asset, "title": "Harbour", "tags": ["ship"], "updatedAt": changed["updatedAt"]}
    assert changed["updatedAt"] > asset["updatedAt"]
    assert after({"title": "Port"})["tags"] == ["ship"]
    cleared = after({"tags": None})
    assert (cleared["title"], "tags" in cleared) == ("Port", False)
    assert after({"title": None, "tags": []}) == {**cleared, "title": None, "tags": [], "updatedAt": ANY}


@pytest.mark.parametrize(
    "body",
    [{"name": "x"}, {"title": 7}, {"title": "\ud800"}, {"title": "x" * 201}, {"tags": "x"}, {"tags": ["#"]}, [], "x"],
)
def test_what_cannot_be_title_or_tags_is_400(sandbox, fulfilled, body):
    (asset,) = assets_of(sandbox, fulfilled[1])
    answer = sandbox.post(f"/v2/assets/{asset['id']}/metadata", body)
    assert (answer.status_code, answer.json()["status"]) == (400, 400)
    assert sandbox.get(f"/v2/assets/{asset['id']}/metadata").json() == asset


def test_only_assets_that_are_there_can_be_changed(sandbox):
    nothing = "00000000-0000-4000-8000-000000000000"
    assert sandbox.post(f"/v2/assets/{nothing}/metadata", {"title": "x"}).status_code == 404


def test_the_files_of_an_item_need_a_token(sandbox, fulfilled):
    _, _, item = fulfilled
    for asset in item["assets"].values():
        assert requests.get(asset["href"], timeout=10).status_code == 401
        answer = sandbox.http.get(asset["href"])
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == asset["type"]
