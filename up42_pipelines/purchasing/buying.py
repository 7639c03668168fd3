"""Buying once, carried out: reads and writes intents, looks up, reserves, sends the POST, records what came back."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

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
from up42_pipelines.uptime import uptime_s

T = TypeVar("T")

_AMBIGUOUS = (AnswerLost, ServerProblem, UnexpectedAnswer)
"""After these nobody knows whether the request was carried out."""


class Purchase(Protocol[T]):
    """One thing to buy, at UP42: an order, or a processing job.

    Attributes:
        key: order key; UP42 keeps it with what was bought (tags and display name, or title).
        kind: `order` or `job`.
        label: what it is, for messages: the start of a sentence.
        pipeline: on whose behalf.
        partition: partition key.
        request: what would be sent, JSON; enough to look for it again in another process.
    """

    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def pipeline(self) -> str: ...  # noqa: D102
    @property
    def partition(self) -> str: ...  # noqa: D102
    @property
    def request(self) -> Mapping[str, Any]: ...  # noqa: D102

    def find(self) -> Sequence[Found[T]]:
        """Everything at UP42 that carries the key, from a complete listing, compared with what is to be bought."""

    def price(self) -> int:
        """The estimate in whole credits, rounded up. Free. Raises OrderRefused when UP42 names no price."""

    def check_funds(self, credits: int) -> None:
        """Raise BudgetExceeded when the account's balance or its UP42 budget would not cover so many credits."""

    def place(self, credits: int, *, not_after: float) -> Sequence[str]:
        """Spend: one POST, sent before this instant of `uptime_s` or not at all. The ids that came back.

        Raises:
            TooLate: it was not sent.
            OrderRefused: UP42 answered that it does not take it.
            UnexpectedAnswer: an answer that says neither.
        """

    def get(self, purchase_id: str) -> Found[T]:
        """What exists under an id. Raises NotFound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought(Generic[T]):
    """Something that exists at UP42.

    Attributes:
        id: of the order or job.
        record: as UP42 answered last; None when its details could not be read yet.
        credits: what it costs, as far as is known.
        adopted: True when it existed before this call.
        others: further ids with the same key; not empty means that something was bought twice.
    """

    id: str
    record: T | None
    credits: int
    adopted: bool
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The time, and a way to let it pass; tests bring their own."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    uptime_s: Callable[[], float] = uptime_s


class Buyer:
    """Buys on behalf of one pipeline.

    Args:
        book: the intents of the lake.
        ledger: the pipeline's ledger, with its ceilings.
        approvals: which prices need a person.
        run: the run on whose ceiling purchases count.
        restore: by kind, what makes a purchase of an intent again, to find out what became of it.
        timing: delays.
        tell: is given a sentence whenever something takes its time.
        clock: the time.
    """

    def __init__(
        self,
        book: IntentBook,
        ledger: Ledger,
        *,
        approvals: Approvals,
        run: str,
        restore: Mapping[str, Callable[[Intent], Purchase[Any]]],
        timing: Timing | None = None,
        tell: Callable[[str], None] = lambda _: None,
        clock: Clock | None = None,
    ) -> None:
        self.book, self.ledger, self.run, self._restore = book, ledger, run, restore
        self.approvals, self.timing, self.tell = approvals, timing or Timing(), tell
        self.clock = clock or Clock()

    def buy(self, purchase: Purchase[T]) -> Bought[T]:
        """Make sure that it exists at UP42, once.

        What failed or was cancelled at UP42 counts as bought: only a person buys again, by raising the generation.

        Raises:
            BudgetExceeded: a ceiling, the balance or the UP42 budget does not allow it; nothing was bought.
            ApprovalRequired: its price waits for a person; nothing was bought.
            OrderRefused: UP42 does not take it; nothing was bought.
            OrderContradicted: what carries the key at UP42 is something else.
            OrderUnclear: UP42 may have taken it. Run again: it is looked up first.
            ApiError, Unreachable: a free call failed; nothing was bought.
            LakeError: the lake cannot be read or written. What was sent is found by its key.
        """
        return _Attempt(self, purchase, may_place=True).run()

    def recover(self, purchase: Purchase[T]) -> Bought[T] | None:
        """Find out what became of a purchase that somebody left behind, without buying; None when it does not exist.

        Its reservation is settled, or given back.
        """
        try:
            return _Attempt(self, purchase, may_place=False).run()
        except _NotThereError:
            return None

    def reclaim(self, *, wait: bool = True) -> list[str]:
        """Settle or give back the reservations that others left behind, by asking UP42. Their keys.

        Args:
            wait: also those that UP42's list cannot be asked about yet; this takes up to the settling delay for each.
        """
        reclaimed = []
        for entry in self.ledger.reserved():
            _, intent = self.book.read(entry.key)
            if intent is None or intent.kind not in self._restore or (not wait and self._is_pending(intent)):
                continue
            self.tell(f"{intent.label}: reserved by another run; asking UP42 what became of it.")
            try:
                self.recover(self._restore[intent.kind](intent))
            except Up42Error as error:  # one that stays unclear must not keep the others
                self.tell(f"{intent.label}: its reservation stays. {error}")
            else:
                reclaimed.append(entry.key)
        return reclaimed

    def _is_pending(self, intent: Intent) -> bool:
        """Whether nothing can be said about it yet: somebody is at it, or the list is not to be believed."""
        now = self.clock.now()
        match next_action(intent, (), me="", now=now, timing=self.timing):
            case Wait():
                return True
            case Claim(settled_from):
                return settled_from is not None and settled_from > now
        return False


class _NotThereError(OrderRefused):
    """It does not exist, and was not to be placed."""


class _Attempt(Generic[T]):
    """One call for one purchase."""

    def __init__(self, buyer: Buyer, purchase: Purchase[T], *, may_place: bool) -> None:
        self._buyer, self._purchase, self._may_place = buyer, purchase, may_place
        self._book, self._ledger = buyer.book, buyer.ledger
        self._timing, self._clock, self._tell = buyer.timing, buyer.clock, buyer.tell
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
                run=self._buyer.run,
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
            raise _NotThereError(f"{purchase.label}: UP42 shows nothing with key {purchase.key}.")
        if self._posts >= self._timing.posts:
            raise OrderUnclear(
                f"{purchase.label}: {self._posts} requests in a row stayed without a clear answer, and UP42 shows "
                "nothing with this key. Run again later: it is looked up before anything is placed."
            )
        credits = purchase.price()
        self._buyer.approvals.check(intent, credits)
        purchase.check_funds(credits)
        self._reserve(number, credits)
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

    def _reserve(self, claim: int, credits: int) -> None:
        entry = self._entry(credits, self._clock.now(), run=self._buyer.run, claim=claim)
        try:
            self._ledger.reserve(entry)
        except BudgetExceeded:
            if not self._buyer.reclaim(wait=False):
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
            self._ledger.release(self._purchase.key, claim=number)

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
                run="" if adopted else self._buyer.run,
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
                self._ledger.release(intent.key, claim=number)

    # --- small things ---

    def _entry(self, credits: int, at: datetime, *, run: str, claim: int = 0) -> Entry:
        return Entry(
            key=self._purchase.key,
            credits=credits,
            partition=self._purchase.partition,
            run=run,
            at=at,
            state=EntryState.RESERVED,
            claim=claim,
        )

    def _settled_from(self, now: datetime) -> datetime:
        """When a POST that left before now has settled, also by a clock that is ahead of this one."""
        return now + timedelta(seconds=self._timing.settling_s + self._timing.skew_s)

    def _lease(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self._timing.lease_s)


def _freed(intent: Intent, state: State, note: str, now: datetime) -> Intent:
    return intent.next(state=state, holder=None, lease_until=None, note=note, at=now)
