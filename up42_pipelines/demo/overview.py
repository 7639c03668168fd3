"""The overview picture of a demo: one small image per partition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import rioxarray
import xarray
from matplotlib.figure import Figure

from up42_pipelines.demo.report import cogs_of
from up42_pipelines.demo.standing import Standing, State

_PX = 400
_CELL_INCHES = 3.2


def save_overview(standings: Sequence[Standing], path: Path, *, columns: int) -> None:
    """Write a PNG with a cell per partition: its first COG, or why there is none."""
    rows = -(-len(standings) // columns)
    figure = Figure(figsize=(columns * _CELL_INCHES, rows * _CELL_INCHES + 0.4), layout="constrained")
    figure.suptitle("What the demo left in the lake (imagery of the sandbox, not of UP42)")
    cells = figure.subplots(rows, columns, squeeze=False)
    for cell, one in zip(cells.flat, standings, strict=False):
        cell.set_axis_off()
        cell.set_title(one.key, fontsize=9)
        cogs = cogs_of(one)
        if cogs:
            item, asset = cogs[0]
            pixels = preview(asset.href)
            cell.imshow(pixels, cmap="gray")
            cover = item.properties.get("eo:cloud_cover")
            caption = f"{len(cogs)} COG(s), {one.credits} credits" + ("" if cover is None else f", cloud {cover:.0f} %")
        else:
            caption = str(one.state)
        colour = "firebrick" if one.state in (State.FAILED, State.ORDER_FAILED) else "dimgray"
        cell.text(0.5, -0.04, caption, transform=cell.transAxes, ha="center", va="top", fontsize=8, color=colour)
    for cell in cells.flat[len(standings) :]:
        cell.set_axis_off()
    figure.savefig(path, dpi=110)


def preview(href: str) -> np.ndarray:
    """A COG as an image `(y, x)` or `(y, x, 3)` of floats in 0..1, nodata white; opened lazily, read thinned out."""
    with cast("xarray.DataArray", rioxarray.open_rasterio(href, masked=True)) as data:
        step = max(1, -(-max(data.sizes["y"], data.sizes["x"]) // _PX))
        bands = [2, 1, 0] if data.sizes["band"] >= 4 and data.dtype != np.uint8 else [0, 1, 2]
        chosen = data.isel(band=bands if data.sizes["band"] >= 3 else [0])
        pixels = chosen.isel(y=slice(None, None, step), x=slice(None, None, step)).to_numpy().astype("float64")
    valid = pixels[np.isfinite(pixels)]
    low, high = np.percentile(valid, (2, 98)) if valid.size else (0.0, 1.0)
    stretched = np.clip((pixels - low) / max(high - low, 1e-12), 0, 1)
    image = np.moveaxis(np.nan_to_num(stretched, nan=1.0), 0, -1)
    return np.asarray(image if image.shape[-1] > 1 else image[..., 0])
