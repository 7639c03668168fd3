"""Where downloads wait: one landing at a time, whoever comes and goes meanwhile."""

from __future__ import annotations

import os
import tempfile

import pytest

from up42_pipelines.errors import LakeError, TransferError
from up42_pipelines.lake import Lake, scratch
from up42_pipelines.lake.scratch import fetching_folder, forget, staging_in

ITEM = ("collections", "phr", "one")


@pytest.fixture(params=["local", "memory"])
def lake(request, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Lake(str(tmp_path / "lake")) if request.param == "local" else Lake("memory://lake")


def test_the_folder_is_taken_until_its_landing_has_ended(lake):
    with fetching_folder(lake, ITEM) as place:
        (place / "file").write_bytes(b"half")
        forget(place)
        assert not (place / "file").exists()
        with pytest.raises(TransferError, match="somebody else"), fetching_folder(lake, ITEM):
            pass
    assert not place.exists()
    assert not lake.local or not place.parent.exists(), "nothing waited there"


def test_what_waits_there_stays(lake):
    with fetching_folder(lake, ITEM) as place:
        (place / "file").write_bytes(b"half")
    with fetching_folder(lake, ITEM) as again:
        assert (again / "file").read_bytes() == b"half"


def test_what_its_landing_removes_meanwhile_is_made_anew(lake, monkeypatch):
    """The other landing ends between two steps of this one."""
    with fetching_folder(lake, ITEM) as place:
        pass
    real = os.open

    def late(path, *arguments, **options):
        if path == place / "lock":
            monkeypatch.setattr(scratch.os, "open", real)
            place.rmdir()
        return real(path, *arguments, **options)

    def later(*_):
        monkeypatch.undo()
        (place / "lock").unlink()

    monkeypatch.setattr(scratch.os, "open", late)
    monkeypatch.setattr(scratch.fcntl, "flock", later)
    with fetching_folder(lake, ITEM):
        assert (place / "lock").exists()


def test_staged_files_of_a_killed_landing_are_gone(lake):
    with fetching_folder(lake, ITEM) as place:
        killed = staging_in(place)
        (killed.__enter__() / "large.tif").write_bytes(b"x")
        with staging_in(place) as staging:
            assert list(staging.iterdir()) == []
            (staging / "other.tif").write_bytes(b"x")
        assert not staging.exists()


def test_the_folder_of_this_user_stays_private(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lake = Lake("memory://lake")
    with fetching_folder(lake, ITEM) as place:
        forget(place)
    assert place.parent.stat().st_mode & 0o777 == 0o700, "whoever makes it as a parent only makes it for everybody"


def test_a_folder_that_others_can_enter_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shared = tmp_path / f"up42-pipelines-{os.geteuid()}"
    shared.mkdir()
    shared.chmod(0o710)
    with pytest.raises(LakeError, match="others can enter it"), fetching_folder(Lake("memory://lake"), ITEM):
        pass
