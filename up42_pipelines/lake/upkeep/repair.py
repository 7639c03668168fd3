"""Deriving anew what can be derived: collections, catalogue and index, from the items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.names import safe_name
from up42_pipelines.lake.stac import index
from up42_pipelines.lake.stac.catalog import (
    is_item_folder,
    item_folder,
    link_collections,
    link_items,
    mark_of,
    refresh_rows,
)
from up42_pipelines.lake.stac.links import (
    CATALOG,
    COLLECTION,
    COLLECTIONS,
    Document,
    add_children,
    add_items,
    is_index,
    is_item,
    new_catalog,
    new_collection,
)
from up42_pipelines.lake.store import Lake
from up42_pipelines.lake.upkeep.files import collection_names

_BATCH = 5000
"""Items whose documents are in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What was done for one collection.

    Attributes:
        collection: folder name.
        items: committed ones that can be read.
        rows: of the index that were missing, out of date or of no item.
        damaged: paths of item documents that cannot be read; they are left as they are.
        removed: paths of damaged parts of the index, which were removed.
    """

    collection: str
    items: int
    rows: int
    damaged: tuple[str, ...]
    removed: tuple[str, ...]


def repair(lake: Lake, collection: str | None = None) -> Iterator[Repaired]:
    """Write `collection.json`, `catalog.json` and the index anew, as the items say; nothing else is changed.

    Others may write at the same time: what this one lists too early is put right as among any writers
    (`catalog.write_items`). A `collection.json` keeps what is neither a link to an item nor the extent.

    Args:
        lake: which.
        collection: folder name of one collection; None for all.

    Raises:
        LakeError: the lake cannot be read or written, or has no such collection.
    """
    for name in collection_names(lake, collection):
        yield _repair_collection(lake, name)
    _repair_catalog(lake)


def _repair_catalog(lake: Lake) -> None:
    old = _read(lake, CATALOG)
    there = [name for name in lake.list(COLLECTIONS) if lake.exists(COLLECTIONS, name, COLLECTION)]
    document = _without_links(old, "child") if is_index(old) else new_catalog()
    add_children(document, there)
    if there and document != old:
        lake.write_json(document, CATALOG)
        link_collections(lake)


def _repair_collection(lake: Lake, collection: str) -> Repaired:
    folder = (COLLECTIONS, collection)
    removed = index.remove_damaged(lake, collection)
    names = [name for name in lake.list(*folder) if is_item_folder(name)]
    old = _read(lake, *folder, COLLECTION)
    document: Document | None = None
    damaged: list[str] = []
    known: set[str] = set()
    rows = 0
    for start in range(0, len(names), _BATCH):
        items = {}
        for name in names[start : start + _BATCH]:
            path = (*folder, name, mark_of(name))
            item = _read(lake, *path)
            if is_item(item):
                items[name] = item
            elif item is not None or lake.exists(*path):
                damaged.append("/".join(path))
        for item in items.values():
            document = document or _empty(old, collection, item)
        if document is not None:
            add_items(document, items)
        batch = {item["id"]: name for name, item in items.items()}
        rows += refresh_rows(lake, collection, batch)
        known |= batch.keys()
    gone = index.digests(lake, collection).keys() - known
    rows += refresh_rows(lake, collection, {item_id: item_folder(collection, item_id)[-1] for item_id in gone})
    if document is None and is_index(old):
        document = _empty(old, collection, {})
    if document is not None and document != old:
        lake.write_json(document, *folder, COLLECTION)
    if document is not None:
        link_items(lake, collection, {})
    index.compact(lake, collection, everything=True)
    return Repaired(collection=collection, items=len(known), rows=rows, damaged=tuple(damaged), removed=removed)


def _empty(old: Any, collection: str, item: Document) -> Document:
    """The collection without its items; a lost one has the id that its items tell, or its folder's name."""
    said = item.get("collection")
    new = new_collection(said if isinstance(said, str) and safe_name(said) == collection else collection)
    return {**_without_links(old, "item"), "extent": new["extent"]} if is_index(old) else new


def _without_links(document: Document, relation: str) -> Document:
    return {**document, "links": [link for link in document["links"] if link["rel"] != relation]}


def _read(lake: Lake, *parts: str) -> Any:
    """A document; None when it is not there or no JSON."""
    try:
        return lake.read_json(*parts)
    except LakeError as error:
        if isinstance(error.__cause__, ValueError | RecursionError | FileNotFoundError):
            return None
        raise
