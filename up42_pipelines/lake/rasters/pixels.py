"""Every pixel of a raster, read once: that it decodes, that a conversion shows the same, and what they add up to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.rasters.raster import has_mask, item_size
from up42_pipelines.lake.rasters.records import BandStatistics

_TILE = 512  # windows begin and end where the tiles of our COGs do
_WINDOW_BYTES = 48 << 20
_CHUNK = 1 << 16  # values at a time in double precision: 512 kB, which stay in the CPU's cache
COARSE = 1024  # cells on the longer side of the grid of valid pixels

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """What reading all pixels told.

    Attributes:
        statistics: per band.
        valid_percent: pixels with a valid value in any band but alpha (0 to 100).
        coarse: shape (y, x): cells of `cell` x `cell` pixels, from the upper left, in which any pixel is valid.
        cell: see there.
    """

    statistics: tuple[BandStatistics, ...]
    valid_percent: float
    coarse: Mask
    cell: int


def read_pixels(before: Any, after: Any | None = None, *, name: str) -> Pixels:
    """Read all pixels of a dataset, and of its conversion if there is one.

    Streams: two windows of at most 48 MB each, and GDAL's cache, are in memory at a time.

    Raises:
        InvalidDelivery: a pixel or a mask of `after` is not what it is in `before`.
        rasterio.errors.RasterioError: it does not decode.
    """
    masked = has_mask(before)
    alpha = [index for index, meaning in enumerate(before.colorinterp) if meaning is ColorInterp.alpha]
    colours = [index for index in range(before.count) if index not in alpha]
    moments = [_Moments(dtype) for dtype in before.dtypes]
    cell = math.ceil(max(before.shape) / COARSE)
    coarse = np.zeros((math.ceil(before.height / cell), math.ceil(before.width / cell)), np.bool_)
    valid_pixels = 0
    for window in _windows(before):
        shared = before.dataset_mask(window=window) != 0 if masked else None
        if masked and after is not None and not _same(shared, after.dataset_mask(window=window) != 0):
            raise InvalidDelivery(f"{name}: converting it changed its mask in {window}.")
        if alpha and colours:
            shared = before.read(alpha[0] + 1, window=window) != 0
        covered: Mask | bool = False
        for bands in _groups(before, window):
            block = before.read([band + 1 for band in bands], window=window)
            if after is not None:
                _compare(block, after.read([band + 1 for band in bands], window=window), bands, window, name)
            for band, values in zip(bands, block, strict=True):
                valid = moments[band].add(values, shared, before.nodatavals[band])
                if band in colours or not colours:
                    covered = _either(covered, valid)
        valid_pixels += _mark(coarse, cell, window, covered)
    size = before.width * before.height
    return Pixels(
        statistics=tuple(band.statistics(size) for band in moments),
        valid_percent=_percent(valid_pixels, size),
        coarse=coarse,
        cell=cell,
    )


def _windows(dataset: Any) -> Iterator[Window]:
    """Windows over the whole dataset, one row of tiles high, and as wide as memory allows for all bands together."""
    column_bytes = _TILE * sum(map(item_size, dataset.dtypes))
    columns = max(_TILE, _WINDOW_BYTES // column_bytes // _TILE * _TILE)
    for row in range(0, dataset.height, _TILE):
        for column in range(0, dataset.width, columns):
            yield Window(column, row, min(columns, dataset.width - column), min(_TILE, dataset.height - row))


def _groups(dataset: Any, window: Window) -> Iterator[list[int]]:
    """Indices of bands (from 0) that are read together: as many as fit, so that interleaved tiles are decoded once."""
    band_bytes = int(window.width * window.height) * max(map(item_size, dataset.dtypes))
    at_once = max(1, _WINDOW_BYTES // band_bytes)
    for first in range(0, dataset.count, at_once):
        yield list(range(first, min(dataset.count, first + at_once)))


def _compare(before: Any, after: Any, bands: list[int], window: Window, name: str) -> None:
    if _same(before, after):
        return
    nan = before.dtype.kind in "fc"
    for band, ours, theirs in zip(bands, after, before, strict=True):
        if not np.array_equal(ours, theirs, equal_nan=nan):
            raise InvalidDelivery(f"{name}: converting it changed pixels of band {band + 1} in {window}.")


def _same(one: Any, other: Any) -> bool:
    """Bit by bit: as fast as memory, and without a temporary array."""
    return bool(one.dtype == other.dtype and one.shape == other.shape and _bytes(one) == _bytes(other))


def _bytes(array: Any) -> memoryview:
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _either(one: Mask | bool, other: Mask | bool) -> Mask | bool:
    """Or, where a bool stands for the whole window."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.logical_or(one, other)
    if one is True or other is True:
        return True
    return other if one is False else one


def _mark(coarse: Mask, cell: int, window: Window, covered: Mask | bool) -> int:
    """Enter the valid pixels of a window into the coarse grid; how many there are."""
    top, left, height, width = (int(value) for value in (window.row_off, window.col_off, window.height, window.width))
    rows = slice(top // cell, (top + height - 1) // cell + 1)
    columns = slice(left // cell, (left + width - 1) // cell + 1)
    if not isinstance(covered, np.ndarray):
        coarse[rows, columns] |= covered
        return height * width * int(covered)
    starts = [
        np.maximum(np.arange(cells.start, cells.stop) * cell - first, 0)
        for cells, first in ((rows, top), (columns, left))
    ]
    any_valid = np.logical_or.reduceat(np.logical_or.reduceat(covered, starts[0], axis=0), starts[1], axis=1)
    coarse[rows, columns] |= any_valid
    return int(np.count_nonzero(covered))


@dataclass(slots=True)
class _Moments:
    """Mean and variance as they add up, in one pass.

    Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance", equation 1.5.
    """

    dtype: str
    minimum: float = math.inf
    maximum: float = -math.inf
    count: int = 0
    mean: float = 0.0
    squares: float = 0.0  # of the distances from the mean
    valid: int = 0
    room: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(_CHUNK))

    def add(self, values: Any, mask: Mask | None, nodata: float | None) -> Mask | bool:
        """Add the valid values of a window, shape (y, x); where they are: True for everywhere, False for nowhere."""
        if values.dtype.kind == "c":
            values = np.abs(values)
        low, high = values.min(), values.max()
        valid: Mask | bool = True
        if values.dtype.kind == "f" and not (math.isfinite(low) and math.isfinite(high)):
            valid = ~np.isnan(values)
        if nodata is not None and _holds(values.dtype, nodata) and not (low > nodata or high < nodata):
            valid = _and(valid, values != values.dtype.type(nodata))
        if mask is not None:
            valid = _and(valid, mask)
        number = values.size if valid is True else int(np.count_nonzero(valid))
        self.valid += number
        if number == 0:
            return False
        if number == values.size:
            self._add(values.reshape(-1), low, high)
            return True
        chosen = values[valid]
        self._add(chosen, chosen.min(), chosen.max())
        return valid

    def _add(self, values: Any, low: Any, high: Any) -> None:
        if values.dtype.kind == "f" and not (math.isfinite(low) and math.isfinite(high)):
            values = values[np.isfinite(values)]
            if values.size == 0:
                return
            low, high = values.min(), values.max()
        self.minimum, self.maximum = min(self.minimum, low.item()), max(self.maximum, high.item())
        if low == high:
            self._merge(values.size, low.item(), 0.0)
            return
        # Differences from about the mean, so that the sum of their squares keeps its digits.
        about = self.mean if self.count else float(values[0])
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, values.size, _CHUNK):
                part = values[start : start + _CHUNK]
                off = np.subtract(part, about, dtype=np.float64, out=self.room[: part.size])
                # einsum, because BLAS would start threads for this
                total, squares = float(off.sum()), float(np.einsum("i,i", off, off))
                self._merge(part.size, about + total / part.size, squares - total * total / part.size)

    def _merge(self, count: int, mean: float, squares: float) -> None:
        total, shift = self.count + count, mean - self.mean
        self.mean += shift * count / total
        self.squares += squares + shift * shift * self.count * count / total
        self.count = total

    def statistics(self, size: int) -> BandStatistics:
        valid_percent = _percent(self.valid, size)
        if self.count == 0:
            return BandStatistics(minimum=None, maximum=None, mean=None, stddev=None, valid_percent=valid_percent)
        return BandStatistics(
            minimum=self.minimum,
            maximum=self.maximum,
            mean=_finite(self.mean),
            stddev=_finite(math.sqrt(max(self.squares, 0.0) / self.count)),
            valid_percent=valid_percent,
        )


def _and(one: Mask | bool, other: Mask) -> Mask:
    return other if one is True else np.logical_and(one, other)


def _holds(dtype: np.dtype[Any], value: float) -> bool:
    """Whether pixels of a type can have a value, and be equal to it: -9999 is no uint8, and NaN equals nothing."""
    if dtype.kind == "f":
        return math.isinf(value) or abs(value) <= float(np.finfo(dtype).max)
    limits = np.iinfo(dtype)
    return float(value).is_integer() and limits.min <= value <= limits.max


def _finite(value: float) -> float | None:
    """None for what double precision cannot hold: the spread of values around 1e300."""
    return value if math.isfinite(value) else None


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole
