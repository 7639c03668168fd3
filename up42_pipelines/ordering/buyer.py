"""What buys a pipeline's orders: the lake's intents, the pipeline's ledger, and UP42."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from up42_pipelines.api.order_status import OrderStatus
from up42_pipelines.lake import Lake
from up42_pipelines.ordering.keys import OrderTags, pipeline_tag
from up42_pipelines.ordering.purchase import KIND, AccountApi, OrderPurchase, OrdersApi
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings, Entry, EntryState
from up42_pipelines.purchasing.buying import Buyer
from up42_pipelines.purchasing.intents import IntentBook
from up42_pipelines.purchasing.ledger import Ledger
from up42_pipelines.purchasing.protocol import Timing


def order_buyer(
    orders: OrdersApi,
    account: AccountApi,
    lake: Lake,
    pipeline: str,
    *,
    ceilings: Ceilings,
    approvals: Approvals,
    run: str,
    timing: Timing | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Buyer:
    """The buyer of a pipeline's orders.

    Args:
        orders: the orders of the workspace.
        account: the account that pays.
        lake: where intents and ledger are kept.
        pipeline: name of the pipeline.
        ceilings: what it may commit.
        approvals: which prices need a person.
        run: the run on whose ceiling orders count.
        timing: delays.
        tell: is given a sentence whenever something takes its time.

    Raises:
        LakeError: the lake does not refuse to create what exists; with it nothing could be bought exactly once.
    """
    lake.check_create_only()
    return Buyer(
        IntentBook(lake),
        Ledger(lake, pipeline, ceilings, found_at_up42=lambda: entries_at_up42(orders, pipeline)),
        approvals=approvals,
        run=run,
        restore={KIND: lambda intent: OrderPurchase.of_intent(intent, orders, account)},
        timing=timing,
        tell=tell,
    )


def entries_at_up42(orders: OrdersApi, pipeline: str) -> Iterator[Entry]:
    """The pipeline's orders as UP42 lists them, as entries of its ledger."""
    for order in orders.list(tags=[pipeline_tag(pipeline)]):
        tags = OrderTags.read(order.tags)
        if tags is None or tags.pipeline != pipeline:
            continue
        yield Entry(
            key=tags.key,
            credits=tags.credits,
            partition=tags.partition,
            at=order.created_at or datetime.now(UTC),
            state=EntryState.RETURNED if order.status == OrderStatus.CANCELED else EntryState.SPENT,
            purchase_ids=(order.id,),
        )
