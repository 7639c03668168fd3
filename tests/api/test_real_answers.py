"""What the real UP42 has answered is read without loss. The answers are kept beside the checkout, not in it."""

import json
from datetime import datetime

import pytest

from up42_pipelines.api import Catalog, Order, OrderStatus, Scene, Storage
from up42_pipelines.api.storage import STAC_PATH

UP42 = "https://api.up42.com"
CONFORMS = [f"https://api.stacspec.org/v1.0.0-rc.1/{name}" for name in ("core", "collections", "item-search")]
EMPTIED = {"stac_version", "stac_extensions", "license"}


@pytest.fixture(scope="module")
def real(shared_data):
    folder = shared_data / "stac" / "up42_real"
    if not folder.is_dir():
        pytest.skip("there are no answers of the real UP42 beside this checkout")
    return folder


@pytest.fixture
def storage(script, transport):
    links = [
        {"rel": "data", "href": f"{script.url}{STAC_PATH}collections", "type": "application/json"},
        {"rel": "search", "href": f"{script.url}{STAC_PATH}search", "type": "application/json", "method": "POST"},
    ]
    root = {"type": "Catalog", "id": "up42-storage", "stac_version": "1.0.0", "description": "x"}
    script.on(STAC_PATH, (200, root | {"links": links, "conformsTo": CONFORMS}, {}))
    return Storage(transport, lambda: "w")


@pytest.fixture
def serve(script):
    """`serve(path, file, ...)`: answer with files, as if this server were UP42; returns the first as it is served."""

    def serve(path, file, *more):
        served = file.read_text().replace(UP42, script.url)
        script.on(path, (200, served.encode(), {}), *more)
        return json.loads(served)

    return serve


def migrated(body):
    """A STAC 1.0 object as STAC 1.1, which pystac makes of it, without what says only which version it is."""
    kept = {key: value for key, value in body.items() if key not in EMPTIED and value != {}}
    if "properties" in body:
        properties = dict(body["properties"])
        epsg = properties.pop("proj:epsg", None)
        properties |= {"proj:code": f"EPSG:{epsg}"} if epsg else {}
        kept["properties"] = properties | {"datetime": datetime.fromisoformat(properties["datetime"])}
    return kept


def extensions(body):
    """The extensions without their versions, which pystac raises."""
    return {url.rsplit("/v", 1)[0] for url in body["stac_extensions"]}


def is_whole(found, body):
    written = found.to_dict(transform_hrefs=False)
    assert migrated(written) == migrated(body)
    assert extensions(body) <= extensions(written)
    return True


class TestStorage:
    @pytest.mark.parametrize("name", ["search_page", "items_of_collection"])
    def test_items(self, real, storage, serve, name):
        body = serve(f"{STAC_PATH}search", real / f"{name}.json")
        found = list(storage.search())
        assert len(found) == len(body["features"]) > 0
        assert all(map(is_whole, found, body["features"]))

    def test_their_assets_can_be_signed(self, real, script, storage, serve):
        serve(f"{STAC_PATH}search", real / "search_page.json")
        for item in storage.search():
            for asset in item.assets.values():
                asset_id = asset.href.rsplit("/", 1)[-1]
                script.on(f"/v2/assets/{asset_id}/download-url", (200, {"url": "https://bucket.example.com/x"}, {}))
                assert storage.assets.download_url(asset.href) == "https://bucket.example.com/x"

    def test_a_collection(self, real, storage, serve):
        collection_id = json.loads((real / "collection.json").read_text())["id"]
        body = serve(f"{STAC_PATH}collections/{collection_id}", real / "collection.json")
        assert is_whole(storage.stac.get_collection(collection_id), body)

    def test_pages_of_collections(self, real, script, storage, serve):
        last = (200, {"collections": [], "links": []}, {})
        body = serve(f"{STAC_PATH}collections", real / "collections_page.json", last)
        found = list(storage.stac.get_collections())
        assert len(found) == len(body["collections"]) > 0
        assert all(map(is_whole, found, body["collections"]))
        first, second = script.queries(f"{STAC_PATH}collections")
        assert "token" in dict(second)
        assert "token" not in dict(first)


class TestCatalog:
    def test_scenes(self, shared_data, script, transport, serve):
        path = "/catalog/hosts/oneatlas/stac/search"
        last = (200, {"type": "FeatureCollection", "features": [], "links": []}, {})
        body = serve(path, shared_data / "stac" / "providers" / "up42_search_response.json", last)
        found = list(Catalog(transport).search("oneatlas", collections=["phr"]))
        assert [scene.raw for scene in found] == body["features"]
        assert [len(query) for query in script.queries(path)] == [0, 1]
        for scene, feature in zip(found, body["features"], strict=True):
            names = {field.alias or name: name for name, field in Scene.model_fields.items()}
            for key, value in feature["properties"].items():
                reached = getattr(scene, names[key]) if key in names else scene.model_extra[key]
                expected = datetime.fromisoformat(value) if isinstance(reached, datetime) else value
                assert reached == expected, key
            assert scene.geometry == feature["geometry"]
            assert scene.acquired == datetime.fromisoformat(feature["properties"]["acquisitionDate"])
            assert scene.to_item().properties["up42:scene"] == feature["properties"]


def test_statuses_that_were_really_reported(real):
    """One of them is misspelt."""
    rows = [json.loads(line) for line in (real / "order_log.jsonl").read_text().splitlines() if line]
    assert len(rows) > 5
    for _, order_id, status in rows:
        order = Order.parse({"id": order_id, "status": status})
        assert order.status == status
        assert order.is_fulfilled == order.is_final == (status in set(OrderStatus))
