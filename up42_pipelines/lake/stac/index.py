"""A GeoParquet index per collection: which items are there, found by place, time and cloud without opening each one.

Any GeoParquet reader takes `collections/<collection>/index/*.parquet`. What `parts` says of rows that stand twice
holds for it too: while files wait to be merged, an item that was landed again can be there in its former state as well.
Hrefs are absolute, so that a file can be read from anywhere; `lake repair` makes them anew after a lake has moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.names import safe_name
from up42_pipelines.lake.stac import parts as log
from up42_pipelines.lake.stac.links import COLLECTIONS, Document
from up42_pipelines.lake.stac.parts import INDEX, is_removal
from up42_pipelines.lake.stac.table import DIGEST, FILTERED, REVISION, SCHEMA, Placed, documents_of, table_of
from up42_pipelines.lake.stac.wanted import Array, Wanted, either, groups_to_read, matches
from up42_pipelines.lake.store import Lake

__all__ = [
    "INDEX",
    "add_rows",
    "compact",
    "digests",
    "is_removal",
    "listing",
    "needed_removals",
    "read_rows",
    "remove_damaged",
    "remove_rows",
    "removed_folders",
    "search",
    "written_since",
]


_ROUNDS = 20


def add_rows(lake: Lake, collection_id: str, items: Sequence[Placed], *, seen: log.Listing) -> str | None:
    """Put items into the index, in one new part, whose name is given back.

    Args:
        lake: where.
        collection_id: the collection.
        items: what their JSON says now.
        seen: the index before the items' JSON was written (or read): what is listed there, these rows supersede.
    """
    if not items:
        return None
    return log.write_part(lake, _folder(collection_id), table_of(items, seen.next_revision()))


def written_since(lake: Lake, collection_id: str, seen: log.Listing, mine: str | None, item_ids: set[str]) -> set[str]:
    """Which of the items have rows or removals in files that came after `seen`, other than the part `mine`."""
    folder = _folder(collection_id)
    now, known = log.listing(lake, *folder), {part.name for part in seen.parts}
    new = [part for part in now.parts if part.name not in known and part.name != mine]
    found: set[str] = set()
    for part in new:
        try:
            with log.open_part(lake, folder, part) as file:
                found |= item_ids & set(file.read(columns=["id"])["id"].to_pylist())
        except log.Vanished:
            return item_ids  # merged with others; whose, only a comparison tells
    removals = log.Listing(parts=(), removals=tuple(set(now.removals) - set(seen.removals)))
    return found | (item_ids & log.read_removals(lake, folder, removals).keys())


def removed_folders(lake: Lake, collection_id: str) -> set[str]:
    """Names of the folders of items that were removed at some time, and may be back."""
    folder = _folder(collection_id)
    removed = log.read_removals(lake, folder, log.listing(lake, *folder))
    return {name for name, _ in removed.values()}


def remove_rows(lake: Lake, collection_id: str, items: Iterable[tuple[str, str]], *, seen: log.Listing) -> None:
    """Take items, as pairs of folder name and id, out of the index; `seen` as for `add_rows`."""
    log.write_removal(lake, _folder(collection_id), items, seen.next_revision())


def compact(lake: Lake, collection_id: str, *, everything: bool = False) -> None:
    """Merge small parts into larger ones, where there are many; or all of them."""
    folder = _folder(collection_id)
    for _ in range(_ROUNDS):
        parts = log.listing(lake, *folder).parts
        chosen = parts if everything and len(parts) > 1 else log.to_merge(parts)
        if not chosen or not log.merge(lake, folder, chosen):
            return


def remove_damaged(lake: Lake, collection_id: str) -> tuple[str, ...]:
    """Remove the files of the index that cannot be read; their paths in the lake."""
    folder, removed = _folder(collection_id), []
    seen = log.listing(lake, *folder)
    for name in [*(part.name for part in seen.parts), *seen.removals]:
        try:
            log.check(lake, folder, name)
        except log.Damaged:
            lake.remove(*folder, INDEX, name)
            removed.append("/".join([*folder, INDEX, name]))
    return tuple(removed)


def listing(lake: Lake, collection_id: str) -> log.Listing:
    """What the index consists of now."""
    return log.listing(lake, *_folder(collection_id))


def digests(lake: Lake, collection_id: str) -> dict[str, int]:
    """By item id, a digest of the item that its row was made of (`Placed.digest`)."""
    rows = read_rows(lake, collection_id, ["id", DIGEST])
    return dict(zip(rows["id"].to_pylist(), rows[DIGEST].to_pylist(), strict=True))


def read_rows(lake: Lake, collection_id: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The index as one table: a row per item, in the order of ids.

    Raises:
        LakeError: the index is damaged.
    """
    wanted = None if columns is None else [*dict.fromkeys([*columns, "id", REVISION])]

    def read(folder: Sequence[str], seen: log.Listing) -> pa.Table:
        tables = []
        for part in seen.parts:
            with log.open_part(lake, folder, part) as file:
                tables.append(file.read(columns=wanted).replace_schema_metadata())
        none = SCHEMA.empty_table() if wanted is None else SCHEMA.empty_table().select(wanted)
        rows = pa.concat_tables([*tables, none.replace_schema_metadata()])
        return log.current(rows, log.read_removals(lake, folder, seen))

    return _undisturbed(lake, collection_id, read)


def needed_removals(lake: Lake, collection_id: str, dangling: set[str]) -> set[str]:
    """Names of removals that still hide a row, or are of a folder to which a `dangling` link leads."""

    def read(folder: Sequence[str], seen: log.Listing) -> set[str]:
        rows: dict[str, int] = {}  # the lowest revision by item id
        for part in seen.parts:
            with log.open_part(lake, folder, part) as file:
                table = file.read(columns=["id", REVISION])
            for item_id, revision in zip(table["id"].to_pylist(), table[REVISION].to_pylist(), strict=True):
                rows[item_id] = min(revision, rows.get(item_id, revision))
        return {
            name
            for name in seen.removals
            for item_id, (item_folder, revision) in log.read_removal(lake, folder, name).items()
            if item_folder in dangling or rows.get(item_id, revision) < revision
        }

    return set(_undisturbed(lake, collection_id, read))


def search(
    lake: Lake,
    collection_id: str | None = None,
    *,
    bbox: Sequence[float] | None = None,
    datetime_range: tuple[datetime | None, datetime | None] | None = None,
    max_cloud_cover_percent: float | None = None,
    limit: int | None = None,
) -> list[Document]:
    """Find items, the newest acquisition first.

    Args:
        lake: where.
        collection_id: one collection; None for all.
        bbox: west, south, east, north (degrees, EPSG:4326), west > east across the antimeridian; an item is found when
            its own box touches this one.
        datetime_range: first and last moment, both included, None for no limit; an item is found when its time, or any
            moment between its start and its end, lies within. A time without zone is UTC.
        max_cloud_cover_percent: largest `eo:cloud_cover`; items that do not tell theirs are left out.
        limit: how many at most.

    Returns:
        STAC Items with the properties that the index has columns for (`table.SCHEMA`) and absolute hrefs; `read_item`
        has the whole item.

    Raises:
        LakeError: an index is damaged.
        ValueError: the box is none.
    """
    wanted = Wanted(
        bbox=None if bbox is None else _checked_box(bbox),
        datetime_range=None if datetime_range is None else (_in_utc(datetime_range[0]), _in_utc(datetime_range[1])),
        max_cloud_cover_percent=max_cloud_cover_percent,
    )
    # Folder names are fit to be ids of collections: `safe_name` leaves them as they are.
    collections = lake.list(COLLECTIONS) if collection_id is None else [collection_id]
    found = []
    for name in collections:

        def find(folder: Sequence[str], seen: log.Listing) -> list[tuple[float, Document]]:
            return _find(lake, folder, seen, wanted, limit)

        found += _undisturbed(lake, name, find)
    found.sort(key=lambda entry: (-entry[0], entry[1]["id"]))
    return [document for _, document in found[:limit]]


# --- finding ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Hit:
    part: log.Part
    row: int
    revision: int
    time: float


def _find(
    lake: Lake, folder: Sequence[str], seen: log.Listing, wanted: Wanted, limit: int | None
) -> list[tuple[float, Document]]:
    """Narrow columns first, whole rows only of what is found; with the time (microseconds since 1970) to sort by."""
    hits: dict[str, _Hit] = {}
    with ExitStack() as stack:
        files = {}
        for part in seen.parts:
            with log.reading(lake, folder, part):
                files[part.name] = stack.enter_context(log.opened(lake, folder, part))
                for item_id, hit in _hits(files[part.name], part, wanted):
                    if item_id not in hits or hits[item_id].revision < hit.revision:
                        hits[item_id] = hit
        for item_id, (_, revision) in log.read_removals(lake, folder, seen).items():
            if item_id in hits and hits[item_id].revision < revision:
                del hits[item_id]
        for part in seen.parts:
            with log.reading(lake, folder, part):
                _drop_superseded(files[part.name], part, hits)
        chosen = sorted(hits.items(), key=lambda entry: (-entry[1].time, entry[0]))[:limit]
        tables = []
        for part in {hit.part.name: hit.part for _, hit in chosen}.values():
            rows = sorted(hit.row for _, hit in chosen if hit.part is part)
            with log.reading(lake, folder, part):
                tables.append(_rows(files[part.name], rows).replace_schema_metadata())
    found = documents_of(pa.concat_tables(tables)) if tables else []
    times = {item_id: hit.time for item_id, hit in chosen}
    return [(times[document["id"]], document) for document in found]


def _hits(file: Any, part: log.Part, wanted: Wanted) -> Iterable[tuple[str, _Hit]]:
    metadata = file.metadata
    groups = groups_to_read(metadata, wanted)
    starts = np.cumsum([0] + [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)])
    if not groups:
        return
    positions = np.concatenate([np.arange(starts[group], starts[group + 1]) for group in groups])
    narrow = file.read_row_groups(groups, columns=list(FILTERED)).combine_chunks()
    matching = np.flatnonzero(matches(narrow, wanted))
    if not len(matching):
        return
    with_hits = sorted(set((np.searchsorted(starts, positions[matching], side="right") - 1).tolist()))
    names = file.read_row_groups(with_hits, columns=["id", REVISION])
    names = names.take(pa.array(_within(positions[matching], with_hits, starts)))
    times = np.nan_to_num(either(narrow, "datetime", "start_datetime")[matching], nan=-np.inf)
    for item_id, revision, row, time in zip(
        names["id"].to_pylist(), names[REVISION].to_pylist(), positions[matching].tolist(), times.tolist(), strict=True
    ):
        yield item_id, _Hit(part=part, row=row, revision=revision, time=time)


def _rows(file: Any, rows: Sequence[int]) -> pa.Table:
    """Rows of a part by their number, reading no row group without one."""
    metadata = file.metadata
    starts = np.cumsum([0] + [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)])
    groups = sorted(set((np.searchsorted(starts, rows, side="right") - 1).tolist()))
    return file.read_row_groups(groups).take(pa.array(_within(np.asarray(rows), groups, starts)))


def _within(positions: Array, groups: Sequence[int], starts: Array) -> Array:
    """Row numbers of a file as row numbers of a table of some of its row groups."""
    before = np.cumsum([0] + [starts[group + 1] - starts[group] for group in groups])
    nth = np.searchsorted(np.asarray([starts[group] for group in groups]), positions, side="right") - 1
    return np.asarray(positions - np.asarray([starts[group] for group in groups])[nth] + before[nth])


def _drop_superseded(file: Any, part: log.Part, hits: dict[str, _Hit]) -> None:
    """Forget a hit when a newer row of the item, in this part, does not match: that is how the item is now."""
    in_doubt = [item for item, hit in hits.items() if hit.part.name != part.name and hit.revision < part.revision]
    if not in_doubt:
        return
    rows = file.read(columns=["id", REVISION])
    rows = rows.filter(pc.is_in(rows["id"], pa.array(in_doubt, pa.string())))
    for item_id, revision in zip(rows["id"].to_pylist(), rows[REVISION].to_pylist(), strict=True):
        if item_id in hits and hits[item_id].revision < revision:
            del hits[item_id]


# --- odds and ends ----------------------------------------------------------------------------------------------------


def _folder(collection_id: str) -> tuple[str, ...]:
    return COLLECTIONS, safe_name(collection_id)


def _undisturbed(lake: Lake, collection_id: str, read: Any) -> Any:
    """List and read, again when parts went meanwhile."""
    folder = _folder(collection_id)
    for _ in range(_ROUNDS):
        try:
            return read(folder, log.listing(lake, *folder))
        except log.Vanished:
            continue
    raise LakeError(
        f"Lake {lake.url}: the index of {collection_id} changed {_ROUNDS} times while it was read. Run again."
    )


def _checked_box(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    if len(bbox) != 4 or not all(np.isfinite(bbox)) or bbox[1] > bbox[3]:
        raise ValueError(f"{list(bbox)} is no box: give west, south, east, north in degrees, south before north.")
    west, south, east, north = map(float, bbox)
    return west, south, east, north


def _in_utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
