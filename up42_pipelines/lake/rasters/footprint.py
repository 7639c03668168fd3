"""Where on Earth a raster is, as GeoJSON in degrees."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import antimeridian
import shapely
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.warp import transform as warp
from shapely.geometry.polygon import orient

# Some calls of rasterio 1.4 (warp.transform, shutil.copy) let GDAL's own errors through, which are no RasterioError.
GDAL_ERRORS = (RasterioError, CPLE_BaseError)
_WGS84 = "EPSG:4326"
# Points per edge: straight lines of a projection are curves in degrees; 21 keep within a pixel or two of a scene.
_POINTS_PER_EDGE = 21

Bbox = tuple[float, float, float, float]


def footprint_4326(
    *,
    crs: Any,
    transform: Affine | None,
    width: int,
    height: int,
    gcps: Sequence[tuple[float, float]],
    gcps_crs: Any,
) -> tuple[dict[str, Any] | None, Bbox | None]:
    """Outline of a raster as GeoJSON geometry and bbox (west, south, east, north; degrees, EPSG:4326).

    From the geotransform when there is one, else the convex hull of the ground control points. Cut in two at the
    antimeridian, as RFC 7946 (section 3.1.9) demands; then the bbox has west > east (section 5.2).

    Returns:
        (None, None) when the raster has neither, or its CRS has no way to degrees on Earth (another planet, a local
        engineering system). A raster placed by RPCs alone depends on terrain heights, so it has none either.
    """
    if transform is not None and crs is not None:
        ring, ring_crs = _edge(transform, width, height), crs
    elif len(gcps) >= 3 and gcps_crs is not None:
        ring, ring_crs = list(gcps), gcps_crs
    else:
        return None, None
    try:
        points = _degrees(ring, ring_crs)
    except GDAL_ERRORS:
        return None, None
    if points is None:
        return None, None
    if transform is None or crs is None:
        points = _hull(points)
    polygon = shapely.Polygon(points)
    if polygon.is_empty or polygon.area == 0:
        return None, None
    if _is_world(crs, polygon):
        geometry: Any = shapely.box(-180, max(polygon.bounds[1], -90), 180, min(polygon.bounds[3], 90))
        return _geojson(geometry), tuple(geometry.bounds)
    geometry = antimeridian.fix_polygon(polygon)
    west, south, east, north = antimeridian.bbox(geometry)
    return _geojson(geometry), (float(west), float(south), float(east), float(north))


def on_earth(area: Any, crs: Any) -> tuple[dict[str, Any], Bbox] | None:
    """A polygon or several in a projection as GeoJSON geometry and bbox in degrees, cut at the antimeridian.

    None when it has no place or no valid shape in degrees.
    """
    parts = []
    for part in getattr(area, "geoms", [area]):
        # Counter-clockwise outside, clockwise holes: around a pole, only the order tells the inside.
        turned = orient(part)
        try:
            rings = [_degrees(ring.coords, crs) for ring in (turned.exterior, *turned.interiors)]
        except GDAL_ERRORS:
            return None
        if any(ring is None for ring in rings):
            return None
        polygon = shapely.Polygon(rings[0], rings[1:])
        if _is_world(crs, polygon):
            return None
        parts.append(antimeridian.fix_polygon(polygon))
    geometry = shapely.union_all(parts)
    if geometry.is_empty or not geometry.is_valid or geometry.geom_type not in {"Polygon", "MultiPolygon"}:
        return None
    west, south, east, north = antimeridian.bbox(geometry)
    return _geojson(geometry), (float(west), float(south), float(east), float(north))


def _degrees(points: Any, crs: Any) -> list[tuple[float, float]] | None:
    """(x, y) points of a CRS as (longitude, latitude); None when one has no place on Earth."""
    lons, lats = warp(crs, _WGS84, *map(list, zip(*points, strict=True)))
    degrees = list(zip(lons, lats, strict=True))
    if not all(math.isfinite(lon) and math.isfinite(lat) and abs(lat) <= 90.001 for lon, lat in degrees):
        return None
    return degrees


def _edge(transform: Affine, width: int, height: int) -> list[tuple[float, float]]:
    """Ring along the outer edge of the pixels, counter-clockwise on the ground.

    The order matters: a clockwise ring around a pole or over the antimeridian means everything else. Projections keep
    it, so it is told by the geotransform, not by the degrees, in which a ring around a pole has no inside.
    """
    steps = [step / (_POINTS_PER_EDGE - 1) for step in range(_POINTS_PER_EDGE - 1)]
    corners = [(0, 0), (width, 0), (width, height), (0, height)]
    ring = [
        transform @ (x0 + (x1 - x0) * step, y0 + (y1 - y0) * step)
        for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True)
        for step in steps
    ]
    return ring if transform.determinant > 0 else ring[::-1]


def _hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Counter-clockwise ring around points (degrees); longitudes to 360 when they straddle the antimeridian."""
    if max(lon for lon, _ in points) - min(lon for lon, _ in points) > 180:
        points = [(lon % 360, lat) for lon, lat in points]
    hull = shapely.MultiPoint(points).convex_hull
    return (
        [(lon, lat) for lon, lat, *_ in orient(hull).exterior.coords] if isinstance(hull, shapely.Polygon) else points
    )


def _geojson(geometry: Any) -> dict[str, Any]:
    """With lists, as JSON reads it back: no JSON schema takes the tuples of `shapely.geometry.mapping` for arrays."""
    document: dict[str, Any] = json.loads(shapely.to_geojson(geometry))
    return document


def _is_world(crs: Any, polygon: shapely.Polygon) -> bool:
    """A geographic raster around the whole globe: its two side edges are the same meridian, nothing crosses."""
    return bool(crs is not None and crs.is_geographic and polygon.bounds[2] - polygon.bounds[0] > 359.99)
