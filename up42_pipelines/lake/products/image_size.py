"""Width and height of a TIFF or JPEG 2000 file by its header, without GDAL."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_WIDTH, _LENGTH = 256, 257  # TIFF 6.0, section 8: ImageWidth, ImageLength
# TIFF 6.0, section 2, and BigTIFF: SHORT, LONG, LONG8, as struct formats.
_INTEGERS = {3: "H", 4: "I", 16: "Q"}
_MOST_ENTRIES = 4096
_MOST_BOXES = 64


def image_size(path: Path) -> tuple[int, int] | None:
    """Columns and rows; None for another format, and for a header that makes no sense (which GDAL will refuse)."""
    end = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        try:
            if head[:2] in {b"II", b"MM"}:
                return _tiff_size(file, "<" if head.startswith(b"II") else ">", head, end)
            return _jp2_size(file, end) if head[4:8] == b"jP  " else None
        except struct.error:
            return None


def _tiff_size(file: BinaryIO, order: str, head: bytes, end: int) -> tuple[int, int] | None:
    """From the first image file directory."""
    big = struct.unpack(f"{order}H", head[2:4])[0] == 43
    file.seek(8 if big else 4)
    (directory,) = struct.unpack(f"{order}{'Q' if big else 'I'}", file.read(8 if big else 4))
    if directory >= end:
        return None
    file.seek(directory)
    (count,) = struct.unpack(f"{order}{'Q' if big else 'H'}", file.read(8 if big else 2))
    found = {}
    for _ in range(min(count, _MOST_ENTRIES)):
        entry = file.read(20 if big else 12)
        tag, kind = struct.unpack(f"{order}HH", entry[:4])
        if tag in {_WIDTH, _LENGTH} and kind in _INTEGERS:
            form = f"{order}{_INTEGERS[kind]}"
            start = 12 if big else 8
            (found[tag],) = struct.unpack(form, entry[start : start + struct.calcsize(form)])
    return (found[_WIDTH], found[_LENGTH]) if len(found) == 2 else None


def _jp2_size(file: BinaryIO, end: int) -> tuple[int, int] | None:
    """From the image header box, the first in the JP2 header box (ISO/IEC 15444-1, I.5.3)."""
    at = 0
    for _ in range(_MOST_BOXES):
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"jp2h":
            _, inner, height, width = struct.unpack(">I4sII", file.read(16))
            return (width, height) if inner == b"ihdr" else None
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        at += length
        if length < 8 or at >= end:
            return None
    return None
