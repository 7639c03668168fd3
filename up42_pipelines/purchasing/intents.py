"""What is about to be bought, written down in the lake before anything is sent: one intent per order key.

An intent is a journal of versions, each written by create-only (`lake.journal`). The number of a version is the fencing
token of whoever wrote it: a process that was taken for dead cannot write the next one, and so cannot go on to the POST.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from up42_pipelines.errors import LakeError, OrderContradicted
from up42_pipelines.lake import Journal, Lake

FOLDER = ("purchases", "intents")


class State(StrEnum):
    """Where a purchase stands."""

    CLAIMED = "claimed"
    """Somebody looks it up and prices it. Under this claim nothing was sent."""
    PLACING = "placing"
    """Written ahead of the POST: it may be on its way, or have arrived."""
    PLACED = "placed"
    """It exists at UP42."""
    UNCLEAR = "unclear"
    """A POST was sent, nobody knows whether it was carried out, and nobody is looking."""
    REFUSED = "refused"
    """Nothing was bought, and the note says why. The next run tries again."""
    WAITING = "waiting"
    """Its price needs a person's approval."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Approval(_Record):
    """A person's yes to a price.

    Attributes:
        credits: the price that was approved.
        by: who, as they call themselves.
        at: when, UTC.
    """

    credits: int
    by: str
    at: datetime


class Intent(_Record):
    """One version of an intent.

    Attributes:
        key: order key.
        kind: `order` or `job`.
        label: what it is, for people.
        pipeline: on whose behalf.
        partition: partition key.
        request: what would be sent, without the price.
        journal: names this folder of versions; another one if the intent was removed and begun anew.
        state: where it stands; a state of a newer version of this package is carried as text.
        holder: the process that has it, while claimed or placing.
        run: the run that it is, or was, bought by.
        lease_until: when the holder is taken for dead unless it writes again, UTC.
        settled_from: UP42's list is believed from then on (UTC), because a POST before may show up late. None when no
            POST was ever left without a clear answer.
        credits: the price estimated last.
        approval: a person's approval of the price.
        purchase_ids: every id that UP42 ever gave for this key.
        note: what happened last, for people.
        at: when this version was written, UTC.
    """

    key: str
    kind: str
    label: str
    pipeline: str
    partition: str
    request: dict[str, Any]
    journal: str = ""
    state: State | str = Field(union_mode="left_to_right")
    holder: str | None = None
    run: str | None = None
    lease_until: datetime | None = None
    settled_from: datetime | None = None
    credits: int | None = None
    approval: Approval | None = None
    purchase_ids: tuple[str, ...] = ()
    note: str = ""
    at: datetime

    @property
    def may_be_out(self) -> bool:
        """Whether a POST may have left of which nobody knows yet what became; also in a newer version's state."""
        if self.state == State.CLAIMED:
            return self.settled_from is not None
        return self.state not in (State.PLACED, State.REFUSED, State.WAITING)

    def next(self, **changes: Any) -> Intent:
        """The intent with changes, for the next version."""
        return self.model_copy(update=changes)


class IntentBook:
    """All intents of a lake.

    A version is an object `purchases/intents/<key>/<number>.json`.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def read(self, key: str) -> tuple[int, Intent | None]:
        """The latest version's number and the intent; 0 and None where there is none.

        Raises:
            LakeError: it cannot be read. Nothing may be bought then.
        """
        version = self._journal(key).latest()
        if version is None:
            return 0, None
        try:
            return version.number, Intent.model_validate(version.document)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
            raise LakeError(
                f"The intent in {self._lake.path(*FOLDER, key)}, version {version.number}, cannot be read: {problems}. "
                "Nothing is bought while it is like that. Restore it; or, when nothing has run for the settling delay, "
                "remove that folder: the order is then looked up at UP42."
            ) from error

    def write(self, after: int, intent: Intent) -> bool:
        """Write the version that follows `after`; False when somebody else wrote it first."""
        return self._journal(intent.key).append(after, intent.model_dump(mode="json", exclude_none=True))

    def record(self, intent: Intent, purchase_ids: tuple[str, ...], *, note: str, at: datetime) -> Intent:
        """Write that these ids exist, whoever holds the intent meanwhile: an id that was paid for is never lost.

        Raises:
            LakeError: it cannot be written; the message names the ids.
        """
        for _ in range(_TRIES):
            number, now = self.read(intent.key)
            now = now or intent
            known = tuple(dict.fromkeys((*now.purchase_ids, *purchase_ids)))
            if now.state == State.PLACED and known == now.purchase_ids:
                return now
            placed = now.next(
                state=State.PLACED,
                purchase_ids=known,
                credits=intent.credits,
                run=intent.run,
                holder=None,
                lease_until=None,
                note=note,
                at=at,
            )
            if self.write(number, placed):
                return placed
        raise LakeError(
            f"{intent.label}: {', '.join(purchase_ids)} exists at UP42 and could not be written to the lake, because "
            "others kept writing. Run again: it is found by its tag."
        )

    def approve(self, key: str, *, credits: int | None, by: str, at: datetime) -> Intent:
        """Write a person's yes to the price of an intent that waits for one.

        Args:
            key: order key.
            credits: the price that is approved; the one it waits with when None.
            by: who approves.
            at: now, UTC.

        Raises:
            OrderContradicted: nothing with this key waits for approval.
        """
        for _ in range(_TRIES):
            number, intent = self.read(key)
            if intent is None or intent.state != State.WAITING or intent.credits is None:
                state = "there is no such intent" if intent is None else f"it is {intent.state}"
                raise OrderContradicted(f"Order key {key} does not wait for approval: {state}. Nothing was changed.")
            approval = Approval(credits=intent.credits if credits is None else credits, by=by, at=at)
            note = f"{by} approved {approval.credits} credits."
            approved = intent.next(approval=approval, note=note, at=at)
            if self.write(number, approved):
                return approved
        raise LakeError(f"Order key {key} could not be approved, because others kept writing. Try again.")

    def all(self) -> Iterator[Intent]:
        """Every intent of the lake, by key."""
        for key in self._lake.list(*FOLDER):
            _, intent = self.read(key)
            if intent is not None:
                yield intent

    def _journal(self, key: str) -> Journal:
        return Journal(self._lake, *FOLDER, key)


_TRIES = 50
"""To write against others; each failure means that another writer succeeded."""
