from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import tracemalloc
import unicodedata
import zipfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake.archives.limits import UnpackLimits
from up42_pipelines.lake.archives.survey import survey
from up42_pipelines.lake.archives.unpack import Unpacked, unpack

LIMITS = UnpackLimits()


def names(unpacked: Unpacked) -> list[str]:
    return [str(file.name) for file in unpacked.files]


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_files_come_out_in_their_folders_and_junk_does_not(make, store, tmp_path):
    path = store(
        make.zip(
            ("a/", b""), ("a/b c.tif", b"x"), ("__MACOSX/a/._b c.tif", b"j"), ("a/.DS_Store", b"j"), ("-rf.xml", b"y")
        )
    )
    unpacked = unpack(path, tmp_path / "out", limits=LIMITS)
    assert names(unpacked) == ["a/b c.tif", "-rf.xml"]
    assert tree(tmp_path / "out") == {"a", "a/b c.tif", "-rf.xml"}
    assert {str(name): reason for name, reason in unpacked.left_out.items()} == {
        "a": "a folder; made when a file is in it",
        "__MACOSX/a/._b c.tif": "what macOS adds to archives",
        "a/.DS_Store": "what a file manager leaves behind",
    }


def test_modes_are_ours_whatever_the_umask(make, store, tmp_path):
    info = zipfile.ZipInfo("a/b.tif")
    info.external_attr = 0o104777 << 16
    before = os.umask(0o077)
    try:
        (file,) = unpack(store(make.zip((info, b"x"))), tmp_path / "out", limits=LIMITS).files
    finally:
        os.umask(before)
    assert file.path.stat().st_mode & 0o7777 == 0o644
    assert [folder.stat().st_mode & 0o7777 for folder in (file.path.parent, tmp_path / "out")] == [0o755, 0o755]


def test_a_deceiving_name_is_changed_on_disk_and_remembered(make, store, tmp_path):
    (file,) = unpack(store(make.zip(("a/new\nline.tif", b"x"))), tmp_path / "out", limits=LIMITS).files
    assert file.name == PurePosixPath("a/new\nline.tif")
    assert file.path.parent == tmp_path / "out" / "a"
    assert "\n" not in file.path.name
    assert file.path.suffix == ".tif"


def test_progress_counts_the_bytes_written(make, store, tmp_path):
    seen: list[int] = []
    unpack(
        store(make.zip(("a", bytes(3 << 20)), ("b", b"xy"))), tmp_path / "out", limits=LIMITS, on_progress=seen.append
    )
    assert seen == sorted(seen)
    assert seen[-1] == (3 << 20) + 2
    assert len(seen) >= 4


@pytest.mark.parametrize(
    ("header", "archive", "expected"),
    [
        ("dem.tif", "delivery", "dem.tif"),
        ("", "scene.tif.gz", "scene.tif"),
        ("", "delivery", "delivery"),
    ],
)
def test_a_gzip_of_one_file_is_named_by_its_header_or_after_itself(tmp_path, header, archive, expected):
    with (tmp_path / archive).open("wb") as raw, gzip.GzipFile(header, "wb", fileobj=raw) as file:
        file.write(b"II*\0" * 100)
    (member,) = unpack(tmp_path / archive, tmp_path / "out", limits=LIMITS).files
    assert (str(member.name), member.path.read_bytes()) == (expected, b"II*\0" * 100)


def test_a_gzip_whose_header_names_a_place_is_refused(store, tmp_path):
    content = b"\x1f\x8b\x08\x08" + bytes(6) + b"../evil.tif\0" + gzip.compress(b"x")[10:]
    with pytest.raises(InvalidDelivery, match=r"`\.\.`"):
        unpack(store(content), tmp_path / "out", limits=LIMITS)


def test_what_is_no_archive_is_refused(store, tmp_path):
    with pytest.raises(InvalidDelivery, match=r"order\.zip is not unpacked: it is neither"):
        unpack(store(b'{"title": "Forbidden"}', "order.zip"), tmp_path / "out", limits=LIMITS)


# --- archives in archives ---------------------------------------------------------------------------------------------


def test_a_nested_archive_becomes_a_folder_of_its_name(make, store, tmp_path):
    inner = make.tar(("p/b.tif", b"b"), mode="w:gz")
    path = store(
        make.zip(("o/scene.tgz", inner), ("o/c.tif.gz", gzip.compress(b"c")), ("o/p.kmz", make.zip(("d.kml", b"d"))))
    )
    unpacked = unpack(path, tmp_path / "out", limits=LIMITS)
    assert names(unpacked) == ["o/scene.tgz/p/b.tif", "o/c.tif.gz/c.tif", "o/p.kmz"]
    assert {str(file.path.relative_to(tmp_path / "out")) for file in unpacked.files} == set(names(unpacked))
    assert tree(tmp_path / "out") == {
        "o", "o/scene.tgz", "o/scene.tgz/p", "o/scene.tgz/p/b.tif", "o/c.tif.gz", "o/c.tif.gz/c.tif", "o/p.kmz",
    }  # fmt: skip


def test_deeper_archives_stay_files_with_a_reason(make, store, tmp_path):
    third = make.zip(("c.tif", b"c"))
    path = store(make.zip(("1.zip", make.zip(("2.zip", third)))))
    unpacked = unpack(path, tmp_path / "out", limits=LIMITS)
    assert names(unpacked) == ["1.zip/2.zip"]
    assert unpacked.files[0].path.read_bytes() == third
    assert "limit `nesting`" in unpacked.left_out[PurePosixPath("1.zip/2.zip")]
    assert names(unpack(path, tmp_path / "flat", limits=UnpackLimits(nesting=0))) == ["1.zip"]
    assert names(unpack(path, tmp_path / "deep", limits=UnpackLimits(nesting=2))) == ["1.zip/2.zip/c.tif"]


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        (lambda make: make.zip(("../x", b"x")), "`..`"),
        (lambda make: make.zip(("x", b"x" * 99))[:60], "damaged"),
        (lambda make: make.zip(("x", b"abc"), method=zipfile.ZIP_STORED).replace(b"abc", b"abd"), "damaged"),
    ],
)
def test_a_nested_archive_that_is_hostile_or_damaged_refuses_all(make, store, tmp_path, inner, reason):
    path = store(make.zip(("fine.tif", b"x"), ("in/ner.zip", inner(make))))
    with pytest.raises(InvalidDelivery, match=reason) as caught:
        unpack(path, tmp_path / "out", limits=LIMITS)
    assert "'in/ner.zip'" in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("limits", "fits"),
    [
        (UnpackLimits(entries=8), True),
        (UnpackLimits(entries=7), False),
        (UnpackLimits(total_bytes=3 * 108 + 3 * 400), True),
        (UnpackLimits(total_bytes=3 * 108 + 3 * 400 - 1), False),
    ],
)
def test_nested_archives_share_the_limits(make, store, tmp_path, limits, fits):
    inner = make.zip(("x", bytes(400)))
    assert len(inner) == 108
    # Three archives and their three files, and two empty ones.
    path = store(make.zip(*((f"{number}.zip", inner) for number in range(3)), ("e1", b""), ("e2", b"")))
    if fits:
        assert len(unpack(path, tmp_path / "out", limits=limits).files) == 5
    else:
        with pytest.raises(InvalidDelivery, match="limit"):
            unpack(path, tmp_path / "out", limits=limits)
        assert not (tmp_path / "out").exists()


def test_many_small_bombs_in_one_archive_are_one_bomb(make, store, tmp_path):
    inner = make.zip(("x", bytes(900_000)))
    path = store(make.zip(*((f"{number}.zip", inner) for number in range(5))))
    with pytest.raises(InvalidDelivery, match="ratio"):
        unpack(path, tmp_path / "out", limits=UnpackLimits(ratio_from_bytes=1_000_000))


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_failure_removes_what_was_written_and_nothing_else(make, store, tmp_path):
    path = store(
        make.raw_zip(
            {"name": b"a/fine.tif", "content": b"x"}, {"name": b"b.tif", "content": b"x", "crc": 1, "local_crc": 1}
        )
    )
    (tmp_path / "there").mkdir()
    (tmp_path / "beside.tif").write_bytes(b"keep")
    for into in (tmp_path / "out", tmp_path / "there"):
        with pytest.raises(InvalidDelivery, match=r"'b\.tif' is damaged"):
            unpack(path, into, limits=LIMITS)
    assert tree(tmp_path) == {"delivery", "there", "beside.tif"}


@pytest.mark.parametrize("change", [{"name": "b"}, {"size": 4}])
def test_an_archive_that_says_something_else_the_second_time_is_refused(make, store, tmp_path, monkeypatch, change):
    path = store(make.zip(("a", b"xyz")))
    first = survey(path, LIMITS)
    earlier = replace(first, entries=(replace(first.entries[0], **change),))
    monkeypatch.setattr("up42_pipelines.lake.archives.unpack.survey", lambda *_: earlier)
    with pytest.raises(InvalidDelivery, match="'a' changed while it was read"):
        unpack(path, tmp_path / "out", limits=LIMITS)
    assert tree(tmp_path) == {"delivery"}


def test_an_interruption_removes_what_was_written(make, store, tmp_path):
    def interrupt(written: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(store(make.zip(("a/b", b"x"))), tmp_path / "out", limits=LIMITS, on_progress=interrupt)
    assert tree(tmp_path) == {"delivery"}


def test_a_folder_that_holds_something_is_not_used(make, store, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_bytes(b"keep")
    with pytest.raises(LakeError, match="not empty"):
        unpack(store(make.zip(("a", b"x"))), tmp_path / "out", limits=LIMITS)
    assert tree(tmp_path / "out") == {"mine"}


def test_without_room_nothing_is_written(make, store, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=9))
    assert unpack(store(make.zip(("a", b"x" * 9))), tmp_path / "fits", limits=LIMITS).files
    seen: list[int] = []
    with pytest.raises(LakeError, match=r"becomes 10 bytes .* has room for 9"):
        unpack(store(make.zip(("a", b"x" * 10))), tmp_path / "out", limits=LIMITS, on_progress=seen.append)
    assert seen == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("pack", ["zip", "tgz"])
def test_memory_does_not_grow_with_the_content(make, store, tmp_path, pack):
    content = bytes(20_000_000)
    whole = make.zip(("huge.tif", content)) if pack == "zip" else make.tar(("huge.tif", content), mode="w:gz")
    path = store(whole)
    del content
    tracemalloc.start()
    try:
        (file,) = unpack(path, tmp_path / "out", limits=LIMITS).files
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert file.path.stat().st_size == file.size == 20_000_000
    assert peak < 6_000_000


# --- whatever the names are -------------------------------------------------------------------------------------------

SEGMENTS = st.one_of(
    st.sampled_from(
        ["..", ".", "", "a", "A", "ü", "u\u0308", "C:", "\\", "..\\b", "x\n", "\u202e", "._a", "__MACOSX", "a.zip", "~"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=8),
)
PATHS = st.tuples(st.sampled_from(["", "", "", "/", "./"]), st.lists(SEGMENTS, min_size=1, max_size=4)).map(
    lambda drawn: drawn[0] + "/".join(drawn[1])
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(entries=st.lists(st.tuples(PATHS, st.binary(max_size=20)), min_size=1, max_size=4), tar=st.booleans())
def test_nothing_is_written_outside_and_what_is_written_is_the_entry(make, entries, tar):
    with tempfile.TemporaryDirectory() as place:
        outer = Path(place)
        if tar:
            content = make.tar(*entries)
        else:
            content = make.raw_zip(
                *({"name": name.encode(), "content": data, "flags": 0x800} for name, data in entries)
            )
        (outer / "delivery").write_bytes(content)
        into = outer / "in" / "to"
        try:
            unpacked = unpack(outer / "delivery", into, limits=LIMITS)
        except InvalidDelivery:
            assert tree(outer) <= {"delivery", "in"}
            return
        assert {path for path in tree(outer) if not path.startswith("in/to")} == {"delivery", "in"}
        given_contents = {PurePosixPath(name): data for name, data in entries}
        for file in unpacked.files:
            assert into in file.path.parents
            assert ".." not in file.path.parts
            assert file.path.read_bytes() == given_contents[file.name]
            assert all(unicodedata.category(one) not in {"Cc", "Cf"} for one in file.path.name)
        assert {file.path for file in unpacked.files} == {path for path in into.rglob("*") if not path.is_dir()}
        assert {file.name for file in unpacked.files} | set(unpacked.left_out) == set(given_contents)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data(), kind=st.sampled_from(["zip", "tar", "tgz"]))
def test_a_flipped_byte_is_harmless_or_refused(make, data, kind):
    entries = [("a/b.tif", b"abc" * 40), ("c.xml", b"<xml/>")]
    whole = bytearray(
        make.zip(*entries) if kind == "zip" else make.tar(*entries, mode="w:gz" if kind == "tgz" else "w")
    )
    at = data.draw(st.integers(0, min(len(whole), 3000) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "delivery").write_bytes(whole)
        try:
            unpacked = unpack(Path(place) / "delivery", Path(place) / "out", limits=LIMITS)
        except InvalidDelivery:
            assert tree(Path(place)) == {"delivery"}
            return
        assert {path.split("/")[0] for path in tree(Path(place))} == {"delivery", "out"}
        if kind != "tar":  # a plain tar has checksums of its headers alone
            assert [file.path.read_bytes() for file in unpacked.files] == [content for _, content in entries]


def test_a_survey_writes_nothing_and_counts(make, store, tmp_path):
    surveyed = survey(store(make.zip(("a/", b""), ("a/b", b"xyz"))), LIMITS)
    assert (surveyed.size, [entry.name for entry in surveyed.entries]) == (3, ["a/", "a/b"])
    assert tree(tmp_path) == {"delivery"}


def test_a_gzip_that_inflates_without_end_is_left_at_the_limit(store):
    with pytest.raises(InvalidDelivery, match="becomes more than 1000000 bytes"):
        survey(store(gzip.compress(bytes(5_000_000))), UnpackLimits(ratio_from_bytes=1_000_000))
