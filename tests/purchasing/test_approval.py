"""Prices that pass, and prices that wait for a person."""

from datetime import UTC, datetime

import pytest

from up42_pipelines.errors import ApprovalRequired
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.intents import Approval, Intent, State

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def intent(approved: int | None = None) -> Intent:
    return Intent(
        key="5e1f",
        kind="order",
        label="Scene S",
        pipeline="p",
        partition="a|2026-06-01",
        request={},
        state=State.CLAIMED,
        approval=None if approved is None else Approval(credits=approved, by="kim", at=NOON),
        at=NOON,
    )


@pytest.mark.parametrize(
    ("above", "approved", "credits"),
    [
        (None, None, 10**9),
        (100, None, 100),
        (0, None, 0),
        (100, 200, 200),
        (100, 200, 210),
        (100, 200, 190),
        (100, 50, 100),  # below the limit nobody is asked, whatever was said before
    ],
)
def test_passes(above, approved, credits):
    Approvals(above=above).check(intent(approved), credits)


@pytest.mark.parametrize(
    ("above", "approved", "credits"),
    [(100, None, 101), (99.5, None, 100), (0, None, 1), (100, 200, 211), (100, 200, 189), (100, 0, 101)],
)
def test_waits(above, approved, credits):
    with pytest.raises(ApprovalRequired) as caught:
        Approvals(above=above).check(intent(approved), credits)
    assert (caught.value.key, caught.value.credits) == ("5e1f", credits)


def test_tolerance_is_a_share_of_what_was_approved():
    exact = Approvals(above=100, tolerance=0)
    exact.check(intent(200), 200)
    with pytest.raises(ApprovalRequired):
        exact.check(intent(200), 201)
    Approvals(above=100, tolerance=0.5).check(intent(200), 300)


def test_says_what_was_asked_and_what_to_do():
    with pytest.raises(ApprovalRequired, match=r"cost 120 credits; more than 100 credits need.*orders approve 5e1f"):
        Approvals(above=100).check(intent(), 120)
    with pytest.raises(ApprovalRequired, match=r"kim approved 200, which is more than 5% off"):
        Approvals(above=100).check(intent(200), 300)
