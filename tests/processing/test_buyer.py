"""What a workflow's buyer is made of, and its jobs at UP42 as entries of its ledger."""

from datetime import UTC, datetime

import pytest

from up42_pipelines.api.processing import Job
from up42_pipelines.lake import Lake
from up42_pipelines.processing.buyer import entries_at_up42, job_buyer
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.processing.templates import Pansharpening
from up42_pipelines.processing.workflow import Step, Workflow
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings, Entry, EntryState
from up42_pipelines.purchasing.protocol import Timing

NOON = "2026-06-01T12:00:00Z"
KEY, OTHER = "aa" * 16, "bb" * 16
WORKFLOW = Workflow(
    name="trees",
    steps=[Step(name="sharp", template=Pansharpening())],
    ceilings=Ceilings(month=1000),
    approvals=Approvals(above=5),
    timing=Timing(settling_s=7),
)


def job(name, *, key=KEY, workflow="trees", credits=31, status="running", created=NOON, title=None):
    about = JobTitle(workflow=workflow, step="sharp", partition="a|b", key=key, credits=credits)
    inputs = {"title": title or str(about), "item": "https://api.up42.com/v2/assets/stac/collections/c/items/i"}
    return Job.parse(
        {
            "jobID": name,
            "processID": "pansharpening",
            "status": status,
            "created": created,
            "definition": {"inputs": inputs},
        }
    )


class Processing:
    """A list of jobs, as UP42 would answer it."""

    def __init__(self, *jobs):
        self.listed, self.requests = jobs, 0

    def jobs(self, **_options):
        self.requests += 1
        return iter(self.listed)

    def job(self, job_id):
        return next(job for job in self.listed if job.id == job_id)


def buyer(lake, *jobs):
    return job_buyer(Processing(*jobs), None, lake, WORKFLOW, run="run-7")


class TestEntries:
    def test_what_the_titles_say(self):
        assert list(entries_at_up42(Processing(job("one")), "trees")) == [
            Entry(
                key=KEY,
                credits=31,
                partition="a|b",
                at=datetime(2026, 6, 1, 12, tzinfo=UTC),
                state=EntryState.SPENT,
                purchase_ids=("one",),
            )
        ]

    @pytest.mark.parametrize(
        ("status", "state"),
        [
            ("released", EntryState.RETURNED),
            ("rejected", EntryState.RETURNED),
            ("invalid", EntryState.RETURNED),
            ("unlicensed", EntryState.RETURNED),
            ("failed", EntryState.SPENT),
            ("captured", EntryState.SPENT),
            ("haggling", EntryState.SPENT),
        ],
    )
    def test_only_what_certainly_cost_nothing_counts_no_more(self, status, state):
        [entry] = entries_at_up42(Processing(job("one", status=status)), "trees")
        assert entry.state == state

    def test_jobs_that_are_not_its_own_are_left_out(self):
        jobs = job("one", workflow="roofs"), job("two", title="by hand"), job("three", workflow="trees2")
        assert list(entries_at_up42(Processing(*jobs), "trees")) == []

    def test_a_job_without_a_date_counts_now(self):
        [entry] = entries_at_up42(Processing(job("one", created=None)), "trees")
        assert abs(entry.at - datetime.now(UTC)).total_seconds() < 60


class TestBuyer:
    def test_what_the_workflow_says(self, tmp_path):
        made = buyer(Lake(str(tmp_path)))
        assert (made.run, made.ledger.pipeline, made.ledger.ceilings.month) == ("run-7", "trees", 1000)
        assert (made.approvals.above, made.timing.settling_s) == (5, 7)

    def test_a_new_ledger_knows_what_was_bought_before(self, tmp_path):
        jobs = job("one"), job("two", key=OTHER, credits=5), job("three", key=OTHER, credits=7)
        sheet = buyer(Lake(str(tmp_path)), *jobs).ledger.sheet()
        assert sheet.committed() == 43
        assert sheet.entries[OTHER].purchase_ids == ("two", "three")

    def test_a_lake_that_replaces_what_exists_is_refused(self, tmp_path, monkeypatch):
        lake = Lake(str(tmp_path))
        monkeypatch.setattr(lake, "check_create_only", lambda: pytest.fail("it was asked"))
        with pytest.raises(pytest.fail.Exception, match="it was asked"):
            buyer(lake)
