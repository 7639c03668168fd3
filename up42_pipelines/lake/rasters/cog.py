"""Make sure that a delivered raster is a Cloud-Optimized GeoTIFF (COG), without changing a pixel."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake.rasters.footprint import GDAL_ERRORS
from up42_pipelines.lake.rasters.raster import RasterInfo, describe, has_mask, is_cog, item_size, open_raster

BLOCK_SIZE = 512
# Rasters up to this size are decoded whole, before they are kept and after they are converted: a header and a COG
# layout can be valid above tiles that do not inflate. Larger ones are sampled: _SAMPLES windows, the last one included,
# where a cut-off file ends.
VERIFY_WHOLE_BELOW_BYTES = 4 << 30
_SAMPLES = 64
# Rows are decoded in bands of one block of the COG, so memory is a few times width * 512 pixels.
_ROWS = BLOCK_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A raster that is a COG now.

    Attributes:
        path: the COG.
        info: its description.
        kept: True when these are the delivered bytes, False when they were converted.
        source_driver: GDAL's name of the delivered format.
    """

    path: Path
    info: RasterInfo
    kept: bool
    source_driver: str


def ensure_cog(source: Path, target: Path) -> Landed:
    """Put a COG with the pixels of `source` at `target`, on the same file system if bytes are to be kept cheaply.

    A valid COG (`raster.is_cog`, strict) whose pixels decode keeps its bytes, lossy ones included: encoding again would
    add nothing. Anything else is converted without loss: pixels, nodata, masks, alpha, scales, offsets, units, colour
    tables, descriptions, tags, CRS, geotransform, ground control points and RPCs are compared with the source's
    afterwards. A lossy JPEG is decoded once and stored without further loss.

    Decoding finds files that are cut off or damaged, with one gap: libtiff stops before a DEFLATE tile's checksum, so
    damage that still inflates, or lies in uncompressed pixels, is only found by a checksum of the file (`transfer`).

    Measured with GDAL 3.10, the COG driver drops two things: metadata domains other than the default one, RPC and
    IMAGE_STRUCTURE (providers' side-cars fill those, a single GeoTIFF hardly ever), and the declaration that only some
    bits of a sample are used (NBITS), which has to go because the predictor works on whole samples.

    Raises:
        InvalidDelivery: the source is no raster or cannot be decoded.
        LakeError: `target` cannot be written.
    """
    info = describe(source)
    _check_pixels_decode(source)
    if info.is_cog:
        _copy_bytes(source, target)
        return Landed(path=target, info=info, kept=True, source_driver=info.driver)
    try:
        _convert(source, target)
        _compare(source, target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return Landed(path=target, info=describe(target), kept=False, source_driver=info.driver)


def _convert(source: Path, target: Path) -> None:
    with open_raster(source) as dataset:
        options = _creation_options(dataset)
        try:
            # Streams block by block; overviews go through temporary files beside the target.
            rasterio.shutil.copy(dataset, target, driver="COG", **options)
        except GDAL_ERRORS as error:
            free = shutil.disk_usage(target.parent).free
            if free < 16 << 20:
                raise LakeError(
                    f"Cannot write {target}: the disk is full ({free:,} bytes left). Free space, then run again."
                ) from error
            raise


def _creation_options(dataset: Any) -> dict[str, Any]:
    """Options of GDAL's COG driver: https://gdal.org/en/stable/drivers/raster/cog.html."""
    complex_bands = any(dtype.startswith("complex") for dtype in dataset.dtypes)
    options = {
        # DEFLATE level 1 with predictor: 2.5 times less CPU than level 6 for 0.4 % more bytes on 12-bit imagery, and
        # every reader knows it; the predictor is worth 20-25 % of the size.
        "COMPRESS": "DEFLATE",
        "LEVEL": 1,
        # There is no predictor for complex numbers (TIFF Technical Note 3).
        "PREDICTOR": "NO" if complex_bands else "YES",
        "BLOCKSIZE": BLOCK_SIZE,
        "OVERVIEW_RESAMPLING": _overview_resampling(dataset),
        "BIGTIFF": "IF_SAFER",
        "NUM_THREADS": os.cpu_count() or 1,
    }
    declared = dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
    if declared is not None and not complex_bands:
        # "PREDICTOR=2 is only supported with 8/16/32/64 bit samples": give every sample its whole width.
        options["NBITS"] = 8 * item_size(dataset.dtypes[0])
    return options


def _overview_resampling(dataset: Any) -> str:
    """AVERAGE for measurements (4 times less CPU than the default CUBIC); classes must not be mixed to new ones."""
    if ColorInterp.palette in dataset.colorinterp or any(dtype.startswith("complex") for dtype in dataset.dtypes):
        return "NEAREST"
    return "AVERAGE"


def _copy_bytes(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without hard links
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise LakeError(f"Cannot write {target}: {error.strerror or error}. Free space, then run again.") from error


def _windows(dataset: Any) -> Iterator[tuple[int, Window]]:
    """(band, window) pairs that cover the dataset, or a spread sample of it when it is large; the last always."""
    columns = dataset.width if dataset.width <= 1 << 16 else 1 << 14
    per_row = math.ceil(dataset.width / columns)
    total = dataset.count * math.ceil(dataset.height / _ROWS) * per_row
    decoded = dataset.width * dataset.height * sum(map(item_size, dataset.dtypes))
    stride = 1 if decoded <= VERIFY_WHOLE_BELOW_BYTES else max(1, total // _SAMPLES)
    for index in sorted({*range(0, total, stride), total - 1}):
        # Bands change fastest: neighbours in a pixel-interleaved file share their decoded blocks.
        place, band = divmod(index, dataset.count)
        row, column = divmod(place, per_row)
        row_off, col_off = row * _ROWS, column * columns
        size = min(columns, dataset.width - col_off), min(_ROWS, dataset.height - row_off)
        yield band + 1, Window(col_off, row_off, *size)


def _check_pixels_decode(path: Path) -> None:
    with open_raster(path) as dataset:
        masked = has_mask(dataset)
        for band, window in _windows(dataset):
            dataset.read(band, window=window)
            if masked and band == 1:
                dataset.dataset_mask(window=window)


def _compare(source: Path, target: Path) -> None:
    """Refuse a conversion that is no valid COG, or says or shows something other than its source."""
    if not is_cog(target):
        raise InvalidDelivery(f"{source.name}: GDAL's conversion of it is no valid COG; report this file.")
    with open_raster(source) as before, open_raster(target) as after:
        expected = _facts(before)
        for fact, ours in _facts(after).items():
            theirs = expected[fact]
            if repr(ours) != repr(theirs):
                raise InvalidDelivery(
                    f"{source.name}: converting it changed {fact} from {theirs!r:.200} to {ours!r:.200}."
                )
        masked = has_mask(before)
        for band, window in _windows(before):
            same = np.array_equal(
                before.read(band, window=window), after.read(band, window=window), equal_nan=_has_nan(before, band)
            )
            if same and masked and band == 1:
                same = np.array_equal(before.dataset_mask(window=window), after.dataset_mask(window=window))
            if not same:
                raise InvalidDelivery(f"{source.name}: converting it changed pixels of band {band} in {window}.")


def _facts(dataset: Any) -> dict[str, Any]:
    """What a conversion must preserve, each comparable by its repr (NaN included)."""
    gcps, gcps_crs = dataset.gcps
    # JPEG 2000 leaves out the default of AREA_OR_POINT; GeoTIFF has no room for a tag without a value.
    tags = {name: value for name, value in dataset.tags().items() if value and name != "AREA_OR_POINT"}
    colorinterp = [interpretation.name for interpretation in dataset.colorinterp]
    if "palette" not in colorinterp and "alpha" not in colorinterp:
        # GDAL's first guess at bands that declare nothing is format-specific: it carries no information.
        colorinterp = [name for name in colorinterp if name not in {"undefined", "gray"}]
    # A table of 2 or 16 colours is filled up with opaque black when its samples become whole bytes.
    palettes = [
        {value: colour for value, colour in dataset.colormap(band).items() if colour != (0, 0, 0, 255)}
        for band, meaning in zip(dataset.indexes, dataset.colorinterp, strict=True)
        if meaning is ColorInterp.palette
    ]
    return {
        "the size": dataset.shape,
        "the data types": dataset.dtypes,
        "nodata": dataset.nodatavals,
        "the CRS": dataset.crs.to_wkt() if dataset.crs else None,
        "the geotransform": tuple(dataset.transform),
        "band descriptions": dataset.descriptions,
        "units": [unit or None for unit in dataset.units],
        "scales": dataset.scales,
        "offsets": dataset.offsets,
        "colour interpretation": colorinterp,
        "colour tables": palettes,
        "the mask": has_mask(dataset),
        "ground control points": [(point.row, point.col, point.x, point.y, point.z) for point in gcps],
        "the CRS of ground control points": gcps_crs.to_wkt() if gcps and gcps_crs else None,
        "RPCs": None if dataset.rpcs is None else dataset.rpcs.to_dict(),
        "tags": tags,
        "band tags": [dataset.tags(band) for band in dataset.indexes],
    }


def _has_nan(dataset: Any, band: int) -> bool:
    return (
        str(dataset.dtypes[band - 1]).startswith(("float", "complex")) and dataset.dtypes[band - 1] != "complex_int16"
    )
