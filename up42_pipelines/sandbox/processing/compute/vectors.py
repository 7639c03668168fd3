"""From masks to GeoJSON: outlines of what is marked, or points, in degrees (EPSG:4326)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyproj
import rasterio.features
import shapely
from numpy.typing import NDArray
from shapely.geometry import Point, mapping, shape
from shapely.geometry.base import BaseGeometry

from up42_pipelines.sandbox.imagery.noise import Floats
from up42_pipelines.sandbox.imagery.rendering import Grid

MOST_FEATURES = 2000
_DECIMALS = 7


def outlines(mask: NDArray[np.bool_], grid: Grid) -> list[BaseGeometry]:
    """Return the outline of each patch of marked pixels (those that share a side), projected, metres.

    GDAL turns exteriors counter-clockwise and holes clockwise, as RFC 7946, 3.1.6 wants them.
    """
    found = rasterio.features.shapes(mask.astype(np.uint8), mask=mask, connectivity=4, transform=grid.transform)
    return [shape(geometry) for geometry, _ in found]


def points(mask: NDArray[np.bool_], grid: Grid) -> list[BaseGeometry]:
    """Return the centre of each marked pixel, projected, metres."""
    rows, columns = np.nonzero(mask)
    return [Point(x, y) for x, y in zip(grid.columns_x[columns], grid.rows_y[rows], strict=True)]


def collection(geometries: Sequence[BaseGeometry], strength: Floats, grid: Grid, name: str) -> dict[str, Any]:
    """Write the largest geometries as features of one class; of equally large ones, the surest.

    Args:
        geometries: projected, metres, in the grid's CRS.
        strength: how sure each pixel is, 0..1, (y, x).
        grid: of the pixels.
        name: the class.
    """
    scored = [(geometry, _score(geometry, strength, grid)) for geometry in geometries]
    scored.sort(key=lambda one: (-one[0].area, -one[1], one[0].bounds))
    to_degrees = pyproj.Transformer.from_crs(grid.epsg, 4326, always_xy=True).transform
    features = []
    for number, (geometry, score) in enumerate(scored[:MOST_FEATURES], start=1):
        degrees = shapely.transform(geometry, lambda xy: np.round(np.column_stack(to_degrees(*xy.T)), _DECIMALS))
        area_m2 = round(geometry.area or grid.gsd_m**2, 1)
        features.append(
            {
                "type": "Feature",
                "id": number,
                "geometry": mapping(degrees),
                "properties": {"class": name, "score": score, "area_m2": area_m2},
            }
        )
    return {"type": "FeatureCollection", "features": features}


def _score(geometry: BaseGeometry, strength: Floats, grid: Grid) -> float:
    """Return how sure a pixel inside of a geometry is."""
    inside = geometry.representative_point()
    row, column = int((grid.north - inside.y) / grid.gsd_m), int((inside.x - grid.west) / grid.gsd_m)
    return round(float(np.clip(strength[row, column], 0, 1)), 3)
