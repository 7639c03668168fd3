"""The whole life of a processing job, decided when it is executed.

Which job fails follows from (seed, process, scenes, how often they were given to it before), so that a run can be
repeated. Times are simulated seconds after the execution; the sandbox's speed shortens them.
"""

from __future__ import annotations

from enum import StrEnum

from up42_pipelines.sandbox.core import chance

FAILED_SHARE = 0.05


class Status(StrEnum):
    """Job statuses (UP42 API reference, processing)."""

    CREATED = "created"
    LICENSED = "licensed"
    UNLICENSED = "unlicensed"
    VALID = "valid"
    INVALID = "invalid"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RUNNING = "running"
    SUCCESSFUL = "successful"
    FAILED = "failed"
    CAPTURED = "captured"
    RELEASED = "released"
    QUARANTINED = "quarantined"
    """None of UP42's: what a status looks like that came up later."""


class Outcome(StrEnum):
    """What a life can come to."""

    UNLICENSED = "unlicensed"
    INVALID = "invalid"
    REJECTED = "rejected"
    SUCCESSFUL = "successful"
    CAPTURED = "captured"
    LOST_RESULT = "lost_result"
    """Successful, but the collection with the result is not there."""
    FAILED = "failed"
    """The credits are released at once."""
    UNRELEASED = "unreleased"
    """Failed, and the credits are never released."""
    STUCK_RELEASED = "stuck_released"
    """Runs for hours, then fails."""
    RUNNING = "running"
    """For ever."""
    QUARANTINED = "quarantined"
    """In a status that nobody knows, for ever."""


_ACCEPTED = (Status.CREATED, Status.LICENSED, Status.VALID, Status.ACCEPTED, Status.RUNNING)
_PATHS = {
    Outcome.UNLICENSED: (Status.CREATED, Status.UNLICENSED),
    Outcome.INVALID: (Status.CREATED, Status.LICENSED, Status.INVALID),
    Outcome.REJECTED: (Status.CREATED, Status.LICENSED, Status.VALID, Status.REJECTED),
    Outcome.SUCCESSFUL: (*_ACCEPTED, Status.SUCCESSFUL),
    Outcome.CAPTURED: (*_ACCEPTED, Status.SUCCESSFUL, Status.CAPTURED),
    Outcome.LOST_RESULT: (*_ACCEPTED, Status.SUCCESSFUL),
    Outcome.FAILED: (*_ACCEPTED, Status.FAILED, Status.RELEASED),
    Outcome.UNRELEASED: (*_ACCEPTED, Status.FAILED),
    Outcome.STUCK_RELEASED: (*_ACCEPTED, Status.FAILED, Status.RELEASED),
    Outcome.RUNNING: _ACCEPTED,
    Outcome.QUARANTINED: (*_ACCEPTED, Status.QUARANTINED),
}
FINISHING = (Status.UNLICENSED, Status.INVALID, Status.REJECTED, Status.SUCCESSFUL, Status.FAILED)
"""The statuses with which a job is finished."""
CHARGED = (Status.SUCCESSFUL, Status.CAPTURED)
"""The statuses in which a job has cost its credits."""
_QUICK = (0.5, 2.0)
_WAITS = {
    Status.RUNNING: (5.0, 20.0),
    Status.SUCCESSFUL: (60.0, 240.0),
    Status.FAILED: (30.0, 240.0),
    Status.QUARANTINED: (30.0, 240.0),
}
_STUCK = (6 * 3600.0, 12 * 3600.0)


def outcome_by_chance(lot: tuple[object, ...]) -> Outcome:
    """Decide what becomes of a job with which nothing is wrong."""
    return Outcome.FAILED if chance.fraction("job", *lot) < FAILED_SHARE else Outcome.SUCCESSFUL


def plan(outcome: Outcome, lot: tuple[object, ...]) -> tuple[tuple[float, Status], ...]:
    """Return every status with the simulated seconds after which it begins.

    Args:
        outcome: what it comes to.
        lot: what chance decides by.
    """
    after, steps = 0.0, []
    for step, status in enumerate(_PATHS[outcome]):
        if step:
            stuck = outcome is Outcome.STUCK_RELEASED and status is Status.FAILED
            wait = _STUCK if stuck else _WAITS.get(status, _QUICK)
            after += chance.between(*wait, "job step", step, *lot)
        steps.append((after, status))
    return tuple(steps)
