"""Files of this machine that readers see whole or not at all, and that a power cut does not take away again.

Each is written under a temporary name in its target's directory, flushed, and then given its name in one step.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

TEMPORARY = ".part"
# From here on flushing all that the system has to write takes less time than so many flushes of one file.
_MANY = 200


def write_file(target: Path, content: bytes) -> None:
    """Write a file, replacing what is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
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
    folders = {target.parent: not target.parent.exists() for target in contents}
    temporaries: dict[Path, Path] = {}
    try:
        for target, content in contents.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            temporaries[target] = _beside(target)
            with temporaries[target].open("xb") as file:
                file.write(content)
        _flush_soon(contents)
        for temporary in temporaries.values():
            _sync(temporary)
        for target, temporary in temporaries.items():
            temporary.replace(target)
    except BaseException:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
        raise
    _flush_soon(contents)
    for folder in {*folders, *(folder.parent for folder, new in folders.items() if new)}:
        _sync(folder)


def _flush_soon(contents: Mapping[Path, bytes]) -> None:
    """Have the system flush everything at once: flushing one by one afterwards only finds out what failed."""
    if len(contents) >= _MANY:
        os.sync()


def create_file(target: Path, content: bytes) -> bool:
    """Write a file that is not there yet; whether it was written.

    Raises:
        OSError: it cannot be written; EOPNOTSUPP when the file system has no hard links.
    """
    _make_folder(target.parent)
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
    target.parent.mkdir(parents=True, exist_ok=True)
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


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, so that a power cut does not take a new one away with all that is in it."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in new:
        _sync(path.parent)


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
