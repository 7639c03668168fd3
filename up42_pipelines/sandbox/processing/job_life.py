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


_ACCEPTED = (Status.CREATED, Status.LICENSED, Status.VALID, Status.ACCEPTED, Status.RUNNING)
_PATHS = {
    Status.UNLICENSED: (Status.CREATED, Status.UNLICENSED),
    Status.INVALID: (Status.CREATED, Status.LICENSED, Status.INVALID),
    Status.REJECTED: (Status.CREATED, Status.LICENSED, Status.VALID, Status.REJECTED),
    Status.RUNNING: _ACCEPTED,
    Status.SUCCESSFUL: (*_ACCEPTED, Status.SUCCESSFUL),
    Status.CAPTURED: (*_ACCEPTED, Status.SUCCESSFUL, Status.CAPTURED),
    Status.FAILED: (*_ACCEPTED, Status.FAILED, Status.RELEASED),
}
OUTCOMES = frozenset(_PATHS)
"""What a life can come to. RUNNING means for ever; after FAILED the credits are released."""
FINISHING = (Status.UNLICENSED, Status.INVALID, Status.REJECTED, Status.SUCCESSFUL, Status.FAILED)
"""The statuses with which a job is finished."""
CHARGED = (Status.SUCCESSFUL, Status.CAPTURED)
"""The statuses in which a job has cost its credits."""
_QUICK = (0.5, 2.0)
_WAITS = {Status.RUNNING: (5.0, 20.0), Status.SUCCESSFUL: (60.0, 240.0), Status.FAILED: (30.0, 240.0)}


def outcome_by_chance(lot: tuple[object, ...]) -> Status:
    """Decide what becomes of a job with which nothing is wrong."""
    return Status.FAILED if chance.fraction("job", *lot) < FAILED_SHARE else Status.SUCCESSFUL


def plan(outcome: Status, lot: tuple[object, ...]) -> tuple[tuple[float, Status], ...]:
    """Return every status with the simulated seconds after which it begins.

    Args:
        outcome: one of OUTCOMES.
        lot: what chance decides by.
    """
    after, steps = 0.0, []
    for step, status in enumerate(_PATHS[outcome]):
        if step:
            after += chance.between(*_WAITS.get(status, _QUICK), "job step", step, *lot)
        steps.append((after, status))
    return tuple(steps)
