"""Orders, on the wire and at the sandbox: prices, placing, reading back, changing, cancelling."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from shapely.geometry import box, shape

from up42_pipelines.api import Orders, OrderStatus
from up42_pipelines.errors import (
    AnswerLost,
    ApiError,
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
def scenes(client, scenes_at):
    return scenes_at(client, AREA)


@pytest.fixture(scope="module")
def wanted(client, scenes, order_input):
    """`wanted(*areas, **changes)`: what could be ordered."""

    def wanted(*areas, **changes):
        return order_input(client, *(areas or [AREA]), scene=scenes[0], **changes)

    return wanted


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
        assert not orders.get(orders.place(wanted()).results[0].id).tags

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
            ((403, {"title": "Forbidden"}, {}), NotAuthorized),
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

    def test_an_id_is_not_lost_whatever_stands_beside_it(self, script, transport, wanted):
        error = {"code": 422, "message": "partial"}
        for more in (
            {"errors": ["in words", {"reason": "odd"}]},
            {"error": error},
            {"error": "partial"},
            {"data": None},
        ):
            script.on("/v2/orders", (201, {"results": [{"id": "o-1"}], **more}, {}))
            assert [line.id for line in Orders(transport, lambda: "w").place(wanted()).results] == ["o-1"]

    def test_on_the_wire(self, script, transport, wanted):
        script.on("/v2/orders", (201, {"results": [{"index": 0, "id": "o-1"}]}, {}))
        Orders(transport, lambda: "w").place(wanted())
        [request] = script.requests("/v2/orders")
        assert (request["method"], request["query"]) == ("POST", "workspaceId=w")
        assert request["headers"]["Content-Type"] == "application/json"
        [body] = script.bodies("/v2/orders")
        assert body == json.loads(json.dumps(wanted().to_json()))
        assert "tags" not in body

    @pytest.mark.parametrize(
        ("body", "eula_id", "collection", "advice"),
        [
            (
                {"status": 451, "title": f"EULA {NOBODY} is not accepted. See the console.", "detail": None},
                NOBODY,
                None,
                f"Accept EULA {NOBODY}",
            ),
            (
                {"status": 451, "title": "Access to collection phr is restricted for account 1.", "detail": None},
                None,
                "phr",
                "Request access to collection phr",
            ),
            (b"Unavailable For Legal Reasons", None, None, "Accept the EULA or request access"),
        ],
    )
    def test_legal_blocks_say_what_to_accept(self, script, transport, wanted, body, eula_id, collection, advice):
        script.on("/v2/orders", (451, body, {}))
        with pytest.raises(LegalBlock, match=advice) as caught:
            Orders(transport, lambda: "w").place(wanted())
        assert (caught.value.eula_id, caught.value.collection) == (eula_id, collection)
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


class TestUpdate:
    PATH = "/v2/orders/o-1"
    ANSWER = (200, {"id": "o-1", "status": "PLACED", "tags": ["new"]}, {})

    @pytest.mark.parametrize(
        ("changes", "sent"),
        [
            ({}, {}),
            ({"tags": ["a", "b"]}, {"tags": ["a", "b"]}),
            ({"tags": ("a",)}, {"tags": ["a"]}),
            ({"tags": []}, {"tags": []}),
            ({"budget_id": "b-1"}, {"budgetId": "b-1"}),
            ({"budget_id": None}, {"budgetId": None}),
            ({"tags": [], "budget_id": None}, {"tags": [], "budgetId": None}),
        ],
    )
    def test_is_a_merge_patch_of_what_was_given(self, script, transport, changes, sent):
        script.on(self.PATH, self.ANSWER)
        assert Orders(transport, lambda: "w").update("o-1", **changes).tags == ("new",)
        [request] = script.requests(self.PATH)
        assert (request["method"], request["query"]) == ("PATCH", "")
        assert request["headers"]["Content-Type"] == "application/merge-patch+json"
        assert script.bodies(self.PATH) == [sent]

    def test_is_tried_again_because_twice_is_like_once(self, script, transport):
        script.on(self.PATH, (503, {}, {}), "drop", self.ANSWER)
        assert Orders(transport, lambda: "w").update("o-1", tags=["new"]).id == "o-1"

    def test_tags(self, orders, wanted):
        order_id = orders.place(wanted(tags=("first", "second"))).results[0].id
        before = orders.get(order_id)
        changed = orders.update(order_id, tags=["third"])
        assert changed.tags == orders.get(order_id).tags == ("third",)
        assert changed.updated_at > before.updated_at
        assert orders.update(order_id).tags == ("third",)
        assert not orders.update(order_id, tags=[]).tags
        assert orders.get(order_id).display_name == before.display_name

    def test_budget(self, orders, wanted, client):
        first, second = list(client.account.budgets(status=["ACTIVE"]))[:2]
        order_id = orders.place(wanted(budget_id=first.id, tags=("kept",))).results[0].id
        assert orders.get(order_id).budget_id == first.id
        changed = orders.update(order_id, budget_id=second.id)
        assert (changed.budget_id, changed.tags) == (second.id, ("kept",))
        assert orders.update(order_id, tags=["other"]).budget_id == second.id
        assert orders.update(order_id, budget_id=None).budget_id is None
        assert orders.get(order_id).budget_id is None

    @pytest.mark.parametrize(
        ("changes", "error", "told"),
        [({"tags": ["a,b"]}, InvalidRequest, "only letters, digits"), ({"budget_id": NOBODY}, NotFound, NOBODY)],
    )
    def test_refused(self, orders, wanted, changes, error, told):
        order_id = orders.place(wanted(tags=("first",))).results[0].id
        with pytest.raises(error, match=told):
            orders.update(order_id, **changes)
        assert orders.get(order_id).tags == ("first",)

    def test_unknown(self, orders):
        with pytest.raises(NotFound, match=NOBODY):
            orders.update(NOBODY, tags=[])


class TestCancel:
    PATH = "/v2/orders/o-1/cancellation"

    def test_while_the_provider_does_not_know(self, orders, wanted):
        order_id = orders.place(wanted()).results[0].id
        assert orders.cancel(order_id) is OrderStatus.CANCELED
        order = orders.get(order_id)
        assert (order.status, order.is_failed) == (OrderStatus.CANCELED, True)
        with pytest.raises(ApiError, match="cannot be canceled"):
            orders.cancel(order_id)

    def test_unknown(self, orders):
        with pytest.raises(NotFound, match=NOBODY):
            orders.cancel(NOBODY)

    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            ({"orderId": "o-1", "status": "CANCELED"}, OrderStatus.CANCELED),
            ({"orderId": "o-1", "status": "CANCELING"}, "CANCELING"),
            ({}, OrderStatus.CANCELED),
        ],
    )
    def test_on_the_wire(self, script, transport, answer, status):
        script.on(self.PATH, (200, answer, {}))
        assert Orders(transport, lambda: "w").cancel("o-1") == status
        assert [(one["method"], one["query"], one["body"]) for one in script.requests(self.PATH)] == [("POST", "", b"")]

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            ((405, {"title": "write-protected"}, {}), ApiError),
            ((409, {"title": "too late"}, {}), ApiError),
            ((503, {}, {}), ServerProblem),
            ("drop", AnswerLost),
            ("cut", AnswerLost),
        ],
    )
    def test_is_sent_once(self, script, transport, answer, error):
        script.on(self.PATH, answer, (200, {}, {}))
        with pytest.raises(error) as caught:
            Orders(transport, lambda: "w").cancel("o-1")
        assert type(caught.value) is error
        assert len(script.requests(self.PATH)) == 1
