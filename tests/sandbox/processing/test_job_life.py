import itertools
from collections import Counter

import pytest

from up42_pipelines.sandbox.control import fates
from up42_pipelines.sandbox.processing import job_life
from up42_pipelines.sandbox.processing.job_life import Status

ALLOWED = {
    "created": {"licensed", "unlicensed"},
    "licensed": {"valid", "invalid"},
    "valid": {"accepted", "rejected"},
    "accepted": {"running"},
    "running": {"successful", "failed"},
    "successful": {"captured"},
    "failed": {"released"},
}


@pytest.mark.parametrize("outcome", sorted(job_life.OUTCOMES))
def test_every_life_follows_the_documented_transitions(outcome):
    steps = job_life.plan(outcome, ("lot",))
    statuses = [status.value for _, status in steps]
    assert statuses[0] == "created"
    for before, after in itertools.pairwise(statuses):
        assert after in ALLOWED[before]
    assert outcome in statuses[-2:]
    times = [after for after, _ in steps]
    assert times[0] == 0
    assert times == sorted(set(times))
    assert times[-1] < 300


def test_together_the_lives_pass_through_all_twelve_statuses():
    seen = {status for outcome in job_life.OUTCOMES for _, status in job_life.plan(outcome, ("lot",))}
    assert seen == set(Status)
    assert len(seen) == 12


def test_five_of_a_hundred_jobs_fail_by_chance_and_always_the_same():
    outcomes = [job_life.outcome_by_chance((0, "detection-ships-airbus", number)) for number in range(2000)]
    assert set(outcomes) == {Status.SUCCESSFUL, Status.FAILED}
    assert 0.035 < Counter(outcomes)[Status.FAILED] / 2000 < 0.065
    assert outcomes == [job_life.outcome_by_chance((0, "detection-ships-airbus", number)) for number in range(2000)]


def test_every_fate_of_a_job_is_an_outcome():
    assert {Status(fate) for fate in fates.KINDS["job"]} == job_life.OUTCOMES
