"""What the handling of one untrusted raster may use."""

from __future__ import annotations

from up42_pipelines.lake.confined.limits import ProcessLimits


def limits_for(size: int) -> ProcessLimits:
    """Limits for a raster of `size` bytes, members included.

    Memory does not grow with the raster, since everything streams: rasters usually need 300 MB; the rest is for a
    block as large as is believed (`raster.MAX_BLOCK_BYTES`), in its file's form and decoded. Time: five minutes, plus
    two seconds per MB, some fifty times what JPEG 2000 takes, the slowest to decode, on one core. Files: 20 times the
    source, more than a lossy JPEG 2000 gains when it is stored without loss, and at least 16 GB for what compresses
    well.
    """
    seconds = 300 + 2 * size / 1e6
    return ProcessLimits(seconds=seconds, cpu_seconds=int(2 * seconds), file_bytes=max(16 << 30, 20 * size))
