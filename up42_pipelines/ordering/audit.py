"""Whether the lake and UP42 say the same about a pipeline's purchases, and what to do where they do not. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from up42_pipelines.api.order_status import OrderStatus
from up42_pipelines.api.orders import Order
from up42_pipelines.ordering.findings import AuditReport, Finding, FindingKind
from up42_pipelines.ordering.keys import OrderTags, key_tag, partition_tag, pipeline_tag
from up42_pipelines.ordering.purchase import KIND
from up42_pipelines.purchasing.budget import Entry, EntryState, Sheet
from up42_pipelines.purchasing.intents import Intent, State


def audit(
    intents: Iterable[Intent],
    sheet: Sheet,
    orders: Iterable[Order],
    *,
    pipeline: str,
    now: datetime,
    jobs: Collection[str] = (),
) -> AuditReport:
    """Compare what a pipeline has written down with what UP42 shows.

    Args:
        intents: of the lake; those of other pipelines are left out.
        sheet: the pipeline's ledger.
        orders: what UP42 lists under the pipeline's tag, and what it shows of the orders that the intents know by id:
            tags can be lost, and a list may be late.
        pipeline: name of the pipeline.
        now: UTC.
        jobs: keys of the jobs that UP42 shows under this name, when it is a workflow's: they count on its ledger.
    """
    mine = {intent.key: intent for intent in intents if intent.pipeline == pipeline}
    shown = {order.id: order for order in orders}
    known_by = {one: intent for intent in mine.values() for one in intent.purchase_ids}
    books = _Books(
        pipeline=pipeline,
        now=now,
        intents=mine,
        entries=sheet.entries,
        orders=shown,
        known_by=known_by,
        jobs=frozenset(jobs),
    )
    findings = [*_of_intents(books), *_of_orders(books), *_of_keys(books), *_of_entries(books)]
    return AuditReport(
        pipeline=pipeline,
        orders=sum(books.is_ours(order) for order in shown.values()),
        intents=len(mine),
        committed=sheet.committed(),
        findings=tuple(sorted(findings, key=lambda finding: not finding.needs_person)),
    )


_CANCELED = OrderStatus.CANCELED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Books:
    """Everything that is compared; intents and entries by key, orders by id, `known_by` an intent by order id.

    `jobs` are keys.
    """

    pipeline: str
    now: datetime
    intents: dict[str, Intent]
    entries: dict[str, Entry]
    orders: dict[str, Order]
    known_by: dict[str, Intent]
    jobs: frozenset[str]

    def is_ours(self, order: Order) -> bool:
        return order.id in self.known_by or pipeline_tag(self.pipeline) in (order.tags or ())

    def key_of(self, order: Order) -> str | None:
        """The lake knows it by id; else its tags tell, if they are ours."""
        if order.id in self.known_by:
            return self.known_by[order.id].key
        tags = OrderTags.read(order.tags)
        return tags.key if tags is not None and tags.pipeline == self.pipeline else None

    def is_busy(self, intent: Intent | None) -> bool:
        """Whether somebody is buying it just now."""
        return (
            intent is not None
            and intent.holder is not None
            and intent.lease_until is not None
            and self.now < intent.lease_until
        )

    def command(self, arguments: str) -> str:
        return f"`up42-pipelines orders audit --pipeline {self.pipeline} {arguments}`"


def _of_intents(books: _Books) -> Iterator[Finding]:
    for intent in books.intents.values():
        if books.is_busy(intent) or intent.state == State.REFUSED:
            continue
        if intent.state == State.PLACED:
            missing = [one for one in intent.purchase_ids if one not in books.orders]
            if intent.kind == KIND and missing:
                yield _not_listed(intent, missing)
            continue
        yield _unfinished(books, intent)


def _not_listed(intent: Intent, missing: list[str]) -> Finding:
    return Finding(
        kind=FindingKind.NOT_LISTED,
        subject=intent.label,
        key=intent.key,
        text=f"The lake says that it was bought as {', '.join(missing)}, and UP42 does not show that. If this lake "
        "belongs to another account or workspace, use another lake; if UP42 has lost it, raise the generation to buy "
        "it again.",
        needs_person=True,
    )


def _unfinished(books: _Books, intent: Intent) -> Finding:
    again = f"Run partition {intent.partition} again, or {books.command('--reclaim')}"
    kind, text = FindingKind.UNCLEAR, f"It is {intent.state}: UP42 may have taken it ({intent.note}). {again}."
    if intent.state == State.WAITING:
        kind = FindingKind.WAITING
        text = (
            f"It would cost {intent.credits} credits and needs a person's approval: `up42-pipelines orders approve "
            f"{intent.key}`, then run partition {intent.partition} again."
        )
        if intent.approval is not None and intent.approval.at >= intent.at:
            text = (
                f"{intent.approval.by} approved {intent.approval.credits} credits, and nothing has bought it since: "
                f"run partition {intent.partition} again."
            )
    elif intent.state == State.PLACING:
        kind = FindingKind.LEFT_PLACING
        text = f"{intent.holder} wrote that it sends the request and was not heard of since. {again} to find out."
    elif not intent.may_be_out:
        kind = FindingKind.ABANDONED
        text = f"{intent.holder} began to buy it and was not heard of since; nothing was sent. {again}."
    return Finding(
        kind=kind, subject=intent.label, key=intent.key, text=text, needs_person=kind != FindingKind.ABANDONED
    )


def _of_orders(books: _Books) -> Iterator[Finding]:
    for order in books.orders.values():
        if not books.is_ours(order):
            continue
        intent, key = books.known_by.get(order.id), books.key_of(order)
        if intent is not None:
            expected = (
                pipeline_tag(intent.pipeline),
                partition_tag(intent.pipeline, intent.partition),
                key_tag(intent.key),
            )
            if lost := [tag for tag in expected if tag not in (order.tags or ())]:
                add = " ".join(f'--add "{tag}"' for tag in lost)
                yield _damaged(order, key, f"It lacks {', '.join(lost)}: `up42-pipelines orders tag {order.id} {add}`.")
        elif key is None:
            yield _damaged(
                order,
                key,
                f"Its tags cannot be read ({', '.join(order.tags or ())}), so no partition sees it. Adopt it for its "
                f"partition: `up42-pipelines orders adopt {order.id}`, or remove {pipeline_tag(books.pipeline)} from "
                "it.",
            )
        elif not books.is_busy(books.intents.get(key)):
            yield _unknown(books, order, key)


def _damaged(order: Order, key: str | None, text: str) -> Finding:
    return Finding(kind=FindingKind.DAMAGED_TAGS, subject=order.id, key=key, text=text, needs_person=True)


def _unknown(books: _Books, order: Order, key: str) -> Finding:
    """Bought elsewhere, by hand, or before somebody removed the lake's `purchases`."""
    entry = books.entries.get(key)
    counts = entry is not None and order.id in entry.purchase_ids
    uncounted = not counts and order.status != _CANCELED
    told = " Its credits do not count on the ledger." if uncounted else ""
    return Finding(
        kind=FindingKind.UNKNOWN_ORDER,
        subject=order.id,
        key=key,
        text=f"It carries the pipeline's tags, and no intent knows it: it was bought elsewhere, or the lake's intents "
        f"were removed.{told} The next run of its partition takes it up, and so does {books.command('--adopt')}.",
        needs_person=uncounted,
    )


def _of_keys(books: _Books) -> Iterator[Finding]:
    """Keys that were bought several times."""
    live: defaultdict[str, list[Order]] = defaultdict(list)
    for order in books.orders.values():
        key = books.key_of(order)
        if key is not None and not order.is_failed:
            live[key].append(order)
    for key, several in live.items():
        if len(several) > 1:
            first, *others = sorted(several, key=lambda order: (order.created_at is None, order.created_at, order.id))
            yield Finding(
                kind=FindingKind.DUPLICATE,
                subject=first.id,
                key=key,
                text=f"{', '.join(other.id for other in others)} has the same key and is live as well: it was bought "
                f"{len(several)} times. `up42-pipelines orders cancel` the newer ones while UP42 allows it, and find "
                "out who bought without this lake.",
                needs_person=True,
            )


def _of_entries(books: _Books) -> Iterator[Finding]:
    for entry in books.entries.values():
        if entry.state == EntryState.RETURNED:
            continue
        look = _reserved if entry.state == EntryState.RESERVED else _counted
        if finding := look(books, entry, books.intents.get(entry.key)):
            yield finding
    for intent in books.intents.values():
        paid = [one for one in intent.purchase_ids if one in books.orders and books.orders[one].status != _CANCELED]
        if paid and intent.key not in books.entries:
            yield Finding(
                kind=FindingKind.UNCOUNTED,
                subject=intent.label,
                key=intent.key,
                text=f"It was bought as {', '.join(paid)}, and the ledger does not count it. The next run of partition "
                f"{intent.partition} puts it there, and so does {books.command('--reclaim')}.",
                needs_person=False,
            )


def _reserved(books: _Books, entry: Entry, intent: Intent | None) -> Finding | None:
    """A reservation of nobody; those of unfinished intents are told there."""
    if intent is None:
        text = (
            f"{entry.credits} credits are reserved, and no intent says what for: the lake's intents were removed. Run "
            f"partition {entry.partition} again; if it does not want this any more, {books.command('--reclaim')} asks "
            "UP42 for it, and gives the credits back when it is not there."
        )
    elif intent.state in (State.PLACED, State.REFUSED):
        text = (
            f"{entry.credits} credits are reserved although it is {intent.state}: whoever bought it died before it "
            f"wrote the ledger. {books.command('--reclaim')} settles it."
        )
    else:
        return None
    subject = entry.key if intent is None else intent.label
    return Finding(kind=FindingKind.RESERVED, subject=subject, key=entry.key, text=text, needs_person=intent is None)


def _counted(books: _Books, entry: Entry, intent: Intent | None) -> Finding | None:
    """An entry whose credits count, beside the orders that it stands for."""
    paid = [books.orders[one] for one in entry.purchase_ids if one in books.orders]
    subject = ", ".join(entry.purchase_ids) or entry.key
    if not paid and intent is None and entry.key not in books.jobs:
        return Finding(
            kind=FindingKind.NOT_LISTED,
            subject=subject,
            key=entry.key,
            text=f"The ledger counts {entry.credits} credits for it, no intent knows it, and UP42 does not show "
            "it. Its tags may have been removed: look with `up42-pipelines orders show`.",
            needs_person=True,
        )
    if len(paid) < len(entry.purchase_ids):
        return None  # not listed, which its intent tells; or jobs
    if paid and all(order.status == _CANCELED for order in paid):
        return Finding(
            kind=FindingKind.CANCELLED,
            subject=subject,
            key=entry.key,
            text=f"It was cancelled, and the ledger still counts {entry.credits} credits for it. "
            f"{books.command('--reclaim')} gives them back.",
            needs_person=False,
        )
    prices = [tags.credits for order in paid if (tags := OrderTags.read(order.tags)) is not None]
    if len(prices) == len(paid) and all(prices) and sum(prices) != entry.credits:
        return Finding(
            kind=FindingKind.CREDITS,
            subject=subject,
            key=entry.key,
            text=f"The ledger counts {entry.credits} credits, the tags tell {sum(prices)}. Compare with the invoice; "
            "ceilings go by the ledger.",
            needs_person=True,
        )
    return None
