"""What GDAL is to open for one raster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterSource:
    """A raster on disk, which may be more than one file.

    Attributes:
        path: the file to open.
        driver: GDAL's name of its format; None to tell it by the first bytes.
        members: files beside the path that belong to the raster, for example DIMAP tiles, an external mask.
    """

    path: Path
    driver: str | None = None
    members: tuple[Path, ...] = ()
