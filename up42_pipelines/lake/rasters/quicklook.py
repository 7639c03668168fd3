"""A small picture of a raster, for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import MemoryFile

from up42_pipelines.lake.rasters.raster import open_raster
from up42_pipelines.lake.rasters.source import RasterSource

MAX_QUICKLOOK_BYTES = 40_000
_GREY = 128
_DARKEST, _BRIGHTEST = 2, 98  # percent of the valid pixels, the usual linear stretch

Rgb = npt.NDArray[np.uint8]
Bands = npt.NDArray[np.floating[Any]]


def quicklook_png(source: Path | RasterSource, max_px: int = 256) -> bytes:
    """Draw a GeoTIFF or JPEG 2000 as an RGB PNG of at most `max_px` on its longer side and 40 kB.

    Reads the overview that fits. Colours: red, green and blue by colour interpretation or band description, else the
    first three bands, else the first as grey; a colour table as it is. Each band is stretched from its 2nd to its 98th
    percentile over valid pixels; invalid ones are black, and a raster without any valid pixel is plain grey.

    Raises:
        InvalidDelivery: the file is no raster or cannot be decoded.
    """
    with open_raster(source) as dataset:
        scale = min(1.0, max_px / max(dataset.width, dataset.height))
        shape = max(1, round(dataset.height * scale)), max(1, round(dataset.width * scale))
        picture = _palette(dataset, shape) if ColorInterp.palette in dataset.colorinterp else _stretched(dataset, shape)
        png = _encode(picture)
        if len(png) > MAX_QUICKLOOK_BYTES:
            # 32 levels per band still look like the scene, and compress about twice as well.
            picture = ((picture & 0xF8) | 0x04).astype(np.uint8)
            png = _encode(picture)
        while len(png) > MAX_QUICKLOOK_BYTES:
            picture = _smaller(picture)
            png = _encode(picture)
        return png


def _palette(dataset: Any, shape: tuple[int, int]) -> Rgb:
    """Colours of the first band with a colour table, shape (3, y, x)."""
    band = dataset.colorinterp.index(ColorInterp.palette) + 1
    colours = np.zeros((1 << 16, 3), np.uint8)
    for value, (red, green, blue, _) in dataset.colormap(band).items():
        colours[value] = red, green, blue
    return np.moveaxis(colours[dataset.read(band, out_shape=shape)], -1, 0)


def _stretched(dataset: Any, shape: tuple[int, int]) -> Rgb:
    """The chosen bands, stretched, shape (3, y, x)."""
    bands = _rgb_bands(dataset)
    raw = dataset.read(bands, out_shape=(len(bands), *shape), resampling=Resampling.nearest)
    values: Bands = (np.abs(raw) if np.iscomplexobj(raw) else raw).astype(np.float64)
    valid = dataset.read_masks(bands, out_shape=(len(bands), *shape)) != 0
    valid &= np.isfinite(values)
    if not valid.any():
        return np.full((3, *shape), _GREY, np.uint8)
    picture = np.zeros(values.shape, np.uint8)
    for layer, layer_values, layer_valid in zip(picture, values, valid, strict=True):
        if not layer_valid.any():
            continue
        low, high = np.percentile(layer_values[layer_valid], [_DARKEST, _BRIGHTEST])
        stretched = (layer_values[layer_valid] - low) / (high - low) if high > low else _GREY / 255
        layer[layer_valid] = np.clip(stretched * 255, 1, 255)
    return np.broadcast_to(picture, (3, *shape)) if len(bands) == 1 else picture


def _rgb_bands(dataset: Any) -> list[int]:
    """Numbers (from 1) of the bands to draw: three, or one."""
    meanings = [interpretation.name for interpretation in dataset.colorinterp]
    names = [(description or "").strip().lower() for description in dataset.descriptions]
    for labels in (meanings, names):
        if all(colour in labels for colour in ("red", "green", "blue")):
            return [labels.index(colour) + 1 for colour in ("red", "green", "blue")]
    drawable = [band for band, meaning in enumerate(meanings, 1) if meaning != "alpha"] or [1]
    return drawable[:3] if len(drawable) >= 3 else drawable[:1]


def _smaller(picture: Rgb) -> Rgb:
    """Three quarters of the size, by nearest neighbour."""
    rows, columns = (
        np.linspace(0, length - 1, max(1, int(length * 0.75))).round().astype(int) for length in picture.shape[1:]
    )
    return picture[:, rows][:, :, columns]


def _encode(picture: Rgb) -> bytes:
    _, height, width = picture.shape
    # The transform only keeps rasterio from warning that a PNG has none; PNG does not store it.
    profile = {"driver": "PNG", "width": width, "height": height, "count": 3, "dtype": "uint8", "ZLEVEL": 9}
    with MemoryFile() as memory:
        with memory.open(**profile, transform=Affine(1, 0, 0, 0, -1, 0)) as png:
            png.write(picture)
        return bytes(memory.read())
