"""Warp a raster on request: its pixels are resampled to a map projection."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import CRSError
from rasterio.transform import GCPTransformer, RPCTransformer
from rasterio.warp import reproject
from rasterio.warp import transform as transform_points

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.rasters.footprint import GDAL_ERRORS
from up42_pipelines.lake.rasters.raster import has_mask, open_raster, rpcs_of
from up42_pipelines.lake.rasters.records import RasterInfo
from up42_pipelines.lake.rasters.source import RasterSource

_WARP_MEMORY_MB = 64
_GRID_POINTS = 21
_LARGEST_GROWTH = 20  # pixels of the result per pixel of the source: beyond, the place makes no sense


def warp(source: RasterSource, info: RasterInfo, target: Path, *, to: str, nearest: bool) -> str:
    """Warp a raster in sensor geometry by its RPCs, else its ground control points; the CRS it has then.

    RPCs are evaluated at their own mean height (HEIGHT_OFF, metres above the ellipsoid) everywhere, since there is no
    terrain model: relief displaces pixels by height difference times the tangent of the incidence angle.

    What was not seen becomes nodata, or transparent; without nodata and alpha, masked.

    Raises:
        InvalidDelivery: it has no place on Earth to be warped from, or `to` is no EPSG code.
    """
    try:
        with open_raster(source) as dataset:
            place = _place(dataset, source.name)
            crs = _crs(to, place, info, source.name)
            transform, width, height = _grid(place, crs, info, source.name)
            if width * height > _LARGEST_GROWTH * info.width * info.height + (1 << 20):
                raise InvalidDelivery(f"{source.name} would become {width} x {height} pixels in {crs.to_string()}.")
            profile = {
                "driver": "GTiff", "width": width, "height": height, "count": dataset.count, "dtype": dataset.dtypes[0],
                "crs": crs, "transform": transform, "nodata": dataset.nodata, "tiled": True, "compress": "ZSTD",
                "zstd_level": 1, "interleave": "pixel", "BIGTIFF": "IF_SAFER", "num_threads": os.cpu_count() or 1,
            }  # fmt: skip
            with rasterio.open(target, "w", **profile) as warped:
                _describe(dataset, warped)
                bands = list(dataset.indexes)
                options = {
                    **place,
                    "dst_crs": crs,
                    "dst_transform": transform,
                    "num_threads": os.cpu_count() or 1,
                    "warp_mem_limit": _WARP_MEMORY_MB,
                }
                resampling = Resampling.nearest if nearest else Resampling.bilinear
                reproject(
                    rasterio.band(dataset, bands),
                    rasterio.band(warped, bands),
                    resampling=resampling,
                    src_nodata=dataset.nodata,
                    dst_nodata=dataset.nodata,
                    **options,
                )
                if dataset.nodata is None and ColorInterp.alpha not in dataset.colorinterp:
                    _write_mask(dataset, warped, target.parent, options)
            return str(crs.to_string())
    except (*GDAL_ERRORS, CRSError) as error:
        raise InvalidDelivery(f"{source.name} cannot be warped to {to}: {error!s:.200}.") from error


def _write_mask(before: Any, after: Any, folder: Path, options: dict[str, Any]) -> None:
    """Mask what `before` does not show. Through files, since a mask can be larger than memory."""
    plain = {"driver": "GTiff", "count": 1, "dtype": "uint8", "tiled": True, "compress": "ZSTD", "BIGTIFF": "IF_SAFER"}
    here = {"width": before.width, "height": before.height, "transform": before.transform, "crs": before.crs}
    there = {"width": after.width, "height": after.height, "transform": after.transform, "crs": after.crs}
    with (
        rasterio.open(folder / "mask.tif", "w+", **plain, **here) as mask,
        rasterio.open(folder / "seen.tif", "w+", **plain, **there) as seen,
    ):
        # GDAL warps a file by what it says of itself.
        if "rpcs" in options:
            mask.rpcs = options["rpcs"]
        if "gcps" in options:
            mask.gcps = options["gcps"], options["src_crs"]
        masked = has_mask(before)
        for _, window in mask.block_windows(1):
            shape = int(window.height), int(window.width)
            mask.write(
                before.dataset_mask(window=window) if masked else np.full(shape, 255, np.uint8), 1, window=window
            )
        reproject(rasterio.band(mask, 1), rasterio.band(seen, 1), resampling=Resampling.nearest, **options)
        for _, window in seen.block_windows(1):
            after.write_mask(seen.read(1, window=window), window=window)


def _place(dataset: Any, name: str) -> dict[str, Any]:
    """Where pixels are, as arguments of rasterio's `reproject`."""
    rpcs = rpcs_of(dataset)
    if rpcs is not None:
        return {"rpcs": rpcs, "src_crs": CRS.from_epsg(4326), "RPC_HEIGHT": rpcs.height_off}
    gcps, crs = dataset.gcps
    if not crs:
        raise InvalidDelivery(f"{name} cannot be warped: its ground control points are in no CRS.")
    return {"gcps": gcps, "src_crs": crs}


def _grid(place: dict[str, Any], crs: CRS, info: RasterInfo, name: str) -> tuple[Affine, int, int]:
    """Geotransform, width and height of the result: around the source, with as many pixels along its diagonals.

    As GDAL suggests it (GDALSuggestedWarpOutput); rasterio's way to that needs the VRT driver, which is not there.
    """
    rows, columns = (
        axis.ravel() for axis in np.mgrid[0 : info.height : _GRID_POINTS * 1j, 0 : info.width : _GRID_POINTS * 1j]
    )
    xs, ys = transform_points(place["src_crs"], crs, *_coordinates(place, rows, columns))
    x, y = (np.reshape(values, (_GRID_POINTS, _GRID_POINTS)) for values in (xs, ys))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidDelivery(f"{name} cannot be warped to {crs.to_string()}: parts of it lie outside.")
    diagonals = (
        math.hypot(x[0, 0] - x[-1, -1], y[0, 0] - y[-1, -1]),
        math.hypot(x[0, -1] - x[-1, 0], y[0, -1] - y[-1, 0]),
    )
    pixel = sum(diagonals) / 2 / math.hypot(info.width, info.height)
    width, height = (max(1, math.ceil((axis.max() - axis.min()) / pixel)) for axis in (x, y))
    return Affine(pixel, 0, float(x.min()), 0, -pixel, float(y.max())), width, height


def _coordinates(place: dict[str, Any], rows: Any, columns: Any) -> tuple[list[float], list[float]]:
    """Of pixel corners, x and y in the CRS of a place."""
    if "rpcs" in place:
        with RPCTransformer(place["rpcs"], RPC_HEIGHT=place["RPC_HEIGHT"]) as sensor:
            xs, ys = sensor.xy(rows, columns, offset="ul")
    else:
        with GCPTransformer(place["gcps"]) as sensor:
            xs, ys = sensor.xy(rows, columns, offset="ul")
    return list(xs), list(ys)


def _crs(to: str, place: dict[str, Any], info: RasterInfo, name: str) -> CRS:
    if to != "utm":
        return CRS.from_user_input(to)
    if "rpcs" in place:
        lon, lat = place["rpcs"].long_off, place["rpcs"].lat_off
    elif info.bbox is not None:
        west, south, east, north = info.bbox
        lon, lat = west + ((east - west) % 360) / 2, (south + north) / 2
    else:
        raise InvalidDelivery(f"{name} cannot be placed on Earth; it has no UTM zone.")
    return CRS.from_epsg(utm_code(lon, lat))


def utm_code(lon: float, lat: float) -> int:
    """EPSG code of the UTM zone of a place in degrees, or of UPS beyond UTM's 84 degrees north and 80 south.

    Zones without the exceptions of Norway and Svalbard.
    """
    if lat > 84:
        return 32661
    if lat < -80:
        return 32761
    zone = math.floor((lon + 180) % 360 / 6) + 1
    return (32600 if lat >= 0 else 32700) + zone


def _describe(before: Any, after: Any) -> None:
    """Copy what a raster says of itself, and what does not change with its grid."""
    after.descriptions, after.units = before.descriptions, before.units
    after.scales, after.offsets = before.scales, before.offsets
    after.colorinterp = before.colorinterp
    after.update_tags(**{name: value for name, value in before.tags().items() if name != "AREA_OR_POINT"})
    for band in before.indexes:
        after.update_tags(band, **before.tags(band))
        if before.colorinterp[band - 1] is ColorInterp.palette:
            after.write_colormap(band, before.colormap(band))
