"""Where downloads wait on this machine until they are whole; what a killed one left there is resumed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from up42_pipelines.errors import LakeError, TransferError
from up42_pipelines.lake.local_files import TEMPORARY, make_folder, remove_if_empty
from up42_pipelines.lake.store import Lake, explain

LOCK = (f".fetching{TEMPORARY}", "lock")
"""Path of the lock in an item's folder of a local lake."""
_LOCK = LOCK[-1]
_ATTEMPTS = 20


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
        place, shared = Path(lake.path(*folder), *LOCK).parent, None
    else:
        shared = Path(tempfile.gettempdir()) / f"up42-pipelines-{os.geteuid()}"
        place = shared / hashlib.sha256(lake.href(*folder).encode()).hexdigest()[:32]
    try:
        lock = _locked(place, shared)
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
        if [path.name for path in place.rglob("*") if not path.is_dir()] == [_LOCK]:
            shutil.rmtree(place, ignore_errors=True)
            if shared is None:
                remove_if_empty(place.parent)
        os.close(lock)


@contextmanager
def staging_in(place: Path) -> Iterator[Path]:
    """An empty folder beside what has arrived, for files that will be published; gone afterwards."""
    staging = place / "staging"
    shutil.rmtree(staging, ignore_errors=True)  # a landing that was killed has left its own
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def forget(place: Path) -> None:
    """Remove all that has arrived. The lock stays: who has removed that one holds nothing any more."""
    for path in place.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != _LOCK:
            path.unlink(missing_ok=True)


def _locked(place: Path, shared: Path | None) -> int | None:
    """A descriptor that holds the lock (flock(2)) until it is closed or its process dies; None when it is taken.

    Whoever held it may remove the folder at any moment: then it is made anew.
    """
    for _ in range(_ATTEMPTS):
        with suppress(FileNotFoundError):
            if shared is None:
                make_folder(place)
            else:
                _make_private(shared)
                place.mkdir(exist_ok=True)
            lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(lock), (place / _LOCK).stat()):
                    return lock
            except BlockingIOError:
                os.close(lock)
                return None
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)
    return None


def _make_private(folder: Path) -> None:
    """Make a folder that only this user can enter; the temporary folder is everybody's."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise LakeError(f"{folder} belongs to somebody else, or others can enter it: remove it, then run again.")
