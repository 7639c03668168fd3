"""What was bought is found again, whatever was lost: Dagster's history, the lake's records, the run that bought it."""

import shutil
from dataclasses import replace

import dagster as dg
import pytest

from up42_pipelines.assets.planning import find_scenes, plan_orders, read_offer
from up42_pipelines.errors import LakeError
from up42_pipelines.lake import Lake
from up42_pipelines.ordering.selection import SelectionRules
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.intents import IntentBook, State

DAY = "berlin|2026-06-01"
SPENDS = ("POST", "/v2/orders")


def forget_nothing(_graph):
    pass


def forget_dagster(graph):
    graph.instance.dispose()
    graph.instance = dg.DagsterInstance.ephemeral()


def forget(*folder):
    return lambda graph: shutil.rmtree(graph.lake.joinpath(*folder))


def forget_both(graph):
    forget_dagster(graph)
    forget()(graph)


@pytest.mark.parametrize(
    "lose",
    [
        pytest.param(forget_nothing, id="nothing"),
        pytest.param(forget_dagster, id="Dagster's history"),
        pytest.param(forget("purchases", "ledgers"), id="ledger"),
        pytest.param(forget("purchases", "intents"), id="intents"),
        pytest.param(forget("purchases"), id="ledger and intents"),
        pytest.param(forget_both, id="Dagster's history and the lake"),
    ],
)
def test_every_order_is_found_again_and_nothing_is_bought(make_graph, slow_sandbox, sent, check, lose):
    graph = make_graph(slow_sandbox, selection=SelectionRules(max_scenes=2))
    before = graph.run(DAY, "scenes", "orders")
    assert before.success
    bought = graph.orders()
    _, spent = check(before, "spend_within_ceilings")
    lose(graph)
    sent.clear()
    after = graph.run(DAY, "scenes", "orders")
    assert after.success
    assert SPENDS not in sent
    assert graph.orders() == bought
    metadata = graph.metadata("orders", DAY)
    assert metadata["orders"].value == len(bought) > 0
    assert metadata["orders_placed_now"].value == 0
    assert {row.data["what"] for row in metadata["table"].records} == {"existed"}
    _, found = check(after, "spend_within_ceilings")
    scopes = ("partition", "month", "pipeline")
    assert [found[f"credits_committed_{scope}"] for scope in scopes] == [
        spent[f"credits_committed_{scope}"] for scope in scopes
    ]
    assert found["credits_committed_run"] == 0


def test_an_order_that_could_not_be_written_down_is_taken_up_by_the_next_run(
    make_graph, slow_sandbox, explain, monkeypatch
):
    graph = make_graph(slow_sandbox)

    def full(*_, **__):
        raise LakeError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(IntentBook, "record", full)
        result = graph.run(DAY, "scenes", "orders")
    assert "the disk is full" in explain(result, "orders")
    [order] = graph.orders()
    assert graph.run(DAY, "orders").success
    assert [one["id"] for one in graph.orders()] == [order["id"]]
    [intent] = IntentBook(Lake(str(graph.lake))).all()
    assert intent.state == State.PLACED
    assert intent.purchase_ids == (order["id"],)


def test_one_that_is_refused_does_not_keep_the_others_from_being_bought(
    make_graph, slow_sandbox, explain, shown_by_failure, check
):
    graph = make_graph(slow_sandbox, selection=SelectionRules(max_scenes=2), ceilings=Ceilings(run=25))
    result = graph.run(DAY)
    said = explain(result, "orders")
    [order] = graph.orders()
    assert "1 of 2 orders were not placed" in said
    assert "the ceiling per run" in said
    assert "launch a new one instead" in said
    assert "The other orders exist and are delivered all the same" in said
    shown = shown_by_failure(result, "orders")
    refused, placed = shown["table"]
    assert (refused["what"], refused["order"]) == ("refused", "")
    assert f"- {refused['scene']}: {refused['reason']}" in said
    assert (placed["what"], placed["order"], placed["status"]) == ("placed now", order["id"], "CREATED")
    assert shown["orders_refused"] == shown["orders_placed_now"] == 1
    assert shown["credits_left_run"] == 25 - placed["credits"] < refused["credits"]
    passed, _ = check(result, "spend_within_ceilings")
    assert not passed
    assert not graph.is_materialized("orders", DAY)
    assert len(graph.pipeline.orders_of(slow_sandbox.client(), DAY)) == 1  # which stac_items and the sensor read
    assert graph.run(DAY, "orders").success  # a new run has a ceiling of its own
    assert len(graph.orders()) == 2


def test_a_retried_run_shares_the_ceiling_of_the_run_it_retries(make_graph, slow_sandbox, explain):
    from dagster._core.definitions.job_base import InMemoryJob
    from dagster._core.execution.api import execute_run

    graph = make_graph(slow_sandbox, selection=SelectionRules(max_scenes=2), ceilings=Ceilings(run=25))
    first = graph.run(DAY, "scenes", "orders")
    assert not first.success
    job = graph.defs.resolve_job_def(graph.pipeline.ingest_job)
    again = graph.instance.create_run_for_job(
        job,
        tags=graph.pipeline.partitions.get_tags_for_partition_key(DAY),
        parent_run_id=first.run_id,
        root_run_id=first.run_id,
    )
    result = execute_run(InMemoryJob(job), again, graph.instance)
    assert not result.success
    assert len(graph.orders()) == 1


def test_what_was_bought_twice_is_shown(make_graph, slow_sandbox, capsys):
    graph = make_graph(slow_sandbox)
    assert graph.run(DAY, "scenes", "orders").success
    client = slow_sandbox.client()
    [(order, tags)] = graph.pipeline.orders_of(client, DAY)
    book = IntentBook(Lake(str(graph.lake)))
    _, intent = book.read(tags.key)
    book.record(intent, (again := _place_again(client, intent),), note="By hand.", at=intent.at)
    assert graph.run(DAY, "orders").success
    [row] = graph.metadata("orders", DAY)["table"].records
    assert row.data["order"] == order.id
    assert f"bought several times: {again}" in row.data["reason"]
    assert f"bought several times: {again}" in capsys.readouterr().err


def _place_again(client, intent) -> str:
    from up42_pipelines.ordering.purchase import OrderPurchase

    [again] = OrderPurchase.of_intent(intent, client.orders, client.account).place(0, not_after=float("inf"))
    return again


class TestPlacedByHand:
    @pytest.fixture
    def graph(self, make_graph, slow_sandbox):
        graph = make_graph(slow_sandbox)
        graph.run(DAY, "scenes")
        return graph

    @pytest.fixture
    def by_hand(self, graph, slow_sandbox):
        """`by_hand(area)`: an order of the scene that the pipeline has chosen, without anything of ours on it."""
        client = slow_sandbox.client()

        def place(area=None):
            offer = read_offer(graph.pipeline, client)
            window = graph.pipeline.partitions.time_window_for_partition_key(DAY)
            found = find_scenes(graph.pipeline, client, offer.collection.host, DAY, window)
            [(_, planned)] = plan_orders(graph.pipeline, offer, client.workspace_id, DAY, found.items)
            if area is not None:
                planned = replace(planned, geometry=area(planned.geometry))
            order = planned.request().model_copy(update={"tags": ("mine",), "display_name": "by hand"})
            [line] = client.orders.place(order).results
            return line.id

        return place

    def test_it_is_adopted_and_nothing_is_bought(self, graph, by_hand, sent):
        order_id = by_hand()
        sent.clear()
        assert graph.run(DAY, "orders", config={"adopt": [order_id]}).success
        assert SPENDS not in sent
        [order] = graph.orders()
        assert order["id"] == order_id
        assert "mine" in order["tags"]
        sent.clear()
        assert graph.run(DAY, "orders").success
        assert SPENDS not in sent

    def test_another_area_is_refused_before_anything_is_bought(self, graph, by_hand, sent, explain):
        order_id = by_hand(lambda planned: planned.centroid.buffer(0.002))
        sent.clear()
        result = graph.run(DAY, "orders", config={"adopt": [order_id]})
        assert "area that differs" in explain(result, "orders")
        assert SPENDS not in sent
        assert graph.orders() == []
