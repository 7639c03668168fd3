"""Pixels with their place: what processes work on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import rasterio.warp
from numpy.typing import NDArray
from rasterio.enums import Resampling

from up42_pipelines.sandbox.imagery.noise import Floats
from up42_pipelines.sandbox.imagery.rendering import Grid

COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"


@dataclass(frozen=True)
class Layer:
    """A raster in memory.

    Attributes:
        grid: where the pixels lie.
        bands: their names.
        reflectance: 0..1, (band, y, x).
        valid: where there are data, (y, x).
    """

    grid: Grid
    bands: tuple[str, ...]
    reflectance: Floats
    valid: NDArray[np.bool_]

    def select(self, bands: Sequence[str]) -> Layer:
        """Keep some bands, in this order."""
        chosen = self.reflectance[[self.bands.index(band) for band in bands]]
        return Layer(self.grid, tuple(bands), chosen, self.valid)

    def onto(self, grid: Grid, resampling: Resampling = Resampling.bilinear) -> Layer:
        """Resample onto another grid; a pixel is valid where the nearest one of the source is."""
        if grid == self.grid:
            return self
        pixels = np.zeros((len(self.bands), grid.height, grid.width), np.float32)
        inside = np.zeros((grid.height, grid.width), np.uint8)
        source = {"src_transform": self.grid.transform, "src_crs": f"EPSG:{self.grid.epsg}"}
        target = {"dst_transform": grid.transform, "dst_crs": f"EPSG:{grid.epsg}"}
        # Outside of the valid pixels there are values, too; without this they would bleed into the edge.
        masked = np.where(self.valid, self.reflectance, np.float32(np.nan))
        rasterio.warp.reproject(
            masked, pixels, **source, **target, src_nodata=np.nan, dst_nodata=0, resampling=resampling
        )
        rasterio.warp.reproject(self.valid.astype(np.uint8), inside, **source, **target, resampling=Resampling.nearest)
        pixels = np.clip(np.nan_to_num(pixels), 0, 1)
        return Layer(grid, self.bands, pixels, (inside > 0) & pixels.any(axis=0))


def describe_raster(
    kind: str, suffix: str, role: str, bands: Sequence[str], dtype: str, grid: Grid, media_type: str = COG_TYPE
) -> dict[str, Any]:
    """Describe a raster among the files of a delivery, see `Source.content`."""
    return {
        "kind": kind,
        "suffix": suffix,
        "type": media_type,
        "role": role,
        "gsd": grid.gsd_m,
        "bands": list(bands),
        "dtype": dtype,
        "grid": asdict(grid),
    }


def grid_of(file: Mapping[str, Any]) -> Grid:
    """Return the grid of a raster among the files of a delivery."""
    return Grid(**file["grid"])
