"""Lake and UP42 brought together: reads what an audit compares, and ends what others left behind. Buys nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from up42_pipelines.api.order_status import OrderStatus
from up42_pipelines.api.orders import Order
from up42_pipelines.errors import NotFound, OrderContradicted, Up42Error
from up42_pipelines.ordering.adoption import plan_of
from up42_pipelines.ordering.audit import audit
from up42_pipelines.ordering.findings import AuditReport, Finding, FindingKind
from up42_pipelines.ordering.keys import OrderTags, pipeline_tag
from up42_pipelines.ordering.matching import contradiction
from up42_pipelines.ordering.plan import Purpose
from up42_pipelines.ordering.purchase import KIND, AccountApi, OrderPurchase, OrdersApi, carrying
from up42_pipelines.purchasing.budget import Entry, EntryState
from up42_pipelines.purchasing.buying import Buyer
from up42_pipelines.purchasing.intents import Intent, IntentBook, State
from up42_pipelines.purchasing.ledger import Ledger

_LEFT_BEHIND = (
    FindingKind.UNCLEAR,
    FindingKind.LEFT_PLACING,
    FindingKind.ABANDONED,
    FindingKind.RESERVED,
    FindingKind.UNCOUNTED,
)


def audit_pipeline(
    orders: OrdersApi, book: IntentBook, ledger: Ledger, *, now: datetime, jobs: Collection[str] = ()
) -> AuditReport:
    """Read what the lake and UP42 say about a pipeline's purchases, and compare.

    The orders are read first: what is bought meanwhile is then known to the lake, and asked for by its id. Jobs are not
    compared one by one: `jobs` are the keys of those that UP42 shows, when the ledger is a workflow's.
    """
    listed = list(orders.list(tags=[pipeline_tag(ledger.pipeline)]))
    sheet = ledger.sheet()
    intents = [intent for intent in book.all() if intent.pipeline == ledger.pipeline]
    known = {one for intent in intents if intent.kind == KIND for one in intent.purchase_ids}
    others = _existing(orders, sorted(known - {order.id for order in listed}))
    return audit(intents, sheet, [*listed, *others], pipeline=ledger.pipeline, now=now, jobs=jobs)


def settle(report: AuditReport, buyer: Buyer, orders: OrdersApi, *, jobs: Collection[str] = ()) -> None:
    """End what was left behind, as far as UP42 tells how: unfinished intents, reservations, credits given back.

    Takes up to the settling delay for each purchase that UP42 may have taken. What cannot be settled stays, and the
    buyer's `tell` is given the reason. `jobs` are those that the audit was given.
    """
    for finding in report.findings:
        try:
            _settle(finding, buyer, orders, jobs)
        except Up42Error as error:  # one that stays as it is must not keep the others
            buyer.tell(f"{finding.subject}: {error}")


def take_up(report: AuditReport, buyer: Buyer, orders: OrdersApi, account: AccountApi) -> list[str]:
    """Write the orders that no intent knows into the lake, as their tags tell. The ids of those that were written."""
    taken = []
    ids = [finding.subject for finding in report.findings if finding.kind == FindingKind.UNKNOWN_ORDER]
    for order in _existing(orders, ids):
        try:
            _take_up(order, buyer, orders, account)
        except Up42Error as error:  # one that cannot be read must not keep the others
            buyer.tell(f"{order.id}: {error}")
        else:
            taken.append(order.id)
    return taken


def _existing(orders: OrdersApi, order_ids: Sequence[str]) -> Iterator[Order]:
    for order_id in order_ids:
        try:
            yield orders.get(order_id)
        except NotFound:
            continue


def _settle(finding: Finding, buyer: Buyer, orders: OrdersApi, jobs: Collection[str]) -> None:
    if finding.key is None:
        return
    if finding.kind == FindingKind.CANCELLED:
        buyer.ledger.returned(finding.key)
    elif finding.kind in _LEFT_BEHIND:
        entry = buyer.ledger.sheet().entries.get(finding.key)
        if not _is_there(finding.key, buyer, orders, jobs) and entry is not None and _must_be_listed(entry, buyer):
            # Reserved under an intent that was removed; else the look-up has given it back.
            buyer.ledger.release(entry.key, claim=entry.claim, journal=entry.journal)


def _is_there(key: str, buyer: Buyer, orders: OrdersApi, jobs: Collection[str]) -> bool:
    """Whether UP42 has it, or nobody here can say; what an intent knows of it is ended, and so is its reservation."""
    _, intent = buyer.book.read(key)
    if intent is None:
        return key in jobs or bool(carrying(orders, key))
    purchase = buyer.restored(intent)
    return purchase is None or buyer.recover(purchase) is not None


def _must_be_listed(entry: Entry, buyer: Buyer) -> bool:
    """Whether UP42 would have to list by now what a reservation was made for."""
    timing = buyer.timing
    return buyer.clock.now() >= entry.at + timedelta(seconds=timing.lease_s + timing.skew_s + timing.settling_s)


def _take_up(order: Order, buyer: Buyer, orders: OrdersApi, account: AccountApi) -> None:
    tags = OrderTags.read(order.tags)
    if tags is None or order.data_product_id is None or order.workspace_id is None:
        raise OrderContradicted(f"Order {order.id} does not tell what it is any more; nothing was written for it.")
    purpose = Purpose(
        workspace_id=order.workspace_id,
        pipeline=tags.pipeline,
        partition=tags.partition,
        data_product=order.data_product_id,
    )
    purchase = OrderPurchase(replace(plan_of(order, purpose), key=tags.key), orders, account)
    _, known = buyer.book.read(tags.key)
    wanted = None if known is None else buyer.restored(known)
    if isinstance(wanted, OrderPurchase) and (why := contradiction(wanted.planned, order)):
        raise OrderContradicted(f"It carries key {tags.key} and is not what was to be bought: {why}. Remove the key.")
    now = datetime.now(UTC)
    intent = Intent(
        key=tags.key,
        kind=KIND,
        label=purchase.label,
        pipeline=tags.pipeline,
        partition=tags.partition,
        request=purchase.request,
        state=State.CLAIMED,
        credits=tags.credits,
        at=now,
    )
    buyer.book.record(intent, (order.id,), note="Taken up by an audit.", at=now)
    buyer.ledger.found(
        Entry(
            key=tags.key,
            credits=tags.credits,
            partition=tags.partition,
            at=order.created_at or now,
            state=EntryState.RETURNED if order.status == OrderStatus.CANCELED else EntryState.SPENT,
            purchase_ids=(order.id,),
        )
    )
