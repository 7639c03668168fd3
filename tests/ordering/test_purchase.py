"""Orders bought once, whatever goes wrong: real placements at the sandbox, judged by its ledger."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from shapely.geometry import box, mapping, shape

from up42_pipelines.api import Estimate, Order, Placement
from up42_pipelines.api.account import Amount, Balance
from up42_pipelines.api.orders import LineCost
from up42_pipelines.errors import (
    AnswerLost,
    ApiError,
    BudgetExceeded,
    InvalidRequest,
    LegalBlock,
    NotAuthorized,
    NotFound,
    OrderContradicted,
    OrderRefused,
    OrderUnclear,
    RateLimited,
    ServerProblem,
    TooLate,
    UnexpectedAnswer,
    Unreachable,
)
from up42_pipelines.lake import Lake
from up42_pipelines.ordering.keys import OrderTags, key_tag
from up42_pipelines.ordering.plan import Purpose, plan_order
from up42_pipelines.ordering.purchase import OrderPurchase
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.attempt import Clock
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.buying import Buyer
from up42_pipelines.purchasing.intents import IntentBook, State
from up42_pipelines.purchasing.ledger import Ledger
from up42_pipelines.purchasing.protocol import Timing

AREA = box(-9.15, 38.71, -9.14, 38.72)
WITHIN = box(-9.148, 38.712, -9.142, 38.718)
ELSEWHERE = box(20.0, 10.0, 20.01, 10.01)
TIMING = Timing(lease_s=60, start_s=20, settling_s=30, looks=3, gap_s=1, skew_s=1)


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

    def place(self, order, *, not_after=None):
        return self._through("place", lambda: self._orders.place(order, not_after=not_after))

    def get(self, order_id):
        return self._through("get", lambda: self._orders.get(order_id))

    def list(self, **query):
        return iter(self._through("list", lambda: list(self._orders.list(**query))))


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

    def plan(*, area=AREA, generation=1, **changes):
        purpose = Purpose(
            workspace_id=client.workspace_id,
            pipeline=request.node.name,
            partition="lisbon|2026-05-01",
            data_product=product,
            generation=generation,
            **changes,
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
def lake(tmp_path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def book(lake) -> IntentBook:
    return IntentBook(lake)


@pytest.fixture
def buy(client, planned, lake):
    """`buy(orders, planned)`: buy it, by a clock that is put forward by `buy.waited` instead of waiting."""

    def buy(orders=client.orders, what=planned, *, account=client.account, lake=lake, approvals=None, **ceilings):
        buy.waited = 0.0

        def sleep(seconds):
            buy.waited += seconds

        pipeline = what.purpose.pipeline
        buyer = Buyer(
            IntentBook(lake),
            Ledger(lake, pipeline, Ceilings(**ceilings), found_at_up42=lambda: ()),
            approvals=approvals or Approvals(),
            run="run",
            restore={"order": lambda intent: OrderPurchase.of_intent(intent, orders, account)},
            timing=TIMING,
            clock=Clock(now=lambda: datetime.now(UTC) + timedelta(seconds=buy.waited), sleep=sleep),
        )
        return buyer.buy(OrderPurchase(what, orders, account))

    return buy


class TestWithoutTrouble:
    def test_places_once(self, client, buy, bought):
        orders = Watched(client.orders)
        placed = buy(orders)
        [one] = bought()
        assert placed.id == placed.record.id == one["id"]
        assert not placed.adopted
        assert placed.credits == one["credits"] > 1
        assert orders.asked == ["list", "list", "estimate", "place", "get"]
        assert buy.waited == 0

    def test_with_everything_that_was_planned(self, planned, buy, bought, book):
        placed = buy()
        [one] = bought()
        assert OrderTags.read(one["tags"]) == OrderTags(
            pipeline=planned.purpose.pipeline,
            partition=planned.purpose.partition,
            key=planned.key,
            credits=one["credits"],
        )
        assert (one["sceneId"], one["dataProductId"]) == (planned.scene_id, planned.purpose.data_product)
        assert placed.record.scene_id == planned.scene_id
        assert shape(placed.record.aoi).equals(planned.geometry)
        _, intent = book.read(planned.key)
        assert (intent.kind, intent.partition, intent.purchase_ids) == ("order", "lisbon|2026-05-01", (one["id"],))

    def test_the_second_time_only_asks_for_it(self, client, buy, bought):
        first = buy()
        orders = Watched(client.orders)
        second = buy(orders)
        assert second.adopted
        assert (second.id, second.credits) == (first.id, first.credits)
        assert orders.asked == ["get"]
        assert len(bought()) == 1

    def test_in_another_lake_it_is_found_by_its_tag(self, client, planned, buy, bought, tmp_path):
        first = buy()
        orders, other = Watched(client.orders), Lake(str(tmp_path / "other"))
        second = buy(orders, lake=other)
        assert second.adopted
        assert (second.id, second.credits) == (first.id, first.credits)
        assert orders.asked == ["list"]
        assert IntentBook(other).read(planned.key)[1].state == State.PLACED
        assert len(bought()) == 1

    def test_by_its_name_when_somebody_removed_the_tags(self, client, buy, bought, tmp_path):
        first = buy()
        client.orders.update(first.id, tags=["somebody else"])
        second = buy(lake=Lake(str(tmp_path / "other")))
        assert (second.id, second.adopted) == (first.id, True)
        assert len(bought()) == 1

    def test_another_generation_is_bought_on_purpose(self, client, plan, buy, bought):
        for generation in (1, 2, 1, 2):
            buy(client.orders, plan(generation=generation))
        assert len(bought()) == 2

    def test_orders_of_others_are_not_adopted(self, client, planned, buy, bought):
        # UP42 does not say how exactly its filters match.
        other = Order(id="other", status="PLACED", tags=(key_tag("another"), key_tag(planned.key)[:-1]))
        bare = Order(id="bare", status="PLACED", tags=None)
        named = Order(id="named", status="PLACED", display_name=f"p {planned.key[:-1]}")
        placed = buy(Watched(client.orders, list=lambda call: [other, bare, named, *call()]))
        assert not placed.adopted
        assert [one["id"] for one in bought()] == [placed.id]

    def test_something_else_under_the_key_is_told_and_nothing_bought(self, client, planned, plan, buy, bought):
        elsewhere = plan(area=WITHIN).request(1)
        disguised = elsewhere.model_copy(
            update={"tags": planned.request(1).tags, "display_name": planned.request().display_name}
        )
        client.orders.place(disguised)
        with pytest.raises(OrderContradicted, match=r"an area that differs by \d+\.\d%"):
            buy()
        assert len(bought()) == 1


@pytest.mark.parametrize("error", AMBIGUOUS, ids=lambda error: type(error).__name__)
class TestAmbiguousAnswers:
    def test_takes_what_went_through(self, client, buy, bought, error):
        orders = Watched(client.orders, place=fails_afterwards(error))
        placed = buy(orders)
        [one] = bought()
        assert (placed.id, placed.credits, placed.adopted) == (one["id"], one["credits"], False)
        assert orders.asked == ["list", "list", "estimate", "place", "list"]
        assert buy.waited == 0

    def test_places_again_when_the_list_has_settled(self, client, buy, bought, error):
        orders = Watched(client.orders, place=in_turn(fails(error)))
        placed = buy(orders)
        assert [one["id"] for one in bought()] == [placed.id]
        assert orders.asked.count("place") == 2
        assert buy.waited >= TIMING.settling_s

    def test_is_unclear_when_that_goes_on(self, client, planned, buy, bought, error, book):
        orders = Watched(client.orders, place=fails(error))
        with pytest.raises(OrderUnclear) as caught:
            buy(orders)
        for told in (planned.scene_id, planned.purpose.partition, "Run again"):
            assert told in str(caught.value)
        assert orders.asked.count("place") == TIMING.posts
        assert book.read(planned.key)[1].state == State.UNCLEAR
        assert bought() == []

    def test_and_the_next_call_places_it_once(self, client, buy, bought, error):
        with pytest.raises(OrderUnclear):
            buy(Watched(client.orders, place=fails(error)))
        assert not buy().adopted
        assert buy().adopted
        assert len(bought()) == 1

    def test_a_failing_look_up_afterwards_is_tried_again(self, client, buy, bought, error):
        look_ups = in_turn(honest, honest, fails(api_error(ServerProblem, 502)), fails(AnswerLost("lost.")))
        placed = buy(Watched(client.orders, place=fails_afterwards(error), list=look_ups))
        assert [one["id"] for one in bought()] == [placed.id]

    def test_look_ups_that_all_fail_leave_it_to_the_next_call(self, client, planned, buy, bought, error, book):
        look_ups = in_turn(honest, honest, *[fails(Unreachable("no network."))] * 10)
        with pytest.raises(Unreachable):
            buy(Watched(client.orders, place=fails_afterwards(error), list=look_ups))
        assert book.read(planned.key)[1].state == State.UNCLEAR
        assert buy().adopted
        assert len(bought()) == 1


class TestAListThatLagsBehind:
    @pytest.mark.parametrize("looks", [1, 2, 5])
    def test_is_looked_at_until_it_shows_the_order(self, client, buy, bought, looks):
        # Each look asks twice: by tag, and by name.
        orders = Watched(
            client.orders,
            place=fails_afterwards(AMBIGUOUS[0]),
            list=in_turn(honest, honest, *[shows_nothing] * 2 * looks),
        )
        placed = buy(orders)
        assert [one["id"] for one in bought()] == [placed.id]
        assert 0 < buy.waited <= TIMING.settling_s + TIMING.skew_s

    def test_may_lag_for_the_whole_settling_delay(self, client, buy, bought):
        orders = Watched(client.orders, place=fails_afterwards(AMBIGUOUS[0]))

        def late(call):
            return call() if buy.waited >= TIMING.settling_s or not bought() else []

        orders._faults["list"] = late
        placed = buy(orders)
        assert [one["id"] for one in bought()] == [placed.id]
        assert orders.asked.count("place") == 1


class TestRefusals:
    def test_above_the_ceiling(self, client, planned, buy, bought):
        orders = Watched(client.orders)
        price = round(client.orders.estimate(planned.request()).credits)
        with pytest.raises(BudgetExceeded, match=rf"would cost {price} credits; the ceiling per order is {price - 1}"):
            buy(orders, order=price - 1)
        assert "place" not in orders.asked
        assert bought() == []

    def test_the_ceiling_itself_is_allowed(self, client, planned, buy, bought):
        price = client.orders.estimate(planned.request()).credits
        assert buy(order=price).credits == price
        assert len(bought()) == 1

    def test_a_ceiling_of_nothing_is_a_ceiling(self, buy, bought):
        with pytest.raises(BudgetExceeded):
            buy(order=0)
        assert bought() == []

    def test_a_fraction_above_the_ceiling_is_above_it(self, client, buy, bought):
        dear = Estimate(results=(LineCost(index=0, credits=100.4),))
        with pytest.raises(BudgetExceeded):
            buy(Watched(client.orders, estimate=lambda _call: dear), order=100)
        assert bought() == []

    def test_an_order_that_exists_is_adopted_whatever_the_ceiling(self, buy, bought):
        buy()
        assert buy(order=0).adopted
        assert len(bought()) == 1

    def test_no_price_no_order(self, client, plan, buy, bought):
        with pytest.raises(OrderRefused, match=r"Geometry does not intersect the scene.*outside the footprint"):
            buy(what=plan(area=ELSEWHERE))
        with pytest.raises(OrderRefused, match="no price came back"):
            buy(Watched(client.orders, estimate=lambda _call: Estimate()))
        assert bought() == []

    def test_half_a_price_is_no_price(self, client, buy, bought):
        half = Estimate.parse({"results": [{"index": 0, "credits": 1}], "errors": [{"index": 1, "message": "odd"}]})
        with pytest.raises(OrderRefused, match=r"names no price.*odd"):
            buy(Watched(client.orders, estimate=lambda _call: half))
        assert bought() == []

    def test_refused_feature_in_the_words_of_up42(self, client, plan, buy, bought):
        cheap = Estimate(results=(LineCost(index=0, credits=1),))
        orders = Watched(client.orders, estimate=lambda _call: cheap)
        with pytest.raises(
            OrderRefused, match=r"Geometry does not intersect the scene.*outside the footprint"
        ) as caught:
            buy(orders, plan(area=ELSEWHERE))
        assert type(caught.value) is OrderRefused
        assert orders.asked == ["list", "list", "estimate", "place"]
        assert buy.waited == 0
        assert bought() == []

    def test_an_answer_without_id_and_without_error_says_nothing(self, client, buy, bought):
        def forgetful(call):
            call()
            return Placement.parse({"orders": []})

        placed = buy(Watched(client.orders, place=forgetful))
        assert [one["id"] for one in bought()] == [placed.id]

    def test_not_this_workspace(self, slow_sandbox, buy, bought):
        stranger = slow_sandbox.client(workspace_id=str(uuid.UUID(int=7)))
        try:
            with pytest.raises(OrderRefused, match="no access to workspace") as caught:
                buy(stranger.orders)
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
    def test_refused_as_a_whole(self, client, buy, bought, error):
        orders = Watched(client.orders, place=fails(error))
        with pytest.raises(OrderRefused) as caught:
            buy(orders)
        assert type(caught.value) is OrderRefused
        assert error.title in str(caught.value)
        assert caught.value.__cause__ is error
        assert orders.asked == ["list", "list", "estimate", "place"]
        assert buy.waited == 0
        assert bought() == []

    def test_never_reached(self, client, buy, bought):
        with pytest.raises(Unreachable):
            buy(Watched(client.orders, place=fails(Unreachable("nothing was sent."))))
        assert buy.waited == 0
        assert bought() == []

    @pytest.mark.parametrize("call", ["list", "estimate"])
    def test_a_free_call_that_fails_comes_before_any_purchase(self, client, buy, bought, call):
        error = api_error(ServerProblem, 503)
        orders = Watched(client.orders, **{call: fails(error)})
        with pytest.raises(ServerProblem) as caught:
            buy(orders)
        assert caught.value is error
        assert "place" not in orders.asked
        assert bought() == []

    def test_too_late_for_the_transport(self, client, planned, bought):
        purchase = OrderPurchase(planned, client.orders, client.account)
        with pytest.raises(TooLate):
            purchase.place(1, not_after=0)
        assert bought() == []


class Account:
    """An account with little on it."""

    def __init__(self, client, credits):
        self._client, self._credits = client, credits

    def balance(self):
        return Balance(available=Amount(amount=self._credits, unit="CREDITS"))

    def budget(self, budget_id, **options):
        return self._client.account.budget(budget_id, **options)


class TestFunds:
    def test_a_balance_that_does_not_cover_it(self, client, buy, bought):
        with pytest.raises(BudgetExceeded, match=r"the account has 3\. Nothing was placed"):
            buy(account=Account(client, 3))
        assert bought() == []

    def test_a_budget_that_up42_does_not_know(self, client, plan, buy, bought):
        orders = Watched(client.orders)
        with pytest.raises(NotFound):
            buy(orders, plan(budget_id=str(uuid.UUID(int=9))))
        assert "place" not in orders.asked
        assert bought() == []


class TestAfterwards:
    @pytest.mark.parametrize("error", [api_error(ServerProblem, 503), AnswerLost("lost."), UnexpectedAnswer("odd.")])
    def test_the_id_is_kept_when_its_details_cannot_be_read(self, client, buy, bought, error):
        placed = buy(Watched(client.orders, get=fails(error)))
        [one] = bought()
        assert (placed.id, placed.record, placed.credits) == (one["id"], None, one["credits"])
        assert not placed.adopted

    def test_an_order_that_was_cancelled_is_not_bought_again(self, client, buy, bought):
        first = buy()
        client.transport.json("POST", f"/v2/orders/{first.id}/cancellation")
        again = buy()
        assert (again.id, again.adopted) == (first.id, True)
        assert again.record.is_failed
        assert len(bought()) == 1

    @pytest.mark.parametrize(
        ("status", "returned"),
        [("CANCELED", True), ("FAILED_PERMANENTLY", False), ("FAILED", False), ("PLACED", False)],
    )
    def test_only_what_was_cancelled_is_given_back(self, client, planned, status, returned):
        order = Order(id="a", status=status, tags=planned.request(7).tags)
        [found] = OrderPurchase(planned, Watched(client.orders, list=lambda _call: [order]), client.account).find()
        assert (found.returned, found.credits) == (returned, 7)

    def test_looks_by_tag_and_then_by_name_in_the_order_that_loses_no_row(self, client, planned):
        queries = []

        class Orders:
            def list(self, **query):
                queries.append(query)
                return iter(())

        assert OrderPurchase(planned, Orders(), client.account).find() == []
        assert queries == [
            {"tags": [key_tag(planned.key)]},
            {"display_name": planned.key},
        ]

    def test_of_several_with_one_key_the_one_that_can_deliver(self, client, planned, buy, bought, tmp_path):
        ids = [client.orders.place(planned.request(1)).results[0].id for _ in range(3)]
        first = buy()
        assert (first.id, set(first.others)) == (ids[0], set(ids[1:]))
        client.transport.json("POST", f"/v2/orders/{ids[0]}/cancellation")
        for again in (buy(), buy(lake=Lake(str(tmp_path / "other")))):
            assert (again.id, set(again.others)) == (ids[1], {ids[0], ids[2]})
        assert len(bought()) == 3


class TestOfIntent:
    @pytest.mark.parametrize("area", [AREA, None])
    def test_is_the_same_purchase(self, client, plan, area, book, buy):
        planned = plan(area=area, generation=3, budget_id="a budget")
        original = OrderPurchase(planned, client.orders, client.account)
        with pytest.raises(Unreachable):
            buy(Watched(client.orders, list=fails(Unreachable("no network."))), planned)
        restored = OrderPurchase.of_intent(book.read(planned.key)[1], client.orders, client.account)
        assert restored.planned.purpose == planned.purpose
        assert (restored.key, restored.label, restored.request) == (planned.key, original.label, original.request)
        assert (restored.pipeline, restored.partition) == (original.pipeline, original.partition)
        assert restored.planned.request(5) == planned.request(5)
