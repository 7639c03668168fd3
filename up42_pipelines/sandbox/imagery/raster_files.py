"""Arrays to bytes: Cloud-Optimized GeoTIFFs and JPEGs, the same bytes for the same array."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from up42_pipelines.sandbox.imagery.rendering import Grid

_COLORS = {"red": ColorInterp.red, "green": ColorInterp.green, "blue": ColorInterp.blue}


def write_cog(path: Path, pixels: NDArray[Any], grid: Grid, bands: Sequence[str], tags: Mapping[str, str]) -> None:
    """Write a Cloud-Optimized GeoTIFF with nodata 0.

    Args:
        path: the file to write.
        pixels: (band, y, x).
        grid: where the pixels lie.
        bands: a description for each band.
        tags: metadata of the file.
    """
    profile = {
        "driver": "GTiff",
        "dtype": pixels.dtype.name,
        "count": pixels.shape[0],
        "height": grid.height,
        "width": grid.width,
        "crs": f"EPSG:{grid.epsg}",
        "transform": grid.transform,
        "nodata": 0,
        "photometric": "RGB" if tuple(bands) == ("red", "green", "blue") else "MINISBLACK",
    }
    with rasterio.Env(GDAL_NUM_THREADS=1), MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(pixels)
            dataset.descriptions = tuple(bands)
            dataset.colorinterp = [_COLORS.get(band, ColorInterp.undefined) for band in bands]
            dataset.update_tags(**tags)
        with memory.open() as dataset:
            rasterio.shutil.copy(
                dataset,
                path,
                driver="COG",
                COMPRESS="DEFLATE",
                LEVEL="1",
                PREDICTOR="YES",
                BLOCKSIZE="512",
                OVERVIEW_RESAMPLING="AVERAGE",
            )


def jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """Encode (3, y, x) as JPEG."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with MemoryFile() as memory:
            _, height, width = rgb.shape
            with memory.open(driver="JPEG", dtype="uint8", count=3, height=height, width=width, QUALITY=85) as dataset:
                dataset.write(rgb)
            return bytes(memory.read())
