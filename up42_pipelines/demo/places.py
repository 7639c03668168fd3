"""Which AOIs and days a demo looks at."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

import shapely
from shapely.geometry import Polygon, box, mapping, shape
from shapely.geometry.base import BaseGeometry

from up42_pipelines.api import Scene, Up42Client
from up42_pipelines.errors import ConfigurationError

IMAGERY_COLLECTION = "sandbox-imagery"
IMAGERY_PRODUCT = "full-scene"

_WORLD = mapping(box(-180, -90, 180, 90))
_GROUPS = ("footprints-a", "footprints-b")
_DAYS = (date(2026, 6, 1), date(2026, 6, 2), date(2026, 6, 3))
"""The sandbox dates the rasters of a folder on these days, because the files do not say."""
LONGEST_DAYS = len(_DAYS)

_HALF_SIDE_DEG = (0.0002, 0.01)
"""Smallest and largest half side of a square: 20 m, so that an AOI is not refused as too small, and 1 km."""

_MOST_SQUARES = 150
"""An AOI may have 999 vertices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What a demo backfills.

    Attributes:
        aois: names of the AOI files in `folder`.
        folder: of GeoJSON files.
        days: UTC days.
    """

    aois: tuple[str, ...]
    folder: Path
    days: tuple[date, ...]

    @property
    def partition_keys(self) -> list[str]:
        """Every AOI on every day, as Dagster spells it."""
        return [f"{aoi}|{day:%Y-%m-%d}" for aoi in self.aois for day in self.days]


def ready_places(project: Path, days: int = LONGEST_DAYS) -> Places:
    """The AOIs of the ready pipeline on the first days of June 2026."""
    folder = project / "assets_defs" / "aois"
    names = tuple(sorted(path.stem for path in folder.glob("*.geojson")))
    return Places(aois=names, folder=folder, days=_DAYS[:days])


def imagery_places(client: Up42Client, folder: Path) -> Places:
    """Two AOIs made of small squares, one inside each footprint of the sandbox's imagery, and the days it was taken.

    Raises:
        ConfigurationError: the folder holds no raster that can be placed on Earth.
    """
    host = client.catalog.collection(IMAGERY_COLLECTION).host
    scenes = sorted(
        client.catalog.search(
            host,
            collections=[IMAGERY_COLLECTION],
            intersects=_WORLD,
            start=datetime.combine(_DAYS[0], time.min, UTC),
            end=datetime.combine(_DAYS[-1], time.max, UTC),
        ),
        key=lambda scene: scene.id,
    )
    if not scenes:
        raise ConfigurationError("The imagery folder holds no raster that can be placed on Earth.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, name in enumerate(_GROUPS):
        group = (scenes[number :: len(_GROUPS)] or scenes)[:_MOST_SQUARES]
        feature = {"type": "Feature", "properties": {"name": name}, "geometry": mapping(squares_inside(group))}
        (folder / f"{name}.geojson").write_text(json.dumps(feature))
    return Places(aois=_GROUPS, folder=folder, days=_DAYS)


def squares_inside(scenes: Sequence[Scene]) -> BaseGeometry:
    """A small square inside each footprint, degrees (EPSG:4326); overlapping ones are united.

    In a footprint smaller than the smallest AOI the square reaches beyond it.
    """
    squares = []
    for scene in scenes:
        parts = [part for part in shapely.get_parts(shape(scene.geometry)) if isinstance(part, Polygon)]
        part = max(parts, key=lambda polygon: polygon.area)
        x, y = shapely.maximum_inscribed_circle(part).coords[0]
        smallest, largest = _HALF_SIDE_DEG
        half = min(max(shapely.Point(x, y).distance(part.boundary) / 2, smallest), largest)
        wide = half / max(math.cos(math.radians(y)), 0.1)  # a degree of longitude is shorter up north
        squares.append(box(max(x - wide, -180), max(y - half, -90), min(x + wide, 180), min(y + half, 90)))
    return shapely.union_all(squares)
