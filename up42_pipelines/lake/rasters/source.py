"""What GDAL is to open for one raster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterSource:
    """A raster on disk, which may be more than one file.

    Attributes:
        path: the file to open.
        driver: GDAL's name of its format; None to tell it by the first bytes. `DIMAP` has to be named, since XML can be
            anything; whoever names it has checked that what the XML names lies in the package and is TIFF or JPEG 2000.
        members: files beside the path that belong to the raster, for example DIMAP tiles, a side-car mask or world
            file. GDAL sees these and no other neighbours.
    """

    path: Path
    driver: str | None = None
    members: tuple[Path, ...] = ()

    @classmethod
    def of(cls, source: Path | RasterSource) -> RasterSource:
        """A path alone is a raster of one file."""
        return source if isinstance(source, RasterSource) else cls(path=source)

    @property
    def name(self) -> str:
        """For messages."""
        return self.path.name

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(path.stat().st_size for path in {self.path, *self.members})
