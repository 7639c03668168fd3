"""From findings about items to the results of asset checks."""

from __future__ import annotations

import warnings

import dagster as dg
import pytest

from up42_pipelines.checks import check_results, check_specs
from up42_pipelines.lake import Check, DeliveryRules, Finding, Severity

KEY = dg.AssetKey("cogs")
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


def finding(check=Check.BANDS, *, passed=True, severity=Severity.ERROR, detail="As expected.", figures=None):
    return Finding(check=check, passed=passed, severity=severity, detail=detail, figures=figures or {})


def results(findings=None, *, unreadable=None, unfetched=None, rules=None) -> dict[Check, dg.AssetCheckResult]:
    made = check_results(KEY, findings or {}, unreadable or {}, unfetched or {}, rules or DeliveryRules())
    assert {one.asset_key for one in made} == {KEY}
    return {Check(one.check_name): one for one in made}


def rows(result) -> list[tuple]:
    return [tuple(record.data.values()) for record in result.metadata["items"].records]


def test_every_check_has_a_spec_with_partitions_and_a_description_and_blocks_nothing():
    partitions = dg.StaticPartitionsDefinition(["a", "b"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        specs = check_specs(KEY, partitions)
    assert {spec.name for spec in specs} == set(Check)
    for spec in specs:
        assert (spec.asset_key, spec.partitions_def, spec.blocking) == (KEY, partitions, False)
        assert spec.description.endswith(".")


def test_without_items_every_check_passes_and_says_that_it_saw_none():
    for result in results().values():
        assert result.passed
        assert (result.description, set(result.metadata)) == ("0 item(s) passed.", {"items_checked", "items_failed"})


def test_what_is_in_the_lake_is_readable():
    result = results({"a": [finding()], "b": [finding()]})[Check.READABLE]
    assert (result.passed, result.description) == (True, "2 item(s) passed.")
    assert result.metadata["items_checked"].value == 2


@pytest.mark.parametrize(("severity", "shown"), [(Severity.ERROR, ERROR), (Severity.WARN, WARN)])
def test_a_failed_finding_fails_its_check_only_and_is_told(severity, shown):
    made = results(
        {
            "a": [finding(figures={"bands": {"ms": 4}}), finding(Check.NODATA)],
            "b": [finding(passed=False, severity=severity, detail="ms has 3 band(s), not 4."), finding(Check.NODATA)],
        }
    )
    assert {check for check, result in made.items() if not result.passed} == {Check.BANDS}
    failed = made[Check.BANDS]
    assert (failed.severity, failed.description) == (shown, "b: ms has 3 band(s), not 4.")
    assert rows(failed) == [("b", False, "ms has 3 band(s), not 4."), ("a", True, "As expected.")]
    assert (failed.metadata["items_checked"].value, failed.metadata["items_failed"].value) == (2, 1)
    assert failed.metadata["measured"].data == {"a": {"bands": {"ms": 4}}}
    assert "measured" not in made[Check.NODATA].metadata


def test_one_error_among_warnings_makes_it_an_error():
    warned, wrong = finding(passed=False, severity=Severity.WARN), finding(passed=False)
    assert results({"a": [wrong], "b": [warned]})[Check.BANDS].severity is ERROR
    assert results({"a": [warned], "b": [wrong]})[Check.BANDS].severity is ERROR


def test_what_cannot_be_read_fails_as_the_rules_say_and_is_not_in_the_lake():
    made = results({"a": [finding(Check.COMPLETE)]}, unreadable={"b": "No raster."})
    assert rows(made[Check.READABLE])[0] == ("b", False, "No raster.")
    assert (made[Check.READABLE].passed, made[Check.READABLE].severity) == (False, ERROR)
    assert (made[Check.COMPLETE].passed, made[Check.COMPLETE].severity) == (False, WARN)
    assert rows(made[Check.COMPLETE]) == [("b", False, "No raster."), ("a", True, "As expected.")]
    rules = DeliveryRules(severities={Check.READABLE: Severity.WARN, Check.COMPLETE: Severity.ERROR})
    made = results(unreadable={"b": "No raster."}, rules=rules)
    assert (made[Check.READABLE].severity, made[Check.COMPLETE].severity) == (WARN, ERROR)


def test_what_did_not_arrive_is_missing_and_nobody_knows_whether_it_can_be_read():
    made = results(unfetched={"b": "It broke off."})
    assert rows(made[Check.COMPLETE]) == [("b", False, "It broke off.")]
    assert made[Check.COMPLETE].description == "b: It broke off."
    assert made[Check.READABLE].passed
    assert "items" not in made[Check.READABLE].metadata


def test_many_items_do_not_make_a_page_of_megabytes():
    findings = {f"item-{number:04d}": [finding(passed=number != 700, detail="x" * 2000)] for number in range(800)}
    result = results(findings)[Check.BANDS]
    assert len(rows(result)) == 100
    assert rows(result)[0][0] == "item-0700"
    assert len(result.description) == 1000
    assert result.description.startswith("item-0700: xx")
    assert result.description.endswith("…")
    assert result.metadata["items_checked"].value == 800
