from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from up42_pipelines.lake.products.image_size import image_size
from up42_pipelines.lake.rasters.raster import closed_world

FORMATS = [
    {"driver": "GTiff"},
    {"driver": "GTiff", "ENDIANNESS": "BIG"},
    {"driver": "GTiff", "BIGTIFF": "YES"},
    {"driver": "GTiff", "BIGTIFF": "YES", "ENDIANNESS": "BIG"},
    {"driver": "JP2OpenJPEG", "CODEC": "JP2"},
]


@pytest.mark.parametrize("options", FORMATS)
@pytest.mark.parametrize("shape", [(7, 300), (70_000, 3)])
def test_the_size_in_the_header_is_that_of_gdal(
    tmp_path: Path, options: dict[str, Any], shape: tuple[int, int]
) -> None:
    path = tmp_path / "image"
    height, width = shape
    with (
        closed_world(),
        rasterio.open(path, "w", height=height, width=width, count=1, dtype="uint8", **options) as file,
    ):
        file.write(np.zeros((1, *shape), "uint8"))
    assert image_size(path) == (width, height)


STARTS = st.sampled_from([b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"\0\0\0\x0cjP  \r\n\x87\n", b"\0\0\0\x01jP  ", b""])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=STARTS, rest=st.binary(max_size=60))
def test_no_header_of_a_stranger_raises(tmp_path: Path, start: bytes, rest: bytes) -> None:
    path = tmp_path / "image"
    path.write_bytes(start + rest)
    size = image_size(path)
    assert size is None or len(size) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        b"II*\0\xff\xff\xff\xff",
        b"II+\0\x08\0\0\0" + b"\xff" * 8,
        b"II*\0\x08\0\0\0\x05\0",
    ],
)
def test_other_formats_and_cut_headers_have_no_size(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    assert image_size(path) is None
