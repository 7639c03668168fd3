from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.products import documents
from up42_pipelines.lake.products.documents import media_type, read_json, read_xml, text_of

Unpacked = Callable[..., Any]


def test_namespaces_are_taken_off_the_names(unpacked: Unpacked) -> None:
    (member,) = unpacked({"m.xml": '<n:a xmlns:n="http://x"><n:b> 7 </n:b><n:c/></n:a>'})
    root = read_xml(member)
    assert (root.tag, text_of(root, "b"), text_of(root, "c"), text_of(root, "d")) == ("a", "7", None, None)


LAUGHS = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><l>&b;</l>'


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"<a><b></a>", "not well-formed"),
        (b"<a>", "not well-formed"),
        (b'<?xml version="1.0" encoding="UTF-8"?><a>Gr\xf6\xdfe</a>', "not well-formed"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "not well-formed"),
        (b"<!DOCTYPE a><a/>", "document type"),
        (LAUGHS.encode(), "document type"),
        (LAUGHS.encode("utf-16"), "document type"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>', "document type"),
        (b'<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd"><a/>', "document type"),
        (b"<a>&undefined;</a>", "not well-formed"),
    ],
)
def test_damaged_and_hostile_xml_is_refused_by_name(unpacked: Unpacked, content: bytes, why: str) -> None:
    (member,) = unpacked({"sub/DIM_x.XML": content})
    with pytest.raises(InvalidDelivery, match=rf"sub/DIM_x\.XML .*{why}"):
        read_xml(member)


def test_latin_1_that_says_so_is_read(unpacked: Unpacked) -> None:
    (member,) = unpacked({"m.xml": '<?xml version="1.0" encoding="ISO-8859-1"?><a><b>Größe</b></a>'.encode("latin-1")})
    assert text_of(read_xml(member), "b") == "Größe"


def test_a_metadata_file_has_a_size_limit(unpacked: Unpacked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_DOCUMENT_BYTES", 100)
    small, large = unpacked({"a.xml": "<a>" + "x" * 93 + "</a>", "b.xml": "<a>" + "x" * 94 + "</a>"})
    assert read_xml(small).tag == "a"
    with pytest.raises(InvalidDelivery, match="more than 100 bytes"):
        read_xml(large)


def test_deeply_nested_xml_does_no_harm(unpacked: Unpacked) -> None:
    (member,) = unpacked({"m.xml": "<a>" * 100_000 + "</a>" * 100_000})
    assert sum(1 for _ in read_xml(member).iter()) == 100_000


@pytest.mark.parametrize(
    "content", ["", "{", "[" * 50_000, '{"a": NaN}', '{"a": 1e400}', '{"a": ' + "9" * 5000 + "}", b"\xff\xfe{}"]
)
def test_damaged_and_hostile_json_is_refused_by_name(unpacked: Unpacked, content: str | bytes) -> None:
    (member,) = unpacked({"manifest.json": content})
    with pytest.raises(InvalidDelivery, match=r"manifest\.json"):
        read_json(member)


def test_json_with_a_byte_order_mark_is_read(unpacked: Unpacked) -> None:
    (member,) = unpacked({"m.json": b"\xef\xbb\xbf" + b'{"a": 1.5}'})
    assert read_json(member) == {"a": 1.5}


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + bytes(20)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("PREVIEW.JPG", b"\xff\xd8\xff\xe0" + bytes(20), "image/jpeg"),
        ("named.txt", b"\xff\xd8\xff\xe0" + bytes(20), "image/jpeg"),
        ("thumb.png", png(100, 100), "image/png"),
        ("bomb.png", png(100_000, 100_000), None),
        ("LICENSE.PDF", b"%PDF-1.7", "application/pdf"),
        ("DIM.XML", b"<a/>", "application/xml"),
        ("METADATA.DIM", b"\xef\xbb\xbf<?xml version='1.0'?><a/>", "application/xml"),
        ("ROI.GML", b"<a/>", "application/gml+xml"),
        ("README.GTF", b"plain words", "text/plain"),
        ("binary.txt", b"a\0b", None),
        ("m.json", b' {"a": 1}', "application/json"),
        ("m.json", b"GIF89a", None),
        ("quicklook.jpg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", None),
        ("quicklook.xml", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", None),
        ("late.xml", b"<!-- " + b"x" * 5000 + b" --><svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", None),
        ("prefix.xml", b"<a xmlns:h='http://www.w3.org/1999/xhtml'><h:script>alert(1)</h:script></a>", None),
        ("styled.xml", b"<?xml-stylesheet type='text/xsl' href='STYLE.XSL'?><Dimap_Document/>", "application/xml"),
        ("INDEX.HTM", b"<html></html>", None),
        ("index.xml", b"<html></html>", None),
        ("page.txt", b"<script>alert(1)</script>", None),
        ("STYLE.XSL", b"<xsl:stylesheet/>", None),
        ("xxe.xml", b"<!-- " + b"x" * 5000 + b" --><!DOCTYPE a><a/>", None),
        ("utf16.xml", "<a/>".encode("utf-16"), None),
        ("utf16.xml", "<!DOCTYPE a><a/>".encode("utf-16-le"), None),
        ("run.exe", b"MZ", None),
        ("empty.xml", b"", None),
    ],
)
def test_what_may_lie_beside_rasters_is_told_by_content(
    unpacked: Unpacked, name: str, content: bytes, kind: str | None
) -> None:
    (member,) = unpacked({name: content})
    assert media_type(member) == kind


@pytest.mark.parametrize(
    "name",
    ["xml_billion_laughs.xml", "xml_xxe_local_file.xml", "xml_latin1_declared_utf8.xml", "xml_truncated_dimap.xml"],
)
def test_the_hostile_xml_files(real_data: Path, unpacked: Unpacked, name: str) -> None:
    (member,) = unpacked({name: (real_data / "hostile" / name).read_bytes()})
    with pytest.raises(InvalidDelivery, match=name):
        read_xml(member)


@pytest.mark.parametrize("name", ["json_deep_nesting_50000.json", "json_big_number.json"])
def test_the_hostile_json_files(real_data: Path, unpacked: Unpacked, name: str) -> None:
    (member,) = unpacked({name: (real_data / "hostile" / name).read_bytes()})
    with pytest.raises(InvalidDelivery, match=name):
        read_json(member)


@pytest.mark.parametrize("name", ["svg_named_quicklook.jpg", "png_huge_dimensions.png", "gdal_wms_loopback.xml"])
def test_hostile_pictures_and_services_are_not_landed(real_data: Path, unpacked: Unpacked, name: str) -> None:
    (member,) = unpacked({name: (real_data / "hostile" / name).read_bytes()})
    assert media_type(member) is None
