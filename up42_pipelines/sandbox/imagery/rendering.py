"""Pixels of the synthetic scenes: value noise over a projected plane, clouds above it.

The ground is a function of the place alone, so that two dates of one AOI differ by their clouds only.
All coordinates are metres in the scene's UTM zone; all arrays of pixels are (y, x) or (band, y, x).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import rasterio.features
from affine import Affine
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from up42_pipelines.sandbox.core import chance, geometry
from up42_pipelines.sandbox.imagery.scenes import Scene

MAX_SIDE = 2048
BANDS = ("blue", "green", "red", "nir")
_CLOUD_SCALES = (9000.0, 4500.0, 2250.0, 1125.0, 560.0, 280.0)
# Reflectance of open water, vegetation, bare soil and built-up land in BANDS.
_WATER, _GREEN, _SOIL, _TOWN = (
    np.array(values, np.float32)
    for values in (
        (0.06, 0.05, 0.03, 0.015),
        (0.035, 0.07, 0.04, 0.38),
        (0.10, 0.15, 0.20, 0.27),
        (0.14, 0.15, 0.16, 0.2),
    )
)
Floats = NDArray[np.float32]


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
    ground = _ground(grid, chance.integer(seed, "ground", grid.epsg))
    threshold = cloud_threshold(scene, seed, grid.epsg)
    if math.isfinite(threshold):
        field = _cloud_field(scene, seed, grid.columns_x, grid.rows_y)
        thickness = np.clip((field - threshold) / 0.15, 0, 1)
        for band in range(len(BANDS)):
            ground[band] = np.where(field > threshold, 0.42 + 0.43 * thickness - 0.01 * band, ground[band])
    return ground


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
    numbers = np.clip(np.rint(reflectance(scene, seed, grid) * 10_000), 1, 65_535).astype(np.uint16)
    return np.where(inside, numbers, np.uint16(0))


def display(scene: Scene, seed: int, grid: Grid, inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Render red, green, blue for the eye: 1..255, 0 where there is no data."""
    rgb = reflectance(scene, seed, grid)[2::-1]
    numbers = np.clip(np.rint(255 * (rgb / 0.85) ** 0.55), 1, 255).astype(np.uint8)
    return np.where(inside, numbers, np.uint8(0))


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
    return _fractal(xs, ys, _CLOUD_SCALES, chance.integer(seed, "clouds", scene.id), finest_m=0)


def _ground(grid: Grid, salt: int) -> Floats:
    xs, ys, finest = grid.columns_x, grid.rows_y, 2 * grid.gsd_m
    height = _fractal(xs, ys, (24_000, 12_000, 6_000, 3_000, 1_500, 750, 375), salt, finest)
    moisture = _fractal(xs, ys, (4_800, 2_400, 1_200, 600, 300, 150), salt + 1, finest) + 0.16 * (
        _cells(xs, ys, 170, 110, salt + 5) - 0.5
    )
    settled = _fractal(xs, ys, (5_000, 2_500, 1_250), salt + 2, finest)
    texture = 0.6 + 0.8 * _fractal(xs, ys, (96, 48, 24, 12), salt + 3, finest)
    roofs = 0.7 + 0.6 * _cells(xs, ys, 45, 45, salt + 4)
    water = 1 - _ramp(height, 0.42, 0.43)
    town = _ramp(settled, 0.60, 0.64) * (1 - water)
    green = _ramp(moisture, 0.42, 0.58) * (1 - water) * (1 - town)
    soil = 1 - water - town - green
    land = (green * texture, soil * texture, town * roofs)
    bands = [
        water * _WATER[i] + land[0] * _GREEN[i] + land[1] * _SOIL[i] + land[2] * _TOWN[i] for i in range(len(BANDS))
    ]
    return np.stack(bands).astype(np.float32)


def _fractal(
    xs: NDArray[np.float64], ys: NDArray[np.float64], scales_m: Sequence[float], salt: int, finest_m: float
) -> Floats:
    """Add up octaves of value noise; octaves finer than the pixels can show are replaced by their mean."""
    total = np.zeros((len(ys), len(xs)), np.float32)
    weights = 0.0
    for octave, scale in enumerate(scales_m):
        weight = 0.6**octave
        weights += weight
        if scale >= finest_m:
            total += np.float32(weight) * _value_noise(xs / scale, ys / scale, salt + 97 * octave)
        else:
            total += np.float32(weight * 0.5)
    return total / np.float32(weights)


def _value_noise(u: NDArray[np.float64], v: NDArray[np.float64], salt: int) -> Floats:
    """Interpolate hashed lattice values, one axis after the other: the pixel axes are the lattice's axes."""
    columns, rows = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    across, down = _smooth(u - columns), _smooth(v - rows)
    first_column, first_row = columns.min(), rows.min()
    lattice = _hash_lattice(np.arange(first_column, columns.max() + 2), np.arange(first_row, rows.max() + 2), salt)
    columns, rows = columns - first_column, rows - first_row
    lines = lattice[:, columns] * (1 - across) + lattice[:, columns + 1] * across
    return np.asarray(lines[rows] * (1 - down)[:, None] + lines[rows + 1] * down[:, None], np.float32)


def _hash_lattice(columns: NDArray[np.int64], rows: NDArray[np.int64], salt: int) -> Floats:
    """Hash integer lattice points to 0..1 (splitmix64 finaliser), (rows, columns)."""
    mixed = (
        columns.astype(np.uint64)[None, :] * np.uint64(0x9E3779B97F4A7C15)
        ^ rows.astype(np.uint64)[:, None] * np.uint64(0xC2B2AE3D27D4EB4F)
        ^ np.uint64(salt % 2**64)
    )
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    top_bits: Floats = ((mixed ^ mixed >> np.uint64(31)) >> np.uint64(40)).astype(np.float32)
    top_bits /= np.float32(2**24)
    return top_bits


def _cells(xs: NDArray[np.float64], ys: NDArray[np.float64], width_m: float, depth_m: float, salt: int) -> Floats:
    """Give every rectangle of the plane (a field, a block of houses) one value 0..1."""
    return _hash_lattice(np.floor(xs / width_m).astype(np.int64), np.floor(ys / depth_m).astype(np.int64), salt)


def _smooth(t: NDArray[np.float64]) -> Floats:
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _ramp(values: Floats, low: float, high: float) -> Floats:
    ramp: Floats = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return ramp


def _epsg(scene: Scene) -> int:
    if scene.epsg is None:
        raise ValueError(f"{scene.id} has no projected CRS to be rendered in")
    return scene.epsg
