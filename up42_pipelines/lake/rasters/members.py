"""A raster of several files: GDAL sees those that belong to it, by what they are, and nothing else."""

from __future__ import annotations

import math
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
DIMAP_ROOTS = ("Dimap_Document", "PHR_DIMAP_Document")  # the second of the first Pléiades products


@contextmanager
def gathered(source: RasterSource) -> Iterator[Path]:
    """The path to open in a folder of links to the raster's own files, where they lie as they do in the package.

    GDAL opens the files that a DIMAP names, and a mask, with whichever driver knows their content, VRT included (see
    `confinement.keep_only_needed_drivers`). So a member is only linked when it is TIFF, JPEG 2000 or NITF by its first
    bytes, a DIMAP document, or a world file; and a document must not name anything outside of the folder. RPCs that
    are no numbers are left out.

    Raises:
        InvalidDelivery: a document names what lies outside of the package, or cannot be parsed.
    """
    files = [source.path, *(member for member in source.members if member != source.path)]
    root = Path(os.path.commonpath([file.parent for file in files]))
    with tempfile.TemporaryDirectory(prefix="members-") as folder:
        for file in files:
            if raster_format(file) is None and not _is_world_file(file):
                document = _document(file) if _is_document(file, source) else None
                if document is None and file == source.path:
                    raise InvalidDelivery(f"{file.name} is no DIMAP document.")
                if document is None or _has_placeholders(document):
                    continue
                _check_names(document, file, root)
            link = Path(folder) / file.relative_to(root)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())
        yield Path(folder) / source.path.relative_to(root)


def has_placeholder_rpcs(source: RasterSource) -> bool:
    """Whether a DIMAP comes with RPCs that are no numbers: some have the names of the fields as values."""
    documents = (_document(member) for member in source.members if _is_document(member, source))
    return any(document is not None and _has_placeholders(document) for document in documents)


def references(root: Element) -> Iterator[tuple[str, str]]:
    """Every `href` with the upper-case name of its element, which GDAL compares without case.

    As an attribute, or as a child, which GDAL takes for one.
    """
    for element in root.iter():
        owner = _local(element.tag).upper()
        for name, value in element.attrib.items():
            if _local(name).lower() == "href":
                yield owner, value
        for child in element:
            if _local(child.tag).lower() == "href":
                yield owner, (child.text or "").strip()


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _is_document(file: Path, source: RasterSource) -> bool:
    return file == source.path or (source.driver == "DIMAP" and file.suffix.lower() in {".xml", ".dim"})


def _has_placeholders(document: Element) -> bool:
    model = document.find(".//Global_RFM")
    return model is not None and not all(_is_number(leaf.text) for leaf in model.iter() if len(leaf) == 0)


def _is_number(text: str | None) -> bool:
    try:
        return math.isfinite(float(text or ""))
    except ValueError:
        return False


def _is_world_file(file: Path) -> bool:
    return file.suffix.lower() in _WORLD_FILES and file.stat().st_size <= _MAX_WORLD_FILE_BYTES


def _check_names(document: Element, file: Path, root: Path) -> None:
    for owner, href in references(document):
        if not owner.endswith("_PATH"):
            continue
        named = PurePosixPath(href.replace("\\", "/"))
        place = PurePosixPath(os.path.normpath(PurePosixPath(file.parent.relative_to(root).as_posix()) / named))
        if owner != "DATA_FILE_PATH" and href.startswith(("http://", "https://")):
            continue  # a producer's page, which GDAL does not open
        # A scheme, a drive, or GDAL's `PREFIX:1:file` has a colon; so may an honest name, but no provider's.
        if named.is_absolute() or ":" in href or place.parts[:1] == ("..",):
            raise InvalidDelivery(f"{file.name} names {href!r:.200}, which lies outside of its package.")


def _document(file: Path) -> Element | None:
    """The root of a DIMAP document; None for another kind of XML."""
    if file.stat().st_size > _MAX_XML_BYTES:
        raise InvalidDelivery(f"{file.name}: {file.stat().st_size:,} bytes are too many for metadata.")
    try:
        element = parse(file, forbid_dtd=True).getroot()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise InvalidDelivery(f"{file.name} cannot be read as XML: {error!s:.200}.") from error
    return element if element is not None and element.tag in DIMAP_ROOTS else None
