"""The static STAC catalogue of the lake: items, the collections and the catalogue that link them, and their index.

    catalog.json
    collections/<collection>/collection.json
    collections/<collection>/index/<part>.parquet               see `index`
    collections/<collection>/<item>/<item>.json                 the files lie beside it
    collections/<collection>/<item>/<item>.withheld.json        instead, when a check has failed

An item's JSON is its commit mark: it is written last, so a folder without it holds debris of a landing that failed.
`collection.json`, `catalog.json` and the GeoParquet index are derived from the commit marks, at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pystac
import pystac.errors

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.names import safe_name
from up42_pipelines.lake.stac import index
from up42_pipelines.lake.stac.links import (
    CATALOG,
    COLLECTION,
    COLLECTIONS,
    Document,
    add_children,
    add_items,
    is_index,
    is_item,
    linked_in,
    name_of,
    new_catalog,
    new_collection,
)
from up42_pipelines.lake.stac.table import Placed
from up42_pipelines.lake.store import Lake

WITHHELD = "up42-pipelines:withheld"
"""Property of a withheld item: why, by check."""

# Every round but the last one met another writer's stale index; 50 in a row mean that something else is wrong.
_ROUNDS = 50
_CONNECTIONS = 16
# What lies beside the item folders; compared without case, as macOS and Windows do.
_TAKEN = frozenset({index.INDEX, COLLECTION})

T = TypeVar("T")
R = TypeVar("R")


def collection_folder(collection_id: str) -> tuple[str, ...]:
    """Where a collection lives in the lake; its id is made fit to be a name."""
    return COLLECTIONS, safe_name(collection_id)


def item_folder(collection_id: str, item_id: str) -> tuple[str, ...]:
    """Where an item and its files live in the lake."""
    name = safe_name(item_id)
    if name.casefold() in _TAKEN:
        name = f"{name}-{hashlib.sha256(item_id.encode()).hexdigest()[:8]}"
    return *collection_folder(collection_id), name


def is_item_folder(name: str) -> bool:
    """Whether a name in a collection's folder is that of an item's folder."""
    return name.casefold() not in _TAKEN


def mark_of(name: str) -> str:
    """File name of the commit mark in the item folder of this name."""
    return f"{name}.json"


def withheld_mark_of(name: str) -> str:
    """File name of a withheld item in the item folder of this name."""
    return f"{name}.withheld.json"


def write_item(lake: Lake, collection_id: str, item: pystac.Item) -> None:
    """Commit an item whose files are in place already; see `write_items`."""
    write_items(lake, collection_id, [item])


def write_items(lake: Lake, collection_id: str, items: Iterable[pystac.Item | Document]) -> None:
    """Commit items whose files are in place already, put them into the index, and link them.

    Items may be given as the JSON documents that they are; then none of them becomes a pystac object on the way.

    Any number of processes may do this at once, without a lock. Each one, after committing its items, repeats: read
    `collection.json`, add what the listing shows and it lacks, take out what was removed and is not there, write it,
    list again, until the listing agrees with what it wrote (or read, when nothing was to do). Writers overwrite each
    other's `collection.json`, yet no link is lost once they are done. Take the last write of it, W, and an item
    committed by a process that has returned:

    * Committed before W's writer listed again: had W lacked it, that writer would have written once more.
    * Committed after that listing: its own process read `collection.json` later than W, found it lacking the item, and
      wrote later than W, which therefore was not the last write.

    The same holds for an item that was withheld, with "lacked" and "linked" exchanged, since `write_withheld` leaves a
    removal in the index before it reads `collection.json`.

    The rows of the index come before the links, so that what a killed writer has committed and not linked is found by
    the next one, which writes its row as well. When two processes write the same item, the row of the JSON that stays
    wins: each looks, after writing its row, for rows and removals of the item that were not there before it wrote the
    JSON, and if there are any it compares row and JSON until they agree. Take the last write of the JSON, J, and a row
    of an older one that has the higher revision. Its writer listed the index before it wrote the older JSON, so before
    J and before the row of J; afterwards it either finds that row and compares, or published before that row, whose
    writer then finds the older one.

    This needs listings that show every earlier write (local file systems, GCS, S3, memory). A writer that is killed
    between writing and listing again may leave an index with links missing; the next `write_items` puts them back.

    Raises:
        LakeError: the lake cannot be written, or the index does not settle.
    """
    folder = collection_folder(collection_id)
    given = (item.to_dict(transform_hrefs=False) if isinstance(item, pystac.Item) else item for item in items)
    documents = {item_folder(collection_id, document["id"])[-1]: document for document in given}
    if not documents:
        return
    seen = index.listing(lake, collection_id)
    lake.write_all_json({(*folder, name, mark_of(name)): document for name, document in documents.items()})
    _at_once(lake, lambda name: lake.remove(*folder, name, withheld_mark_of(name)), documents)
    rows = [placed(lake, folder, name, document) for name, document in documents.items()]
    mine = index.add_rows(lake, collection_id, rows, seen=seen)
    ids = {document["id"]: name for name, document in documents.items()}
    if disputed := index.written_since(lake, collection_id, seen, mine, set(ids)):
        refresh_rows(lake, collection_id, {item_id: ids[item_id] for item_id in disputed})
    index.compact(lake, collection_id)
    link_items(lake, collection_id, documents)
    link_collections(lake)


def write_withheld(lake: Lake, collection_id: str, item: pystac.Item, failures: Mapping[str, str]) -> None:
    """Keep an item that failed a check out of catalogue and index; its files and its JSON stay, under another name.

    An item that was committed before is so no longer. Committing it later (`write_items`) ends this.

    Args:
        lake: where.
        collection_id: the collection.
        item: whose files are in place.
        failures: why, by name of the check; kept in the property `up42-pipelines:withheld`.

    Raises:
        LakeError: the lake cannot be written.
    """
    folder = item_folder(collection_id, item.id)
    name = folder[-1]
    document = item.to_dict(transform_hrefs=False)
    document["properties"][WITHHELD] = dict(sorted(failures.items()))
    lake.write_json(document, *folder, withheld_mark_of(name))
    lake.remove(*folder, mark_of(name))
    remove_items(lake, collection_id, {item.id: name})


def remove_items(lake: Lake, collection_id: str, names: Mapping[str, str]) -> None:
    """Take items whose commit marks are gone out of index and collection; names of their folders by id."""
    seen = index.listing(lake, collection_id)
    known = index.digests(lake, collection_id)
    folder = collection_folder(collection_id)
    linked = linked_in(read_index(lake, *folder, COLLECTION) or new_collection(collection_id), "item")
    if gone := [(name, item_id) for item_id, name in names.items() if item_id in known or name in linked]:
        index.remove_rows(lake, collection_id, gone, seen=seen)
        refresh_rows(lake, collection_id, names)
        link_items(lake, collection_id, {})


def index_collection(lake: Lake, collection_id: str, *item_ids: str) -> None:
    """Bring `collection.json` and `catalog.json` up to date with the committed items (see `write_items`).

    Args:
        lake: where.
        collection_id: the collection.
        item_ids: items whose rows in the index are compared with their JSON; a writer that was killed after it had
            replaced an item's JSON left the old row.
    """
    refresh_rows(lake, collection_id, {item_id: item_folder(collection_id, item_id)[-1] for item_id in item_ids})
    link_items(lake, collection_id, {})
    link_collections(lake)


def refresh_rows(lake: Lake, collection_id: str, names: Mapping[str, str]) -> int:
    """Make the index agree with the JSON of items, names of their folders by id; how many rows were out of date."""
    folder, out_of_date = collection_folder(collection_id), 0
    for _ in range(_ROUNDS if names else 0):
        seen = index.listing(lake, collection_id)
        documents = _read_marks(lake, folder, names.values())
        items = {
            item_id: placed(lake, folder, name, documents[name])
            for item_id, name in names.items()
            if name in documents and documents[name]["id"] == item_id
        }
        known = index.digests(lake, collection_id)
        stale = [item for item_id, item in items.items() if known.get(item_id) != item.digest()]
        gone = [(name, item_id) for item_id, name in names.items() if item_id in known and item_id not in items]
        if not stale and not gone:
            return out_of_date
        out_of_date += len(stale) + len(gone)
        index.add_rows(lake, collection_id, stale, seen=seen)
        if gone:
            index.remove_rows(lake, collection_id, gone, seen=seen)
    if not names:
        return 0
    raise _unsettled(lake, *folder, index.INDEX)


def read_item(lake: Lake, collection_id: str, item_id: str) -> pystac.Item | None:
    """A committed item, with hrefs of its files that a reader outside can open; None when there is no such item.

    Raises:
        LakeError: the item cannot be read or is no STAC item.
    """
    folder = item_folder(collection_id, item_id)
    return _read_item(lake, *folder, mark_of(folder[-1]))


def read_withheld(lake: Lake, collection_id: str, item_id: str) -> pystac.Item | None:
    """An item that failed a check, as `read_item` gives a committed one; None when there is none, or it is committed.

    Raises:
        LakeError: the item cannot be read or is no STAC item.
    """
    folder = item_folder(collection_id, item_id)
    if lake.exists(*folder, mark_of(folder[-1])):
        return None
    return _read_item(lake, *folder, withheld_mark_of(folder[-1]))


def _read_item(lake: Lake, *parts: str) -> pystac.Item | None:
    if not lake.exists(*parts):
        return None
    document = lake.read_json(*parts)
    try:
        item = pystac.Item.from_dict(document, href=lake.href(*parts), migrate=False)
    except (pystac.errors.STACError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise LakeError(
            f"Lake {lake.url}: {lake.path(*parts)} is no STAC item ({error}). Remove it, and land it again."
        ) from error
    for asset in item.assets.values():
        if asset.href.startswith("./"):
            asset.href = lake.href(*parts[:-1], asset.href.removeprefix("./"))
    return item


def placed(lake: Lake, folder: Sequence[str], name: str, document: Document) -> Placed:
    """An item, as the index takes it."""
    return Placed(document, lake.href(*folder, name), mark_of(name))


# --- links ------------------------------------------------------------------------------------------------------------


def link_items(lake: Lake, collection_id: str, ours: Mapping[str, Document]) -> None:
    """Bring `collection.json` up to date; `ours` are items just committed, by folder name (see `write_items`)."""
    folder = collection_folder(collection_id)

    def unlinked(linked: set[str]) -> dict[str, Document]:
        names = [name for name in lake.list(*folder) if name not in linked and is_item_folder(name)]
        others = _read_marks(lake, folder, [name for name in names if name not in ours])
        refresh_rows(lake, collection_id, {document["id"]: name for name, document in others.items()})
        return {name: ours[name] if name in ours else others[name] for name in names if name in ours or name in others}

    def removed(linked: set[str]) -> set[str]:
        names = index.removed_folders(lake, collection_id) & linked
        return {name for name in names if not lake.exists(*folder, name, mark_of(name))}

    _converge(
        lake,
        (*folder, COLLECTION),
        new=lambda: new_collection(collection_id),
        relation="item",
        missing=unlinked,
        gone=removed,
        add=add_items,
    )


def link_collections(lake: Lake) -> None:
    """Bring `catalog.json` up to date."""

    def unlinked(linked: set[str]) -> dict[str, Document]:
        names = [name for name in lake.list(COLLECTIONS) if name not in linked]
        return {name: {} for name in names if lake.exists(COLLECTIONS, name, COLLECTION)}

    _converge(
        lake,
        (CATALOG,),
        new=new_catalog,
        relation="child",
        missing=unlinked,
        gone=lambda _: set(),
        add=add_children,
    )


def _converge(
    lake: Lake,
    target: tuple[str, ...],
    *,
    new: Callable[[], Document],
    relation: str,
    missing: Callable[[set[str]], dict[str, Document]],
    gone: Callable[[set[str]], set[str]],
    add: Callable[[Document, dict[str, Document]], None],
) -> None:
    """Repeat read, change, write, list until every commit mark is linked (the argument is at `write_items`)."""
    for _ in range(_ROUNDS):
        document = read_index(lake, *target)
        linked = set() if document is None else linked_in(document, relation)
        to_add, to_drop = missing(linked), gone(linked)
        if not to_add and not to_drop and document is not None:
            return
        document = document or new()
        if to_drop:
            document["links"] = [
                link for link in document["links"] if link["rel"] != relation or name_of(link) not in to_drop
            ]
        add(document, dict(sorted(to_add.items())))
        lake.write_json(document, *target)
        linked = linked_in(document, relation)
        if not missing(linked) and not gone(linked):
            return
    raise _unsettled(lake, *target)


def _unsettled(lake: Lake, *parts: str) -> LakeError:
    return LakeError(
        f"Lake {lake.url}: {lake.path(*parts)} did not settle in {_ROUNDS} rounds; run again with fewer writers."
    )


def _read_marks(lake: Lake, folder: Sequence[str], names: Iterable[str]) -> dict[str, Document]:
    """Items by folder name, of the folders that have a commit mark; without damaged ones, which `verify` reports."""

    def read(name: str) -> Document | None:
        try:
            document = _read_or_none(lake, *folder, name, mark_of(name))
        except LakeError as error:
            if isinstance(error.__cause__, ValueError | RecursionError):
                return None
            raise
        return document if is_item(document) else None

    return {name: document for name, document in _at_once(lake, read, names) if document is not None}


def _read_or_none(lake: Lake, *parts: str) -> Document | None:
    """A document; None when it is not there, or went meanwhile."""
    if not lake.exists(*parts):
        return None
    try:
        document: Document = lake.read_json(*parts)
    except LakeError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    return document


def read_index(lake: Lake, *parts: str) -> Document | None:
    """`collection.json` or `catalog.json`; None when it is not there.

    Raises:
        LakeError: it is damaged.
    """
    document = _read_or_none(lake, *parts)
    if document is not None and not is_index(document):
        raise LakeError(
            f"Lake {lake.url}: {lake.path(*parts)} is damaged. `up42-pipelines lake repair` makes it anew of the items."
        )
    return document


def _at_once(lake: Lake, do: Callable[[T], R], things: Iterable[T]) -> list[tuple[T, R]]:
    """Do something for each, in a remote lake several at a time, because each waits for an answer."""
    things = list(things)
    if lake.local or len(things) < 2:
        return [(thing, do(thing)) for thing in things]
    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        return list(zip(things, threads.map(do, things), strict=True))
