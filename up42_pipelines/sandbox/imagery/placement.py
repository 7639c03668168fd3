"""Where on Earth a raster lies: from its transform and CRS, its ground control points or its RPCs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import antimeridian
import numpy as np
import pyproj
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.transform import AffineTransformer, GCPTransformer, RPCTransformer, TransformerBase
from shapely.geometry import MultiPolygon, Polygon

_POINTS_PER_EDGE = 21
_GEOD = pyproj.Geod(ellps="WGS84")
_EARTH_RADIUS_M = (6.3e6, 6.4e6)


class NotPlaced(ValueError):
    """The raster lies nowhere on Earth; the message says why."""


@dataclass(frozen=True)
class Placement:
    """A footprint.

    Attributes:
        footprint: the outline of all pixels, degrees, split at the antimeridian.
        gsd_m: side of a pixel in the middle of the raster, metres; the geometric mean when pixels are not square.
        epsg: code of the raster's CRS, None when it has none.
        method: `transform`, `gcps` or `rpcs`.
    """

    footprint: Polygon | MultiPolygon
    gsd_m: float
    epsg: int | None
    method: str


def place(dataset: DatasetReader) -> Placement:
    """Find the footprint of an open raster.

    Raises:
        NotPlaced: it has no georeference, one that is broken, or one of another planet.
    """
    if not all(map(math.isfinite, dataset.transform[:6])):
        raise NotPlaced("its geotransform is not finite")
    crs, method, transformer = _georeference(dataset)
    rows, columns = _outline(dataset.height, dataset.width)
    middle = dataset.height / 2, dataset.width / 2
    rows += [middle[0], middle[0], middle[0] + 1]
    columns += [middle[1], middle[1] + 1, middle[1]]
    with transformer:
        pixel_points = np.asarray(transformer.xy(rows, columns, offset="ul"), np.float64)
    degrees = _degrees(pixel_points, crs)
    footprint = _footprint(degrees[:, :-3])
    (x, east_x, down_x), (y, east_y, down_y) = degrees[:, -3:]
    sides = _GEOD.inv([x, x], [y, y], [east_x, down_x], [east_y, down_y])[2]
    gsd_m = math.sqrt(sides[0] * sides[1])
    if not (math.isfinite(gsd_m) and gsd_m > 0):
        raise NotPlaced("its pixels have no size")
    return Placement(footprint, round(gsd_m, 4), dataset.crs.to_epsg() if dataset.crs else None, method)


def bbox(footprint: Polygon | MultiPolygon) -> list[float]:
    """Return west, south, east, north; west > east when the footprint crosses the antimeridian (RFC 7946, 5.2)."""
    if isinstance(footprint, MultiPolygon):
        return [float(value) for value in antimeridian.bbox(footprint)]
    return [float(value) for value in footprint.bounds]


def _outline(height: int, width: int) -> tuple[list[float], list[float]]:
    """Walk around the outer edge of the pixels, counter-clockwise on a north-up raster: rows and columns."""
    down, across = np.linspace(0, height, _POINTS_PER_EDGE), np.linspace(0, width, _POINTS_PER_EDGE)
    rows = [*down[:-1], *([height] * (_POINTS_PER_EDGE - 1)), *down[:0:-1], *([0] * (_POINTS_PER_EDGE - 1))]
    columns = [*([0] * (_POINTS_PER_EDGE - 1)), *across[:-1], *([width] * (_POINTS_PER_EDGE - 1)), *across[:0:-1]]
    return [float(row) for row in rows], [float(column) for column in columns]


def _rpcs(dataset: DatasetReader) -> Any:
    try:
        return dataset.rpcs
    except ValueError:
        return None


def _georeference(dataset: DatasetReader) -> tuple[Any, str, TransformerBase]:
    """Choose what places the pixels: the CRS of the result, the method's name, and rasterio's transformer."""
    gcps, gcps_crs = dataset.gcps
    if dataset.crs and not dataset.transform.is_identity:
        return dataset.crs, "transform", AffineTransformer(dataset.transform)
    if gcps and gcps_crs:
        return gcps_crs, "gcps", GCPTransformer(gcps)
    if rpcs := _rpcs(dataset):
        return "EPSG:4326", "rpcs", RPCTransformer(rpcs, rpc_height=rpcs.height_off)
    raise NotPlaced("it has no usable georeference (no CRS with a transform, no ground control points, no RPCs)")


def _degrees(points: NDArray[np.float64], crs: Any) -> NDArray[np.float64]:
    """Transform points of a CRS to longitude, latitude, (2, point)."""
    try:
        system = pyproj.CRS.from_user_input(crs if isinstance(crs, str) else crs.to_wkt())
        ellipsoid = system.ellipsoid
        if ellipsoid is None or not _EARTH_RADIUS_M[0] < ellipsoid.semi_major_metre < _EARTH_RADIUS_M[1]:
            raise NotPlaced(f"its CRS ({system.name}) is not one of the Earth")
        degrees = np.asarray(pyproj.Transformer.from_crs(system, 4326, always_xy=True).transform(points[0], points[1]))
    except pyproj.exceptions.ProjError as problem:
        raise NotPlaced(f"its CRS cannot be related to EPSG:4326: {problem}") from None
    if not np.isfinite(degrees).all():
        raise NotPlaced("its outline is not finite in degrees")
    # Half a pixel beyond the pole or the antimeridian is how global rasters are often written.
    if np.abs(degrees[1]).max() > 90.01 or np.abs(degrees[0]).max() > 360.01:
        raise NotPlaced("its coordinates are not degrees on the globe")
    return np.vstack([degrees[0], np.clip(degrees[1], -90, 90)])


def _footprint(outline: NDArray[np.float64]) -> Polygon | MultiPolygon:
    longitudes, latitudes = outline
    if np.ptp(longitudes) > 359.9 and not _jumps(longitudes):
        south, north = latitudes.min(), latitudes.max()
        return Polygon([(-180, south), (180, south), (180, north), (-180, north)])
    with _quiet():
        footprint = antimeridian.fix_polygon(Polygon(outline.T.tolist()))
    if footprint.is_empty or not footprint.is_valid or footprint.area == 0:
        raise NotPlaced("its footprint is empty or crosses itself")
    return footprint if isinstance(footprint, MultiPolygon) else Polygon(footprint)


def _jumps(longitudes: NDArray[np.float64]) -> bool:
    return bool((np.abs(np.diff(longitudes)) > 180).any())


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", antimeridian.FixWindingWarning)
        yield
