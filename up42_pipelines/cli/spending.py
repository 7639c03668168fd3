"""`credits` and `budgets`: what can be spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.text import Text

from up42_pipelines.cli.account import with_client
from up42_pipelines.cli.output import Column, Output, example, json_option, limit_option
from up42_pipelines.cli.wording import instant, number, price, yes_no

if TYPE_CHECKING:
    from up42_pipelines.api import Budget, Up42Client


def _status(budget: Budget) -> Text | None:
    return Text(budget.status, style="green" if budget.is_active else "dim") if budget.status else None


_BUDGETS: Sequence[Column[Budget]] = (
    Column("budget", lambda budget: budget.id),
    Column("status", _status),
    Column("limit", lambda budget: number(budget.spend_limit), right=True),
    Column("used", lambda budget: number(budget.consumed_credits), right=True),
    Column("left", lambda budget: number(budget.remaining_credits), right=True),
    Column("name", lambda budget: budget.name),
)


@click.command("credits", epilog=example("credits"))
@json_option
@with_client
def credits_left(client: Up42Client, out: Output) -> None:
    """Print the credits that are left. All workspaces of the account share them."""
    balance = client.account.balance()
    out.record(balance.raw, {"available": price(balance.credits)})


@click.group()
def budgets() -> None:
    """Look at budgets, and whether they are enforced."""


@budgets.command("list", epilog=example("budgets list --status ACTIVE"))
@click.option("--status", multiple=True, metavar="ACTIVE|INACTIVE", help="Only these.")
@limit_option
@json_option
@with_client
def list_budgets(client: Up42Client, status: Sequence[str], limit: int | None, out: Output) -> None:
    """List the budgets of the account, in credits. What was changed last comes first."""
    found = client.account.budgets(status=[one.upper() for one in status], include_usage=True)
    out.listing(found, _BUDGETS, nothing="No budgets.", limit=limit)


@budgets.command(epilog=example("budgets show BUDGET_ID"))
@click.argument("budget_id")
@json_option
@with_client
def show(client: Up42Client, budget_id: str, out: Output) -> None:
    """Show a budget, with what was spent on it."""
    budget = client.account.budget(budget_id, include_usage=True)
    period = budget.validity_period
    out.record(
        budget.raw,
        {
            "budget": budget.id,
            "name": budget.name,
            "description": budget.description,
            "status": _status(budget),
            "limit": _price(budget.spend_limit),
            "used": _price(budget.consumed_credits),
            "left": _price(budget.remaining_credits),
            "valid": f"{period.start_date or '..'} to {period.end_date or '..'}" if period else None,
            "external id": budget.external_id,
            "created": instant(budget.created_at),
            "updated": instant(budget.updated_at),
        },
    )


@budgets.command(epilog=example("budgets settings"))
@json_option
@with_client
def settings(client: Up42Client, out: Output) -> None:
    """Tell whether every order and job must name a budget."""
    found = client.account.budget_settings()
    out.record(found.raw, {"enforced": yes_no(found.enforcement_enabled), "settings": found.budget_setting_id})


def _price(credits: float | None) -> str | None:
    return None if credits is None else price(credits)
