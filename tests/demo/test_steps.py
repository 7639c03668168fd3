"""How far a step of a workflow is in a partition, case by case."""

from __future__ import annotations

from types import SimpleNamespace

import dagster as dg
import pytest

from up42_pipelines.api import Job
from up42_pipelines.demo.standing import Runs
from up42_pipelines.demo.steps import StepStanding, StepState, judge_step

DONE, LOST, BUSY = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED


def job(status, credits=None) -> Job:
    return Job(id="j", process_id="p", status=status, credit_consumption=credits and {"credits": credits})


def state(*statuses, run=DONE, before=StepState.DONE, reference=None, landed=False) -> StepState:
    runs = Runs(records=[SimpleNamespace(dagster_run=SimpleNamespace(status=run))] if run else [])
    jobs = [job(status) for status in statuses]
    found, _ = judge_step(before=before, reference=reference, jobs=jobs, landed=landed, runs=runs, error="it broke")
    return found


@pytest.mark.parametrize(
    ("statuses", "given", "expected"),
    [
        # no job
        ((), {}, StepState.PENDING),
        ((), {"run": None, "before": StepState.PENDING}, StepState.PENDING),
        ((), {"before": StepState.LANDING}, StepState.PENDING),
        ((), {"before": StepState.NO_INPUT}, StepState.NO_INPUT),
        ((), {"before": StepState.JOB_FAILED}, StepState.NO_INPUT),
        ((), {"before": StepState.FAILED, "run": LOST}, StepState.NO_INPUT),
        ((), {"run": LOST}, StepState.FAILED),
        ((), {"run": BUSY}, StepState.PENDING),
        # compared with another day
        ((), {"reference": StepState.LANDING}, StepState.PENDING),
        ((), {"reference": StepState.DONE}, StepState.PENDING),
        ((), {"reference": StepState.NO_INPUT}, StepState.NO_REFERENCE),
        ((), {"reference": StepState.JOB_FAILED}, StepState.NO_REFERENCE),
        # jobs
        (("running", "successful"), {}, StepState.COMPUTING),
        (("quarantined",), {}, StepState.COMPUTING),
        (("successful",), {}, StepState.LANDING),
        (("successful", "released"), {"landed": True}, StepState.DONE),
        (("successful",), {"landed": True, "run": BUSY}, StepState.LANDING),
        (("captured",), {"run": LOST}, StepState.FAILED),
        (("released", "invalid"), {"run": LOST}, StepState.JOB_FAILED),
    ],
)
def test_state(statuses, given, expected):
    assert state(*statuses, **given) is expected


def test_what_it_cost():
    standing = StepStanding(step="s", key="a|1", state=StepState.DONE, jobs=[job("successful", 7), job("released")])
    assert standing.credits == 7
