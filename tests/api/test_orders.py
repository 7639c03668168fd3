"""The orders client against the sandbox: prices, placing, reading back, and every filter of the list."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from shapely.geometry import box, mapping, shape

from up42_pipelines.api import OrderInput, Orders, OrderStatus
from up42_pipelines.errors import (
    AnswerLost,
    InvalidRequest,
    LegalBlock,
    NotAuthorized,
    NotFound,
    RateLimited,
    ServerProblem,
    UnexpectedAnswer,
)

AREA, ELSEWHERE = box(12.48, 41.88, 12.49, 41.89), box(40, 10, 40.01, 10.01)
NOBODY = str(uuid.UUID(int=1))


@pytest.fixture(scope="module")
def client(slow_sandbox):
    client = slow_sandbox.client()
    yield client
    client.transport.close()


@pytest.fixture(scope="module")
def orders(client):
    return client.orders


@pytest.fixture(scope="module")
def scenes(client):
    found = client.catalog.search(
        "sandbox-host",
        collections=["sandbox-optical"],
        intersects=mapping(AREA),
        start=datetime(2026, 5, 1, tzinfo=UTC),
        end=datetime(2026, 5, 31, tzinfo=UTC),
    )
    return [scene.id for scene in found if shape(scene.geometry).covers(AREA)]


@pytest.fixture(scope="module")
def wanted(client, scenes):
    """`wanted(*areas, **changes)`: what could be ordered."""
    product = client.catalog.collection("sandbox-optical").data_product("analytic")

    def wanted(*areas, name="harbour watch", tags=None, **changes):
        features = [{"type": "Feature", "properties": {}, "geometry": mapping(area)} for area in areas or [AREA]]
        options = {"data_product": product.id, "display_name": name, "params": {"id": scenes[0]}, "tags": tags}
        collection = {"type": "FeatureCollection", "features": features}
        return OrderInput(**{**options, "feature_collection": collection, **changes})

    return wanted


@pytest.fixture(scope="module")
def placed(client, wanted):
    """Five orders, oldest first; the second is cancelled last, so the order of change is another one."""
    ids = []
    for number in range(5):
        kind = "even" if number % 2 == 0 else "odd"
        order = wanted(name=f"Listed No {number}", tags=("listed", f"listed:{kind}", f"listed:{number}"))
        ids.append(client.orders.place(order).results[0].id)
    client.transport.json("POST", f"/v2/orders/{ids[1]}/cancellation")
    return ids


class TestEstimate:
    def test_price(self, orders, wanted):
        estimate = orders.estimate(wanted())
        [line] = estimate.results
        assert estimate.errors == ()
        assert estimate.credits == line.credits > 0
        assert line.unit == "SQ_KM"
        assert line.size > 0

    def test_is_the_one_the_order_has(self, orders, wanted, slow_sandbox):
        order_id = orders.place(wanted()).results[0].id
        [entry] = [one for one in slow_sandbox.ledger() if one["id"] == order_id]
        assert orders.estimate(wanted()).credits == entry["credits"]

    def test_of_several_features(self, orders, wanted):
        estimate = orders.estimate(wanted(AREA, ELSEWHERE, AREA))
        assert [line.index for line in estimate.results] == [0, 2]
        assert estimate.credits == sum(line.credits for line in estimate.results)
        [error] = estimate.errors
        assert error.index == 1
        assert "does not intersect" in error.message

    def test_buys_nothing(self, orders, wanted, slow_sandbox):
        before = len(slow_sandbox.ledger())
        orders.estimate(wanted())
        assert len(slow_sandbox.ledger()) == before

    def test_is_tried_again(self, script, transport, wanted):
        answer = {"summary": {"totalCredits": 3}, "results": [], "errors": []}
        script.on("/v2/orders/estimate", (503, {}, {}), (200, answer, {}))
        assert Orders(transport, lambda: "w").estimate(wanted()).credits == 3
        first, second = script.requests("/v2/orders/estimate")
        assert (
            json.loads(first["body"])
            == json.loads(second["body"])
            == wanted().to_json() | {"featureCollection": json.loads(json.dumps(wanted().feature_collection))}
        )


class TestPlace:
    def test_and_read_back(self, orders, wanted, scenes, client):
        begun = datetime.now(UTC)
        placement = orders.place(wanted(name="Read back", tags=("a b", "c:d/e.f-g_h")))
        assert placement.errors == ()
        [line] = placement.results
        order = orders.get(line.id)
        assert order.id == line.id
        assert order.status is OrderStatus.CREATED
        assert (order.display_name, order.tags) == ("Read back", ("a b", "c:d/e.f-g_h"))
        assert (order.type, order.scene_id, order.workspace_id) == ("ARCHIVE", scenes[0], client.workspace_id)
        assert order.data_product_id == wanted().data_product
        assert shape(order.aoi).equals(AREA)
        assert abs(order.created_at - begun) < timedelta(minutes=1)
        assert order.updated_at >= order.created_at

    def test_without_tags(self, orders, wanted):
        order = orders.get(orders.place(wanted()).results[0].id)
        assert order.tags is None

    def test_ids_and_errors_by_feature(self, orders, wanted, slow_sandbox):
        before = len(slow_sandbox.ledger())
        placement = orders.place(wanted(ELSEWHERE, AREA))
        assert [line.index for line in placement.results] == [1]
        assert [line.index for line in placement.errors] == [0]
        assert len(slow_sandbox.ledger()) == before + 1

    @pytest.mark.parametrize(
        ("changes", "error", "told"),
        [
            ({"params": {}}, InvalidRequest, "order parameters errors"),
            ({"tags": ("a,b",)}, InvalidRequest, "only letters, digits"),
            ({"data_product": NOBODY}, NotFound, NOBODY),
        ],
    )
    def test_refused(self, orders, wanted, slow_sandbox, changes, error, told):
        before = len(slow_sandbox.ledger())
        with pytest.raises(error, match=told):
            orders.place(wanted(**changes))
        assert len(slow_sandbox.ledger()) == before

    def test_foreign_workspace(self, slow_sandbox, wanted):
        stranger = slow_sandbox.client(workspace_id=NOBODY)
        with pytest.raises(NotAuthorized, match="no access to workspace"):
            stranger.orders.place(wanted())
        assert list(stranger.orders.list()) == []
        stranger.transport.close()

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            ((503, {"title": "busy"}, {}), ServerProblem),
            ((429, {"title": "slow down"}, {"Retry-After": "0"}), RateLimited),
            ((451, {"title": "EULA is not accepted"}, {}), LegalBlock),
            ((200, b"<html>", {}), UnexpectedAnswer),
            ((201, {"results": [{"index": 0}]}, {}), UnexpectedAnswer),
            ("drop", AnswerLost),
            ("hang", AnswerLost),
        ],
    )
    def test_is_sent_once_whatever_the_answer(self, script, transport, wanted, answer, error):
        script.on("/v2/orders", answer, (201, {"results": [{"index": 0, "id": "o"}]}, {}))
        with pytest.raises(error):
            Orders(transport, lambda: "w").place(wanted())
        assert len(script.requests("/v2/orders")) == 1


class TestGet:
    @pytest.mark.parametrize("order_id", [NOBODY, "no-uuid"])
    def test_unknown(self, orders, order_id):
        with pytest.raises(NotFound, match=order_id):
            orders.get(order_id)

    def test_ids_cannot_leave_their_place_in_the_path(self, script, transport):
        with pytest.raises(NotFound):
            Orders(transport, lambda: "w").get("../x?y")
        assert [one["path"] for one in script.asked if "/realms/" not in one["path"]] == ["/v2/orders/..%2Fx%3Fy"]


class TestList:
    @pytest.mark.parametrize("page_size", [1, 2, 3, 5, 100])
    @pytest.mark.parametrize("direction", ["asc", "desc"])
    def test_by_creation(self, orders, placed, page_size, direction):
        found = orders.list(tags=["listed"], sort=f"createdAt,{direction}", page_size=page_size)
        assert [order.id for order in found] == (placed if direction == "asc" else placed[::-1])

    @pytest.mark.parametrize("page_size", [2, 100])
    @pytest.mark.parametrize("direction", ["asc", "desc"])
    def test_by_change(self, orders, placed, page_size, direction):
        oldest_first = [placed[0], *placed[2:], placed[1]]
        found = list(orders.list(tags=["listed"], sort=f"updatedAt,{direction}", page_size=page_size))
        assert [order.id for order in found] == (oldest_first if direction == "asc" else oldest_first[::-1])
        moments = [order.updated_at for order in found]
        assert moments == sorted(moments, reverse=direction == "desc")

    @pytest.mark.parametrize("sort", ["status,asc", "status,desc", "type,asc", "type,desc"])
    def test_by_status_or_type(self, orders, placed, sort):
        found = list(orders.list(tags=["listed"], sort=sort, page_size=2))
        assert {order.id for order in found} == set(placed)
        values = [order.status if sort.startswith("status") else order.type for order in found]
        assert values == sorted(values, reverse=sort.endswith("desc"))

    def test_newest_first_when_not_said(self, orders, placed):
        assert [order.id for order in orders.list(tags=["listed"])] == placed[::-1]

    @pytest.mark.parametrize(
        ("tags", "numbers"),
        [
            (["listed:even"], {0, 2, 4}),
            (["listed:1", "listed:4"], {1, 4}),
            (["listed:even", "listed:3"], {0, 2, 3, 4}),
            (["listed:nothing"], set()),
        ],
    )
    def test_any_of_the_tags(self, orders, placed, tags, numbers):
        assert {order.id for order in orders.list(tags=tags, page_size=2)} == {placed[number] for number in numbers}

    @pytest.mark.parametrize(
        ("status", "numbers"),
        [
            (["CREATED"], {0, 2, 3, 4}),
            ([OrderStatus.CANCELED], {1}),
            (["CREATED", "CANCELED"], {0, 1, 2, 3, 4}),
            (["FULFILLED"], set()),
        ],
    )
    def test_in_any_of_the_statuses(self, orders, placed, status, numbers):
        found = orders.list(tags=["listed"], status=status, page_size=2)
        assert {order.id for order in found} == {placed[number] for number in numbers}

    @pytest.mark.parametrize(("name", "numbers"), [("listed no", {0, 1, 2, 3, 4}), ("No 3", {3}), ("no 9", set())])
    def test_part_of_the_name(self, orders, placed, name, numbers):
        found = orders.list(tags=["listed"], display_name=name, page_size=2)
        assert {order.id for order in found} == {placed[number] for number in numbers}

    def test_by_id(self, orders, placed):
        found = orders.list(order_ids=[placed[3], placed[0], NOBODY], page_size=1)
        assert [order.id for order in found] == [placed[3], placed[0]]

    @pytest.mark.usefixtures("placed")
    def test_everything_of_the_workspace(self, orders, slow_sandbox):
        assert {order.id for order in orders.list(page_size=7)} == {one["id"] for one in slow_sandbox.ledger()}

    def test_refused_sort(self, orders):
        with pytest.raises(InvalidRequest, match="sort must be one of"):
            list(orders.list(sort="credits,asc"))

    def test_on_the_wire(self, script, transport):
        script.on("/v2/orders", (200, {"content": [], "totalPages": 0}, {}))
        orders = Orders(transport, lambda: "w")
        options = {
            "tags": ["a", "b c"],
            "status": ["PLACED", "CREATED"],
            "display_name": "x y",
            "order_ids": ["1", "2"],
        }
        assert list(orders.list(**options, sort="updatedAt,asc", page_size=7)) == []
        assert list(orders.list()) == []
        full, bare = [sorted(one["query"].split("&")) for one in script.requests("/v2/orders")]
        filters = ["tags=a", "tags=b+c", "status=PLACED", "status=CREATED", "displayName=x+y", "orderIds=1%2C2"]
        assert full == sorted([*filters, "workspaceId=w", "sort=updatedAt%2Casc", "page=0", "size=7"])
        assert bare == sorted(["workspaceId=w", "sort=createdAt%2Cdesc", "page=0", "size=100"])

    def test_pages_are_fetched_as_they_are_consumed(self, script, transport):
        def content(*names):
            return (200, {"content": [{"id": name, "status": "PLACED"} for name in names], "totalPages": 2}, {})

        script.on("/v2/orders", content("a", "b"), content("b", "c"))
        found = Orders(transport, lambda: "w").list(page_size=2)
        assert script.requests("/v2/orders") == []
        assert [next(found).id, next(found).id] == ["a", "b"]
        assert len(script.requests("/v2/orders")) == 1
        assert [order.id for order in found] == ["c"]
        assert len(script.requests("/v2/orders")) == 2
