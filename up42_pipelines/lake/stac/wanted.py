"""Which items are looked for, and which rows and row groups can be theirs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from up42_pipelines.lake.stac.table import crossing_groups, numbers

Array = np.ndarray[Any, np.dtype[Any]]
_MICROSECOND = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which items are looked for; None where it does not matter.

    Attributes:
        bbox: west, south, east, north (degrees, EPSG:4326); west > east across the antimeridian.
        datetime_range: first and last moment, both included, either may be None for no limit.
        max_cloud_cover_percent: items that do not tell their cloud cover are left out.
    """

    bbox: tuple[float, float, float, float] | None = None
    datetime_range: tuple[datetime | None, datetime | None] | None = None
    max_cloud_cover_percent: float | None = None


def matches(rows: pa.Table, wanted: Wanted) -> Array:
    """Which rows are wanted; of the columns `FILTERED`."""
    matching = np.ones(rows.num_rows, dtype=bool)
    # NaN, which is what null became, compares as false.
    if wanted.max_cloud_cover_percent is not None:
        matching &= numbers(rows["eo:cloud_cover"]) <= wanted.max_cloud_cover_percent
    if wanted.datetime_range is not None:
        first, last = wanted.datetime_range
        if first is not None:
            matching &= either(rows, "end_datetime", "datetime") >= _microseconds(first)
        if last is not None:
            matching &= either(rows, "start_datetime", "datetime") <= _microseconds(last)
    if wanted.bbox is not None:
        box = rows["bbox"].combine_chunks()
        xmin, ymin, xmax, ymax = (numbers(box.field(side)) for side in ("xmin", "ymin", "xmax", "ymax"))
        _, south, _, north = wanted.bbox
        in_lon = np.zeros(rows.num_rows, dtype=bool)
        for west, east in _without_crossing(wanted.bbox):
            in_lon |= np.where(xmin > xmax, (xmin <= east) | (xmax >= west), (xmin <= east) & (xmax >= west))
        matching &= in_lon & (ymin <= north) & (ymax >= south)
    return matching


def groups_to_read(metadata: Any, wanted: Wanted) -> list[int]:
    """The row groups of a part that can hold what is wanted, by their smallest and largest values."""
    columns = {metadata.schema.column(number).path: number for number in range(metadata.num_columns)}
    across = crossing_groups(metadata)
    return [
        group
        for group in range(metadata.num_row_groups)
        if _may_match(_Limits(metadata.row_group(group), columns), wanted, group in across)
    ]


@dataclass(frozen=True, slots=True)
class _Limits:
    """Smallest and largest values of a row group, looked up one by one: each takes as long as parsing a short text."""

    group: Any
    columns: Mapping[str, int]

    def least(self, path: str) -> float:
        """Inf when there are nothing but nulls, -inf when there are no statistics."""
        column = self.group.column(self.columns[path])
        if not column.is_stats_set:
            return -np.inf
        return _plain(column.statistics.min) if column.statistics.has_min_max else np.inf

    def most(self, path: str) -> float:
        """-inf when there are nothing but nulls, inf when there are no statistics."""
        column = self.group.column(self.columns[path])
        if not column.is_stats_set:
            return np.inf
        return _plain(column.statistics.max) if column.statistics.has_min_max else -np.inf


def _may_match(limits: _Limits, wanted: Wanted, across: bool) -> bool:
    """Whether rows within limits can match; `across` when their boxes cross the antimeridian."""
    if wanted.datetime_range is not None:
        first, last = wanted.datetime_range
        if first is not None and max(map(limits.most, ("datetime", "end_datetime"))) < _microseconds(first):
            return False
        if last is not None and min(map(limits.least, ("datetime", "start_datetime"))) > _microseconds(last):
            return False
    if wanted.bbox is not None:
        _, south, _, north = wanted.bbox
        if limits.least("bbox.ymin") > north or limits.most("bbox.ymax") < south:
            return False
        halves = _without_crossing(wanted.bbox)
        if not across and all(
            limits.least("bbox.xmin") > east or limits.most("bbox.xmax") < west for west, east in halves
        ):
            return False
    cover = wanted.max_cloud_cover_percent
    return cover is None or limits.least("eo:cloud_cover") <= cover


def _plain(value: Any) -> float:
    return _microseconds(value) if isinstance(value, datetime) else float(value)


def either(rows: pa.Table, name: str, other: str) -> Array:
    """A column as float64, and where it is null another one."""
    values = numbers(rows[name])
    return np.where(np.isnan(values), numbers(rows[other]), values)


def _without_crossing(bbox: tuple[float, float, float, float]) -> tuple[tuple[float, float], ...]:
    """West and east of a box, or of its two halves on either side of the antimeridian."""
    west, _, east, _ = bbox
    return ((west, east),) if west <= east else ((west, 180.0), (-180.0, east))


def _microseconds(moment: datetime) -> float:
    """Since 1970, UTC."""
    return round(moment.timestamp() / _MICROSECOND)
