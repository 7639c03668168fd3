"""Asset checks: what `lake.quality` finds about delivered items, as Dagster shows it."""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from up42_pipelines.lake.quality import Check, DeliveryRules, Finding, Severity

_DESCRIPTIONS = {
    Check.READABLE: "Every raster is a valid Cloud-Optimized GeoTIFF; every pixel and every feature was read.",
    Check.COVERAGE: "Valid pixels cover the part of the ordered area that UP42 announced.",
    Check.BANDS: "Number of bands and sample types are those of the data product.",
    Check.NODATA: "No raster is (almost) only nodata.",
    Check.CLOUD: "The stated cloud cover is within what was ordered.",
    Check.GEOMETRIES: "Every geometry of detected features is valid (OGC Simple Features).",
    Check.CHECKSUM: "Every file was verified by a checksum of the server, not only by its length.",
    Check.COMPLETE: "Everything that was delivered is in the lake.",
}
_MOST_ROWS = 100
_MOST_CHARACTERS = 1000


def check_specs(key: dg.AssetKey, partitions: dg.PartitionsDefinition[Any]) -> list[dg.AssetCheckSpec]:
    """The checks that `cogs` reports, each per partition.

    They do not block: what a failed check is about is not in the asset's value, and what is fine need not wait for it.
    """
    return [check_spec(key, str(check), _DESCRIPTIONS[check], partitions) for check in Check]


def check_spec(
    key: dg.AssetKey, name: str, description: str, partitions: dg.PartitionsDefinition[Any]
) -> dg.AssetCheckSpec:
    """A check per partition.

    Without partitions of its own, a check would show the partition that ran last, and hide the failures of all
    others. Dagster 1.13 calls these a preview, and warns of each.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(name, asset=key, description=description, partitions_def=partitions)


def check_results(
    key: dg.AssetKey,
    findings: Mapping[str, Iterable[Finding]],
    unreadable: Mapping[str, str],
    unfetched: Mapping[str, str],
    rules: DeliveryRules,
) -> list[dg.AssetCheckResult]:
    """One result per check, over all items of a partition.

    Args:
        key: of `cogs`.
        findings: by item id, of the items that are in the lake.
        unreadable: the reason by item id, of those that are not what they claim to be.
        unfetched: the reason by item id, of those that did not arrive.
        rules: of the pipeline; they say how bad it is that an item is not in the lake.
    """
    by_check: dict[Check, dict[str, Finding]] = {check: {} for check in Check}
    for item_id, of_item in findings.items():
        by_check[Check.READABLE][item_id] = _finding(Check.READABLE, rules)
        for finding in of_item:
            by_check[finding.check][item_id] = finding
    for item_id, reason in unreadable.items():
        by_check[Check.READABLE][item_id] = _finding(Check.READABLE, rules, reason)
    for item_id, reason in {**unreadable, **unfetched}.items():
        by_check[Check.COMPLETE][item_id] = _finding(Check.COMPLETE, rules, reason)
    return [_result(key, check, found) for check, found in by_check.items()]


def _finding(check: Check, rules: DeliveryRules, problem: str = "") -> Finding:
    """What landing itself finds out."""
    detail = problem or "Every raster is a valid COG; every pixel and every feature was read."
    return Finding(check=check, passed=not problem, severity=rules.severity(check), detail=detail)


def _result(key: dg.AssetKey, check: Check, found: Mapping[str, Finding]) -> dg.AssetCheckResult:
    """The outcome of one check over items, failed ones first."""
    rows = sorted(found.items(), key=lambda pair: (pair[1].passed, pair[0]))
    failed = [(item_id, finding) for item_id, finding in rows if not finding.passed]
    is_error = any(finding.severity is Severity.ERROR for _, finding in failed)
    reasons = " ".join(f"{item_id}: {finding.detail}" for item_id, finding in failed)
    figures = {item_id: dict(finding.figures) for item_id, finding in rows if finding.figures}
    metadata: dict[str, dg.MetadataValue] = {
        "items_checked": dg.MetadataValue.int(len(rows)),
        "items_failed": dg.MetadataValue.int(len(failed)),
    }
    if rows:
        records = [
            dg.TableRecord({"item": item_id, "passed": finding.passed, "detail": finding.detail})
            for item_id, finding in rows[:_MOST_ROWS]
        ]
        metadata["items"] = dg.MetadataValue.table(records)
    if figures:
        metadata["measured"] = dg.MetadataValue.json(figures)
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=str(check),
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description=_shortened(reasons) or f"{len(rows)} item(s) passed.",
        metadata=metadata,
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"
