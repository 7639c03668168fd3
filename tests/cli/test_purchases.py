"""`orders waiting`, `approve`, `audit`, `adopt`, `cancel` with a lake, and `ledger`."""

import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import pytest

from up42_pipelines.errors import ApprovalRequired
from up42_pipelines.lake import Lake
from up42_pipelines.ordering.keys import OrderTags
from up42_pipelines.processing.buyer import job_buyer
from up42_pipelines.processing.purchase import PlannedJob
from up42_pipelines.processing.templates import UpsamplingNS
from up42_pipelines.processing.workflow import Step, Workflow
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Entry, EntryState

PARTITION, OTHER_PARTITION = "berlin|2026-06-01", "berlin|2026-06-02"


@pytest.fixture
def books(shop, purchases_at, tmp_path):
    """A pipeline of the test's own, with an empty lake."""
    return purchases_at(shop, tmp_path / "lake", f"cli-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def run(cli, books):
    """`run("orders waiting")`: a command with the lake of the books, unless it names another one."""
    return lambda arguments: cli(arguments, env={"UP42_LAKE_URL": books.lake_url})


def test_a_lake_must_be_named(cli):
    for command in ("orders waiting", "orders approve KEY", "orders audit --pipeline p", "ledger show --pipeline p"):
        said = cli(command)
        assert said.code == 2
        assert "--lake" in said.stderr


class TestApproval:
    def test_what_waits_is_listed_approved_and_bought(self, run, books):
        assert run("orders waiting").stderr == "Nothing waits for approval.\n"
        key = books.let_wait(PARTITION)
        books.buy(OTHER_PARTITION)
        said = run("orders waiting")
        assert said.lines[0].split() == ["key", "credits", "approved", "pipeline", "what"]
        assert said.lines[1].split()[:4] == [key, "76", "-", books.pipeline]
        assert said.lines[1].endswith(f"for partition {PARTITION}")
        assert len(said.lines) == 2
        approved = run(f"orders approve {key} --by ana")
        assert "approval   ana approved 76 credits." in approved.lines
        assert run("orders waiting").lines[1].split()[2] == "76"
        _, intent = books.buyer().book.read(key)
        assert (intent.approval.credits, intent.approval.by) == (76, "ana")

    def test_another_price(self, run, books):
        key = books.let_wait(PARTITION)
        assert run(f"orders approve {key} --credits 90 --json").json["approval"]["credits"] == 90

    def test_who_approves_is_the_login_unless_told(self, run, books, monkeypatch):
        monkeypatch.setattr("getpass.getuser", lambda: "bo")
        key = books.let_wait(PARTITION)
        assert run(f"orders approve {key} --json").json["approval"]["by"] == "bo"

    @pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 1000"), OSError("No username set")])
    def test_a_login_without_a_name_must_say_who(self, run, monkeypatch, error):
        monkeypatch.setattr("getpass.getuser", Mock(side_effect=error))
        said = run("orders approve KEY")
        assert (said.code, "--by" in said.stderr) == (2, True)

    def test_what_does_not_wait_cannot_be_approved(self, run, books):
        books.buy(PARTITION)
        said = run(f"orders approve {books.planned(PARTITION).key}")
        assert said.code == 1
        assert "it is placed" in said.stderr

    def test_json(self, run, books):
        key = books.let_wait(PARTITION)
        [one] = run("orders waiting --json").json
        assert (one["key"], one["state"], one["credits"]) == (key, "waiting", 76)


class TestAudit:
    def test_all_is_well(self, run, books):
        books.buy(PARTITION)
        said = run(f"orders audit --pipeline {books.pipeline}")
        assert (said.code, len(said.lines)) == (0, 1)
        assert said.lines[0].endswith("1 orders at UP42, 1 intents in the lake, 76 credits committed; they agree.")

    def test_what_needs_a_person_is_told_and_fails(self, run, books):
        key = books.let_wait(PARTITION)
        said = run(f"orders audit --pipeline {books.pipeline}")
        assert said.code == 1
        assert said.lines[0].endswith("1 waiting for approval. 1 of 1 need a person.")
        assert said.lines[2].startswith("waiting for approval  Scene ")
        assert f"orders approve {key}" in said.lines[2]

    def test_json(self, run, books):
        key = books.let_wait(PARTITION)
        said = run(f"orders audit --pipeline {books.pipeline} --json")
        assert said.code == 1
        [finding] = said.json["findings"]
        assert (finding["kind"], finding["key"], finding["needs_person"]) == ("waiting for approval", key, True)
        assert (said.json["pipeline"], said.json["committed"]) == (books.pipeline, 0)

    def test_orders_that_the_lake_has_forgotten(self, run, books):
        order_id = books.buy(PARTITION)
        shutil.rmtree(books.lake_url)
        for _ in range(2):  # looking changes nothing
            said = run(f"orders audit --pipeline {books.pipeline}")
            assert f"unknown order  {order_id}: " in said.stdout
            assert said.code == 0, "the ledger is made of what UP42 lists"
        adopted = run(f"orders audit --pipeline {books.pipeline} --adopt")
        assert adopted.lines[0].endswith("they agree.")
        _, intent = books.buyer().book.read(books.planned(PARTITION).key)
        assert intent.purchase_ids == (order_id,)

    def test_what_a_dead_run_has_left(self, run, books):
        key = books.let_wait(PARTITION)
        book, ledger = books.buyer().book, books.buyer().ledger
        long_ago = datetime(2026, 6, 1, tzinfo=UTC)
        ledger.reserve(Entry(key=key, credits=76, partition=PARTITION, at=long_ago, state=EntryState.RESERVED))
        number, intent = book.read(key)
        book.write(number, intent.next(state="claimed", holder="dead", lease_until=long_ago, at=long_ago))
        for _ in range(2):
            said = run(f"orders audit --pipeline {books.pipeline}")
            assert (said.code, "abandoned claim" in said.stdout) == (0, True)
        assert run(f"orders audit --pipeline {books.pipeline} --reclaim").lines[0].endswith("they agree.")
        assert ledger.sheet().committed() == 0

    def test_a_pipeline_that_nobody_knows(self, run, books):
        said = run("orders audit --pipeline typo")
        assert said.code == 2
        assert "knows anything of a pipeline 'typo'" in said.stderr
        assert not Path(books.lake_url, "purchases").exists()


class Jobs:
    """A workflow that upsamples one item, with an empty lake."""

    def __init__(self, shop, order_id, lake) -> None:
        self.client, self.lake_url, self.workflow = shop.client, str(lake), f"cli_{uuid.uuid4().hex[:8]}"
        [item, *_] = self.client.storage.items_of_order(order_id)
        self.planned = PlannedJob(
            workspace_id=self.client.workspace_id,
            workflow=self.workflow,
            step="finer",
            partition=PARTITION,
            process_id="upsampling-ns",
            inputs=UpsamplingNS().inputs([item.self_href]),
        )

    def buyer(self, **rules):
        workflow = Workflow(name=self.workflow, steps=[Step(name="finer", template=UpsamplingNS())], **rules)
        return job_buyer(self.client.processing, self.client.account, Lake(self.lake_url), workflow, run="run")

    def buy(self, **rules):
        buyer = self.buyer(**rules)
        return buyer.buy(buyer.job(self.planned))

    def entry(self):
        return self.buyer().ledger.sheet().entries[self.planned.key]


class TestWorkflow:
    @pytest.fixture
    def jobs(self, shop, fulfilled, tmp_path):
        shop.control("fates", {"kind": "job", "fate": "captured"})
        yield Jobs(shop, fulfilled, tmp_path / "lake")
        shop.control("fates", method="DELETE")

    @pytest.fixture
    def run(self, cli, jobs):
        return lambda arguments: cli(arguments, env={"UP42_LAKE_URL": jobs.lake_url})

    def test_a_job_that_waits_is_listed_approved_and_bought(self, run, jobs):
        with pytest.raises(ApprovalRequired):
            jobs.buy(approvals=Approvals(above=0))
        [waiting] = run("orders waiting --json").json
        assert (waiting["key"], waiting["kind"], waiting["pipeline"]) == (jobs.planned.key, "job", jobs.workflow)
        assert f"orders approve {jobs.planned.key}" in run(f"orders audit --pipeline {jobs.workflow}").stdout
        assert run(f"orders approve {jobs.planned.key}").code == 0
        assert not jobs.buy(approvals=Approvals(above=0)).adopted

    def test_what_a_dead_run_has_left_is_settled(self, run, jobs):
        bought, long_ago = jobs.buy(), datetime(2026, 6, 1, tzinfo=UTC)
        buyer = jobs.buyer()
        number, intent = buyer.book.read(jobs.planned.key)
        left = {"state": "placing", "holder": "dead", "purchase_ids": (), "lease_until": long_ago}
        buyer.book.write(number, intent.next(**left))
        buyer.ledger.reserve(jobs.entry().model_copy(update={"purchase_ids": ()}))
        said = run(f"orders audit --pipeline {jobs.workflow}")
        assert (said.code, "left while placing" in said.stdout) == (1, True)
        said = run(f"orders audit --pipeline {jobs.workflow} --reclaim")
        assert (said.code, said.lines[0].endswith("they agree.")) == (0, True)
        assert (jobs.entry().state, jobs.entry().purchase_ids) == (EntryState.SPENT, (bought.id,))

    def test_a_ledger_and_intents_that_were_removed(self, run, jobs):
        """The ledger is made anew of the titles; jobs on it are not missing although no order has their key."""
        bought = jobs.buy()
        shutil.rmtree(jobs.lake_url)
        said = run(f"orders audit --pipeline {jobs.workflow} --reclaim")
        assert len(said.lines) == 1
        assert said.lines[0].endswith(f"0 intents in the lake, {bought.credits} credits committed; they agree.")
        assert jobs.entry().purchase_ids == (bought.id,)
        assert run(f"ledger show --pipeline {jobs.workflow} --json").json["entries"][jobs.planned.key]["credits"] > 0

    def test_a_reservation_without_an_intent_is_kept_as_long_as_the_job_exists(self, run, jobs):
        jobs.buy()
        buyer, long_ago = jobs.buyer(), datetime(2026, 6, 1, tzinfo=UTC)
        for key in (jobs.planned.key, uuid.uuid4().hex):
            entry = Entry(key=key, credits=5, partition=PARTITION, at=long_ago, state=EntryState.RESERVED, claim=9)
            buyer.ledger.reserve(entry)
        shutil.rmtree(Path(jobs.lake_url, "purchases", "intents"))
        said = run(f"orders audit --pipeline {jobs.workflow} --reclaim")
        assert (said.code, said.stdout.count("left reservation  ")) == (1, 1), said
        assert list(buyer.ledger.sheet().entries) == [jobs.planned.key]


class TestAdopting:
    def test_as_what_the_pipeline_wanted(self, run, books, shop):
        key = books.let_wait(PARTITION)
        [order_id] = shop.order("by hand", tags=("mine",))
        said = run(f'orders adopt {order_id} --pipeline {books.pipeline} --partition "{PARTITION}" --credits 80')
        assert (said.code, said.stderr) == (0, "")
        assert f"key      {key}" in said.lines
        assert "credits  80 credits (0.80 EUR)" in said.lines
        tags = OrderTags.read(shop.client.orders.get(order_id).tags)
        assert (tags.pipeline, tags.partition, tags.key, tags.credits) == (books.pipeline, PARTITION, key, 80)
        assert books.buy(PARTITION) == order_id

    def test_what_the_lake_knows_nothing_of(self, run, books, shop):
        [order_id] = shop.order("by hand", tags=("mine",))
        said = run(f'orders adopt {order_id} --pipeline {books.pipeline} --partition "{PARTITION}" --json')
        assert "The lake knows no plan" in said.stderr
        assert said.json["id"] == order_id
        assert f"key:{books.planned(PARTITION).key}" in said.json["tags"]
        assert books.buy(PARTITION) == order_id

    def test_as_another_generation(self, run, books, shop):
        own = books.buy(PARTITION)
        [order_id] = shop.order("by hand", tags=("mine",))
        adopt = f'orders adopt {order_id} --pipeline {books.pipeline} --partition "{PARTITION}"'
        refused = run(adopt)
        assert refused.code == 1
        assert own in refused.stderr
        assert run(f"{adopt} --generation 2").code == 0

    def test_another_area(self, run, books, shop):
        books.let_wait(PARTITION)
        west, south, east, north = 13.40, 52.51, 13.42, 52.52
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
        area = {"type": "FeatureCollection", "features": [feature]}
        [order_id] = shop.order("by hand", tags=("mine",), feature_collection=area)
        adopt = f'orders adopt {order_id} --pipeline {books.pipeline} --partition "{PARTITION}"'
        refused = run(adopt)
        assert refused.code == 1
        assert "--any-area" in refused.stderr
        assert run(f"{adopt} --any-area").code == 0
        assert books.buy(PARTITION) == order_id


class TestCancelling:
    @pytest.fixture
    def cancellable(self, books, shop):
        """An order of the pipeline that counts and has not reached the provider."""
        tags = OrderTags(pipeline=books.pipeline, partition=PARTITION, key="0" * 32, credits=76)
        order_id = shop.client.orders.update(shop.tasking_order(), tags=tags.to_tags()).id
        assert books.buyer().ledger.sheet().committed() == 76
        return order_id

    def test_the_ledger_stops_counting(self, run, books, cancellable):
        assert run(f"orders cancel {cancellable} --yes").stderr == ""
        assert books.buyer().ledger.sheet().committed() == 0

    def test_without_a_lake_the_audit_will(self, cli, books, cancellable):
        said = cli(f"orders cancel {cancellable} --yes")
        assert (said.code, said.stderr) == (
            0,
            f"No lake was given: the ledger of {books.pipeline} counts its credits until the next audit.\n",
        )
        assert books.buyer().ledger.sheet().committed() == 76

    def test_an_order_of_nobody_is_on_no_ledger(self, run, books, shop):
        assert run(f"orders cancel {shop.tasking_order()} --yes").code == 0
        assert not Path(books.lake_url, "purchases").exists()


class TestLedger:
    def test_per_month_and_partition(self, run, books):
        books.buy(PARTITION)
        books.buy(OTHER_PARTITION)
        ledger = books.buyer().ledger
        at = datetime(2026, 5, 31, 23, 59, tzinfo=UTC)
        ledger.reserve(Entry(key="1" * 32, credits=10, partition=PARTITION, at=at, state=EntryState.RESERVED))
        said = run(f"ledger show --pipeline {books.pipeline}")
        assert "committed          162 credits (1.62 EUR)" in said.lines
        assert "of which reserved  10 credits (0.10 EUR)" in said.stdout
        rows = [line.split() for line in said.lines]
        assert ["2026-05", "1", "10"] in rows
        assert [PARTITION, "2", "86"] in rows
        assert [OTHER_PARTITION, "1", "76"] in rows
        assert run(f"ledger show --pipeline {books.pipeline} --json").json == ledger.sheet().model_dump(mode="json")

    def test_a_pipeline_without_a_ledger(self, run, books):
        said = run("ledger show --pipeline typo")
        assert said.code == 2
        assert "no ledger of a pipeline 'typo'" in said.stderr
        assert not Path(books.lake_url, "purchases").exists()
