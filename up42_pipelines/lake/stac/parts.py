"""The files that a collection's index consists of, and when many small ones become a larger one.

    collections/<collection>/index/<revision>-<token>-<rows>.parquet         rows
    collections/<collection>/index/_<revision>-<token>.removed.json          items that are no longer there

A file is created once and never changed. A row carries the revision it was written with, and of the rows of one item
that with the highest revision counts; a removal counts when its revision is higher than that of every row of the item.
So it does not matter which file a row is in, nor whether it is in several: files may be merged in any order, by
several processes at once, and by one that was stalled for an hour.

* A merge creates its file first and removes those it has read afterwards: killed in between, rows are there twice.
* Two merges of the same files create the same rows twice; the next merge takes both.
* A merge that finds one of its files gone was overtaken, and writes nothing.
* A merge never drops a removal, so a merge that has read a row before it was removed cannot bring it back. `gc` drops
  removals that are older than any process still at work.
* A reader that finds a file gone lists again: what was in it is in a file that was there before it went.
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.stac.table import REVISION, SCHEMA, encoded
from up42_pipelines.lake.store import Lake

INDEX = "index"
_PART = re.compile(r"(\d{19})-([0-9a-f]{8})-(\d+)\.parquet")
_REMOVAL = re.compile(r"_(\d{19})-([0-9a-f]{8})\.removed\.json")
_MERGED_AT = 8
"""So many parts of about the same size become one; a row is written log8 of the number of rows times in its life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A file of rows.

    Attributes:
        name: in the index folder.
        revision: the highest of its rows.
        rows: how many it has.
    """

    name: str
    revision: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What an index consists of at one moment."""

    parts: tuple[Part, ...]
    removals: tuple[str, ...]

    @property
    def revision(self) -> int:
        """The highest revision in use."""
        removals = (int(match[1]) for name in self.removals if (match := _REMOVAL.fullmatch(name)))
        return max((*(part.revision for part in self.parts), *removals), default=0)

    def next_revision(self) -> int:
        """Nanoseconds since 1970, and more than every revision that is listed, whatever the clocks say.

        The last three digits are drawn by lot: they tell apart writers whose clock shows the same.
        """
        return max(time.time_ns() // 1000 * 1000 + secrets.randbelow(1000), self.revision + 1)


def listing(lake: Lake, *folder: str) -> Listing:
    """List the index of the collection in `folder`; files of other names are not looked at."""
    names = lake.list(*folder, INDEX)
    matches = [match for name in names if (match := _PART.fullmatch(name))]
    parts = (Part(name=match[0], revision=int(match[1]), rows=int(match[3])) for match in matches)
    return Listing(parts=tuple(parts), removals=tuple(name for name in names if _REMOVAL.fullmatch(name)))


def is_removal(name: str) -> bool:
    """Whether a file of an index is a removal."""
    return bool(_REMOVAL.fullmatch(name))


def write_part(lake: Lake, folder: Sequence[str], rows: pa.Table) -> str:
    """Create a part of rows, in which no item stands twice; its name."""
    name = f"{pc.max(rows[REVISION]).as_py():019d}-{secrets.token_hex(4)}-{rows.num_rows}.parquet"
    lake.create(encoded(rows), *folder, INDEX, name)
    return name


def write_removal(lake: Lake, folder: Sequence[str], items: Iterable[tuple[str, str]], revision: int) -> None:
    """Record that items, as pairs of folder name and id, are no longer there."""
    document = {"revision": revision, "items": [{"folder": name, "id": item_id} for name, item_id in items]}
    lake.create_json(document, *folder, INDEX, f"_{revision:019d}-{secrets.token_hex(4)}.removed.json")


def read_removals(lake: Lake, folder: Sequence[str], seen: Listing) -> dict[str, tuple[str, int]]:
    """Folder name and highest revision of a removal by item id."""
    removed: dict[str, tuple[str, int]] = {}
    for name in seen.removals:
        for item_id, (item_folder, revision) in read_removal(lake, folder, name).items():
            if revision > removed.get(item_id, ("", 0))[1]:
                removed[item_id] = item_folder, revision
    return removed


def read_removal(lake: Lake, folder: Sequence[str], name: str) -> dict[str, tuple[str, int]]:
    """Folder name and revision by item id, of one removal; nothing when `gc` has dropped it meanwhile."""
    try:
        document = lake.read_json(*folder, INDEX, name)
        revision = int(document["revision"])
        return {str(entry["id"]): (str(entry["folder"]), revision) for entry in document["items"]}
    except LakeError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return {}
        if isinstance(error.__cause__, ValueError | RecursionError):
            raise _damaged(lake, folder, name, error.__cause__) from error
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(lake, folder, name, error) from error


@contextmanager
def open_part(lake: Lake, folder: Sequence[str], part: Part) -> Iterator[pq.ParquetFile]:
    """Open a part to read it.

    Raises:
        Vanished: it was merged into another one.
        Damaged: it cannot be read.
    """
    with reading(lake, folder, part), opened(lake, folder, part) as file:
        yield file


@contextmanager
def opened(lake: Lake, folder: Sequence[str], part: Part) -> Iterator[pq.ParquetFile]:
    """Keep a part open, for reading it several times, each time within `reading`."""
    path = lake.path(*folder, INDEX, part.name)
    with pa.memory_map(path) if lake.local else lake.fs.open(path, "rb") as source, pq.ParquetFile(source) as file:
        yield file


@contextmanager
def reading(lake: Lake, folder: Sequence[str], part: Part) -> Iterator[None]:
    """Explain what goes wrong with a part, as `open_part` does."""
    try:
        yield
    except FileNotFoundError as error:
        raise Vanished(part.name) from error
    except (pa.ArrowException, OSError) as error:
        raise _damaged(lake, folder, part.name, error) from error


def check(lake: Lake, folder: Sequence[str], name: str) -> None:
    """Read a file of the index whole.

    Raises:
        Damaged: it cannot be read.
        LakeError: the lake does not answer.
    """
    if is_removal(name):
        read_removal(lake, folder, name)
        return
    try:
        content = lake.read_bytes(*folder, INDEX, name)
    except LakeError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return
        raise
    try:
        pq.read_table(pa.BufferReader(content)).select(SCHEMA.names)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise _damaged(lake, folder, name, error) from error


class Vanished(Exception):
    """A part is no longer there: list again."""


class Damaged(LakeError):
    """A file of the index cannot be read."""


def current(rows: pa.Table, removed: dict[str, tuple[str, int]]) -> pa.Table:
    """Of each item its newest row, unless it was removed after that."""
    order = pc.sort_indices(rows, sort_keys=[("id", "ascending"), (REVISION, "descending")])
    rows = rows.take(order)
    ids = rows["id"].combine_chunks()
    if len(ids) > 1:
        first = np.concatenate([[True], np.asarray(pc.not_equal(ids.slice(1), ids.slice(0, len(ids) - 1)))])
        rows = rows.filter(pa.array(first))
    gone = [
        position
        for position in np.flatnonzero(np.asarray(pc.is_in(rows["id"], pa.array(list(removed), pa.string()))))
        if removed[rows["id"][position].as_py()][1] > rows[REVISION][position].as_py()
    ]
    return rows.filter(pa.array(~np.isin(np.arange(rows.num_rows), gone))) if gone else rows


def to_merge(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The parts that are worth merging now: those of the smallest size class that has many; none when no class has."""
    classes: dict[int, list[Part]] = {}
    for part in parts:
        classes.setdefault(int(math.log(max(part.rows, 1), _MERGED_AT)), []).append(part)
    crowded = [size for size, members in classes.items() if len(members) >= _MERGED_AT]
    if not crowded:
        return ()
    # Smaller ones come along: they would be merged soon, and cost little beside these.
    return tuple(part for size, members in classes.items() if size <= max(crowded) for part in members)


def merge(lake: Lake, folder: Sequence[str], parts: Sequence[Part]) -> bool:
    """Make one part of several; False when another process was faster."""
    removed = read_removals(lake, folder, listing(lake, *folder))
    tables = []
    try:
        for part in parts:
            with open_part(lake, folder, part) as file:
                tables.append(file.read())
    except Vanished:
        return False
    rows = current(pa.concat_tables([table.replace_schema_metadata() for table in tables]), removed)
    if rows.num_rows:
        write_part(lake, folder, rows)
    for part in parts:
        lake.remove(*folder, INDEX, part.name)
    return True


def _damaged(lake: Lake, folder: Sequence[str], name: str, error: BaseException) -> Damaged:
    what = " ".join(str(error).split()) or type(error).__name__
    return Damaged(
        f"Lake {lake.url}: {lake.path(*folder, INDEX, name)} cannot be read ({what}). "
        "`up42-pipelines lake repair` makes the index anew of the items."
    )
