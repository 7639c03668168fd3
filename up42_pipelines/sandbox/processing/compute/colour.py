"""Processes that turn rasters into rasters: pansharpening, true colour, and those that only move or cut pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rasterio.enums import Resampling

from up42_pipelines.sandbox.imagery.layers import Layer
from up42_pipelines.sandbox.imagery.rendering import PAN_WEIGHTS, Grid

RGB = ("red", "green", "blue")


def pansharpen(layers: Sequence[Layer], options: Mapping[str, Any], grid: Grid) -> Layer:
    """Give each band the detail of the panchromatic one: weighted Brovey transform.

    Every band is multiplied by the quotient of the panchromatic band and of the grey that the bands' weighted mean
    would show (Gillespie, Kahle, Walker 1987, with weights).

    Args:
        layers: the panchromatic raster, and the multispectral one.
        options: `greyWeights`; without them, how the sandbox's panchromatic band is made.
        grid: of the result, that of the panchromatic raster.
    """
    pan, colors = layers[0], layers[1].onto(grid)
    weights = grey_weights(options.get("greyWeights") or (), colors.bands)
    grey = np.tensordot(weights, colors.reflectance, 1)
    sharpened = colors.reflectance * (pan.reflectance[0] / np.maximum(grey, 1e-4))
    return Layer(grid, colors.bands, np.clip(sharpened, 0, 1).astype(np.float32), pan.valid & colors.valid)


def grey_weights(given: Sequence[Mapping[str, Any]], bands: Sequence[str]) -> np.ndarray:
    """Return a weight for each band, their sum 1; all the same for bands of which nothing is known."""
    sums = dict.fromkeys(bands, 0.0)
    for entry in given or [{"band": band, "weight": PAN_WEIGHTS.get(band, 0)} for band in bands]:
        sums[entry["band"]] += entry["weight"]
    weights = np.array([sums[band] for band in bands], np.float32)
    return weights / weights.sum() if weights.sum() > 0 else np.full(len(bands), 1 / len(bands), np.float32)


def true_color(layers: Sequence[Layer], options: Mapping[str, Any], grid: Grid) -> Layer:  # noqa: ARG001
    """Keep red, green and blue; the 8 bit they are written with make them fit for the eye."""
    return layers[0].select(RGB)


def upsample(layers: Sequence[Layer], options: Mapping[str, Any], grid: Grid) -> Layer:  # noqa: ARG001
    """Put cubic pixels of half the side in the place of each."""
    return layers[0].onto(grid, Resampling.cubic)


def move(layers: Sequence[Layer], options: Mapping[str, Any], grid: Grid) -> Layer:  # noqa: ARG001
    """Resample the layer onto the grid of the result."""
    return layers[0].onto(grid)


def coregister(layers: Sequence[Layer], options: Mapping[str, Any], grid: Grid) -> Layer:  # noqa: ARG001
    """Resample the source onto the grid of the reference, where that has data."""
    source, reference = layers[0].onto(grid), layers[1]
    return replace(source, valid=source.valid & reference.valid)
