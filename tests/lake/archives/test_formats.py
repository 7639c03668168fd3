from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile

import pytest

from up42_pipelines.lake.archives.formats import Format, archive_format


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (lambda make: make.zip(("a.tif", b"x")), Format.ZIP),
        (lambda make: make.zip(), Format.ZIP),
        (lambda make: make.zip(("a.tif", b"x"))[:25], Format.ZIP),
        (lambda make: make.tar(("a.tif", b"x")), Format.TAR),
        (lambda make: make.tar(("a.tif", b"x"), tar_format=tarfile.GNU_FORMAT), Format.TAR),
        (lambda make: make.tar(("a.tif", b"x"), tar_format=tarfile.USTAR_FORMAT), Format.TAR),
        (lambda make: make.tar(("a.tif", b"x"), mode="w:gz"), Format.TAR_GZ),
        (lambda make: make.tar(("a.tif", b"x" * 1_000_000), mode="w:bz2"), Format.TAR_BZ2),
        (lambda _: gzip.compress(b"II*\0" + bytes(600)), Format.GZ),
        (lambda _: bz2.compress(b"II*\0"), Format.BZ2),
        (lambda _: lzma.compress(b"II*\0"), None),
        (lambda _: b"", None),
        (lambda _: bytes(10240), None),
        (lambda _: b'{"title": "Forbidden"}', None),
        (lambda _: b"<html>PK\3\4</html>", None),
        (lambda _: b"II*\0" + bytes(2000), None),
        (lambda _: b"BZh9 is how this text begins", None),
    ],
)
def test_the_content_tells_the_format(make, store, content, expected):
    assert archive_format(store(content(make), "misleading.tif.zip")) == expected


def test_a_zip64_archive_is_a_zip(store, tmp_path):
    with zipfile.ZipFile(tmp_path / "delivery", "w") as archive, archive.open("a.tif", "w", force_zip64=True) as file:
        file.write(b"x")
    assert archive_format(tmp_path / "delivery") is Format.ZIP
