"""`tasking`: deciding on feasibility studies and quotations, and what has been covered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.text import Text

from up42_pipelines.cli.account import with_client
from up42_pipelines.cli.consent import confirm, yes_option
from up42_pipelines.cli.output import Column, Fields, Output, example, json_option, limit_option
from up42_pipelines.cli.wording import instant, number, price
from up42_pipelines.errors import Up42Error

if TYPE_CHECKING:
    from up42_pipelines.api import FeasibilityStudy, Quotation, Up42Client
    from up42_pipelines.api.tasking import Area


def _decision(decided: FeasibilityStudy | Quotation) -> Text:
    styles = {"NOT_DECIDED": "bold yellow", "ACCEPTED": "green", "REJECTED": "red"}
    return Text(decided.decision, style=styles.get(decided.decision, ""))


_QUOTATIONS: Sequence[Column[Quotation]] = (
    Column("quotation", lambda quotation: quotation.id),
    Column("order", lambda quotation: quotation.order_id),
    Column("credits", lambda quotation: number(quotation.credits_price), right=True),
    Column("decision", _decision),
)


@click.group()
def tasking() -> None:
    """Decide on feasibility studies and quotations."""


@tasking.command(epilog=example("tasking studies --open"))
@click.option("--order", "order_id", help="Only those of this order.")
@click.option("--open", "only_open", is_flag=True, help="Only those that wait for a decision.")
@limit_option
@json_option
@with_client
def studies(client: Up42Client, order_id: str | None, only_open: bool, limit: int | None, out: Output) -> None:
    """List feasibility studies with their options, newest first."""
    found = client.tasking.studies(order_id=order_id, decision=["NOT_DECIDED"] if only_open else ())
    out.records(found, _study, nothing="No feasibility studies.", limit=limit)


@tasking.command(epilog=example("tasking choose STUDY_ID OPTION_ID"))
@click.argument("study_id")
@click.argument("option_id")
@yes_option
@json_option
@with_client
def choose(client: Up42Client, study_id: str, option_id: str, yes: bool, out: Output) -> None:
    """Accept an option of a feasibility study, for good. Spends nothing: the quotation comes afterwards."""
    study = next(client.tasking.studies(study_id=study_id), None)
    if study is None:
        raise Up42Error(f"No feasibility study {study_id} in this workspace; `tasking studies` lists them.")
    option = next((one for one in study.options if one.id == option_id), None)
    if option is None:
        has = ", ".join(one.id for one in study.options) or "none"
        raise Up42Error(f"Feasibility study {study.id} has no option {option_id}; it has {has}.")
    confirm(f"Accept {option.description!r} for order {study.order_id}? It cannot be changed later.", yes=yes)
    chosen = client.tasking.choose_option(study.id, option.id)
    out.record(chosen.raw, _study(chosen))


@tasking.command(epilog=example("tasking quotations --open"))
@click.option("--order", "order_id", help="Only those of this order.")
@click.option("--open", "only_open", is_flag=True, help="Only those that wait for a decision.")
@limit_option
@json_option
@with_client
def quotations(client: Up42Client, order_id: str | None, only_open: bool, limit: int | None, out: Output) -> None:
    """List quotations, newest first."""
    found = client.tasking.quotations(order_id=order_id, decision=["NOT_DECIDED"] if only_open else ())
    out.listing(found, _QUOTATIONS, nothing="No quotations.", limit=limit)


@tasking.command(epilog=example("tasking decide QUOTATION_ID accept"))
@click.argument("quotation_id")
@click.argument("decision", type=click.Choice(["accept", "reject"]))
@yes_option
@json_option
@with_client
def decide(client: Up42Client, quotation_id: str, decision: str, yes: bool, out: Output) -> None:
    """Accept a quotation, which spends its credits, or reject it. Both are for good."""
    quotation = next(client.tasking.quotations(quotation_id=quotation_id), None)
    if quotation is None:
        raise Up42Error(f"No quotation {quotation_id} in this workspace; `tasking quotations` lists them.")
    if decision == "accept":
        confirm(f"Spend {price(quotation.credits_price)} on order {quotation.order_id}?", yes=yes)
        decided = client.tasking.accept_quotation(quotation.id)
    else:
        confirm(f"Reject {price(quotation.credits_price)} for order {quotation.order_id}, for good?", yes=yes)
        decided = client.tasking.reject_quotation(quotation.id)
    out.record(
        decided.raw,
        {
            "quotation": decided.id,
            "order": decided.order_id,
            "price": price(decided.credits_price),
            "decision": _decision(decided),
        },
    )


@tasking.command(epilog=example("tasking coverage ORDER_ID"))
@click.argument("order_id")
@json_option
@with_client
def coverage(client: Up42Client, order_id: str, out: Output) -> None:
    """Tell how much of an order's area has been delivered."""
    found = client.tasking.coverage(order_id)
    out.record(found.raw, {"covered": _area(found.covered), "remainder": _area(found.remainder)})


def _study(study: FeasibilityStudy) -> Fields:
    chosen = study.decision_option
    return {
        "study": study.id,
        "order": study.order_id,
        "created": instant(study.created_at),
        "decision": _decision(study),
        "options": [f"{one.id}: {one.description}" for one in study.options],
        "chosen": f"{chosen.id}: {chosen.description}" if chosen else None,
    }


def _area(area: Area) -> str:
    return f"{number(area.percentage, 1)} % ({number(area.sq_km_area)} km²)"
