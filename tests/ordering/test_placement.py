"""Bought once, whatever goes wrong: real placements at the sandbox, judged by its ledger."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from shapely.geometry import box, mapping, shape

from up42_pipelines.api import Estimate, Order, OrderStatus, Placement
from up42_pipelines.api.orders import LineCost
from up42_pipelines.errors import (
    AnswerLost,
    ApiError,
    BudgetExceeded,
    InvalidRequest,
    LegalBlock,
    NotAuthorized,
    OrderRefused,
    OrderUnclear,
    RateLimited,
    ServerProblem,
    UnexpectedAnswer,
    Unreachable,
)
from up42_pipelines.ordering.keys import OrderTags, key_tag
from up42_pipelines.ordering.placement import SETTLING_S, ensure_order, preferred
from up42_pipelines.ordering.plan import Purpose, plan_order

AREA = box(-9.15, 38.71, -9.14, 38.72)
ELSEWHERE = box(20.0, 10.0, 20.01, 10.01)
PAUSES = (1.0, 2.0, 4.0)


def api_error(kind: type[ApiError], status: int, title: str = "as the server words it") -> ApiError:
    return kind(method="POST", url="https://api.example.com/v2/orders", status=status, title=title)


AMBIGUOUS = [AnswerLost("no answer came back."), api_error(ServerProblem, 503), UnexpectedAnswer("not JSON.")]


class Watched:
    """The real orders; remembers which calls were made, and lets a test stand between a call and its answer.

    A fault is a function that is given the real call and makes of it what it likes.
    """

    def __init__(self, orders, **faults: Callable) -> None:
        self._orders, self._faults = orders, faults
        self.asked: list[str] = []

    def _through(self, name: str, call: Callable):
        self.asked.append(name)
        return self._faults[name](call) if name in self._faults else call()

    def estimate(self, order):
        return self._through("estimate", lambda: self._orders.estimate(order))

    def place(self, order):
        return self._through("place", lambda: self._orders.place(order))

    def get(self, order_id):
        return self._through("get", lambda: self._orders.get(order_id))

    def list(self, *, tags):
        return iter(self._through("list", lambda: list(self._orders.list(tags=tags))))


def fails(error: Exception) -> Callable:
    def fault(_call):
        raise error

    return fault


def fails_afterwards(error: Exception) -> Callable:
    def fault(call):
        call()
        raise error

    return fault


def in_turn(*faults: Callable) -> Callable:
    """Another fault at each call; no fault once they are used up."""
    left = list(faults)
    return lambda call: left.pop(0)(call) if left else call()


def honest(call):
    return call()


def shows_nothing(_call):
    return []


@pytest.fixture(scope="module")
def client(slow_sandbox):
    client = slow_sandbox.client()
    yield client
    client.transport.close()


@pytest.fixture(scope="module")
def product(client):
    return client.catalog.collection("sandbox-optical").data_product("analytic").id


@pytest.fixture(scope="module")
def scene_id(client):
    found = client.catalog.search(
        "sandbox-host",
        collections=["sandbox-optical"],
        intersects=mapping(AREA),
        start=datetime(2026, 5, 1, tzinfo=UTC),
        end=datetime(2026, 5, 31, tzinfo=UTC),
    )
    return next(scene.id for scene in found if shape(scene.geometry).covers(AREA))


@pytest.fixture
def plan(client, product, scene_id, request):
    """`plan(**changes)`: an order that nobody else plans."""

    def plan(*, area=AREA, generation=1):
        purpose = Purpose(
            workspace_id=client.workspace_id,
            pipeline=request.node.name,
            partition="lisbon|2026-05-01",
            data_product=product,
            generation=generation,
        )
        [planned] = plan_order(purpose, scene_id, [area])
        return planned

    return plan


@pytest.fixture
def planned(plan):
    return plan()


@pytest.fixture
def bought(slow_sandbox):
    """What was bought since the test began, whoever did it."""
    before = {one["id"] for one in slow_sandbox.ledger()}
    return lambda: [one for one in slow_sandbox.ledger() if one["id"] not in before]


@pytest.fixture
def ensure(planned):
    """Ensure the planned order; `ensure.pauses` are those that would have been waited."""

    def ensure(orders, what=planned, *, max_credits=None, settling_s=PAUSES):
        ensure.pauses = []
        return ensure_order(orders, what, max_credits=max_credits, settling_s=settling_s, sleep=ensure.pauses.append)

    return ensure


class TestWithoutTrouble:
    def test_places_once(self, client, ensure, bought):
        orders = Watched(client.orders)
        placed = ensure(orders)
        [one] = bought()
        assert placed.order.id == one["id"]
        assert not placed.adopted
        assert placed.credits == one["credits"] > 1
        assert orders.asked == ["list", "estimate", "place", "get"]
        assert ensure.pauses == []

    def test_with_everything_that_was_planned(self, client, planned, ensure, bought):
        placed = ensure(client.orders)
        [one] = bought()
        assert OrderTags.read(one["tags"]) == OrderTags(
            pipeline=planned.purpose.pipeline,
            partition=planned.purpose.partition,
            key=planned.key,
            credits=one["credits"],
        )
        assert (one["sceneId"], one["dataProductId"]) == (planned.scene_id, planned.purpose.data_product)
        assert placed.order.scene_id == planned.scene_id
        assert shape(placed.order.aoi).equals(planned.geometry)

    def test_adopts_the_second_time(self, client, ensure, bought):
        first = ensure(client.orders)
        orders = Watched(client.orders)
        second = ensure(orders)
        assert second.adopted
        assert second.order.id == first.order.id
        assert second.credits == first.credits
        assert orders.asked == ["list"]
        assert len(bought()) == 1

    def test_another_generation_is_bought_on_purpose(self, client, plan, ensure, bought):
        for generation in (1, 2, 1, 2):
            ensure(client.orders, plan(generation=generation))
        assert len(bought()) == 2

    def test_orders_of_others_are_not_adopted(self, client, planned, ensure, bought):
        # UP42 does not say how exactly its tag filter matches.
        other = Order(id="other", status="PLACED", tags=(key_tag("another"), key_tag(planned.key)[:-1]))
        bare = Order(id="bare", status="PLACED", tags=None)
        placed = ensure(Watched(client.orders, list=lambda call: [other, bare, *call()]))
        assert not placed.adopted
        assert [one["id"] for one in bought()] == [placed.order.id]

    def test_waits_for_real_when_nobody_says_otherwise(self, client, planned, bought):
        waited = []
        orders = Watched(client.orders, place=fails(AMBIGUOUS[0]))
        with pytest.raises(OrderUnclear):
            ensure_order(orders, planned, max_credits=None, sleep=waited.append)
        assert tuple(waited) == SETTLING_S
        assert sum(SETTLING_S) >= 10
        assert bought() == []


@pytest.mark.parametrize("error", AMBIGUOUS, ids=lambda error: type(error).__name__)
class TestAmbiguousAnswers:
    def test_adopts_what_went_through(self, client, ensure, bought, error):
        orders = Watched(client.orders, place=fails_afterwards(error))
        placed = ensure(orders)
        [one] = bought()
        assert placed.adopted
        assert placed.order.id == one["id"]
        assert placed.credits == one["credits"]
        assert orders.asked == ["list", "estimate", "place", "list"]
        assert ensure.pauses == [PAUSES[0]]

    def test_is_unclear_when_nothing_shows_up(self, client, planned, ensure, bought, error):
        orders = Watched(client.orders, place=fails(error))
        with pytest.raises(OrderUnclear) as caught:
            ensure(orders)
        assert caught.value.__cause__ is error
        for told in (str(error), key_tag(planned.key), planned.scene_id, planned.purpose.partition):
            assert told in str(caught.value)
        assert ensure.pauses == list(PAUSES)
        assert orders.asked == ["list", "estimate", "place", "list", "list", "list"]
        assert bought() == []

    def test_and_the_next_call_places_it_once(self, client, ensure, bought, error):
        with pytest.raises(OrderUnclear):
            ensure(Watched(client.orders, place=fails(error)))
        assert not ensure(client.orders).adopted
        assert ensure(client.orders).adopted
        assert len(bought()) == 1

    def test_a_failing_look_up_afterwards_is_tried_again(self, client, ensure, bought, error):
        look_ups = in_turn(honest, fails(api_error(ServerProblem, 502)), fails(AnswerLost("lost.")))
        placed = ensure(Watched(client.orders, place=fails_afterwards(error), list=look_ups))
        assert placed.adopted
        assert ensure.pauses == list(PAUSES)
        assert len(bought()) == 1

    def test_look_ups_that_all_fail_leave_it_unclear(self, client, ensure, bought, error):
        look_ups = in_turn(honest, *[fails(Unreachable("no network."))] * len(PAUSES))
        with pytest.raises(OrderUnclear) as caught:
            ensure(Watched(client.orders, place=fails_afterwards(error), list=look_ups))
        assert caught.value.__cause__ is error
        assert ensure(client.orders).adopted
        assert len(bought()) == 1


class TestAListThatLagsBehind:
    @pytest.mark.parametrize("lag", range(len(PAUSES)))
    def test_is_looked_at_until_it_shows_the_order(self, client, ensure, bought, lag):
        orders = Watched(
            client.orders,
            place=fails_afterwards(AMBIGUOUS[0]),
            list=in_turn(honest, *[shows_nothing] * lag),
        )
        placed = ensure(orders)
        assert placed.adopted
        assert ensure.pauses == list(PAUSES[: lag + 1])
        assert [one["id"] for one in bought()] == [placed.order.id]

    def test_longer_than_the_patience_leaves_it_to_the_next_call(self, client, ensure, bought):
        orders = Watched(
            client.orders,
            place=fails_afterwards(AMBIGUOUS[0]),
            list=in_turn(honest, *[shows_nothing] * len(PAUSES)),
        )
        with pytest.raises(OrderUnclear, match="looks the order up before placing anything"):
            ensure(orders)
        assert ensure(orders).adopted
        assert orders.asked.count("place") == len(bought()) == 1


class TestRefusals:
    def test_above_the_ceiling(self, client, planned, ensure, bought):
        orders = Watched(client.orders)
        price = round(client.orders.estimate(planned.request()).credits)
        with pytest.raises(BudgetExceeded, match=rf"would cost {price} credits; the ceiling per order is {price - 1}"):
            ensure(orders, max_credits=price - 1)
        assert orders.asked == ["list", "estimate"]
        assert bought() == []

    def test_the_ceiling_itself_is_allowed(self, client, planned, ensure, bought):
        price = client.orders.estimate(planned.request()).credits
        assert ensure(client.orders, max_credits=price).credits == price
        assert len(bought()) == 1

    def test_a_ceiling_of_nothing_is_a_ceiling(self, client, ensure, bought):
        with pytest.raises(BudgetExceeded):
            ensure(client.orders, max_credits=0)
        assert bought() == []

    def test_a_fraction_above_the_ceiling_is_above_it(self, client, ensure, bought):
        dear = Estimate(results=(LineCost(index=0, credits=100.4),))
        with pytest.raises(BudgetExceeded):
            ensure(Watched(client.orders, estimate=lambda _call: dear), max_credits=100)
        assert bought() == []

    def test_an_order_that_exists_is_adopted_whatever_the_ceiling(self, client, ensure, bought):
        ensure(client.orders)
        assert ensure(client.orders, max_credits=0).adopted
        assert len(bought()) == 1

    def test_no_price_no_order(self, client, plan, ensure, bought):
        with pytest.raises(OrderRefused, match=r"Geometry does not intersect the scene.*outside the footprint"):
            ensure(client.orders, plan(area=ELSEWHERE))
        with pytest.raises(OrderRefused, match="no price came back"):
            ensure(Watched(client.orders, estimate=lambda _call: Estimate()))
        assert bought() == []

    def test_half_a_price_is_no_price(self, client, ensure, bought):
        half = Estimate.parse({"results": [{"index": 0, "credits": 1}], "errors": [{"index": 1, "message": "odd"}]})
        with pytest.raises(OrderRefused, match=r"cannot price.*odd"):
            ensure(Watched(client.orders, estimate=lambda _call: half))
        assert bought() == []

    def test_refused_feature_in_the_words_of_up42(self, client, plan, ensure, bought):
        cheap = Estimate(results=(LineCost(index=0, credits=1),))
        orders = Watched(client.orders, estimate=lambda _call: cheap)
        with pytest.raises(
            OrderRefused, match=r"Geometry does not intersect the scene.*outside the footprint"
        ) as caught:
            ensure(orders, plan(area=ELSEWHERE))
        assert type(caught.value) is OrderRefused
        assert orders.asked == ["list", "estimate", "place"]
        assert ensure.pauses == []
        assert bought() == []

    def test_an_answer_without_id_and_without_error_says_nothing(self, client, ensure, bought):
        def forgetful(call):
            call()
            return Placement.parse({"orders": []})

        assert ensure(Watched(client.orders, place=forgetful)).adopted
        assert len(bought()) == 1

    def test_not_this_workspace(self, slow_sandbox, ensure, bought):
        stranger = slow_sandbox.client(workspace_id=str(uuid.UUID(int=7)))
        try:
            with pytest.raises(OrderRefused, match="no access to workspace") as caught:
                ensure(stranger.orders)
        finally:
            stranger.transport.close()
        assert isinstance(caught.value.__cause__, NotAuthorized)
        assert bought() == []

    @pytest.mark.parametrize(
        "error",
        [
            api_error(LegalBlock, 451, "EULA is not accepted"),
            api_error(NotAuthorized, 403, "Insufficient credits"),
            api_error(InvalidRequest, 400, "order parameters errors"),
            api_error(RateLimited, 429, "Too many requests"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_refused_as_a_whole(self, client, ensure, bought, error):
        orders = Watched(client.orders, place=fails(error))
        with pytest.raises(OrderRefused) as caught:
            ensure(orders)
        assert type(caught.value) is OrderRefused
        assert error.title in str(caught.value)
        assert caught.value.__cause__ is error
        assert orders.asked == ["list", "estimate", "place"]
        assert ensure.pauses == []
        assert bought() == []

    def test_never_reached(self, client, ensure, bought):
        with pytest.raises(Unreachable):
            ensure(Watched(client.orders, place=fails(Unreachable("nothing was sent."))))
        assert ensure.pauses == []
        assert bought() == []

    @pytest.mark.parametrize("call", ["list", "estimate"])
    def test_a_free_call_that_fails_comes_before_any_purchase(self, client, ensure, bought, call):
        error = api_error(ServerProblem, 503)
        orders = Watched(client.orders, **{call: fails(error)})
        with pytest.raises(ServerProblem) as caught:
            ensure(orders)
        assert caught.value is error
        assert "place" not in orders.asked
        assert bought() == []


class TestAfterwards:
    @pytest.mark.parametrize("error", [api_error(ServerProblem, 503), AnswerLost("lost."), UnexpectedAnswer("odd.")])
    def test_the_id_is_kept_when_its_details_cannot_be_read(self, client, ensure, bought, error):
        placed = ensure(Watched(client.orders, get=fails(error)))
        [one] = bought()
        assert (placed.order.id, placed.order.status) == (one["id"], OrderStatus.CREATED)
        assert placed.credits == one["credits"]
        assert not placed.adopted

    def test_an_order_that_failed_is_adopted(self, client, ensure, bought):
        first = ensure(client.orders)
        client.transport.json("POST", f"/v2/orders/{first.order.id}/cancellation")
        again = ensure(client.orders)
        assert again.adopted
        assert again.order.id == first.order.id
        assert again.order.is_failed
        assert len(bought()) == 1

    def test_of_two_with_one_key_the_one_that_can_deliver(self, client, planned, ensure, bought):
        ids = [client.orders.place(planned.request(1)).results[0].id for _ in range(3)]
        assert ensure(client.orders).order.id == ids[0]
        client.transport.json("POST", f"/v2/orders/{ids[0]}/cancellation")
        assert ensure(client.orders).order.id == ids[1]
        assert len(bought()) == 3


def order(name, *, status="PLACED", created=None):
    return Order.parse({"id": name, "status": status, "createdAt": created})


@pytest.mark.parametrize(
    "best_to_worst",
    [
        [order("b", created="2026-01-01T00:00:00Z"), order("a", created="2026-01-02T00:00:00Z")],
        [order("b", created="2026-01-02T00:00:00Z"), order("a", status="FAILED", created="2026-01-01T00:00:00Z")],
        [order("a", created="2026-01-01T00:00:00Z"), order("b", created="2026-01-01T00:00:00Z")],
        [order("b", created="2026-01-02T00:30:00+02:00"), order("a", created="2026-01-01T23:00:00Z")],
        [order("b", created="2026-01-01T00:00:00Z"), order("a", created="2026-01-01T00:00:00.000001Z")],
        [
            order("d", status="A_NEW_STATUS", created="2026-01-03T00:00:00Z"),
            order("c", status="CANCELED", created="2026-01-01T00:00:00Z"),
            order("b", status="FAILED_PERMANENTLY", created="2026-01-02T00:00:00Z"),
        ],
    ],
)
def test_preferred_can_deliver_then_is_oldest_in_any_order_of_the_list(best_to_worst):
    assert preferred(best_to_worst).id == best_to_worst[0].id
    assert preferred(best_to_worst[::-1]).id == best_to_worst[0].id


def test_preferred_copes_with_orders_that_have_no_date():
    known = [order("b"), order("a", created="2026-01-01T00:00:00Z"), order("c", status="FAILED")]
    assert preferred(known).id == preferred(known[::-1]).id == "b"
