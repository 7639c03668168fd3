"""A raster of several files: GDAL sees those that belong to it, by what they are, and nothing else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, parse

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.rasters.formats import raster_format
from up42_pipelines.lake.rasters.source import RasterSource

_WORLD_FILES = frozenset({".tfw", ".j2w", ".wld"})
_MAX_WORLD_FILE_BYTES = 1000  # six numbers
_MAX_XML_BYTES = 64 << 20
_DIMAP_ROOT = "Dimap_Document"


@contextmanager
def gathered(source: RasterSource) -> Iterator[Path]:
    """The path to open in a folder of links to the raster's own files, where they lie as they do in the package.

    GDAL opens the files that a DIMAP names, and a mask, with whichever driver knows their content, VRT included (see
    `confinement.keep_only_needed_drivers`). So a member is only linked when it is TIFF, JPEG 2000 or NITF by its first
    bytes, a DIMAP document, or a world file; and a document must not name anything outside of the folder.

    Raises:
        InvalidDelivery: a document names what lies outside of the package, or cannot be parsed.
    """
    files = [source.path, *(member for member in source.members if member != source.path)]
    root = Path(os.path.commonpath([file.parent for file in files]))
    with tempfile.TemporaryDirectory(prefix="members-") as folder:
        for file in files:
            if file == source.path or _belongs(file, source):
                if source.driver == "DIMAP" and raster_format(file) is None and not _is_world_file(file):
                    _check_document(file, root)
                link = Path(folder) / file.relative_to(root)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file.resolve())
        yield Path(folder) / source.path.relative_to(root)


def _belongs(file: Path, source: RasterSource) -> bool:
    if raster_format(file) is not None or _is_world_file(file):
        return True
    return source.driver == "DIMAP" and file.suffix.lower() in {".xml", ".dim"} and _root(file).tag == _DIMAP_ROOT


def _is_world_file(file: Path) -> bool:
    return file.suffix.lower() in _WORLD_FILES and file.stat().st_size <= _MAX_WORLD_FILE_BYTES


def _check_document(file: Path, root: Path) -> None:
    document = _root(file)
    if document.tag != _DIMAP_ROOT:
        raise InvalidDelivery(f"{file.name} is no DIMAP document: its root is {document.tag!r:.60}.")
    for element in document.iter():
        href = element.get("href")
        if href is None or not element.tag.endswith("_PATH"):
            continue
        named = PurePosixPath(href.replace("\\", "/"))
        place = PurePosixPath(os.path.normpath(PurePosixPath(file.parent.relative_to(root).as_posix()) / named))
        # A scheme, a drive, or GDAL's `PREFIX:1:file` has a colon; so may a honest name, but no provider's.
        if named.is_absolute() or ":" in href or place.parts[:1] == ("..",):
            raise InvalidDelivery(f"{file.name} names {href!r:.200}, which lies outside of its package.")


def _root(file: Path) -> Element:
    if file.stat().st_size > _MAX_XML_BYTES:
        raise InvalidDelivery(f"{file.name}: {file.stat().st_size:,} bytes are too many for metadata.")
    try:
        element = parse(file, forbid_dtd=True).getroot()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise InvalidDelivery(f"{file.name} cannot be read as XML: {error!s:.200}.") from error
    if element is None:
        raise InvalidDelivery(f"{file.name} is an empty document.")
    return element
