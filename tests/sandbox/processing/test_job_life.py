import itertools
from collections import Counter

import pytest

from up42_pipelines.sandbox.control import fates
from up42_pipelines.sandbox.processing import job_life
from up42_pipelines.sandbox.processing.job_life import Outcome, Status

ALLOWED = {
    "created": {"licensed", "unlicensed"},
    "licensed": {"valid", "invalid"},
    "valid": {"accepted", "rejected"},
    "accepted": {"running"},
    "running": {"successful", "failed", "quarantined"},
    "successful": {"captured"},
    "failed": {"released"},
}


@pytest.mark.parametrize("outcome", Outcome)
def test_every_life_follows_the_documented_transitions(outcome):
    steps = job_life.plan(outcome, ("lot",))
    statuses = [status.value for _, status in steps]
    assert statuses[0] == "created"
    for before, after in itertools.pairwise(statuses):
        assert after in ALLOWED[before]
    times = [after for after, _ in steps]
    assert times[0] == 0
    assert times == sorted(set(times))
    assert (times[-1] < 300) == (outcome is not Outcome.STUCK_RELEASED)


@pytest.mark.parametrize(
    ("outcome", "ends"),
    [
        ("successful", ["running", "successful"]),
        ("captured", ["successful", "captured"]),
        ("lost_result", ["running", "successful"]),
        ("failed", ["failed", "released"]),
        ("unreleased", ["running", "failed"]),
        ("stuck_released", ["failed", "released"]),
        ("running", ["accepted", "running"]),
        ("quarantined", ["running", "quarantined"]),
        ("rejected", ["valid", "rejected"]),
        ("invalid", ["licensed", "invalid"]),
        ("unlicensed", ["created", "unlicensed"]),
    ],
)
def test_how_a_life_ends(outcome, ends):
    assert [status for _, status in job_life.plan(Outcome(outcome), ("lot",))[-2:]] == ends


def test_a_job_that_is_stuck_runs_for_hours():
    (_, failed), (_, released) = (
        (status, after) for after, status in job_life.plan(Outcome.STUCK_RELEASED, ("lot",))[-2:]
    )
    assert 6 * 3600 <= failed < released < 13 * 3600


def test_together_the_lives_pass_through_all_twelve_statuses_and_one_that_nobody_knows():
    seen = {status for outcome in Outcome for _, status in job_life.plan(outcome, ("lot",))}
    assert seen == set(Status)
    assert len(seen - {Status.QUARANTINED}) == 12


def test_five_of_a_hundred_jobs_fail_by_chance_and_always_the_same():
    outcomes = [job_life.outcome_by_chance((0, "detection-ships-airbus", number)) for number in range(2000)]
    assert set(outcomes) == {Outcome.SUCCESSFUL, Outcome.FAILED}
    assert 0.035 < Counter(outcomes)[Outcome.FAILED] / 2000 < 0.065
    assert outcomes == [job_life.outcome_by_chance((0, "detection-ships-airbus", number)) for number in range(2000)]


def test_every_outcome_of_a_job_can_be_its_fate():
    assert set(fates.KINDS["job"]) == set(Outcome)
