"""What of the file system and the network a process may still reach: Landlock, where Linux has it (5.13 or newer).

https://docs.kernel.org/userspace-api/landlock.html; the numbers below are those of linux/landlock.h.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # system calls, the same on every architecture
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_ALL_TCP = 0b11  # bind, connect


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def landlock_version() -> int:
    """The kernel's version of Landlock; 0 without it."""
    if sys.platform != "linux":
        return 0
    return max(0, int(ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, 1)))


def restrict_to(*, readable: Iterable[Path], writable: Path) -> bool:
    """Let this process, for good, read `readable` and what is below it, do anything in `writable`, and reach no more.

    TCP is closed too from Linux 6.7 on. Files that are open already stay open. Paths that do not exist are left out.

    Returns:
        False when the kernel has no Landlock; nothing is restricted then.

    Raises:
        OSError: it has, and refused.
    """
    version = landlock_version()
    if version == 0:
        return False
    everything = _files_of(version)
    libc = ctypes.CDLL(None, use_errno=True)
    rules = _Ruleset(files=everything, network=_ALL_TCP)
    size = ctypes.sizeof(_Ruleset) if version >= 4 else 8
    ruleset = _checked(libc.syscall(_CREATE_RULESET, ctypes.byref(rules), size, 0))
    for path, access in (*((path, _READ_FILE | _READ_DIR) for path in readable), (writable, everything)):
        try:
            parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        allowed = access if path.is_dir() else access & ~_READ_DIR
        rule = _PathBeneath(allowed=allowed, parent=parent)
        _checked(libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0))
        os.close(parent)
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)
    return True


def _files_of(version: int) -> int:
    """All rights to files that a version knows: asking for others is an error."""
    rights = (1 << 13) - 1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        if version >= since:
            rights |= right
    return rights


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result
