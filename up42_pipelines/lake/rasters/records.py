"""What is known of a raster, as records that travel between processes. Light: no GDAL here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ProfileName = Literal["visual", "analytic", "sar", "dem", "classes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterInfo:
    """What a raster's header says, and where on Earth that is.

    Attributes:
        driver: GDAL's name of the format, `GTiff`, `NITF` or `JP2OpenJPEG`.
        width: columns.
        height: rows.
        count: bands.
        dtypes: numpy name of each band's type, for example `uint16`; `complex_int16` for CInt16.
        nodata: per band; NaN is possible.
        crs_code: `EPSG:32633` or another authority's code; None when there is none.
        crs_wkt: WKT2 (ISO 19162:2019) of the coordinate reference system; None when there is none.
        transform: a, b, c, d, e, f of the affine map (column, row) -> (x, y); None when the file has no geotransform.
        bounds: west, south, east, north in the raster's own CRS; None without geotransform.
        gsd_m: spacing of the pixels in metres; None when the CRS is not in metres or feet.
        descriptions: per band.
        units: per band.
        colorinterp: per band, GDAL's name, for example `red`, `alpha`, `palette`.
        scales: per band; value = pixel * scale + offset.
        offsets: per band.
        has_mask: an internal mask of the whole dataset.
        has_gcps: placed by ground control points.
        has_rpcs: placed by rational polynomial coefficients.
        is_cog: passes rio-cogeo's validation without an error or a warning.
        footprint_4326: GeoJSON Polygon or MultiPolygon (degrees, EPSG:4326), cut at the antimeridian; None when the
            raster cannot be placed on Earth.
        bbox: west, south, east, north (degrees, EPSG:4326); west > east when it crosses the antimeridian.
    """

    driver: str
    width: int
    height: int
    count: int
    dtypes: tuple[str, ...]
    nodata: tuple[float | None, ...]
    crs_code: str | None
    crs_wkt: str | None
    transform: tuple[float, float, float, float, float, float] | None
    bounds: tuple[float, float, float, float] | None
    gsd_m: float | None
    descriptions: tuple[str | None, ...]
    units: tuple[str | None, ...]
    colorinterp: tuple[str, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    has_mask: bool
    has_gcps: bool
    has_rpcs: bool
    is_cog: bool
    footprint_4326: dict[str, Any] | None
    bbox: tuple[float, float, float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BandStatistics:
    """Of the valid pixels of a band, all of them, before scale and offset; of the absolute value when it is complex.

    Attributes:
        minimum: None without a finite valid pixel, as the next three.
        maximum: the largest.
        mean: arithmetic.
        stddev: of the population.
        valid_percent: pixels that are neither nodata, NaN, masked nor transparent (0 to 100).
    """

    minimum: float | None
    maximum: float | None
    mean: float | None
    stddev: float | None
    valid_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How pixels are stored.

    Attributes:
        interleave: `pixel` (all bands of a tile together) or `band`.
        compression: GDAL's name, for example `ZSTD`; `NONE`.
        predictor: TIFF's tag 317: 1 none, 2 differences, 3 differences of floating point bytes.
    """

    interleave: str
    compression: str
    predictor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A raster that is a COG now.

    Attributes:
        path: the COG.
        info: its description.
        kept: True when these are the delivered bytes, False when they were converted.
        source_driver: GDAL's name of the delivered format.
        profile: what kind of raster it was taken for.
        reason: why, in words.
        encoding: how the COG stores its pixels.
        valid_percent: pixels with a valid value in any band (0 to 100).
        statistics: per band, of every pixel.
        valid_footprint: GeoJSON (degrees, EPSG:4326) around the valid pixels, cut at the antimeridian; None when none
            is valid, or the raster cannot be placed on Earth.
        valid_bbox: west, south, east, north (degrees, EPSG:4326) of that; west > east across the antimeridian.
        quicklook: a PNG; None when it was not asked for.
        resampled_to: the CRS to which it was warped, on request; None for the delivered grid.
        notes: what a person should know of it.
    """

    path: Path
    info: RasterInfo
    kept: bool
    source_driver: str
    profile: ProfileName
    reason: str
    encoding: Encoding
    valid_percent: float
    statistics: tuple[BandStatistics, ...]
    valid_footprint: dict[str, Any] | None
    valid_bbox: tuple[float, float, float, float] | None
    quicklook: bytes | None = None
    resampled_to: str | None = None
    notes: tuple[str, ...] = ()
