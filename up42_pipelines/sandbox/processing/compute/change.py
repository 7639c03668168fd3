"""Change detection: where two pictures of a place differ by more than the sensitivity lets pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from up42_pipelines.sandbox.imagery.layers import Layer
from up42_pipelines.sandbox.processing.compute import detection, vectors

DEFAULT_SENSITIVITY = 2
_CONTRAST = 0.24
_CLOUD_MARGIN_M = 30.0
_SMALLEST_M2 = 200.0


def threshold(sensitivity: int) -> float:
    """Return the difference of reflectance above which something has changed."""
    return _CONTRAST / sensitivity


def detect_change(layers: Sequence[Layer], options: Mapping[str, Any]) -> dict[str, Any]:
    """Outline what differs between source and reference, on the grid of the source.

    What is as bright as a cloud in one of them is left out, and 30 m around it.

    Args:
        layers: source, and reference.
        options: `sensitivity`.
    """
    source, reference = layers[0], layers[1].onto(layers[0].grid)
    bands = common_bands(source.bands, reference.bands)
    difference = np.abs(source.select(bands).reflectance - reference.select(bands).reflectance).mean(axis=0)
    grid, limit = source.grid, threshold(options.get("sensitivity", DEFAULT_SENSITIVITY))
    cloudy = detection.look(source).cloud | detection.look(reference).cloud
    near_cloud = detection.local_mean(cloudy, max(1, round(_CLOUD_MARGIN_M / grid.gsd_m))) > 0
    clear = source.valid & reference.valid & ~near_cloud
    smallest = max(_SMALLEST_M2, 2 * grid.gsd_m**2)
    changed = [patch for patch in vectors.outlines((difference > limit) & clear, grid) if patch.area >= smallest]
    return vectors.collection(changed, np.asarray(difference / (2 * limit), np.float32), grid, "change")


def common_bands(source: Sequence[str], reference: Sequence[str]) -> tuple[str, ...]:
    """Return the bands that both have."""
    return tuple(band for band in source if band in reference)
