"""What a pipeline has spent, as figures that Dagster plots and as a check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import dagster as dg

from up42_pipelines.errors import BudgetExceeded, OrderRefused
from up42_pipelines.purchasing.budget import CeilingName, Ceilings

SPEND_WITHIN_CEILINGS = "spend_within_ceilings"


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


def spend_check(
    asset_key: dg.AssetKey,
    committed: Mapping[CeilingName, int],
    ceilings: Ceilings,
    refusals: Iterable[OrderRefused] = (),
) -> dg.AssetCheckResult:
    """The outcome of `spend_within_ceilings`.

    It passes when no ceiling refused anything, and each holds for what is committed: orders that were placed elsewhere
    count as well, and a ceiling can be lowered.
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
