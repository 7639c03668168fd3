"""Tar archives, entry by entry: ustar, pax and GNU.

`tarfile` opens them too, but reads extended headers of any length into memory, so here it only decodes the blocks.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.archives.entries import Entry, Kind
from up42_pipelines.lake.archives.formats import BLOCK_BYTES
from up42_pipelines.lake.archives.streams import CHUNK_BYTES, Forward

_LONGEST_EXTENSION_BYTES = 64 * 1024
_ENCODING = ("utf-8", "surrogateescape")  # other names come out with surrogates, and are made safe
_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.FOLDER,
    tarfile.SYMTYPE: Kind.SYMBOLIC_LINK,
    tarfile.LNKTYPE: Kind.HARD_LINK,
    tarfile.CHRTYPE: Kind.DEVICE,
    tarfile.BLKTYPE: Kind.DEVICE,
    tarfile.FIFOTYPE: Kind.PIPE,
}
_PAX = {tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE}
_GNU_LONG = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}


def walk_tar(stream: Forward) -> Iterator[tuple[Entry, Iterator[bytes]]]:
    """Each entry and its content, which is skipped unless it is read before the next entry.

    Raises:
        EOFError: the archive ends before its end mark: it is cut off.
        tarfile.HeaderError, ValueError: a header is damaged.
        InvalidDelivery: an extended header is absurd, or there is more in it than allowed.
    """
    extended: dict[str, str] = {}
    while True:
        block = stream.read_exactly(BLOCK_BYTES)
        if not any(block):  # POSIX wants two such blocks, some writers leave it at one
            break
        header = tarfile.TarInfo.frombuf(block, *_ENCODING)
        if header.type in _PAX or header.type == tarfile.XGLTYPE or header.type in _GNU_LONG:
            payload = _extension(stream, header)
            if header.type in _GNU_LONG:
                extended[_GNU_LONG[header.type]] = payload.rstrip(b"\0").decode(*_ENCODING)
            elif header.type in _PAX:
                extended |= _records(payload)
            elif _changes_files(_records(payload)):
                raise InvalidDelivery("a header for all entries gives them one name or size")
            continue
        entry = _entry(header, extended)
        extended = {}
        end = stream.position + _padded(max(entry.size, 0))
        yield entry, _content(stream, entry.size)
        stream.skip(end - stream.position)
    stream.drain()


def _entry(header: tarfile.TarInfo, extended: dict[str, str]) -> Entry:
    size = extended.get("size", "")
    if size and not (size.isascii() and size.isdigit()):
        raise ValueError("a size is no number")
    sparse = header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse.") for key in extended)
    return Entry(
        name=extended.get("path", header.name),
        kind=Kind.FILE if sparse else _KINDS.get(header.type, Kind.OTHER),
        size=int(size) if size else header.size,
        fault="is sparse, which is not unpacked here" if sparse else None,
    )


def _content(stream: Forward, size: int) -> Iterator[bytes]:
    while size > 0:
        chunk = stream.read_exactly(min(size, CHUNK_BYTES))
        size -= len(chunk)
        yield chunk


def _extension(stream: Forward, header: tarfile.TarInfo) -> bytes:
    if not 0 <= header.size <= _LONGEST_EXTENSION_BYTES:
        raise InvalidDelivery(f"an extended header has {header.size} bytes")
    return stream.read_exactly(_padded(header.size))[: header.size]


def _records(payload: bytes) -> dict[str, str]:
    """The records of a pax header, each `<length> <key>=<value>` and a newline (POSIX, pax Extended Header)."""
    records, at = {}, 0
    while at < len(payload):
        space = payload.find(b" ", at, at + 8)
        digits = payload[at:space] if space > at else b""
        end = at + int(digits) if digits.isdigit() else 0
        key, equals, value = payload[space + 1 : end - 1].partition(b"=")
        if not equals or payload[end - 1 : end] != b"\n":
            raise ValueError("an extended header is no list of records")
        records[key.decode(*_ENCODING)] = value.decode(*_ENCODING)
        at = end
    return records


def _changes_files(records: dict[str, str]) -> bool:
    return any(key in {"path", "size", "linkpath"} or key.startswith("GNU.sparse.") for key in records)


def _padded(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES
