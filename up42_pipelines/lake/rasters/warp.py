"""Warp a raster on request: its pixels are resampled to a map projection."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import CRSError
from rasterio.warp import calculate_default_transform, reproject

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.rasters.footprint import GDAL_ERRORS
from up42_pipelines.lake.rasters.raster import has_mask, open_raster, rpcs_of
from up42_pipelines.lake.rasters.records import RasterInfo
from up42_pipelines.lake.rasters.source import RasterSource

_WARP_MEMORY_MB = 64
_LARGEST_GROWTH = 20  # pixels of the result per pixel of the source: beyond, the place makes no sense


def warp(source: RasterSource, info: RasterInfo, target: Path, *, to: str, nearest: bool) -> str:
    """Warp a raster by its geotransform, else its RPCs, else its ground control points; the CRS it has then.

    RPCs are evaluated at their own mean height (HEIGHT_OFF, metres above the ellipsoid) everywhere, since there is no
    terrain model: relief displaces pixels by height difference times the tangent of the incidence angle.

    What was not seen becomes nodata, or transparent; without nodata and alpha, masked.

    Raises:
        InvalidDelivery: it has no place on Earth to be warped from, or `to` is no EPSG code.
    """
    try:
        with open_raster(source) as dataset:
            place = _place(dataset, info, source.name)
            crs = _crs(to, place, info, source.name)
            options = {key: value for key, value in place.items() if key != "src_crs"}
            bounds = (
                {}
                if info.bounds is None or "src_transform" not in place
                else dict(zip(("left", "bottom", "right", "top"), dataset.bounds, strict=True))
            )
            grid = {key: value for key, value in options.items() if key != "src_transform"}
            transform, width, height = calculate_default_transform(
                place["src_crs"], crs, dataset.width, dataset.height, **bounds, **grid
            )
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
                options |= {
                    "src_crs": place["src_crs"],
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
                    seen = np.zeros((height, width), np.uint8)
                    mask = dataset.dataset_mask() if has_mask(dataset) else np.full(dataset.shape, 255, np.uint8)
                    reproject(mask, seen, resampling=Resampling.nearest, **options)
                    warped.write_mask(seen)
            return str(crs.to_string())
    except (*GDAL_ERRORS, CRSError) as error:
        raise InvalidDelivery(f"{source.name} cannot be warped to {to}: {error!s:.200}.") from error


def _place(dataset: Any, info: RasterInfo, name: str) -> dict[str, Any]:
    """Where pixels are, as arguments of rasterio's `reproject`."""
    rpcs = rpcs_of(dataset)
    if info.transform is not None and info.crs_wkt is not None:
        return {"src_transform": dataset.transform, "src_crs": dataset.crs}
    if rpcs is not None:
        return {"rpcs": rpcs, "src_crs": CRS.from_epsg(4326), "RPC_HEIGHT": rpcs.height_off}
    gcps, crs = dataset.gcps
    if gcps and crs:
        return {"gcps": gcps, "src_crs": crs}
    raise InvalidDelivery(f"{name} has neither geotransform, RPCs nor ground control points; it cannot be warped.")


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
