"""Whatever UP42 answers, nothing is bought twice: real placements at the sandbox, judged by its ledger."""

import uuid

import pytest
from shapely.geometry import box

from tests.ordering.faults import (
    AMBIGUOUS,
    TIMING,
    Watched,
    api_error,
    fails,
    fails_afterwards,
    honest,
    in_turn,
    shows_nothing,
)
from up42_pipelines.api import Estimate, Placement
from up42_pipelines.api.orders import LineCost
from up42_pipelines.errors import (
    AnswerLost,
    BudgetExceeded,
    InvalidRequest,
    LegalBlock,
    NotAuthorized,
    OrderRefused,
    OrderUnclear,
    RateLimited,
    ServerProblem,
    TooLate,
    Unreachable,
)
from up42_pipelines.ordering.purchase import OrderPurchase
from up42_pipelines.purchasing.intents import State

ELSEWHERE = box(20.0, 10.0, 20.01, 10.01)


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
