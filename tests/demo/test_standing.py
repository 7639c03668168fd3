"""How far a partition is, case by case."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import dagster as dg
import pystac
import pytest

from up42_pipelines.api import Order
from up42_pipelines.api.assets import StoredAsset
from up42_pipelines.demo.standing import Runs, State, judge
from up42_pipelines.ordering.delivery import Delivery, DeliveryState

DONE, LOST, BUSY = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED


def item(name) -> pystac.Item:
    return pystac.Item(name, None, None, datetime(2026, 6, 1, tzinfo=UTC), {})


def state(status, *, items=("a",), archives=(), landed=(), withheld=(), delivery=DeliveryState.COMPLETE) -> State:
    runs = Runs(records=[SimpleNamespace(dagster_run=SimpleNamespace(status=status))])
    delivered = Delivery(
        state=delivery,
        items=tuple(item(name) for name in items),
        archives=tuple(StoredAsset(id=name) for name in archives),
        reason="",
    )
    order = Order(id="o", status="FULFILLED")
    in_lake = {name: item(name) for name in landed}
    found, _ = judge("a|1", runs, [(order, 10, delivered)], in_lake, withheld=withheld, error="it broke")
    return found


@pytest.mark.parametrize(
    ("status", "given", "expected"),
    [
        (DONE, {"landed": ["a"]}, State.DELIVERED),
        (DONE, {}, State.LANDING),
        (DONE, {"items": [], "delivery": DeliveryState.WAITING}, State.WAITING),
        (BUSY, {"landed": ["a"]}, State.LANDING),
        (BUSY, {"landed": ["a"], "delivery": DeliveryState.PARTIAL}, State.WAITING),
        (LOST, {}, State.FAILED),
        # what UP42 made no items of
        (DONE, {"archives": ["z"], "landed": ["a"]}, State.LANDING),
        (DONE, {"archives": ["z"], "landed": ["a", "z"]}, State.DELIVERED),
        (DONE, {"items": [], "archives": ["z"], "landed": ["z"]}, State.DELIVERED),
        # what failed a check
        (DONE, {"items": ["a", "b"], "landed": ["a"], "withheld": ["b"]}, State.DELIVERED),
        (LOST, {"withheld": ["a"]}, State.FAILED),
        # nothing came of it
        (DONE, {"items": [], "delivery": DeliveryState.FAILED}, State.ORDER_FAILED),
        (LOST, {"items": [], "delivery": DeliveryState.FAILED}, State.ORDER_FAILED),
    ],
)
def test_state(status, given, expected):
    assert state(status, **given) is expected
