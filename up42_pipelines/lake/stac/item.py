"""Build the lake's STAC item, from UP42's or from what an archive says: the same scene, verified files beside it."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import antimeridian
import pystac
import pystac.errors
import rasterio
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import mapping, shape

import up42_pipelines
from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.stac.assets import (
    OUTLINE,
    QUICKLOOK_OF,
    SENSOR_GEOMETRY,
    SOURCE_HREF,
    VALID_FOOTPRINT,
    VERIFIED_BY,
    LandedAsset,
    Quicklook,
    describe_asset,
    describe_quicklook,
    migrated,
    whole_lineage,
)
from up42_pipelines.lake.stac.extensions import declare_extensions
from up42_pipelines.lake.stac.facts import DATETIME_FROM, acquisition_time, announcement, scene_properties
from up42_pipelines.lake.stac.validation import BBOX_MISSES, check, problems

__all__ = [
    "ARCHIVE_OF_THE_SAME",
    "DATETIME_FROM",
    "LEFT_OUT",
    "SENSOR_GEOMETRY",
    "SOURCE_HREF",
    "VERIFIED_BY",
    "LandedAsset",
    "Quicklook",
    "item_from_archive",
    "lake_item",
    "source_item",
    "without_query",
]

LEFT_OUT = "up42-pipelines:left_out"
ARCHIVE_OF_THE_SAME = "An archive of what is in the lake already."

_STRUCTURE = frozenset({"self", "root", "parent", "collection", "child", "item"})
_STAC_VERSION = "1.1.0"
_READABLE_VERSION = re.compile(r"(0\.[89]|1\.[01])\.\d+(-[0-9A-Za-z.-]+)?", re.ASCII)
# Values of the order extension 1.1 for UP42's order statuses. Some data has been delivered in any of them.
_ORDER_STATUS = {
    "FULFILLED": "succeeded",
    "BEING_FULFILLED": "shipping",
    "DOWNLOADED": "shipping",
    "FAILED": "failed",
    "FAILED_PERMANENTLY": "failed",
    "CANCELED": "canceled",
}
# Rasters that are not imagery do not say where imagery is: a mask may be valid everywhere.
_NO_IMAGERY = ("data-mask", "thumbnail", "overview", "metadata")

# What pystac raises for a document that is not as it expects.
_UNREADABLE = (pystac.errors.STACError, pystac.errors.STACTypeError, LookupError, TypeError, ValueError, AttributeError)


def source_item(document: Mapping[str, Any]) -> pystac.Item:
    """Read an item of STAC 0.8 to 1.1, migrated to 1.1.0 as pystac migrates.

    Raises:
        InvalidDelivery: it is no item, of another version, or cannot be read.
    """
    version = document.get("stac_version")
    what = f"Item {str(document.get('id'))[:80]!r}"
    if not isinstance(version, str) or not _READABLE_VERSION.fullmatch(version):
        raise InvalidDelivery(f"{what} has STAC version {str(version)[:40]!r}; 0.8 to 1.1 can be read.")
    try:
        return pystac.Item.from_dict(dict(document))
    except _UNREADABLE as error:
        raise InvalidDelivery(f"{what} is no STAC item: {' '.join(str(error).split())[:200]}") from error


def lake_item(
    source: pystac.Item,
    landed: Mapping[str, LandedAsset],
    *,
    collection_id: str,
    unchanged: Mapping[str, Mapping[str, Any]] | None = None,
    left_out: Mapping[str, str] | None = None,
) -> pystac.Item:
    """Copy a source item and describe the landed files in it; pure, the input is not changed, nothing is resolved.

    Every property of the source stays, UP42's `up42-*` among them; `created` and `updated` are the source's, so that
    landing the same files again gives the same item. Assets get relative hrefs and what was measured: file, projection
    and raster extensions, statistics. The geometry is the footprint of the valid pixels when every raster has one,
    else the source's, else a raster's outline, else that of the features. A bbox that misses part of the geometry is
    made anew.

    Args:
        source: UP42's item; earlier STAC versions are migrated to 1.1.
        landed: by asset key of the source.
        collection_id: the lake's collection.
        unchanged: asset documents by asset key, which an earlier landing of the same item wrote and which still hold;
            quicklooks among them stay with their rasters.
        left_out: reason by asset key, for assets that are not in the lake on purpose.

    Raises:
        InvalidDelivery: the result is no valid STAC, because the source is not, or its bbox and its geometry have
            nothing in common.
    """
    # Never `source.clone()` or plain `to_dict()`: both fetch the source's root from UP42 to make its links relative.
    try:
        document = copy.deepcopy(source.to_dict(transform_hrefs=False))
    except _UNREADABLE as error:
        raise InvalidDelivery(f"Item {source.id!r} cannot be written as STAC: {error}") from error
    return _finished(document, landed, collection_id, unchanged or {}, left_out or {}, source.get_self_href())


def item_from_archive(
    landed: Mapping[str, LandedAsset],
    *,
    item_id: str,
    collection_id: str,
    properties: Mapping[str, Any],
    facts: Mapping[str, Any],
    delivered_at: datetime,
    announced: Mapping[str, Mapping[str, Any]] | None = None,
    geometry: Mapping[str, Any] | None = None,
    origin: str | None = None,
    unchanged: Mapping[str, Mapping[str, Any]] | None = None,
    left_out: Mapping[str, str] | None = None,
) -> pystac.Item:
    """Make the item of a delivery that UP42 never turned into one; pure.

    Args:
        landed: by asset key.
        item_id: of the new item.
        collection_id: the lake's collection.
        properties: what UP42 says about the delivery; where the product's metadata say otherwise, they are believed.
        facts: what the product's metadata say, by the names of `products.SceneFacts` (`dataclasses.asdict`).
        delivered_at: time of the item when the metadata have none; `up42-pipelines:datetime_from` says so.
        announced: by asset key, what the metadata say of a raster: `title`, `roles`, `gsd_m`, `bands` (by the names of
            `products.Band`); of a document, `title` and `roles`.
        geometry: GeoJSON (degrees, EPSG:4326), when neither pixels nor metadata tell the place.
        origin: address of the delivery at UP42, for the link `derived_from`.
        unchanged: see `lake_item`.
        left_out: see `lake_item`.

    Raises:
        InvalidDelivery: the result is no valid STAC.
    """
    footprint = facts.get("footprint_4326") or geometry
    document: dict[str, Any] = {
        "type": "Feature",
        "stac_version": _STAC_VERSION,
        "stac_extensions": [],
        "id": item_id,
        "geometry": dict(footprint) if footprint else None,
        "properties": {
            **properties,
            **scene_properties(facts),
            **acquisition_time(facts, delivered_at),
        },
        "links": [],
        "assets": {key: announcement((announced or {}).get(key, {})) for key in (*landed, *(unchanged or {}))},
    }
    return _finished(document, landed, collection_id, unchanged or {}, left_out or {}, origin)


def without_query(href: str) -> str:
    """An href without user name, query and fragment: a signed URL's query is a secret and changes every time."""
    parts = urlsplit(href)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _finished(
    document: dict[str, Any],
    landed: Mapping[str, LandedAsset],
    collection_id: str,
    unchanged: Mapping[str, Mapping[str, Any]],
    left_out: Mapping[str, str],
    origin: str | None,
) -> pystac.Item:
    """Turn a source document, which is ours to change, into the lake's item."""
    document["assets"] = _assets(document["assets"], landed, unchanged)
    document["collection"] = collection_id
    document["links"] = [
        {"rel": "root", "href": "../../../catalog.json", "type": "application/json"},
        {"rel": "parent", "href": "../collection.json", "type": "application/json"},
        {"rel": "collection", "href": "../collection.json", "type": "application/json"},
        *([{"rel": "derived_from", "href": without_query(origin), "type": "application/geo+json"}] if origin else []),
        *(link for link in document["links"] if link["rel"] not in _STRUCTURE),
    ]
    document["properties"] = _properties(document["properties"], document["assets"], left_out)
    document["stac_version"] = _STAC_VERSION
    _place(document, landed)
    declare_extensions(document)
    if problems(document) == (BBOX_MISSES,) and _meet(document["bbox"], document["geometry"]):
        document["bbox"] = _bbox(document["geometry"])
    check(document, f"Item {document['id']!r}")
    # A deep copy, so that nothing is shared with what was given.
    return pystac.Item.from_dict(document, migrate=False)


def _assets(
    announced: Mapping[str, Mapping[str, Any]],
    landed: Mapping[str, LandedAsset],
    unchanged: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Assets in the source's order, then the quicklooks of those that are there."""
    assets = {
        key: describe_asset(announced[key], landed[key]) if key in landed else dict(unchanged[key])
        for key in announced
        if key in landed or (key in unchanged and QUICKLOOK_OF not in unchanged[key])
    }
    for key, asset in unchanged.items():
        # A raster that landed anew has a quicklook of its own, or none.
        if asset.get(QUICKLOOK_OF) in assets.keys() - landed.keys():
            assets[key] = dict(asset)
    for key, file in landed.items():
        if key in assets and file.quicklook is not None:
            name = f"{key}-quicklook"
            while name in assets:
                name += "-of-lake"
            assets[name] = describe_quicklook(file.quicklook, key)
    return assets


def _properties(
    source: Mapping[str, Any], assets: Mapping[str, Mapping[str, Any]], left_out: Mapping[str, str]
) -> dict[str, Any]:
    properties = migrated(source) if any("bands" in asset for asset in assets.values()) else dict(source)
    status = _ORDER_STATUS.get(str(properties.get("up42-order:status")))
    if status is not None and "order:status" not in properties:
        properties["order:status"] = status
        if isinstance(properties.get("up42-order:id"), str):
            properties["order:id"] = properties["up42-order:id"]
    software, lineage = properties.get("processing:software"), properties.get("processing:lineage")
    properties["processing:software"] = {
        **(software if isinstance(software, dict) else {}),
        "up42-pipelines": up42_pipelines.__version__,
        "GDAL": rasterio.__gdal_version__,
    }
    ours = whole_lineage(assets)
    properties["processing:lineage"] = f"{lineage} {ours}" if isinstance(lineage, str) else ours
    if left_out:
        properties[LEFT_OUT] = dict(sorted(left_out.items()))
    return properties


def _place(document: dict[str, Any], landed: Mapping[str, LandedAsset]) -> None:
    """Geometry and bbox: of the valid pixels, else the source's, else of the first raster or features that have one."""
    rasters = [asset for asset in document["assets"].values() if "proj:shape" in asset and _is_imagery(asset)]
    footprints = [asset.get(VALID_FOOTPRINT) for asset in rasters]
    if footprints and all(footprints):
        whole = shapely.union_all([shape(footprint) for footprint in footprints])
        document["geometry"] = _as_json(mapping(whole)) if len(footprints) > 1 else footprints[0]
        document["bbox"] = _bbox(document["geometry"])
    elif not document.get("geometry"):
        document["geometry"] = None
        document.pop("bbox", None)
        for file in landed.values():
            if file.raster is not None and file.raster.bbox is not None:
                document["geometry"], document["bbox"] = file.raster.footprint_4326, list(file.raster.bbox)
                return
        outlines = [asset[OUTLINE] for asset in document["assets"].values() if OUTLINE in asset]
        if outlines:
            document["geometry"], document["bbox"] = outlines[0], _bbox(outlines[0])
    elif not document.get("bbox"):
        # A geometry that cannot be read is left for the schema to refuse.
        with suppress(LookupError, TypeError, ValueError, AttributeError):
            document["bbox"] = _bbox(document["geometry"])


def _is_imagery(asset: Mapping[str, Any]) -> bool:
    roles = asset.get("roles")
    return not (isinstance(roles, list) and any(role in roles for role in _NO_IMAGERY))


def _bbox(geometry: dict[str, Any]) -> list[float]:
    """West, south, east, north; west > east across the antimeridian, which only areas are cut at."""
    is_area = geometry["type"] in {"Polygon", "MultiPolygon"}
    return [float(value) for value in (antimeridian.bbox(geometry) if is_area else shape(geometry).bounds)]


def _meet(bbox: list[float], geometry: dict[str, Any]) -> bool:
    """Whether a bbox (west > east across the antimeridian) and a geometry have a place in common."""
    west, south, east, north = bbox if len(bbox) == 4 else (*bbox[:2], *bbox[3:5])
    spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    boxes = [shapely.box(left, south, right, north) for left, right in spans]
    try:
        return any(box.intersects(shape(geometry)) for box in boxes)
    except (ShapelyError, TypeError, ValueError):  # a third coordinate that is no number, which the schema allows
        return False


def _as_json(value: Any) -> Any:
    """With lists for tuples, as JSON reads it back."""
    if isinstance(value, dict):
        return {key: _as_json(inner) for key, inner in value.items()}
    return [_as_json(inner) for inner in value] if isinstance(value, tuple | list) else value
