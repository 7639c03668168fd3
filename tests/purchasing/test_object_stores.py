"""Bought once with a lake on an object store: emulators of S3 and GCS, a real sandbox, real processes."""

import signal

import pytest
import requests

from tests.purchasing.crowd import PRICE, Crowd, Errand, goods
from up42_pipelines.lake import Lake
from up42_pipelines.purchasing.intents import IntentBook, State

PARTITION = "lisbon|2026-05-01"
TIMING = {"lease_s": 1.6, "start_s": 1.2, "settling_s": 2.0, "looks": 2, "gap_s": 0.05, "skew_s": 0.05, "poll_s": 0.1}


@pytest.fixture(scope="module")
def crowd(object_store):
    """Started in the environment that names the store."""
    with Crowd() as crowd:
        yield crowd


@pytest.fixture(scope="module")
def what(slow_sandbox):
    return goods(slow_sandbox)


@pytest.fixture
def pipeline(object_store, request):
    """A name that nobody else has used at this sandbox."""
    return f"{request.function.__name__}-{object_store.url.partition(':')[0]}"


@pytest.fixture
def lake(object_store, pipeline):
    return Lake(f"{object_store.url}/{pipeline}", object_store.storage_options)


@pytest.fixture
def send(crowd, what, object_store, lake, pipeline):
    """`send(*partitions, **changes)`: a process for each buys; what became of them."""

    def send(*partitions, **changes):
        errand = Errand(
            **what,
            lake=lake.url,
            storage_options=object_store.storage_options,
            pipeline=pipeline,
            partitions=list(partitions),
            timing=TIMING,
            **changes,
        )
        return crowd.send(errand)

    return send


@pytest.fixture
def orders(slow_sandbox, pipeline):
    """`orders()`: ids of what exists at the sandbox."""
    return lambda: [one["id"] for one in slow_sandbox.ledger() if one["displayName"].startswith(f"{pipeline} ")]


def test_bought_once_then_adopted_then_found_again_without_the_record(send, orders, lake):
    [first] = send(PARTITION)
    [order_id] = orders()
    assert first == {"bought": order_id, "adopted": False}
    assert send(PARTITION) == [{"bought": order_id, "adopted": True}]

    lake.fs.rm(f"{lake.root}/purchases", recursive=True)
    assert list(IntentBook(lake).all()) == []
    assert send(PARTITION) == [{"bought": order_id, "adopted": True}]
    assert orders() == [order_id]
    [intent] = IntentBook(lake).all()
    assert (intent.state, intent.purchase_ids, intent.note) == (State.PLACED, (order_id,), "Found at UP42.")


def test_of_four_that_race_for_one_purchase_one_buys_and_all_have_it(send, orders):
    outcomes = send(*[PARTITION] * 4, contested=True)
    [order_id] = orders()
    assert [outcome["bought"] for outcome in outcomes] == [order_id] * 4
    assert sorted(outcome["adopted"] for outcome in outcomes) == [False, True, True, True]


def test_what_a_killed_process_has_sent_is_taken_over_and_not_sent_again(send, orders, lake):
    assert send(PARTITION, dies=True) == [{"died": -signal.SIGKILL}]
    [left] = IntentBook(lake).all()
    assert left.state == State.PLACING
    [outcome] = send(PARTITION)
    [order_id] = orders()
    assert outcome == {"bought": order_id, "adopted": True}
    [intent] = IntentBook(lake).all()
    assert (intent.state, intent.purchase_ids) == (State.PLACED, (order_id,))


def test_four_share_a_month_that_fits_two(send, orders):
    outcomes = send(*(f"lisbon|2026-05-{day:02}" for day in range(1, 5)), month=2.5 * PRICE)
    assert {outcome["bought"] for outcome in outcomes if "bought" in outcome} == set(orders())
    assert len(orders()) == 2
    refused = [outcome["refused"] for outcome in outcomes if "refused" in outcome]
    assert refused == [{"ceiling": "month", "limit": 25, "committed": 20, "asked": 10, "left": 5}] * 2


@pytest.mark.parametrize("object_store", ["gs"], indirect=True)
def test_a_store_that_ignores_preconditions_is_refused_before_anything_is_bought(object_store, send, orders, lake):
    switches = f"{object_store.storage_options['endpoint_url']}/switches"
    requests.put(switches, json={"honour_preconditions": False}, timeout=10).raise_for_status()
    try:
        [outcome] = send(PARTITION)
    finally:
        requests.put(switches, json={"honour_preconditions": True}, timeout=10).raise_for_status()
    assert "buy the same thing twice, so nothing is bought with this lake" in outcome["failed"]
    assert orders() == []
    assert lake.fs.find(lake.root) == []
