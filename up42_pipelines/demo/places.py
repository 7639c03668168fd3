"""Which AOIs and days a demo looks at."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import shapely
from shapely.geometry import Polygon, box, mapping, shape
from shapely.geometry.base import BaseGeometry

from up42_pipelines.api import Scene, Up42Client
from up42_pipelines.errors import ConfigurationError

DAYS = 3
FIRST_DAY = date(2026, 6, 1)
IMAGERY_COLLECTION = "sandbox-imagery"
IMAGERY_PRODUCT = "full-scene"

_WORLD = mapping(box(-180, -90, 180, 90))
_LARGEST_HALF_SIDE_DEG = 0.01
_GROUPS = ("footprints-a", "footprints-b")


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


def ready_places(project: Path) -> Places:
    """The AOIs of the ready pipeline on the first days of June 2026."""
    folder = project / "assets_defs" / "aois"
    names = tuple(sorted(path.stem for path in folder.glob("*.geojson")))
    return Places(aois=names, folder=folder, days=tuple(FIRST_DAY + timedelta(days=n) for n in range(DAYS)))


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
            start=datetime(2015, 1, 1, tzinfo=UTC),
            end=datetime.now(UTC),
        ),
        key=lambda scene: scene.id,
    )
    if not scenes:
        raise ConfigurationError("The imagery folder holds no raster that can be placed on Earth.")
    counted = Counter(scene.acquired.date() for scene in scenes)
    days = tuple(sorted(day for day, _ in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:DAYS]))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, name in enumerate(_GROUPS):
        group = scenes[number :: len(_GROUPS)] or scenes
        feature = {"type": "Feature", "properties": {"name": name}, "geometry": mapping(squares_inside(group))}
        (folder / f"{name}.geojson").write_text(json.dumps(feature))
    return Places(aois=_GROUPS, folder=folder, days=days)


def squares_inside(scenes: Sequence[Scene]) -> BaseGeometry:
    """A small square inside each footprint, degrees (EPSG:4326); overlapping ones are united."""
    squares = []
    for scene in scenes:
        footprint = shape(scene.geometry)
        parts = [part for part in shapely.get_parts(footprint) if isinstance(part, Polygon)]
        part = max(parts, key=lambda polygon: polygon.area)
        centre = shapely.maximum_inscribed_circle(part).coords[0]
        half = min(shapely.Point(centre).distance(part.boundary) / 2, _LARGEST_HALF_SIDE_DEG)
        squares.append(box(centre[0] - half, centre[1] - half, centre[0] + half, centre[1] + half))
    return shapely.union_all(squares)
