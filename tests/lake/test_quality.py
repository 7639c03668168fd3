"""What a delivered item is measured against, check by check."""

from __future__ import annotations

import copy

import pytest

from up42_pipelines.lake.quality import Check, DeliveryRules, Severity, judge, withheld_reasons
from up42_pipelines.lake.stac.item import ARCHIVE_OF_THE_SAME

COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def box(west, south, east, north):
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def band(valid=90.0, data_type="uint16"):
    return {"name": "b1", "data_type": data_type, "statistics": {"valid_percent": valid, "minimum": 0}}


ITEM = {
    "type": "Feature",
    "id": "scene",
    "geometry": box(0, 0, 10, 10),
    "properties": {"eo:cloud_cover": 12.5},
    "assets": {
        "ms": {
            "type": COG,
            "proj:code": "EPSG:32633",
            "proj:transform": [1, 0, 0, 0, -1, 0],
            "bands": [band(), band()],
            "up42-pipelines:verified_by": "crc32c",
        },
        "metadata": {"type": "application/json", "up42-pipelines:verified_by": "md5"},
    },
}


def item(**changes):
    document = copy.deepcopy(ITEM)
    document["assets"]["ms"] |= changes.pop("ms", {})
    document["properties"] |= changes.pop("properties", {})
    return {**document, **changes}


def found(check, document=ITEM, rules=None, **given):
    [finding] = [one for one in judge(document, rules or DeliveryRules(), **given) if one.check is check]
    return finding


def test_a_good_item_passes_every_check():
    findings = judge(
        ITEM,
        DeliveryRules(bands=2, data_types=("uint16",), max_cloud_cover_percent=12.5),
        announced=box(0, 0, 10, 10),
        ordered=box(2, 2, 3, 3),
    )
    assert {finding.check for finding in findings} == set(Check) - {Check.READABLE}
    assert all(finding.passed and not finding.withholds for finding in findings)
    assert all(finding.detail.endswith(".") for finding in findings)


@pytest.mark.parametrize(
    ("footprint", "announced", "ordered", "percent", "passed"),
    [
        (box(0, 0, 10, 10), box(0, 0, 10, 10), box(5, 0, 15, 10), 100, True),  # only what was announced was promised
        (box(0, 0, 5, 10), box(0, 0, 10, 10), box(0, 0, 10, 10), 50, False),
        (box(0, 0, 9.4, 10), box(0, 0, 10, 10), None, 94, False),
        (box(0, 0, 9.5, 10), None, box(0, 0, 10, 10), 95, True),
        (box(20, 0, 30, 10), box(0, 0, 10, 10), box(0, 0, 10, 10), 0, False),
        (box(20, 0, 30, 10), box(20, 0, 30, 10), box(0, 0, 10, 10), 0, False),  # announced, but not ordered
    ],
)
def test_coverage_is_of_what_was_ordered_and_announced(footprint, announced, ordered, percent, passed):
    finding = found(Check.COVERAGE, item(geometry=footprint), announced=announced, ordered=ordered)
    assert (finding.figures, finding.passed) == ({"covered_percent": percent}, passed)


@pytest.mark.parametrize("given", [{}, {"announced": box(10, 0, 20, 10), "ordered": box(0, 0, 10, 10)}])
def test_without_a_promise_nothing_is_compared(given):
    finding = found(Check.COVERAGE, **given)
    assert (finding.passed, finding.figures) == (True, {})


def test_a_bow_tie_is_repaired_before_it_is_compared():
    bow_tie = {"type": "Polygon", "coordinates": [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]}
    assert found(Check.COVERAGE, ordered=bow_tie).figures == {"covered_percent": 100}


@pytest.mark.parametrize("ms", [{"proj:code": None}, {"proj:transform": None}])
def test_a_raster_without_a_place_is_told_unless_it_is_in_sensor_geometry(ms):
    finding = found(Check.COVERAGE, item(ms=ms))
    assert not finding.passed
    assert "ms" in finding.detail
    assert found(Check.COVERAGE, item(ms={**ms, "up42-pipelines:sensor_geometry": True})).passed


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        (DeliveryRules(bands=4), "ms has 2 band(s), not 4."),
        (DeliveryRules(bands=(3, 4)), "not 3 or 4."),
        (DeliveryRules(bands=(2, 4)), ""),
        (DeliveryRules(data_types=("uint8", "int16")), "ms is uint16, not uint8 or int16."),
        (DeliveryRules(data_types=("uint16",)), ""),
    ],
)
def test_bands_and_types(rules, problem):
    finding = found(Check.BANDS, rules=rules)
    assert finding.passed == (not problem)
    assert problem in finding.detail
    assert finding.figures == {"bands": {"ms": 2}, "data_types": {"ms": ["uint16"]}}


def test_every_band_must_be_of_an_accepted_type():
    mixed = item(ms={"bands": [band(), band(data_type="uint8")]})
    assert "ms is uint16, uint8, not uint16." in found(Check.BANDS, mixed, DeliveryRules(data_types=("uint16",))).detail


def test_nodata_is_that_of_the_fullest_band():
    assert found(Check.NODATA, item(ms={"bands": [band(0.5), band(1.0)]})).passed
    finding = found(Check.NODATA, item(ms={"bands": [band(0.5), band(0.9)]}))
    assert not finding.passed
    assert finding.withholds
    assert finding.figures == {"nodata_percent": {"ms": 99.1}}
    assert found(Check.NODATA, item(ms={"bands": [{"name": "b1"}]})).figures == {"nodata_percent": {}}


@pytest.mark.parametrize(
    ("cover", "limit", "passed"), [(12.5, 12.5, True), (12.6, 12.5, False), (99, None, True), (None, 5, True)]
)
def test_cloud_cover(cover, limit, passed):
    finding = found(
        Check.CLOUD, item(properties={"eo:cloud_cover": cover}), DeliveryRules(max_cloud_cover_percent=limit)
    )
    assert finding.passed == passed
    assert not finding.withholds


def test_a_length_is_no_checksum():
    finding = found(Check.CHECKSUM, item(ms={"up42-pipelines:verified_by": "length"}))
    assert not finding.passed
    assert "ms" in finding.detail
    assert finding.figures["verified_by"] == {"ms": "length", "metadata": "md5"}


def test_what_was_left_out_is_missing_except_an_archive_of_the_same():
    left_out = {"preview": "The file is empty.", "original": ARCHIVE_OF_THE_SAME}
    finding = found(Check.COMPLETE, item(properties={"up42-pipelines:left_out": left_out}))
    assert not finding.passed
    assert "preview is not in the lake: The file is empty." in finding.detail
    assert "original" not in finding.detail
    only_archive = {"original": left_out["original"]}
    assert found(Check.COMPLETE, item(properties={"up42-pipelines:left_out": only_archive})).passed


def test_severity_is_configurable_and_decides_what_is_withheld():
    strict = DeliveryRules(max_cloud_cover_percent=1, severities={Check.CLOUD: Severity.ERROR})
    assert withheld_reasons(judge(ITEM, strict)) == {
        "cloud_cover_as_ordered": "12.5 % cloud cover. At most 1 % were ordered."
    }
    lenient = DeliveryRules(bands=9, severities={Check.BANDS: Severity.WARN})
    assert withheld_reasons(judge(ITEM, lenient)) == {}
