"""Is a delivered item what was ordered? Judged on its STAC document, before it is committed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from up42_pipelines.lake.archives.entries import OF_A_FILE_MANAGER, OF_MACOS
from up42_pipelines.lake.content import COG_MEDIA_TYPE
from up42_pipelines.lake.products.recognise import AUXILIARY
from up42_pipelines.lake.stac.assets import INVALID_GEOMETRIES, WITHOUT_GEOMETRY
from up42_pipelines.lake.stac.item import ARCHIVE_OF_THE_SAME, LEFT_OUT, SENSOR_GEOMETRY, VERIFIED_BY

# Reasons to leave a file out of the lake that take nothing from the delivery.
_OF_NO_USE = frozenset({ARCHIVE_OF_THE_SAME, AUXILIARY, OF_A_FILE_MANAGER, OF_MACOS})


class Check(StrEnum):
    """What is looked at; also the names of the asset checks."""

    READABLE = "readable_cogs"
    COVERAGE = "covers_the_promised_area"
    BANDS = "bands_as_ordered"
    NODATA = "nodata_share"
    CLOUD = "cloud_cover_as_ordered"
    GEOMETRIES = "valid_geometries"
    CHECKSUM = "checksums_verified"
    COMPLETE = "delivery_is_complete"


class Severity(StrEnum):
    """What follows when a check fails: an error keeps the item out of catalogue and index, a warning is only shown."""

    ERROR = "error"
    WARN = "warn"


_SEVERITIES = {
    Check.READABLE: Severity.ERROR,
    Check.COVERAGE: Severity.WARN,
    Check.BANDS: Severity.ERROR,
    Check.NODATA: Severity.ERROR,
    Check.CLOUD: Severity.WARN,
    Check.GEOMETRIES: Severity.WARN,
    Check.CHECKSUM: Severity.WARN,
    Check.COMPLETE: Severity.WARN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRules:
    """What a delivered item must be like. UP42 tells neither bands nor sample types, so they have to be said here.

    Attributes:
        bands: number of bands that each raster must have, or one of several numbers; None accepts any.
        data_types: numpy names of the sample types that are accepted, for example `uint16`; empty accepts any.
        max_nodata_percent: of a raster's pixels (0 to 100).
        min_coverage_percent: of the promised area that must have valid pixels (0 to 100).
        max_cloud_cover_percent: as the provider states it with the delivery (0 to 100); None accepts any.
        severities: how bad a failed check is, where the defaults do not fit.
    """

    bands: int | tuple[int, ...] | None = None
    data_types: tuple[str, ...] = ()
    max_nodata_percent: float = 99.0
    min_coverage_percent: float = 95.0
    max_cloud_cover_percent: float | None = None
    severities: Mapping[Check, Severity] = field(default_factory=dict)

    def severity(self, check: Check) -> Severity:
        """How bad it is when a check fails."""
        return self.severities.get(check, _SEVERITIES[check])


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check of one item.

    Attributes:
        check: what was looked at.
        passed: whether all is well, or there was nothing to look at.
        severity: how bad it is when it did not pass.
        detail: one sentence for a person.
        figures: what was measured, JSON.
    """

    check: Check
    passed: bool
    severity: Severity
    detail: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def withholds(self) -> bool:
        """Whether the item stays out of catalogue and index because of this."""
        return not self.passed and self.severity is Severity.ERROR


def judge(
    item: Mapping[str, Any],
    rules: DeliveryRules,
    *,
    announced: Mapping[str, Any] | None = None,
    ordered: Mapping[str, Any] | None = None,
) -> tuple[Finding, ...]:
    """Check an item as the lake would commit it: every check but `READABLE`, which landing itself decides.

    Args:
        item: STAC document whose geometry is the footprint of valid pixels, see `stac.item.lake_item`.
        rules: what it must be like.
        announced: GeoJSON geometry (degrees, EPSG:4326) that UP42 announced for the item.
        ordered: GeoJSON geometry of the order. The promise is where `announced` and `ordered` overlap, so that one
            part of a delivery in parts is not blamed for the rest; without either there is no promise.
    """
    rasters = {key: asset for key, asset in item["assets"].items() if asset.get("type") == COG_MEDIA_TYPE}
    outcomes = (
        (Check.COVERAGE, _coverage(item, rasters, rules, announced, ordered)),
        (Check.BANDS, _bands(rasters, rules)),
        (Check.NODATA, _nodata(rasters, rules)),
        (Check.CLOUD, _cloud(item, rules)),
        (Check.GEOMETRIES, _geometries(item)),
        (Check.CHECKSUM, _checksums(item)),
        (Check.COMPLETE, _completeness(item)),
    )
    return tuple(
        Finding(
            check=check, passed=not problem, severity=rules.severity(check), detail=problem or fine, figures=figures
        )
        for check, (problem, fine, figures) in outcomes
    )


_Outcome = tuple[str, str, dict[str, Any]]
"""What is wrong (empty when nothing is), what to say when nothing is, what was measured."""


_NO_RASTERS = "It has no rasters."


def _coverage(
    item: Mapping[str, Any],
    rasters: Mapping[str, Mapping[str, Any]],
    rules: DeliveryRules,
    announced: Mapping[str, Any] | None,
    ordered: Mapping[str, Any] | None,
) -> _Outcome:
    if not rasters:
        return "", _NO_RASTERS, {}
    unplaced = sorted(key for key, asset in rasters.items() if not _has_place(asset))
    if unplaced:
        return f"No place on Earth: {', '.join(unplaced)}.", "", {"unplaced": unplaced}
    footprint, place = _geometry(item.get("geometry")), _geometry(ordered)
    if footprint is not None and place is not None and not footprint.intersects(place):
        return "It shows nothing of the ordered area.", "", {"covered_percent": 0}
    areas = [area for area in (_geometry(announced), place) if area is not None]
    promised = shapely.intersection_all(areas) if areas else None
    if promised is None or promised.area == 0 or footprint is None:
        return "", "Nothing was promised that could be compared.", {}
    # Areas in square degrees: only their ratio counts, and both lie in the same place.
    percent = round(100 * footprint.intersection(promised).area / promised.area, 2)
    short = percent < rules.min_coverage_percent
    sentence = f"{percent:g} % of the promised area have valid pixels."
    wanted = f"{sentence} At least {rules.min_coverage_percent:g} % were expected." if short else ""
    return wanted, sentence, {"covered_percent": percent}


def _has_place(asset: Mapping[str, Any]) -> bool:
    """Whether a raster has a CRS with a geotransform, or is in sensor geometry on purpose."""
    crs = asset.get("proj:code") or asset.get("proj:wkt2")
    return bool(crs and asset.get("proj:transform")) or bool(asset.get(SENSOR_GEOMETRY))


def _bands(rasters: Mapping[str, Mapping[str, Any]], rules: DeliveryRules) -> _Outcome:
    wanted = (rules.bands,) if isinstance(rules.bands, int) else rules.bands
    counts = {key: len(asset.get("bands", [])) for key, asset in rasters.items()}
    types = {
        key: sorted({str(band.get("data_type")) for band in asset.get("bands", [])}) for key, asset in rasters.items()
    }
    problems = [
        f"{key} has {count} band(s), not {' or '.join(map(str, wanted))}."
        for key, count in sorted(counts.items())
        if wanted and count not in wanted
    ]
    problems += [
        f"{key} is {', '.join(found)}, not {' or '.join(rules.data_types)}."
        for key, found in sorted(types.items())
        if rules.data_types and not set(found) <= set(rules.data_types)
    ]
    fine = "Bands and sample types are as expected." if rasters else _NO_RASTERS
    return " ".join(problems), fine, {"bands": counts, "data_types": types} if rasters else {}


def _nodata(rasters: Mapping[str, Mapping[str, Any]], rules: DeliveryRules) -> _Outcome:
    shares = {}
    for key, asset in rasters.items():
        valid = [band["statistics"]["valid_percent"] for band in asset.get("bands", []) if _is_measured(band)]
        if valid:
            shares[key] = round(100 - max(valid), 3)
    problems = [
        f"{share:g} % of {key} are nodata; at most {rules.max_nodata_percent:g} % are accepted."
        for key, share in sorted(shares.items())
        if share > rules.max_nodata_percent
    ]
    fine = "The share of nodata is acceptable." if rasters else _NO_RASTERS
    return " ".join(problems), fine, {"nodata_percent": shares} if rasters else {}


def _is_measured(band: Mapping[str, Any]) -> bool:
    return isinstance(band.get("statistics"), Mapping) and "valid_percent" in band["statistics"]


def _cloud(item: Mapping[str, Any], rules: DeliveryRules) -> _Outcome:
    cover = item["properties"].get("eo:cloud_cover")
    if not isinstance(cover, int | float):
        return "", "The delivery does not state a cloud cover.", {}
    limit = rules.max_cloud_cover_percent
    sentence = f"{cover:g} % cloud cover."
    beyond = limit is not None and cover > limit
    return f"{sentence} At most {limit:g} % were ordered." if beyond else "", sentence, {"cloud_cover_percent": cover}


def _geometries(item: Mapping[str, Any]) -> _Outcome:
    tables = {key: asset for key, asset in item["assets"].items() if INVALID_GEOMETRIES in asset}
    if not tables:
        return "", "It has no features.", {}
    figures = {
        key: {
            "features": asset["table:row_count"],
            "invalid": asset[INVALID_GEOMETRIES],
            "without_geometry": asset.get(WITHOUT_GEOMETRY, 0),
        }
        for key, asset in tables.items()
    }
    problems = [
        f"{found['invalid']} geometries of {key} are not valid (they cross themselves, say); kept as delivered."
        for key, found in sorted(figures.items())
        if found["invalid"]
    ]
    total = sum(found["features"] for found in figures.values())
    return " ".join(problems), f"All of {total} features are valid.", {"features": figures}


def _checksums(item: Mapping[str, Any]) -> _Outcome:
    by = {key: asset[VERIFIED_BY] for key, asset in item["assets"].items() if VERIFIED_BY in asset}
    unsure = sorted(key for key, how in by.items() if how == "length")
    problem = (
        f"Only the length of {', '.join(unsure)} could be verified: the server gave no checksum." if unsure else ""
    )
    return problem, "Every file was verified by a checksum.", {"verified_by": by}


def _completeness(item: Mapping[str, Any]) -> _Outcome:
    left_out = dict(item["properties"].get(LEFT_OUT, {}))
    missing = {key: reason for key, reason in left_out.items() if reason not in _OF_NO_USE}
    problem = " ".join(f"{key} is not in the lake: {reason}" for key, reason in sorted(missing.items()))
    return problem, "Everything that was delivered is in the lake.", {"left_out": left_out}


def _geometry(document: Mapping[str, Any] | None) -> BaseGeometry | None:
    if not document:
        return None
    geometry = shape(dict(document))
    return geometry if geometry.is_valid else shapely.make_valid(geometry)


def withheld_reasons(findings: Iterable[Finding]) -> dict[str, str]:
    """Reasons, by check, for which an item stays out of catalogue and index."""
    return {str(finding.check): finding.detail for finding in findings if finding.withholds}
