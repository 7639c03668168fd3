"""What a file is, by its first bytes. Light: no library here."""

from __future__ import annotations

import re
from pathlib import Path

from up42_pipelines.lake.vectors.records import FormatName

_SQLITE = b"SQLite format 3\0"
# "application_id" of the SQLite header, at byte 68 (GeoPackage 1.4, requirement 2; 1.0 and 1.1 had their own).
_GEOPACKAGE_IDS = (b"GPKG", b"GP10", b"GP11")
_HEAD_BYTES = 1 << 16
_FEATURE_COLLECTION = re.compile(rb'"type"\s*:\s*"FeatureCollection"')


def vector_format(path: Path) -> FormatName | None:
    """What a file certainly is, whatever it is called; None when it is something else, or could be.

    Any JSON could be meant as GeoJSON: only a FeatureCollection that says so near its beginning certainly is.
    """
    head = _head(path)
    if head.startswith(_SQLITE):
        return "GeoPackage" if head[68:72] in _GEOPACKAGE_IDS else None
    return "GeoJSON" if _is_object(head) and _FEATURE_COLLECTION.search(head) else None


def claimed_format(path: Path) -> FormatName | None:
    """What a file may be of which somebody says that it holds features; None when it cannot be."""
    head = _head(path)
    if head.startswith(_SQLITE):
        return "GeoPackage"
    return "GeoJSON" if _is_object(head) else None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _is_object(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
