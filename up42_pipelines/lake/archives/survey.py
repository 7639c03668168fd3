"""What is in an archive, and whether it may be unpacked, from its headers alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.archives.entries import Entry, Kind, why_refused
from up42_pipelines.lake.archives.formats import Format, archive_format
from up42_pipelines.lake.archives.limits import UnpackLimits
from up42_pipelines.lake.archives.streams import CHUNK_BYTES, Forward, explained, open_stream
from up42_pipelines.lake.archives.tars import walk_tar
from up42_pipelines.lake.archives.zips import walk_zip

# Headers and padding of a tar, which are no content: three blocks per entry and an extended header now and then.
_TAR_OVERHEAD_BYTES = 64 * 1024 * 1024
_GZIP_EXTRA, _GZIP_NAME = 0x4, 0x8


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """An archive that may be unpacked.

    Attributes:
        format: what kind of archive it is.
        entries: all that is in it, in its order.
        size: bytes that its entries have, unpacked, as the headers tell.
        most: bytes that it may become with all archives inside it.
    """

    format: Format
    entries: tuple[Entry, ...]
    size: int
    most: int


def survey(path: Path, limits: UnpackLimits) -> Survey:
    """Look through an archive; nothing is written.

    Compressed tars are inflated for it: their headers lie between the content.

    Raises:
        InvalidDelivery: it is no archive, damaged, hostile or beyond a limit; names the entry and the reason.
        LakeError: it cannot be read.
    """
    with explained(path.name):
        kind = archive_format(path)
        if kind is None:
            raise InvalidDelivery("it is neither zip nor tar nor gzip nor bzip2")
        packed = path.stat().st_size
        with walk(path, kind, limits) as found:
            entries = tuple(entry for entry, _ in islice(found, limits.entries + 1))
        if reason := why_refused(entries, limits, packed):
            raise InvalidDelivery(reason)
        size = sum(entry.size for entry in entries)
        return Survey(format=kind, entries=entries, size=size, most=limits.most(packed))


@contextmanager
def walk(path: Path, kind: Format, limits: UnpackLimits) -> Iterator[Iterator[tuple[Entry, Iterator[bytes]]]]:
    """The entries of an archive with their content, which has to be read before the next entry or not at all."""
    if kind is Format.ZIP:
        yield walk_zip(path, limits)
        return
    most = limits.most(path.stat().st_size)
    if kind in {Format.GZ, Format.BZ2}:
        with open_stream(path, kind, most=most) as measured:
            measured.drain()
        with open_stream(path, kind, most=most) as stream:
            entry = Entry(name=_only_name(path, kind), kind=Kind.FILE, size=measured.position)
            yield iter([(entry, _chunks(stream))])
        return
    with open_stream(path, kind, most=most + _TAR_OVERHEAD_BYTES) as stream:
        yield walk_tar(stream)


def _chunks(stream: Forward) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def _only_name(path: Path, kind: Format) -> str:
    """What the file in a gzip or bzip2 was called: as its header tells (RFC 1952, 2.3.1), else after the archive."""
    if kind is Format.GZ:
        with path.open("rb") as file:
            head = file.read(64 * 1024 + 1024)
        at = 12 + int.from_bytes(head[10:12], "little") if head[3] & _GZIP_EXTRA else 10
        end = head.find(b"\0", at, at + 1024)
        if head[3] & _GZIP_NAME and end > at:
            return head[at:end].decode("latin-1")
    return path.stem if path.suffix.lower() in {".gz", ".bz2"} else path.name
