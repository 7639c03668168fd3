"""`collection.json` and `catalog.json` as documents: what they say, what they link. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pystac.utils import datetime_to_str, str_to_datetime

CATALOG, COLLECTIONS, COLLECTION = "catalog.json", "collections", "collection.json"
_STAC_VERSION = "1.1.0"

Document = dict[str, Any]

_TIMES = ("start_datetime", "datetime", "end_datetime")
# What reading a document raises that somebody has edited.
_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, OverflowError)


def is_index(document: Any) -> bool:
    """Whether a document has what is needed to add links to it."""
    if not isinstance(document, dict) or not isinstance(document.get("links"), list):
        return False
    try:
        linked_in(document, "item")
        linked_in(document, "child")
        return document.get("type") == "Catalog" or (
            _box(document["extent"]["spatial"]["bbox"][0]) is not None
            and len(document["extent"]["spatial"]["bbox"][0]) == 4
            and len(_moments(document["extent"]["temporal"]["interval"][0])) <= 2
        )
    except _UNREADABLE:
        return False


def is_item(document: Any) -> bool:
    """Whether a document has what an item in the catalogue needs; `validation` knows whether it is valid."""
    wanted = {"id": str, "properties": dict, "assets": dict, "links": list}
    if not isinstance(document, dict) or not all(isinstance(document.get(key), kind) for key, kind in wanted.items()):
        return False
    try:
        _box(document.get("bbox"))
        _moments(document["properties"].get(name) for name in _TIMES)
    except _UNREADABLE:
        return False
    return all(isinstance(one, dict) for one in (*document["assets"].values(), *document["links"]))


def linked_in(document: Document, relation: str) -> set[str]:
    """Names of the folders that a collection or the catalogue links."""
    return {name_of(link) for link in document["links"] if link["rel"] == relation}


def name_of(link: Document) -> str:
    """The last but one segment of `./item/item.json`."""
    return str(link["href"].split("/")[-2])


def new_catalog() -> Document:
    """The catalogue, before it links anything."""
    return {
        "type": "Catalog",
        "stac_version": _STAC_VERSION,
        "id": "up42-lake",
        "title": "UP42 deliveries",
        "description": "Satellite imagery bought through UP42, verified and stored as Cloud-Optimized GeoTIFFs.",
        "links": [{"rel": "root", "href": f"./{CATALOG}", "type": "application/json"}],
    }


def new_collection(collection_id: str) -> Document:
    """A collection without items; its extent, the whole world and any time, is a placeholder until there is one."""
    return {
        "type": "Collection",
        "stac_version": _STAC_VERSION,
        "id": collection_id,
        "description": f"Deliveries of {collection_id} bought through UP42.",
        # The end-user licence of a purchase has no SPDX id; STAC 1.1 calls that "other".
        "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [
            {"rel": "root", "href": f"../../{CATALOG}", "type": "application/json"},
            {"rel": "parent", "href": f"../../{CATALOG}", "type": "application/json"},
        ],
    }


def add_children(catalog: Document, names: Iterable[str]) -> None:
    """Link collections by their folder names."""
    catalog["links"] += [
        {"rel": "child", "href": f"./{COLLECTIONS}/{name}/{COLLECTION}", "type": "application/json"} for name in names
    ]


def add_items(collection: Document, items: Mapping[str, Document]) -> None:
    """Link items, and widen the collection's extent by them; the first one replaces the placeholder."""
    if not items:
        return
    extent = collection["extent"]
    first = not linked_in(collection, "item")
    box = None if first else _box(extent["spatial"]["bbox"][0])
    moments = _moments(extent["temporal"]["interval"][0])
    for item in items.values():
        if (here := _box(item.get("bbox"))) is not None:
            box = here if box is None else union_bbox(box, here)
        moments += _moments(item["properties"].get(name) for name in _TIMES)
    if box is not None:
        extent["spatial"]["bbox"][0] = list(box)
    if moments:
        extent["temporal"]["interval"][0] = [datetime_to_str(min(moments)), datetime_to_str(max(moments))]
    collection["links"] += [
        {"rel": "item", "href": f"./{name}/{name}.json", "type": "application/geo+json"} for name in items
    ]


def _box(bbox: Any) -> tuple[float, float, float, float] | None:
    """West, south, east, north of a bbox, of six numbers without the heights; None when there is none."""
    if not bbox:
        return None
    west, south, east, north = (bbox[at] for at in ((0, 1, 3, 4) if len(bbox) == 6 else range(4)))
    if not all(math.isfinite(side) for side in (west, south, east, north)):
        raise ValueError("a bbox is of finite numbers")
    return west, south, east, north


def _moments(times: Iterable[Any]) -> list[datetime]:
    moments = [str_to_datetime(time) for time in times if time is not None]
    if any(moment.tzinfo is None for moment in moments):
        raise ValueError("a time has a zone")
    return moments


def union_bbox(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float, float]:
    """Smallest box around two: west, south, east, north (degrees, EPSG:4326), west > east across the antimeridian."""
    west, south, east, north = one
    east += 360 if east < west else 0
    west2, south2, east2, north2 = other
    east2 += 360 if east2 < west2 else 0
    # The other box may lie one turn to either side; the narrowest hull is the one meant.
    hulls = ((min(west, west2 + turn), max(east, east2 + turn)) for turn in (0, -360, 360))
    left, right = min(hulls, key=lambda hull: hull[1] - hull[0])
    if right - left >= 360:
        left, right = -180.0, 180.0
    elif left < -180:
        left, right = left + 360, right + 360
    if right > 180:
        left, right = (left - 360, right - 360) if left > 180 else (left, right - 360)
    return left, min(south, south2), right, max(north, north2)
