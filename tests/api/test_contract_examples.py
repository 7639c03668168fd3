"""Every JSON example of the contract is read without loss. The contract is kept beside the checkout, not in it."""

import json
import re

import pystac
import pytest

from up42_pipelines.api import (
    Catalog,
    Collection,
    Estimate,
    Order,
    Orders,
    Placement,
    Process,
    Quotation,
    Scene,
    Storage,
    StoredAsset,
    TestReport,
    equals,
)
from up42_pipelines.api.auth import TOKEN_PATH
from up42_pipelines.api.storage import STAC_PATH

RECORDS = {
    "3.1": Order,
    "3.3": Estimate,
    "3.4": Placement,
    "4.2": Quotation,
    "5.1": StoredAsset,
    "7.2": Process,
    "8": TestReport,
}
"""Section of the contract: the record that its example is."""
OTHERS = {"0.5", "1.1", "2.1", "2.3", "6.7", "6.8"}
"""Sections with examples of something else, each with a test below."""
CLASSES = ("core", "item-search", "item-search#filter")


@pytest.fixture(scope="module")
def blocks(shared_data):
    """Section: the JSON documents of its example. An ellipsis stands for some time."""
    path = shared_data.parent / "reference" / "up42-api.md"
    if not path.is_file():
        pytest.skip("the contract is not beside this checkout")
    text = path.read_text().replace('"…"', '"2026-01-01T00:00:00Z"')
    found = {}
    for block in re.finditer(r"```json\n(.*?)```", text, re.DOTALL):
        headings = re.findall(r"^##+ (\d+(?:\.\d+)?)", text[: block.start()], re.MULTILINE)
        found.setdefault(headings[-1], []).extend(documents(block[1]))
    return found


def documents(text):
    decoder, text = json.JSONDecoder(), text.strip()
    while text:
        document, end = decoder.raw_decode(text)
        yield document
        text = text[end:].strip()


def keeps_keys(body, written):
    """Whether every key of the body is still there, with its value unless that is a time."""
    if isinstance(body, dict):
        return all(key in written and keeps_keys(value, written[key]) for key, value in body.items())
    if isinstance(body, list):
        return len(body) == len(written) and all(map(keeps_keys, body, written))
    return body == written or re.match(r"\d{4}-", str(body))


def test_every_example_is_looked_at(blocks):
    assert set(blocks) == set(RECORDS) | OTHERS


@pytest.mark.parametrize("section", RECORDS)
def test_records(blocks, section):
    for body in blocks[section]:
        parsed = RECORDS[section].parse(body)
        assert parsed.raw == body
        assert keeps_keys(body, parsed.model_dump(mode="json", by_alias=True))


def test_an_empty_page(blocks, script, transport):
    [body] = blocks["0.5"]
    script.on("/v2/orders", (200, body, {}))
    assert list(Orders(transport, lambda: "w").list()) == []
    assert len(script.requests("/v2/orders")) == 1


def test_a_token(blocks, script, transport):
    [body] = blocks["1.1"]
    script.on(TOKEN_PATH, (200, body, {}))
    script.on("/x", (200, {}, {}))
    transport.send("GET", "/x")
    assert script.requests("/x")[0]["headers"]["Authorization"] == f"Bearer {body['access_token']}"


def test_a_page_of_collections(blocks, script, transport):
    [body] = blocks["2.1"]
    script.on("/v2/collections", (200, body, {}))
    found = list(Catalog(transport).collections())
    assert [collection.raw for collection in found] == body["content"]
    assert all(collection.host for collection in found)
    for collection, row in zip(found, body["content"], strict=True):
        assert keeps_keys(row, Collection.model_dump(collection, mode="json", by_alias=True))


def test_a_search_for_scenes(blocks, script, transport):
    [body] = blocks["2.3"]
    path = "/catalog/hosts/demo-host/stac/search"
    here = json.loads(json.dumps(body).replace("https://api.up42.com", script.url))
    script.on(path, (200, here, {}), (200, {"type": "FeatureCollection", "features": [], "links": []}, {}))
    found = list(Catalog(transport).search("demo-host", collections=["demo-vhr"]))
    assert [scene.raw for scene in found] == body["features"]
    assert [len(query) for query in script.queries(path)] == [0, 1]
    for scene, feature in zip(found, body["features"], strict=True):
        assert keeps_keys(feature["properties"], Scene.model_dump(scene, mode="json", by_alias=True))


def test_searches_of_storage(blocks, script, transport):
    conforms = [
        f"https://api.stacspec.org/v1.0.0-rc.1/{name}" for name in ("core", "item-search", "item-search#filter")
    ]
    link = {"rel": "search", "href": f"{script.url}{STAC_PATH}search", "method": "POST", "type": "application/json"}
    root = {"type": "Catalog", "id": "x", "stac_version": "1.0.0", "description": "x", "links": [link]}
    script.on(STAC_PATH, (200, root | {"conformsTo": conforms}, {}))
    script.on(f"{STAC_PATH}search", (200, {"type": "FeatureCollection", "features": [], "links": []}, {}))
    storage = Storage(transport, lambda: "w")
    for wanted in blocks["6.7"]:
        assert (
            list(storage.search(wanted["filter"], limit=wanted.get("limit", 50), intersects=wanted.get("intersects")))
            == []
        )
        sent = script.bodies(f"{STAC_PATH}search")[-1]
        assert sent == {"limit": 50, **wanted, "filter-lang": "cql2-json"}
    by_asset, by_order, _ = blocks["6.7"]
    assert by_asset["filter"] == equals("asset_id", by_asset["filter"]["args"][1])
    assert by_order["filter"] == equals("order_id", by_order["filter"]["args"][1])


def test_an_item(blocks):
    for body in blocks["6.8"]:
        written = pystac.Item.from_dict(body).to_dict(transform_hrefs=False)
        assert written["id"] == body["id"]
        assert written["assets"] == body["assets"]
        assert written["links"] == body["links"]
        assert written["properties"] == body["properties"] | {"datetime": written["properties"]["datetime"]}
