"""What the assets that spend share: what a person may say when buying, and what was spent, as figures and a check."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from up42_pipelines.checks import check_spec
from up42_pipelines.errors import ApprovalRequired, BudgetExceeded, ConfigurationError, OrderRefused
from up42_pipelines.ordering.delivery import digest
from up42_pipelines.purchasing.budget import CeilingName, Ceilings, Sheet, month_of
from up42_pipelines.purchasing.intents import IntentBook, State
from up42_pipelines.purchasing.purchase import Bought

SPEND_WITHIN_CEILINGS = "spend_within_ceilings"


class BuyingConfig(dg.Config):
    """What a person may say when buying for a partition."""

    generation: int = Field(
        default=1, ge=1, description="Raise it to buy the same things again for this partition, on purpose."
    )
    approve_up_to: float | None = Field(
        default=None,
        ge=0,
        description="Approve what waits for approval in this partition: whatever was estimated at no more than so many "
        "credits apiece. What has changed its price since waits again.",
    )
    approved_by: str = Field(default="", description="Who approves; goes into the record of each purchase.")


def approve(book: IntentBook, keys: Iterable[str], config: BuyingConfig) -> None:
    """Approve those purchases among `keys` that wait for it, up to the price that the config allows.

    Raises:
        ConfigurationError: nobody is named who approves.
    """
    if config.approve_up_to is None:
        return
    if not config.approved_by.strip():
        raise ConfigurationError("approve_up_to is given and approved_by is empty: say who approves.")
    for key in keys:
        _, intent = book.read(key)
        if intent is None or intent.state != State.WAITING or intent.credits is None:
            continue
        if intent.credits <= config.approve_up_to:
            # The price that was seen, not the limit: the tolerance is meant around what a person knows.
            book.approve(key, credits=intent.credits, by=config.approved_by, at=datetime.now(UTC))


def committed_in(sheet: Sheet, *, run: str, partition: str) -> dict[CeilingName, int]:
    """Credits committed in the scope of each ceiling but that of a single purchase."""
    return {
        "run": sheet.committed(run=run),
        "partition": sheet.committed(partition=partition),
        "month": sheet.committed(month=month_of(datetime.now(UTC))),
        "pipeline": sheet.committed(),
    }


def refused_row(refusal: OrderRefused) -> dict[str, str | int]:
    """The columns of a table of purchases that tell why something was not bought."""
    match refusal:
        case ApprovalRequired(credits=credits) | BudgetExceeded(asked=int(credits)):
            price: int | str = credits
        case _:
            price = "unknown"
    waits = isinstance(refusal, ApprovalRequired)
    return {"credits": price, "what": "waits for approval" if waits else "refused", "reason": str(refusal)}


def bought_row(bought: Bought[Any]) -> dict[str, str | int]:
    """The columns of a table of purchases that tell about one that exists."""
    return {"credits": bought.credits, "what": what_was_done(bought), "reason": bought_twice(bought)}


def data_version(purchase_ids: Iterable[str]) -> dg.DataVersion:
    """Changes when, and only when, other purchases count; `none` without any.

    A digest, because Dagster keeps it as an event's tag, and PostgreSQL's index holds no more than 2704 bytes of it.
    """
    ids = list(purchase_ids)
    return dg.DataVersion(digest(ids) if ids else "none")


def what_was_done(bought: Bought[Any]) -> str:
    """Whether it was bought just now."""
    return "existed" if bought.adopted else "placed now"


def bought_twice(bought: Bought[Any]) -> str:
    """What to say about several purchases with one key; empty when there is one, as it should be."""
    if not bought.others:
        return ""
    return f"bought several times: {', '.join(bought.others)} has the same key. Cancel it while UP42 allows that."


def remedies(refusals: Iterable[OrderRefused], *, approve_job: str, partition: str, generation: int) -> list[str]:
    """Sentences on what to do about refusals, beside what each of them says."""
    refused, said = list(refusals), []
    if any(isinstance(refusal, ApprovalRequired) for refusal in refused):
        again = f", and generation {generation}" if generation > 1 else ""
        said.append(f"To approve, launch {approve_job} for {partition} with approve_up_to and approved_by{again}.")
    if any(isinstance(refusal, BudgetExceeded) and refusal.ceiling == "run" for refusal in refused):
        said.append("A re-execution of this run counts as the same run: launch a new one instead.")
    return said


def spend_metadata(committed: Mapping[CeilingName, int], ceilings: Ceilings) -> dict[str, dg.MetadataValue]:
    """Credits committed in each scope, and what is left under each ceiling that is set."""
    limits = ceilings.limits()
    spent = {f"credits_committed_{scope}": dg.MetadataValue.int(credits) for scope, credits in committed.items()}
    left = {
        f"credits_left_{scope}": dg.MetadataValue.float(max(0.0, limits[scope] - credits))
        for scope, credits in committed.items()
        if scope in limits
    }
    return {**spent, **left}


def spend_check_spec(asset_key: dg.AssetKey, partitions: dg.MultiPartitionsDefinition) -> dg.AssetCheckSpec:
    """The check `spend_within_ceilings`."""
    description = "No ceiling refused a purchase, and none is exceeded."
    return check_spec(asset_key, SPEND_WITHIN_CEILINGS, description, partitions)


def spend_check(
    asset_key: dg.AssetKey,
    committed: Mapping[CeilingName, int],
    ceilings: Ceilings,
    refusals: Iterable[OrderRefused] = (),
) -> dg.AssetCheckResult:
    """The outcome of `spend_within_ceilings`.

    It passes when no ceiling refused anything, and each holds for what is committed: what was bought elsewhere counts
    as well, and a ceiling can be lowered.
    """
    limits = ceilings.limits()
    refusing = {one.ceiling for one in refusals if isinstance(one, BudgetExceeded) and one.ceiling is not None}
    exceeded = {scope for scope, credits in committed.items() if scope in limits and credits > limits[scope]}
    return dg.AssetCheckResult(
        asset_key=asset_key,
        check_name=SPEND_WITHIN_CEILINGS,
        passed=not refusing and not exceeded,
        metadata={
            **spend_metadata(committed, ceilings),
            "ceilings_that_refused": dg.MetadataValue.text(", ".join(sorted(refusing)) or "none"),
            "ceilings_exceeded": dg.MetadataValue.text(", ".join(sorted(exceeded)) or "none"),
        },
    )
