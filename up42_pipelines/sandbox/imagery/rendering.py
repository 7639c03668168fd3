"""Pixels of the synthetic scenes: the ground (see `ground`), clouds above it.

Two dates of one AOI differ by their clouds, and by what was built meanwhile.
All coordinates are metres in the scene's UTM zone; all arrays of pixels are (y, x) or (band, y, x).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import rasterio.features
from affine import Affine
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from up42_pipelines.sandbox.core import chance, geometry
from up42_pipelines.sandbox.imagery import encoding, ground
from up42_pipelines.sandbox.imagery.noise import Floats, fractal
from up42_pipelines.sandbox.imagery.scenes import Scene

MAX_SIDE = 2048
PAN_WEIGHTS = {"blue": 0.1, "green": 0.3, "red": 0.4, "nir": 0.2}
"""What each band contributes to the panchromatic one."""
_CLOUD_SCALES = (9000.0, 4500.0, 2250.0, 1125.0, 560.0, 280.0)


@dataclass(frozen=True)
class Grid:
    """A north-up pixel grid. `west` and `north` are the outer edges, metres; `gsd_m` is the side of a pixel."""

    epsg: int
    west: float
    north: float
    gsd_m: float
    width: int
    height: int

    @property
    def transform(self) -> Affine:
        """Pixel to map coordinates."""
        return Affine(self.gsd_m, 0, self.west, 0, -self.gsd_m, self.north)

    def finer(self, times: int) -> Grid:
        """Cut each pixel into `times` by `times`."""
        return replace(self, gsd_m=self.gsd_m / times, width=self.width * times, height=self.height * times)

    def coarser(self, times: int) -> Grid:
        """Make each block of `times` by `times` pixels one, from the north-western corner on."""
        return replace(self, gsd_m=self.gsd_m * times, width=-(-self.width // times), height=-(-self.height // times))

    @property
    def columns_x(self) -> NDArray[np.float64]:
        """Easting of the pixel centres, (x,)."""
        return self.west + (np.arange(self.width, dtype=np.float64) + 0.5) * self.gsd_m

    @property
    def rows_y(self) -> NDArray[np.float64]:
        """Northing of the pixel centres, (y,)."""
        return self.north - (np.arange(self.height, dtype=np.float64) + 0.5) * self.gsd_m


def grid_over(bounds: Sequence[float], epsg: int, gsd_m: float, max_side: int = MAX_SIDE) -> Grid:
    """Lay the grid of multiples of the GSD over projected bounds (west, south, east, north, metres).

    The GSD is doubled until neither side has more than `max_side` pixels, so that a whole scene stays small.
    """
    west, south, east, north = bounds
    while max(east - west, north - south) / gsd_m + 2 > max_side:
        gsd_m *= 2
    left, top = math.floor(west / gsd_m), math.ceil(north / gsd_m)
    width, height = max(1, math.ceil(east / gsd_m) - left), max(1, top - math.floor(south / gsd_m))
    return Grid(epsg, left * gsd_m, top * gsd_m, gsd_m, width, height)


def reflectance(scene: Scene, seed: int, grid: Grid) -> Floats:
    """Render the scene on a grid: surface reflectance 0..1, (band, y, x), without regard to any footprint."""
    salt, day = chance.integer(seed, "ground", grid.epsg), scene.acquired_at.date()
    bands = ground.reflectance(grid.columns_x, grid.rows_y, 2 * grid.gsd_m, salt, day)
    threshold = cloud_threshold(scene, seed, grid.epsg)
    if math.isfinite(threshold):
        field = _cloud_field(scene, seed, grid.columns_x, grid.rows_y)
        thickness = np.clip((field - threshold) / 0.15, 0, 1)
        for band in range(len(bands)):
            bands[band] = np.where(field > threshold, 0.42 + 0.43 * thickness - 0.01 * band, bands[band])
    return bands


def valid_pixels(shape: BaseGeometry, grid: Grid) -> NDArray[np.bool_]:
    """Mark the pixels whose centre lies inside a shape (metres); all that touch it when it is smaller than a pixel."""
    for all_touched in (False, True):
        inside: NDArray[np.bool_] = rasterio.features.geometry_mask(
            [shape], (grid.height, grid.width), grid.transform, all_touched=all_touched, invert=True
        )
        if inside.any():
            return inside
    return inside


def analytic(scene: Scene, seed: int, grid: Grid, inside: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Render blue, green, red, nir: reflectance times 10000, 0 where there is no data."""
    return encoding.encode(reflectance(scene, seed, grid), inside, "uint16")


def display(scene: Scene, seed: int, grid: Grid, inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Render red, green, blue for the eye: 1..255, 0 where there is no data."""
    return encoding.encode(reflectance(scene, seed, grid)[2::-1], inside, "uint8")


def scene_grid(scene: Scene, max_side: int) -> tuple[Grid, NDArray[np.bool_]]:
    """Lay a grid of at most `max_side` pixels over a whole scene and mark its footprint."""
    epsg = _epsg(scene)
    shape = geometry.project(scene.footprint, epsg)
    west, south, east, north = shape.bounds
    gsd_m = max(scene.gsd_m, max(east - west, north - south) / (max_side - 3))
    grid = grid_over(shape.bounds, epsg, gsd_m, max_side)
    return grid, valid_pixels(shape, grid)


def cloud_threshold(scene: Scene, seed: int, epsg: int) -> float:
    """Find the value above which the cloud field is cloud: the footprint's cloudy share is the advertised one."""
    if scene.cloud_cover_percent <= 0:
        return math.inf
    shape = geometry.project(scene.footprint, epsg)
    west, south, east, north = shape.bounds
    grid = grid_over(shape.bounds, epsg, max(east - west, north - south) / 190, 256)
    field = _cloud_field(scene, seed, grid.columns_x, grid.rows_y)
    return float(np.quantile(field[valid_pixels(shape, grid)], 1 - scene.cloud_cover_percent / 100))


def _cloud_field(scene: Scene, seed: int, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> Floats:
    return fractal(xs, ys, _CLOUD_SCALES, chance.integer(seed, "clouds", scene.id), finest_m=0)


def _epsg(scene: Scene) -> int:
    if scene.epsg is None:
        raise ValueError(f"{scene.id} has no projected CRS to be rendered in")
    return scene.epsg
