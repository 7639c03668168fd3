"""Buying once, as a decision: from the intent, what UP42 listed, and the time, to the next step. Pure.

docs/ordering.md draws the states and says which invariants this keeps, and why the delays are what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from up42_pipelines.purchasing.intents import Intent, State

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things are waited for, in seconds.

    Attributes:
        lease_s: a holder that has not written for so long is taken for dead.
        start_s: a POST leaves within this time after its write-ahead, or not at all. Shorter than the lease.
        settling_s: after a POST that may have been carried out, UP42's list is not believed for so long: the longest
            that a gateway may still carry out a request whose client has gone, and that a list may lag behind.
        looks: how many look-ups in a row must show nothing after such a POST.
        gap_s: between the first two of them; the pause doubles.
        skew_s: how far the clocks of two machines may differ.
        poll_s: between two looks at an intent that somebody else holds.
        posts: how often one call sends a POST, each after the one before has proved not to have been carried out.
    """

    lease_s: float = 30.0
    start_s: float = 10.0
    settling_s: float = 120.0
    looks: int = 4
    gap_s: float = 1.0
    skew_s: float = 5.0
    poll_s: float = 0.5
    posts: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[T]):
    """A purchase that exists at UP42.

    Attributes:
        id: of the order or job.
        record: as UP42 answered; None when its details could not be read yet.
        credits: what it cost, as far as is known.
        failed: True when UP42 will not deliver it.
        returned: True when UP42 has certainly given the credits back.
        created_at: when it was placed.
        contradiction: in what it differs from what was to be bought; empty when it is that.
    """

    id: str
    record: T | None
    credits: int
    created_at: datetime | None
    failed: bool = False
    returned: bool = False
    contradiction: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look(Generic[T]):
    """One complete look-up at UP42.

    Attributes:
        at: when it began, UTC.
        found: what carries the key.
    """

    at: datetime
    found: Sequence[Found[T]]


@dataclass(frozen=True, slots=True)
class Finished:
    """It was bought."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Write a claim, or write it anew before its lease ends.

    Attributes:
        settled_from: the doubt that comes with it.
    """

    settled_from: datetime | None


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done before this instant, unless the intent changes."""

    until: datetime


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask UP42 for what carries the key."""


@dataclass(frozen=True, slots=True)
class Adopt(Generic[T]):
    """Take what exists: the first is the one to go on with."""

    found: Sequence[Found[T]]


@dataclass(frozen=True, slots=True)
class Contradicted(Generic[T]):
    """What carries the key is not what was to be bought."""

    found: Sequence[Found[T]]


@dataclass(frozen=True, slots=True)
class Place:
    """Nothing is there: it may be bought."""


Action = Finished | Claim | Wait | LookUp | Adopt[T] | Contradicted[T] | Place


def next_action(intent: Intent, looks: Sequence[Look[T]], *, me: str, now: datetime, timing: Timing) -> Action[T]:
    """The next step towards having bought something once.

    Args:
        intent: the latest version.
        looks: the look-ups made under this claim, oldest first.
        me: the holder that asks.
        now: UTC.
        timing: delays.
    """
    if intent.state == State.PLACED:
        return Finished()
    if intent.holder not in (None, me) and now < (free_from := _lease_end(intent, timing)):
        return Wait(free_from)
    if intent.holder != me or intent.state != State.CLAIMED or _lease_is_half_over(intent, now, timing):
        return Claim(_doubt(intent, timing))
    if looks and looks[-1].found:
        return _take(looks[-1].found)
    doubt = intent.settled_from
    if looks and (doubt is None or (len(looks) >= timing.looks and looks[-1].at >= doubt)):
        return Place()
    if looks and now < (again := _next_look(looks, doubt or now, timing)):
        return Wait(again)
    return LookUp()


def _take(found: Sequence[Found[T]]) -> Action[T]:
    agreeing = [one for one in found if not one.contradiction]
    return Adopt(sorted(agreeing, key=preference)) if agreeing else Contradicted(found)


def preference(found: Found[Any]) -> tuple[bool, float, str]:
    """Of several with one key: one that can still deliver, then the oldest."""
    return found.failed, found.created_at.timestamp() if found.created_at else 0.0, found.id


def _lease_end(intent: Intent, timing: Timing) -> datetime:
    lease_until = intent.lease_until or intent.at + timedelta(seconds=timing.lease_s)
    return lease_until + timedelta(seconds=timing.skew_s)


def _doubt(intent: Intent, timing: Timing) -> datetime | None:
    """From when the list is believed for a claim that follows this version."""
    if intent.state in (State.CLAIMED, State.REFUSED, State.WAITING):
        return intent.settled_from
    if intent.state == State.UNCLEAR and intent.settled_from is not None:
        return intent.settled_from
    # Placing, or a state that only a newer version of this package knows: a POST may have left until the lease ended.
    return _lease_end(intent, timing) + timedelta(seconds=timing.settling_s)


def _next_look(looks: Sequence[Look[T]], doubt: datetime, timing: Timing) -> datetime:
    last = looks[-1].at
    pause_s = timing.gap_s * 2 ** (len(looks) - 1)
    return last + timedelta(seconds=min(pause_s, max(timing.gap_s, (doubt - last).total_seconds())))


def _lease_is_half_over(intent: Intent, now: datetime, timing: Timing) -> bool:
    return now + timedelta(seconds=timing.lease_s / 2 + timing.skew_s) > _lease_end(intent, timing)
