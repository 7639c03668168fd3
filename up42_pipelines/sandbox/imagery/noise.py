"""Noise over a plane, the same for the same salt: value noise in octaves, and rectangles of one value.

Coordinates are metres, arrays are (y, x).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def fractal(
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
    lattice = hash_lattice(np.arange(first_column, columns.max() + 2), np.arange(first_row, rows.max() + 2), salt)
    columns, rows = columns - first_column, rows - first_row
    lines = lattice[:, columns] * (1 - across) + lattice[:, columns + 1] * across
    return np.asarray(lines[rows] * (1 - down)[:, None] + lines[rows + 1] * down[:, None], np.float32)


def hash_lattice(columns: NDArray[np.int64], rows: NDArray[np.int64], salt: int) -> Floats:
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


def cells(xs: NDArray[np.float64], ys: NDArray[np.float64], width_m: float, depth_m: float, salt: int) -> Floats:
    """Give every rectangle of the plane (a field, a block of houses) one value 0..1, (y, x)."""
    columns, rows = np.floor(xs / width_m).astype(np.int64), np.floor(ys / depth_m).astype(np.int64)
    first_column, first_row = columns.min(), rows.min()
    lattice = hash_lattice(np.arange(first_column, columns.max() + 1), np.arange(first_row, rows.max() + 1), salt)
    return np.asarray(lattice[rows - first_row][:, columns - first_column])


def _smooth(t: NDArray[np.float64]) -> Floats:
    return (t * t * (3 - 2 * t)).astype(np.float32)


def ramp(values: Floats, low: float, high: float) -> Floats:
    """Rise from 0 at `low` to 1 at `high`."""
    ramp: Floats = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return ramp
