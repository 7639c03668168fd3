"""GeoJSON in, shapes out: what a search accepts, what an order accepts, areas and UTM zones.

Coordinates are longitude, latitude in degrees (EPSG:4326) unless a name says otherwise.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pyproj
import shapely
from shapely.geometry import MultiPolygon, Polygon, mapping, shape
from shapely.geometry.base import BaseGeometry

MAX_VERTICES = 999
_SEARCHABLE = {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"}
_GEOD = pyproj.Geod(ellps="WGS84")


class GeometryProblem(ValueError):
    """A geometry breaks a rule; the message is fit for the wire."""


def polygons(geometry: BaseGeometry) -> Polygon | MultiPolygon:
    """Keep the areal parts of a geometry (an intersection may leave lines and points behind); may be empty."""
    if isinstance(geometry, Polygon | MultiPolygon):
        return geometry
    parts = [part for part in getattr(geometry, "geoms", ()) if isinstance(part, Polygon) and not part.is_empty]
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def as_geojson(geometry: BaseGeometry) -> dict[str, Any]:
    """Write a shape as a GeoJSON geometry."""
    return dict(mapping(geometry))


def box_from(bbox: Any) -> Polygon | MultiPolygon:
    """Read `[west, south, east, north]`; west > east crosses the antimeridian (RFC 7946, 5.2).

    Raises:
        GeometryProblem: wrong length, not numbers, or outside the globe.
    """
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(_is_number(value) for value in bbox):
        raise GeometryProblem("bbox must be an array of four numbers: west, south, east, north")
    west, south, east, north = map(float, bbox)
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise GeometryProblem(f"bbox {bbox} is outside the globe, or its south is north of its north")
    if west <= east:
        return shapely.box(west, south, east, north)
    return MultiPolygon([shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)])


def search_area(geometry: Any) -> BaseGeometry:
    """Read the `intersects` of a search. UP42 turns a MultiPolygon into its bounding box in catalogue searches.

    Raises:
        GeometryProblem: not a geometry the search knows, malformed, or outside the globe.
    """
    area = storage_area(geometry)
    return shapely.box(*area.bounds) if isinstance(area, MultiPolygon) else area


def storage_area(geometry: Any) -> BaseGeometry:
    """Read the `intersects` of a storage search, as it is.

    Raises:
        GeometryProblem: see `search_area`.
    """
    if not isinstance(geometry, dict) or geometry.get("type") not in _SEARCHABLE:
        raise GeometryProblem(f"intersects must be a GeoJSON geometry of one of the types {sorted(_SEARCHABLE)}")
    area = _shape(geometry)
    west, south, east, north = area.bounds
    if not (west >= -180 and east <= 180 and south >= -90 and north <= 90):
        raise GeometryProblem("the coordinates must be longitude, latitude in degrees (EPSG:4326)")
    if not area.is_valid:
        raise GeometryProblem(f"the geometry is not valid: {shapely.is_valid_reason(area)}")
    return area


def order_area(geometry: Any) -> Polygon:
    """Read the AOI of an order: one simple polygon (UP42 API reference, order geometries).

    Raises:
        GeometryProblem: not a Polygon, altitudes, an open ring, more than 999 vertices, self-intersecting, outside the
            EPSG:4326 range, or without an area.
    """
    if not isinstance(geometry, dict) or geometry.get("type") != "Polygon":
        raise GeometryProblem("the geometry must be a GeoJSON Polygon")
    rings = geometry.get("coordinates")
    if not isinstance(rings, list) or not rings or not all(isinstance(ring, list) for ring in rings):
        raise GeometryProblem("the polygon has no rings")
    for ring in rings:
        if not all(isinstance(point, list) and len(point) >= 2 and all(map(_is_number, point)) for point in ring):
            raise GeometryProblem("every vertex must be an array of two numbers")
        if any(len(point) != 2 for point in ring):
            raise GeometryProblem("altitudes (Z) are not supported: every vertex must have exactly two numbers")
        if len(ring) < 4 or ring[0] != ring[-1]:
            raise GeometryProblem("every ring must be closed and have at least four vertices")
    if sum(map(len, rings)) > MAX_VERTICES:
        raise GeometryProblem(f"the polygon has {sum(map(len, rings))} vertices, at most {MAX_VERTICES} are allowed")
    area = _shape(geometry)
    west, south, east, north = area.bounds
    if not (west >= -180 and east <= 180 and south >= -90 and north <= 90):
        raise GeometryProblem("the coordinates must be longitude, latitude in degrees (EPSG:4326)")
    if not isinstance(area, Polygon) or not area.is_valid or area.area == 0:
        raise GeometryProblem(f"the polygon is not valid: {shapely.is_valid_reason(area)}")
    return area


def area_km2(geometry: BaseGeometry) -> float:
    """Measure the geodesic area on WGS 84, km², whichever way its rings turn."""
    # pyproj adds holes, and parts, with the sign of their turn.
    turned = shapely.normalize(_dense(geometry, 0.5))
    return abs(float(_GEOD.geometry_area_perimeter(turned)[0])) / 1e6


def utm_epsg(longitude: float, latitude: float) -> int:
    """Return the EPSG code of the UTM zone; plain six-degree zones, without the exceptions around Norway."""
    zone = min(60, int((longitude + 180) // 6) + 1)
    return (32600 if latitude >= 0 else 32700) + zone


def project(geometry: BaseGeometry, epsg: int) -> BaseGeometry:
    """Transform degrees into a projected CRS, metres; edges are densified so that they stay where they were."""
    transformer = _transformer(epsg)

    def transform(points: np.ndarray) -> np.ndarray:
        return np.column_stack(transformer.transform(points[:, 0], points[:, 1]))

    return shapely.transform(_dense(geometry, 0.01), transform)


@functools.lru_cache(maxsize=128)
def _transformer(epsg: int) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(4326, epsg, always_xy=True)


def _dense(geometry: BaseGeometry, step_degrees: float) -> BaseGeometry:
    return shapely.segmentize(geometry, step_degrees)


def _shape(geometry: dict[str, Any]) -> BaseGeometry:
    try:
        area = shape(geometry)
    except Exception as problem:  # noqa: BLE001 - shapely raises whatever the nested lists provoke
        raise GeometryProblem(f"the coordinates cannot be read: {problem}") from None
    if area.is_empty or not all(map(math.isfinite, area.bounds)):
        raise GeometryProblem("the geometry is empty or not finite")
    return area


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
