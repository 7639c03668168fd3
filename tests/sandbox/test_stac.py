import time

import pystac_client
import pytest
from shapely.geometry import shape

from up42_pipelines.sandbox import stac_query

ROOT = "/v2/assets/stac"


@pytest.fixture(scope="module")
def delivered(sandbox, take_scene):
    """Five whole deliveries, oldest first: the items."""
    items = []
    for index in range(5):
        order_id = sandbox.place(take_scene().id, tags=["stac", f"number-{index}"])
        assert sandbox.wait_for_end(order_id) == "FULFILLED"
        items += sandbox.wait_for_items(order_id)
    return items


def search(sandbox, **body):
    """All pages of a search: the ids."""
    found = []
    while True:
        answer = sandbox.post(f"{ROOT}/search", body)
        assert answer.status_code == 200, answer.text
        found += [feature["id"] for feature in answer.json()["features"]]
        link = next((link for link in answer.json()["links"] if link["rel"] == "next"), None)
        if link is None:
            return found
        assert (link["method"], link["href"]) == ("POST", f"{sandbox.url}{ROOT}/search")
        body = link["body"]


def where(op, name, *values):
    return {"op": op, "args": [{"property": name}, *values]}


STAC_TAG = {"op": "a_contains", "args": [{"property": "tags"}, ["stac"]]}


def test_the_root_answers_with_and_without_a_slash(sandbox):
    for path in (ROOT, f"{ROOT}/"):
        root = sandbox.http.get(sandbox.url + path, allow_redirects=False)
        assert root.status_code == 200
        assert (root.json()["id"], root.json()["type"]) == ("up42-storage", "Catalog")
        assert len(root.json()["conformsTo"]) == 15
        links = {link["rel"]: link for link in root.json()["links"]}
        assert links["search"]["method"] == "POST"
        assert links["data"]["href"] == f"{sandbox.url}{ROOT}/collections"


def test_pystac_client_reads_it(sandbox, delivered):
    client = pystac_client.Client.open(
        f"{sandbox.url}{ROOT}/", headers={"Authorization": sandbox.http.headers["Authorization"]}
    )
    order_id = delivered[0]["properties"]["up42-order:id"]
    (item,) = client.search(method="POST", filter=where("=", "order_id", order_id)).items()
    assert item.id == delivered[0]["id"]
    (raster,) = [asset for asset in item.assets.values() if "data" in asset.roles]
    assert raster.media_type == "image/tiff; application=geotiff; profile=cloud-optimized"
    assert raster.extra_fields["gsd"] == item.properties["gsd"]
    collections = {collection.id: collection for collection in client.get_collections()}
    assert {entry["collection"] for entry in delivered} <= set(collections)
    collection = client.get_collection(item.collection_id)
    assert [entry.id for entry in collection.get_items()] == [item.id]
    assert collection.extra_fields["up42-order:id"] == order_id
    found = client.search(method="POST", filter=STAC_TAG, limit=2).items()
    assert [entry.id for entry in found] == [entry["id"] for entry in delivered][::-1]


def test_items_have_the_documented_shape(sandbox, delivered):
    item = delivered[0]
    here = f"{sandbox.url}{ROOT}/collections/{item['collection']}"
    assert sandbox.get(f"{ROOT}/collections/{item['collection']}/items/{item['id']}").json() == item
    assert {link["rel"]: link["href"] for link in item["links"]} == {
        "self": f"{here}/items/{item['id']}",
        "parent": here,
        "collection": here,
        "root": f"{sandbox.url}{ROOT}/",
    }
    properties = item["properties"]
    assert properties["datetime"].endswith("+00:00")
    for key in ("up42-system:asset_id", "up42-system:account_id", "up42-product:product_id", "up42-order:host_id"):
        assert len(properties[key]) == 36
    assert properties["up42-system:workspace_id"] == sandbox.workspace_id
    assert properties["up42-order:status"] == "FULFILLED"
    assert properties["up42-user:tags"] == ["stac", "number-0"]
    roles = sorted(asset["roles"] for asset in item["assets"].values())
    assert roles == [["data", "multispectral"], ["metadata"], ["thumbnail", "overview"]]
    assert all(key.split("_")[0] == next(iter(item["assets"])).split("_")[0] for key in item["assets"])


def test_filters_use_the_short_names(sandbox, delivered):
    ids = [item["id"] for item in delivered]
    first = delivered[0]["properties"]

    def found(*conditions):
        return search(sandbox, filter={"op": "and", "args": [STAC_TAG, *conditions]})

    assert found(where("=", "asset_id", first["up42-system:asset_id"])) == ids[:1]
    assert found(where("=", "workspace_id", sandbox.workspace_id)) == ids[::-1]
    assert found(where("=", "collection_name", "phr")) == []
    assert found(where("=", "id", ids[2])) == [ids[2]]
    assert found(where("=", "data_product_id", first["up42-product:product_id"])) == ids[::-1]
    assert found({"op": "isNull", "args": [{"property": "job_id"}]}) == ids[::-1]
    assert found(where("=", "job_id", "x")) == []
    assert (
        found(where("in", "order_id", [item["properties"]["up42-order:id"] for item in delivered[1:3]])) == ids[2:0:-1]
    )
    clear = [item["id"] for item in delivered[::-1] if item["properties"]["eo:cloud_cover"] < 20]
    assert found(where("<", "eo:cloud_cover", 20)) == found(where("<", "cloud_cover", 20)) == clear
    assert search(sandbox, filter={"op": "a_contains", "args": [{"property": "tags"}, ["number-3"]]}) == [ids[3]]


@pytest.mark.parametrize(
    ("tree", "ids"),
    [
        (None, {}),
        (where("=", "order_id", "x"), {"order_id": "x"}),
        (
            {"op": "and", "args": [where("=", "id", "x"), where("=", "collection", "y")]},
            {"item_id": "x", "collection_id": "y"},
        ),
        ({"op": "or", "args": [where("=", "order_id", "x"), where("=", "order_id", "y")]}, {}),
        ({"op": "not", "args": [where("=", "order_id", "x")]}, {}),
        (where("<>", "order_id", "x"), {}),
        (where("=", "title", "x"), {}),
        (where("=", "order_id", 7), {}),
    ],
)
def test_only_demanded_ids_narrow_a_search(tree, ids):
    assert stac_query.ids_in(tree) == ids


def test_contradicting_ids_match_nothing(sandbox, delivered):
    one, other = (where("=", "id", item["id"]) for item in delivered[:2])
    assert search(sandbox, filter={"op": "and", "args": [one, other]}) == []
    assert len(search(sandbox, filter={"op": "or", "args": [one, other]})) == 2


def test_the_other_ways_to_search(sandbox, delivered):
    ids = [item["id"] for item in delivered]
    assert search(sandbox, ids=ids[:2]) == ids[1::-1]
    assert search(sandbox, collections=[delivered[4]["collection"]]) == [ids[4]]
    west, south = delivered[0]["bbox"][:2]
    assert search(sandbox, ids=ids, bbox=[west, south, west + 1e-4, south + 1e-4]) == ids[::-1]
    assert search(sandbox, ids=ids, bbox=[0, 0, 1, 1]) == []
    inside = shape(delivered[0]["geometry"]).centroid
    assert search(sandbox, ids=ids, intersects={"type": "Point", "coordinates": [inside.x, inside.y]}) == ids[::-1]
    when = delivered[1]["properties"]["datetime"]
    assert ids[1] in search(sandbox, ids=ids, datetime=when)
    assert search(sandbox, ids=ids, datetime="../2001-01-01T00:00:00Z") == []
    by_cloud = search(sandbox, ids=ids, sortby=[{"field": "properties.eo:cloud_cover", "direction": "desc"}], limit=2)
    clouds = {item["id"]: item["properties"]["eo:cloud_cover"] for item in delivered}
    assert [clouds[item_id] for item_id in by_cloud] == sorted(clouds.values(), reverse=True)


@pytest.mark.parametrize(
    "body",
    [
        {"filter": {"op": "resembles", "args": [{"property": "id"}, "x"]}},
        {"filter": where("=", "up42-order:id", "x")},
        {"filter": {"nonsense": 1}},
        {"filter": where("=", "id")},
        {"filter": "id ="},
        {"filter": 7},
        {"bbox": [0, 0, 1]},
        {"bbox": [0, 0, 1, 1], "intersects": {"type": "Point", "coordinates": [0, 0]}},
        {"datetime": "yesterday"},
        {"limit": 0},
        {"limit": "ten"},
        {"token": "next:unknown"},
        {"token": 7},
        {"ids": "x"},
        {"sortby": [{"field": "mood"}]},
        {"sortby": "datetime"},
    ],
)
def test_searches_that_make_no_sense_are_400(sandbox, body):
    answer = sandbox.post(f"{ROOT}/search", body)
    assert (answer.status_code, answer.json()["status"]) == (400, 400)


def test_a_filter_nested_too_deeply_is_refused_at_once(sandbox):
    tree = where("=", "id", "x")
    for _ in range(200):
        tree = {"op": "not", "args": [tree]}
    before = time.monotonic()
    assert sandbox.post(f"{ROOT}/search", {"filter": tree}).status_code == 400
    assert time.monotonic() - before < 2


def test_pages_of_a_search_lose_nothing(sandbox, delivered):
    ids = [item["id"] for item in delivered][::-1]
    assert search(sandbox, filter=STAC_TAG, limit=2) == search(sandbox, filter=STAC_TAG, limit=500) == ids


def test_collections_are_paged_newest_first_in_both_directions(sandbox, delivered):
    def page(url):
        answer = sandbox.http.get(url).json()
        links = {link["rel"]: link["href"] for link in answer["links"]}
        return [collection["id"] for collection in answer["collections"]], links

    newest_first = [item["collection"] for item in delivered][::-1]
    first, links = page(f"{sandbox.url}{ROOT}/collections?limit=2&workspace_id={sandbox.workspace_id}")
    assert (first, "prev" in links) == (newest_first[:2], False)
    second, links = page(links["next"])
    assert second == newest_first[2:4]
    assert page(links["prev"])[0] == first
    assert page(f"{sandbox.url}{ROOT}/collections?workspace_id=00000000-0000-4000-8000-000000000000")[0] == []
    assert len(page(f"{sandbox.url}{ROOT}/collections")[0]) <= 10


def test_queryables_list_the_short_names(sandbox):
    properties = sandbox.get(f"{ROOT}/queryables").json()["properties"]
    assert {"order_id", "asset_id", "tags", "collection_name", "eo:cloud_cover", "job_id"} <= set(properties)
