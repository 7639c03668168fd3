"""One helper process for the tests of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from up42_pipelines.lake.rasters.source import RasterSource
from up42_pipelines.lake.rasters.worker import RasterWorker


@pytest.fixture(scope="session")
def raster_worker() -> Iterator[RasterWorker]:
    with RasterWorker() as worker:
        yield worker


@pytest.fixture
def make_dimap(tmp_path: Path) -> Callable[..., RasterSource]:
    """A DIMAP version 1 that names one file as its image; `members` are files beside it."""

    def make(href: str, members: tuple[Path, ...] = (), width: int = 8, height: int = 1) -> RasterSource:
        folder = tmp_path / "package"
        folder.mkdir(exist_ok=True)
        path = folder / "METADATA.DIM"
        path.write_text(
            '<?xml version="1.0"?><Dimap_Document><Metadata_Id><METADATA_FORMAT version="1.1">DIMAP</METADATA_FORMAT>'
            f"</Metadata_Id><Raster_Dimensions><NCOLS>{width}</NCOLS><NROWS>{height}</NROWS><NBANDS>1</NBANDS>"
            f'</Raster_Dimensions><Data_Access><Data_File><DATA_FILE_PATH href="{href}"/></Data_File></Data_Access>'
            "</Dimap_Document>"
        )
        return RasterSource(path=path, driver="DIMAP", members=members)

    return make
