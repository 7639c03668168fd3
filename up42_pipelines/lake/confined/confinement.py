"""What keeps the process that handles an untrusted file from doing anything else."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import up42_pipelines
from up42_pipelines.lake.confined.landlock import restrict_to
from up42_pipelines.lake.confined.limits import ProcessLimits

_PR_SET_PDEATHSIG = 1  # prctl(2)


def confine(limits: ProcessLimits, folder: Path, *, reads: Iterable[Path]) -> None:
    """Limit this process, and all threads it starts, for good.

    Args:
        limits: what it may use.
        folder: its place for temporary files. With Landlock, it can write nowhere else.
        reads: what it is to handle. With Landlock, it can read nothing else, except for libraries and their data.
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
