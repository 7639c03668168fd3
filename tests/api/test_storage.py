"""What was delivered, read through the client from the sandbox, and which links it refuses to follow."""

import threading
import zipfile
from datetime import UTC, datetime
from io import BytesIO

import pystac
import pytest
import requests
from shapely.geometry import box, mapping, shape

from up42_pipelines.api import OrderInput, Storage
from up42_pipelines.api import storage as storage_module
from up42_pipelines.api.storage import STAC_PATH
from up42_pipelines.errors import NotFound, UnexpectedAnswer
from up42_pipelines.sandbox import lifecycle

AREA = box(4.35, 50.84, 4.355, 50.845)
NOBODY = "00000000-0000-4000-8000-000000000000"
ASSET = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(scope="module")
def client(sandbox):
    client = sandbox.client()
    yield client
    client.transport.close()


@pytest.fixture(scope="module")
def storage(client):
    return client.storage


@pytest.fixture(scope="module")
def order_of(client, sandbox, wait_for):
    """`order_of(parts)`: an order whose delivery in so many parts is complete, STAC items included."""
    product = client.catalog.collection("sandbox-optical").data_product("analytic")
    found = client.catalog.search(
        "sandbox-host",
        collections=["sandbox-optical"],
        intersects=mapping(AREA),
        start=datetime(2026, 3, 1, tzinfo=UTC),
        end=datetime(2026, 5, 31, tzinfo=UTC),
    )
    scenes = [scene for scene in found if shape(scene.geometry).covers(AREA)]
    made = {}

    def lives_up_to(scene, parts):
        earlier = [(one["sceneId"], one["dataProductId"]) for one in sandbox.ledger()]
        ordinal = earlier.count((scene.id, product.id))
        life = lifecycle.plan(sandbox.seed, scene.id, product.id, ordinal, divisible=True)
        return len(life.arrivals) == parts

    def order_of(parts):
        if parts not in made:
            scene = next(scene for scene in scenes if lives_up_to(scene, parts))
            feature = {"type": "Feature", "properties": {}, "geometry": mapping(AREA)}
            wanted = OrderInput(
                data_product=product.id,
                display_name=f"{parts} part(s)",
                params={"id": scene.id},
                feature_collection={"type": "FeatureCollection", "features": [feature]},
                tags=("storage test",),
            )
            order_id = client.orders.place(wanted).results[0].id
            wait_for(lambda: len(client.storage.items_of_order(order_id)) == parts)
            made[parts] = order_id
        return made[parts]

    return order_of


class TestItems:
    def test_of_an_order(self, storage, order_of):
        [item] = storage.items_of_order(order_of(1))
        assert isinstance(item, pystac.Item)
        assert item.properties["up42-order:id"] == order_of(1)
        assert shape(item.geometry).intersects(AREA)
        assert any("data" in (asset.roles or []) for asset in item.assets.values())

    @pytest.mark.parametrize("page_size", [1, 100])
    def test_of_an_order_in_parts_over_pages(self, storage, order_of, monkeypatch, page_size):
        order_of(1)
        monkeypatch.setattr(storage_module, "_PAGE_SIZE", page_size)
        items = storage.items_of_order(order_of(2))
        assert len({item.id for item in items}) == len(items) == 2
        assert [item.id for item in items] == sorted(item.id for item in items)
        assert {item.properties["up42-order:id"] for item in items} == {order_of(2)}

    def test_of_nothing(self, storage, order_of):
        order_of(1)
        assert storage.items_of_order(NOBODY) == []

    def test_name_the_asset_they_were_made_of(self, storage, order_of):
        made_of = {item.properties["up42-system:asset_id"] for item in storage.items_of_order(order_of(2))}
        assert made_of == {asset.id for asset in storage.assets.of_order(order_of(2))}

    def test_landing_page_is_read_once_by_any_number_of_threads(self, script, transport):
        landing = {"type": "Catalog", "id": "x", "stac_version": "1.0.0", "description": "x", "links": []}
        conforms = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]
        script.on(STAC_PATH, (200, {**landing, "conformsTo": conforms}, {}))
        storage, barrier, seen = Storage(transport), threading.Barrier(8), []

        def look():
            barrier.wait()
            seen.append(storage.stac)

        threads = [threading.Thread(target=look) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(script.requests(STAC_PATH)) == 1
        assert len(seen) == 8
        assert len({id(one) for one in seen}) == 1
        [request] = script.requests(STAC_PATH)
        assert request["headers"]["Authorization"] == "Bearer token-1"
        assert request["headers"]["User-Agent"].startswith("up42-pipelines/")


class TestAssets:
    @pytest.mark.parametrize("parts", [1, 2])
    def test_of_an_order(self, storage, order_of, parts):
        order_of(3 - parts)
        assets = storage.assets.of_order(order_of(parts))
        assert len({asset.id for asset in assets}) == len(assets) == parts
        for asset in assets:
            assert asset.order_id == order_of(parts)
            assert asset.content_type == "application/zip"
            assert asset.size > 0
            assert asset.tags == ("storage test",)
            assert asset.geospatial_metadata_extraction_status == "SUCCESSFUL"
            assert asset.created_at.utcoffset() is not None

    def test_of_nothing(self, storage):
        assert storage.assets.of_order(NOBODY) == []

    def test_what_else_the_text_search_finds_is_dropped(self, script, transport):
        rows = [
            {"id": "a", "orderId": "o-1"},
            {"id": "b", "orderId": "o-12"},
            {"id": "c", "title": "notes on o-1"},
            {"id": "d", "orderId": "o-1", "geospatialMetadataExtractionStatus": "A_NEW_ONE"},
        ]
        script.on(
            "/v2/assets",
            (200, {"content": rows[:2], "totalPages": 2}, {}),
            (200, {"content": rows[2:], "totalPages": 2}, {}),
        )
        found = Storage(transport).assets_of_order("o-1")
        assert [asset.id for asset in found] == ["a", "d"]
        assert found[1].geospatial_metadata_extraction_status == "A_NEW_ONE"
        queries = [one["query"] for one in script.requests("/v2/assets")]
        assert queries == ["search=o-1&page=0&size=100", "search=o-1&page=1&size=100"]


class TestDownloadUrl:
    def test_of_an_asset(self, storage, order_of):
        [asset] = storage.assets.of_order(order_of(1))
        body = fetch(storage.assets.download_url(asset.id))
        assert len(body) == asset.size
        assert zipfile.ZipFile(BytesIO(body)).testzip() is None

    @pytest.mark.parametrize("ending", ["", "/download-url"])
    def test_of_a_stac_asset(self, storage, order_of, ending):
        [item] = storage.items_of_order(order_of(1))
        [href] = [asset.href for asset in item.assets.values() if "data" in asset.roles]
        body = fetch(storage.assets.download_url(href.removesuffix("/download-url") + ending))
        assert body[:4] in (b"II*\0", b"II+\0")

    @pytest.mark.parametrize("asset", [NOBODY, "no-uuid"])
    def test_of_nothing(self, storage, asset):
        with pytest.raises(NotFound, match=asset):
            storage.assets.download_url(asset)

    @pytest.mark.parametrize("form", ["{id}", "{url}/v2/assets/{id}", "{url}/v2/assets/{id}/download-url"])
    def test_on_the_wire(self, script, transport, form):
        path = f"/v2/assets/{ASSET}/download-url"
        script.on(path, (200, {"url": "https://bucket.example.com/x?sig=1"}, {}))
        url = Storage(transport).download_url(form.format(id=ASSET, url=script.url))
        assert url == "https://bucket.example.com/x?sig=1"
        assert [one["method"] for one in script.requests(path)] == ["POST"]

    @pytest.mark.parametrize(
        "href",
        [
            f"https://evil.example.com/v2/assets/{ASSET}",
            "{url}.evil.example.com/v2/assets/" + ASSET,
            "{url}@evil.example.com/v2/assets/" + ASSET,
            "//evil.example.com/v2/assets/" + ASSET,
            f"/v2/assets/{ASSET}",
            "s3://bucket/file.tif",
            "file:///etc/passwd",
            "{url}/v2/orders/" + ASSET,
            "{url}/v2/assets/../orders",
            "{url}/v2/assets/../../x",
            "{url}/v2/assets/" + ASSET + "/../../orders",
            "{url}/v2/assets/stac/search",
            "{url}/v2/assets/..",
            "{url}/v2/assets/.",
            "{url}/v2/assets/%2e%2e%2forders",
            "{url}/v2/assets/%2e%2e",
            "{url}/v2/assets/" + ASSET + "?x=1",
            "{url}/v2/assets/" + ASSET + "#x",
            "{url}/v2/assets/",
            "{url}/v2/assets//download-url",
            "../orders",
            "..",
            "",
            "a?b",
            "a#b",
            "%2e%2e",
            "a\\..\\b",
            "a b",
            "a\n",
        ],
    )
    def test_other_links_are_refused_before_anything_is_sent(self, script, transport, href):
        with pytest.raises(UnexpectedAnswer, match="is not an asset of"):
            Storage(transport).download_url(href.replace("{url}", script.url))
        assert script.asked == []

    @pytest.mark.parametrize(
        "answer",
        [{}, {"url": None}, {"url": 5}, {"url": "file:///etc/passwd"}, {"url": "gs://bucket/x"}, {"url": ""}, []],
    )
    def test_an_answer_without_a_usable_url(self, script, transport, answer):
        script.on(f"/v2/assets/{ASSET}/download-url", (200, answer, {}))
        with pytest.raises(UnexpectedAnswer, match=f"Asset {ASSET}: the answer holds no download URL"):
            Storage(transport).download_url(ASSET)


def fetch(url) -> bytes:
    """As anybody could: without a token."""
    answer = requests.get(url, timeout=10)
    answer.raise_for_status()
    return answer.content
