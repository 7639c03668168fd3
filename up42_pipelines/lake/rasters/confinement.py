"""What keeps the process that handles an untrusted raster from doing anything else."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import rasterio

import up42_pipelines
from up42_pipelines.lake.rasters.landlock import restrict_to
from up42_pipelines.lake.rasters.limits import RasterLimits

# GeoTIFF and what it becomes, JPEG 2000, NITF, DIMAP, and what quicklooks, masks and outlines are made with.
DRIVERS = frozenset({"GTiff", "COG", "JP2OpenJPEG", "NITF", "DIMAP", "PNG", "MEM", "Memory"})
_PR_SET_PDEATHSIG = 1  # prctl(2)


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
    if not DRIVERS >= registered >= DRIVERS - {"NITF", "DIMAP", "JP2OpenJPEG"}:
        raise RuntimeError(f"GDAL registered {sorted(registered)} where {sorted(DRIVERS)} were wanted")


def confine(limits: RasterLimits, folder: Path, *, reads: Iterable[Path]) -> None:
    """Limit this process, and all threads it starts, for good.

    Args:
        limits: what it may use.
        folder: its place for temporary files. With Landlock, it can write nowhere else.
        reads: the files of its raster. With Landlock, it can read nothing else, except for libraries and their data.
    """
    os.chdir(folder)
    os.environ["TMPDIR"] = os.environ["CPL_TMPDIR"] = str(folder)
    if sys.platform == "linux":
        # Whoever started this is gone: nobody waits for the result.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it; its message would only be "write error"
    for kind, wanted in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
    ):
        _, hard = resource.getrlimit(kind)
        # At the soft limit of CPU time comes SIGXCPU, which tells what it was; at the hard one SIGKILL, which does not.
        pair = (wanted, wanted + 1 if kind == resource.RLIMIT_CPU else wanted)
        if hard != resource.RLIM_INFINITY:
            pair = (min(pair[0], hard), min(pair[1], hard))
        resource.setrlimit(kind, pair)
    restrict_to(readable=[*_libraries(), *(path.resolve() for path in reads)], writable=folder)


def _libraries() -> list[Path]:
    """Where code is that may still be imported, and the data of GDAL and PROJ."""
    places = [sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    places += [place for place in sys.path if place.endswith(("site-packages", "dist-packages"))]
    places += [os.environ[name] for name in ("GDAL_DATA", "PROJ_DATA", "PROJ_LIB") if name in os.environ]
    places += ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/sys/devices/system/cpu", "/dev/urandom"]
    return [*map(Path, places), Path(up42_pipelines.__file__).parent]


def close_all_but(kept: int) -> None:
    """Close what was inherited, except for one descriptor; standard input and output lead nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.closerange(3, kept)
    os.closerange(kept + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
