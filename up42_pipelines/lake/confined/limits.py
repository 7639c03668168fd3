"""What the handling of one untrusted file may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """Enforced by the operating system on the process that handles one file.

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
