import pytest
from shapely.geometry import mapping

from up42_pipelines.sandbox.catalog import products
from up42_pipelines.sandbox.catalog.offers import Offer
from up42_pipelines.sandbox.core import geometry
from up42_pipelines.sandbox.ordering import order_input
from up42_pipelines.sandbox.ordering.lifecycle import Status

NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def slow(start_sandbox):
    """Nothing happens to an order here: a simulated second takes a thousand real ones."""
    return start_sandbox(speed=0.001)


@pytest.fixture(scope="module")
def alone(start_sandbox):
    """A sandbox in which nobody else spends credits."""
    return start_sandbox()


def test_an_order_shows_what_was_asked_for(sandbox, take_scene, aoi):
    scene = take_scene()
    order_id = sandbox.place(scene.id, name="harbour", tags=["run-7", "key:a/b"])
    order = sandbox.get(f"/v2/orders/{order_id}").json()
    assert (order["id"], order["displayName"], order["tags"]) == (order_id, "harbour", ["run-7", "key:a/b"])
    assert (order["workspaceId"], order["type"]) == (sandbox.workspace_id, "ARCHIVE")
    assert order["dataProductId"] == products.OPTICAL.products[0].id
    assert order["orderDetails"] == {"aoi": aoi, "imageId": scene.id}
    assert order["createdBy"] == {"id": sandbox.workspace_id, "type": "USER"}
    assert order["createdAt"] <= order["updatedAt"]
    assert order["createdAt"].endswith("Z")
    assert len(order["createdAt"]) == len("2026-01-02T03:04:05.000006Z")
    assert "tags" not in sandbox.get(f"/v2/orders/{sandbox.place(take_scene().id)}").json()


@pytest.mark.parametrize(
    ("ends", "stumbles"), [("FULFILLED", False), ("FULFILLED", True), ("FAILED_PERMANENTLY", False)]
)
def test_an_order_lives_as_planned_and_is_charged_only_when_fulfilled(alone, take_scene, await_true, ends, stumbles):
    sandbox = alone
    scene = take_scene(ends=ends, stumbles=stumbles)
    before = sandbox.get("/v2/payments/balances").json()["available"]
    price = sandbox.post("/v2/orders/estimate", sandbox.order_body(scene.id)).json()["summary"]["totalCredits"]
    order_id = sandbox.place(scene.id)
    seen = [sandbox.status(order_id)]
    await_true(lambda: seen.append(sandbox.status(order_id)) or seen[-1] == ends)
    order = [status.value for status in Status]
    path = [status for index, status in enumerate(seen) if index == 0 or status != seen[index - 1]]
    if not stumbles:
        assert path == sorted(path, key=order.index)
    after = sandbox.get("/v2/payments/balances").json()["available"]
    assert before["amount"] - after["amount"] == (price if ends == "FULFILLED" else 0)
    assert after["unit"] == "CREDIT"


def test_the_estimate_is_the_price_of_the_area_inside_the_scene(sandbox, take_scene, aoi):
    scene = take_scene()
    answer = sandbox.post("/v2/orders/estimate", sandbox.order_body(scene.id))
    assert answer.status_code == 200
    (line,) = answer.json()["results"]
    area = geometry.area_km2(geometry.order_area(aoi))
    assert line["size"] == pytest.approx(area, abs=1e-3)
    assert line["credits"] == answer.json()["summary"]["totalCredits"]
    assert 0 <= line["credits"] - 10 * area <= 1
    west, south, east, north = scene.footprint.bounds
    beyond = {"type": "Polygon", "coordinates": [[[west - 1, south], [east, south], [east, north], [west - 1, south]]]}
    (cut,) = sandbox.post("/v2/orders/estimate", sandbox.order_body(scene.id, geometries=[beyond])).json()["results"]
    assert cut["size"] < geometry.area_km2(scene.footprint) + 1


def test_features_fail_one_by_one(sandbox, take_scene, aoi):
    scene = take_scene()
    far = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    body = sandbox.order_body(scene.id, geometries=[far, aoi, None, aoi], name="batch")
    answer = sandbox.post(f"/v2/orders?workspaceId={sandbox.workspace_id}", body)
    assert answer.status_code == 201
    assert [result["index"] for result in answer.json()["results"]] == [1, 3]
    assert [error["index"] for error in answer.json()["errors"]] == [0, 2]
    assert all(set(error) == {"index", "message", "details"} for error in answer.json()["errors"])
    names = [sandbox.get(f"/v2/orders/{line['id']}").json()["displayName"] for line in answer.json()["results"]]
    assert names == ["batch 2", "batch 4"]


def test_an_order_of_nothing_places_nothing(sandbox, take_scene):
    before = sandbox.get("/sandbox/ledger").json()
    answer = sandbox.post(f"/v2/orders?workspaceId={sandbox.workspace_id}", sandbox.order_body("SBX_unknown"))
    assert (answer.status_code, answer.json()["results"]) == (200, [])
    assert "Scene not found" in answer.json()["errors"][0]["message"]
    assert len(sandbox.get("/sandbox/ledger").json()["orders"]) == len(before["orders"])


@pytest.mark.parametrize(
    "change",
    [
        {"tags": None},
        {"tags": ["a,b"]},
        {"tags": ["|"]},
        {"tags": [""]},
        {"tags": ["é"]},
        {"tags": [1]},
        {"tags": "a"},
        {"tags": [str(number) for number in range(31)]},
        {"displayName": ""},
        {"displayName": "x" * 201},
        {"displayName": None},
        {"dataProduct": "analytic"},
        {"params": {}},
        {"params": {"id": 7}},
        {"params": {"id": "x", "aoi": {}}},
        {"params": None},
        {"featureCollection": None},
        {"featureCollection": {"type": "FeatureCollection", "features": []}},
        {"featureCollection": {"type": "FeatureCollection", "features": [{"type": "Polygon"}]}},
    ],
)
@pytest.mark.parametrize("path", ["/v2/orders/estimate", "/v2/orders"])
def test_a_body_that_breaks_a_rule_is_400_and_buys_nothing(sandbox, change, path):
    count = len(sandbox.get("/sandbox/ledger").json()["orders"])
    answer = sandbox.post(f"{path}?workspaceId={sandbox.workspace_id}", sandbox.order_body("SBX_x") | change)
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"]
    assert len(sandbox.get("/sandbox/ledger").json()["orders"]) == count


def test_thirty_tags_and_a_name_of_two_hundred_are_fine(sandbox, take_scene):
    tags = [f"Tag {number}. -_/:" for number in range(30)]
    order_id = sandbox.place(take_scene().id, tags=tags, name="x" * 200)
    assert sandbox.get(f"/v2/orders/{order_id}").json()["tags"] == tags


RING = [[13.36, 52.5], [13.38, 52.5], [13.38, 52.51], [13.36, 52.5]]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"type": "Point", "coordinates": [13.37, 52.51]}, "Polygon"),
        ({"type": "MultiPolygon", "coordinates": [[RING]]}, "Polygon"),
        ({"type": "Polygon", "coordinates": []}, "no rings"),
        ({"type": "Polygon", "coordinates": [RING[:-1]]}, "closed"),
        ({"type": "Polygon", "coordinates": [[[*point, 30.0] for point in RING]]}, "altitudes"),
        ({"type": "Polygon", "coordinates": [[[point[0] * 1e4, point[1]] for point in RING]]}, "EPSG:4326"),
        ({"type": "Polygon", "coordinates": [[[13, 52], [14, 53], [14, 52], [13, 53], [13, 52]]]}, "not valid"),
        ({"type": "Polygon", "coordinates": [[["a", 52], [14, 53], [14, 52], ["a", 52]]]}, "two numbers"),
        ({"type": "Polygon", "coordinates": [[[13, 52], [14, 53], [13, 52], [13, 52]]]}, "not valid"),
    ],
)
def test_geometries_follow_the_rules(broken, reason):
    with pytest.raises(geometry.GeometryProblem, match=reason):
        geometry.order_area(broken)


def test_a_polygon_has_at_most_999_vertices():
    def circle(corners):
        from shapely.geometry import Point, Polygon

        ring = list(Point(13, 52).buffer(0.01, quad_segs=500).exterior.coords)[:corners]
        return {"type": "Polygon", "coordinates": [[list(point) for point in Polygon(ring).exterior.coords]]}

    assert geometry.order_area(circle(998))
    with pytest.raises(geometry.GeometryProblem, match="1000 vertices"):
        geometry.order_area(circle(999))


def test_products_and_workspaces_must_exist(sandbox, take_scene):
    body = sandbox.order_body(take_scene().id)
    assert (
        sandbox.post(f"/v2/orders?workspaceId={sandbox.workspace_id}", body | {"dataProduct": NOWHERE}).status_code
        == 404
    )
    assert sandbox.post("/v2/orders/estimate", body | {"dataProduct": NOWHERE}).status_code == 404
    assert (
        sandbox.post(f"/v2/orders?workspaceId={sandbox.workspace_id}", body | {"budgetId": NOWHERE}).status_code == 404
    )
    assert sandbox.post(f"/v2/orders?workspaceId={NOWHERE}", body).status_code == 403
    assert sandbox.post("/v2/orders?workspaceId=a", body).json()["title"]
    assert sandbox.post("/v2/orders", body).status_code == 400


def test_what_the_account_cannot_pay_is_refused(start_sandbox, take_scene):
    poor, scene = start_sandbox(speed=0.001), take_scene()
    # A whole scene costs about 6000 credits; orders under way count, too.
    bodies = poor.order_body(scene.id, geometries=[mapping(scene.footprint)] * 100)
    answers = [poor.post(f"/v2/orders?workspaceId={poor.workspace_id}", bodies) for _ in range(3)]
    assert answers[0].status_code == 201
    assert answers[-1].status_code == 403
    assert answers[-1].json()["title"] == "Insufficient credits"


def test_the_list_is_cut_into_pages_without_loss(slow, take_scene):
    scene = take_scene()
    ids = [slow.place(scene.id, tags=[f"page-{index % 2}", "pages"], name=f"Page {index}") for index in range(7)]
    seen, number = [], 0
    while True:
        page = slow.get("/v2/orders", params={"tags": "pages", "size": 3, "page": number}).json()
        seen += [order["id"] for order in page["content"]]
        assert (page["totalElements"], page["totalPages"], page["number"]) == (7, 3, number)
        assert (page["first"], page["last"]) == (number == 0, number == 2)
        number += 1
        if number == page["totalPages"]:
            break
    assert seen == ids[::-1]
    for sort in ("createdAt", "updatedAt", "type", "status"):
        upward = slow.get("/v2/orders", params={"tags": "pages", "sort": f"{sort},asc"}).json()["content"]
        assert [order["id"] for order in upward] == ids


def test_every_filter_restricts(slow, take_scene):
    scene = take_scene()
    one = slow.place(scene.id, tags=["red", "blue"], name="100% Alpha_x")
    two = slow.place(scene.id, tags=["green"], name="Beta")

    def found(**params):
        content = slow.get("/v2/orders", params={"orderIds": f"{one},{two}", **params}).json()["content"]
        return {order["id"] for order in content}

    assert found() == {one, two}
    assert found(tags=["red", "green"]) == {one, two}
    assert found(tags=["red"]) == {one}
    assert found(tags=["Red"]) == found(tags=["re"]) == set()
    assert found(displayName="alpha_") == {one}
    assert found(displayName="%") == {one}
    assert found(status=["CREATED", "FULFILLED"]) == {one, two}
    assert found(status="FULFILLED") == set()
    assert found(type="ARCHIVE") == {one, two}
    assert found(type="TASKING") == set()
    assert found(subStatus="QUOTATION_ACCEPTED") == set()
    assert found(budgetIds=NOWHERE) == set()
    assert found(workspaceId=slow.workspace_id) == {one, two}
    assert found(workspaceId=NOWHERE) == set()
    assert found(orderIds=two) == {two}


@pytest.mark.parametrize(
    "query", ["workspaceId=a", "status=DONE", "type=X", "subStatus=X", "orderIds=a", "sort=price", "page=-1", "size=0"]
)
def test_filters_that_mean_nothing_are_400(sandbox, query):
    answer = sandbox.get(f"/v2/orders?{query}")
    assert (answer.status_code, answer.json()["title"]) == (400, "Bad Request")


def test_patch_replaces_tags_and_leaves_the_rest(slow, take_scene):
    order_id = slow.place(take_scene().id, tags=["a"])

    def patch(body, content_type="application/merge-patch+json"):
        return slow.http.patch(f"{slow.url}/v2/orders/{order_id}", json=body, headers={"Content-Type": content_type})

    before = slow.get(f"/v2/orders/{order_id}").json()
    assert patch({}).json() == before
    assert patch({"budgetId": None}).json()["tags"] == ["a"]
    changed = patch({"tags": ["b", "c"]}).json()
    assert changed["tags"] == ["b", "c"]
    assert changed["updatedAt"] > before["updatedAt"]
    assert {key: changed[key] for key in before if key not in ("tags", "updatedAt")} == {
        key: before[key] for key in before if key not in ("tags", "updatedAt")
    }
    assert patch({"tags": []}).json()["tags"] == []
    assert patch({"tags": ["a|b"]}).status_code == 400
    assert patch({"tags": None}).status_code == 400
    assert patch({"status": "CANCELED"}).status_code == 400
    assert patch({"budgetId": NOWHERE}).status_code == 404
    assert patch({"tags": ["d"]}, "application/json").status_code == 415
    assert slow.get(f"/v2/orders/{order_id}").json()["tags"] == []


def test_an_order_can_be_canceled_before_it_is_placed_only(slow, sandbox, take_scene):
    order_id = slow.place(take_scene().id)
    answer = slow.post(f"/v2/orders/{order_id}/cancellation")
    assert answer.json() == {"orderId": order_id, "status": "CANCELED"}
    assert slow.status(order_id) == "CANCELED"
    assert slow.post(f"/v2/orders/{order_id}/cancellation").status_code == 409
    done = sandbox.place(take_scene().id)
    sandbox.wait_for_end(done)
    assert sandbox.post(f"/v2/orders/{done}/cancellation").status_code == 409
    assert sandbox.status(done) == "FULFILLED"


def test_the_ledger_knows_every_purchase(sandbox, take_scene, aoi):
    scene = take_scene()
    ids = [sandbox.place(scene.id, tags=["twice"], name="same again") for _ in range(2)]
    entries = [order for order in sandbox.get("/sandbox/ledger").json()["orders"] if order["sceneId"] == scene.id]
    assert [entry["id"] for entry in entries] == ids
    assert all(entry["credits"] > 0 and entry["tags"] == ["twice"] for entry in entries)
    assert all(entry["geometry"] == aoi for entry in entries)
    assert {"id", "status", "tags", "displayName", "sceneId", "credits", "createdAt"} <= set(entries[0])


def test_names_are_numbered_only_when_there_are_several():
    def names(count):
        offer = Offer(products.OPTICAL, products.OPTICAL.products[0], None)
        order = order_input.OrderInput(offer, "AOI", {}, [{}] * count, None, None)
        return order_input.display_names(order)

    assert names(1) == ["AOI"]
    assert names(2) == ["AOI 1", "AOI 2"]
