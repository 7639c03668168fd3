"""Open what a delivery says is a raster, without trusting it, and describe it."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning
from rio_cogeo.cogeo import cog_validate

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.rasters.footprint import GDAL_ERRORS, footprint_4326
from up42_pipelines.lake.rasters.formats import check_jp2_is_whole, raster_format
from up42_pipelines.lake.rasters.members import gathered
from up42_pipelines.lake.rasters.records import RasterInfo
from up42_pipelines.lake.rasters.source import RasterSource

# What keeps GDAL to the one file it is given: no look at neighbours, no side-car metadata read or written, no network.
_ENVIRONMENT = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_TIFF_INTERNAL_MASK": "YES",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{none}",
}
# Limits on what a header may claim. The widest hyperspectral products have some 500 bands; the largest single mosaics
# some 100 GB decoded. DEFLATE cannot expand more than 1032 times (zlib technical details); sparse files can.
MAX_BANDS = 1024
MAX_DECODED_BYTES = 1 << 40
MAX_EXPANSION = 5000
_SMALL_ENOUGH_BYTES = 1 << 30
MAX_BLOCK_BYTES = 1 << 30


@contextmanager
def closed_world(*, siblings: bool = False) -> Iterator[None]:
    """GDAL settings under which an untrusted file is handled, and no warning that a raster is not georeferenced.

    With `siblings`, GDAL sees the other files of the folder: for folders that only hold the raster's own.

    Hazard: `warnings.catch_warnings` is not thread-safe before Python 3.14; handle rasters in one thread per process.
    """
    settings = {**_ENVIRONMENT, "GDAL_DISABLE_READDIR_ON_OPEN": "FALSE"} if siblings else _ENVIRONMENT
    with rasterio.Env(**settings), warnings.catch_warnings():
        # A raster without geotransform is delivered on purpose (sensor geometry); RasterInfo says so.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


@contextmanager
def open_raster(source: Path | RasterSource, *, overview: int | None = None) -> Iterator[Any]:
    """Open a GeoTIFF, NITF, JPEG 2000 or DIMAP for reading, or one of its overviews (0 the largest), with rasterio.

    The driver is named, because GDAL picks one by content otherwise, and then a VRT named `.tif` reads local files.

    Raises:
        InvalidDelivery: it is none of them, or not what `source.driver` says; its header is damaged, or claims what no
            delivery has (see the limits above); it holds several images. Also when reading fails inside the block.
    """
    source = RasterSource.of(source)
    driver = raster_format(source.path)
    if driver is None and source.driver == "DIMAP":
        driver = "DIMAP"
    if driver is None:
        raise InvalidDelivery(f"{source.name} is none of TIFF, NITF and JPEG 2000: {_glimpse(source.path)}.")
    if source.driver not in (None, driver):
        raise InvalidDelivery(f"{source.name} is to be {source.driver}, and is {driver} by its first bytes.")
    for path in {source.path, *source.members}:
        if raster_format(path) == "JP2OpenJPEG":
            check_jp2_is_whole(path)
    alone = driver != "DIMAP" and not source.members
    with nullcontext(source.path.absolute()) if alone else gathered(source) as path, closed_world(siblings=not alone):
        try:
            level = {} if overview is None else {"overview_level": overview}
            with rasterio.open(path, driver=driver, sharing=False, **level) as dataset:
                _check_claims(dataset, source)
                yield dataset
        except GDAL_ERRORS as error:
            reason = _why(error).replace(f"{path.parent}{os.sep}", "")
            raise InvalidDelivery(f"{source.name} cannot be read as {driver}: {reason}.") from error


def rpcs_of(dataset: Any) -> Any:
    """Rational polynomial coefficients of a dataset, as rasterio has them.

    None when there are none, or they are no numbers (see `members.has_placeholder_rpcs`).
    """
    try:
        return dataset.rpcs
    except (ValueError, TypeError, KeyError):
        return None


def describe(source: Path | RasterSource) -> RasterInfo:
    """Read a raster's header; no pixel is decoded.

    Raises:
        InvalidDelivery: the file is no raster, or its georeference contradicts itself: a geotransform that is not
            finite or singular, or degrees beyond 180 and 90 in a geographic CRS.
    """
    path = RasterSource.of(source).path
    with open_raster(source) as dataset:
        gcps, gcps_crs = dataset.gcps
        transform = None if dataset.transform == Affine.identity() else dataset.transform
        if transform is not None and not all(map(math.isfinite, transform[:6])):
            raise InvalidDelivery(f"{path.name}: the geotransform {tuple(transform[:6])} is not finite.")
        if transform is not None and transform.is_degenerate:
            raise InvalidDelivery(f"{path.name}: the geotransform {tuple(transform[:6])} has no area.")
        crs = dataset.crs or None
        bounds = None if transform is None else _bounds(transform, dataset.width, dataset.height)
        if bounds is not None and crs is not None and crs.is_geographic and _beyond_the_earth(bounds):
            raise InvalidDelivery(f"{path.name}: bounds {bounds} cannot be degrees in {crs.to_string()[:60]}.")
        footprint, bbox = footprint_4326(
            crs=crs,
            transform=transform,
            width=dataset.width,
            height=dataset.height,
            gcps=[(point.x, point.y) for point in gcps],
            gcps_crs=gcps_crs,
        )
        return RasterInfo(
            driver=dataset.driver,
            width=dataset.width,
            height=dataset.height,
            count=dataset.count,
            dtypes=tuple(dataset.dtypes),
            nodata=tuple(dataset.nodatavals),
            crs_code=None if crs is None else _code(crs),
            crs_wkt=None if crs is None else crs.to_wkt(version="WKT2_2019"),
            transform=None if transform is None else tuple(transform[:6]),
            bounds=bounds,
            gsd_m=None if transform is None or crs is None else _gsd_m(transform, crs),
            descriptions=tuple(dataset.descriptions),
            units=tuple(unit or None for unit in dataset.units),
            colorinterp=tuple(interpretation.name for interpretation in dataset.colorinterp),
            scales=tuple(dataset.scales),
            offsets=tuple(dataset.offsets),
            has_mask=has_mask(dataset),
            has_gcps=bool(gcps),
            has_rpcs=rpcs_of(dataset) is not None,
            is_cog=dataset.driver == "GTiff" and is_cog(path),
            footprint_4326=footprint,
            bbox=bbox,
        )


def is_cog(path: Path) -> bool:
    """Whether a GeoTIFF is a Cloud-Optimized GeoTIFF by rio-cogeo, warnings counted as errors.

    Strict, because its one warning is a large image without overviews: nobody can look at that without reading it all.
    """
    with closed_world():
        valid, _, _ = cog_validate(path, strict=True, quiet=True)
    return bool(valid)


def has_mask(dataset: Any) -> bool:
    """Whether the dataset has a mask of its own, as opposed to nodata or an alpha band."""
    flags = dataset.mask_flag_enums[0]
    per_dataset, alpha = rasterio.enums.MaskFlags.per_dataset, rasterio.enums.MaskFlags.alpha
    return per_dataset in flags and alpha not in flags


def _check_claims(dataset: Any, source: RasterSource) -> None:
    width, height, count = dataset.width, dataset.height, dataset.count
    if dataset.subdatasets:
        raise InvalidDelivery(
            f"{source.name} holds {len(dataset.subdatasets)} images, and a COG has room for one; split it by hand."
        )
    if count > MAX_BANDS:
        raise InvalidDelivery(f"{source.name} claims {count} bands; at most {MAX_BANDS} are believed.")
    item_bytes = max(item_size(dtype) for dtype in dataset.dtypes)
    decoded = width * height * count * item_bytes
    size = source.size
    shape = f"{source.name} claims {width} x {height} pixels in {count} bands ({decoded:,} bytes)"
    if decoded > MAX_DECODED_BYTES:
        raise InvalidDelivery(f"{shape}; at most {MAX_DECODED_BYTES:,} bytes are believed.")
    if decoded > _SMALL_ENOUGH_BYTES and decoded > MAX_EXPANSION * size:
        raise InvalidDelivery(f"{shape}, {decoded // max(size, 1):,} times the file's {size:,} bytes.")
    # GDAL decodes a block (strip, tile) as a whole, so the largest block is the memory it needs.
    rows, columns = max(dataset.block_shapes, key=math.prod)
    if rows * columns * item_bytes > MAX_BLOCK_BYTES:
        raise InvalidDelivery(f"{source.name} has blocks of {columns} x {rows} pixels; they do not fit in memory.")


def item_size(dtype: str) -> int:
    """Bytes of a pixel value; GDAL's integer complex type has no numpy name."""
    return 4 if dtype == "complex_int16" else int(rasterio.dtypes._getnpdtype(dtype).itemsize)  # noqa: SLF001


def _bounds(transform: Affine, width: int, height: int) -> tuple[float, float, float, float]:
    """West, south, east, north of the four corners, rotated and south-up geotransforms included."""
    corners = [transform @ corner for corner in ((0, 0), (width, 0), (width, height), (0, height))]
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _beyond_the_earth(bounds: tuple[float, float, float, float]) -> bool:
    """Whether these cannot be degrees: longitudes may be counted to 360, and pixels stick out a little."""
    west, south, east, north = bounds
    return west < -361 or east > 361 or east - west > 361 or south < -91 or north > 91


def _code(crs: Any) -> str | None:
    authority = crs.to_authority()
    return None if authority is None else ":".join(authority)


def _gsd_m(transform: Affine, crs: Any) -> float | None:
    if not crs.is_projected:
        return None
    _, metres_per_unit = crs.linear_units_factor
    return math.sqrt(abs(transform.determinant)) * float(metres_per_unit)


def _glimpse(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(60)
    return f"it starts with {head!r}" if head else "it is empty"


def _why(error: BaseException) -> str:
    """The innermost of GDAL's messages, which names the cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
