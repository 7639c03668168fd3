"""Pictures for asset metadata: quicklooks and footprint maps, small enough to live in Dagster's event log."""

from __future__ import annotations

import base64
import math
import warnings
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

import dagster as dg
import numpy as np
import shapely
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.features import rasterize
from rasterio.io import MemoryFile
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

MAX_BYTES = 50_000
"""Dagster keeps metadata in the event row and has no image type: a picture is a data URI in Markdown."""

_MAP_PX = 360
_QUICKLOOK_PX = 200
_CAPTION_PX = 230
_SIZES_PX = (256, 200, 160, 128, 96, 64)
"""Longer sides that are tried, until a picture is small enough; the last one always is."""
_POINT_PX = 1.5
_OUTLINE, _HALO, _PAPER = (255, 214, 10), (32, 32, 32), (247, 247, 245)  # red, green, blue


def picture(image: bytes, media_type: str = "image/png", *, alt: str = "quicklook") -> dg.MetadataValue:
    """An image as Markdown metadata; one that is too large for the event log is replaced by a sentence."""
    if len(image) > MAX_BYTES:
        return dg.MetadataValue.md(f"_{alt}: {len(image) // 1000} kB, too large to show here_")
    return dg.MetadataValue.md(f"![{alt}]({_data_uri(image, media_type)})")


def before_after(before: bytes | None, after: bytes | None) -> dg.MetadataValue:
    """Two JPEGs or PNGs side by side, as Markdown metadata; a sentence stands for one that is missing or none."""
    cells = [_cell("before", before), _cell("after", after)]
    return dg.MetadataValue.md(f"| before | after |\n| --- | --- |\n| {cells[0]} | {cells[1]} |")


def _cell(alt: str, image: bytes | None) -> str:
    if image is None:
        return "_no picture_"
    for max_px in _SIZES_PX:
        pixels = _pixels(image, max_px)
        if pixels is None:
            return "_cannot be shown_"
        small = _encoded(pixels, "JPEG", QUALITY=85)  # a PNG of as many bytes has half the width
        if len(small) <= MAX_BYTES // 2:
            break
    return f"![{alt}]({_data_uri(small, 'image/jpeg')})"


def _data_uri(image: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(image).decode()}"


def thumbnail(image: bytes, *, max_px: int = _QUICKLOOK_PX) -> bytes | None:
    """A PNG of at most `max_px` on its longer side from a JPEG or PNG; None when it is neither."""
    pixels = _pixels(image, max_px)
    return None if pixels is None else png(pixels)


def _pixels(image: bytes, max_px: int) -> np.ndarray | None:
    """Pixels `(band, y, x)` of a JPEG or PNG, one or three bands, at most `max_px` on the longer side."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a preview has no place on Earth
            with MemoryFile(image) as file, file.open(driver=["JPEG", "PNG"]) as source:
                scale = max(source.width, source.height, max_px) / max_px
                shape = (max(1, round(source.height / scale)), max(1, round(source.width / scale)))
                bands = [1, 2, 3] if source.count >= 3 else [1]
                return np.asarray(source.read(bands, out_shape=(len(bands), *shape), resampling=Resampling.average))
    except RasterioIOError:
        return None


def png(pixels: np.ndarray) -> bytes:
    """Encode uint8 pixels `(band, y, x)`, one or three bands, as PNG."""
    return _encoded(pixels, "PNG")


def _encoded(pixels: np.ndarray, driver: str, **options: int) -> bytes:
    count, height, width = pixels.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with MemoryFile() as file:
            with file.open(driver=driver, width=width, height=height, count=count, dtype="uint8", **options) as target:
                target.write(pixels)
            return bytes(file.read())


def footprint_map(aoi: BaseGeometry, footprints: Mapping[str, BaseGeometry], *, faded: Sequence[str] = ()) -> bytes:
    """An SVG map of the AOI (red) over footprints (blue; grey when `faded`), degrees (EPSG:4326), north up."""
    shown = [aoi, *footprints.values()]
    west = min(g.bounds[0] for g in shown)
    south = min(g.bounds[1] for g in shown)
    east = max(g.bounds[2] for g in shown)
    north = max(g.bounds[3] for g in shown)
    shrink = max(0.05, math.cos(math.radians((south + north) / 2)))  # a degree of longitude is shorter up north
    scale = (_MAP_PX - 20) / max((east - west) * shrink, north - south, 1e-9)

    def path(geometry: BaseGeometry) -> str:
        polygons = [geometry] if isinstance(geometry, Polygon) else list(getattr(geometry, "geoms", []))
        rings = [ring for part in polygons if isinstance(part, Polygon) for ring in (part.exterior, *part.interiors)]
        return " ".join(
            "M"
            + " L".join(
                f"{10 + (x - west) * shrink * scale:.1f} {10 + (north - y) * scale:.1f}" for x, y, *_ in ring.coords
            )
            + "Z"
            for ring in rings
        )

    width = max(_CAPTION_PX, 20 + (east - west) * shrink * scale)
    height = 20 + (north - south) * scale
    size = f'width="{width:.0f}" height="{height + 16:.0f}"'
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="10">']
    lines.append('<rect width="100%" height="100%" fill="#f7f7f5"/>')
    for name, footprint in footprints.items():
        colour = "#9aa0a6" if name in faded else "#1f6feb"
        lines.append(
            f'<path d="{path(footprint)}" fill="{colour}" fill-opacity="0.12" stroke="{colour}">'
            f"<title>{escape(name)}</title></path>"
        )
    lines.append(f'<path d="{path(aoi)}" fill="#d1242f" fill-opacity="0.25" stroke="#d1242f" stroke-width="2"/>')
    extent = f"lon {west:.2f} to {east:.2f}, lat {south:.2f} to {north:.2f}"
    lines.append(f'<text x="4" y="{height + 12:.0f}" fill="#57606a">{extent}</text></svg>')
    return "".join(lines).encode()


def map_picture(
    aoi: BaseGeometry, footprints: Mapping[str, BaseGeometry], *, faded: Sequence[str] = ()
) -> dg.MetadataValue:
    """The footprint map as metadata; only the first 50 footprints, so that it stays small."""
    some = dict(list(footprints.items())[:50])
    return picture(footprint_map(aoi, some, faded=faded), "image/svg+xml", alt="footprints")


def features_picture(
    features: Sequence[BaseGeometry], bounds: tuple[float, float, float, float], background: bytes | None
) -> bytes:
    """A PNG of outlines over an image, small enough for metadata.

    Args:
        features: what to draw, degrees (EPSG:4326).
        bounds: west, south, east, north (degrees) of the image; west > east across the antimeridian.
        background: the image, a JPEG or PNG whose sides are the bounds; None, or one that cannot be read, for none.
    """
    parts = shapely.get_parts(shapely.get_parts(np.asarray(list(features), dtype=object)))
    for max_px in _SIZES_PX:
        canvas = _canvas(bounds, background, max_px)
        drawn = _drawn(parts, bounds, canvas.shape[1:])
        for colour, mask in ((_HALO, _wider(drawn)), (_OUTLINE, drawn)):
            canvas[:, mask] = np.array(colour, "uint8")[:, None]
        made = png(canvas)
        if len(made) <= MAX_BYTES:
            break
    return made


def _canvas(bounds: tuple[float, float, float, float], background: bytes | None, max_px: int) -> np.ndarray:
    """Pixels `(3, y, x)` to draw on."""
    pixels = None if background is None else _pixels(background, max_px)
    if pixels is not None:
        return np.repeat(pixels, 3, axis=0) if len(pixels) == 1 else pixels
    west, south, east, north = bounds
    shrink = max(0.05, math.cos(math.radians((south + north) / 2)))  # a degree of longitude is shorter up north
    width, height = max((east - west) % 360 * shrink, 1e-9), max(north - south, 1e-9)
    shape = [max(1, round(max_px * side / max(width, height))) for side in (height, width)]
    return np.repeat(np.array(_PAPER, "uint8"), math.prod(shape)).reshape(3, *shape)


def _drawn(parts: np.ndarray, bounds: tuple[float, float, float, float], shape: tuple[int, ...]) -> np.ndarray:
    """Which pixels `(y, x)` points, lines and the outlines of polygons touch."""
    west, south, east, north = bounds
    width, height = max((east - west) % 360, 1e-9), max(north - south, 1e-9)

    def place(positions: np.ndarray) -> np.ndarray:
        lon, lat = positions.T
        lon = lon + 360 * np.round((west + width / 2 - lon) / 360)  # the turn of the globe that the image is on
        return np.column_stack([(lon - west) / width * shape[1], (north - lat) / height * shape[0]])

    parts = shapely.transform(parts[~(shapely.is_missing(parts) | shapely.is_empty(parts))], place)
    kinds = shapely.get_type_id(parts)
    lines = np.where(kinds == shapely.GeometryType.POLYGON, shapely.boundary(parts), parts)
    lines = np.where(kinds == shapely.GeometryType.POINT, shapely.buffer(parts, _POINT_PX), lines)
    if not len(lines):
        return np.zeros(shape, bool)
    return np.asarray(rasterize(lines, out_shape=shape, all_touched=True, dtype="uint8"), dtype=bool)


def _wider(mask: np.ndarray) -> np.ndarray:
    """One pixel more on each side."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    return np.asarray(np.any([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0))
