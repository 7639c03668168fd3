"""Synthetic scenes: a pure function of (seed, tile, day), so that nothing about them needs to be stored.

Which tiles there are and when they are seen is decided in `scene_grid`.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any

import shapely
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from up42_pipelines.sandbox.catalog import products
from up42_pipelines.sandbox.core import chance, geometry
from up42_pipelines.sandbox.imagery import scene_grid
from up42_pipelines.sandbox.imagery.scene_grid import FIRST_DAY, TILE_DEGREES

MAX_TILE_DAYS = 60_000
_HALF = TILE_DEGREES / 2
_ID = re.compile(r"SBX_(\d{8})T\d{6}_R(\d{3})C(\d{4})[AB]")
_GLOBE = shapely.box(-180, -90, 180, 90)


class TooMuchToSearch(ValueError):
    """Area times days is more than one search may ask for."""


@dataclass(frozen=True)
class Scene:
    """One acquisition.

    Attributes:
        id: what an order names.
        acquired_at: aware, UTC.
        footprint: degrees, EPSG:4326; a MultiPolygon where it crosses the antimeridian.
        cloud_cover_percent: of the whole footprint.
        gsd_m: ground sampling distance, metres.
        epsg: the projected CRS of the pixels, None when it has no code.
        provider_properties: view and sun angles in degrees, as the producer names them.
    """

    id: str
    collection: str
    acquired_at: datetime
    footprint: Polygon | MultiPolygon
    cloud_cover_percent: float
    gsd_m: float
    epsg: int | None
    constellation: str
    platform: str
    producer: str
    provider_properties: Mapping[str, Any]


def scene_by_id(seed: int, scene_id: str) -> Scene | None:
    """Find the scene with this id; None when the seed knows no such scene."""
    parts = _ID.fullmatch(scene_id)
    if parts is None:
        return None
    try:
        day = datetime.strptime(parts[1], "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None
    row, column = int(parts[2]), int(parts[3])
    if not (scene_grid.FIRST_ROW <= row < scene_grid.ROW_STOP and column < scene_grid.COLUMNS and day >= FIRST_DAY):
        return None
    return next((scene for scene in scenes_of(seed, row, column, day) if scene.id == scene_id), None)


def find_scenes(seed: int, area: BaseGeometry, first: datetime, last: datetime) -> Iterator[Scene]:
    """Yield the scenes whose footprint touches the area, newest first, lazily.

    Args:
        seed: the sandbox's seed.
        area: degrees, EPSG:4326.
        first: earliest acquisition, included.
        last: latest acquisition, included.

    Raises:
        TooMuchToSearch: more than 60 000 tile-days.
    """
    if last < first:
        return
    days = (last.date() - first.date()).days + 1
    ranges = scene_grid.tile_ranges(area)
    count = sum(len(rows) * len(columns) for rows, columns in ranges)
    if count * days > MAX_TILE_DAYS:
        raise TooMuchToSearch(
            f"The area touches {count} tiles of {TILE_DEGREES} degrees and the interval has {days} days, which is "
            f"{count * days} tile-days; at most {MAX_TILE_DAYS} are searched at once. Narrow the interval or the area."
        )
    tiles = sorted({(row, column) for rows, columns in ranges for row in rows for column in columns})
    shapely.prepare(area)
    for age in range(days):
        day = last.date() - timedelta(days=age)
        found = [
            scene
            for row, column in tiles
            for scene in scenes_of(seed, row, column, day)
            if first <= scene.acquired_at <= last and area.intersects(scene.footprint)
        ]
        yield from sorted(found, key=lambda scene: (scene.acquired_at, scene.id), reverse=True)


@functools.lru_cache(maxsize=65_536)
def scenes_of(seed: int, row: int, column: int, day: date) -> tuple[Scene, ...]:
    """Return the 0 to 2 scenes of one tile on one UTC day."""
    count = scene_grid.count(seed, row, column, day)
    return tuple(_scene(seed, row, column, day, ordinal) for ordinal in range(count))


def _scene(seed: int, row: int, column: int, day: date, ordinal: int) -> Scene:
    lot = (seed, row, column, day, ordinal)
    longitude, latitude = scene_grid.longitude(column), row * TILE_DEGREES - 90 + _HALF
    solar_hour = scene_grid.solar_hour(*lot)
    second = scene_grid.second_of_day(solar_hour, column)
    acquired_at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)
    incidence = chance.between(0, 25, "incidence", *lot)
    return Scene(
        id=f"SBX_{acquired_at:%Y%m%dT%H%M%S}_R{row:03d}C{column:04d}{'AB'[ordinal]}",
        collection=products.OPTICAL.name,
        acquired_at=acquired_at,
        footprint=_footprint(longitude, latitude, lot),
        cloud_cover_percent=_cloud_cover(chance.fraction("cloud", *lot)),
        gsd_m=3.0,
        epsg=geometry.utm_epsg(longitude, latitude),
        constellation="SANDBOX",
        platform=f"SANDBOX-{1 + chance.integer('platform', *lot) % 3}",
        producer="Sandbox",
        provider_properties=MappingProxyType(
            {
                "incidenceAngle": round(incidence, 2),
                "azimuthAngle": round(chance.between(0, 360, "azimuth", *lot), 2),
                "illuminationElevationAngle": round(_sun_elevation(latitude, day, solar_hour), 2),
                "illuminationAzimuthAngle": round(180 - (12 - solar_hour) * 15 * math.copysign(1, latitude), 2) % 360,
            }
        ),
    )


def _footprint(longitude: float, latitude: float, lot: tuple[object, ...]) -> Polygon:
    """Place a rotated square around the tile: four times out of five it covers the tile, else it is moved aside."""
    turn = math.radians(chance.between(4, 8, "turn", *lot) * (1 if chance.fraction("side", *lot) < 0.5 else -1))
    shift = 0.02 if chance.fraction("whole", *lot) < 0.8 else 0.7
    away = chance.between(0, 2 * math.pi, "away", *lot)
    corners = []
    for x, y in ((-1.2, 1.2), (-1.2, -1.2), (1.2, -1.2), (1.2, 1.2)):
        east = x * math.cos(turn) - y * math.sin(turn) + shift * math.cos(away)
        north = x * math.sin(turn) + y * math.cos(turn) + shift * math.sin(away)
        corners.append((round(longitude + east * _HALF, 6), round(latitude + north * _HALF, 6)))
    footprint = Polygon(corners)
    west, _, east_edge, _ = footprint.bounds
    # Cut at the antimeridian instead of crossing it: a synthetic satellite can afford that.
    if west < -180 or east_edge > 180:
        cut = footprint.intersection(_GLOBE)
        return cut if isinstance(cut, Polygon) else footprint
    return footprint


def _cloud_cover(lot: float) -> float:
    """Turn an even lot into a skewed cloud cover, percent: half the scenes below 15, every tenth nearly overcast."""
    if lot < 0.08:
        return 0.0
    if lot > 0.9:
        return round(85 + 150 * (lot - 0.9), 1)
    return round(85 * math.pow((lot - 0.08) / 0.82, 2.5), 1)


def _sun_elevation(latitude: float, day: date, solar_hour: float) -> float:
    declination = math.radians(-23.44 * math.cos(2 * math.pi * (day.timetuple().tm_yday + 10) / 365))
    hour_angle, parallel = math.radians((solar_hour - 12) * 15), math.radians(latitude)
    return math.degrees(
        math.asin(
            math.sin(parallel) * math.sin(declination)
            + math.cos(parallel) * math.cos(declination) * math.cos(hour_angle)
        )
    )
