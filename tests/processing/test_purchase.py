"""Jobs bought once by the same engine as orders: at the sandbox, judged by its ledger."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from unittest.mock import Mock

import pytest
import requests
from shapely.geometry import box, mapping, shape

from up42_pipelines.api import OrderInput
from up42_pipelines.api.processing import Cost, JobStatus, Process
from up42_pipelines.errors import (
    ApprovalRequired,
    BudgetExceeded,
    ConfigurationError,
    NotFound,
    OrderContradicted,
    OrderRefused,
    OrderUnclear,
    TooLate,
)
from up42_pipelines.lake import Lake
from up42_pipelines.processing.buyer import JobBuyer, job_buyer
from up42_pipelines.processing.purchase import JobPurchase, PlannedJob
from up42_pipelines.processing.templates import UpsamplingNS
from up42_pipelines.processing.workflow import Step, Workflow
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings, EntryState
from up42_pipelines.purchasing.intents import State
from up42_pipelines.purchasing.protocol import Timing
from up42_pipelines.uptime import uptime_s

AREA = box(12.48, 41.88, 12.49, 41.89)
PARTITION = "rome|2026-05-01"
UPSAMPLING = "upsampling-ns"
SOON = Timing(lease_s=2, start_s=1, settling_s=0.2, skew_s=0.1, looks=2, gap_s=0.05, poll_s=0.05)


class Lab:
    """A sandbox with an item in storage; nothing else happens there until a test lets time pass."""

    def __init__(self, sandbox) -> None:
        self.sandbox, self.client = sandbox, sandbox.client()
        self.control("fates", kind="order", fate="fulfilled")
        found = self.client.catalog.search(
            "sandbox-host",
            collections=["sandbox-optical"],
            intersects=mapping(AREA),
            start=datetime(2026, 5, 1, tzinfo=UTC),
            end=datetime(2026, 5, 31, tzinfo=UTC),
        )
        feature = {"type": "Feature", "properties": {}, "geometry": mapping(AREA)}
        order = OrderInput(
            data_product=self.client.catalog.collection("sandbox-optical").data_product("analytic").id,
            display_name="an item",
            params={"id": next(scene.id for scene in found if shape(scene.geometry).covers(AREA))},
            feature_collection={"type": "FeatureCollection", "features": [feature]},
        )
        [line] = self.client.orders.place(order).results
        self.control("clock", advance=1000)
        [item] = self.client.storage.items_of_order(line.id)
        self.item = item.self_href

    def control(self, what, method="POST", **body):
        requests.request(method, f"{self.sandbox.url}/sandbox/{what}", json=body, timeout=10).raise_for_status()

    def ledger(self):
        return requests.get(f"{self.sandbox.url}/sandbox/ledger", timeout=10).json()["jobs"]

    def jobs(self):
        return [job["id"] for job in self.ledger()]


@pytest.fixture(scope="module")
def lab(start_sandbox):
    lab = Lab(start_sandbox("--speed", "1"))
    yield lab
    lab.client.transport.close()


class Desk:
    """A pipeline of its own, with an empty lake."""

    def __init__(self, lab, folder) -> None:
        self.lab, self.client, self.folder = lab, lab.client, folder
        self.planned = PlannedJob(
            workspace_id=lab.client.workspace_id,
            workflow=f"trees_{uuid.uuid4().hex[:8]}",
            step="finer",
            partition=PARTITION,
            process_id=UPSAMPLING,
            inputs={"item": lab.item},
        )

    def purchase(self, **changes):
        return JobPurchase(replace(self.planned, **changes), self.client.processing, self.client.account)

    def buyer(self, *, above=None, lake="lake", **ceilings):
        return JobBuyer(
            self.client.processing,
            self.client.account,
            Lake(str(self.folder / lake)),
            self.planned.workflow,
            ceilings=Ceilings(**ceilings),
            approvals=Approvals(above=above),
            timing=SOON,
            run="run",
        )

    def fault(self, method="POST", path=f"/v2/processing/processes/{UPSAMPLING}/execution", times=1, **about):
        self.lab.control("faults", faults=[{"method": method, "path": path, "times": times, **about}])

    def entry(self):
        return self.buyer().ledger.sheet().entries.get(self.planned.key)

    def state(self):
        _, intent = self.buyer().book.read(self.planned.key)
        return intent.state


@pytest.fixture
def desk(lab, tmp_path):
    yield Desk(lab, tmp_path)
    lab.control("faults", method="DELETE")


@pytest.fixture
def bought_now(lab):
    """`bought_now()`: how many jobs there are more than before the test."""
    before = len(lab.jobs())
    return lambda: len(lab.jobs()) - before


def test_bought_once(desk, bought_now):
    first, second = desk.buyer().buy(desk.purchase()), desk.buyer().buy(desk.purchase())
    assert (first.id, first.adopted, second.id, second.adopted) == (second.id, False, first.id, True)
    assert bought_now() == 1
    job = desk.client.processing.job(first.id)
    assert job.title == f"{desk.planned.workflow}.finer {PARTITION} {first.credits} credits {desk.planned.key}"
    assert job.inputs["item"] == desk.lab.item
    entry = desk.entry()
    assert (entry.state, entry.credits, entry.purchase_ids) == (EntryState.SPENT, first.credits, (first.id,))


def test_without_the_lake_it_is_found_by_its_title(desk, bought_now):
    first = desk.buyer().buy(desk.purchase())
    again = desk.buyer(lake="another").buy(desk.purchase())
    assert (again.id, again.credits, again.adopted) == (first.id, first.credits, True)
    assert bought_now() == 1


def test_it_is_found_on_the_last_page(desk, bought_now):
    client = desk.client.processing
    first = desk.buyer().buy(desk.purchase())
    desk.buyer().buy(desk.purchase(generation=2))

    class Small:
        """Every page holds one job."""

        def __getattr__(self, name):
            return getattr(client, name)

        def jobs(self, **options):
            return client.jobs(page_size=1, **options)

    [found] = JobPurchase(desk.planned, Small(), desk.client.account).find()
    assert found.id == first.id
    assert not found.contradiction


def test_a_person_buys_again_by_raising_the_generation(desk, bought_now):
    first, second = desk.buyer().buy(desk.purchase()), desk.buyer().buy(desk.purchase(generation=2))
    assert first.id != second.id
    assert bought_now() == 2


@pytest.mark.parametrize("fault", [{"kind": "drop_after"}, {"kind": "drop_before"}, {"kind": "status", "status": 503}])
def test_the_answer_is_lost(desk, bought_now, fault):
    desk.fault(**fault)
    bought = desk.buyer().buy(desk.purchase())
    assert not bought.adopted
    assert bought.id in desk.lab.jobs()
    assert bought_now() == 1
    assert desk.entry().state == EntryState.SPENT


def test_no_answer_comes_at_all(desk, bought_now):
    desk.fault(kind="drop_before", times=None)
    with pytest.raises(OrderUnclear):
        desk.buyer().buy(desk.purchase())
    assert bought_now() == 0
    assert desk.entry().state == EntryState.RESERVED
    desk.lab.control("faults", method="DELETE")
    assert desk.buyer().recover(desk.purchase()) is None
    assert desk.entry() is None


def test_too_late_to_be_sent(desk, bought_now):
    with pytest.raises(TooLate):
        desk.purchase().place(5, not_after=uptime_s() - 1)
    assert bought_now() == 0


def test_the_budget_that_pays(desk):
    [budget] = [one for one in desk.client.account.budgets() if one.name == "Monitoring"]
    purchase = desk.purchase(budget_id=budget.id, generation=2)
    bought = desk.buyer().buy(purchase)
    assert purchase.key == desk.purchase(generation=2).key, "it is no part of the key"
    [job] = [job for job in desk.lab.ledger() if job["id"] == bought.id]
    assert job["budgetId"] == budget.id
    _, intent = desk.buyer().book.read(purchase.key)
    again = JobPurchase.of_intent(intent, desk.client.processing, desk.client.account)
    assert again.planned == purchase.planned


def test_what_was_left_behind_is_found_out_from_the_intent_alone(desk, bought_now):
    bought = desk.buyer().buy(desk.purchase())
    buyer = desk.buyer()
    number, intent = buyer.book.read(desk.planned.key)
    assert JobPurchase.of_intent(intent, desk.client.processing, desk.client.account).planned == desk.planned
    buyer.book.write(number, intent.next(state=State.UNCLEAR, purchase_ids=()))
    buyer.ledger.reserve(desk.entry().model_copy(update={"purchase_ids": ()}))
    assert buyer.reclaim() == [desk.planned.key]
    assert desk.entry().purchase_ids == (bought.id,)


class TestRefused:
    def test_by_the_ceiling(self, desk, bought_now):
        with pytest.raises(BudgetExceeded, match="ceiling per month"):
            desk.buyer(month=1).buy(desk.purchase())
        assert (bought_now(), desk.state(), desk.entry()) == (0, State.REFUSED, None)
        desk.buyer(month=1000).buy(desk.purchase())
        assert bought_now() == 1

    def test_until_a_person_approves(self, desk, bought_now):
        with pytest.raises(ApprovalRequired):
            desk.buyer(above=1).buy(desk.purchase())
        assert (bought_now(), desk.state()) == (0, State.WAITING)
        desk.buyer().book.approve(desk.planned.key, credits=None, by="ana", at=datetime.now(UTC))
        desk.buyer(above=1).buy(desk.purchase())
        assert bought_now() == 1

    def test_by_the_balance(self, desk, bought_now):
        balance = int(desk.client.account.balance().credits)
        desk.lab.control("access", credits=-balance)
        try:
            with pytest.raises(BudgetExceeded, match="the account has 0"):
                desk.buyer().buy(desk.purchase())
        finally:
            desk.lab.control("access", credits=balance)
        assert bought_now() == 0

    def test_by_a_licence_that_nobody_accepted(self, desk, bought_now):
        eula_id = desk.client.processing.process(UPSAMPLING).eula_id
        desk.lab.control("access", eulas={eula_id: False})
        try:
            with pytest.raises(OrderRefused, match=rf"EULA {eula_id} .* in the UP42 console\. Nothing was executed\.$"):
                desk.buyer().buy(desk.purchase())
        finally:
            desk.lab.control("access", eulas={eula_id: True})
        assert bought_now() == 0

    def test_by_inputs_that_do_not_fit(self, desk, bought_now):
        gone = desk.lab.item[:-36] + str(uuid.UUID(int=1))
        with pytest.raises(OrderRefused, match=r"ItemNotFound.* Nothing was executed\. .*jobs check"):
            desk.buyer().buy(desk.purchase(inputs={"item": gone}))
        assert bought_now() == 0

    def test_by_an_unknown_budget(self, desk, bought_now):
        with pytest.raises(NotFound):
            desk.buyer().buy(desk.purchase(budget_id=str(uuid.UUID(int=1))))
        assert bought_now() == 0

    def test_by_a_budget_that_is_not_active(self, desk, bought_now):
        budget = {"name": f"closed {uuid.uuid4()}", "status": "INACTIVE"}
        desk.lab.control("access", budgets=[budget])
        [closed] = [one for one in desk.client.account.budgets() if one.name == budget["name"]]
        with pytest.raises(BudgetExceeded, match="INACTIVE"):
            desk.buyer().buy(desk.purchase(budget_id=closed.id))
        assert bought_now() == 0

    def test_by_a_budget_with_too_little_left(self, desk, bought_now):
        budget = {"name": f"tight {uuid.uuid4()}", "spendLimit": 1}
        desk.lab.control("access", budgets=[budget])
        [tight] = [one for one in desk.client.account.budgets() if one.name == budget["name"]]
        with pytest.raises(BudgetExceeded, match="has 1 left"):
            desk.buyer().buy(desk.purchase(budget_id=tight.id))
        assert bought_now() == 0

    @pytest.mark.parametrize("status", [403, 429])
    def test_by_up42(self, desk, bought_now, status):
        desk.fault(kind="status", status=status)
        with pytest.raises(OrderRefused, match=rf"was not bought.*{status}"):
            desk.buyer().buy(desk.purchase())
        assert (bought_now(), desk.state(), desk.entry()) == (0, State.REFUSED, None)
        desk.buyer().buy(desk.purchase())
        assert bought_now() == 1

    def test_because_there_is_no_such_process(self, desk, bought_now):
        with pytest.raises(OrderRefused, match=r"no process no-such; .*jobs processes.* Nothing was executed\.$"):
            desk.buyer().buy(desk.purchase(process_id="no-such"))
        assert bought_now() == 0

    def test_because_its_title_would_not_say_it(self, desk, bought_now):
        with pytest.raises(ConfigurationError, match="by which it is found again"):
            desk.buyer().buy(desk.purchase(step="x" * 130))
        planned = replace(desk.planned, step="x" * 120)
        spare = 200 - len(planned.submitted(0)["title"])
        dear = replace(planned, step="x" * (120 + spare))
        purchase = JobPurchase(dear, Dear(desk.client.processing), desk.client.account)
        with pytest.raises(ConfigurationError, match="this one has 201"):
            desk.buyer().buy(purchase)
        assert (bought_now(), desk.buyer().ledger.sheet().committed()) == (0, 0)


class Dear:
    """Everything costs 10 credits."""

    def __init__(self, processing):
        self._processing = processing

    def __getattr__(self, name):
        return getattr(self._processing, name)

    def cost(self, _process_id, _inputs):
        return Cost(total_credits=10)


def test_an_item_that_was_deleted_after_it_was_checked(desk, bought_now):
    """UP42 takes the job and ends it; that counts as bought, and costs nothing."""
    planned = replace(desk.planned, inputs={"item": desk.lab.item[:-36] + str(uuid.UUID(int=3))})
    purchase = JobPurchase(planned, desk.client.processing, desk.client.account)
    purchase.price = lambda: 5
    bought = desk.buyer().buy(purchase)
    desk.lab.control("clock", advance=60)
    assert desk.client.processing.job(bought.id).status == JobStatus.INVALID
    again = desk.buyer().buy(purchase)
    assert (again.id, bought_now(), desk.buyer().ledger.sheet().committed()) == (bought.id, 1, 0)


def test_credits_that_are_gone_after_they_were_counted(desk, bought_now):
    purchase, balance = desk.purchase(), int(desk.client.account.balance().credits)
    purchase.check_funds = lambda _credits: desk.lab.control("access", credits=-balance)
    try:
        bought = desk.buyer().buy(purchase)
        desk.lab.control("clock", advance=60)
        assert desk.client.processing.job(bought.id).status == JobStatus.REJECTED
    finally:
        desk.lab.control("access", credits=balance)
    assert desk.buyer().buy(desk.purchase()).id == bought.id
    assert (bought_now(), desk.entry().state) == (1, EntryState.RETURNED)


def test_a_collection_costs_one_request_each_to_look_and_not_all_pages(desk, bought_now):
    """A page holds one job here: all are read once, then the new one, the newest before and one beyond the overlap."""
    for generation in (2, 3):
        desk.buyer().buy(desk.purchase(generation=generation))
        desk.lab.control("clock", advance=3600)
    pages = PageByPage(desk.client.processing)
    workflow = Workflow(name="many", steps=[Step(name="finer", template=UpsamplingNS())], timing=SOON)
    buyer = job_buyer(pages, desk.client.account, Lake(str(desk.folder / "many")), workflow, run="run")
    buyer.ledger.sheet()
    pages.read = 0
    looks = []
    for number in range(3):
        planned = replace(desk.planned, workflow="many", partition=f"rome|2026-05-0{number + 1}")
        assert not buyer.buy(buyer.job(planned)).adopted
        looks.append(pages.read)
        desk.lab.control("clock", advance=3600)
        pages.read = 0
    everything = len(list(desk.client.processing.jobs(process_ids=[UPSAMPLING]))) - len(looks)
    assert looks == [everything, 3, 3]
    assert everything > 3
    assert bought_now() == 5


class PageByPage:
    """Counts the jobs that are read; a page holds one."""

    def __init__(self, processing):
        self._processing, self.read = processing, 0

    def __getattr__(self, name):
        return getattr(self._processing, name)

    def jobs(self, **options):
        for job in self._processing.jobs(page_size=1, **options):
            self.read += 1
            yield job


@pytest.mark.parametrize(
    ("fate", "failed", "state"),
    [
        ("rejected", True, EntryState.RETURNED),
        ("invalid", True, EntryState.RETURNED),
        ("unlicensed", True, EntryState.RETURNED),
        ("failed", True, EntryState.RETURNED),
        ("running", False, EntryState.SPENT),
        ("captured", False, EntryState.SPENT),
    ],
)
def test_credits_that_come_back_stop_counting(desk, fate, failed, state):
    desk.lab.control("fates", kind="job", fate=fate)
    bought = desk.buyer().buy(desk.purchase())
    desk.lab.control("clock", advance=600)
    again = desk.buyer().buy(desk.purchase())
    assert again.id == bought.id
    assert desk.purchase().get(bought.id).failed is failed
    assert desk.entry().state == state
    assert desk.buyer().ledger.sheet().committed() == (0 if state == EntryState.RETURNED else bought.credits)


def test_another_job_that_carries_the_key(desk, bought_now):
    elsewhere = desk.lab.item[:-36] + str(uuid.UUID(int=2))
    foreign = desk.client.processing.execute(UPSAMPLING, desk.planned.submitted(5) | {"item": elsewhere})
    with pytest.raises(OrderContradicted, match=rf"{foreign.id} carries the key .* \(other inputs: item\)"):
        desk.buyer().buy(desk.purchase())
    assert bought_now() == 1


def test_a_job_of_another_process_is_another_job(desk):
    job = desk.client.processing.execute("true-color-conversion", desk.planned.submitted(5))
    assert desk.purchase().get(job.id).contradiction == f"process true-color-conversion instead of {UPSAMPLING}"


@pytest.mark.parametrize(("told", "credits"), [(3, 3), (3.0001, 4), (0.2, 1), (0, 0)])
def test_a_part_of_a_credit_counts_as_a_whole_one(told, credits):
    """Rounded down, many jobs would slip below a ceiling."""
    offer = Mock()
    offer.process.return_value = Process(id=UPSAMPLING)
    offer.validate.return_value = ()
    offer.cost.return_value = Cost(total_credits=told)
    planned = PlannedJob(
        workspace_id="w", workflow="w", step="s", partition=PARTITION, process_id=UPSAMPLING, inputs={"item": "i"}
    )
    assert JobPurchase(planned, offer, Mock()).price() == credits
