"""docs/processing.md: its code runs, and what it names exists."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from up42_pipelines.api import Job, JobStatus
from up42_pipelines.processing.buyer import job_buyer
from up42_pipelines.processing.outcome import JobState, outcome_of
from up42_pipelines.processing.plan import plan_jobs

PROJECT = Path(__file__).resolve().parents[3]
PAGE = (PROJECT / "docs" / "processing.md").read_text()
DEFINITIONS, COLLECTION = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def names(monkeypatch) -> dict:
    """What the page's first block defines."""
    monkeypatch.chdir(PROJECT)
    defined: dict = {}
    exec(DEFINITIONS, defined)
    return defined


def test_the_jobs_and_sensors_of_the_page_are_those_of_its_workflow(names):
    repository, steps = names["defs"].get_repository_def(), [step.name for step in names["workflow"].steps]
    table = PAGE[PAGE.index("| job or sensor") : PAGE.index("So a backfill")]
    named = {row.split("`")[1].replace("<workflow>", "enhance") for row in table.splitlines()[2:] if "`" in row}
    expected = {name.replace("<step>", step) for name in named for step in steps}
    ours = [*repository.job_names, *(one.name for one in repository.sensor_defs)]
    assert expected == {name for name in ours if name.startswith("enhance")}


def test_the_collection_of_the_page_works_on_what_its_workflow_bought(names, works, tmp_path, monkeypatch, capsys):
    workflow, client = replace(names["workflow"], timing=works.source.timing), works.client
    plan = plan_jobs(
        workflow,
        workflow.step("sharp"),
        workspace_id=client.workspace_id,
        partition="rome|2026-06-04",
        items=works.deliver("bundle"),
    )
    buyer = job_buyer(client.processing, client.account, works.lake, workflow, run="a run")
    bought = buyer.buy(buyer.job(plan.jobs[0].planned))
    works.advance()
    monkeypatch.chdir(tmp_path)
    exec(COLLECTION.replace("http://127.0.0.1:8042", works.sandbox.url), names)
    names["client"].transport.close()
    assert [job.id for job in names["jobs"]] == [bought.id]
    assert f"{bought.credits} credits, 0 of 1 failed" in capsys.readouterr().out
    assert all(path.is_file() for path in names["files"][bought.id])
    assert len(names["places"]["features"]) == len(names["pictures"]) == 1
    assert names["sizes"][bought.id] > 0


@pytest.mark.parametrize("status", [status for status in JobStatus if status.is_failure])
def test_every_failure_has_its_row(status):
    job = Job.parse({"jobID": "j", "processID": "p", "status": status})
    assert outcome_of(job).state is JobState.FAILED
    [row] = [line for line in PAGE.splitlines() if line.startswith("| a job") and f"`{status}`" in line]
    assert "raise `generation`" in row
