"""What kind of archive a file is, by its content: names and media types of deliveries are often wrong."""

from __future__ import annotations

import bz2
import tarfile
import zlib
from enum import StrEnum
from pathlib import Path

BLOCK_BYTES = tarfile.BLOCKSIZE
_HEAD_BYTES = 64 * 1024
_BZ2_BLOCK_BYTES = 1 << 20  # compressed; nothing comes out of bzip2 before a whole block has gone in


class Format(StrEnum):
    """An archive that can be unpacked. No xz: no limit can be set on the memory that its header asks for."""

    ZIP = "zip"
    TAR = "tar"
    TAR_GZ = "tar.gz"
    TAR_BZ2 = "tar.bz2"
    GZ = "gz"
    BZ2 = "bz2"


def archive_format(path: Path) -> Format | None:
    """What kind of archive a file is, or None when it is none; a damaged archive still is one.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):  # APPNOTE 4.3.7; 4.3.16: nothing in it
            return Format.ZIP
        if head.startswith(b"\x1f\x8b\x08"):  # RFC 1952, 2.3
            return Format.TAR_GZ if _is_tar(_gunzip(head)) else Format.GZ
        if head.startswith(b"BZh") and head[4:10] == b"1AY&SY":
            head += file.read(_BZ2_BLOCK_BYTES)
            return Format.TAR_BZ2 if _is_tar(_bunzip(head)) else Format.BZ2
    return Format.TAR if _is_tar(head) else None


def _is_tar(head: bytes) -> bool:
    """Whether a header block begins here: its checksum decides, which also knows tars older than `ustar`."""
    try:
        tarfile.TarInfo.frombuf(head[:BLOCK_BYTES], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _gunzip(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(head, BLOCK_BYTES)
    except zlib.error:
        return b""


def _bunzip(head: bytes) -> bytes:
    try:
        return bz2.BZ2Decompressor().decompress(head, BLOCK_BYTES)
    except OSError:
        return b""
