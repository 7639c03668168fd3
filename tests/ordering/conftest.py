"""An offer at the sandbox, and a buyer who waits by putting the clock forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from shapely.geometry import mapping, shape

from tests.ordering.faults import AREA, TIMING
from up42_pipelines.lake import Lake
from up42_pipelines.ordering.plan import Purpose, plan_order
from up42_pipelines.ordering.purchase import OrderPurchase
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.attempt import Clock
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.buying import Buyer
from up42_pipelines.purchasing.intents import IntentBook
from up42_pipelines.purchasing.ledger import Ledger


@pytest.fixture(scope="module")
def client(slow_sandbox):
    client = slow_sandbox.client()
    yield client
    client.transport.close()


@pytest.fixture(scope="module")
def product(client):
    return client.catalog.collection("sandbox-optical").data_product("analytic").id


@pytest.fixture(scope="module")
def found(client):
    """What is on offer for the area."""
    return list(
        client.catalog.search(
            "sandbox-host",
            collections=["sandbox-optical"],
            intersects=mapping(AREA),
            start=datetime(2026, 5, 1, tzinfo=UTC),
            end=datetime(2026, 5, 31, tzinfo=UTC),
        )
    )


@pytest.fixture(scope="module")
def scene_id(found):
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
