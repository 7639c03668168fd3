"""The lake's verbs on a local folder and in memory, and what stands in their way."""

from __future__ import annotations

import errno
import os
import string
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from up42_pipelines.errors import LakeError
from up42_pipelines.lake import Lake, safe_name


@pytest.fixture(params=["path", "file", "memory"])
def lake(request, tmp_path):
    folder = tmp_path / "lake"
    return Lake({"path": str(folder), "file": f"file://{folder}", "memory": f"memory://{uuid.uuid4()}"}[request.param])


def test_bytes_and_json(lake):
    assert not lake.exists("a", "b.json")
    assert lake.size("a", "b.json") is None
    lake.write_json({"b": [1, 2.5], "a": "Köln ‰"}, "a", "b.json")
    assert lake.read_json("a", "b.json") == {"b": [1, 2.5], "a": "Köln ‰"}
    assert "Köln".encode() in lake.read_bytes("a", "b.json")
    assert lake.exists("a", "b.json")
    assert lake.size("a", "b.json") == len(lake.read_bytes("a", "b.json"))
    lake.write_bytes(b"other", "a", "b.json")
    assert lake.read_bytes("a", "b.json") == b"other"
    lake.write_bytes(b"", "a", "c")
    assert lake.list("a") == ["b.json", "c"]
    assert lake.list() == ["a"]
    assert lake.list("nowhere") == []
    lake.remove("a", "c")
    lake.remove("a", "c")
    assert lake.list("a") == ["b.json"]


def test_no_nan_in_json(lake):
    with pytest.raises(ValueError, match="JSON"):
        lake.write_json({"a": float("nan")}, "a.json")
    assert lake.list() == []


def test_what_is_no_json_is_named(lake):
    lake.write_bytes(b'{"half": ', "a.json")
    with pytest.raises(LakeError, match=r"a\.json is no JSON"):
        lake.read_json("a.json")
    lake.write_bytes(b"[" * 100_000, "deep.json")
    with pytest.raises(LakeError, match=r"deep\.json is no JSON"):
        lake.read_json("deep.json")


def test_missing_objects_say_so(lake):
    with pytest.raises(LakeError, match="cannot read") as caught:
        lake.read_bytes("a", "b")
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert lake.url in str(caught.value)


def test_publish_moves(lake, tmp_path):
    file = tmp_path / "scene.tif"
    file.write_bytes(b"pixels")
    lake.publish(file, "items", "one", "scene.tif")
    assert not file.exists()
    assert lake.list("items", "one") == ["scene.tif"]
    assert lake.read_bytes("items", "one", "scene.tif") == b"pixels"


def test_href_is_what_a_reader_opens(lake):
    lake.write_bytes(b"x", "a", "b.tif")
    href = lake.href("a", "b.tif")
    if lake.local:
        assert Path(href).is_absolute()
        assert Path(href).read_bytes() == b"x"
    else:
        assert href.startswith("memory://")
        assert Lake(href.removesuffix("/b.tif")).read_bytes("b.tif") == b"x"


def test_check_writable_leaves_nothing(lake):
    lake.check_writable()
    assert lake.fs.find(lake.root) == []


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "lake").write_text("a file")
    lake = Lake(str(tmp_path / "lake"))
    for act in (lake.check_writable, lambda: lake.write_bytes(b"x", "a")):
        with pytest.raises(LakeError, match="move it away"):
            act()


def test_a_full_disk(tmp_path, monkeypatch):
    lake = Lake(str(tmp_path))
    lake.write_bytes(b"old", "a.json")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LakeError, match=r"No space left on device\. Free disk space") as caught:
        lake.write_bytes(b"new", "a.json")
    assert str(tmp_path) in str(caught.value)
    assert lake.read_bytes("a.json") == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_publish_across_file_systems(tmp_path, monkeypatch):
    lake, source = Lake(str(tmp_path / "lake")), tmp_path / "source"
    source.write_bytes(b"pixels")
    replace = Path.replace

    def other_device(self, target):
        if self == source:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", other_device)
    lake.publish(source, "a", "b")
    assert lake.read_bytes("a", "b") == b"pixels"
    assert not source.exists()
    assert [entry.name for entry in (tmp_path / "lake" / "a").iterdir()] == ["b"]


def test_errors_of_a_backend_are_explained(monkeypatch):
    """gcsfs and s3fs raise what their HTTP and credential libraries raise, which is no OSError."""
    lake = Lake("memory://expired")

    class RefreshError(Exception):
        pass

    def refuse(*_, **__):
        raise RefreshError("token expired.")

    monkeypatch.setattr(type(lake.fs), "pipe_file", refuse)
    with pytest.raises(LakeError, match=r"RefreshError: token expired\. Check credentials"):
        lake.write_bytes(b"x", "a")


def test_an_unknown_backend_is_explained():
    with pytest.raises(LakeError, match="nosuch"):
        Lake("nosuch://bucket/folder")


@pytest.mark.parametrize(
    "part", ["", ".", "..", "a/b", "/etc", "a\\b", "a\0b", "a\nb", "\u202egnp.exe", "\ud800", "x" * 300, "é" * 101]
)
def test_parts_that_are_no_names_are_refused(part):
    lake = Lake("memory://refusals")
    for verb in (lake.path, lake.href, lake.exists, lake.list, lake.read_bytes):
        with pytest.raises(LakeError, match="cannot be a name"):
            verb("a", part)
    with pytest.raises(LakeError, match="cannot be a name"):
        lake.write_bytes(b"x", part)


_NASTY = st.one_of(
    st.text(),
    st.text(alphabet="./\\~%$:*?#\0\n -a"),
    st.sampled_from(["..", "../..", "/etc/passwd", "C:\\x", "~root", "a/../../b", "..\\..", "%2e%2e", "file:///etc"]),
)


@settings(deadline=None)
@given(st.lists(_NASTY, min_size=1, max_size=4))
def test_no_name_leaves_the_lake(parts):
    lake = Lake("/somewhere/lake")
    try:
        path = lake.path(*parts)
    except LakeError:
        return
    assert Path(os.path.normpath(path)).is_relative_to("/somewhere/lake")
    assert os.path.normpath(path) == path
    assert len(Path(path).relative_to("/somewhere/lake").parts) == len(parts)


@given(_NASTY)
def test_any_text_becomes_a_safe_name(text):
    name = safe_name(text)
    assert set(name) <= set(string.ascii_letters + string.digits + "._-")
    assert 0 < len(name) <= 120
    assert name[0] not in ".-"
    assert Lake("/somewhere").path(name) == f"/somewhere/{name}"
    assert safe_name(name) == name


@given(st.sets(_NASTY, min_size=2, max_size=5))
def test_different_texts_keep_different_names(texts):
    assert len({safe_name(text) for text in texts}) == len(texts)


def test_names_that_are_fit_stay():
    assert safe_name("k3j2h1g0_ms.tiff") == "k3j2h1g0_ms.tiff"
    assert safe_name("é.tif").endswith(".tif")
