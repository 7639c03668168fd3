"""Scenes of all sources in the order of their acquisition, over any area and interval, made only when they are due.

`Source.find` makes all scenes of a day before it yields the first one, which takes a minute for the whole globe.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta

from shapely.geometry.base import BaseGeometry

from up42_pipelines.sandbox.imagery import scene_grid, scenes
from up42_pipelines.sandbox.imagery.scenes import Scene
from up42_pipelines.sandbox.imagery.synthetic import SyntheticScenes
from up42_pipelines.sandbox.world import Source

_SLAB_SECONDS = 900


def key(scene: Scene) -> tuple[datetime, str]:
    """Return what scenes are ordered by."""
    return scene.acquired_at, scene.id


def in_order(
    sources: Iterable[Source], area: BaseGeometry, first: datetime, last: datetime, *, newest_first: bool
) -> Iterator[Scene]:
    """Yield the scenes that may touch an area (degrees) between two times, both included."""
    found = [_of(source, area, first, last, newest_first=newest_first) for source in sources]
    return heapq.merge(*found, key=key, reverse=newest_first)


def _of(source: Source, area: BaseGeometry, first: datetime, last: datetime, *, newest_first: bool) -> Iterator[Scene]:
    if isinstance(source, SyntheticScenes):
        return _synthetic(source.seed, area, first, last, newest_first=newest_first)
    return iter(sorted(source.find(area, first, last), key=key, reverse=newest_first))


def _synthetic(
    seed: int, area: BaseGeometry, first: datetime, last: datetime, *, newest_first: bool
) -> Iterator[Scene]:
    rows = scene_grid.rows_by_column(area)
    slabs = scene_grid.columns_by_slab(rows, _SLAB_SECONDS)
    for day in _days(first, last, newest_first=newest_first):
        midnight = datetime.combine(day, time(tzinfo=UTC))
        from_second, to_second = ((end - midnight).total_seconds() for end in (first, last))
        for slab in sorted(slabs, reverse=newest_first):
            start, stop = slab * _SLAB_SECONDS, (slab + 1) * _SLAB_SECONDS
            if stop <= from_second or start > to_second:
                continue
            due = [
                (second, row, column, ordinal)
                for column in slabs[slab]
                for second, row, ordinal in scene_grid.acquisitions(seed, column, rows[column], day)
                if start <= second < stop and from_second <= second <= to_second
            ]
            for _, row, column, ordinal in sorted(due, reverse=newest_first):
                yield scenes.scenes_of(seed, row, column, day)[ordinal]


def _days(first: datetime, last: datetime, *, newest_first: bool) -> Iterator[date]:
    earliest, count = first.date(), (last.date() - first.date()).days + 1
    for age in reversed(range(count)) if newest_first else range(count):
        yield earliest + timedelta(days=age)
