"""Make sure that a delivered raster is a Cloud-Optimized GeoTIFF (COG), without changing a pixel."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.windows import Window

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake.rasters.facts import check_facts
from up42_pipelines.lake.rasters.footprint import GDAL_ERRORS
from up42_pipelines.lake.rasters.keeping import keep_bytes
from up42_pipelines.lake.rasters.members import has_placeholder_rpcs
from up42_pipelines.lake.rasters.pixels import Pixels, read_pixels
from up42_pipelines.lake.rasters.profiles import Profile, profile_of
from up42_pipelines.lake.rasters.quicklook import quicklook_png
from up42_pipelines.lake.rasters.raster import describe, is_cog, item_size, open_raster
from up42_pipelines.lake.rasters.records import Encoding, Landed, RasterInfo
from up42_pipelines.lake.rasters.source import RasterSource
from up42_pipelines.lake.rasters.valid_area import valid_footprint_4326
from up42_pipelines.lake.rasters.warp import warp

BLOCK_SIZE = 512
# GDAL compresses the scratch file of the overviews, which takes three times the CPU time of all the rest. Below this
# size of the decoded raster it is written plainly; it takes a third of that.
_PLAIN_SCRATCH_BELOW_BYTES = 16 << 30
# Not while converting: there it makes GDAL 3.10 take four times the CPU time. The COG driver has an option of its own.
_DECODING = {"GDAL_NUM_THREADS": "ALL_CPUS"}
_SMALLEST_CACHE_BYTES, _LARGEST_CACHE_BYTES = 16 << 20, 128 << 20
_PLACEHOLDER_RPCS = "Its RPCs are no numbers, and were left out."
_SAMPLE_PX = 128
_PIXELS_PER_VALUE = 100  # fewer, and a sample says nothing about how many values there are


def land_raster(
    source: Path | RasterSource,
    target: Path,
    *,
    roles: Collection[str] = (),
    warp_to: str | None = None,
    quicklook: bool = True,
    place_kept: bool = True,
) -> Landed:
    """Land a raster: `ensure_cog`, warped first when asked, with its picture.

    Args:
        source: what to open.
        target: where the COG goes.
        roles: of its STAC asset; tell measurements from classes.
        warp_to: where to warp a raster in sensor geometry: `EPSG:<code>`, or `utm` for the zone that its middle lies
            in (UPS near the poles). Resamples, so it changes pixels: only on request. None keeps the sensor geometry
            with its ground control points or RPCs. A raster with a grid of its own, or with no place, is never warped.
        quicklook: whether to draw it.
        place_kept: see `ensure_cog`.

    Raises:
        InvalidDelivery: the source is no raster, cannot be decoded, or cannot be warped.
        LakeError: `target` cannot be written.
    """
    source = RasterSource.of(source)
    if warp_to is None or not _in_sensor_geometry(info := describe(source)):
        landed = ensure_cog(source, target, roles=roles, place_kept=place_kept)
    else:
        nearest = profile_of(info, roles=roles, values=_sampled_values(source, info)).overviews == "NEAREST"
        with tempfile.TemporaryDirectory(prefix="warped-", dir=target.parent) as folder:
            warped = Path(folder) / "warped.tif"
            crs = warp(source, info, warped, to=warp_to, nearest=nearest)
            landed = ensure_cog(warped, target, roles=roles)  # warped is no COG, so it is converted
        fields = {name: getattr(landed, name) for name in Landed.__slots__}
        changed = {"kept": False, "source_driver": info.driver, "resampled_to": crs}
        landed = Landed(**{**fields, **changed})
    if not quicklook:
        return landed
    fields = {name: getattr(landed, name) for name in Landed.__slots__}
    return Landed(**{**fields, "quicklook": quicklook_png(landed.path)})


def _in_sensor_geometry(info: RasterInfo) -> bool:
    on_a_grid = info.transform is not None and info.crs_wkt is not None
    return not on_a_grid and (info.has_rpcs or info.has_gcps)


def ensure_cog(
    source: Path | RasterSource, target: Path, *, roles: Collection[str] = (), place_kept: bool = True
) -> Landed:
    """Put a COG with the pixels of `source` at `target`, on the same file system if bytes are to be kept cheaply.

    A valid COG (`raster.is_cog`, strict) whose pixels decode keeps its bytes, lossy ones included: encoding again would
    add nothing. Anything else is converted without loss: pixels, nodata, masks, alpha, scales, offsets, units, colour
    tables, descriptions, tags, CRS, geotransform, ground control points and RPCs are compared with the source's
    afterwards. A lossy JPEG is decoded once and stored without further loss.

    Every pixel is decoded, those of kept overviews too, which finds files that are cut off or damaged, with one gap:
    libtiff stops before a DEFLATE tile's checksum, so damage that still inflates, or lies in uncompressed pixels, is
    only found by a checksum of the file (`transfer`).

    Without `place_kept`, a raster whose bytes are kept stays where it is (`Landed.path`), and whoever called puts it
    there: a confined process cannot link files into its folder.

    Measured with GDAL 3.10, the COG driver drops two things: metadata domains other than the default one, RPC and
    IMAGE_STRUCTURE (providers' side-cars fill those, a single GeoTIFF hardly ever), and the declaration that only some
    bits of a sample are used (NBITS), which has to go because the predictor works on whole samples.

    Raises:
        InvalidDelivery: the source is no raster or cannot be decoded.
        LakeError: `target` cannot be written.
    """
    source = RasterSource.of(source)
    info = describe(source)
    profile = profile_of(info, roles=roles, values=_sampled_values(source, info))
    kept = info.is_cog and not source.members
    try:
        if kept:
            pixels = _decoded(source)
            if place_kept:
                keep_bytes(source.path, target)
        else:
            convert(source, target, profile)
            pixels = compare(source, target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    path = source.path if kept and not place_kept else target
    landed = info if kept else describe(path)
    valid_footprint, valid_bbox = valid_footprint_4326(landed, pixels)
    return Landed(
        path=path,
        info=landed,
        kept=kept,
        source_driver=info.driver,
        profile=profile.name,
        reason=profile.reason,
        encoding=_encoding(path),
        valid_percent=pixels.valid_percent,
        statistics=pixels.statistics,
        valid_footprint=valid_footprint,
        valid_bbox=valid_bbox,
        notes=(_PLACEHOLDER_RPCS,) if has_placeholder_rpcs(source) else (),
    )


def _decoded(source: RasterSource) -> Pixels:
    """What the pixels of a COG tell; those of its overviews are only read."""
    with rasterio.Env(**_DECODING):
        with open_raster(source) as dataset:
            pixels, levels = read_pixels(dataset, name=source.name), len(dataset.overviews(1))
        for level in range(levels):
            with open_raster(source, overview=level) as smaller:
                read_pixels(smaller, name=source.name)
    return pixels


def convert(source: Path | RasterSource, target: Path, profile: Profile | None = None) -> None:
    """Write a COG with the pixels of `source`; `compare` tells whether it has them.

    Streams block by block; overviews go through temporary files beside the target.

    Raises:
        InvalidDelivery: the source is no raster, or cannot be decoded.
        LakeError: the disk is full.
    """
    source = RasterSource.of(source)
    profile = profile or profile_of(describe(source))
    with open_raster(source) as dataset:
        options = _creation_options(dataset, profile)
        pixel_bytes = sum(map(item_size, dataset.dtypes))
        decoded = dataset.width * dataset.height * pixel_bytes
        scratch = "NONE" if decoded < _PLAIN_SCRATCH_BELOW_BYTES else "ZSTD"
        try:
            cache = cache_bytes(dataset.width * pixel_bytes)
            with rasterio.Env(COG_TMP_COMPRESSION=scratch, GDAL_CACHEMAX=cache):
                rasterio.shutil.copy(dataset, target, driver="COG", **options)
        except GDAL_ERRORS as error:
            free = shutil.disk_usage(target.parent).free
            if free < 16 << 20:
                raise LakeError(
                    f"Cannot write {target}: the disk is full ({free:,} bytes left). Free space, then run again."
                ) from error
            raise


def cache_bytes(row_bytes: int) -> int:
    """How much of GDAL's block cache a conversion needs: one row of the COG's tiles, and a little.

    With less, blocks are decoded twice (a fifth more CPU time); more is only filled (`benchmarks/cog.py`).

    Args:
        row_bytes: of one row of pixels, all bands.
    """
    return min(max(_SMALLEST_CACHE_BYTES, row_bytes * BLOCK_SIZE * 9 // 8), _LARGEST_CACHE_BYTES)


def compare(source: Path | RasterSource, target: Path) -> Pixels:
    """Read all of a source and its conversion, and tell about the pixels.

    Raises:
        InvalidDelivery: `target` is no valid COG, or says or shows something other than `source`.
    """
    source = RasterSource.of(source)
    if not is_cog(target):
        raise InvalidDelivery(f"{source.name}: GDAL's conversion of it is no valid COG; report this file.")
    with rasterio.Env(**_DECODING), open_raster(source) as before, open_raster(target) as after:
        check_facts(before, after, name=source.name)
        return read_pixels(before, after, name=source.name)


def _creation_options(dataset: Any, profile: Profile) -> dict[str, Any]:
    """Options of GDAL's COG driver: https://gdal.org/en/stable/drivers/raster/cog.html."""
    options = {
        # Every GDAL since 2.4 and libtiff since 4.0.10 (2018) read ZSTD; it beats DEFLATE in size and time.
        "COMPRESS": "ZSTD",
        "LEVEL": profile.level,
        "PREDICTOR": profile.predictor,
        "BLOCKSIZE": BLOCK_SIZE,
        "OVERVIEW_RESAMPLING": profile.overviews,
        "BIGTIFF": "IF_SAFER",
        "NUM_THREADS": os.cpu_count() or 1,
    }
    if dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS") is not None and profile.predictor != "NO":
        # "PREDICTOR=2 is only supported with 8/16/32/64 bit samples": give every sample its whole width.
        options["NBITS"] = 8 * item_size(dataset.dtypes[0])
    return options


def _sampled_values(source: RasterSource, info: RasterInfo) -> int | None:
    """How many different valid values nine windows of the first band have; None where that tells nothing.

    JPEG 2000 is left out: its values are no classes when it is lossy, and decoding its large tiles nine times is dear.
    """
    if not info.dtypes[0].startswith(("uint", "int")) or info.driver == "JP2OpenJPEG":
        return None
    values: set[int] = set()
    pixels = 0
    with open_raster(source) as dataset:
        for row, column in itertools.product(_spread(info.height), _spread(info.width)):
            sample = dataset.read(1, window=Window(column, row, _SAMPLE_PX, _SAMPLE_PX))
            sample = sample[sample != info.nodata[0]]
            pixels += sample.size
            values.update(np.unique(sample).tolist())
    return len(values) if len(values) > 1 and pixels >= _PIXELS_PER_VALUE * len(values) else None


def _spread(length: int) -> list[int]:
    """Where up to three samples begin along an axis: at its begin, its middle and its end."""
    last = max(0, length - _SAMPLE_PX)
    return sorted({0, last // 2, last})


def _encoding(path: Path) -> Encoding:
    with open_raster(path) as dataset:
        structure = dataset.tags(ns="IMAGE_STRUCTURE")
    return Encoding(
        interleave=structure.get("INTERLEAVE", "BAND").lower(),
        compression=structure.get("COMPRESSION", "NONE"),
        predictor=int(structure.get("PREDICTOR", "1")),
    )
