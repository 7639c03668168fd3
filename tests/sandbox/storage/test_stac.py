import pystac_client
import pytest
import requests
from shapely.geometry import shape

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
        assert [link["method"] for link in root.json()["links"] if link["rel"] == "search"] == ["POST"]
        conformance = sandbox.http.get(links["conformance"]["href"]).json()
        assert conformance["conformsTo"] == root.json()["conformsTo"]
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
    _, links = page(links["next"])
    assert page(links["prev"])[0] == second
    assert page(f"{sandbox.url}{ROOT}/collections?workspace_id=00000000-0000-4000-8000-000000000000")[0] == []
    assert len(page(f"{sandbox.url}{ROOT}/collections")[0]) <= 10


def test_a_get_search_finds_the_same(sandbox, delivered):
    def get(url, params=None):
        answer = sandbox.http.get(url, params=params).json()
        following = [link["href"] for link in answer["links"] if link["rel"] == "next"]
        found = [item["id"] for item in answer["features"]]
        return found + (get(following[0]) if following else [])

    url = f"{sandbox.url}{ROOT}/search"
    newest_first = [item["id"] for item in delivered][::-1]
    assert get(url, {"filter": "A_CONTAINS(tags, ('stac'))", "limit": 2}) == newest_first
    assert get(url, {"ids": ",".join(newest_first[:2])}) == newest_first[:2]


@pytest.fixture(scope="module")
def own(start_sandbox):
    """A sandbox for what the others' lists must not show."""
    return start_sandbox()


@pytest.fixture
def item(own, take_scene):
    """A delivery that a test may change: its item."""
    order_id = own.place(take_scene().id, tags=["inherited"])
    (item,) = own.wait_for_items(order_id)
    return item


def self_link(item):
    return next(link["href"] for link in item["links"] if link["rel"] == "self")


def test_a_user_gives_an_item_title_and_tags(own, item):
    url = self_link(item)
    body = {"up42-user:title": "Harbour", "up42-user:tags": ["ship", "May 2026"]}
    changed = own.http.patch(url, json=body)
    assert (changed.status_code, changed.headers["Content-Type"]) == (200, "application/geo+json")
    assert changed.json()["properties"] == {**item["properties"], **body}
    assert changed.json() == own.http.get(url).json()
    assert "https://api.up42.com/stac-extensions/up42-user/v1.0.0/schema.json" in changed.json()["stac_extensions"]
    collection = own.get(f"{ROOT}/collections/{item['collection']}").json()
    assert {key: collection[key] for key in body} == body
    for condition in (where("=", "title", "Harbour"), where("a_contains", "tags", ["ship"])):
        assert search(own, ids=[item["id"]], filter=condition) == [item["id"]]
    assert search(own, ids=[item["id"]], filter=where("a_contains", "tags", ["inherited"])) == []

    def after(change):
        properties = own.http.patch(url, json=change).json()["properties"]
        return properties.get("up42-user:title"), properties.get("up42-user:tags")

    assert after({"up42-user:title": "Port"}) == ("Port", ["ship", "May 2026"])
    assert after({"up42-user:tags": None}) == ("Port", None)
    assert after({}) == ("Port", None)
    assert after({"up42-user:title": None}) == (None, None)
    assert search(own, ids=[item["id"]], filter=where("=", "title", item["properties"]["title"])) == [item["id"]]


@pytest.mark.parametrize(
    "body",
    [
        {"title": "Harbour"},
        {"up42-user:title": 7},
        {"up42-user:title": ""},
        {"up42-user:title": "half a character: \ud800"},
        {"up42-user:tags": "ship"},
        {"up42-user:tags": [7]},
        {"up42-user:tags": ["#ship"]},
        {"up42-user:tags": ["x"] * 31},
    ],
)
def test_what_cannot_be_title_or_tags_is_400(sandbox, delivered, body):
    answer = sandbox.http.patch(self_link(delivered[0]), json=body)
    assert (answer.status_code, answer.json()["status"]) == (400, 400)
    assert answer.json()["detail"]


def test_only_items_that_are_there_can_be_changed(sandbox, delivered):
    collections = f"{sandbox.url}{ROOT}/collections"
    nothing = "00000000-0000-4000-8000-000000000000"
    for path in (f"{nothing}/items/{delivered[0]['id']}", f"{delivered[0]['collection']}/items/{nothing}"):
        assert sandbox.http.patch(f"{collections}/{path}", json={"up42-user:title": "x"}).status_code == 404


def test_a_deleted_collection_is_gone_with_all_that_belongs_to_it(own, item):
    urls = [self_link(item), *(asset["href"] for asset in item["assets"].values())]
    asset_id, order_id = item["properties"]["up42-system:asset_id"], item["properties"]["up42-order:id"]
    signed = own.post(f"/v2/assets/{asset_id}/download-url").json()["url"]
    urls += [f"{own.url}/v2/assets/{asset_id}", f"{own.url}/v2/assets/{asset_id}/metadata"]
    assert [own.http.get(url).status_code for url in urls] == [200] * 6
    assert requests.get(signed, timeout=10).status_code == 200
    on_disk = {path.name for path in (own.state / "files").iterdir()}

    collection = f"{own.url}{ROOT}/collections/{item['collection']}"
    answer = own.http.delete(collection)
    assert (answer.status_code, answer.content) == (204, b"")
    assert own.http.delete(collection).status_code == own.http.get(collection).status_code == 404
    assert [own.http.get(url).status_code for url in urls] == [404] * 6
    assert requests.get(signed, timeout=10).status_code == 404
    assert search(own, ids=[item["id"]]) == []
    assert own.get("/v2/assets", params={"search": order_id}).json()["content"] == []
    gone = on_disk - {path.name for path in (own.state / "files").iterdir()}
    assert {asset_id, *(asset["href"].rpartition("/")[2] for asset in item["assets"].values())} == gone
    assert own.status(order_id) == "FULFILLED"


def test_pystac_client_pages_through_dozens_of_deliveries(start_sandbox, take_scene):
    busy = start_sandbox()
    assert busy.post("/sandbox/fates", {"kind": "order", "fate": "fulfilled", "times": 36}).status_code == 200
    scene_id = take_scene().id
    for _ in range(36):
        busy.place(scene_id, tags=["many"])
    assert busy.post("/sandbox/clock", {"advance": 3600}).status_code == 200
    client = pystac_client.Client.open(
        f"{busy.url}{ROOT}/", headers={"Authorization": busy.http.headers["Authorization"]}
    )
    items = list(client.search(method="POST", limit=10).items())
    assert len({item.id for item in items}) == len(items) == 36
    by_cloud = [{"field": "properties.eo:cloud_cover", "direction": "asc"}]
    assert len({item.id for item in client.search(method="POST", limit=7, sortby=by_cloud).items()}) == 36
    collections = list(client.get_collections())
    assert {collection.id for collection in collections} == {item.collection_id for item in items}
    assert len(collections) == 36
    wanted = [item.id for item in items[3:20]]
    assert sorted(item.id for item in client.get_items(*wanted)) == sorted(wanted)


def test_queryables_list_the_short_names(sandbox):
    properties = sandbox.get(f"{ROOT}/queryables").json()["properties"]
    assert {"order_id", "asset_id", "tags", "collection_name", "eo:cloud_cover", "job_id"} <= set(properties)
