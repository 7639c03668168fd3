"""What an archive says is in it, and whether that may be unpacked. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from up42_pipelines.lake.archives.limits import UnpackLimits
from up42_pipelines.lake.names import safe_name

_LONGEST_SEGMENT_BYTES = 255  # ext4, XFS, APFS, NTFS
_DRIVE = re.compile(r"[A-Za-z]:")
_JUNK = {".ds_store", "thumbs.db", "desktop.ini"}

FOLDER = "a folder; made when a file is in it"
OF_MACOS = "what macOS adds to archives"
OF_A_FILE_MANAGER = "what a file manager leaves behind"


class Kind(StrEnum):
    """What an entry is."""

    FILE = "file"
    FOLDER = "folder"
    SYMBOLIC_LINK = "symbolic link"
    HARD_LINK = "hard link"
    DEVICE = "device"
    PIPE = "named pipe"
    OTHER = "entry of unknown kind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry, as the archive's headers tell.

    Attributes:
        name: its path inside the archive, as written there.
        kind: what it is.
        size: bytes of its content, unpacked.
        fault: why it cannot be read or trusted, as the end of a sentence about it.
    """

    name: str
    kind: Kind
    size: int
    fault: str | None = None

    @property
    def path(self) -> PurePosixPath:
        """Its path inside the archive without what says nothing (`./`, `//`)."""
        return PurePosixPath(*_segments(self.name))


def why_refused(entries: Sequence[Entry], limits: UnpackLimits, packed_bytes: int) -> str | None:
    """Why an archive of so many bytes is not unpacked, as a sentence; None when it may be."""
    if len(entries) > limits.entries:
        return f"it has more than {limits.entries} entries (limit `entries`)"
    total, most = sum(max(entry.size, 0) for entry in entries), limits.most(packed_bytes)
    for entry in entries:
        if fault := _fault(entry, limits):
            return f"entry {shown(entry.name)} {fault}"
    if total > most:
        return (
            f"its {packed_bytes} bytes would become {total}, and {most} is the most they may "
            "(limits `total_bytes`, `ratio`, `ratio_from_bytes`)"
        )
    return _collision([entry for entry in entries if entry.kind is Kind.FILE and why_left_out(entry) is None])


def why_left_out(entry: Entry) -> str | None:
    """Why an entry is of no use; None when it is a file to be written."""
    if entry.kind is Kind.FOLDER:
        return FOLDER
    segments = entry.path.parts
    if "__MACOSX" in segments or segments[-1].startswith("._"):
        return OF_MACOS
    return OF_A_FILE_MANAGER if segments[-1].casefold() in _JUNK else None


def disk_path(name: PurePosixPath) -> PurePosixPath:
    """The path for a file on disk: as in the archive, but for segments that can deceive or cannot be a name."""
    return PurePosixPath(*(part if _can_be_a_name(part) else safe_name(part) for part in name.parts))


def shown(name: str) -> str:
    """A stranger's name as it can be printed: escaped, and short."""
    return repr(name if len(name) <= 200 else f"{name[:200]}...")


def _segments(name: str) -> list[str]:
    return [segment for segment in name.split("/") if segment not in {"", "."}]


def _fault(entry: Entry, limits: UnpackLimits) -> str | None:
    if entry.kind not in {Kind.FILE, Kind.FOLDER}:
        return f"is a {entry.kind}, which can lead out of the folder"
    if fault := _path_fault(entry, limits):
        return fault
    if entry.fault:
        return entry.fault
    if entry.kind is Kind.FOLDER and entry.size:
        return "is a folder with content of its own"
    if not 0 <= entry.size <= limits.entry_bytes:
        return f"has {entry.size} bytes, {limits.entry_bytes} is the most it may have (limit `entry_bytes`)"
    return None


def _path_fault(entry: Entry, limits: UnpackLimits) -> str | None:
    name, segments = entry.name, _segments(entry.name)
    if name.startswith("/"):
        return "has an absolute path"
    if "\\" in name:
        return "has backslashes in its path, which are separators elsewhere"
    if _DRIVE.match(name):
        return "names a drive"
    if ".." in segments:
        return "leads out of the folder with `..`"
    if "\0" in name:
        return "has a NUL in its name, where other programs end it"
    if not segments and entry.kind is Kind.FILE:
        return "has no name"
    if len(segments) > limits.path_depth:
        return f"lies deeper than {limits.path_depth} folders (limit `path_depth`)"
    if len(name.encode("utf-8", "surrogatepass")) > limits.path_bytes:
        return f"has a path longer than {limits.path_bytes} bytes (limit `path_bytes`)"
    return None


def _collision(files: Sequence[Entry]) -> str | None:
    """Two files that would be one on some file system, or a file that is also a folder."""
    seen: dict[tuple[str, ...], Entry] = {}
    for entry in files:
        key = _key(entry)
        if other := seen.get(key):
            return f"entries {shown(other.name)} and {shown(entry.name)} have the same name, case and accents aside"
        seen[key] = entry
    for key, entry in seen.items():
        for depth in range(1, len(key)):
            if other := seen.get(key[:depth]):
                return f"entry {shown(other.name)} is a file, and the folder of {shown(entry.name)}"
    return None


def _key(entry: Entry) -> tuple[str, ...]:
    """What canonical caseless matching compares (Unicode, D145): HFS+ and APFS go about it like this."""
    return tuple(
        unicodedata.normalize("NFD", unicodedata.normalize("NFD", part).casefold())
        for part in disk_path(entry.path).parts
    )


def _can_be_a_name(segment: str) -> bool:
    # Cc control, Cf format, Cs surrogate (not UTF-8 in the archive), Zl/Zp line and paragraph separators.
    if any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in segment):
        return False
    return len(segment.encode()) <= _LONGEST_SEGMENT_BYTES
