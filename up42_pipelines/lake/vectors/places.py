"""Where on Earth features are: their bounds and their outline in degrees."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from shapely.geometry import mapping

from up42_pipelines.errors import InvalidDelivery

Bounds = tuple[float, float, float, float]

_IN_DEGREES = frozenset({"OGC:CRS84", "EPSG:4326"})
_EDGE_POINTS = 21
_OUTLINE_PARTS = 10
"""Parts into which the sides of an outline are cut before they are transformed: they are no straight lines there."""
# Degrees; beyond 180 lies what goes on across the antimeridian instead of being cut there.
_FARTHEST_EAST, _FARTHEST_NORTH, _TOLERANCE = 360.0, 90.0, 1e-6


def code_of(crs: CRS) -> str | None:
    """`EPSG:32633` or another authority's code; None when it has none."""
    authority = crs.to_authority()
    return None if authority is None else ":".join(authority)


def bounds_in_degrees(bounds: Bounds | None, crs: CRS | None) -> Bounds | None:
    """West, south, east, north (degrees, EPSG:4326) of bounds in a CRS; west > east across the antimeridian.

    Raises:
        InvalidDelivery: they do not lie where the CRS is defined.
    """
    if bounds is None or crs is None:
        return None
    west, south, east, north = bounds
    if code_of(crs) not in _IN_DEGREES:
        try:
            west, south, east, north = _to_degrees(crs).transform_bounds(*bounds, densify_pts=_EDGE_POINTS)
        except ProjError as error:
            raise _outside(bounds, crs) from error
    inside = (
        all(map(math.isfinite, (west, south, east, north)))
        and west >= -_FARTHEST_EAST
        and east <= _FARTHEST_EAST
        and south >= -_FARTHEST_NORTH - _TOLERANCE
        and north <= _FARTHEST_NORTH + _TOLERANCE
    )
    if not inside:
        raise _outside(bounds, crs)
    return west, south, east, north


def outline_in_degrees(geometries: Any, crs: CRS | None) -> dict[str, Any] | None:
    """GeoJSON (degrees, EPSG:4326) of the convex hull of all geometries; None when it would be around half the Earth.

    Features on both sides of the antimeridian have such a hull, and it says nothing.
    """
    hull = shapely.convex_hull(shapely.geometrycollections(shapely.convex_hull(geometries)))
    if crs is None or hull.is_empty:
        return None
    if code_of(crs) not in _IN_DEGREES:
        longest = hull.length / _OUTLINE_PARTS
        hull = transformed(shapely.segmentize(hull, longest) if longest else hull, crs)
    hull = shapely.force_2d(hull)
    west, _, east, _ = hull.bounds
    if not math.isfinite(west) or east - west > 180 or west < -180 or east > 180:
        return None
    outline: dict[str, Any] = _as_json(mapping(hull))
    return outline


def transformed(geometry: Any, crs: CRS) -> Any:
    """Geometries of a CRS in degrees (EPSG:4326), longitude first."""
    if code_of(crs) in _IN_DEGREES:
        return geometry
    transformer = _to_degrees(crs)

    def degrees(positions: Any) -> Any:
        return np.column_stack(transformer.transform(positions[:, 0], positions[:, 1]))

    return shapely.transform(geometry, degrees)


def _to_degrees(crs: CRS) -> Transformer:
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def _outside(bounds: Bounds, crs: CRS) -> InvalidDelivery:
    told = ", ".join(f"{value:g}" for value in bounds)
    return InvalidDelivery(f"Its features lie where {code_of(crs) or crs.name[:80]} is not defined: bounds {told}.")


def _as_json(value: Any) -> Any:
    """With lists for tuples, as JSON reads it back."""
    if isinstance(value, dict):
        return {key: _as_json(inner) for key, inner in value.items()}
    return [_as_json(inner) for inner in value] if isinstance(value, tuple | list) else value
