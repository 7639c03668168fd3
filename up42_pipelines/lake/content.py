"""What an asset claims to be, and whether its bytes agree."""

from __future__ import annotations

import hashlib
from enum import Enum
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pystac

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.rasters.formats import raster_format
from up42_pipelines.lake.transfer.partial import Received
from up42_pipelines.lake.vectors.formats import vector_format

COG_MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
PARQUET_MEDIA_TYPE = "application/vnd.apache.parquet"

_RASTER_TYPES = frozenset(
    {"image/tiff", "image/tif", "image/geotiff", "image/vnd.stac.geotiff", "image/jp2", "image/jpx"}
)
_RASTER_SUFFIXES = frozenset({".tif", ".tiff", ".jp2"})
_ARCHIVE_TYPES = frozenset(
    f"application/{name}"
    for name in ("zip", "x-zip-compressed", "gzip", "x-gzip", "x-tar", "x-gtar", "x-compressed-tar", "x-7z-compressed")
)
_ARCHIVE_SUFFIXES = frozenset({".zip", ".gz", ".tgz", ".tar", ".7z"})
_VECTOR_TYPES = frozenset({"application/geo+json", "application/vnd.geo+json", "application/geopackage+sqlite3"})
_VECTOR_SUFFIXES = frozenset({".geojson", ".gpkg"})
# Types that say themselves that the asset is no raster, even with the role "data": tables, documents.
_DOCUMENT_TYPES = frozenset({"application/json", "application/xml", "application/pdf", PARQUET_MEDIA_TYPE})
# Types that say nothing of what is in the file.
_VAGUE_TYPES = frozenset({None, "application/json", "application/octet-stream"})
_SUFFIX_OF = {
    "application/json": ".json",
    "application/geo+json": ".geojson",
    "application/geopackage+sqlite3": ".gpkg",
    "application/xml": ".xml",
    "text/xml": ".xml",
    "text/plain": ".txt",
    "image/jpeg": ".jpg",
    "image/png": ".png",
}
# How each type must begin, after white space and a byte order mark where the format allows them.
_BEGINNINGS: dict[str, tuple[bytes, ...]] = {
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "application/json": (b"{", b"["),
    "application/geo+json": (b"{",),
    "application/geopackage+sqlite3": (b"SQLite format 3\0",),
    "application/xml": (b"<",),
    "text/xml": (b"<",),
}


class Kind(Enum):
    """How an asset is landed."""

    RASTER = "raster"
    VECTOR = "vector"
    ARCHIVE = "archive"
    FILE = "file"


def kind_of(asset: pystac.Asset) -> Kind:
    """How to land an asset, by its media type, its roles, and the ending of its href when it has no type.

    Features with other roles than `data` (an outline among the metadata, say) stay as they are.
    """
    media_type = media_type_of(asset)
    suffix = PurePosixPath(urlsplit(asset.href).path).suffix.lower() if media_type is None else ""
    if media_type in _RASTER_TYPES or suffix in _RASTER_SUFFIXES:
        return Kind.RASTER
    if media_type in _ARCHIVE_TYPES or suffix in _ARCHIVE_SUFFIXES:
        return Kind.ARCHIVE
    if media_type in _VECTOR_TYPES or suffix in _VECTOR_SUFFIXES:
        return Kind.VECTOR if "data" in (asset.roles or ["data"]) else Kind.FILE
    if "data" in (asset.roles or []) and not (media_type in _DOCUMENT_TYPES or (media_type or "").startswith("text/")):
        return Kind.RASTER
    return Kind.FILE


def kind_by_content(asset: pystac.Asset, path: Path) -> Kind:
    """How to land an asset that has arrived: the same, unless its type says nothing, and its first bytes do."""
    kind, media_type = kind_of(asset), media_type_of(asset)
    if kind not in (Kind.RASTER, Kind.FILE) or media_type not in _VAGUE_TYPES:
        return kind
    if media_type is None and raster_format(path) is not None:
        return Kind.RASTER
    return Kind.VECTOR if "data" in (asset.roles or []) and vector_format(path) is not None else kind


def media_type_of(asset: pystac.Asset) -> str | None:
    """Media type without parameters, lower case; None when the asset has none."""
    return (asset.media_type or "").partition(";")[0].strip().lower() or None


def suffix_of(media_type: str | None) -> str:
    """File name ending for a media type; empty when unknown."""
    return _SUFFIX_OF.get(media_type or "", "")


def check_content(path: Path, media_type: str | None) -> None:
    """Refuse a file that does not begin like its media type: an SVG with a script is no JPEG preview.

    Raises:
        InvalidDelivery: it is empty, or something else.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise InvalidDelivery("The file is empty.")
    textual = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    expected = _BEGINNINGS.get(media_type or "", ())
    if expected and not (head if (media_type or "").startswith("image/") else textual).startswith(expected):
        raise InvalidDelivery(f"The file is not {media_type}: it starts with {head[:40]!r}.")


def check_announced(asset: pystac.Asset, received: Received) -> None:
    """Compare with `file:size` and `file:checksum` (multihash, SHA-256 only) when the item announces them.

    Raises:
        InvalidDelivery: they differ.
    """
    size, checksum = asset.extra_fields.get("file:size"), asset.extra_fields.get("file:checksum")
    if size is not None and size != received.size:
        raise InvalidDelivery(f"The item announces {size} bytes, {received.size} were delivered.")
    if isinstance(checksum, str) and checksum.startswith("1220") and checksum.lower() != f"1220{received.sha256()}":
        raise InvalidDelivery(f"The item announces the checksum {checksum}, the file has 1220{received.sha256()}.")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
