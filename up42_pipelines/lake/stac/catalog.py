"""The static STAC catalogue of the lake: items, and the collections and the catalogue that link them.

    catalog.json
    collections/<collection>/collection.json
    collections/<collection>/<item>/<item>.json        the files lie beside it

An item's JSON is its commit mark: it is written last, so a folder without it holds debris of a landing that failed.
`collection.json` and `catalog.json` are an index over the commit marks, and can be derived from them at any time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pystac
import pystac.errors
from pystac.utils import datetime_to_str, str_to_datetime

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.names import safe_name
from up42_pipelines.lake.store import Lake

_COLLECTIONS, _COLLECTION, _CATALOG = "collections", "collection.json", "catalog.json"
_STAC_VERSION = "1.1.0"
# Every round but the last one met another writer's stale index; 50 in a row mean that something else is wrong.
_ROUNDS = 50

Document = dict[str, Any]


def collection_folder(collection_id: str) -> tuple[str, ...]:
    """Where a collection lives in the lake; its id is made fit to be a name."""
    return _COLLECTIONS, safe_name(collection_id)


def item_folder(collection_id: str, item_id: str) -> tuple[str, ...]:
    """Where an item and its files live in the lake."""
    return *collection_folder(collection_id), safe_name(item_id)


def write_item(lake: Lake, collection_id: str, item: pystac.Item) -> None:
    """Commit an item whose files are in place already, and link it in its collection and in the catalogue.

    Any number of processes may do this at once, without a lock. Each one, after committing its item, repeats: read the
    index, add what the listing shows and the index lacks, write it, list again, until the listing is contained in what
    it wrote (or read, when nothing was missing). Writers overwrite each other's index, yet no link is lost once they
    are done. Take the last write of the index, W, and an item committed by a process that has returned:

    * Committed before W's writer listed again: had W lacked it, that writer would have written once more.
    * Committed after that listing: its own process read the index later than W, found it lacking the item, and wrote
      later than W, which therefore was not the last write.

    This needs listings that show every earlier write (local file systems, GCS, S3, memory). A writer that is killed
    between writing and listing again may leave an index with links missing; the next `write_item` puts them back.

    Raises:
        LakeError: the lake cannot be written, or the index does not settle.
    """
    folder = item_folder(collection_id, item.id)
    lake.write_json(item.to_dict(transform_hrefs=False), *folder, f"{folder[-1]}.json")
    index_collection(lake, collection_id)


def index_collection(lake: Lake, collection_id: str) -> None:
    """Bring `collection.json` and `catalog.json` up to date with the committed items (see `write_item`)."""
    folder = collection_folder(collection_id)
    _converge(
        lake,
        (*folder, _COLLECTION),
        new=lambda: _new_collection(collection_id),
        relation="item",
        committed=lambda known: _committed(lake, folder, known, lambda name: f"{name}.json"),
        add=_add_item,
    )
    _converge(
        lake,
        (_CATALOG,),
        new=_new_catalog,
        relation="child",
        committed=lambda known: _committed(lake, (_COLLECTIONS,), known, lambda _: _COLLECTION),
        add=_add_collection,
    )


def read_item(lake: Lake, collection_id: str, item_id: str) -> pystac.Item | None:
    """A committed item, with hrefs of its files that a reader outside can open; None when there is no such item.

    Raises:
        LakeError: the item cannot be read or is no STAC item.
    """
    folder = item_folder(collection_id, item_id)
    name = f"{folder[-1]}.json"
    if not lake.exists(*folder, name):
        return None
    document = lake.read_json(*folder, name)
    try:
        item = pystac.Item.from_dict(document, href=lake.href(*folder, name), migrate=False)
    except (pystac.errors.STACError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise LakeError(
            f"Lake {lake.url}: {lake.path(*folder, name)} is no STAC item ({error}). Remove it, and land it again."
        ) from error
    for asset in item.assets.values():
        if asset.href.startswith("./"):
            asset.href = lake.href(*folder, asset.href.removeprefix("./"))
    return item


def _committed(
    lake: Lake, folder: Sequence[str], known: set[str], mark: Callable[[str], str]
) -> dict[str, tuple[str, ...]]:
    """Commit marks by name, of the folders below `folder` that are not known yet; one look per unknown folder."""
    marks = {name: (*folder, name, mark(name)) for name in lake.list(*folder) if name not in known}
    return {name: parts for name, parts in marks.items() if lake.exists(*parts)}


def _converge(
    lake: Lake,
    index: tuple[str, ...],
    *,
    new: Callable[[], Document],
    relation: str,
    committed: Callable[[set[str]], dict[str, tuple[str, ...]]],
    add: Callable[[Document, Document], Document],
) -> None:
    """Repeat read, add, write, list until the index links every commit mark (the argument is at `write_item`)."""
    for _ in range(_ROUNDS):
        document = lake.read_json(*index) if lake.exists(*index) else None
        missing = committed(set() if document is None else _linked(document, relation))
        if not missing and document is not None:
            return
        document = document or new()
        for _, parts in sorted(missing.items()):
            document = add(document, lake.read_json(*parts))
            href = "./" + "/".join(parts[len(index) - 1 :])
            media = "application/geo+json" if relation == "item" else "application/json"
            document["links"].append({"rel": relation, "href": href, "type": media})
        lake.write_json(document, *index)
        if not committed(_linked(document, relation)):
            return
    raise LakeError(
        f"Lake {lake.url}: {lake.path(*index)} did not settle in {_ROUNDS} rounds; run again with fewer writers."
    )


def _linked(document: Document, relation: str) -> set[str]:
    """Names of the folders that an index links: the last but one segment of `./item/item.json`."""
    return {link["href"].split("/")[-2] for link in document["links"] if link["rel"] == relation}


def _new_catalog() -> Document:
    return {
        "type": "Catalog",
        "stac_version": _STAC_VERSION,
        "id": "up42-lake",
        "title": "UP42 deliveries",
        "description": "Satellite imagery bought through UP42, verified and stored as Cloud-Optimized GeoTIFFs.",
        "links": [{"rel": "root", "href": "./catalog.json", "type": "application/json"}],
    }


def _new_collection(collection_id: str) -> Document:
    return {
        "type": "Collection",
        "stac_version": _STAC_VERSION,
        "id": collection_id,
        "description": f"Deliveries of {collection_id} bought through UP42.",
        # The end-user licence of a purchase has no SPDX id; STAC 1.1 calls that "other".
        "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [
            {"rel": "root", "href": "../../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../../catalog.json", "type": "application/json"},
        ],
    }


def _add_collection(catalog: Document, _: Document) -> Document:
    return copy.deepcopy(catalog)


def _add_item(collection: Document, item: Document) -> Document:
    """Widen a collection's extent by an item; the first item replaces the placeholder."""
    collection = copy.deepcopy(collection)
    first = not _linked(collection, "item")
    extent = collection["extent"]
    if bbox := item.get("bbox"):
        here = (bbox[0], bbox[1], bbox[3], bbox[4]) if len(bbox) == 6 else tuple(bbox)
        extent["spatial"]["bbox"][0] = list(here if first else union_bbox(tuple(extent["spatial"]["bbox"][0]), here))
    properties = item["properties"]
    times = [properties.get(name) for name in ("start_datetime", "datetime", "end_datetime")]
    times += extent["temporal"]["interval"][0]
    moments: list[datetime] = sorted(str_to_datetime(time) for time in times if time)
    if moments:
        extent["temporal"]["interval"][0] = [datetime_to_str(moments[0]), datetime_to_str(moments[-1])]
    return collection


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
