"""Orders bought once: real placements at the sandbox, judged by its ledger."""

import uuid
from functools import partial

import pytest
from shapely.geometry import box, shape

from tests.ordering.faults import AREA, Watched, api_error, fails
from up42_pipelines.api import Order
from up42_pipelines.api.account import Amount, Balance
from up42_pipelines.errors import (
    AnswerLost,
    BudgetExceeded,
    NotFound,
    OrderContradicted,
    ServerProblem,
    UnexpectedAnswer,
    Unreachable,
)
from up42_pipelines.lake import Lake
from up42_pipelines.ordering.keys import OrderTags, key_tag
from up42_pipelines.ordering.purchase import OrderPurchase
from up42_pipelines.purchasing.intents import IntentBook, State

WITHIN = box(-9.148, 38.712, -9.142, 38.718)


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

    def test_a_balance_that_up42_does_not_tell_any_more(self, client, buy, bought):
        account = Account(client, 3)
        account.balance = partial(fails(api_error(NotFound, 404)), None)
        assert [buy(account=account).id] == [one["id"] for one in bought()]

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
