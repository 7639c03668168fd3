"""Which items are looked for, and which rows and row groups can be theirs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from up42_pipelines.lake.stac.table import WITH_STATISTICS, crossing_groups, numbers

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
        if _may_match(_limits(metadata.row_group(group), columns), wanted, group in across)
    ]


def _may_match(limits: Mapping[str, tuple[float, float]], wanted: Wanted, across: bool) -> bool:
    """Whether rows within limits can match; `across` when their boxes cross the antimeridian."""

    def overlap(least: str, lowest: float, most: str, highest: float) -> bool:
        """Whether some row may have `most` >= lowest and `least` <= highest."""
        return most in limits and least in limits and limits[most][1] >= lowest and limits[least][0] <= highest

    cover = wanted.max_cloud_cover_percent
    if cover is not None and not overlap("eo:cloud_cover", -np.inf, "eo:cloud_cover", cover):
        return False
    if wanted.datetime_range is not None:
        first, last = (None if moment is None else _microseconds(moment) for moment in wanted.datetime_range)
        latest = max(limits.get(name, (0, -np.inf))[1] for name in ("datetime", "end_datetime"))
        earliest = min(limits.get(name, (np.inf, 0))[0] for name in ("datetime", "start_datetime"))
        if (first is not None and latest < first) or (last is not None and earliest > last):
            return False
    if wanted.bbox is None:
        return True
    _, south, _, north = wanted.bbox
    in_lon = (overlap("bbox.xmin", west, "bbox.xmax", east) for west, east in _without_crossing(wanted.bbox))
    return overlap("bbox.ymin", south, "bbox.ymax", north) and (across or any(in_lon))


def _limits(group: Any, columns: Mapping[str, int]) -> Mapping[str, tuple[float, float]]:
    """Smallest and largest value by column; a column of nulls has none, and one without statistics may have any."""
    limits = {}
    for path in WITH_STATISTICS:
        column = group.column(columns[path])
        if not column.is_stats_set:
            limits[path] = (-np.inf, np.inf)
        elif column.statistics.has_min_max:
            limits[path] = (_plain(column.statistics.min), _plain(column.statistics.max))
    return limits


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
