"""Single values out of metadata. What cannot be believed is None: a missing fact is better than a wrong one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import shapely
from shapely.affinity import translate
from shapely.geometry.polygon import orient

# Sputnik flew in 1957; a date beyond 2200 is a placeholder.
_FIRST_YEAR, _LAST_YEAR = 1957, 2200


def number(value: object, low: float, high: float) -> float | None:
    """A finite number from low to high, from text or JSON; None for anything else, placeholders included."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and low <= found <= high else None


def integer(value: object, low: int, high: int) -> int | None:
    """A whole number from low to high; None for anything else."""
    found = number(value, low, high)
    return int(found) if found is not None and found.is_integer() else None


def text(value: object) -> str | None:
    """One line of printable text of at most 200 characters; None for anything else."""
    if not isinstance(value, str):
        return None
    found = " ".join(value.split())
    return found if 0 < len(found) <= 200 and found.isprintable() else None


def utc(value: object) -> datetime | None:
    """An ISO 8601 date and time as UTC; without an offset it is taken for UTC, as all providers here mean it."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if _FIRST_YEAR <= found.year <= _LAST_YEAR else None


def percent(value: object) -> float | None:
    """0 to 100."""
    return number(value, 0, 100)


def gsd_m(value: object) -> float | None:
    """A ground sample distance in metres: 1 cm to 10 km. Some products write degrees and call them metres."""
    return number(value, 0.01, 10_000)


def angle(value: object) -> float | None:
    """The size of an angle from the vertical, 0 to 90 degrees; the sign says left or right, fore or aft."""
    found = number(value, -90, 90)
    return None if found is None else abs(found)


def azimuth(value: object) -> float | None:
    """Degrees clockwise from north, 0 to 360."""
    found = number(value, -360, 360)
    return None if found is None else found % 360


def elevation(value: object) -> float | None:
    """Degrees above the horizon, -90 to 90."""
    return number(value, -90, 90)


def footprint(points: Iterable[tuple[object, object]], *, corners_only: bool = False) -> dict[str, Any] | None:
    """GeoJSON Polygon or MultiPolygon around (longitude, latitude) points in degrees, cut at the antimeridian.

    Args:
        points: of the ring, in either direction, closed or not.
        corners_only: the order says nothing: take the convex hull. Also taken when the ring crosses itself.

    Returns:
        None when any point is not on Earth, when they have no area, or span more than half of the Earth.
    """
    ring = []
    for lon_value, lat_value in points:
        lon, lat = number(lon_value, -180, 360), number(lat_value, -90, 90)
        if lon is None or lat is None:
            return None
        ring.append((lon, lat))
    if len(set(ring)) < 3:
        return None
    if _width(ring) > 180:
        ring = [(lon % 360, lat) for lon, lat in ring]
    if _width(ring) > 180:
        return None
    polygon: Any = shapely.Polygon(ring)
    if corners_only or not polygon.is_valid:
        polygon = shapely.MultiPoint(ring).convex_hull
    if not isinstance(polygon, shapely.Polygon) or polygon.area == 0:
        return None
    if polygon.bounds[2] <= 180:
        return as_geojson(orient(polygon))
    # RFC 7946, section 3.1.9: no part crosses the antimeridian.
    halves = [polygon & shapely.box(-180, -90, 180, 90), translate(polygon & shapely.box(180, -90, 540, 90), -360)]
    parts = [orient(part) for half in halves for part in getattr(half, "geoms", [half]) if part.area > 0]
    return as_geojson(parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)) if parts else None


def _width(ring: list[tuple[float, float]]) -> float:
    return max(lon for lon, _ in ring) - min(lon for lon, _ in ring)


def footprint_of_geojson(geometry: object) -> dict[str, Any] | None:
    """The same for a GeoJSON Polygon, whose holes are dropped; None for anything else."""
    if not isinstance(geometry, dict) or geometry.get("type") != "Polygon":
        return None
    rings = geometry.get("coordinates")
    if not isinstance(rings, list) or not rings or not isinstance(rings[0], list):
        return None
    if not all(isinstance(point, list) and len(point) >= 2 for point in rings[0]):
        return None
    return footprint((point[0], point[1]) for point in rings[0])


def as_geojson(geometry: Any) -> dict[str, Any]:
    """A shapely geometry with lists for coordinates, as JSON reads it back."""
    document: dict[str, Any] = json.loads(shapely.to_geojson(geometry))
    return document
