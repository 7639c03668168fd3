"""Where downloads wait on this machine until they are whole; what a killed one left there is resumed."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.local_files import TEMPORARY, remove_if_empty
from up42_pipelines.lake.store import Lake, explain


def fetching_folder(lake: Lake, folder: tuple[str, ...]) -> Path:
    """Make the folder in which the files of an item arrive; the same one at every attempt.

    In a local lake it lies in the item's folder, so that a full disk shows before anything is published. For an object
    store it lies in a folder of this user below the machine's temporary one.

    Raises:
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
    except OSError as error:
        raise explain(error, f"Cannot make {place}") from error
    return place


def forget(place: Path) -> None:
    """Remove a fetching folder with all that is in it, and the item's folder if nothing else is there."""
    shutil.rmtree(place, ignore_errors=True)
    remove_if_empty(place.parent)


def forget_if_empty(place: Path) -> None:
    """Remove a fetching folder in which nothing waits to be resumed."""
    remove_if_empty(place)
    remove_if_empty(place.parent)


def _make_private(folder: Path) -> None:
    """Make a folder that only this user can enter; the temporary folder is everybody's."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise LakeError(f"{folder} belongs to somebody else, or others can enter it: remove it, then run again.")
