"""Describe landed files as STAC assets: what the source announced, overwritten by what was measured. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from up42_pipelines.lake.rasters.records import RasterInfo
from up42_pipelines.lake.vectors.records import VectorInfo

# Our own fields. SOURCE_HREF is how a later run recognises what it has already.
SOURCE_HREF = "up42-pipelines:source_href"
VERIFIED_BY = "up42-pipelines:verified_by"
SENSOR_GEOMETRY = "up42-pipelines:sensor_geometry"
PROFILE = "up42-pipelines:profile"
ENCODING = "up42-pipelines:encoding"
NOTES = "up42-pipelines:notes"
VALID_FOOTPRINT = "up42-pipelines:valid_footprint"
QUICKLOOK_OF = "up42-pipelines:quicklook_of"
OUTLINE = "up42-pipelines:outline"
INVALID_GEOMETRIES = "up42-pipelines:invalid_geometries"
WITHOUT_GEOMETRY = "up42-pipelines:without_geometry"

KEPT = "Kept as delivered."
RESAMPLED = "Resampled to"
CONVERTED = "Converted without loss to a Cloud-Optimized GeoTIFF."
TABLED = "Converted to GeoParquet"

_COMPLEX = {"complex_int16": "cint16", "complex_int32": "cint32", "complex64": "cfloat32", "complex128": "cfloat64"}
_EO_FIELDS = ("common_name", "center_wavelength", "full_width_half_max", "solar_illumination")
# eo 2.0.0, "Common Band Names": other names, which eo 1.0 had (`rededge1`), stay outside of the extension.
_COMMON_NAME = re.compile(
    r"pan|coastal|blue|green(05)?|yellow|red|rededge(071|075|078)?|nir(08|09)?|cirrus|swir(16|22)|lwir(11|12)?"
)
_RASTER_FIELDS = ("sampling", "bits_per_sample", "spatial_resolution", "scale", "offset", "histogram")
_STATISTICS = ("minimum", "maximum", "mean", "stddev", "valid_percent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quicklook:
    """A small PNG of a raster, beside it.

    Attributes:
        file_name: plain name in the item's folder.
        size: bytes.
        sha256: hexadecimal.
    """

    file_name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LandedAsset:
    """A file that lies beside the item.

    Attributes:
        file_name: plain name in the item's folder.
        size: bytes.
        sha256: hexadecimal.
        media_type: of the file as it is now; None when unknown.
        source_href: where it came from, without query (see `item.without_query`).
        raster: its description, when it is a raster.
        vectors: their description, when it holds features.
        kept: True when these are the delivered bytes.
        verified_by: what the download was compared with: `crc32c`, `md5`, `length`; None when it is not known.
        statistics: of the valid pixels, one mapping per band with any of `minimum`, `maximum`, `mean`, `stddev`,
            `valid_percent`; empty when not measured.
        valid_percent: of the pixels, 0 to 100; for bands whose statistics do not say it.
        valid_footprint: GeoJSON of the valid pixels (degrees, EPSG:4326), cut at the antimeridian.
        profile: for what use the COG was written, for example `visual`; None when it was kept.
        encoding: how its pixels are stored: `interleave`, `compression`, `predictor`.
        notes: what a person should know of it.
        quicklook: its picture, when there is one.
        resampled_to: CRS to which the pixels were warped on request, for example `EPSG:32633`; then they are others.
    """

    file_name: str
    size: int
    sha256: str
    media_type: str | None
    source_href: str
    raster: RasterInfo | None = None
    vectors: VectorInfo | None = None
    kept: bool = True
    verified_by: str | None = None
    statistics: tuple[Mapping[str, float | None], ...] = ()
    valid_percent: float | None = None
    valid_footprint: Mapping[str, Any] | None = None
    profile: str | None = None
    encoding: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    quicklook: Quicklook | None = None
    resampled_to: str | None = None


def describe_asset(announced: Mapping[str, Any], file: LandedAsset) -> dict[str, Any]:
    """STAC asset of a landed file.

    A raster's projection and bands are the measured ones; announced bands keep their names and colours if there are as
    many. Projection and table of features are the measured ones too. Whatever else the source says stays.
    """
    asset = {**migrated(announced), "href": f"./{file.file_name}"}
    if file.media_type:
        asset["type"] = file.media_type
    asset |= _file(file.size, file.sha256)
    asset[SOURCE_HREF] = file.source_href
    if file.verified_by:
        asset[VERIFIED_BY] = file.verified_by
    if file.vectors is not None:
        asset = {name: value for name, value in asset.items() if not name.startswith(("proj:", "table:"))}
        asset["roles"] = asset.get("roles") or ["data"]
        asset |= _table(file.vectors)
        asset["processing:lineage"] = _lineage(file)
        if file.vectors.notes:
            asset[NOTES] = list(file.vectors.notes)
    if file.raster is not None:
        bands = asset.pop("bands", [])
        asset = {name: value for name, value in asset.items() if not name.startswith("proj:")}
        asset |= _projection(file.raster)
        asset["bands"] = _measured_bands(bands, file.raster, file)
        asset["processing:lineage"] = _lineage(file)
        if file.profile:
            asset[PROFILE] = file.profile
        if file.encoding is not None:
            asset[ENCODING] = dict(file.encoding)
        if file.notes:
            asset[NOTES] = list(file.notes)
        if file.valid_footprint is not None:
            asset[VALID_FOOTPRINT] = dict(file.valid_footprint)
    return asset


def _lineage(file: LandedAsset) -> str:
    if file.vectors is not None:
        features = file.vectors
        parts = [f"{TABLED} from {features.source_format}: {features.rows} features."]
        if features.invalid:
            parts.append(f"{features.invalid} geometries are not valid, and are kept as delivered.")
        return " ".join([*parts, *features.notes])
    if file.resampled_to:
        return f"{RESAMPLED} {file.resampled_to}, and written as a Cloud-Optimized GeoTIFF."
    return KEPT if file.kept else CONVERTED


def whole_lineage(assets: Mapping[str, Mapping[str, Any]]) -> str:
    """Lineage of an item, from that of its described assets."""
    said = {key: str(asset.get("processing:lineage")) for key, asset in assets.items() if QUICKLOOK_OF not in asset}
    converted = sorted(key for key, lineage in said.items() if lineage == CONVERTED)
    resampled = sorted(key for key, lineage in said.items() if lineage.startswith(RESAMPLED))
    parts = [f"{CONVERTED[:-1]}: {', '.join(converted)}."] if converted else []
    tabled = sorted(key for key, lineage in said.items() if lineage.startswith(TABLED))
    parts += [f"Resampled: {', '.join(resampled)}."] if resampled else []
    parts += [f"{TABLED}: {', '.join(tabled)}."] if tabled else []
    if not parts:
        return f"Delivered by UP42. {KEPT}"
    rest = [] if len(converted) + len(resampled) + len(tabled) == len(said) else ["Everything else kept as delivered."]
    return " ".join(["Delivered by UP42.", *parts, *rest])


def describe_quicklook(quicklook: Quicklook, key: str) -> dict[str, Any]:
    """STAC asset of a quicklook of the asset `key`."""
    return {
        "href": f"./{quicklook.file_name}",
        "type": "image/png",
        "title": f"Quicklook of {key}",
        "roles": ["thumbnail"],
        **_file(quicklook.size, quicklook.sha256),
        QUICKLOOK_OF: key,
    }


def migrated(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of an asset's fields in STAC 1.1: `eo:bands` and `raster:bands` as `bands`, `proj:epsg` as `proj:code`.

    pystac leaves the bands as they are. They are put together by index; fields of other extensions stay (STAC 1.1.0,
    "Bands", and the migration notes of eo 2.0.0 and raster 2.0.0).
    """
    new = dict(fields)
    epsg = new.pop("proj:epsg", None)
    if epsg is not None and not new.get("proj:code"):
        new["proj:code"] = f"EPSG:{epsg}"
    lists = [_band_list(new.pop(name, None)) for name in ("raster:bands", "eo:bands", "bands")]
    bands = [
        {**_prefixed(raster, "raster", _RASTER_FIELDS), **_eo_band(eo), **band}
        for raster, eo, band in zip_longest(*lists, fillvalue={})
    ]
    if any(bands):
        new["bands"] = bands
    return new


def _band_list(announced: Any) -> list[dict[str, Any]]:
    """Bands of a list; before STAC 1.0 they could be numbers, which mean nothing without their collection."""
    bands = announced if isinstance(announced, list) else []
    return [band if isinstance(band, dict) else {} for band in bands]


def _eo_band(band: Mapping[str, Any]) -> dict[str, Any]:
    known = _COMMON_NAME.fullmatch(str(band.get("common_name")))
    return _prefixed(band, "eo", _EO_FIELDS if known else _EO_FIELDS[1:])


def _prefixed(band: Mapping[str, Any], prefix: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {f"{prefix}:{name}" if name in names else name: value for name, value in band.items()}


def _file(size: int, sha256: str) -> dict[str, Any]:
    # Multihash: 0x12 says SHA-256, 0x20 that 32 bytes follow (https://github.com/multiformats/multicodec).
    return {"file:size": size, "file:checksum": f"1220{sha256}"}


def _projection(raster: RasterInfo) -> dict[str, Any]:
    """Fields of the projection extension 2.0 (https://github.com/stac-extensions/projection)."""
    fields: dict[str, Any] = {"proj:code": raster.crs_code, "proj:shape": [raster.height, raster.width]}
    if raster.crs_code is None and raster.crs_wkt is not None:
        fields["proj:wkt2"] = raster.crs_wkt
    if raster.transform is not None and raster.bounds is not None:
        fields["proj:transform"] = list(raster.transform)
        fields["proj:bbox"] = list(raster.bounds)
    elif raster.has_gcps or raster.has_rpcs:
        fields[SENSOR_GEOMETRY] = True
    return fields


def _table(features: VectorInfo) -> dict[str, Any]:
    """Fields of the table extension 1.2 (https://github.com/stac-extensions/table), and of the projection extension."""
    fields: dict[str, Any] = {
        "table:row_count": features.rows,
        "table:columns": [
            {"name": one.name, "type": one.type, **({"description": one.description} if one.description else {})}
            for one in features.columns
        ],
        "table:primary_geometry": features.geometry_column,
        "proj:code": features.crs_code,
        INVALID_GEOMETRIES: features.invalid,
    }
    if features.crs_code is None and features.crs_wkt is not None:
        fields["proj:wkt2"] = features.crs_wkt
    if features.bounds is not None:
        fields["proj:bbox"] = list(features.bounds)
    if features.without_geometry:
        fields[WITHOUT_GEOMETRY] = features.without_geometry
    if features.outline_4326 is not None:
        fields[OUTLINE] = features.outline_4326
    return fields


def _measured_bands(announced: list[dict[str, Any]], raster: RasterInfo, file: LandedAsset) -> list[dict[str, Any]]:
    """STAC 1.1 common metadata `bands`, one per band of the raster."""
    if len(announced) != raster.count:
        announced = [{} for _ in range(raster.count)]
    bands = []
    for index, said in enumerate(announced):
        measured = _measured(raster, index, said.get("name"))
        known = file.statistics[index] if index < len(file.statistics) else {}
        statistics = {
            "valid_percent": file.valid_percent,
            **{name: known[name] for name in _STATISTICS if name in known},
        }
        finite = {name: value for name, value in statistics.items() if value is not None and math.isfinite(value)}
        bands.append({**said, **measured, **({"statistics": finite} if finite else {})})
    return bands


def _measured(raster: RasterInfo, index: int, name: str | None) -> dict[str, Any]:
    nodata, scale, offset = raster.nodata[index], raster.scales[index], raster.offsets[index]
    fields: dict[str, Any] = {
        "name": name or raster.descriptions[index] or f"b{index + 1}",
        "data_type": _COMPLEX.get(raster.dtypes[index], raster.dtypes[index]),
    }
    if nodata is not None:
        fields["nodata"] = _json_number(nodata)
    if raster.units[index]:
        fields["unit"] = raster.units[index]
    if (scale, offset) != (1.0, 0.0) and math.isfinite(scale) and math.isfinite(offset):
        fields["raster:scale"], fields["raster:offset"] = scale, offset
    if raster.gsd_m is not None:
        fields["raster:spatial_resolution"] = raster.gsd_m
    return fields


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _json_number(value: float) -> float | int | str:
    """Common metadata `nodata`: a number, or "nan", "inf", "-inf", which JSON has no numbers for."""
    if not math.isfinite(value):
        return str(float(value))
    return int(value) if float(value).is_integer() and abs(value) < 2**63 else float(value)
