"""An unpacked delivery as its files, looked up by the references that metadata make."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from up42_pipelines.lake.names import safe_name
from up42_pipelines.lake.products.records import Member, Problem, Product, Severity
from up42_pipelines.lake.rasters.formats import raster_format
from up42_pipelines.lake.rasters.source import RasterSource

# What no relative path of a provider has, and what GDAL or a shell reads more into: drive letters and schemes, other
# separators, inline XML or JSON, wildcards, pipes.
_ODD = re.compile(r'[\\:<>{}"|?*\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]')
_WORLD_FILES = (".tfw", ".j2w", ".wld")
_SIDE_CARS = (*_WORLD_FILES, ".msk", ".ovr")
_CHUNK_BYTES = 1 << 20


def resolve(folder: PurePosixPath, href: str) -> PurePosixPath | None:
    """Where in the delivery a reference leads, made by a file in `folder`.

    Returns:
        None unless it is a plain relative path that never leaves the delivery, not even to come back.
    """
    if not href or href.startswith(("/", "~")) or _ODD.search(href):
        return None
    parts = list(folder.parts)
    for part in href.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return PurePosixPath(*parts) if parts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """A product, and which files are its.

    Attributes:
        product: what was found.
        folder: where it lies; other files under it are its papers.
        claimed: files that nobody else may take for rasters or documents of their own.
    """

    product: Product
    folder: PurePosixPath
    claimed: frozenset[PurePosixPath]


class Delivery:
    """The files of an unpacked delivery, in the order of their names."""

    def __init__(self, members: Iterable[Member]) -> None:
        self.members: Sequence[Member] = sorted(members, key=lambda member: member.name.as_posix())
        self._by_name = {member.name: member for member in self.members}
        self._formats: dict[PurePosixPath, str | None] = {}

    def get(self, name: PurePosixPath) -> Member | None:
        """The file of that name."""
        return self._by_name.get(name)

    def under(self, folder: PurePosixPath) -> list[Member]:
        """The files in a folder and its folders."""
        return [member for member in self.members if member.name.is_relative_to(folder)]

    @cached_property
    def folders(self) -> frozenset[PurePosixPath]:
        """Every folder with a file in it."""
        return frozenset(member.name.parent for member in self.members)

    def raster_format(self, member: Member) -> str | None:
        """GDAL's driver for the file by its first bytes: GTiff, JP2OpenJPEG, NITF; None when it is no raster."""
        if member.name not in self._formats:
            side_car = member.name.suffix.lower() in _SIDE_CARS
            self._formats[member.name] = None if side_car else raster_format(member.path)
        return self._formats[member.name]

    def source(self, member: Member) -> RasterSource:
        """A single file as a raster, with its side-car mask and world file."""
        return RasterSource(
            path=member.path,
            driver=self.raster_format(member),
            members=tuple(side_car.path for side_car in self.side_cars(member)),
        )

    def side_cars(self, member: Member) -> list[Member]:
        """The mask (`image.tif.msk`, itself a TIFF) and the world file (`image.tfw`) of a raster."""
        name, stem = member.name.name.lower(), member.name.stem.lower()
        found = [self._by_lower_name.get(member.name.parent / f"{stem}{suffix}") for suffix in _WORLD_FILES]
        mask = self._by_lower_name.get(member.name.parent / f"{name}.msk")
        if mask is not None and raster_format(mask.path) == "GTiff":
            found.append(mask)
        return [other for other in found if other is not None]

    @cached_property
    def _by_lower_name(self) -> dict[PurePosixPath, Member]:
        return {member.name.parent / member.name.name.lower(): member for member in self.members}


def file_digest(member: Member, algorithm: str) -> str:
    """The checksum of a file, in hexadecimal."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with member.path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def some(names: Sequence[str], *, at_most: int = 5) -> str:
    """The first of many names, for a message."""
    rest = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {rest} more" if rest > 0 else "")


def asset_key(text: str) -> str:
    """A key for an asset out of a name that a stranger chose."""
    return safe_name(text) if text else "unnamed"


def problem(severity: Severity, member: Member | PurePosixPath, message: str) -> Problem:
    """A problem of a file."""
    name = member if isinstance(member, PurePosixPath) else member.name
    return Problem(severity=severity, subject=str(name), message=message)
