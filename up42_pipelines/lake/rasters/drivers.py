"""Which of GDAL's drivers the helper has."""

from __future__ import annotations

import os

import rasterio

# GeoTIFF and what it becomes, JPEG 2000, NITF (which may hold JPEG), DIMAP, and what quicklooks, masks and outlines are
# made with.
DRIVERS = frozenset({"GTiff", "COG", "JP2OpenJPEG", "NITF", "JPEG", "DIMAP", "PNG", "MEM", "Memory"})


def keep_only_needed_drivers() -> None:
    """Have GDAL register `DRIVERS` and no others, before it registers any in this process.

    GDAL takes a list of those to skip, and only tells their names after it has registered them: a fork is asked.

    Hazard: opening a DIMAP registers the VRT driver, whatever is to be skipped (measured with GDAL 3.10.3). What a
    DIMAP names is therefore checked before (`members.py`).

    Raises:
        RuntimeError: others are registered nevertheless.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with rasterio.Env() as environment:
            os.write(writer, ",".join(environment.drivers()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        names = answer.read().decode().split(",")
    os.waitpid(child, 0)
    os.environ["GDAL_SKIP"] = ",".join(name for name in names if name not in DRIVERS)
    with rasterio.Env() as environment:
        registered = set(environment.drivers())
    if not DRIVERS >= registered >= DRIVERS - {"NITF", "JPEG", "DIMAP", "JP2OpenJPEG"}:
        raise RuntimeError(f"GDAL registered {sorted(registered)} where {sorted(DRIVERS)} were wanted")
