"""The image files that a DIMAP document refers to, and whether they make a whole. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from up42_pipelines.lake.products.delivery import problem, resolve, some
from up42_pipelines.lake.products.documents import text_of
from up42_pipelines.lake.products.records import Member, Problem
from up42_pipelines.lake.products.values import integer
from up42_pipelines.lake.rasters.members import references

# A Pléiades strip of 20 x 300 km at 0.3 m has some 5000 tiles of 4096 x 4096 pixels.
_MAX_TILES = 100_000
# GDAL mosaics two files per tile (RGB and NED) for these values of SPECTRAL_PROCESSING only (frmts/dimap).
_TWO_FILES_PER_TILE = ("MS-FS", "PMS-FS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A tile as the XML lists it.

    Attributes:
        part: 0, or 1 for the second file of a tile (Pléiades Neo: near infrared, red edge, deep blue).
        row: from 1 at the top; None where the XML does not number tiles.
        column: from 1 at the left.
        href: of the image file, relative to the XML.
    """

    part: int
    row: int | None
    column: int | None
    href: str

    @property
    def name(self) -> str:
        """As in the providers' file names, for example `R2C1`."""
        return f"tile R{self.row}C{self.column}" if self.row and self.column else "the image"


def listed_tiles(root: Element) -> list[Tile]:
    """Every image file that the XML names, wherever it does: GDAL's own parser is less strict about where."""
    tiles: list[Tile] = []
    groups = list(root.iter("Data_Files")) or [root]
    for part, group in enumerate(groups):
        for file in group.iter("Data_File"):
            row, column = (integer(file.get(name), 1, _MAX_TILES) for name in ("tile_R", "tile_C"))
            tiles += [Tile(part=part, row=row, column=column, href=href) for href in hrefs(file.find("DATA_FILE_PATH"))]
    known = {tile.href for tile in tiles}
    strays = [
        Tile(part=0, row=None, column=None, href=href)
        for owner, href in references(root)
        if owner == "DATA_FILE_PATH" and href not in known
    ]
    return tiles + strays


def grid_problems(tiles: list[Tile], root: Element) -> list[str]:
    """What is wrong with the grid of tiles, against the dimensions that the same XML declares.

    GDAL fills a tile that is not listed with zeros, and says nothing.
    """
    dimensions = next(root.iter("Raster_Dimensions"), None)
    if dimensions is None:
        return ["it has no Raster_Dimensions"]
    words = []
    parts = {tile.part for tile in tiles}
    processing = text_of(root, "Processing_Information/Product_Settings/SPECTRAL_PROCESSING")
    if len(parts) > 1 and (processing not in _TWO_FILES_PER_TILE or len(parts) > 2):
        which = " and ".join(_TWO_FILES_PER_TILE)
        words.append(f"it has {len(parts)} files per tile, and GDAL reads two for {which} only")
    tiling = dimensions.find("Tile_Set/Regular_Tiling")
    if tiling is not None:
        return words + _tiling_problems(tiles, dimensions, tiling)
    places = [(tile.part, tile.row or 1, tile.column or 1) for tile in tiles]
    if sorted(places) != [(part, 1, 1) for part in sorted(parts)]:
        words.append(f"it names {len(tiles)} image files, and does not say how they are tiled")
    return words


def _tiling_problems(tiles: list[Tile], dimensions: Element, tiling: Element) -> list[str]:
    words = []
    if any(integer(tiling.findtext(name, "0"), -1, 1 << 20) not in {0, -1} for name in ("OVERLAP_ROW", "OVERLAP_COL")):
        words.append("its tiles overlap, of which GDAL reads the first only")
    rows = integer(_attribute(tiling, "NTILES_COUNT", "ntiles_R"), 1, _MAX_TILES)
    columns = integer(_attribute(tiling, "NTILES_COUNT", "ntiles_C"), 1, _MAX_TILES)
    if rows is None or columns is None or rows * columns > _MAX_TILES:
        return [*words, "it does not say how many tiles there are"]
    for axis, count, total, size in (("rows", rows, "NROWS", "nrows"), ("columns", columns, "NCOLS", "ncols")):
        pixels = integer(dimensions.findtext(total), 1, 1 << 31)
        per_tile = integer(_attribute(tiling, "NTILES_SIZE", size), 1, 1 << 31)
        if pixels is None or per_tile is None or math.ceil(pixels / per_tile) != count:
            words.append(f"{count} {axis} of tiles of {per_tile} pixels do not make {pixels}")
    grid = {(row, column) for row in range(1, rows + 1) for column in range(1, columns + 1)}
    for part in sorted({tile.part for tile in tiles}):
        cells = [(tile.row, tile.column) for tile in tiles if tile.part == part]
        unlisted = sorted(grid.difference(cells))
        if unlisted:
            names = some([f"R{row}C{column}" for row, column in unlisted])
            words.append(f"of {rows} x {columns} tiles it does not list {names}")
        if len(cells) != len(set(cells)) or set(cells) - grid:
            words.append("it lists a tile twice, or outside of its grid")
    return words


def expected_size(tile: Tile, root: Element) -> tuple[int, int] | None:
    """Columns and rows that a tile must at least have; None when the document does not say.

    GDAL fills what a smaller image lacks with zeros, and says nothing.
    """
    dimensions = next(root.iter("Raster_Dimensions"), None)
    if dimensions is None:
        return None
    tiling = dimensions.find("Tile_Set/Regular_Tiling")
    sizes = []
    for total, per_tile, index in (("NCOLS", "ncols", tile.column), ("NROWS", "nrows", tile.row)):
        pixels = integer(dimensions.findtext(total), 1, 1 << 31)
        size = pixels if tiling is None else integer(_attribute(tiling, "NTILES_SIZE", per_tile), 1, 1 << 31)
        if pixels is None or size is None:
            return None
        sizes.append(min(size, pixels - ((index or 1) - 1) * size))
    return sizes[0], sizes[1]


def parts_are_adjacent(content: bytes, parts: int) -> bool:
    """Whether nothing, not even a comment, stands between one list of files and the next.

    GDAL counts anything between two lists as a list of its own, and fills the bands of the second file with zeros.
    """
    gaps = re.findall(rb"</Data_Files>(.*?)<Data_Files>", content, re.DOTALL)
    return len(gaps) == parts - 1 and not any(gap.strip() for gap in gaps)


def hostile_references(member: Member, root: Element) -> list[Problem]:
    """References that leave the delivery, or are no plain path, whoever would follow them.

    Addresses of the producer (`*_URL`), and of what comes with no delivery (ENCAPSULATED components), are honest.
    """
    documentation = {
        href
        for component in root.iter("Component")
        if text_of(component, "COMPONENT_TYPE") == "ENCAPSULATED"
        for _, href in references(component)
    }
    found = []
    for owner, href in references(root):
        address = href.lower().startswith(("http://", "https://"))
        if not href or (
            address and (not owner.endswith("_PATH") or (href in documentation and owner != "DATA_FILE_PATH"))
        ):
            continue
        # GDAL reads bytes, expat characters: with another encoding than UTF-8 they would name two different files.
        if not href.isascii() or resolve(member.name.parent, href) is None:
            found.append(problem("hostile", member, f"{owner} refers to {href[:80]!r}, out of the delivery"))
    return found


def hrefs(element: Element | None) -> list[str]:
    """The references of one element."""
    return [] if element is None else [href for owner, href in references(element) if href and owner != "HREF"]


def _attribute(parent: Element, child: str, name: str) -> str | None:
    element = parent.find(child)
    return None if element is None else element.get(name)
