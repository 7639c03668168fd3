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
from up42_pipelines.ordering.keys import OrderTags, key_tag, pipeline_tag
from up42_pipelines.ordering.matching import contradiction
from up42_pipelines.ordering.plan import Purpose
from up42_pipelines.ordering.purchase import KIND, AccountApi, OrderPurchase, OrdersApi
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
        _, intent = buyer.book.read(finding.key)
        if intent is not None:
            if purchase := buyer.restored(intent):
                buyer.recover(purchase)
        elif finding.key not in jobs:
            _release(finding.key, buyer, orders)


def _release(key: str, buyer: Buyer, orders: OrdersApi) -> None:
    """Give back a reservation whose intent was removed, once UP42 would have to list what it was made for."""
    entry = buyer.ledger.sheet().entries.get(key)
    believed = timedelta(seconds=buyer.timing.lease_s + buyer.timing.skew_s + buyer.timing.settling_s)
    if entry is None or buyer.clock.now() < entry.at + believed:
        return
    tag = key_tag(key)
    tagged = any(tag in (order.tags or ()) for order in orders.list(tags=[tag]))
    if not tagged and not any(key in (order.display_name or "") for order in orders.list(display_name=key)):
        buyer.ledger.release(key, claim=entry.claim, journal=entry.journal)


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
