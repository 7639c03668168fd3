"""Reflectance as the numbers that files hold, and back: 16 bit for analysis, 8 bit for the eye; 0 is no data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from up42_pipelines.sandbox.imagery.noise import Floats

_BRIGHTEST, _GAMMA = 0.85, 0.55


def encode(reflectance: Floats, valid: NDArray[np.bool_], dtype: str) -> NDArray[Any]:
    """Write reflectance 0..1, (band, y, x), as numbers.

    Args:
        reflectance: of each band.
        valid: where there are data, (y, x).
        dtype: `uint16`, reflectance times 10000; or `uint8`, brightened for the eye.
    """
    if dtype == "uint8":
        numbers = np.clip(np.rint(255 * (np.maximum(reflectance, 0) / _BRIGHTEST) ** _GAMMA), 1, 255).astype(np.uint8)
    else:
        numbers = np.clip(np.rint(reflectance * 10_000), 1, 65_535).astype(np.uint16)
    return np.where(valid, numbers, numbers.dtype.type(0))


def decode(numbers: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> Floats:
    """Read numbers of either kind as reflectance; of any other, what most of the valid ones span is taken for 0 to 0.4.

    Args:
        numbers: (band, y, x).
        valid: where there are data, (y, x); None for everywhere.
    """
    if numbers.dtype == np.uint8:
        return np.asarray(_BRIGHTEST * (numbers / np.float32(255)) ** (1 / _GAMMA), np.float32)
    if numbers.dtype == np.uint16:
        return np.asarray(np.clip(numbers / np.float32(10_000), 0, 1), np.float32)
    values = numbers.astype(np.float32)
    known = values[np.isfinite(values) & (True if valid is None else valid)]
    low, high = np.percentile(known, (2, 98)) if known.size else (0, 0)
    return np.asarray(np.nan_to_num(0.4 * np.clip((values - low) / max(high - low, 1e-9), 0, 2.5)), np.float32)
