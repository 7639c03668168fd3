import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rasterio.warp
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.io import MemoryFile
from shapely.geometry import Point, box, shape

from up42_pipelines.sandbox.imagery import imagery_folder, placement


def from_origin(west, north, width, height):
    return Affine(width, 0, west, 0, -height, north)


SEARCH = "/catalog/hosts/sandbox-host/stac/search"
JUNE = "2026-06-01T00:00:00Z/2026-06-03T23:59:59Z"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
UTM = {"crs": "EPSG:32633", "transform": from_origin(390_000, 5_800_000, 10, 10)}


def write(path, *, size=(64, 48), count=1, driver="GTiff", dtype="uint16", options=None, gcps=None, **georeference):
    """Write noise; returns the path."""
    pixels = np.random.default_rng(7).integers(1, 200, (count, *size)).astype(dtype)
    profile = {"driver": driver, "dtype": dtype, "count": count, "height": size[0], "width": size[1]}
    with rasterio.open(path, "w", **profile, **georeference, **(options or {})) as dataset:
        dataset.write(pixels)
        if gcps:
            dataset.gcps = gcps
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Rasters of every kind that can be placed, and some that cannot."""
    root = tmp_path_factory.mktemp("imagery")
    (root / "sub folder").mkdir()
    write(root / "plain.tif", count=3, dtype="uint8", **UTM)
    write(root / "sub folder" / "it's Größe.TIF", **UTM)
    cog = write(root / "cog_source.tif", size=(600, 600), **UTM)
    rasterio.shutil.copy(cog, root / "cog.tif", driver="COG")
    cog.unlink()
    write(root / "lossless.jp2", driver="JP2OpenJPEG", options={"QUALITY": "100", "REVERSIBLE": "YES"}, **UTM)
    turned = from_origin(390_000, 5_800_000, 10, 10) @ Affine.rotation(30)
    write(root / "rotated.tif", crs="EPSG:32633", transform=turned)
    corners = [(0, 0, 13.0, 52.01), (0, 48, 13.02, 52.012), (64, 48, 13.021, 51.99), (64, 0, 13.001, 51.988)]
    points = [GroundControlPoint(row, column, x, y) for row, column, x, y in corners]
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write(root / "points.tif", gcps=(points, "EPSG:4326"))
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write(root / "lost.tif")
    write(root / "pacific.tif", crs="EPSG:32660", transform=from_origin(710_000, 5_700_000, 1000, 1000))
    write(root / "wrong_degrees.tif", crs="EPSG:4326", transform=from_origin(385_000, 5_800_000, 10, 10))
    write(root / "nan.tif", crs="EPSG:32633", transform=Affine(float("nan"), 0, 1, 0, -10, 1))
    write(root / "mars.tif", crs="+proj=eqc +R=3396190", transform=from_origin(0, 0, 10, 10))
    (root / "fake.tif").write_text('<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>')
    (root / "empty.tif").touch()
    (root / "cut.tif").write_bytes((root / "plain.tif").read_bytes()[:120])
    (root / "plain.tif.msk").write_bytes((root / "plain.tif").read_bytes())
    return root


@pytest.fixture(scope="module")
def shop(start_sandbox, folder):
    return start_sandbox(imagery=folder)


@pytest.fixture(scope="module")
def scenes(shop):
    """The features of the imagery collection by file name."""
    body = {"collections": ["sandbox-imagery"], "datetime": JUNE, "bbox": [-180, -90, 180, 90]}
    features = shop.post(SEARCH, body).json()["features"]
    return {feature["properties"]["providerProperties"]["fileName"]: feature for feature in features}


PLACED = {"plain.tif", "it's Größe.TIF", "cog.tif", "lossless.jp2", "rotated.tif", "points.tif", "pacific.tif"}


def test_what_lies_on_earth_is_a_scene_and_the_rest_is_named_in_the_log(shop, scenes):
    assert set(scenes) == PLACED
    log = shop.log.read_text()
    for name in ("lost.tif", "wrong_degrees.tif", "nan.tif", "mars.tif", "fake.tif", "empty.tif", "cut.tif"):
        assert log.count(f"/{name} is left out") == 1, name
    assert "plain.tif.msk" not in log


def test_both_collections_are_offered_and_keep_apart(shop, scenes):
    names = [collection["name"] for collection in shop.get("/v2/collections").json()["content"]]
    assert names == ["sandbox-imagery", "sandbox-optical", "sandbox-tasking"]
    names.remove("sandbox-tasking")  # it cannot be searched
    here = scenes["plain.tif"]["bbox"]
    both = shop.post(SEARCH, {"bbox": here, "datetime": JUNE}).json()["features"]
    assert {feature["properties"]["collection"] for feature in both} == set(names)
    one = shop.post(SEARCH, {"bbox": here, "datetime": JUNE, "collections": ["sandbox-optical"]}).json()["features"]
    assert {feature["properties"]["collection"] for feature in one} == {"sandbox-optical"}


def test_footprints_are_true(scenes):
    plain = shape(scenes["plain.tif"]["geometry"])
    west, south, east, north = scenes["plain.tif"]["bbox"]
    assert (west, north) == pytest.approx((13.3844, 52.3378), abs=2e-3)
    assert (east - west, north - south) == pytest.approx((0.0072, 0.0058), abs=3e-4)
    assert scenes["plain.tif"]["properties"]["resolution"] == pytest.approx(10, rel=0.01)
    rotated = shape(scenes["rotated.tif"]["geometry"])
    assert rotated.area / rotated.envelope.area < 0.75
    assert rotated.area == pytest.approx(plain.area, rel=0.01)
    points = scenes["points.tif"]
    assert points["properties"]["providerProperties"]["placedBy"] == "gcps"
    assert points["bbox"] == pytest.approx([13.0, 51.988, 13.021, 52.012], abs=1e-3)
    pacific = scenes["pacific.tif"]
    assert pacific["geometry"]["type"] == "MultiPolygon"
    assert pacific["bbox"][0] > 179 > 0 > pacific["bbox"][2]
    for feature in scenes.values():
        assert shape(feature["geometry"]).is_valid


def test_ids_are_stable_safe_and_follow_the_content(scenes, folder, tmp_path):
    for feature in scenes.values():
        properties = feature["properties"]
        assert properties["id"].isascii()
        assert set(properties["id"]) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        assert properties["datetime"][:10] in ("2026-06-01", "2026-06-02", "2026-06-03")
    one = imagery_folder.inspect(folder / "plain.tif").scene
    assert one.id == scenes["plain.tif"]["properties"]["id"]
    other = imagery_folder.inspect(write(tmp_path / "plain.tif", count=1, **UTM)).scene
    assert other.id != one.id
    assert other.acquired_at == one.acquired_at


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("plain.tif", "image/tiff; application=geotiff"),
        ("cog.tif", COG),
        ("lossless.jp2", "image/jp2"),
        ("points.tif", "image/tiff; application=geotiff"),
        ("it's Größe.TIF", "image/tiff; application=geotiff"),
    ],
)
def test_a_raster_is_delivered_byte_for_byte(shop, scenes, folder, name, media_type):
    scene_id = scenes[name]["properties"]["id"]
    order_id = shop.place(scene_id, product="full-scene", geometries=[None])
    order = shop.get(f"/v2/orders/{order_id}").json()
    assert order["orderDetails"]["aoi"] == scenes[name]["geometry"]
    if shop.wait_for_end(order_id) == "FAILED_PERMANENTLY":
        order_id = shop.place(scene_id, product="full-scene", geometries=[None])
        assert shop.wait_for_end(order_id) == "FULFILLED"
    (item,) = shop.wait_for_items(order_id)
    (path,) = folder.rglob(name)
    assert shop.data_of(item) == path.read_bytes()
    (asset,) = [asset for asset in item["assets"].values() if "data" in asset["roles"]]
    # A small striped GeoTIFF passes for a COG: it has nothing to be optimized.
    assert asset["type"] in (media_type, COG) if name.lower().endswith(".tif") else asset["type"] == media_type
    assert item["geometry"] == scenes[name]["geometry"]
    with rasterio.open(path) as raster:
        assert item["properties"]["proj:epsg"] == (raster.crs.to_epsg() if raster.crs else None)
        assert len(asset["eo:bands"]) == raster.count


@pytest.fixture(scope="module")
def delivered(shop, scenes):
    """Items of files of the folder by name; what fails by chance is ordered again."""
    found = {}
    for name in ("plain.tif", "points.tif", "rotated.tif", "pacific.tif"):
        shop.post("/sandbox/fates", {"kind": "order", "fate": "fulfilled"})
        order_id = shop.place(scenes[name]["properties"]["id"], product="full-scene", geometries=[None])
        (found[name],) = shop.wait_for_items(order_id)
    return found


def self_link(item):
    return next(link["href"] for link in item["links"] if link["rel"] == "self")


def process(shop, process_id, item, what="execution"):
    path = f"/v2/processing/processes/{process_id}/{what}?workspaceId={shop.workspace_id}"
    return shop.post(path, {"inputs": {"title": "x", "item": self_link(item)}})


def result_of(shop, await_true, process_id, item):
    shop.post("/sandbox/fates", {"kind": "job", "fate": "successful"})
    job_id = process(shop, process_id, item).json()["jobID"]
    query = {"filter": {"op": "=", "args": [{"property": "job_id"}, job_id]}}
    (result,) = await_true(lambda: shop.post("/v2/assets/stac/search", query).json()["features"])
    return result


def test_files_are_processed_like_scenes(shop, await_true, delivered, folder):
    with rasterio.open(folder / "plain.tif") as raster:
        before = raster.read()
    result = result_of(shop, await_true, "true-color-conversion", delivered["plain.tif"])
    with MemoryFile(shop.data_of(result)) as memory, memory.open() as raster:
        after = raster.read()
        assert (raster.descriptions, raster.dtypes[0]) == (("red", "green", "blue"), "uint8")
        assert raster.crs.to_epsg() == 32633
    assert np.abs(after[:, 8:-8, 8:-8].mean() - before.mean()) < 8


@pytest.mark.parametrize("name", ["points.tif", "rotated.tif"])
def test_crooked_files_are_set_straight(shop, await_true, delivered, name):
    result = result_of(shop, await_true, "orthorectification-intermap", delivered[name])
    with MemoryFile(shop.data_of(result)) as memory, memory.open() as raster:
        assert (raster.transform.b, raster.transform.d, raster.nodata) == (0, 0, 0)
        assert raster.dataset_mask().mean() / 255 > 0.4
        area = shape(rasterio.warp.transform_geom(raster.crs, 4326, box(*raster.bounds)))
    assert area.buffer(1e-4).covers(shape(delivered[name]["geometry"]))


def test_what_a_file_lacks_is_named(shop, delivered):
    def names(process_id, name):
        return [error["name"] for error in process(shop, process_id, delivered[name], "validation").json()["errors"]]

    assert names("true-color-conversion", "rotated.tif") == ["MissingBands"]
    assert names("pansharpening", "rotated.tif") == ["MissingMultispectralAsset"]
    assert names("detection-ships-airbus", "pacific.tif") == ["UnsupportedRaster"]


def test_a_scene_is_sold_by_the_piece_and_without_a_geometry(shop, scenes, aoi):
    scene_id = scenes["plain.tif"]["properties"]["id"]
    body = shop.order_body(scene_id, product="full-scene", geometries=[None])
    summary = shop.post("/v2/orders/estimate", body).json()["summary"]
    assert summary == {"totalCredits": 500, "totalSize": 1, "unit": "SCENE"}
    body = shop.order_body(scene_id, product="full-scene", geometries=[aoi])
    assert shop.post("/v2/orders/estimate", body).json()["errors"][0]["index"] == 0
    wrong = shop.order_body(scene_id, product="analytic")
    assert "Scene not found" in shop.post("/v2/orders/estimate", wrong).json()["errors"][0]["message"]


def test_what_was_sold_is_delivered_although_the_folder_is_gone(start_sandbox, tmp_path):
    rasters = tmp_path / "rasters"
    rasters.mkdir()
    path = write(rasters / "a.tif", **UTM)
    content = path.read_bytes()
    scene_id = imagery_folder.inspect(path).scene.id
    first = start_sandbox(tmp_path / "state", imagery=rasters)
    order_ids = [first.place(scene_id, product="full-scene", geometries=[None]) for _ in range(4)]
    order_id = next(order_id for order_id in order_ids if first.wait_for_end(order_id) == "FULFILLED")
    first.kill()
    path.unlink()
    second = start_sandbox(tmp_path / "state")
    (item,) = second.wait_for_items(order_id)
    assert second.data_of(item) == content


def test_quicklooks_of_files(shop, scenes):
    for name in PLACED:
        answer = shop.get(f"/catalog/sandbox-host/image/{scenes[name]['properties']['id']}/quicklook")
        assert answer.status_code == 200, name
        assert answer.content.startswith(b"\xff\xd8\xff")


def test_a_whole_globe_keeps_its_size_and_pixel_size(tmp_path):
    path = write(tmp_path / "globe.tif", size=(180, 360), crs="EPSG:4326", transform=from_origin(-180, 90, 1, 1))
    scene = imagery_folder.inspect(path).scene
    assert scene.footprint.bounds == (-180, -90, 180, 90)
    assert scene.gsd_m == pytest.approx(111_000, rel=0.01)


def test_a_pole_is_inside_its_footprint(tmp_path):
    path = write(tmp_path / "pole.tif", crs="EPSG:3413", transform=from_origin(-50_000, 50_000, 2000, 2000))
    footprint = imagery_folder.inspect(path).scene.footprint
    assert footprint.bounds[3] == 90
    assert footprint.contains(Point(45, 89.8))
    assert not footprint.contains(Point(45, 80))


def test_absurd_sizes_are_refused_before_anything_is_read(tmp_path):
    path = tmp_path / "wide.tif"
    write(path, size=(1, 600_000), options={"SPARSE_OK": "TRUE"}, dtype="uint8", **UTM)
    with pytest.raises(imagery_folder.Unusable, match="absurd size"):
        imagery_folder.inspect(path)


def test_the_real_rasters(start_sandbox, shared_data, tmp_path):
    shop = start_sandbox(tmp_path / "state", imagery=shared_data / "imagery")
    body = {"collections": ["sandbox-imagery"], "datetime": JUNE, "bbox": [-180, -90, 180, 90]}
    found = {
        feature["properties"]["providerProperties"]["fileName"]: feature
        for feature in shop.post(SEARCH, body).json()["features"]
    }
    assert len(found) >= 30
    never = ["mars_hirise_rgb_nonearth_cog.tif", "made_landsat7_no_crs_no_transform.tif", "quicklook_512.png"]
    never += ["pleiades_pan_uint16_sheared_nocrs.tif", "usgs_hro_rgb_external_mask.tif.msk"]
    assert not set(never) & set(found)
    placed_by = {name: feature["properties"]["providerProperties"]["placedBy"] for name, feature in found.items()}
    assert placed_by["sentinel1_grd_uint16_210gcps_cog.tif"] == "gcps"
    assert placed_by["worldview_pan_uint16_rpc.tif"] == placed_by["pleiades_pan_uint16_rpc_sensor.tif"] == "rpcs"
    crossing = found["landsat8_antimeridian_utm60_cog.tif"]
    assert crossing["bbox"][0] > crossing["bbox"][2]
    for name in ("sentinel2_b01_uint16_utm32.jp2", "nitf_rgb_epsg4326.ntf", "sentinel2_tci_rgb_uint8_utm34_cog.tif"):
        scene_id, order_id = found[name]["properties"]["id"], None
        while order_id is None or shop.wait_for_end(order_id) != "FULFILLED":
            order_id = shop.place(scene_id, product="full-scene", geometries=[None])
        (item,) = shop.wait_for_items(order_id)
        assert shop.data_of(item) == (shared_data / "imagery" / name).read_bytes()


def test_hostile_files_cannot_stop_the_start(start_sandbox, shared_data, tmp_path):
    shop = start_sandbox(tmp_path / "state", imagery=shared_data / "hostile")
    body = {"collections": ["sandbox-imagery"], "datetime": JUNE, "bbox": [-180, -90, 180, 90]}
    names = {
        feature["properties"]["providerProperties"]["fileName"]
        for feature in shop.post(SEARCH, body).json()["features"]
    }
    assert not {"vrt_disguised_as_tif.tif", "vrt_raw_reads_local_file.tif", "geotransform_nan.tif"} & names
    assert "south_up.tif" in names
    for scene in shop.post(SEARCH, body).json()["features"]:
        path = f"/catalog/sandbox-host/image/{scene['properties']['id']}/quicklook"
        assert shop.get(path).status_code in (200, 404)
    assert shop.get("/sandbox/health").status_code == 200


def test_not_placed_says_why(tmp_path):
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write(tmp_path / "lost.tif")
    with pytest.raises(placement.NotPlaced, match="no usable georeference"):
        imagery_folder.inspect(path)
