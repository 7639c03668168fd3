"""What a pipeline has committed, and whether one more purchase fits under its ceilings. Pure.

A purchase is on the sheet before the request that spends can leave (`reserve`), so whatever happens to the process, the
credits count. Only what certainly was not bought (`release`) or was given back (`returned`) stops counting. Doing the
same thing twice changes nothing; a function that has nothing to change gives back an equal sheet.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, NonNegativeInt

CeilingName = Literal["order", "run", "partition", "month", "pipeline"]
Credits = Annotated[float, Field(ge=0, allow_inf_nan=False)]
UtcTime = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]

_ADVICE: dict[CeilingName, str] = {
    "order": "Raise the ceiling or shrink the AOI.",
    "run": "Raise the ceiling or buy the rest in another run.",
    "partition": "Raise the ceiling, or shrink the AOI or choose fewer scenes.",
    "month": "Raise the ceiling or wait for next month.",
    "pipeline": "Raise the ceiling.",
}


class Ceilings(BaseModel):
    """The most that may be committed, in credits; None for no ceiling.

    Attributes:
        order: by one purchase.
        run: by the purchases of one run.
        partition: by the purchases of one partition.
        month: by the purchases of one calendar month, in UTC.
        pipeline: by all purchases of the pipeline, ever.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")  # a misspelt ceiling would be none

    order: Credits | None = None
    run: Credits | None = None
    partition: Credits | None = None
    month: Credits | None = None
    pipeline: Credits | None = None

    def limits(self) -> dict[CeilingName, float]:
        """The ceilings that are set, in the order in which they are checked."""
        every: dict[CeilingName, float | None] = {
            "order": self.order,
            "run": self.run,
            "partition": self.partition,
            "month": self.month,
            "pipeline": self.pipeline,
        }
        return {name: limit for name, limit in every.items() if limit is not None}


class EntryState(StrEnum):
    """What is known of a purchase."""

    RESERVED = "reserved"
    """The request that spends may leave, or may have left."""
    SPENT = "spent"
    """It exists at UP42."""
    RETURNED = "returned"
    """UP42 gave the credits back: it failed for good or was cancelled."""


class Entry(BaseModel):
    """One purchase on the sheet.

    Attributes:
        key: key of the purchase.
        credits: its price.
        partition: partition it is bought for; empty when not known.
        run: run that buys it; empty when not known.
        at: when, in UTC; its calendar month is the month that it counts in.
        state: what is known of it; a state that a newer version wrote is carried, and counts.
        purchase_ids: UP42's ids of what was bought.
        claim: version of the intent under which it was reserved: the fencing token. 0 when nobody reserved it.
        journal: of that intent (`Intent.journal`); only claims of the same one can be compared.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    key: str
    credits: NonNegativeInt
    partition: str
    run: str = ""
    at: UtcTime
    state: EntryState | str = Field(union_mode="left_to_right")
    purchase_ids: tuple[str, ...] = ()
    claim: NonNegativeInt = 0
    journal: str = ""

    @property
    def committed(self) -> int:
        """Credits that count: none when they were given back."""
        return 0 if self.state == EntryState.RETURNED else self.credits

    @property
    def month(self) -> str:
        """Calendar month in UTC, `2026-11`."""
        return month_of(self.at)


class Refusal(BaseModel):
    """Why a purchase does not fit.

    Attributes:
        ceiling: the first ceiling that does not hold.
        scope: which run, partition, month or pipeline; the key for an order.
        limit: the ceiling, in credits.
        committed: what others have committed under it, in credits.
        asked: price of the purchase, in credits.
    """

    model_config = ConfigDict(frozen=True)

    ceiling: CeilingName
    scope: str
    limit: float
    committed: int
    asked: int

    @property
    def left(self) -> float:
        """Credits left under the ceiling."""
        return max(0.0, self.limit - self.committed)

    def sentence(self, subject: str) -> str:
        """What to tell a person; `subject` is the purchase, as the first words of the sentence."""
        limit, left = f"{self.limit:.15g}", f"{self.left:.15g}"
        holds = f"is {limit}" if self.ceiling == "order" else f"({self.scope}, {limit} credits) has {left} left"
        return (
            f"{subject} would cost {self.asked} credits; the ceiling per {self.ceiling} {holds}. Nothing was placed. "
            f"{_ADVICE[self.ceiling]}"
        )


class Sheet(BaseModel):
    """All purchases of a pipeline.

    Attributes:
        pipeline: name of the pipeline.
        entries: by key.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    pipeline: str
    entries: dict[str, Entry] = Field(default_factory=dict)

    def committed(self, *, run: str | None = None, partition: str | None = None, month: str | None = None) -> int:
        """Credits committed by the entries of a run, a partition, a month (`2026-11`); None for any."""
        return sum(
            entry.committed
            for entry in self.entries.values()
            if (run is None or entry.run == run)
            and (partition is None or entry.partition == partition)
            and (month is None or entry.month == month)
        )

    def committed_beside(self, *, run: str, partition: str, month: str) -> dict[CeilingName, int]:
        """Credits that count under each ceiling before a purchase of this run, partition and month."""
        return {
            "order": 0,
            "run": self.committed(run=run),
            "partition": self.committed(partition=partition),
            "month": self.committed(month=month),
            "pipeline": self.committed(),
        }


def month_of(moment: datetime) -> str:
    """The calendar month of an instant in UTC, `2026-11`."""
    return f"{moment.astimezone(UTC):%Y-%m}"


def reserve(sheet: Sheet, entry: Entry, ceilings: Ceilings) -> Sheet | Refusal:
    """Put a purchase on the sheet before it is made, if it fits under every ceiling.

    An entry of the same key is replaced, whatever its state, and not counted against the new one. A refusal leaves the
    sheet as it is, with the old entry. So does an entry that was made under a later claim of the same intent: whoever
    asks was taken for dead, and does not come to buy.
    """
    known = sheet.entries.get(entry.key)
    if known is not None and known.journal == entry.journal and known.claim > entry.claim:
        return sheet
    wanted = _over(known, entry.model_copy(update={"state": EntryState.RESERVED}))
    if wanted == known:
        return sheet  # reserved by this very call, whose answer was lost
    others = sheet.model_copy(update={"entries": {key: one for key, one in sheet.entries.items() if key != entry.key}})
    committed = others.committed_beside(run=entry.run, partition=entry.partition, month=entry.month)
    scopes: dict[CeilingName, str] = {
        "order": entry.key,
        "run": entry.run,
        "partition": entry.partition,
        "month": entry.month,
        "pipeline": sheet.pipeline,
    }
    for name, limit in ceilings.limits().items():
        if entry.credits > 0 and committed[name] + entry.credits > limit:
            return Refusal(
                ceiling=name, scope=scopes[name], limit=limit, committed=committed[name], asked=entry.credits
            )
    return _put(sheet, wanted)


def release(sheet: Sheet, key: str, *, claim: int = 0, journal: str = "") -> Sheet:
    """Take a reservation back whose purchase certainly was not made; any other entry stays.

    Args:
        sheet: with the reservation.
        key: key of the purchase.
        claim: the version of the intent up to which reservations end. Somebody may have reserved the same key under a
            later one since: that stays.
        journal: of that intent. What was reserved under another one stays.
    """
    known = sheet.entries.get(key)
    if known is None or known.state != EntryState.RESERVED or known.journal != journal or known.claim > claim:
        return sheet
    return sheet.model_copy(update={"entries": {other: one for other, one in sheet.entries.items() if other != key}})


def returned(sheet: Sheet, key: str) -> Sheet:
    """Record that UP42 gave the credits back: the purchase failed for good or was cancelled."""
    known = sheet.entries.get(key)
    return sheet if known is None else _put(sheet, known.model_copy(update={"state": EntryState.RETURNED}))


def found(sheet: Sheet, entry: Entry) -> Sheet:
    """Record a purchase that exists at UP42, whatever the ceilings say.

    A reservation keeps its run, partition and time, and its price when the entry tells none (0). When the sheet knows
    other purchases of the same key, all of them count.

    Args:
        sheet: to put it on.
        entry: with the ids of the purchase; state `returned` when its credits were given back, else it counts as spent.
    """
    state = EntryState.RETURNED if entry.state == EntryState.RETURNED else EntryState.SPENT
    exists = entry.model_copy(update={"state": state})
    known = sheet.entries.get(entry.key)
    if known is None:
        return _put(sheet, exists)
    if known.state not in {EntryState.SPENT, EntryState.RETURNED}:
        price = entry.credits or known.credits
        changes = {"state": state, "credits": price, "purchase_ids": entry.purchase_ids}
        return _put(sheet, known.model_copy(update=changes))
    return _put(sheet, _together(known, exists))


def _together(known: Entry, other: Entry) -> Entry:
    """What two entries of one key say, of purchases that exist; in any order the same credits count."""
    new_ids = tuple(one for one in other.purchase_ids if one not in known.purchase_ids)
    ids = known.purchase_ids + new_ids
    if other.state == EntryState.RETURNED and len(ids) == len(other.purchase_ids):  # it speaks for all of them
        return known.model_copy(update={"state": EntryState.RETURNED, "purchase_ids": ids})
    if not new_ids:
        return known  # what was given back once is not spent again
    is_returned = known.state == other.state == EntryState.RETURNED
    return known.model_copy(
        update={
            "state": EntryState.RETURNED if is_returned else EntryState.SPENT,
            "credits": known.committed + other.committed,
            "purchase_ids": ids,
        }
    )


def _put(sheet: Sheet, entry: Entry) -> Sheet:
    return sheet.model_copy(update={"entries": {**sheet.entries, entry.key: entry}})


def _over(known: Entry | None, entry: Entry) -> Entry:
    """The entry, with what a newer version of this package may have noted on the one it replaces."""
    return entry if known is None else known.model_copy(update=dict(entry))
