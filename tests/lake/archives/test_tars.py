from __future__ import annotations

import gzip
import tarfile

import pytest

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.archives.limits import UnpackLimits
from up42_pipelines.lake.archives.survey import survey
from up42_pipelines.lake.archives.unpack import unpack

LIMITS = UnpackLimits()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2"])
@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_and_content_come_back(make, store, tmp_path, mode, tar_format):
    entries = [
        ("./a/b.tif", b"abc" * 400_000),
        ("empty.tif", b""),
        ("Größe ü.tif", b"x" * 512),
        (f"{'f' * 60}/{'g' * 60}.tif", b"y" * 513),  # ustar's prefix, GNU's long name, pax's path
    ]
    path = store(make.tar(*entries, mode=mode, tar_format=tar_format))
    files = unpack(path, tmp_path / "out", limits=LIMITS).files
    assert [(str(file.name), file.path.read_bytes()) for file in files] == [
        (name.removeprefix("./"), content) for name, content in entries
    ]


def test_a_name_in_another_encoding_is_made_safe(make, store, tmp_path):
    info = tarfile.TarInfo("H\udcf6he.tif")
    path = store(make.tar((info, b"x"), tar_format=tarfile.GNU_FORMAT))
    (file,) = unpack(path, tmp_path / "out", limits=LIMITS).files
    assert file.path.name.isascii()
    assert file.path.read_bytes() == b"x"


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (special("a", tarfile.SYMTYPE, "/tmp"), "symbolic link"),
        (special("a", tarfile.LNKTYPE, "ok.tif"), "hard link"),
        (special("a", tarfile.CHRTYPE), "device"),
        (special("a", tarfile.BLKTYPE), "device"),
        (special("a", tarfile.FIFOTYPE), "named pipe"),
        (special("a", b"M"), "unknown kind"),
        (special("a", tarfile.GNUTYPE_SPARSE), "sparse"),
    ],
)
def test_special_entries_are_refused(make, store, info, reason):
    with pytest.raises(InvalidDelivery, match=reason):
        survey(store(make.tar(("ok.tif", b"x"), (info, b""))), LIMITS)


def test_setuid_is_ignored(make, store, tmp_path):
    info = tarfile.TarInfo("tool.sh")
    info.mode = 0o6777
    (file,) = unpack(store(make.tar((info, b"x"))), tmp_path / "out", limits=LIMITS).files
    assert file.path.stat().st_mode & 0o7777 == 0o644


def pax(records: dict[str, str], kind: bytes = tarfile.XHDTYPE) -> bytes:
    body = b""
    for key, value in records.items():
        rest = f" {key}={value}\n".encode()
        length = len(rest) + 1
        while length != len(rest) + len(str(length)):
            length += 1
        body += str(length).encode() + rest
    return block(kind, body)


def block(kind: bytes, body: bytes, size: int | None = None) -> bytes:
    info = special("header", kind)
    info.size = len(body) if size is None else size
    return info.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512)


FILE = block(tarfile.REGTYPE, b"abc")
END = bytes(1024)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pax({"path": "../a"}) + FILE + END, "`..`"),
        (block(tarfile.GNUTYPE_LONGNAME, b"/etc/passwd\0") + FILE + END, "absolute"),
        (pax({"GNU.sparse.major": "1"}) + FILE + END, "sparse"),
        (pax({"size": "-3"}) + FILE + END, "size is no number"),
        (pax({"size": "9" * 30}) + FILE + END, "ends too early|most"),
        (pax({"path": "a"}, tarfile.XGLTYPE) + FILE + END, "all entries"),
        (block(tarfile.XHDTYPE, b"99 path=a\n") + FILE + END, "list of records"),
        (block(tarfile.XHDTYPE, b"0 path=a\n") + FILE + END, "list of records"),
        (block(tarfile.XHDTYPE, b"", 1 << 30) + FILE + END, "extended header has 1073741824 bytes"),
        (block(tarfile.REGTYPE, b"abc") + b"rubbish".ljust(512) + END, "damaged"),
        (FILE, "ends too early"),
        (FILE + block(tarfile.REGTYPE, b"abc", 5000), "ends too early"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["tar", "tgz"])
def test_headers_that_lie_are_refused(store, content, reason, pack):
    with pytest.raises(InvalidDelivery, match=reason):
        survey(store(pack(content)), LIMITS)


def test_harmless_extended_headers_are_passed_over(store, tmp_path):
    content = pax({"comment": "abc"}, tarfile.XGLTYPE) + pax({"mtime": "1.5", "path": "ü.tif"}) + FILE + FILE + END
    files = unpack(store(content), tmp_path / "out", limits=LIMITS).files
    assert [(str(file.name), file.path.read_bytes()) for file in files] == [("ü.tif", b"abc"), ("header", b"abc")]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2"])
def test_every_cut_of_a_tar_is_refused(make, store, mode):
    whole = make.tar(("a.tif", b"abc" * 50), ("b.tif", b"xyz" * 500), mode=mode)
    ends = range(1024, 3584, 256) if mode == "w" else range(20, len(whole), 3)
    for length in ends:
        with pytest.raises(InvalidDelivery):
            survey(store(whole[:length]), LIMITS)


def test_a_flipped_checksum_at_the_end_of_gzip_is_found(make, store):
    whole = bytearray(make.tar(("a.tif", b"abc" * 50), mode="w:gz"))
    whole[-6] ^= 1
    with pytest.raises(InvalidDelivery, match="CRC check failed"):
        survey(store(bytes(whole)), LIMITS)


def test_a_tar_that_inflates_without_end_is_stopped(store):
    bomb = gzip.compress(block(tarfile.REGTYPE, b"", 10_000_000) + bytes(10_000_000) + END)
    with pytest.raises(InvalidDelivery, match="would become 10000000"):
        survey(store(bomb), UnpackLimits(ratio_from_bytes=1_000_000))
