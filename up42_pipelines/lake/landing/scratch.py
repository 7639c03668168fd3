"""Where downloads wait on this machine until they are whole; what a killed one left there is resumed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from up42_pipelines.errors import LakeError, TransferError
from up42_pipelines.lake.local_files import TEMPORARY, remove_if_empty
from up42_pipelines.lake.store import Lake, explain

_LOCK = "lock"


@contextmanager
def fetching_folder(lake: Lake, folder: tuple[str, ...]) -> Iterator[Path]:
    """The folder in which the files of an item arrive, this process's alone; the same one at every attempt.

    In a local lake it lies in the item's folder, so that a full disk shows before anything is published. For an object
    store it lies in a folder of this user below the machine's temporary one. Afterwards it stays, with what can be
    resumed, unless nothing is in it.

    Raises:
        TransferError: somebody else lands the same item now.
        LakeError: it cannot be made, or somebody else made it.
    """
    if lake.local:
        place = Path(lake.path(*folder)) / f".fetching{TEMPORARY}"
    else:
        owned = Path(tempfile.gettempdir()) / f"up42-pipelines-{os.geteuid()}"
        _make_private(owned)
        place = owned / hashlib.sha256(f"{lake.url}\n{'/'.join(folder)}".encode()).hexdigest()[:32]
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = _locked(place / _LOCK)
    except OSError as error:
        raise explain(error, f"Cannot make {place}") from error
    if lock is None:
        raise TransferError(
            f"Item folder {'/'.join(folder)} of lake {lake.url}: somebody else is landing this item. "
            "Wait for that, then run again."
        )
    try:
        yield place
    finally:
        if [path.name for path in _paths_in(place)] in ([_LOCK], []):
            forget(place)
        os.close(lock)


def forget(place: Path) -> None:
    """Remove a fetching folder with all that is in it, and the item's folder if nothing else is there."""
    shutil.rmtree(place, ignore_errors=True)
    remove_if_empty(place.parent)


def _locked(path: Path) -> int | None:
    """A descriptor that holds the lock (flock(2)) until it is closed or its process dies; None when it is taken."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it before has removed it by now: the next one makes it anew, and would not meet this one.
        if os.path.samestat(os.fstat(lock), path.stat()):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _paths_in(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _make_private(folder: Path) -> None:
    """Make a folder that only this user can enter; the temporary folder is everybody's."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise LakeError(f"{folder} belongs to somebody else, or others can enter it: remove it, then run again.")
