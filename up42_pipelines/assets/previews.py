"""Pictures for asset metadata: quicklooks and footprint maps, small enough to live in Dagster's event log."""

from __future__ import annotations

import base64
import math
import warnings
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

import dagster as dg
import numpy as np
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import MemoryFile
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

MAX_BYTES = 50_000
"""Dagster keeps metadata in the event row and has no image type: a picture is a data URI in Markdown."""

_MAP_PX = 360
_QUICKLOOK_PX = 200
_CAPTION_PX = 230


def picture(image: bytes, media_type: str = "image/png", *, alt: str = "quicklook") -> dg.MetadataValue:
    """An image as Markdown metadata; one that is too large for the event log is replaced by a sentence."""
    if len(image) > MAX_BYTES:
        return dg.MetadataValue.md(f"_{alt}: {len(image) // 1000} kB, too large to show here_")
    return dg.MetadataValue.md(f"![{alt}](data:{media_type};base64,{base64.b64encode(image).decode()})")


def thumbnail(image: bytes, *, max_px: int = _QUICKLOOK_PX) -> bytes | None:
    """A PNG of at most `max_px` on its longer side from a JPEG or PNG; None when it is neither."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a preview has no place on Earth
            with MemoryFile(image) as file, file.open(driver=["JPEG", "PNG"]) as source:
                scale = max(source.width, source.height, max_px) / max_px
                shape = (max(1, round(source.height / scale)), max(1, round(source.width / scale)))
                bands = [1, 2, 3] if source.count >= 3 else [1]
                pixels = source.read(bands, out_shape=(len(bands), *shape), resampling=Resampling.average)
            return png(pixels)
    except RasterioIOError:
        return None


def png(pixels: np.ndarray) -> bytes:
    """Encode uint8 pixels `(band, y, x)`, one or three bands, as PNG."""
    count, height, width = pixels.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with MemoryFile() as file:
            with file.open(driver="PNG", width=width, height=height, count=count, dtype="uint8") as target:
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
