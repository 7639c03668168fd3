"""Names that a server chose, made fit to be names of files and objects."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from up42_pipelines.errors import LakeError

# 255 bytes is the limit of ext4, XFS and NTFS; temporary names add a prefix and a suffix to what is left.
_LONGEST_PART_BYTES = 200
_LONGEST_SAFE_NAME = 120
# GDAL believes what stands in `scene.tif.aux.xml` more than `scene.tif`, and reads masks and overviews so, too.
_SIDE_CAR = re.compile(r"\.(?=(?:aux\.xml|msk|ovr)$)", re.IGNORECASE)


def check_part(part: str) -> str:
    """Give back one segment of a path in the lake, or refuse it.

    Raises:
        LakeError: the segment is empty, `.` or `..`, too long, or has a separator, a control or formatting character
            (NUL, newline, right-to-left override), or an unpaired surrogate.
    """
    # Cc control, Cf format, Cs surrogate, Zl/Zp line and paragraph separators: none can be typed, all can deceive.
    odd = any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in part)
    if part in {"", ".", ".."} or "/" in part or "\\" in part or odd:
        raise LakeError(f"{part!r} cannot be a name in the lake; use letters, digits, '.', '_' and '-'.")
    if len(part.encode()) > _LONGEST_PART_BYTES:
        raise LakeError(f"{part[:40]!r}... cannot be a name in the lake: longer than {_LONGEST_PART_BYTES} bytes.")
    return part


def safe_name(text: str) -> str:
    """Turn any text into a file name of letters, digits, `.`, `_` and `-` (ASCII, at most 120 characters).

    A text that is fit already comes back as it is. Any other, and one that GDAL would read with a raster of the same
    name, gets a piece of its SHA-256, before the extension, so that two different texts keep two different names.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", unicodedata.normalize("NFKD", text)).lstrip(".-")
    name = _SIDE_CAR.sub("_", name)
    if name == text and 0 < len(name) <= _LONGEST_SAFE_NAME:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem or len(extension) > 8:
        stem, extension = name, ""
    stem = stem[: _LONGEST_SAFE_NAME - 20].strip("._-") or "unnamed"
    return f"{stem}-{digest}.{extension}" if extension else f"{stem}-{digest}"
