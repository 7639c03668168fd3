"""Files of this machine that readers see whole or not at all, and that a power cut does not take away again.

Each is written under a temporary name in its target's directory, flushed, and then given its name in one step.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

TEMPORARY = ".part"
# From here on flushing a whole file system takes less time than so many flushes of one file.
_MANY = 200


def write_file(target: Path, content: bytes) -> None:
    """Write a file, replacing what is there."""
    make_folder(target.parent)
    temporary = _beside(target)
    try:
        _write_flushed(temporary, content)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write many files, each as `write_file` does, and wait for the disk as few times as possible.

    After a failure some are written and some are not.
    """
    folders = {target.parent for target in contents}
    new = {path for folder in folders for path in _missing(folder)}
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(8)
    # Strings, because ten thousand paths take longer to make than their files.
    temporaries = {str(target): f"{target.parent}/.{target.name}.{token}{TEMPORARY}" for target in contents}
    try:
        for temporary, content in zip(temporaries.values(), contents.values(), strict=True):
            with open(temporary, "xb") as file:  # noqa: PTH123
                file.write(content)
        _flush(map(Path, temporaries.values()), len(contents))
        for target, temporary in temporaries.items():
            os.replace(temporary, target)  # noqa: PTH105
    except BaseException:
        for temporary in temporaries.values():
            Path(temporary).unlink(missing_ok=True)
        raise
    _flush({*folders, *(folder.parent for folder in new)}, len(contents))


def _flush(paths: Iterable[Path], count: int) -> None:
    """Flush files or folders: one by one, or, when they are many, all that their file systems have to write."""
    if count < _MANY or sys.platform != "linux":
        for path in paths:
            _sync(path)
        return
    by_device = {path.lstat().st_dev: path for path in paths}
    for path in by_device.values():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            if (
                ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0
            ):  # tells of failures since Linux 5.8: syncfs(2)
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, so that a power cut does not take a new one away with all that is in it."""
    new = _missing(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for path in new:
        _sync(path.parent)


def create_file(target: Path, content: bytes) -> bool:
    """Write a file that is not there yet; whether it was written.

    Raises:
        OSError: it cannot be written; EOPNOTSUPP when the file system has no hard links.
    """
    make_folder(target.parent)
    temporary = _beside(target)
    try:
        _write_flushed(temporary, content)
        created = _link(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    if created:
        _sync(target.parent)
    return created


def publish_file(source: Path, target: Path) -> None:
    """Move a finished file to its place, replacing what is there."""
    make_folder(target.parent)
    _sync(source)
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        temporary = _beside(target)
        try:
            shutil.copyfile(source, temporary)
            _sync(temporary)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        source.unlink()
    _sync(target.parent)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that nobody has put anything into."""
    with suppress(OSError):  # not empty, or gone already: both are fine
        folder.rmdir()


def _link(source: Path, target: Path) -> bool:
    """Give a file a second name unless that is taken; unlike a rename, this never replaces (link(2))."""
    try:
        os.link(source, target)
    except FileExistsError:
        # NFS repeats a request whose answer was lost, so our own link can be in the way (open(2), O_EXCL).
        return source.stat().st_nlink > 1
    except OSError as error:
        if error.errno in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}:
            raise OSError(errno.EOPNOTSUPP, "the file system has no hard links") from error
        raise
    return True


def _missing(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _write_flushed(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _beside(target: Path) -> Path:
    """A temporary name in the same directory, because a rename is atomic only within one file system (rename(2))."""
    return target.with_name(f".{target.name}.{secrets.token_hex(8)}{TEMPORARY}")


def _sync(path: Path) -> None:
    """Flush a file, or a directory's entries (without it, a rename can be undone by a power cut: fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
