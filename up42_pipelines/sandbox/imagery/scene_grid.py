"""Where and when there are synthetic scenes, without making them: the cheap part of `scenes`, with which it must agree.

The globe is cut into tiles of 0.25 degrees between 80° S and 80° N, in rows from the south and columns from the west.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from datetime import date

from shapely.geometry.base import BaseGeometry

from up42_pipelines.sandbox.core import chance

TILE_DEGREES = 0.25
FIRST_ROW, ROW_STOP, COLUMNS = 40, 680, 1440
FIRST_DAY = date(2015, 1, 1)
DAY_SECONDS = 24 * 3600
_EARLIEST_HOUR, _LATEST_HOUR = 9.5, 11.5
# Footprint corners lie at most 2.1 half tiles from the tile's centre: 1.2 * (cos 8° + sin 8°) + 0.7.
_REACH = 1.1 * TILE_DEGREES / 2


def count(seed: int, row: int, column: int, day: date) -> int:
    """Return how many scenes there are of a tile on a UTC day: up to two."""
    lot = chance.fraction(seed, "count", row, column, day)
    return 0 if lot < 0.25 else 1 if lot < 0.85 else 2


def solar_hour(seed: int, row: int, column: int, day: date, ordinal: int) -> float:
    """Return the local solar time of a scene, hours."""
    return chance.between(_EARLIEST_HOUR, _LATEST_HOUR, "hour", seed, row, column, day, ordinal)


def second_of_day(hour: float, column: int) -> int:
    """Turn a local solar time (hours) into the second of the UTC day."""
    return int((hour - longitude(column) / 15) % 24 * 3600)


def longitude(column: int) -> float:
    """Return the longitude of the middle of a column, degrees."""
    return column * TILE_DEGREES - 180 + TILE_DEGREES / 2


def tile_ranges(area: BaseGeometry) -> list[tuple[range, range]]:
    """List the rows and columns of the tiles whose footprints may touch an area (degrees), for each of its parts."""
    ranges = []
    for part in getattr(area, "geoms", [area]):
        west, south, east, north = part.bounds
        rows = _tiles(south + 90, north + 90, FIRST_ROW, ROW_STOP)
        ranges.append((rows, _tiles(west + 180, east + 180, 0, COLUMNS)))
    return ranges


def rows_by_column(area: BaseGeometry) -> dict[int, tuple[int, ...]]:
    """List the tiles whose footprints may touch an area (degrees): the rows of each column."""
    found: dict[int, tuple[int, ...]] = {}
    for row_range, columns in tile_ranges(area):
        rows = tuple(row_range)
        for column in columns:
            known = found.get(column, rows)
            found[column] = rows if known == rows else tuple(sorted({*known, *rows}))
    return found


@functools.lru_cache(maxsize=512)
def acquisitions(seed: int, column: int, rows: tuple[int, ...], day: date) -> tuple[tuple[int, int, int], ...]:
    """Return (second of the UTC day, row, ordinal) of every scene in some rows of a column."""
    return tuple(
        (second_of_day(solar_hour(seed, row, column, day, ordinal), column), row, ordinal)
        for row in rows
        for ordinal in range(count(seed, row, column, day))
    )


def columns_by_slab(columns: Iterable[int], slab_seconds: int) -> dict[int, list[int]]:
    """List the columns in which there may be scenes during a slab of the UTC day, by the number of the slab."""
    slabs = DAY_SECONDS // slab_seconds
    found: dict[int, list[int]] = {}
    for column in columns:
        start = second_of_day(_EARLIEST_HOUR, column)
        stop = start + int((_LATEST_HOUR - _EARLIEST_HOUR) * 3600)
        for slab in range(start // slab_seconds, stop // slab_seconds + 1):
            found.setdefault(slab % slabs, []).append(column)
    return found


def _tiles(low: float, high: float, first: int, stop: int) -> range:
    """Return the rows or columns that touch an interval, degrees from the south pole or the antimeridian."""
    return range(
        max(first, math.floor((low - _REACH) / TILE_DEGREES)),
        min(stop - 1, math.floor((high + _REACH) / TILE_DEGREES)) + 1,
    )
