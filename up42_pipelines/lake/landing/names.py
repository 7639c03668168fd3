"""Names of an item's files: plain, readable, and each used once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from up42_pipelines.lake.names import safe_name

# Endings that a name loses when its file becomes another one.
_REPLACED = {
    ".tif": frozenset({"tif", "tiff", "jp2", "ntf", "xml", "dim"}),
    ".parquet": frozenset({"geojson", "json", "gpkg"}),
}


class FileNames:
    """The file names of one item. Compared without case: on macOS and Windows `A.tif` and `a.tif` are one file.

    Args:
        taken: names that are in use already.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = {name.casefold() for name in taken}

    def take(self, name: str) -> None:
        """Note that a name is in use."""
        self._taken.add(name.casefold())

    def new(self, key: str, suffix: str) -> str:
        """A file name for an asset key: safe, with the suffix of its format, used by no other file of the item."""
        name = safe_name(key)
        stem, dot, ending = name.rpartition(".")
        if suffix in _REPLACED:
            name = f"{stem if dot and ending.lower() in _REPLACED[suffix] else name}{suffix}"
        elif suffix and not dot:
            name += suffix
        if name.casefold() in self._taken:
            stem, dot, ending = name.rpartition(".")
            digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8]
            name = f"{stem}-{digest}.{ending}" if dot else f"{name}-{digest}"
        self.take(name)
        return name
