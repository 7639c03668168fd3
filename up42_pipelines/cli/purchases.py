"""`orders waiting`, `approve`, `audit`, `adopt`, and `ledger`: a pipeline's purchases, and what people decide."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

import click
from rich.text import Text

from up42_pipelines.cli.account import with_client
from up42_pipelines.cli.exits import FAILED
from up42_pipelines.cli.lakes import lake_option, open_ledger
from up42_pipelines.cli.orders import orders
from up42_pipelines.cli.output import Column, Output, example, json_option, note
from up42_pipelines.cli.wording import price

if TYPE_CHECKING:
    from up42_pipelines.api import Order, Up42Client
    from up42_pipelines.ordering.findings import AuditReport
    from up42_pipelines.ordering.plan import PlannedOrder
    from up42_pipelines.purchasing.budget import Entry
    from up42_pipelines.purchasing.buying import Buyer
    from up42_pipelines.purchasing.intents import Intent

_WAITING: Sequence[Column[Intent]] = (
    Column("key", lambda intent: intent.key),
    Column("credits", lambda intent: str(intent.credits), right=True),
    Column("approved", lambda intent: str(intent.approval.credits) if intent.approval else None, right=True),
    Column("pipeline", lambda intent: intent.pipeline),
    Column("what", lambda intent: intent.label),
)
_pipeline_option = click.option("--pipeline", required=True, help="Name of the pipeline.")
_buyer_option = click.option("--pipeline", required=True, help="Name of the pipeline, or of the workflow.")


@orders.command(epilog=example("orders waiting"))
@lake_option
@json_option
def waiting(lake_url: str, out: Output) -> None:
    """List what waits for a person's approval because of its price."""
    from up42_pipelines.lake import Lake
    from up42_pipelines.purchasing.intents import IntentBook, State

    found = (intent for intent in IntentBook(Lake(lake_url)).all() if intent.state == State.WAITING)
    out.listing(found, _WAITING, nothing="Nothing waits for approval.", raw=_as_document)


@orders.command(epilog=example("orders approve KEY --credits 1200"))
@click.argument("key")
@click.option("--credits", type=click.IntRange(min=0), help="The price [default: the one it waits with].")
@click.option("--by", help="Who approves [default: the name of your login].")
@lake_option
@json_option
def approve(key: str, credits: int | None, by: str | None, lake_url: str, out: Output) -> None:
    """Say yes to the price of an order or job that waits. The next run of its partition buys it.

    Is the price another one by then, it waits again.
    """
    from up42_pipelines.lake import Lake
    from up42_pipelines.purchasing.intents import IntentBook

    intent = IntentBook(Lake(lake_url)).approve(key, credits=credits, by=by or _login(), at=datetime.now(UTC))
    out.record(
        _as_document(intent),
        {"key": intent.key, "what": intent.label, "partition": intent.partition, "approval": intent.note},
    )


@orders.command(epilog=example("orders audit --pipeline optical_archive"))
@_buyer_option
@click.option("--reclaim", is_flag=True, help="First end what dead runs left behind, as UP42 tells.")
@click.option("--adopt", is_flag=True, help="First write orders that carry the pipeline's tags into the lake.")
@lake_option
@json_option
@with_client
def audit(client: Up42Client, pipeline: str, reclaim: bool, adopt: bool, lake_url: str, out: Output) -> None:
    """Compare the books of a pipeline or workflow with UP42.

    Jobs are not compared one by one; what dead runs left behind of them is told, and ended, as of orders. Exits with 1
    when something needs a person. Buys nothing.
    """
    from up42_pipelines.ordering.reconciliation import audit_pipeline, settle, take_up
    from up42_pipelines.processing.buyer import entries_at_up42

    buyer = _buyer(client, lake_url, pipeline)
    jobs = {entry.key for entry in entries_at_up42(client.processing, pipeline)}
    if not jobs and not _is_known(client, lake_url, buyer):
        raise click.UsageError(f"Neither lake {lake_url} nor UP42 knows anything of a pipeline {pipeline!r}.")

    def compared() -> AuditReport:
        return audit_pipeline(client.orders, buyer.book, buyer.ledger, now=datetime.now(UTC), jobs=jobs)

    report = compared()
    if reclaim:
        settle(report, buyer, client.orders, jobs=jobs)
    if adopt:
        take_up(report, buyer, client.orders, client.account)
    if reclaim or adopt:
        report = compared()
    _print_report(report, out)
    if report.needs_person:
        raise click.exceptions.Exit(FAILED)


@orders.command(epilog=example('orders adopt ORDER_ID --pipeline optical_archive --partition "berlin|2026-06-01"'))
@click.argument("order_id")
@_pipeline_option
@click.option("--partition", required=True, help="Partition key that it is delivered for.")
@click.option("--generation", type=click.IntRange(min=1), default=1, show_default=True, help="As of the orders asset.")
@click.option("--any-area", is_flag=True, help="Also when its area is not the planned one.")
@click.option("--credits", type=click.IntRange(min=0), help="What it cost [default: what it would cost now].")
@lake_option
@json_option
@with_client
def adopt(
    client: Up42Client,
    order_id: str,
    pipeline: str,
    partition: str,
    generation: int,
    any_area: bool,
    credits: int | None,
    lake_url: str,
    out: Output,
) -> None:
    """Give an order that was placed by hand to a pipeline.

    The pipeline then fetches it, and does not buy it again. It must be what the pipeline has planned for the partition,
    as far as the lake knows; where it knows nothing, the order itself tells product, scene and area.
    """
    from up42_pipelines.ordering.adoption import adopt_order, chosen_plan, plan_of
    from up42_pipelines.ordering.plan import Purpose

    order = client.orders.get(order_id)
    buyer = _buyer(client, lake_url, pipeline)
    if plans := _plans(client, buyer, partition, generation):
        planned = chosen_plan(order, plans, any_area=any_area)
    else:
        note(
            f"The lake knows no plan for {partition}: product, scene and area are taken from the order. A pipeline "
            "that wants something else, or sets order parameters, would buy its own."
        )
        product = order.data_product_id
        purpose = Purpose(
            workspace_id=client.workspace_id,
            pipeline=pipeline,
            partition=partition,
            data_product=product or "",
            generation=generation,
        )
        is_clipped = product is not None and client.catalog.order_form(product).is_clipped
        planned = plan_of(order, purpose, is_clipped=is_clipped)
    adopted = adopt_order(order, planned, buyer=buyer, orders=client.orders, account=client.account, credits=credits)
    now: Order = adopted.record or order
    out.record(
        now.raw, {"order": now.id, "key": planned.key, "credits": price(adopted.credits), "tags": now.tags or None}
    )


@click.group()
def ledger() -> None:
    """Look at what a pipeline or workflow has committed."""


@ledger.command(epilog=example("ledger show --pipeline optical_archive"))
@_buyer_option
@lake_option
@json_option
def show(pipeline: str, lake_url: str, out: Output) -> None:
    """Show what a pipeline or workflow has committed.

    By month, and by partition.
    """
    opened = open_ledger(lake_url, pipeline)
    if opened is None:
        raise click.UsageError(f"Lake {lake_url} has no ledger of a pipeline {pipeline!r}: it has bought nothing yet.")
    sheet = opened.sheet()
    reserved = sum(entry.credits for entry in opened.reserved())
    out.record(
        sheet.model_dump(mode="json"),
        {
            "pipeline": sheet.pipeline,
            "committed": price(sheet.committed()),
            "of which reserved": price(reserved) if reserved else None,
        },
    )
    entries = list(sheet.entries.values())
    out.part("months", _grouped(entries, lambda entry: entry.month), _committed("month"))
    out.part("partitions", _grouped(entries, lambda entry: entry.partition), _committed("partition"))


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # a container may run as a user that it does not know
        raise click.UsageError("Your login has no name: say with --by who approves.") from error


def _grouped(entries: Sequence[Entry], name: Callable[[Entry], str]) -> list[tuple[str, list[Entry]]]:
    return [(one, list(group)) for one, group in groupby(sorted(entries, key=name), key=name)]


def _committed(heading: str) -> Sequence[Column[tuple[str, list[Entry]]]]:
    return (
        Column(heading, lambda row: row[0]),
        Column("purchases", lambda row: str(len(row[1])), right=True),
        Column("credits", lambda row: str(sum(entry.committed for entry in row[1])), right=True),
    )


def _buyer(client: Up42Client, lake_url: str, pipeline: str) -> Buyer:
    """A buyer that buys nothing, for a pipeline or a workflow: its ceilings and approvals do not matter."""
    from up42_pipelines.lake import Lake
    from up42_pipelines.ordering import buyer as of_orders
    from up42_pipelines.ordering.purchase import KIND, OrderPurchase
    from up42_pipelines.processing import buyer as of_jobs
    from up42_pipelines.processing import purchase as job_purchase
    from up42_pipelines.purchasing.approval import Approvals
    from up42_pipelines.purchasing.budget import Ceilings
    from up42_pipelines.purchasing.buying import Buyer
    from up42_pipelines.purchasing.intents import IntentBook
    from up42_pipelines.purchasing.ledger import Ledger

    lake = Lake(lake_url)
    lake.check_create_only()

    def found_at_up42() -> Iterator[Entry]:
        yield from of_orders.entries_at_up42(client.orders, pipeline)
        yield from of_jobs.entries_at_up42(client.processing, pipeline)

    return Buyer(
        IntentBook(lake),
        Ledger(lake, pipeline, Ceilings(), found_at_up42=found_at_up42),
        approvals=Approvals(),
        run="",
        restore={
            KIND: lambda intent: OrderPurchase.of_intent(intent, client.orders, client.account),
            job_purchase.KIND: lambda intent: job_purchase.JobPurchase.of_intent(
                intent, client.processing, client.account
            ),
        },
        tell=note,
    )


def _is_known(client: Up42Client, lake_url: str, buyer: Buyer) -> bool:
    """Whether the name is that of a pipeline; reading the ledger of any other would make one."""
    from up42_pipelines.ordering.keys import pipeline_tag

    pipeline = buyer.ledger.pipeline
    return (
        open_ledger(lake_url, pipeline) is not None
        or any(intent.pipeline == pipeline for intent in buyer.book.all())
        or any(client.orders.list(tags=[pipeline_tag(pipeline)]))
    )


def _plans(client: Up42Client, buyer: Buyer, partition: str, generation: int) -> list[PlannedOrder]:
    """What the lake knows to be planned for a partition: bought, refused or waiting."""
    from up42_pipelines.ordering.purchase import KIND, OrderPurchase

    purchases = (
        OrderPurchase.of_intent(intent, client.orders, client.account)
        for intent in buyer.book.all()
        if (intent.kind, intent.pipeline, intent.partition) == (KIND, buyer.ledger.pipeline, partition)
    )
    return [one.planned for one in purchases if one.planned.purpose.generation == generation]


def _print_report(report: AuditReport, out: Output) -> None:
    if out.as_json:
        out.record(asdict(report), {})
        return
    out.line(report.summary())
    for finding in report.findings:
        style = "bold red" if finding.needs_person else "yellow"
        out.line("")
        out.hanging(Text(f"{finding.kind}  ", style=style), Text(f"{finding.subject}: {finding.text}"))


def _as_document(intent: Intent) -> dict[str, object]:
    return intent.model_dump(mode="json", exclude_none=True)
