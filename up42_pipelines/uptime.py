"""A clock for deadlines."""

from __future__ import annotations

import time


def uptime_s() -> float:
    """Seconds since some instant; never goes back.

    On Linux `time.monotonic` stands still while a machine is suspended, and whoever wakes up would believe that a
    deadline is still ahead (clock_gettime(2), CLOCK_BOOTTIME).
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
