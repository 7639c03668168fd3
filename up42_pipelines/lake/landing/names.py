"""Names of an item's files: plain, readable, and each used once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from up42_pipelines.lake.names import safe_name

# Endings that a name loses when its file becomes another one.
_REPLACED = {
    ".tif": frozenset({"tif", "tiff", "jp2", "ntf", "xml", "dim"}),
    ".parquet": frozenset({"geojson", "json", "gpkg"}),
}


class FileNames:
    """The file names of one item. Compared without case: on macOS and Windows `A.tif` and `a.tif` are one file.

    Args:
        taken: names that are not to be had.
        in_use: SHA-256 by name of files in the lake; their names are for the same bytes only.
    """

    def __init__(self, taken: Iterable[str], in_use: Mapping[str, str]) -> None:
        self._taken = {name.casefold() for name in taken}
        self._in_use = {name.casefold(): sha256 for name, sha256 in in_use.items()}

    def new(self, key: str, suffix: str, sha256: str) -> str:
        """A file name for an asset key: safe, with the suffix of its format, used by no other file of the item."""
        name = safe_name(key)
        stem, dot, ending = name.rpartition(".")
        if suffix in _REPLACED:
            name = f"{stem if dot and ending.lower() in _REPLACED[suffix] else name}{suffix}"
        elif suffix and not dot:
            name += suffix
        text = key
        while name.casefold() in self._taken or self._in_use.get(name.casefold(), sha256) != sha256:
            stem, dot, ending = name.rpartition(".")
            text = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
            name = f"{stem}-{text}.{ending}" if dot else f"{name}-{text}"
        self._taken.add(name.casefold())
        return name
