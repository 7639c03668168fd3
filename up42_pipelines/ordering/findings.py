"""What an audit of a pipeline's purchases can find."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum


class FindingKind(StrEnum):
    """What can be found."""

    WAITING = "waiting for approval"
    """An intent whose price needs a person's yes."""
    UNCLEAR = "unclear"
    """An intent of which nobody knows whether it was bought."""
    LEFT_PLACING = "left while placing"
    """An intent whose holder died around the POST."""
    ABANDONED = "abandoned claim"
    """An intent whose holder died before it sent anything."""
    NOT_LISTED = "not listed"
    """The lake says that it was bought, and UP42 does not show it."""
    UNKNOWN_ORDER = "unknown order"
    """An order of the pipeline that no intent knows."""
    DAMAGED_TAGS = "damaged tags"
    """An order that the pipeline does not find, or takes for another one."""
    DUPLICATE = "duplicate"
    """Several live orders with one key: bought twice."""
    RESERVED = "left reservation"
    """Credits that are reserved although nobody is buying."""
    CANCELLED = "cancelled, still counts"
    """Credits that count although UP42 gave them back."""
    UNCOUNTED = "not on the ledger"
    """An order whose credits do not count."""
    CREDITS = "credits differ"
    """The ledger counts other credits than the order's tags tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing on which lake and UP42 disagree, or that somebody has to end.

    Attributes:
        kind: a `FindingKind`.
        subject: order id, or the label of the intent.
        key: order key; None when it is not known.
        text: what is the matter and what to do next, for people.
        needs_person: False when a run of the partition, or a reclaim, settles it.
    """

    kind: str
    subject: str
    key: str | None
    text: str
    needs_person: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What an audit found.

    Attributes:
        pipeline: whose purchases.
        orders: how many orders UP42 shows.
        intents: how many intents the lake has.
        committed: credits that count on the ledger.
        findings: those that need a person first.
    """

    pipeline: str
    orders: int
    intents: int
    committed: int
    findings: tuple[Finding, ...]

    @property
    def needs_person(self) -> tuple[Finding, ...]:
        """The findings that do not settle themselves."""
        return tuple(finding for finding in self.findings if finding.needs_person)

    def summary(self) -> str:
        """One sentence for people."""
        seen = (
            f"Pipeline {self.pipeline}: {self.orders} orders at UP42, {self.intents} intents in the lake, "
            f"{self.committed} credits committed"
        )
        if not self.findings:
            return f"{seen}; they agree."
        kinds = Counter(str(finding.kind) for finding in self.findings)
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        return f"{seen}; {told}. {len(self.needs_person)} of {len(self.findings)} need a person."
