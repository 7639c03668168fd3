from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from up42_pipelines.lake.archives.entries import Entry, Kind, disk_path, why_left_out, why_refused
from up42_pipelines.lake.archives.limits import GIB, MIB, UnpackLimits

LIMITS = UnpackLimits()


def entry(name: str, size: int = 1, kind: Kind = Kind.FILE, fault: str | None = None) -> Entry:
    return Entry(name=name, kind=kind, size=size, fault=fault)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../a.tif", "`..`"),
        ("a/../../b.tif", "`..`"),
        ("a/..", "`..`"),
        ("/etc/passwd", "absolute"),
        ("//host/share/a.tif", "absolute"),
        ("\\\\host\\share\\a.tif", "backslashes"),
        ("a\\b.tif", "backslashes"),
        ("C:a.tif", "drive"),
        ("c:/a.tif", "drive"),
        ("a.tif\0.jpg", "NUL"),
        ("./", "no name"),
        ("", "no name"),
        ("a/" * 32 + "b", "deeper than 32"),
        ("ü" * 513, "longer than 1024 bytes"),
    ],
)
def test_paths_that_lead_out_or_cannot_be_are_refused(name, reason):
    refusal = why_refused([entry("fine.tif"), entry(name)], LIMITS, 10)
    assert refusal is not None
    assert reason in refusal
    assert repr(name)[:50] in refusal


@pytest.mark.parametrize("kind", sorted(set(Kind) - {Kind.FILE, Kind.FOLDER}))
def test_what_is_neither_file_nor_folder_is_refused(kind):
    assert f"is a {kind}" in why_refused([entry("a", 0, kind)], LIMITS, 10)


def test_junk_is_judged_like_the_rest():
    assert "`..`" in why_refused([entry("__MACOSX/../../._a")], LIMITS, 10)


def test_what_the_reader_found_refuses_and_so_does_a_folder_with_content():
    assert why_refused([entry("a", fault="is encrypted")], LIMITS, 10) == "entry 'a' is encrypted"
    assert "content of its own" in why_refused([entry("a/", 3, Kind.FOLDER)], LIMITS, 10)
    assert "-1 bytes" in why_refused([entry("a", -1)], LIMITS, 10)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.tif", "a.tif"),
        ("a.tif", "./a.tif"),
        ("a/b.tif", "a//b.tif"),
        ("a/b.tif", "A/B.TIF"),
        ("stra\u00dfe.tif", "STRASSE.tif"),
        ("\u00fc.tif", "u\u0308.tif"),
        ("\u00dc.tif", "u\u0308.tif"),
    ],
)
def test_names_that_some_file_system_holds_for_one_are_refused(one, other):
    refusal = why_refused([entry(one), entry("x"), entry(other)], LIMITS, 10)
    assert refusal is not None
    assert repr(one) in refusal
    assert repr(other) in refusal


@pytest.mark.parametrize("names", [("a", "a/b.tif"), ("a/b/c", "A"), ("x/a.tif", "x/a.tif/b/c")])
def test_a_file_that_is_also_a_folder_is_refused(names):
    assert "is a file, and the folder of" in why_refused([entry(name) for name in names], LIMITS, 10)


def test_folders_may_be_named_again_and_hold_files():
    folder = entry("a/", 0, Kind.FOLDER)
    assert why_refused([folder, folder, entry("a/b.tif"), entry("a/c.tif"), entry("a.tif")], LIMITS, 10) is None


def test_limits_hold_exactly():
    three = [entry(f"{number}.tif", 10) for number in range(3)]
    assert why_refused(three, UnpackLimits(entries=3), 10) is None
    assert "more than 2 entries" in why_refused(three, UnpackLimits(entries=2), 10)
    assert why_refused(three, UnpackLimits(total_bytes=30), 10) is None
    assert "would become 30, and 29" in why_refused(three, UnpackLimits(total_bytes=29), 10)
    assert why_refused(three, UnpackLimits(entry_bytes=10), 10) is None
    assert "limit `entry_bytes`" in why_refused(three, UnpackLimits(entry_bytes=9), 10)
    assert why_refused(three, UnpackLimits(ratio=3, ratio_from_bytes=0), 10) is None
    assert "`ratio`" in why_refused(three, UnpackLimits(ratio=2, ratio_from_bytes=29), 10)


def test_the_defaults_take_large_deliveries_and_no_bomb():
    assert why_refused([entry("scene.tif", 60 * GIB)], LIMITS, 20 * GIB) is None
    assert why_refused([entry("empty.tif", 120 * MIB)], LIMITS, MIB // 8) is None
    assert why_refused([entry("bomb.tif", 1000 * MIB)], LIMITS, MIB) is not None


@pytest.mark.parametrize(
    ("name", "junk"),
    [
        ("__MACOSX/a/b.tif", True),
        ("a/__MACOSX/b.tif", True),
        ("a/._b.tif", True),
        ("a/.DS_Store", True),
        ("Thumbs.db", True),
        ("THUMBS.DB", True),
        ("a/.hidden", False),
        ("_b.tif", False),
        ("a._b.tif", False),
        ("my__MACOSX.tif", False),
    ],
)
def test_junk_is_left_out(name, junk):
    assert (why_left_out(entry(name)) is not None) is junk


def test_junk_collides_with_nothing():
    assert why_refused([entry("a/.DS_Store"), entry("A/.ds_store"), entry("a/b.tif")], LIMITS, 10) is None


@pytest.mark.parametrize(
    "name",
    ["Größe_ü.tif", "u\u0308.tif", "con.tif", "trailing. ", "-rf.tif", ".hidden", "x" * 255, "a b/c d.tif", "日本.tif"],
)
def test_unusual_names_are_kept(name):
    assert str(disk_path(PurePosixPath(name))) == name


@pytest.mark.parametrize(
    "odd", ["new\nline.tif", "x\x1b[31m.tif", "gpj\u202efit.exe", "a\u2028b", "\udcfc.tif", "ü" * 128]
)
def test_names_that_deceive_or_cannot_be_are_changed_alone(odd):
    path = disk_path(PurePosixPath("Größe", odd, "a b.tif"))
    assert path.parts[0] == "Größe"
    assert path.parts[2] == "a b.tif"
    assert path.parts[1].isascii()
    assert path.parts[1].isprintable()
    assert len(path.parts[1]) <= 120
