"""An archive from a stranger made a folder of files; or nothing, with the reason."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake.archives.entries import Entry, disk_path, shown, why_left_out
from up42_pipelines.lake.archives.formats import archive_format
from up42_pipelines.lake.archives.limits import UnpackLimits
from up42_pipelines.lake.archives.streams import explained
from up42_pipelines.lake.archives.survey import Survey, survey, walk

# Zip files that are documents: unpacked they would be of no use to anybody.
_DOCUMENTS = {".kmz", ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub", ".qgz", ".jar"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file of an archive.

    Attributes:
        name: its path inside the archive, by which other files of the delivery refer to it.
        path: where it is on disk.
        size: bytes.
    """

    name: PurePosixPath
    path: Path
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """What came out of an archive.

    Attributes:
        files: in the order of the archive; those of an archive inside it in a folder that has its name.
        left_out: why an entry is not among the files, or is and was not unpacked in turn; by its path.
    """

    files: list[Member] = field(default_factory=list)
    left_out: dict[PurePosixPath, str] = field(default_factory=dict)


def unpack(
    path: Path, into: Path, *, limits: UnpackLimits, on_progress: Callable[[int], None] | None = None
) -> Unpacked:
    """Unpack an archive, and the archives in it.

    Args:
        path: the archive.
        into: a folder that is empty or not there yet.
        limits: what is unpacked at most.
        on_progress: is given the bytes written so far; an error it raises is taken for one of the archive.

    Raises:
        InvalidDelivery: the archive or one inside it is damaged, hostile or beyond a limit. What was written is gone.
        LakeError: there is no room for it, `into` is not empty, or it cannot be written. What was written is gone.
    """
    surveyed = survey(path, limits)
    with _emptied_on_failure(into), tempfile.TemporaryDirectory(prefix=".nested-", dir=into) as scratch:
        work = _Work(
            scratch=Path(scratch), bytes_left=surveyed.most, entries_left=limits.entries, on_progress=on_progress
        )
        _unpack(path, surveyed, into, PurePosixPath(), limits, work)
    return work.result


@dataclass(slots=True, kw_only=True)
class _Work:
    """What is left of the limits, which an archive shares with those inside it, and what is done."""

    scratch: Path
    bytes_left: int
    entries_left: int
    on_progress: Callable[[int], None] | None
    written: int = 0
    result: Unpacked = field(default_factory=Unpacked)

    def count(self, size: int) -> None:
        self.written += size
        if self.on_progress:
            self.on_progress(self.written)


def _unpack(path: Path, surveyed: Survey, into: Path, within: PurePosixPath, limits: UnpackLimits, work: _Work) -> None:
    _check_room(path, surveyed, into)
    work.bytes_left -= surveyed.size
    work.entries_left -= len(surveyed.entries)
    made: set[Path] = {into}
    with explained(path.name), walk(path, surveyed.format, limits) as found:
        members: list[Member] = []
        # The archive is read a second time, so it has to say the same again.
        for expected, (entry, content) in zip(surveyed.entries, found, strict=True):
            if entry != expected:
                raise InvalidDelivery(f"entry {shown(entry.name)} changed while it was read")
            if reason := why_left_out(entry):
                work.result.left_out[within / entry.path] = reason
                continue
            target = into / disk_path(entry.path)
            _make_folders(target.parent, made)
            _write(target, entry, content, work)
            members.append(Member(name=within / entry.path, path=target, size=entry.size))
    for member in members:
        if archive_format(member.path) is None or member.path.suffix.lower() in _DOCUMENTS:
            work.result.files.append(member)
        elif limits.nesting == 0:
            work.result.files.append(member)
            work.result.left_out[member.name] = "an archive inside archives; not unpacked (limit `nesting`)"
        else:
            with explained(f"{path.name}, which holds {shown(str(member.name))}"):
                _unpack_nested(member, limits, work)


def _unpack_nested(member: Member, limits: UnpackLimits, work: _Work) -> None:
    """Put in the place of an archive a folder with what is in it."""
    with tempfile.TemporaryDirectory(dir=work.scratch) as place:
        archive = member.path.rename(Path(place) / member.path.name)
        shares = replace(limits, total_bytes=work.bytes_left, entries=work.entries_left, nesting=limits.nesting - 1)
        surveyed = survey(archive, shares)
        member.path.mkdir(mode=0o755)
        member.path.chmod(0o755)
        _unpack(archive, surveyed, member.path, member.name, shares, work)


def _check_room(path: Path, surveyed: Survey, into: Path) -> None:
    free = shutil.disk_usage(into).free
    if surveyed.size > free:
        raise LakeError(
            f"{path.name} is not unpacked: it becomes {surveyed.size} bytes and {into} has room for {free}. "
            "Free some, or put the scratch folder elsewhere."
        )


def _make_folders(folder: Path, made: set[Path]) -> None:
    if folder in made:
        return
    _make_folders(folder.parent, made)
    folder.mkdir(mode=0o755, exist_ok=True)
    folder.chmod(0o755)  # whatever the umask is
    made.add(folder)


def _write(target: Path, entry: Entry, content: Iterator[bytes], work: _Work) -> None:
    # Never through a link and never over a file, whatever the survey has overlooked.
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o644)
        left = entry.size
        for chunk in content:
            left -= len(chunk)
            if left < 0:
                break
            file.write(chunk)
            work.count(len(chunk))
    if left:
        raise InvalidDelivery(f"entry {shown(entry.name)} does not have the {entry.size} bytes it tells")


@contextmanager
def _emptied_on_failure(folder: Path) -> Iterator[None]:
    """Make a folder, and take away what is in it, and itself if it was not there, when the work in it fails."""
    existed = folder.is_dir()
    if existed and any(folder.iterdir()):
        raise LakeError(f"{folder} is not empty: an archive is unpacked into a folder of its own.")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    try:
        yield
    except BaseException:
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        if not existed:
            folder.rmdir()
        raise
