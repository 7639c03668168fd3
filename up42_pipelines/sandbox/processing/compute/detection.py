"""Detections by thresholds on brightness and colour. Toys: they find what looks like the thing on synthetic ground."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from up42_pipelines.sandbox.imagery.layers import Layer
from up42_pipelines.sandbox.imagery.noise import Floats
from up42_pipelines.sandbox.processing.compute import vectors

Mask = NDArray[np.bool_]
CLOUD = 0.385
"""What is at least as bright as this in every band is a cloud."""
_VICINITY_M = 100.0


@dataclass(frozen=True)
class View:
    """What detections look at.

    Attributes:
        brightness: mean reflectance of the visible bands, (y, x); of all bands when none of them is named.
        greenness: (2 green - red - blue) / (2 green + red + blue); 0 without these bands.
        blueness: (blue - red) / (blue + red); 0 without these bands.
        cloud: valid, and as bright as a cloud.
        clear: valid, and no cloud.
    """

    layer: Layer
    brightness: Floats
    greenness: Floats
    blueness: Floats
    cloud: Mask
    clear: Mask

    @property
    def water(self) -> Mask:
        """Dark and blue."""
        return self.clear & (self.blueness > 0.15) & (self.brightness < 0.1)

    @property
    def green(self) -> Mask:
        """Vegetation."""
        return self.clear & (self.greenness > 0.2)

    @property
    def built(self) -> Mask:
        """Neither dark nor coloured."""
        colourless = (np.abs(self.greenness) < 0.1) & (np.abs(self.blueness) < 0.15)
        return self.clear & colourless & (self.brightness > 0.08)


@dataclass(frozen=True)
class Target:
    """What a detection looks for.

    Attributes:
        name: class of its features.
        brightness: reflectance from and to.
        on: what the pixel itself must be.
        within: what most of its vicinity must be.
        area_m2: smallest and largest patch.
        compactness: smallest and largest 4 pi area / perimeter² of a patch: a circle has 1.
        every_m: points this far apart instead of patches; None for patches.
    """

    name: str
    brightness: tuple[float, float]
    on: Literal["built", "green", "dry", "clear"] = "clear"
    within: Literal["built", "green", "water", "anything"] = "anything"
    area_m2: tuple[float, float] = (0, math.inf)
    compactness: tuple[float, float] = (0, 1)
    every_m: float | None = None


TARGETS = {
    "detection-buildings-spacept": Target("building", (0.17, 1), "built", area_m2=(60, math.inf)),
    "detection-trees-spacept": Target("tree", (0.06, 1), "green", every_m=40),
    "detection-shadows-spacept": Target("shadow", (0, 0.033), "dry", area_m2=(60, math.inf)),
    "detection-ships-airbus": Target("ship", (0.12, 1), within="water", area_m2=(50, 20_000)),
    "detection-wind-turbines-airbus": Target("wind_turbine", (0.2, 1), within="green", area_m2=(0, 500)),
    "detection-storage-tanks-airbus": Target("storage_tank", (0.22, 1), area_m2=(300, 10_000), compactness=(0.7, 1)),
    "detection-trucks-oi": Target("truck", (0.2, 1), "built", area_m2=(0, 200)),
    "detection-cars-oi": Target("car", (0.18, 1), "built", within="built", every_m=12),
    "detection-aircraft-oi": Target("aircraft", (0.24, 1), area_m2=(300, 5_000), compactness=(0, 0.6)),
}


def detect(target: Target, layers: Sequence[Layer], options: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """Find a target in a layer; returns a GeoJSON FeatureCollection."""
    view = look(layers[0])
    grid, (low, high) = view.layer.grid, target.brightness
    mask = view.clear & (view.brightness >= low) & (view.brightness <= high)
    if target.on == "dry":
        mask &= ~view.water
    elif target.on != "clear":
        mask &= getattr(view, target.on)
    if target.within != "anything":
        vicinity = local_mean(getattr(view, target.within), max(1, round(_VICINITY_M / grid.gsd_m)))
        mask &= vicinity > 0.6
    if target.every_m is not None:
        block = max(1, round(target.every_m / grid.gsd_m))
        found = vectors.points(_brightest(mask, view.brightness, block), grid)
    else:
        found = [patch for patch in vectors.outlines(mask, grid) if _fits(patch.area, patch.length, target)]
    reach = max(high - low, low) if high < 1 else 0.2
    strength = np.asarray(0.5 + 0.5 * np.abs(view.brightness - (low if high >= 1 else high)) / reach, np.float32)
    return vectors.collection(found, strength, grid, target.name)


def look(layer: Layer) -> View:
    """Compute what detections look at."""
    visible = [band for band in ("red", "green", "blue") if band in layer.bands]
    brightness = (layer.select(visible) if visible else layer).reflectance.mean(axis=0)
    greenness = blueness = np.zeros_like(brightness)
    if len(visible) == 3:
        red, green, blue = layer.select(visible).reflectance
        greenness = (2 * green - red - blue) / np.maximum(2 * green + red + blue, 1e-4)
        blueness = (blue - red) / np.maximum(blue + red, 1e-4)
    cloud = layer.valid & (layer.reflectance.min(axis=0) >= CLOUD)
    return View(layer, brightness, greenness, blueness, cloud, layer.valid & ~cloud)


def local_mean(mask: Mask, radius: int) -> Floats:
    """Return which share of the square around each pixel is marked, (y, x); the square ends at the edge."""
    height, width = mask.shape
    sums = np.zeros((height + 1, width + 1), np.float64)
    sums[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    rows, columns = np.arange(height), np.arange(width)
    top, bottom = np.maximum(rows - radius, 0), np.minimum(rows + radius + 1, height)
    left, right = np.maximum(columns - radius, 0), np.minimum(columns + radius + 1, width)
    total = sums[bottom][:, right] - sums[top][:, right] - sums[bottom][:, left] + sums[top][:, left]
    return np.asarray(total / ((bottom - top)[:, None] * (right - left)), np.float32)


def _fits(area: float, length: float, target: Target) -> bool:
    compactness = 4 * math.pi * area / length**2
    return target.area_m2[0] <= area <= target.area_m2[1] and (
        target.compactness[0] <= compactness <= target.compactness[1]
    )


def _brightest(mask: Mask, values: Floats, block: int) -> Mask:
    """Keep of the marked pixels the brightest one of each block."""
    height, width = mask.shape
    rows, columns = -(-height // block), -(-width // block)
    marked = np.full((rows * block, columns * block), -1, np.float32)
    marked[:height, :width] = np.where(mask, values, -1)
    blocks = marked.reshape(rows, block, columns, block).swapaxes(1, 2).reshape(rows, columns, block * block)
    best = blocks.argmax(axis=2)
    kept = np.zeros((rows, columns, block * block), bool)
    np.put_along_axis(kept, best[..., None], blocks.max(axis=2, keepdims=True) >= 0, axis=2)
    flat = kept.reshape(rows, columns, block, block).swapaxes(1, 2).reshape(rows * block, columns * block)
    return flat[:height, :width]
