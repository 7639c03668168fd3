from __future__ import annotations

import random
import stat
import zipfile
import zlib

import pytest

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.archives.entries import Kind
from up42_pipelines.lake.archives.limits import UnpackLimits
from up42_pipelines.lake.archives.survey import survey
from up42_pipelines.lake.archives.unpack import unpack

LIMITS = UnpackLimits()
NOISE = random.Random(1).randbytes(3_000_000)


def deflated(content: bytes) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return engine.compress(content) + engine.flush()


def listed(path):
    return [(entry.name, entry.kind, entry.size) for entry in survey(path, LIMITS).entries]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("content", [b"", b"x", b"ab" * 2_500_000, NOISE], ids=["empty", "one", "long", "noise"])
def test_content_comes_back(make, store, tmp_path, method, content):
    unpacked = unpack(store(make.zip(("a/b.tif", content), method=method)), tmp_path / "out", limits=LIMITS)
    assert [(str(member.name), member.size) for member in unpacked.files] == [("a/b.tif", len(content))]
    assert unpacked.files[0].path.read_bytes() == content


def test_a_zip64_and_streamed_archive_comes_back(tmp_path):
    class Pipe:  # cannot seek: sizes and checksum follow the content, in a data descriptor
        def __init__(self, file):
            self.write, self.flush = file.write, file.flush

    with (tmp_path / "delivery").open("wb") as file, zipfile.ZipFile(Pipe(file), "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.tif", "b.tif"):
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(name.encode() * 999)
    files = unpack(tmp_path / "delivery", tmp_path / "out", limits=LIMITS).files
    assert [file.path.read_bytes() for file in files] == [b"a.tif" * 999, b"b.tif" * 999]


def test_names_are_utf8_also_without_the_flag_for_it_and_else_cp437(make, store):
    path = store(
        make.raw_zip(
            {"name": "Größe.tif".encode()},
            {"name": "Höhe.tif".encode("cp437")},
            {"name": "日.tif".encode(), "flags": 0x800},
        )
    )
    assert [name for name, _, _ in listed(path)] == ["Größe.tif", "Höhe.tif", "日.tif"]


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (stat.S_IFLNK | 0o777, Kind.SYMBOLIC_LINK),
        (stat.S_IFCHR | 0o644, Kind.DEVICE),
        (stat.S_IFBLK | 0o644, Kind.DEVICE),
        (stat.S_IFIFO | 0o644, Kind.PIPE),
        (stat.S_IFSOCK | 0o644, Kind.OTHER),
    ],
)
def test_special_entries_are_refused(make, store, mode, kind):
    with pytest.raises(InvalidDelivery, match=f"'a' is a(n)? {kind}"):
        survey(store(make.raw_zip({"name": b"a", "content": b"/tmp", "mode": mode})), LIMITS)


def test_folders_are_told_by_slash_or_mode(make, store):
    path = store(make.raw_zip({"name": b"a/"}, {"name": b"b", "mode": stat.S_IFDIR | 0o755}, {"name": b"c"}))
    assert [kind for _, kind, _ in listed(path)] == [Kind.FOLDER, Kind.FOLDER, Kind.FILE]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([{"flags": 0x1}], "is encrypted"),
        ([{"flags": 0x40}], "is encrypted"),
        ([{"method": 9}], "method 9"),
        ([{"method": 12}], "method 12"),
        ([{"method": 14}], "method 14"),
        ([{"volume": 1}], "another volume"),
        ([{"size": 4}], "two sizes"),
        ([{"local_name": b"b"}], "in its own header"),
        ([{"local_method": 8}], "in its own header"),
        ([{"local_size": 7}], "in its own header"),
        ([{"local_packed_size": 7}], "in its own header"),
        ([{"local_crc": 7}], "in its own header"),
        ([{"local_flags": 1}], "in its own header"),
        ([{}, {"name": b"b", "at": 34}], "not where the directory says"),  # at the directory itself
        ([{}, {"name": b"b", "at": 5}], "overlaps"),
        ([{}, {"name": b"b", "at": 9999}], "behind the end"),
        ([{}, {"name": b"a2", "local_name": b"a2"}, {"name": b"a", "at": 0}], "overlaps"),
        ([{"size": 5, "packed_size": 5, "local_size": 5, "local_packed_size": 5}, {"name": b"b"}], "overlaps"),
    ],
)
def test_headers_that_lie_are_refused_before_anything_is_written(make, store, entries, reason):
    content = make.raw_zip(*({"name": b"a", "content": b"abc", **entry} for entry in entries))
    with pytest.raises(InvalidDelivery, match=reason):
        survey(store(content), LIMITS)


@pytest.mark.parametrize(
    ("packed", "told", "reason"),
    [
        (deflated(b"abcd" * 1000), {"size": 400}, "more than the 400 bytes"),
        (deflated(b"abcd" * 1000), {"size": 400, "crc": zlib.crc32(b"abcd" * 100)}, "more than the 400 bytes"),
        (deflated(b"abcd" * 1000), {"size": 4001}, "4000 bytes and tells 4001"),
        (deflated(b"abcd" * 1000)[:-3], {}, "ends too early"),
        (deflated(b"abcd" * 1000) + b"behind", {}, "bytes behind its end"),
        (b"\xff" * 50, {}, "is damaged"),
        (deflated(b"abcd" * 1000), {"crc": 1}, "CRC-32"),
    ],
)
def test_content_that_is_not_as_told_is_refused(make, store, tmp_path, packed, told, reason):
    path = store(make.raw_zip({"name": b"a", "content": b"abcd" * 1000, "packed": packed, "method": 8, **told}))
    with pytest.raises(InvalidDelivery, match=reason):
        unpack(path, tmp_path / "out", limits=LIMITS)
    assert not (tmp_path / "out").exists()


def test_a_directory_that_is_too_large_is_not_read(make, store):
    path = store(make.zip(*((f"{number}.tif", b"") for number in range(100))))
    assert len(survey(path, UnpackLimits(directory_bytes=5190)).entries) == 100
    with pytest.raises(InvalidDelivery, match="directory_bytes"):
        survey(path, UnpackLimits(directory_bytes=5189))


@pytest.mark.parametrize(
    ("lost", "reason"),
    [(0, "begins with something"), (1, "'a.tif' is followed by an entry"), (2, "'b.tif' is followed")],
)
def test_an_entry_that_the_directory_lost_is_missed(make, store, lost, reason):
    whole = make.zip(*((f"{name}.tif", b"abc" * 9) for name in "abc"))
    directory, one = whole.index(b"PK\1\2"), 46 + len("a.tif")
    cut = whole[: directory + lost * one] + whole[directory + (lost + 1) * one :]
    end = cut.index(b"PK\5\6")
    cut = cut[: end + 12] + (2 * one).to_bytes(4, "little") + cut[end + 16 :]
    with pytest.raises(InvalidDelivery, match=reason):
        survey(store(cut), LIMITS)


def test_every_cut_of_a_zip_is_refused(make, store):
    whole = make.zip(("a.tif", b"abc" * 50), ("b.tif", b"xyz" * 50))
    for length in range(4, len(whole) - 1, 3):
        with pytest.raises(InvalidDelivery):
            survey(store(whole[:length]), LIMITS)
