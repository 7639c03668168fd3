"""`orders`: look at them, wait for them, tag them, cancel them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.text import Text

from up42_pipelines.cli.account import with_client
from up42_pipelines.cli.consent import confirm, yes_option
from up42_pipelines.cli.following import patience_options, tell_changes
from up42_pipelines.cli.lakes import LAKE_HELP, open_ledger
from up42_pipelines.cli.output import Column, Output, example, json_option, limit_option, note
from up42_pipelines.cli.wording import explained, instant

if TYPE_CHECKING:
    import pystac

    from up42_pipelines.api import Order, Up42Client

_LARGEST_PAGE = 100
_OUR_TAGS = ("pipeline:", "partition:", "key:")
"""What the tags begin with by which a pipeline finds its orders (`ordering.keys`)."""


def _status(order: Order) -> Text:
    return Text(f"{order.status} (your turn)" if order.waits_for_user else str(order.status), style=_style(order))


def _style(order: Order) -> str:
    if order.waits_for_user:
        return "bold yellow"
    if order.is_failed:
        return "red"
    return "green" if order.is_fulfilled else "cyan"


_ORDERS: Sequence[Column[Order]] = (
    Column("order", lambda order: order.id),
    Column("created", lambda order: instant(order.created_at)),
    Column("status", _status),
    Column("name", lambda order: order.display_name),
)
_ITEM_ASSETS: Sequence[Column[tuple[pystac.Item, str]]] = (
    Column("item", lambda row: row[0].id),
    Column("asset", lambda row: row[1]),
    Column("asset id", lambda row: row[0].assets[row[1]].href.removesuffix("/download-url").rpartition("/")[2]),
)


@click.group()
def orders() -> None:
    """Watch, tag, cancel, approve, audit and adopt orders."""


@orders.command("list", epilog=example("orders list --status PLACED --status BEING_FULFILLED --limit 10"))
@click.option("--status", multiple=True, help="Repeatable; any of them.")
@click.option("--sub-status", multiple=True, help="Of tasking orders; repeatable, any of them.")
@click.option("--tag", "tags", multiple=True, help="Repeatable; orders that carry any of them.")
@click.option("--type", "kind", metavar="ARCHIVE|TASKING", help="Only these.")
@click.option("--name", help="Part of the display name.")
@click.option("--budget", "budgets", multiple=True, help="Id; repeatable, paid by any of them.")
@limit_option
@json_option
@with_client
def list_orders(
    client: Up42Client,
    status: Sequence[str],
    sub_status: Sequence[str],
    tags: Sequence[str],
    kind: str | None,
    name: str | None,
    budgets: Sequence[str],
    limit: int | None,
    out: Output,
) -> None:
    """List the orders of the workspace, newest first."""
    found = client.orders.list(
        status=[one.upper() for one in status],
        sub_status=[one.upper() for one in sub_status],
        tags=tags,
        type=kind.upper() if kind else None,
        display_name=name,
        budget_ids=budgets,
        page_size=min(limit or _LARGEST_PAGE, _LARGEST_PAGE),
    )
    out.listing(found, _ORDERS, nothing="No orders.", limit=limit)


@orders.command(epilog=example("orders show ORDER_ID"))
@click.argument("order_id")
@json_option
@with_client
def show(client: Up42Client, order_id: str, out: Output) -> None:
    """Show an order. Says in words where it stands, and lists the STAC items that it has brought."""
    order = client.orders.get(order_id)
    sub_status = order.sub_status
    out.record(
        order.raw,
        {
            "order": order.id,
            "name": order.display_name,
            "type": order.type,
            "status": explained(order.status, _style(order)),
            "sub-status": explained(sub_status, _style(order)) if sub_status else None,
            "scene": order.scene_id,
            "data product": order.data_product_id,
            "budget": order.budget_id,
            "tags": order.tags,
            "created": instant(order.created_at),
            "updated": instant(order.updated_at),
            "workspace": order.workspace_id,
        },
    )
    if not out.as_json:
        items = client.storage.items_of_order(order.id)
        out.part("items", [(item, key) for item in items for key in item.assets], _ITEM_ASSETS)


@orders.command(epilog=example("orders watch ORDER_ID --every 300"))
@click.argument("order_ids", metavar="ORDER_ID...", nargs=-1, required=True)
@patience_options
@json_option
@with_client
def watch(client: Up42Client, order_ids: Sequence[str], interval_s: float, patience_s: float, out: Output) -> None:
    """Wait for orders, and print each change of status. Exits with 1 when one has failed.

    A pipeline's own orders need nobody who waits: its sensor does.
    """
    changes = client.orders.follow(order_ids, interval_s=interval_s, patience_s=patience_s)
    tell_changes(changes, out, failed=lambda order: order.is_failed)


@orders.command(epilog=example("orders cancel ORDER_ID"))
@click.argument("order_id")
@click.option("--lake", "lake_url", envvar="UP42_LAKE_URL", help=LAKE_HELP)
@yes_option
@json_option
@with_client
def cancel(client: Up42Client, order_id: str, lake_url: str | None, yes: bool, out: Output) -> None:
    """Cancel an order that has not reached the provider yet. Prints the order as it is then.

    With a lake, the ledger of the pipeline that bought it stops counting its credits.
    """
    from up42_pipelines.ordering.cancelling import cancel_order
    from up42_pipelines.ordering.keys import OrderTags

    order = client.orders.get(order_id)
    confirm(f"Cancel order {order.id} ({order.display_name}), which is {order.status}?", yes=yes)
    tags = OrderTags.read(order.tags)
    ledger = open_ledger(lake_url, tags.pipeline) if lake_url and tags else None
    now = cancel_order(client.orders, ledger, order.id)
    out.record(now.raw, {"order": now.id, "status": explained(now.status, _style(now))})
    if tags and not lake_url:
        note(f"No lake was given: the ledger of {tags.pipeline} counts its credits until the next audit.")


@orders.command(epilog=example("orders tag ORDER_ID --add reviewed --remove draft"))
@click.argument("order_id")
@click.option("--add", multiple=True, help="Repeatable.")
@click.option("--remove", multiple=True, help="Repeatable.")
@yes_option
@json_option
@with_client
def tag(client: Up42Client, order_id: str, add: Sequence[str], remove: Sequence[str], yes: bool, out: Output) -> None:
    """Add tags to an order, or remove them; the others stay.

    Tags that begin with `pipeline:`, `partition:` or `key:` are how a pipeline finds what it has bought: removing one
    of them asks first.
    """
    if not add and not remove:
        raise click.UsageError("Nothing to change: give --add or --remove.")
    order = client.orders.get(order_id)
    tags = changed_tags(order.tags or (), add=add, remove=remove)
    lost = [one for one in order.tags or () if one not in tags and one.startswith(_OUR_TAGS)]
    if lost:
        confirm(f"Remove {', '.join(lost)}? The pipeline forgets this order, and may buy the same again.", yes=yes)
    if tags != list(order.tags or ()):
        order = client.orders.update(order.id, tags=tags)
    else:
        note("The tags are like that already.")
    out.record(order.raw, {"order": order.id, "tags": order.tags or None})


def changed_tags(tags: Sequence[str], *, add: Sequence[str], remove: Sequence[str]) -> list[str]:
    """The tags afterwards, in their order, each once; what is added comes last."""
    return list(dict.fromkeys([*(one for one in tags if one not in remove), *add]))
