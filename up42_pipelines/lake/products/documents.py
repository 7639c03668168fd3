"""Reading the metadata files of strangers: XML, JSON, and what a file is by its first bytes."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from up42_pipelines.errors import InvalidDelivery

if TYPE_CHECKING:
    from up42_pipelines.lake.products.records import Member

# The largest metadata seen are Sentinel-2's MTD_DS.xml (13 MB, not read here); a parsed tree takes some ten times that.
MAX_DOCUMENT_BYTES = 16 << 20
_HEAD_BYTES = 4096
# What a browser would run (also by namespace, under any prefix), document types and entities, and descriptions of
# services and other files that GDAL would follow. With a NUL it is UTF-16, which would hide all of these.
_ACTIVE = (
    *(b"<html", b"<svg", b"<xsl:", b"<script", b"www.w3.org/1999/xhtml", b"www.w3.org/2000/svg"),
    *(b"<!doctype", b"<!entity", b"<gdal_", b"<vrtdataset", b"<ogrvrt", b"<wcs_", b"\0"),
)
# Pillow, and many a viewer, takes a larger picture for an attack (PIL.Image.MAX_IMAGE_PIXELS).
_MAX_PICTURE_PIXELS = 89_478_485


def read_head(member: Member) -> bytes:
    """The first 4096 bytes."""
    with member.path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def read_bytes(member: Member) -> bytes:
    """A whole metadata file.

    Raises:
        InvalidDelivery: it is empty, or larger than any metadata.
    """
    with member.path.open("rb") as file:
        content = file.read(MAX_DOCUMENT_BYTES + 1)
    if not content:
        raise InvalidDelivery(f"{member.name} is empty.")
    if len(content) > MAX_DOCUMENT_BYTES:
        raise InvalidDelivery(f"{member.name} has more than {MAX_DOCUMENT_BYTES:,} bytes; no metadata file has.")
    return content


def read_xml(member: Member) -> Element:
    """The root of an XML document, with the namespaces taken off the names of elements.

    Raises:
        InvalidDelivery: the file is too large, is not well-formed, is not in the encoding it declares, or has a
            document type declaration or entities, which no provider's metadata need and every XML attack does.
    """
    content = read_bytes(member)
    try:
        root: Element = defusedxml.ElementTree.fromstring(content, forbid_dtd=True)
    except DefusedXmlException as error:
        raise InvalidDelivery(f"{member.name} has a document type or entities in its XML: {error}.") from error
    # ValueError, LookupError: encodings that expat or Python do not know.
    except (ParseError, ValueError, LookupError) as error:
        raise InvalidDelivery(f"{member.name} is not well-formed XML: {error}.") from error
    for element in root.iter():
        element.tag = local_name(element.tag)
    return root


def local_name(tag: str) -> str:
    """The name of an element or attribute without `{namespace}`."""
    return tag.rpartition("}")[2]


def text_of(root: Element, path: str) -> str | None:
    """The text of the first element at a path such as `Dataset_Content/CLOUD_COVERAGE`; None when there is none."""
    return (root.findtext(path) or "").strip() or None


def read_json(member: Member) -> Any:
    """A JSON document.

    Raises:
        InvalidDelivery: it is too large, no JSON, nested absurdly deep, or has numbers that are none (NaN, 1e400).
    """
    try:
        return json.loads(read_bytes(member).decode("utf-8-sig"), parse_float=_finite, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidDelivery(f"{member.name} cannot be read as JSON: {str(error)[:200]}.") from error


def media_type(member: Member) -> str | None:
    """The media type of what may lie beside rasters, by content; None for all else.

    HTML, SVG and style sheets are left out on purpose: a browser that is shown the lake would run them. So is XML with
    a document type or entities, and what GDAL takes for a data set elsewhere.
    """
    head = read_head(member)
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
        return "image/png" if width * height <= _MAX_PICTURE_PIXELS else None
    if head.startswith(b"%PDF-"):
        return "application/pdf"
    suffix = member.name.suffix.lower()
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<"):
        return _xml_media_type(member, suffix)
    if suffix in {".json", ".geojson"} and start.startswith((b"{", b"[")):
        return "application/geo+json" if suffix == ".geojson" else "application/json"
    if suffix in {".txt", ".gtf", ".md", ".met"} and b"\0" not in head:
        return "text/plain"
    return None


def _xml_media_type(member: Member, suffix: str) -> str | None:
    if suffix not in {".xml", ".gml", ".dim", ".safe", ".kml"} or member.size > MAX_DOCUMENT_BYTES:
        return None
    content = read_bytes(member).lower()
    if any(sign in content for sign in _ACTIVE):
        return None
    return {".gml": "application/gml+xml", ".kml": "application/vnd.google-earth.kml+xml"}.get(
        suffix, "application/xml"
    )


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise ValueError(f"{literal[:20]} is no number")
    return value


def _refuse_constant(literal: str) -> float:
    raise ValueError(f"{literal} is no number")
