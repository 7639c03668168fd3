"""Build the lake's STAC item from UP42's: the same scene, with verified files beside it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import antimeridian
import pystac
import pystac.errors
import rasterio
from pystac.extensions.file import SCHEMA_URI as FILE_EXTENSION
from pystac.extensions.projection import SCHEMA_URI as PROJECTION_EXTENSION
from pystac.validation.stac_validator import JsonSchemaSTACValidator

import up42_pipelines
from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.rasters.raster import RasterInfo

# pystac 1.15 still writes raster v1 (`raster:bands`); with STAC 1.1's common `bands` belongs v2.
RASTER_EXTENSION = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
PROCESSING_EXTENSION = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
# Our own fields, by which a later run recognises what it has already.
SOURCE_HREF = "up42-pipelines:source_href"
LEFT_OUT = "up42-pipelines:left_out"

_STRUCTURE = frozenset({"self", "root", "parent", "collection", "child", "item"})
_STAC_VERSION = "1.1.0"
_COMPLEX = {"complex_int16": "cint16", "complex_int32": "cint32", "complex64": "cfloat32", "complex128": "cfloat64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LandedAsset:
    """A file that lies beside the item.

    Attributes:
        file_name: plain name in the item's folder.
        size: bytes.
        sha256: hexadecimal.
        media_type: of the file as it is now; None when unknown.
        source_href: where it came from, without query (see `without_query`).
        raster: its description, when it is a raster.
        kept: True when these are the delivered bytes.
    """

    file_name: str
    size: int
    sha256: str
    media_type: str | None
    source_href: str
    raster: RasterInfo | None = None
    kept: bool = True


def lake_item(
    source: pystac.Item,
    landed: Mapping[str, LandedAsset],
    *,
    collection_id: str,
    unchanged: Mapping[str, Mapping[str, Any]] | None = None,
    left_out: Mapping[str, str] | None = None,
) -> pystac.Item:
    """Copy a source item and describe the landed files in it; pure, the input is not changed, nothing is resolved.

    Every property of the source stays, UP42's `up42-*` among them. Assets get relative hrefs and facts of the file,
    file, projection and raster extensions; geometry and bbox stay the source's, and come from a raster only when the
    source has none.

    Args:
        source: UP42's item; earlier STAC versions are migrated to 1.1.
        landed: by asset key of the source.
        collection_id: the lake's collection.
        unchanged: asset documents by asset key, which an earlier landing of the same item wrote and which still hold.
        left_out: reason by asset key, for assets that are not in the lake on purpose.

    Raises:
        InvalidDelivery: the result does not conform to STAC's core schema, because the source does not.
    """
    # Never `source.clone()` or plain `to_dict()`: both fetch the source's root from UP42 to make its links relative.
    document = copy.deepcopy(source.to_dict(transform_hrefs=False))
    origin = source.get_self_href()
    properties = document["properties"]
    announced, known = document["assets"], unchanged or {}
    document["assets"] = {
        key: _asset(announced[key], landed[key]) if key in landed else copy.deepcopy(dict(known[key]))
        for key in announced
        if key in landed or key in known
    }
    document["collection"] = collection_id
    document["links"] = [
        {"rel": "root", "href": "../../../catalog.json", "type": "application/json"},
        {"rel": "parent", "href": "../collection.json", "type": "application/json"},
        {"rel": "collection", "href": "../collection.json", "type": "application/json"},
        *([{"rel": "derived_from", "href": origin, "type": "application/geo+json"}] if origin else []),
        *(link for link in document["links"] if link["rel"] not in _STRUCTURE),
    ]
    _place(document, landed)
    software = {"up42-pipelines": up42_pipelines.__version__, "GDAL": rasterio.__gdal_version__}
    properties["processing:software"] = {**properties.get("processing:software", {}), **software}
    lineage = [properties["processing:lineage"]] if "processing:lineage" in properties else []
    properties["processing:lineage"] = " ".join([*lineage, _lineage(document["assets"])])
    if left_out:
        properties[LEFT_OUT] = dict(sorted(left_out.items()))
    wanted = {FILE_EXTENSION, PROCESSING_EXTENSION}
    if any("proj:code" in asset for asset in document["assets"].values()):
        wanted |= {PROJECTION_EXTENSION, RASTER_EXTENSION}
    document["stac_extensions"] = sorted({*document.get("stac_extensions", []), *wanted})
    document["stac_version"] = _STAC_VERSION
    try:
        JsonSchemaSTACValidator().validate_core(document, pystac.STACObjectType.ITEM, _STAC_VERSION)
    except pystac.errors.STACValidationError as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise InvalidDelivery(f"Item {source.id!r} is no valid STAC {_STAC_VERSION} item: {reason}") from error
    return pystac.Item.from_dict(document, migrate=False)


def without_query(href: str) -> str:
    """An href without user name, query and fragment: a signed URL's query is a secret and changes every time."""
    parts = urlsplit(href)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _asset(source: Mapping[str, Any], file: LandedAsset) -> dict[str, Any]:
    asset = {**copy.deepcopy(dict(source)), "href": f"./{file.file_name}"}
    if file.media_type:
        asset["type"] = file.media_type
    asset["file:size"] = file.size
    # Multihash: 0x12 says SHA-256, 0x20 that 32 bytes follow (https://github.com/multiformats/multicodec).
    asset["file:checksum"] = f"1220{file.sha256}"
    asset[SOURCE_HREF] = file.source_href
    if file.raster is not None:
        asset |= _projection(file.raster)
        asset.pop("proj:epsg", None)
        asset["bands"] = _bands(asset.pop("bands", []), file.raster)
        # Their facts are in `bands` now, measured instead of announced.
        asset.pop("raster:bands", None)
        asset["processing:lineage"] = _KEPT if file.kept else _CONVERTED
    return asset


_KEPT = "Kept as delivered."
_CONVERTED = "Converted without loss to a Cloud-Optimized GeoTIFF."


def _lineage(assets: Mapping[str, Mapping[str, Any]]) -> str:
    converted = sorted(key for key, asset in assets.items() if asset.get("processing:lineage") == _CONVERTED)
    if not converted:
        return f"Delivered by UP42. {_KEPT}"
    rest = "" if len(converted) == len(assets) else " Everything else kept as delivered."
    return f"Delivered by UP42. {_CONVERTED[:-1]}: {', '.join(converted)}.{rest}"


def _projection(raster: RasterInfo) -> dict[str, Any]:
    """Fields of the projection extension 2.0 (https://github.com/stac-extensions/projection)."""
    fields: dict[str, Any] = {"proj:code": raster.crs_code, "proj:shape": [raster.height, raster.width]}
    if raster.crs_code is None and raster.crs_wkt is not None:
        fields["proj:wkt2"] = raster.crs_wkt
    if raster.transform is not None and raster.bounds is not None:
        fields["proj:transform"] = list(raster.transform)
        fields["proj:bbox"] = list(raster.bounds)
    return fields


def _bands(announced: list[dict[str, Any]], raster: RasterInfo) -> list[dict[str, Any]]:
    """STAC 1.1 common metadata `bands`, one per band; what the source announced for as many bands stays."""
    if len(announced) != raster.count:
        announced = [{} for _ in range(raster.count)]
    return [{**announced[index], **_band(raster, index, announced[index].get("name"))} for index in range(raster.count)]


def _band(raster: RasterInfo, index: int, name: str | None) -> dict[str, Any]:
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


def _json_number(value: float) -> float | int | str:
    """Common metadata `nodata`: a number, or "nan", "inf", "-inf", which JSON has no numbers for."""
    if not math.isfinite(value):
        return str(float(value))
    return int(value) if float(value).is_integer() and abs(value) < 2**63 else float(value)


def _place(document: dict[str, Any], landed: Mapping[str, LandedAsset]) -> None:
    """Give an item without geometry that of its first raster that has one, and a geometry without bbox its bbox."""
    if not document.get("geometry"):
        for file in landed.values():
            if file.raster is not None and file.raster.bbox is not None:
                document["geometry"], document["bbox"] = file.raster.footprint_4326, list(file.raster.bbox)
                return
    elif not document.get("bbox"):
        document["bbox"] = list(antimeridian.bbox(document["geometry"]))
