"""Cancelling, and what an audit settles: at a sandbox whose faults are ours, judged by its ledger."""

import shutil
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import requests
from shapely.geometry import box, mapping

from tests.ordering.faults import AREA
from up42_pipelines.api import OrderInput, OrderStatus
from up42_pipelines.errors import AnswerLost, ApprovalRequired, LakeError, NotFound
from up42_pipelines.lake import Lake
from up42_pipelines.ordering.buyer import order_buyer
from up42_pipelines.ordering.cancelling import cancel_order
from up42_pipelines.ordering.findings import FindingKind
from up42_pipelines.ordering.keys import key_tag
from up42_pipelines.ordering.plan import Purpose, plan_order
from up42_pipelines.ordering.purchase import OrderPurchase
from up42_pipelines.ordering.reconciliation import audit_pipeline, settle, take_up
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.attempt import Clock
from up42_pipelines.purchasing.budget import Ceilings, Entry, EntryState, Sheet
from up42_pipelines.purchasing.intents import State
from up42_pipelines.purchasing.protocol import Timing

PARTITION = "lisbon|2026-05-01"
SOON = Timing(lease_s=2, start_s=1, settling_s=0.2, skew_s=0.1, looks=2, gap_s=0.05, poll_s=0.05)


@pytest.fixture(scope="module")
def mine(start_sandbox):
    return start_sandbox("--speed", "0.01")


@pytest.fixture(scope="module")
def client(mine):
    client = mine.client()
    yield client
    client.transport.close()


@pytest.fixture(scope="module")
def offer(product, scene_id):
    return product, scene_id


@pytest.fixture
def fault(mine):
    """`fault(kind, method, path)`: goes wrong once."""

    def add(kind, method, path):
        rule = {"kind": kind, "method": method, "path": path, "times": 1}
        requests.post(f"{mine.url}/sandbox/faults", json={"faults": [rule]}, timeout=10).raise_for_status()

    yield add
    requests.delete(f"{mine.url}/sandbox/faults", timeout=10).raise_for_status()


class Books:
    """A pipeline of its own: its lake, its buyer, and what an audit says."""

    def __init__(self, client, offer, folder) -> None:
        self.client, self.offer, self.folder = client, offer, folder
        self.pipeline = f"audited-{uuid.uuid4().hex[:8]}"
        self.told: list[str] = []
        self.lake = Lake(str(folder))
        self.buyer = order_buyer(
            client.orders,
            client.account,
            self.lake,
            self.pipeline,
            ceilings=Ceilings(),
            approvals=Approvals(),
            run="run",
            timing=SOON,
            tell=self.told.append,
        )

    def purchase(self, generation=1):
        product, scene_id = self.offer
        purpose = Purpose(
            workspace_id=self.client.workspace_id,
            pipeline=self.pipeline,
            partition=PARTITION,
            data_product=product,
            generation=generation,
        )
        [planned] = plan_order(purpose, scene_id, [AREA])
        return OrderPurchase(planned, self.client.orders, self.client.account)

    def buy(self, generation=1):
        return self.buyer.buy(self.purchase(generation))

    def rewrite(self, key, **changes):
        """As a process would have left the intent that died."""
        number, intent = self.buyer.book.read(key)
        assert self.buyer.book.write(number, intent.next(**changes))

    def audit(self):
        return audit_pipeline(self.client.orders, self.buyer.book, self.buyer.ledger, now=datetime.now(UTC))

    def found(self):
        return [finding.kind for finding in self.audit().findings]

    def settle(self):
        settle(self.audit(), self.buyer, self.client.orders)

    def take_up(self):
        return take_up(self.audit(), self.buyer, self.client.orders, self.client.account)

    def entry(self, key):
        return self.buyer.ledger.sheet().entries.get(key)


@pytest.fixture
def books(client, offer, tmp_path):
    return Books(client, offer, tmp_path / "lake")


class TestCancelling:
    def test_at_up42_and_on_the_ledger(self, books):
        bought = books.buy()
        order = cancel_order(books.client.orders, books.buyer.ledger, bought.id)
        assert order.status == OrderStatus.CANCELED
        assert books.buyer.ledger.sheet().committed() == 0
        assert books.found() == []
        assert books.buy().id == bought.id, "only a person buys again"

    def test_what_is_cancelled_stays_so(self, books):
        bought = books.buy()
        books.client.orders.cancel(bought.id)
        assert cancel_order(books.client.orders, books.buyer.ledger, bought.id).status == OrderStatus.CANCELED
        assert books.entry(books.purchase().key).state == EntryState.RETURNED

    def test_without_a_ledger_the_audit_sees_to_it(self, books):
        cancel_order(books.client.orders, None, books.buy().id)
        assert books.found() == [FindingKind.CANCELLED]
        books.settle()
        assert books.found() == []
        assert books.buyer.ledger.sheet().committed() == 0

    def test_the_answer_is_lost(self, books, fault):
        bought = books.buy()
        fault("drop_after", "POST", f"/v2/orders/{bought.id}/cancellation")
        assert cancel_order(books.client.orders, books.buyer.ledger, bought.id).status == OrderStatus.CANCELED
        assert books.buyer.ledger.sheet().committed() == 0

    def test_the_request_is_lost(self, books, fault):
        bought = books.buy()
        fault("drop_before", "POST", f"/v2/orders/{bought.id}/cancellation")
        with pytest.raises(AnswerLost):
            cancel_order(books.client.orders, books.buyer.ledger, bought.id)
        assert books.buyer.ledger.sheet().committed() == bought.credits

    def test_one_of_two_with_the_same_key(self, books):
        bought, other = books.buy(), books.buy(generation=2)
        key = books.purchase().key
        entry = books.entry(key)
        books.buyer.ledger.found(entry.model_copy(update={"purchase_ids": (other.id,)}))
        cancel_order(books.client.orders, books.buyer.ledger, bought.id)
        assert books.entry(key).committed == 2 * bought.credits, "the other one is live"
        cancel_order(books.client.orders, books.buyer.ledger, other.id)
        assert books.entry(key).committed == 0

    def test_refused(self, books, client):
        with pytest.raises(NotFound):
            cancel_order(client.orders, books.buyer.ledger, str(uuid.UUID(int=1)))


class TestAudit:
    def test_all_is_well(self, books):
        books.buy()
        assert books.audit().summary().endswith("they agree.")

    def test_an_order_without_our_tags_is_asked_for_by_its_id(self, books):
        bought = books.buy()
        books.client.orders.update(bought.id, tags=[])
        assert books.found() == [FindingKind.DAMAGED_TAGS]

    def test_an_order_that_up42_does_not_know(self, books):
        bought = books.buy()
        books.rewrite(books.purchase().key, purchase_ids=(bought.id, str(uuid.UUID(int=2))))
        assert books.found() == [FindingKind.NOT_LISTED]

    def test_the_lake_was_removed(self, books, mine):
        bought, key = books.buy(generation=2), books.purchase(generation=2).key
        shutil.rmtree(books.folder)
        assert books.found() == [FindingKind.UNKNOWN_ORDER]
        assert books.take_up() == [bought.id]
        assert books.found() == []
        _, intent = books.buyer.book.read(key)
        assert (intent.state, intent.purchase_ids, intent.credits) == (State.PLACED, (bought.id,), bought.credits)
        assert key_tag(key) in intent.request["tags"]
        before = len(mine.ledger())
        assert books.buy(generation=2).id == bought.id
        assert len(mine.ledger()) == before

    def test_a_second_order_of_a_key_is_taken_up_and_counts(self, books):
        bought, other = books.buy(), books.buy(generation=2)
        shutil.rmtree(books.folder / "purchases" / "intents" / books.purchase(2).key)
        first, second = (books.client.orders.get(one.id) for one in (bought, other))
        books.client.orders.update(second.id, tags=first.tags)
        assert FindingKind.UNKNOWN_ORDER in books.found()
        books.take_up()
        _, intent = books.buyer.book.read(books.purchase().key)
        assert intent.purchase_ids == (bought.id, other.id)
        assert books.entry(books.purchase().key).credits == 2 * bought.credits
        assert FindingKind.DUPLICATE in books.found()

    def test_something_else_with_the_key_is_not_taken_up(self, books, client):
        """As the console makes it whose users copy the tags of an order to another one."""
        books.buyer.approvals = Approvals(above=0)
        with pytest.raises(ApprovalRequired):
            books.buy()
        wanted = books.purchase().planned
        other = replace(wanted, geometry=box(-9.14, 38.71, -9.13, 38.72)).request(70)
        [line] = client.orders.place(other).results
        assert FindingKind.UNKNOWN_ORDER in books.found()
        assert books.take_up() == []
        assert line.id in books.told[-1]
        assert books.buyer.book.read(wanted.key)[1].state == State.WAITING

    def test_one_that_is_no_order_of_a_scene_does_not_keep_the_others(self, books):
        bought = books.buy()
        shutil.rmtree(books.folder)
        task = OrderInput(
            data_product=books.client.catalog.collection("sandbox-tasking").data_product("analytic").id,
            display_name="a task",
            params={
                "displayName": "a task",
                "acquisitionStart": "2030-01-01T00:00:00Z",
                "acquisitionEnd": "2030-02-01T00:00:00Z",
            },
            feature_collection={
                "type": "FeatureCollection",
                "features": [{"type": "Feature", "properties": {}, "geometry": mapping(AREA)}],
            },
            tags=books.purchase(2).planned.request(70).tags,
        )
        [line] = books.client.orders.place(task).results
        assert books.take_up() == [bought.id]
        assert line.id in books.told[-1]

    def test_a_cancelled_order_is_taken_up_and_does_not_count(self, books):
        bought = books.buy()
        books.client.orders.cancel(bought.id)
        created_at = books.client.orders.get(bought.id).created_at
        shutil.rmtree(books.folder)
        books.lake.create_json({"pipeline": books.pipeline}, "purchases", "ledgers", books.pipeline, "000001.json")
        assert books.take_up() == [bought.id]
        entry = books.entry(books.purchase().key)
        assert (entry.state, entry.committed, entry.at) == (EntryState.RETURNED, 0, created_at)


class TestSettling:
    @pytest.mark.parametrize("state", [State.PLACING, State.CLAIMED, State.UNCLEAR])
    def test_what_was_bought_and_not_written_down(self, books, state):
        bought = books.buy()
        key = books.purchase().key
        long_ago = datetime.now(UTC) - timedelta(minutes=1)
        books.rewrite(key, state=state, purchase_ids=(), holder="dead", lease_until=long_ago, at=long_ago)
        assert len(books.found()) == 2, "the intent, and the order that it does not know"
        books.settle()
        assert books.found() == []
        assert books.buyer.book.read(key)[1].purchase_ids == (bought.id,)

    def test_what_was_not_bought(self, books, mine):
        key = books.purchase().key
        books.buyer.approvals = Approvals(above=0)
        with pytest.raises(ApprovalRequired):
            books.buy()
        long_ago = datetime.now(UTC) - timedelta(minutes=1)
        books.buyer.ledger.reserve(_reservation(key, long_ago))
        books.rewrite(key, state=State.PLACING, holder="dead", lease_until=long_ago, at=long_ago)
        before = len(mine.ledger())
        assert books.found() == [FindingKind.LEFT_PLACING]
        books.settle()
        assert books.found() == []
        assert books.buyer.ledger.sheet().committed() == 0
        assert len(mine.ledger()) == before, "settling buys nothing"

    def test_a_reservation_without_an_intent(self, books):
        key = books.purchase().key
        books.buyer.ledger.reserve(_reservation(key, datetime.now(UTC)))
        books.settle()
        assert books.found() == [FindingKind.RESERVED], "its POST may still be out"
        later = datetime.now(UTC) + timedelta(minutes=1)
        books.buyer.clock = Clock(now=lambda: later)
        books.settle()
        assert books.found() == []

    def test_a_reservation_of_an_intent_that_was_removed_and_begun_anew(self, books):
        key = books.purchase().key
        long_ago = datetime.now(UTC) - timedelta(minutes=1)
        books.buyer.ledger.reserve(_reservation(key, long_ago))
        assert books.buyer.recover(books.purchase()) is None
        assert books.found() == [FindingKind.RESERVED]
        books.settle()
        assert books.found() == []
        assert books.buyer.ledger.sheet().committed() == 0

    @pytest.mark.parametrize("lost", [{"tags": None}, {"display_name": "by hand"}])
    def test_a_reservation_without_an_intent_whose_order_exists(self, books, lost):
        key = books.purchase().key
        books.client.orders.place(books.purchase().planned.request(70).model_copy(update=lost))
        sheet = {"pipeline": books.pipeline, "entries": {key: _reservation(key, datetime.now(UTC))}}
        books.lake.create_json(
            Sheet(**sheet).model_dump(mode="json"), "purchases", "ledgers", books.pipeline, "000001.json"
        )
        later = datetime.now(UTC) + timedelta(minutes=1)
        books.buyer.clock = Clock(now=lambda: later)
        books.settle()
        assert books.entry(key).state == EntryState.RESERVED, "it was made for an order that UP42 has"

    def test_what_the_ledger_does_not_count(self, books):
        bought = books.buy()
        tags = books.client.orders.get(bought.id).tags
        books.client.orders.update(bought.id, tags=[])
        shutil.rmtree(books.folder / "purchases" / "ledgers")
        assert FindingKind.UNCOUNTED in books.found()
        books.client.orders.update(bought.id, tags=tags)
        books.settle()
        assert books.found() == []
        assert books.buyer.ledger.sheet().committed() == bought.credits

    def test_jobs_are_left_to_who_buys_them(self, books):
        books.buy()
        key, job_id = books.purchase().key, str(uuid.UUID(int=3))
        books.rewrite(key, kind="job", purchase_ids=(job_id,), request={})
        asked = []

        class Asked:
            """The real orders, with a note of what is asked for by id."""

            def __getattr__(self, name):
                return getattr(books.client.orders, name)

            def get(self, order_id):
                asked.append(order_id)
                return books.client.orders.get(order_id)

        audit_pipeline(Asked(), books.buyer.book, books.buyer.ledger, now=datetime.now(UTC))
        assert job_id not in asked
        books.rewrite(key, state=State.UNCLEAR)
        books.buyer.ledger.reserve(_reservation(key, datetime.now(UTC) - timedelta(minutes=1)))
        books.settle()
        assert books.buyer.book.read(key)[1].state == State.UNCLEAR
        assert books.entry(key).state == EntryState.RESERVED

    def test_one_that_cannot_be_settled_does_not_keep_the_others(self, books):
        for generation in (1, 2):
            cancel_order(books.client.orders, None, books.buy(generation).id)
        real, keys = books.buyer.ledger.returned, []

        def returned(key):
            keys.append(key)
            if len(keys) == 1:
                raise LakeError("the lake is away.")
            real(key)

        books.buyer.ledger.returned = returned
        books.settle()
        assert len(keys) == 2
        assert books.told[-1].endswith("the lake is away.")


def _reservation(key, at):
    return Entry(key=key, credits=70, partition=PARTITION, at=at, state=EntryState.RESERVED, claim=3)
