"""How much an archive may become, and how odd it may be."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackLimits:
    """What is unpacked at most; the defaults leave room for deliveries of tens of gigabytes.

    Attributes:
        entries: files and folders, those of nested archives included.
        entry_bytes: bytes of one unpacked file.
        total_bytes: bytes of everything unpacked, nested archives and what is in them included.
        ratio: unpacked bytes per byte of the archive; deflate stays below 1032, imagery below 20.
        ratio_from_bytes: what any archive may become, however small it is.
        nesting: how deep archives inside the archive are unpacked; 0 leaves them as files.
        path_bytes: length of a path inside the archive, in bytes of UTF-8.
        path_depth: segments of such a path.
        directory_bytes: size of a zip's central directory, which is read into memory as a whole.
    """

    entries: int = 20_000
    entry_bytes: int = 200 * GIB
    total_bytes: int = 500 * GIB
    ratio: int = 100
    ratio_from_bytes: int = 128 * MIB
    nesting: int = 1
    path_bytes: int = 1024
    path_depth: int = 32
    directory_bytes: int = 8 * MIB

    def most(self, packed_bytes: int) -> int:
        """Bytes that an archive of this many bytes may become."""
        return min(self.total_bytes, max(self.ratio_from_bytes, self.ratio * packed_bytes))
