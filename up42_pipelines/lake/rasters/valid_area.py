"""Where on Earth the valid pixels of a raster are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from rasterio.features import shapes, sieve
from shapely.geometry import shape

from up42_pipelines.lake.rasters.footprint import Bbox, on_earth
from up42_pipelines.lake.rasters.pixels import Pixels
from up42_pipelines.lake.rasters.records import RasterInfo

MAX_VERTICES = 200  # before the edges are given points to bend in degrees
# Cell edges between valid and not: some 4000 around a scene. With more, as speckle has, polygons would take minutes.
MAX_BOUNDARY = 16_000
# Holes and islands below this share of the raster are clouds, dropped lines and specks, not its outline.
_SMALLEST_SHARE = 0.001
_EDGES = 20  # a line as long as the raster gets so many points


def valid_footprint_4326(info: RasterInfo, pixels: Pixels) -> tuple[dict[str, Any] | None, Bbox | None]:
    """Area around the valid pixels as GeoJSON geometry and bbox (west, south, east, north; degrees, EPSG:4326).

    Drawn on a grid of about a thousand cells, where a cell counts with any valid pixel, and simplified by at most a few
    cells; holes and islands below 0.1 % of the raster are left out. Cut at the antimeridian like the outline
    (`footprint.footprint_4326`), which stands in when there is nothing to draw with: a raster placed by ground control
    points, one that goes around the world, an area that has no valid shape in degrees.

    Returns:
        (None, None) when no pixel is valid, or the raster cannot be placed on Earth.
    """
    if info.footprint_4326 is None or not pixels.coarse.any():
        return None, None
    outline = info.footprint_4326, info.bbox
    if info.transform is None or info.crs_wkt is None or pixels.coarse.all():
        return outline
    area = outline_of(pixels.coarse)
    a, b, c, d, e, f = info.transform
    limits = np.array([info.width, info.height])
    to_pixels = shapely.transform(area, lambda points: np.minimum(points * pixels.cell, limits))
    matrix, origin = np.array([[a, d], [b, e]]), np.array([c, f])
    projected = shapely.transform(to_pixels, lambda points: points @ matrix + origin)
    west, south, east, north = projected.bounds
    projected = shapely.segmentize(projected, max(east - west, north - south) / _EDGES)
    placed = on_earth(projected, rasterio.crs.CRS.from_wkt(info.crs_wkt))
    return outline if placed is None else placed


def outline_of(mask: npt.NDArray[np.bool_]) -> Any:
    """The area of the True cells of a grid, shape (y, x), as shapely polygons in (column, row).

    They have at most `MAX_VERTICES` corners. Holes and islands below `_SMALLEST_SHARE` of the grid are left out; if
    nothing else is there, it is the convex hull of all. Speckle is drawn on a coarser grid.
    """
    grid, scale = mask, 1
    while _boundary(grid) > MAX_BOUNDARY and min(grid.shape) > 1:
        grid, scale = _halved(grid), 2 * scale
    smallest = max(2, math.ceil(_SMALLEST_SHARE * grid.size))
    levels = sieve(grid.astype(np.uint8), smallest) if min(grid.shape) > 1 else grid.astype(np.uint8)
    area: Any = shapely.union_all([shape(geometry) for geometry, _ in shapes(levels, mask=levels != 0)])
    tolerance = 0.5
    simpler: Any = area.simplify(tolerance)
    while shapely.get_num_coordinates(simpler) > MAX_VERTICES and tolerance < max(grid.shape):
        tolerance *= 2
        simpler = area.simplify(tolerance)
    if simpler.is_empty or not simpler.is_valid or shapely.get_num_coordinates(simpler) > MAX_VERTICES:
        return _hull(mask)
    limits = np.array(mask.shape[::-1])
    return shapely.transform(simpler, lambda points: np.minimum(points * scale, limits))


def _boundary(grid: npt.NDArray[np.bool_]) -> int:
    """Number of cell edges between True and False."""
    return int(np.count_nonzero(grid[1:] != grid[:-1]) + np.count_nonzero(grid[:, 1:] != grid[:, :-1]))


def _halved(grid: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """At half the resolution; a cell is True with any of its four."""
    rows, columns = grid.shape
    even = np.pad(grid, ((0, rows % 2), (0, columns % 2)))
    halved: npt.NDArray[np.bool_] = even[::2, ::2] | even[1::2, ::2] | even[::2, 1::2] | even[1::2, 1::2]
    return halved


def _hull(mask: npt.NDArray[np.bool_]) -> Any:
    """Convex hull of the True cells."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    corners = [np.column_stack(pair) for pair in ((first, rows), (first, rows + 1), (last, rows), (last, rows + 1))]
    hull: Any = shapely.convex_hull(shapely.multipoints(np.concatenate(corners).astype(np.float64)))
    return hull.simplify(0.5)
