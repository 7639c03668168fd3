"""Small pictures of rasters that were not made here."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from up42_pipelines.sandbox.imagery import raster_files

logger = logging.getLogger(__name__)
# Without overviews every pixel has to be decoded for a preview.
_MAX_PIXELS_WITHOUT_OVERVIEWS = 100_000_000
_OPTIONS = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}


def draw(path: Path, driver: str, max_side: int) -> bytes | None:
    """Draw a raster as JPEG of at most `max_side` pixels; None when its pixels cannot be read at a bearable price."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            with rasterio.Env(**_OPTIONS), rasterio.open(path, driver=driver) as dataset:
                pixels = dataset.width * dataset.height
                if driver in ("GTiff", "NITF") and pixels > _MAX_PIXELS_WITHOUT_OVERVIEWS and not dataset.overviews(1):
                    return None
                return raster_files.jpeg(_rgb(dataset, max_side))
        except (RasterioError, OSError, ValueError) as problem:
            logger.warning("no preview of %s: %s", path, problem)
            return None


def _rgb(dataset: DatasetReader, max_side: int) -> NDArray[np.uint8]:
    shrink = max(1.0, max(dataset.width, dataset.height) / max_side)
    height, width = max(1, int(dataset.height / shrink)), max(1, int(dataset.width / shrink))
    if dataset.colorinterp[0] is ColorInterp.palette:
        table = np.zeros((256, 3), np.uint8)
        for value, color in dataset.colormap(1).items():
            if value < 256:
                table[value] = color[:3]
        numbers = dataset.read(1, out_shape=(height, width), resampling=Resampling.nearest)
        return np.ascontiguousarray(table[numbers.astype(np.uint8)].transpose(2, 0, 1))
    bands = [1, 2, 3] if dataset.count >= 3 else [1, 1, 1]
    pixels = dataset.read(bands, out_shape=(3, height, width), masked=True, resampling=Resampling.nearest)
    return np.stack([_stretched(band) for band in pixels])


def _stretched(band: np.ma.MaskedArray) -> NDArray[np.uint8]:
    """Spread the values between the 2nd and the 98th percentile over 1..255; 0 where there is no data."""
    values = np.ma.masked_invalid(band.astype(np.float64))
    known = values.compressed()
    if known.size == 0:
        return np.zeros(band.shape, np.uint8)
    low, high = np.percentile(known, (2, 98))
    scaled = 1 + 254 * np.clip((values.filled(low) - low) / max(high - low, 1e-9), 0, 1)
    return np.where(np.ma.getmaskarray(values), 0, scaled).astype(np.uint8)
