"""Zip archives, entry by entry.

`zipfile` reads the central directory. The content is inflated here: `zipfile` stops at the size that the header tells,
so that what a lying header hides would go unnoticed, and follows entries that lie inside each other.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.archives.entries import Entry, Kind, shown
from up42_pipelines.lake.archives.limits import UnpackLimits
from up42_pipelines.lake.archives.streams import CHUNK_BYTES

# APPNOTE 4.3.7: signature; version, flags, method, time, date; CRC-32, packed size, size; lengths of name and extra.
_LOCAL = struct.Struct("<4s5H3I2H")
_SIGNATURE = b"PK\x03\x04"
_LONGEST_DESCRIPTOR_BYTES = 24  # APPNOTE 4.3.9, which may follow the content
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # APPNOTE 4.4.4: the content, strongly, or the directory
_SIZES_FOLLOW = 0x8
_UTF8 = 0x800
_IN_ZIP64 = 0xFFFFFFFF
_KINDS = {
    0: Kind.FILE,
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.FOLDER,
    stat.S_IFLNK: Kind.SYMBOLIC_LINK,
    stat.S_IFCHR: Kind.DEVICE,
    stat.S_IFBLK: Kind.DEVICE,
    stat.S_IFIFO: Kind.PIPE,
}


class _Directory:
    """A file of which not more than a limit is read at once: `zipfile` reads a directory of any size into memory."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file, self._most = file, most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, count: int = -1) -> bytes:
        if count > self._most:
            raise InvalidDelivery(f"its directory has {count} bytes (limit `directory_bytes`: {self._most})")
        return self._file.read(count)


def walk_zip(path: Path, limits: UnpackLimits) -> Iterator[tuple[Entry, Iterator[bytes]]]:
    """Each entry and its content.

    Raises:
        zipfile.BadZipFile, ValueError, NotImplementedError: the directory is damaged or of an unknown version.
        InvalidDelivery: the directory is too large; while content is read: it is not what the headers tell.
    """
    with path.open("rb") as file:
        with zipfile.ZipFile(cast("Any", _Directory(file, limits.directory_bytes))) as archive:
            infos, directory_at = archive.infolist(), archive.start_dir
        starts, faults = _locate(file, infos, directory_at)
        for info, start, fault in zip(infos, starts, faults, strict=True):
            yield _entry(info, fault), _content(file, info, start)


def _locate(file: IO[bytes], infos: list[zipfile.ZipInfo], directory_at: int) -> tuple[list[int], list[str | None]]:
    """Where the content of each entry begins, and what is wrong with its place."""
    starts = [0] * len(infos)
    faults: list[str | None] = [None] * len(infos)
    next_at = directory_at
    for index in sorted(range(len(infos)), key=lambda index: infos[index].header_offset, reverse=True):
        info = infos[index]
        starts[index], faults[index] = _local_header(file, info)
        if starts[index] + info.compress_size > next_at:
            faults[index] = faults[index] or "overlaps what follows it in the archive"
        elif _hides_an_entry(file, starts[index] + info.compress_size, next_at):
            faults[index] = faults[index] or "is followed by an entry that the directory does not name"
        next_at = info.header_offset
    if next_at > 0:
        raise InvalidDelivery("it begins with something that its directory does not name")
    return starts, faults


def _hides_an_entry(file: IO[bytes], begin: int, end: int) -> bool:
    """Whether a local header lies between two entries: a directory damaged by one byte can lose a file like this."""
    if end - begin < _LOCAL.size:
        return False
    file.seek(begin)
    return _SIGNATURE in file.read(_LONGEST_DESCRIPTOR_BYTES + len(_SIGNATURE))


def _local_header(file: IO[bytes], info: zipfile.ZipInfo) -> tuple[int, str | None]:
    """Where the content begins, and what the header before it says other than the directory."""
    if info.header_offset < 0:
        return 0, "lies before the archive"
    file.seek(info.header_offset)
    head = file.read(_LOCAL.size)
    if len(head) < _LOCAL.size:
        return 0, "lies behind the end of the archive"
    signature, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = _LOCAL.unpack(head)
    if signature != _SIGNATURE:
        return 0, "is not where the directory says"
    name = info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437")
    told = [(method, info.compress_type), (flags & _ENCRYPTED, info.flag_bits & _ENCRYPTED)]
    if not flags & _SIZES_FOLLOW:
        told += [(crc, info.CRC), (packed, info.compress_size), (size, info.file_size)]
    differs = file.read(name_bytes) != name or any(here not in {there, _IN_ZIP64} for here, there in told)
    start = info.header_offset + _LOCAL.size + name_bytes + extra_bytes
    return start, "is something else in its own header than in the directory" if differs else None


def _entry(info: zipfile.ZipInfo, fault: str | None) -> Entry:
    kind = _KINDS.get(stat.S_IFMT(info.external_attr >> 16), Kind.OTHER)
    if kind is Kind.FILE and info.orig_filename.endswith("/"):
        kind = Kind.FOLDER
    return Entry(name=_name(info), kind=kind, size=info.file_size, fault=_fault(info) or fault)


def _fault(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted, and a delivery comes with no password"
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return f"is compressed with method {info.compress_type}; only stored and deflated entries are unpacked"
    if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        return "is not compressed, yet has two sizes"
    return "lies in another volume of the archive" if info.volume else None


def _name(info: zipfile.ZipInfo) -> str:
    """The name; UTF-8 also where the flag for it is missing, as macOS and many libraries write it."""
    name: str = info.orig_filename
    if info.flag_bits & _UTF8:
        return name
    try:
        return name.encode("cp437").decode()
    except UnicodeDecodeError:
        return name


def _content(file: IO[bytes], info: zipfile.ZipInfo, start: int) -> Iterator[bytes]:
    """Inflate an entry, not a byte beyond the size that its header tells."""
    size = crc = 0
    for chunk in _inflated(file, info, start):
        size, crc = size + len(chunk), zlib.crc32(chunk, crc)
        if size > info.file_size:
            raise InvalidDelivery(f"entry {shown(info.filename)} has more than the {info.file_size} bytes it tells")
        yield chunk
    if size != info.file_size:
        raise InvalidDelivery(f"entry {shown(info.filename)} has {size} bytes and tells {info.file_size}")
    if crc != info.CRC:
        raise InvalidDelivery(f"entry {shown(info.filename)} is damaged: its CRC-32 is another")


def _inflated(file: IO[bytes], info: zipfile.ZipInfo, start: int) -> Iterator[bytes]:
    file.seek(start)
    left = info.compress_size
    if info.compress_type == zipfile.ZIP_STORED:
        while left and (chunk := file.read(min(left, CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk
        return
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    while not engine.eof:
        packed = engine.unconsumed_tail
        if not packed:
            packed = file.read(min(left, CHUNK_BYTES))
            left -= len(packed)
        try:
            chunk = engine.decompress(packed, CHUNK_BYTES)
        except zlib.error as error:
            raise InvalidDelivery(f"entry {shown(info.filename)} is damaged: {error}") from error
        if not packed and not chunk and not engine.eof:
            raise InvalidDelivery(f"entry {shown(info.filename)} is damaged: it ends too early")
        yield chunk
    if left or engine.unused_data:
        raise InvalidDelivery(f"entry {shown(info.filename)} has bytes behind its end")
