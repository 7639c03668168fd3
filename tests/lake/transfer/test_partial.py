"""What is on disk: believed only as far as it agrees, and under the target's name only when it is whole."""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace

import google_crc32c
import pytest

from up42_pipelines.errors import LakeError, TransferError
from up42_pipelines.lake.transfer.partial import PartialFile
from up42_pipelines.lake.transfer.plan import Plan

PIECES = [b"a" * 100, b"b" * 100, b"c" * 50]


@pytest.fixture
def plan():
    return Plan(
        size=250, etag='"v1"', generation=None, crc32c=None, md5=None, content_type=None, filename=None, ranged=True,
        part_bytes=100,
    )  # fmt: skip


@pytest.fixture
def target(tmp_path):
    return tmp_path / "target.tif"


def put(partial, plan, *indexes):
    for part in plan.parts:
        if part.index in indexes:
            partial.write(memoryview(PIECES[part.index]), part.start)
            partial.finished(part, google_crc32c.value(PIECES[part.index]))


@pytest.fixture
def left(target, plan):
    """A transfer that ended with the last and the first part."""
    partial = PartialFile(target)
    partial.begin(plan)
    put(partial, plan, 2, 0)
    partial.leave(resumable=True)


def test_parts_in_any_order_become_the_target(target, plan):
    partial = PartialFile(target)
    partial.begin(plan)
    put(partial, plan, 2, 0)
    assert partial.path.stat().st_size == 250
    assert not target.exists()
    put(partial, plan, 1)
    assert partial.publish() == 250
    assert target.read_bytes() == b"".join(PIECES)
    assert [path.name for path in target.parent.iterdir()] == ["target.tif"]


def test_bytes_are_flushed_before_they_have_the_name(target, plan, monkeypatch):
    real, seen = os.fsync, []

    def fsync(file):
        seen.append((os.path.samestat(os.fstat(file), partial.path.stat()), target.exists()))
        real(file)

    partial = PartialFile(target)
    partial.begin(plan)
    put(partial, plan, 0, 1, 2)
    monkeypatch.setattr(os, "fsync", fsync)
    partial.publish()
    assert seen == [(True, False)]


def test_what_was_left_is_resumed(left, target, plan):
    partial = PartialFile(target)
    known, there = partial.resume()
    assert known == plan
    assert there == {0: google_crc32c.value(PIECES[0]), 2: google_crc32c.value(PIECES[2])}
    put(partial, plan, 1)
    partial.publish()
    assert target.read_bytes() == b"".join(PIECES)


def test_resumed_twice(left, target, plan):
    partial = PartialFile(target)
    partial.resume()
    put(partial, plan, 1)
    partial.leave(resumable=True)
    _, there = PartialFile(target).resume()
    assert sorted(there) == [0, 1, 2], "a resumed transfer writes its journal on"


def test_a_part_that_changed_on_disk_is_not_believed(left, target):
    path = target.with_name("target.tif.partial")
    content = bytearray(path.read_bytes())
    content[99] ^= 1
    path.write_bytes(content)
    _, there = PartialFile(target).resume()
    assert sorted(there) == [2]


@pytest.mark.parametrize("damage", ["shorter", "gone", "no journal", "no entry"])
def test_what_is_not_there_is_not_resumed(left, target, damage):
    path, journal = target.with_name("target.tif.partial"), target.with_name("target.tif.journal")
    if damage == "shorter":
        path.write_bytes(path.read_bytes()[:99])
    elif damage == "gone":
        path.unlink()
    elif damage == "no journal":
        journal.unlink()
    else:
        journal.write_bytes(journal.read_bytes().partition(b"\n")[0] + b"\n")
    assert PartialFile(target).resume() is None


def test_only_one_at_a_time(target):
    first = PartialFile(target)
    with pytest.raises(TransferError, match="being fetched by somebody else"):
        PartialFile(target)
    first.leave(resumable=False)
    PartialFile(target).leave(resumable=False)


def test_the_lock_is_on_the_file_that_has_the_name(target, monkeypatch):
    """Between opening and locking, whoever held the lock may have published what it was on."""
    real, published = fcntl.flock, target.with_name("published")

    def flock(file, operation):
        monkeypatch.setattr(fcntl, "flock", real)
        target.with_name("target.tif.partial").rename(published)
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    partial = PartialFile(target)
    partial.write(memoryview(b"other"), 0)
    assert published.read_bytes() == b""
    assert partial.path.read_bytes() == b"other"
    partial.leave(resumable=False)


def test_a_disk_without_room_shows_before_anything_is_written(target, plan):
    disk = os.statvfs(target.parent)
    partial = PartialFile(target)
    with pytest.raises(LakeError, match="Free disk space"):
        partial.begin(replace(plan, size=disk.f_bavail * disk.f_frsize + (1 << 40), part_bytes=1 << 40))
    partial.leave(resumable=False)
    assert list(target.parent.iterdir()) == []


def test_the_file_has_its_size_at_once(target, plan):
    partial = PartialFile(target)
    partial.begin(plan)
    assert partial.path.stat().st_size == 250
    partial.leave(resumable=False)


def test_forgotten_bytes_are_gone(left, target, plan):
    partial = PartialFile(target)
    partial.resume()
    partial.forget()
    assert partial.path.stat().st_size == 0
    assert not target.with_name("target.tif.journal").exists()
    partial.leave(resumable=True)
    assert list(target.parent.iterdir()) == []


def test_what_cannot_be_resumed_is_removed(target, plan):
    partial = PartialFile(target)
    partial.begin(plan)
    partial.write(memoryview(PIECES[0]), 0)
    partial.leave(resumable=True)
    assert list(target.parent.iterdir()) == [], "no part was finished"


def test_a_file_of_one_part_has_no_journal(target):
    plan = Plan(
        size=50, etag='"v1"', generation=None, crc32c=None, md5=None, content_type=None, filename=None, ranged=True,
        part_bytes=100,
    )  # fmt: skip
    partial = PartialFile(target)
    partial.begin(plan)
    put(partial, plan)
    assert [path.name for path in target.parent.iterdir()] == ["target.tif.partial"]
    partial.leave(resumable=False)


def test_a_link_in_the_way_is_not_followed(target, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    target.with_name("target.tif.partial").symlink_to(victim)
    with pytest.raises(LakeError, match="Cannot write the download"):
        PartialFile(target)
    assert victim.read_bytes() == b"precious"


def test_no_folder_to_write_in(tmp_path):
    with pytest.raises(LakeError, match="No such file or directory"):
        PartialFile(tmp_path / "missing" / "target.tif")


def test_a_size_that_no_disk_has_shows_before_anything_is_fetched(target, plan):
    partial = PartialFile(target)
    huge = Plan(
        size=1 << 59, etag='"v1"', generation=None, crc32c=None, md5=None, content_type=None, filename=None,
        ranged=True, part_bytes=1 << 58,
    )  # fmt: skip
    with pytest.raises(LakeError):
        partial.begin(huge)
    partial.leave(resumable=False)
    assert list(target.parent.iterdir()) == []
