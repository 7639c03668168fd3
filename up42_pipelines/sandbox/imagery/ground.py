"""The ground of the synthetic scenes: a function of the place, but for building sites, which change with the day.

Coordinates are metres in a UTM zone, arrays are (y, x) or (band, y, x).
"""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

from up42_pipelines.sandbox.imagery.noise import Floats, cells, fractal, ramp

BANDS = ("blue", "green", "red", "nir")
# Reflectance of open water, vegetation, bare soil, built-up land and a hall's roof in BANDS.
_WATER, _GREEN, _SOIL, _TOWN, _ROOF = (
    np.array(values, np.float32)
    for values in (
        (0.06, 0.05, 0.03, 0.015),
        (0.035, 0.07, 0.04, 0.38),
        (0.10, 0.15, 0.20, 0.27),
        (0.14, 0.15, 0.16, 0.2),
        (0.29, 0.31, 0.33, 0.35),
    )
)
PARCEL_M = (170.0, 110.0)
SITE_SHARE = 0.1
"""How many parcels are building sites."""
SITE_DAYS = 14
"""On a site a hall stands for half of these days, then none does."""
_HALL = 0.6
"""Share of a parcel's width and depth that a hall takes."""


def reflectance(xs: NDArray[np.float64], ys: NDArray[np.float64], finest_m: float, salt: int, day: date) -> Floats:
    """Return the surface reflectance 0..1 of BANDS on a day, (band, y, x).

    Args:
        xs: eastings, (x,).
        ys: northings, (y,).
        finest_m: what is smaller is left out: the pixels cannot show it.
        salt: decides the ground.
        day: decides which halls stand.
    """
    height = fractal(xs, ys, (24_000, 12_000, 6_000, 3_000, 1_500, 750, 375), salt, finest_m)
    moisture = fractal(xs, ys, (4_800, 2_400, 1_200, 600, 300, 150), salt + 1, finest_m) + 0.16 * (
        cells(xs, ys, *PARCEL_M, salt + 5) - 0.5
    )
    settled = fractal(xs, ys, (5_000, 2_500, 1_250), salt + 2, finest_m)
    texture = 0.6 + 0.8 * fractal(xs, ys, (96, 48, 24, 12), salt + 3, finest_m)
    roofs = 0.7 + 0.6 * cells(xs, ys, 45, 45, salt + 4)
    water = 1 - ramp(height, 0.42, 0.43)
    town = ramp(settled, 0.60, 0.64) * (1 - water)
    green = ramp(moisture, 0.42, 0.58) * (1 - water) * (1 - town)
    soil = 1 - water - town - green
    land = (green * texture, soil * texture, town * roofs)
    bands = np.stack(
        [water * _WATER[i] + land[0] * _GREEN[i] + land[1] * _SOIL[i] + land[2] * _TOWN[i] for i in range(len(BANDS))]
    )
    hall = np.where(water < 0.5, _halls(xs, ys, salt, day), np.float32(0))
    return np.where(hall > 0, _ROOF[:, None, None] * hall, bands).astype(np.float32)


def _halls(xs: NDArray[np.float64], ys: NDArray[np.float64], salt: int, day: date) -> Floats:
    """Mark the halls that stand on a day: how bright their roofs are (0.75..1.15), 0 where there is none."""
    site = cells(xs, ys, *PARCEL_M, salt + 6) < SITE_SHARE
    age = (day.toordinal() + SITE_DAYS * cells(xs, ys, *PARCEL_M, salt + 7)) % SITE_DAYS
    brightness = 0.75 + 0.4 * cells(xs, ys, *PARCEL_M, salt + 8)
    across, down = (
        np.abs(values / side % 1 - 0.5) < _HALL / 2 for values, side in zip((xs, ys), PARCEL_M, strict=True)
    )
    stands = site & (age < SITE_DAYS / 2) & across & down[:, None]
    return np.where(stands, brightness, np.float32(0)).astype(np.float32)
