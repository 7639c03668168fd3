"""The audit: what lake and UP42 do not agree on is named, and what needs no person is settled."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from up42_pipelines.lake import Lake
from up42_pipelines.ordering.purchase import OrderPurchase
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.intents import IntentBook, State

DAY, NEXT_DAY = "berlin|2026-06-01", "berlin|2026-06-04"
PRICE = 23


@pytest.fixture
def graph(make_graph, slow_sandbox):
    graph = make_graph(slow_sandbox, ceilings=Ceilings(month=1000))
    assert graph.run(DAY, "scenes", "orders").success
    return graph


@pytest.fixture
def audited(check):
    """`audited(graph)`: whether the check passed, its findings, and what the materialization shows."""

    def audit(graph):
        result = graph.audit()
        [event] = result.asset_materializations_for_node("orders_audit")
        passed, told = check(result, "ledger_agrees_with_up42")
        findings = {row["finding"]: row for row in told.get("table", [])}
        return passed, findings, {name: value.value for name, value in event.metadata.items()}

    return audit


def book(graph) -> IntentBook:
    return IntentBook(Lake(str(graph.lake)))


def intent_of(graph):
    [intent] = book(graph).all()
    return intent


def buy_by_hand(client, intent) -> str:
    """Order what an intent is about once more, past the lake."""
    [order_id] = OrderPurchase.of_intent(intent, client.orders, client.account).place(PRICE, not_after=float("inf"))
    return order_id


def test_all_is_well_and_nothing_is_written_to_up42(graph, audited, sent):
    sent.clear()
    passed, findings, told = audited(graph)
    assert passed
    assert not findings
    assert "1 orders at UP42, 1 intents in the lake" in told["summary"]
    assert told["credits_committed_month"] == told["credits_committed_pipeline"] == PRICE
    assert told["credits_left_month"] == 1000 - PRICE
    assert sent
    assert {method for method, target in sent if not target.endswith("/token")} == {"GET"}


def test_before_anything_was_bought_it_passes(make_graph, slow_sandbox, audited):
    passed, findings, told = audited(make_graph(slow_sandbox))
    assert passed
    assert not findings
    assert told["credits_committed_pipeline"] == 0


def test_an_order_that_the_lake_does_not_know_is_named(graph, slow_sandbox, audited):
    known = intent_of(graph)
    by_hand = known.next(request={**known.request, "generation": 2}, key=known.key[::-1])
    order_id = buy_by_hand(slow_sandbox.client(), by_hand.next(partition=NEXT_DAY))
    passed, findings, _ = audited(graph)
    assert not passed
    assert findings["unknown order"]["subject"] == order_id
    assert findings["unknown order"]["needs a person"]


def test_an_order_that_up42_does_not_know_is_named(graph, audited):
    known = intent_of(graph)
    book(graph).record(known, ("00000000-0000-4000-8000-000000000000",), note="", at=known.at)
    passed, findings, _ = audited(graph)
    assert not passed
    assert "00000000-0000-4000-8000-000000000000" in findings["not listed"]["what to do"]


def test_what_was_bought_twice_is_named(graph, slow_sandbox, audited):
    order_id = buy_by_hand(slow_sandbox.client(), intent_of(graph))
    passed, findings, _ = audited(graph)
    assert not passed
    assert order_id in findings["duplicate"]["what to do"]


def test_what_waits_for_approval_is_named(make_graph, slow_sandbox, audited):
    graph = make_graph(slow_sandbox, approvals=Approvals(above=1))
    assert not graph.run(DAY, "scenes", "orders").success
    passed, findings, _ = audited(graph)
    assert not passed
    assert "orders approve" in findings["waiting for approval"]["what to do"]


def test_a_cancelled_order_stops_counting(graph, slow_sandbox, audited):
    [order] = graph.orders()
    slow_sandbox.client().orders.cancel(order["id"])
    passed, findings, told = audited(graph)
    assert passed
    assert not findings
    assert told["settled"] == 1
    assert told["credits_committed_month"] == 0
    assert audited(graph)[2]["settled"] == 0


def test_a_reservation_that_a_dead_run_left_behind_is_given_back(graph, slow_sandbox, audited):
    """Its intent says that the order may have been sent, and UP42 has nothing."""
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    known = intent_of(graph)
    shutil.rmtree(graph.lake / "purchases" / "intents")
    dead = known.next(key=known.key[::-1], state=State.PLACING, holder="dead:1:2", lease_until=long_ago, at=long_ago)
    book(graph).write(0, dead.next(purchase_ids=(), request={**known.request, "generation": 2}))
    pipeline = graph.pipeline
    client = slow_sandbox.client()
    ledger = pipeline.buyer(client, Lake(str(graph.lake)), run="dead", tell=print).ledger
    entry = ledger.sheet().entries[known.key]
    ledger.reserve(entry.model_copy(update={"key": dead.key, "at": long_ago, "purchase_ids": ()}))
    assert ledger.sheet().committed() == 2 * PRICE
    _, findings, told = audited(graph)
    assert told["credits_committed_pipeline"] == PRICE
    assert "left while placing" not in findings
    _, after = book(graph).read(dead.key)
    assert after.state == State.REFUSED
