"""What the handling of one untrusted file of features may use."""

from __future__ import annotations

from up42_pipelines.lake.confined.limits import ProcessLimits

MAX_BYTES = 1 << 30
MAX_FEATURES = 1_000_000
MAX_COLUMNS = 500
"""More names of properties than that are no columns, but data; see `columns.py`."""


def limits_for(size: int) -> ProcessLimits:
    """Limits for a file of `size` bytes.

    All features are in memory at once; detections with four corners take some 2 kB each. Time:
    five times of what one core needs for polygons of GeoJSON, the slowest to read. What is written has fewer bytes than
    what was read, unless it is all digits: positions of four characters become 16 bytes, and a box of 32 beside them.
    """
    seconds = 120 + size / 1e6
    return ProcessLimits(seconds=seconds, cpu_seconds=int(2 * seconds), file_bytes=max(1 << 30, 8 * size))
