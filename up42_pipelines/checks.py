"""Asset checks: what `lake.quality` finds about delivered items, as Dagster shows it."""

from collections.abc import Mapping, Sequence

import dagster as dg

from up42_pipelines.lake.quality import Check, DeliveryRules, Finding, Severity

_DESCRIPTIONS = {
    Check.READABLE: "Every raster is a valid Cloud-Optimized GeoTIFF whose pixels were all read.",
    Check.COVERAGE: "Valid pixels cover the part of the ordered area that UP42 announced.",
    Check.BANDS: "Number of bands and sample types are those of the data product.",
    Check.NODATA: "No raster is (almost) only nodata.",
    Check.CLOUD: "The stated cloud cover is within what was ordered.",
    Check.CHECKSUM: "Every file was verified by a checksum of the server, not only by its length.",
    Check.COMPLETE: "Everything that was delivered is in the lake.",
}
_SEVERITIES = {Severity.ERROR: dg.AssetCheckSeverity.ERROR, Severity.WARN: dg.AssetCheckSeverity.WARN}


def check_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The checks that `cogs` reports about a partition."""
    return [dg.AssetCheckSpec(str(check), asset=key, description=_DESCRIPTIONS[check]) for check in Check]


def check_results(
    key: dg.AssetKey,
    findings: Mapping[str, Sequence[Finding]],
    unreadable: Mapping[str, str],
    rules: DeliveryRules,
) -> list[dg.AssetCheckResult]:
    """One result per check, over all items of a partition.

    Args:
        key: of `cogs`.
        findings: by item id, of the items that could be landed.
        unreadable: the reason by item id, of those that could not.
        rules: of the pipeline; they say how bad it is that an item could not be landed.
    """
    by_check: dict[Check, dict[str, Finding]] = {check: {} for check in Check}
    for item_id, of_item in findings.items():
        by_check[Check.READABLE][item_id] = _readable(rules)
        for finding in of_item:
            by_check[finding.check][item_id] = finding
    for item_id, reason in unreadable.items():
        by_check[Check.READABLE][item_id] = _readable(rules, reason)
    return [_result(key, check, found) for check, found in by_check.items()]


def _readable(rules: DeliveryRules, problem: str = "") -> Finding:
    return Finding(
        check=Check.READABLE,
        passed=not problem,
        severity=rules.severity(Check.READABLE),
        detail=problem or "Every raster is a valid COG; its pixels were read.",
    )


def _result(key: dg.AssetKey, check: Check, found: Mapping[str, Finding]) -> dg.AssetCheckResult:
    failed = {item_id: finding for item_id, finding in found.items() if not finding.passed}
    worst = Severity.ERROR if any(one.severity is Severity.ERROR for one in failed.values()) else Severity.WARN
    rows = [
        dg.TableRecord({"item": item_id, "passed": finding.passed, "detail": finding.detail})
        for item_id, finding in sorted(found.items(), key=lambda pair: (pair[1].passed, pair[0]))[:100]
    ]
    reasons = " ".join(f"{item_id}: {finding.detail}" for item_id, finding in sorted(failed.items()))
    figures = {item_id: dict(finding.figures) for item_id, finding in found.items() if finding.figures}
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=str(check),
        passed=not failed,
        severity=_SEVERITIES[worst],
        description=reasons[:1000] or None,
        metadata={
            **({"items": dg.MetadataValue.table(rows)} if rows else {}),
            **({"measured": dg.MetadataValue.json(figures)} if figures else {}),
        },
    )
