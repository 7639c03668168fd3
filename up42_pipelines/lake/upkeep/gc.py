"""What killed work has left in a lake, and removing it.

Only what lies in these places is ever looked at, and so removed; intents, ledgers and journals (`purchases/`), what
assets have stored (`assets/`) and anything that others put into the lake are not among them:

* temporary files (`.….part`) directly in the lake and below `collections/`,
* files in item folders that the item, committed or withheld, does not refer to,
* item folders without an item,
* removals in an index that no row needs any more,
* unfinished uploads into `collections/` on S3.

All of it only when it is older than any work that may still go on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from posixpath import join, normpath
from typing import Any
from urllib.parse import unquote

from up42_pipelines.errors import LakeError, TransferError
from up42_pipelines.lake.local_files import remove_if_empty
from up42_pipelines.lake.scratch import LOCK, fetching_folder
from up42_pipelines.lake.stac import index
from up42_pipelines.lake.stac.catalog import (
    is_item_folder,
    mark_of,
    read_index,
    withheld_mark_of,
)
from up42_pipelines.lake.stac.links import COLLECTION, COLLECTIONS, is_item, linked_in
from up42_pipelines.lake.store import Lake
from up42_pipelines.lake.upkeep.files import StoredFile, by_item, collection_names, files_below, files_in
from up42_pipelines.lake.uploads import UnfinishedUpload, abort_uploads, unfinished_uploads

OLD_ENOUGH = timedelta(days=1)
"""No landing goes on for so long without writing anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Debris:
    """A file that nothing needs.

    Attributes:
        file: which.
        why: `temporary`, `unreferenced`, `no item`, `superseded` (a withheld mark beside a commit mark), `removal`, or
            `upload` (parts of an object that S3 keeps, and lists nowhere else).
        upload: what the store calls that; else None.
    """

    file: StoredFile
    why: str
    upload: UnfinishedUpload | None = None


def find_debris(lake: Lake, *, older_than: timedelta = OLD_ENOUGH, now: datetime | None = None) -> list[Debris]:
    """What `remove_debris` would remove, now.

    Args:
        lake: which.
        older_than: an item folder in which anything is younger is left alone, as is a younger file elsewhere.
        now: instead of this moment.

    Raises:
        LakeError: the lake cannot be read.
    """
    before = (now or datetime.now(UTC)) - older_than
    found = [_temporary(file) for file in files_in(lake) if file.is_temporary and file.changed < before]
    found += _unfinished_uploads(lake, before)
    elsewhere: set[str] = set()
    for name in collection_names(lake):
        folders = by_item(files_below(lake, COLLECTIONS, name))
        for folder, files in folders.items():
            if is_item_folder(folder):
                found += _in_item_folder(lake, folder, files, before, elsewhere)
        others = [*files_in(lake, COLLECTIONS, name), *folders.get(index.INDEX, ())]
        found += [_temporary(file) for file in others if file.is_temporary and file.changed < before]
        found += _removals(lake, name, folders.get(index.INDEX, []), before)
    return [debris for debris in found if debris.upload is not None or debris.file.path not in elsewhere]


def remove_debris(lake: Lake, *, older_than: timedelta = OLD_ENOUGH, now: datetime | None = None) -> Iterator[Debris]:
    """Remove what killed work has left; each file as it is removed.

    Before anything in an item folder goes, the folder is looked at once more, with the lock that landings on this
    machine take: a landing that began meanwhile needs what is there, or has committed an item that does.

    Raises:
        LakeError: the lake cannot be read or written.
    """
    before = (now or datetime.now(UTC)) - older_than
    for name in collection_names(lake):
        removals = [file for file in files_in(lake, COLLECTIONS, name, index.INDEX) if index.is_removal(file.parts[-1])]
        if any(file.changed < before for file in removals):
            index.compact(lake, name, everything=True)
    folders: dict[tuple[str, ...], list[Debris]] = {}
    for debris in find_debris(lake, older_than=older_than, now=now):
        folders.setdefault(debris.file.parts[:-1][:3], []).append(debris)
    for folder, candidates in folders.items():
        yield from _removed(lake, folder, candidates, before)
    if lake.local:
        _remove_empty_folders(Path(lake.path(COLLECTIONS)), before)


def _removed(lake: Lake, folder: tuple[str, ...], candidates: list[Debris], before: datetime) -> list[Debris]:
    """Remove debris of one folder; of an item's, what is still debris when no landing is at work there."""
    if len(folder) < 3 or not is_item_folder(folder[2]):
        _remove(lake, candidates)
        return candidates
    with suppress(TransferError), fetching_folder(lake, folder):
        again = _in_item_folder(lake, folder[2], files_below(lake, *folder), before, set())
        still = {debris.file.path for debris in again}
        removed = [one for one in candidates if one.upload is not None or one.file.path in still]
        _remove(lake, removed)
        return removed
    return []


def _remove(lake: Lake, found: list[Debris]) -> None:
    for debris in found:
        if debris.upload is not None:
            abort_uploads(lake.fs, [debris.upload])
        elif debris.file.parts[3:] != LOCK:  # it is held, and goes with what holds it
            lake.remove(*debris.file.parts)


def _unfinished_uploads(lake: Lake, before: datetime) -> list[Debris]:
    root = lake.path(COLLECTIONS)
    with lake.explained("list uploads into", root):
        found = unfinished_uploads(lake.fs, root)
    begin = len(lake.root) + 1
    return [
        Debris(
            file=StoredFile(parts=tuple(one.path[begin:].split("/")), size=0, changed=one.begun),
            why="upload",
            upload=one,
        )
        for one in found
        if one.begun < before
    ]


def _temporary(file: StoredFile) -> Debris:
    return Debris(file=file, why="temporary")


def _in_item_folder(
    lake: Lake, name: str, files: list[StoredFile], before: datetime, elsewhere: set[str]
) -> list[Debris]:
    """Debris in one item folder; what its items refer to in other folders is added to `elsewhere`."""
    marks = [
        file for file in files if len(file.parts) == 4 and file.parts[3] in (mark_of(name), withheld_mark_of(name))
    ]
    needed: set[str] = set()
    for mark in marks:
        document = _read(lake, mark)
        if document is None:
            return []  # damaged: `verify` reports it, and a person decides
        needed |= _referenced(lake, mark, document)
    elsewhere |= needed - {file.path for file in files}
    if any(file.changed >= before for file in files if file.parts[3:] != LOCK):
        return []
    if not marks:
        return [_temporary(file) if file.is_temporary else Debris(file=file, why="no item") for file in files]
    found = [Debris(file=marks[1], why="superseded")] if len(marks) == 2 else []
    unneeded = (file for file in files if file not in marks and file.path not in needed)
    found += [_temporary(file) if file.is_temporary else Debris(file=file, why="unreferenced") for file in unneeded]
    return found


def _read(lake: Lake, mark: StoredFile) -> Any:
    try:
        document = lake.read_json(*mark.parts)
    except LakeError as error:
        if isinstance(error.__cause__, ValueError | RecursionError | FileNotFoundError):
            return None
        raise
    return document if is_item(document) else None


def _referenced(lake: Lake, mark: StoredFile, document: Any) -> set[str]:
    """Paths in the lake of everything that an item refers to, in assets, links or anywhere else."""
    paths = set()
    for href in _hrefs(document):
        for spelled in (href, unquote(href)):
            inside = spelled.removeprefix(f"{lake.href()}/")
            if inside != spelled:
                paths.add(normpath(inside))
            else:
                paths.add(normpath(join(*mark.parts[:-1], spelled)))
    return paths


def _hrefs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "href" and isinstance(inner, str):
                yield inner
            else:
                yield from _hrefs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _hrefs(inner)


def _removals(lake: Lake, collection: str, files: list[StoredFile], before: datetime) -> list[Debris]:
    """Removals that are older than any merge or writer still at work, of items that are in no row and in no link."""
    old = [file for file in files if index.is_removal(file.parts[-1]) and file.changed < before]
    if not old:
        return []
    linked = linked_in(read_index(lake, COLLECTIONS, collection, COLLECTION) or {"links": []}, "item")
    names = linked & index.removed_folders(lake, collection)
    dangling = {name for name in names if not lake.exists(COLLECTIONS, collection, name, mark_of(name))}
    needed = index.needed_removals(lake, collection, dangling)
    return [Debris(file=file, why="removal") for file in old if file.parts[-1] not in needed]


def _remove_empty_folders(top: Path, before: datetime) -> None:
    for folder, _, files in os.walk(top, topdown=False):
        path = Path(folder)
        if path != top and not files and path.stat().st_ctime < before.timestamp():
            remove_if_empty(path)
