"""One attempt to buy something once: takes the steps that the protocol decides, until it is bought or cannot be."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from up42_pipelines.errors import (
    AnswerLost,
    ApiError,
    ApprovalRequired,
    BudgetExceeded,
    NotFound,
    OrderContradicted,
    OrderRefused,
    OrderUnclear,
    ServerProblem,
    TooLate,
    UnexpectedAnswer,
    Unreachable,
    Up42Error,
)
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Entry, EntryState
from up42_pipelines.purchasing.intents import Intent, IntentBook, State
from up42_pipelines.purchasing.ledger import Ledger
from up42_pipelines.purchasing.protocol import (
    Action,
    Adopt,
    Claim,
    Contradicted,
    Finished,
    Found,
    Look,
    LookUp,
    Place,
    Timing,
    Wait,
    next_action,
    preference,
)
from up42_pipelines.purchasing.purchase import Bought, Purchase
from up42_pipelines.uptime import uptime_s

T = TypeVar("T")

_AMBIGUOUS = (AnswerLost, ServerProblem, UnexpectedAnswer)
"""After these nobody knows whether the request was carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The time, and a way to let it pass; tests bring their own."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    uptime_s: Callable[[], float] = uptime_s


class NotThereError(OrderRefused):
    """It does not exist, and was not to be placed."""


class Attempt(Generic[T]):
    """One call for one purchase.

    Args:
        purchase: what to buy.
        book: the intents of the lake.
        ledger: with the ceilings.
        approvals: which prices need a person.
        run: the run on whose ceiling it counts.
        timing: delays.
        tell: is given a sentence whenever something takes its time.
        clock: the time.
        make_room: settles what dead runs have reserved, as far as nothing must be waited for; whether there was any.
        may_place: False to find out only.
    """

    def __init__(
        self,
        purchase: Purchase[T],
        *,
        book: IntentBook,
        ledger: Ledger,
        approvals: Approvals,
        run: str,
        timing: Timing,
        tell: Callable[[str], None],
        clock: Clock,
        make_room: Callable[[], bool],
        may_place: bool,
    ) -> None:
        self._purchase, self._may_place = purchase, may_place
        self._book, self._ledger, self._approvals, self._run = book, ledger, approvals, run
        self._timing, self._tell, self._clock, self._make_room = timing, tell, clock, make_room
        self._me = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(6)}"
        self._looks: list[Look[T]] = []
        self._posts = self._late = self._failed_looks = 0
        self._waited_for: str | None = None

    def run(self) -> Bought[T]:
        """Take one step after the other until it is bought or cannot be."""
        while True:
            number, intent = self._book.read(self._purchase.key)
            if intent is None:
                self._claim(0, self._unwritten(), None)
                continue
            try:
                bought = self._step(number, intent)
            except BaseException as error:
                self._let_go(error)
                raise
            if bought is not None:
                return bought

    def _step(self, number: int, intent: Intent) -> Bought[T] | None:
        action: Action[T] = next_action(intent, self._looks, me=self._me, now=self._clock.now(), timing=self._timing)
        match action:
            case Claim(settled_from):
                self._claim(number, intent, settled_from)
            case Wait(until):
                self._wait(intent, until)
            case LookUp():
                self._look_up(intent)
            case Place():
                return self._place(number, intent)
            case Adopt(found):
                return self._adopt(intent, found)
            case Finished():
                return self._finished(intent)
            case Contradicted(found):
                raise OrderContradicted(
                    f"{self._purchase.label}: {found[0].id} carries the key {self._purchase.key} at UP42 and is "
                    f"something else ({found[0].contradiction}). Nothing was bought. Remove the key from it, or raise "
                    "the generation."
                )
        return None

    # --- before the POST ---

    def _claim(self, number: int, intent: Intent, settled_from: datetime | None) -> None:
        """Write a claim; whether it was written shows when the intent is read next."""
        now = self._clock.now()
        is_mine = intent.holder == self._me
        note = intent.note if is_mine else "Looking it up at UP42."
        if not is_mine and intent.holder is not None:
            note = f"Taken over from {intent.holder}, which left it {intent.state}."
            self._tell(f"{intent.label}: {note}")
        if not is_mine or intent.state != State.CLAIMED:
            self._looks.clear()
        self._book.write(
            number,
            intent.next(
                state=State.CLAIMED,
                holder=self._me,
                run=self._run,
                lease_until=self._lease(now),
                settled_from=settled_from,
                note=note,
                at=now,
            ),
        )

    def _unwritten(self) -> Intent:
        purchase = self._purchase
        return Intent(
            key=purchase.key,
            kind=purchase.kind,
            label=purchase.label,
            pipeline=purchase.pipeline,
            partition=purchase.partition,
            request=dict(purchase.request),
            journal=secrets.token_hex(6),
            state=State.CLAIMED,
            at=self._clock.now(),
        )

    def _wait(self, intent: Intent, until: datetime) -> None:
        """Let time pass, but look at the intent every now and then: whoever holds it may be done sooner."""
        is_mine = intent.holder == self._me
        if intent.holder != self._waited_for:
            self._waited_for = intent.holder
            why = "UP42 may have taken it; looking again" if is_mine else f"{intent.holder} is buying it; waiting"
            end = max(until, intent.settled_from or until) if is_mine else until
            self._tell(f"{intent.label}: {why}, until {end:%H:%M:%S} UTC at most.")
        longest_s = self._timing.lease_s / 4 if is_mine else self._timing.poll_s
        left_s = (until - self._clock.now()).total_seconds()
        self._clock.sleep(max(0.0, min(left_s, longest_s)))

    def _look_up(self, intent: Intent) -> None:
        began = self._clock.now()
        try:
            found = self._purchase.find()
        except Up42Error as error:
            # Says nothing about the purchase; above all not that it was not placed.
            self._failed_looks += 1
            if intent.settled_from is None or self._failed_looks > self._timing.looks:
                raise
            self._tell(f"{intent.label}: a look-up failed ({error})")
            self._clock.sleep(self._timing.gap_s)
        else:
            self._looks.append(Look(at=began, found=found))

    # --- the POST ---

    def _place(self, number: int, intent: Intent) -> Bought[T] | None:
        purchase = self._purchase
        if not self._may_place:
            raise NotThereError(f"{purchase.label}: UP42 shows nothing with key {purchase.key}.")
        if self._posts >= self._timing.posts:
            raise OrderUnclear(
                f"{purchase.label}: {self._posts} requests in a row stayed without a clear answer, and UP42 shows "
                "nothing with this key. Run again later: it is looked up before anything is placed."
            )
        credits = purchase.price()
        self._approvals.check(intent, credits)
        purchase.check_funds(credits)
        self._reserve(intent, number, credits)
        now, not_after = self._clock.now(), self._clock.uptime_s() + self._timing.start_s
        placing = intent.next(
            state=State.PLACING, credits=credits, lease_until=self._lease(now), note="The POST may be out.", at=now
        )
        if not self._book.write(number, placing):
            return None  # somebody took over: what they wrote decides
        try:
            ids = purchase.place(credits, not_after=not_after)
        except TooLate as error:
            self._book.write(number + 1, placing.next(state=State.CLAIMED, note=str(error), at=self._clock.now()))
            self._late += 1
            if self._late > self._timing.posts:
                raise
            return None
        except _AMBIGUOUS as error:
            self._posts += 1
            self._doubt(number + 1, placing, error)
            return None
        except (ApiError, OrderRefused, Unreachable) as error:
            self._refused(number + 1, placing, error)
            if isinstance(error, ApiError):
                raise OrderRefused(f"{purchase.label} was not bought. {error}") from error
            raise
        placed = self._book.record(placing, tuple(ids), note="Placed.", at=self._clock.now())
        return self._bought(placed, [self._details(one, credits) for one in ids], adopted=False)

    def _reserve(self, intent: Intent, claim: int, credits: int) -> None:
        entry = self._entry(credits, self._clock.now(), run=self._run, claim=claim, journal=intent.journal)
        try:
            self._ledger.reserve(entry)
        except BudgetExceeded:
            if not self._make_room():
                raise
            self._ledger.reserve(entry)

    def _doubt(self, number: int, placing: Intent, error: Up42Error) -> None:
        """Nobody knows whether the request was carried out: look until the list can be believed."""
        self._tell(f"{placing.label}: {error} Looking whether UP42 took it.")
        self._looks.clear()
        now = self._clock.now()
        doubtful = placing.next(
            state=State.CLAIMED,
            settled_from=self._settled_from(now),
            lease_until=self._lease(now),
            note=str(error),
            at=now,
        )
        self._book.write(number, doubtful)

    def _refused(self, number: int, placing: Intent, error: Up42Error) -> None:
        if self._book.write(number, _freed(placing, State.REFUSED, str(error), self._clock.now())):
            self._ledger.release(self._purchase.key, claim=number, journal=placing.journal)

    # --- afterwards ---

    def _adopt(self, intent: Intent, found: Sequence[Found[T]]) -> Bought[T]:
        first = found[0]
        priced = intent.next(credits=first.credits or intent.credits)
        ids = tuple(one.id for one in found)
        placed = self._book.record(priced, ids, note="Found at UP42.", at=self._clock.now())
        return self._bought(placed, found, adopted=not self._posts)

    def _finished(self, intent: Intent) -> Bought[T]:
        try:
            found = sorted((self._purchase.get(one) for one in intent.purchase_ids), key=preference)
        except NotFound as error:
            raise OrderContradicted(
                f"{intent.label}: the lake says that it was bought as {', '.join(intent.purchase_ids)}, and UP42 does "
                "not know that. If this lake belongs to another account, or to a sandbox that is gone, use another "
                "lake; to buy it again, raise the generation."
            ) from error
        return self._bought(intent, found, adopted=not self._posts)

    def _bought(self, intent: Intent, found: Sequence[Found[T]], *, adopted: bool) -> Bought[T]:
        """Put it on the ledger, whoever placed it and whenever."""
        first, *others = found
        credits = first.credits if intent.credits is None else intent.credits
        for one in found:
            # A purchase that was there before counts against the month in which it was made, and no run of ours.
            entry = self._entry(
                credits if one is first else one.credits,
                one.created_at or intent.at,
                run="" if adopted else self._run,
            )
            state = EntryState.RETURNED if one.returned else EntryState.SPENT
            self._ledger.found(entry.model_copy(update={"state": state, "purchase_ids": (one.id,)}))
        return Bought(
            id=first.id,
            record=first.record,
            credits=credits,
            adopted=adopted,
            others=tuple(one.id for one in others),
        )

    def _details(self, purchase_id: str, credits: int) -> Found[T]:
        try:
            return self._purchase.get(purchase_id)
        except Up42Error:  # the id was paid for and is written down; its details can wait
            return Found(id=purchase_id, record=None, credits=credits, created_at=None)

    def _let_go(self, error: BaseException) -> None:
        """Leave the intent so that nobody has to wait for the lease."""
        with suppress(Up42Error):  # or the reason would be hidden; the lease ends by itself
            number, intent = self._book.read(self._purchase.key)
            if intent is None or intent.holder != self._me:
                return
            now = self._clock.now()
            is_refused = isinstance(error, OrderRefused | TooLate)
            if intent.state == State.PLACING:  # interrupted in the middle of the POST
                intent, state = intent.next(settled_from=self._settled_from(now)), State.UNCLEAR
            elif isinstance(error, ApprovalRequired):
                intent, state = intent.next(credits=error.credits), State.WAITING
            elif intent.settled_from is not None and not is_refused:
                state = State.UNCLEAR
            else:
                state = State.REFUSED
            freed = self._book.write(number, _freed(intent, state, str(error) or type(error).__name__, now))
            if freed and is_refused:
                self._ledger.release(intent.key, claim=number, journal=intent.journal)

    # --- small things ---

    def _entry(self, credits: int, at: datetime, *, run: str, claim: int = 0, journal: str = "") -> Entry:
        return Entry(
            key=self._purchase.key,
            credits=credits,
            partition=self._purchase.partition,
            run=run,
            at=at,
            state=EntryState.RESERVED,
            claim=claim,
            journal=journal,
        )

    def _settled_from(self, now: datetime) -> datetime:
        """When a POST that left before now has settled, also by a clock that is ahead of this one."""
        return now + timedelta(seconds=self._timing.settling_s + self._timing.skew_s)

    def _lease(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self._timing.lease_s)


def _freed(intent: Intent, state: State, note: str, now: datetime) -> Intent:
    return intent.next(state=state, holder=None, lease_until=None, note=note, at=now)
