"""What the handling of one untrusted raster may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterLimits:
    """Enforced by the operating system on the process that handles one raster.

    Attributes:
        memory_bytes: address space (RLIMIT_AS), the libraries' 300 MB included.
        seconds: by the clock.
        cpu_seconds: of all threads together (RLIMIT_CPU).
        file_bytes: the largest file that may be written (RLIMIT_FSIZE).
        open_files: at a time (RLIMIT_NOFILE).
    """

    memory_bytes: int = 3 << 30
    seconds: float = 300.0
    cpu_seconds: int = 600
    file_bytes: int = 16 << 30
    open_files: int = 256


def limits_for(size: int) -> RasterLimits:
    """Limits for a raster of `size` bytes, members included.

    Memory does not grow with the raster, since everything streams: rasters usually need 300 MB; the rest is for a
    block as large as is believed (`raster.MAX_BLOCK_BYTES`), in its file's form and decoded. Time: five minutes, plus
    two seconds per MB, some fifty times what JPEG 2000 takes, the slowest to decode, on one core. Files: 20 times the
    source, more than a lossy JPEG 2000 gains when it is stored without loss, and at least 16 GB for what compresses
    well.
    """
    seconds = 300 + 2 * size / 1e6
    return RasterLimits(seconds=seconds, cpu_seconds=int(2 * seconds), file_bytes=max(16 << 30, 20 * size))
