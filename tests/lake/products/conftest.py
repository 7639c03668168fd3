"""Deliveries made of a few bytes each: nothing here opens a raster, first bytes decide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from up42_pipelines.lake.archives.limits import UnpackLimits
from up42_pipelines.lake.archives.unpack import Member, unpack


def files_in(folder: Path) -> list[Member]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [Member(name=PurePosixPath(path.relative_to(folder)), path=path, size=path.stat().st_size) for path in paths]


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[..., list[Member]]:
    """`unpacked(mapping of name to content)` or `unpacked(a folder or an archive)`: its files."""

    def make(source: dict[str, bytes | str] | Path) -> list[Member]:
        if isinstance(source, Path) and source.is_dir():
            return files_in(source)
        into = tmp_path / "unpacked"
        if isinstance(source, dict):
            into.mkdir()
            for name, content in source.items():
                path = into / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        else:
            return unpack(source, into, limits=UnpackLimits()).files
        return files_in(into)

    return make


@pytest.fixture
def tiff() -> bytes:
    """What a TIFF starts with."""
    return b"II*\0" + bytes(60)


@pytest.fixture
def jp2() -> bytes:
    """What a JPEG 2000 starts with."""
    return b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60)


TILE = '<Data_File tile_R="{row}" tile_C="{column}"><DATA_FILE_PATH href="{href}"/></Data_File>'
DIMAP = """<?xml version="1.0" encoding="UTF-8"?>
<Dimap_Document>
<Metadata_Identification><METADATA_FORMAT version="2.15">DIMAP</METADATA_FORMAT>
<METADATA_PROFILE>PHR_ORTHO</METADATA_PROFILE></Metadata_Identification>
<Dataset_Identification><DATASET_NAME>DS_1</DATASET_NAME></Dataset_Identification>
<Processing_Information><Product_Settings><SPECTRAL_PROCESSING>{processing}</SPECTRAL_PROCESSING>
</Product_Settings></Processing_Information>
<Raster_Data><Data_Access>{groups}</Data_Access>
<Raster_Dimensions><NROWS>{rows}</NROWS><NCOLS>{columns}</NCOLS><NBANDS>4</NBANDS>{tiling}</Raster_Dimensions>
</Raster_Data>{extra}
</Dimap_Document>"""
TILING = """<Tile_Set><NTILES>{count}</NTILES><Regular_Tiling><NTILES_SIZE nrows="100" ncols="100"/>
<NTILES_COUNT ntiles_R="{rows}" ntiles_C="{columns}"/><OVERLAP_ROW>{overlap}</OVERLAP_ROW><OVERLAP_COL>0</OVERLAP_COL>
</Regular_Tiling></Tile_Set>"""


@pytest.fixture
def dimap() -> Callable[..., str]:
    """A DIMAP V2 document with a grid of tiles of 100 x 100 pixels, `IMG_R1C1.TIF` and so on."""

    def make(
        rows: int = 2,
        columns: int = 2,
        *,
        processing: str = "PMS",
        hrefs: dict[tuple[int, int], str] | None = None,
        groups: str | None = None,
        overlap: int = 0,
        extra: str = "",
        **override: Any,
    ) -> str:
        tiles = hrefs or {(r, c): f"IMG_R{r}C{c}.TIF" for r in range(1, rows + 1) for c in range(1, columns + 1)}
        listed = "".join(TILE.format(row=row, column=column, href=href) for (row, column), href in tiles.items())
        fields = {
            "processing": processing,
            "groups": groups or f"<Data_Files>{listed}</Data_Files>",
            "rows": rows * 100,
            "columns": columns * 100 - 1,
            "tiling": TILING.format(count=rows * columns, rows=rows, columns=columns, overlap=overlap),
            "extra": extra,
        }
        return DIMAP.format(**(fields | override))

    return make


@pytest.fixture
def volume() -> Callable[..., str]:
    """A VOL_*.XML that lists DIMAP components."""

    def make(*hrefs: str, profile: str = "ORDER_VOLUME", extra: str = "") -> str:
        components = "".join(
            f'<Component><COMPONENT_TYPE>DIMAP</COMPONENT_TYPE><COMPONENT_PATH href="{href}"/></Component>'
            for href in hrefs
        )
        return (
            "<Dimap_Document><Metadata_Identification><METADATA_PROFILE>VOLUME</METADATA_PROFILE>"
            f"<METADATA_SUBPROFILE>{profile}</METADATA_SUBPROFILE></Metadata_Identification>"
            "<Dataset_Identification><DATASET_NAME>Order 7</DATASET_NAME></Dataset_Identification>"
            f"<Dataset_Content><Dataset_Components>{components}{extra}</Dataset_Components></Dataset_Content>"
            "</Dimap_Document>"
        )

    return make
