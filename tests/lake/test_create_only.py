"""Of all that create one object exactly one does, on every backend; and who cannot promise that says so."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

import botocore.exceptions
import pytest
import requests
import s3fs.errors

from up42_pipelines.errors import LakeError
from up42_pipelines.lake import Lake

RACERS = 8


@pytest.fixture(params=["local", "memory"])
def lake(request, tmp_path):
    return Lake({"local": str(tmp_path / "lake"), "memory": f"memory://{uuid.uuid4()}"}[request.param])


@pytest.fixture
def remote(object_store):
    """A lake of its own in the bucket."""
    return Lake(f"{object_store.url}/{uuid.uuid4()}", object_store.storage_options)


def check_create(lake):
    assert lake.create(b"first", "a", "b")
    assert not lake.create(b"second", "a", "b")
    assert lake.read_bytes("a", "b") == b"first"
    assert lake.create(b"", "a", "empty")
    assert not lake.create(b"", "a", "empty")
    assert lake.create_json({"b": 1, "a": "Köln"}, "a.json")
    assert not lake.create_json({}, "a.json")
    lake.write_json({"b": 1, "a": "Köln"}, "b.json")
    assert lake.read_bytes("a.json") == lake.read_bytes("b.json")
    lake.remove("a", "b")
    assert lake.create(b"third", "a", "b")
    assert lake.list("a") == ["b", "empty"]


def test_create_never_replaces(lake):
    check_create(lake)


def test_create_never_replaces_in_an_object_store(remote):
    check_create(remote)


def check_race(lake, answers):
    assert sorted(answers) == [False] * (RACERS - 1) + [True]
    assert lake.read_bytes("contested") == str(answers.index(True)).encode() * 500_000


def test_one_process_creates(race, tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    check_race(lake, race("create", lake))
    assert [path.name for path in (tmp_path / "lake").iterdir()] == ["contested"]


def test_one_process_creates_in_an_object_store(race, object_store, remote):
    check_race(remote, race("create", remote, object_store.storage_options))


def test_one_thread_creates_in_memory(monkeypatch):
    """Threads that have looked wait for one another, so that without a lock two would find nothing, and write."""
    lake, start, looked = Lake(f"memory://{uuid.uuid4()}"), threading.Barrier(RACERS), threading.Barrier(2)
    exists = lake.fs.exists

    def look_and_wait(path):
        found = exists(path)
        with suppress(threading.BrokenBarrierError):
            looked.wait(0.2)
        return found

    monkeypatch.setattr(lake.fs, "exists", look_and_wait)

    def create(racer):
        start.wait()
        return lake.create(str(racer).encode() * 500_000, "contested")

    with ThreadPoolExecutor(RACERS) as threads:
        check_race(lake, list(threads.map(create, range(RACERS))))


def test_nothing_goes_from_memory_while_it_is_listed(monkeypatch):
    """The listing of memory:// fails when an object goes between its name and its size."""
    lake, overlapped = Lake(f"memory://{uuid.uuid4()}"), []
    lake.create(b"x", "a")
    ls = lake.fs.ls

    with ThreadPoolExecutor(1) as thread:

        def remove_and_list(path, detail):
            overlapped.append(wait([thread.submit(lake.remove, "a")], timeout=0.1).done)
            return ls(path, detail=detail)

        monkeypatch.setattr(lake.fs, "ls", remove_and_list)
        assert lake.list() == ["a"]
    assert overlapped == [set()]
    assert not lake.exists("a")


def test_a_killed_creator_leaves_nothing_or_all(tmp_path):
    program = [sys.executable, Path(__file__).with_name("killed.py"), tmp_path]
    codes = json.loads(subprocess.run(program, stdout=subprocess.PIPE, check=True, timeout=60).stdout)
    assert codes[-1] == 0
    lake, seen = Lake(str(tmp_path)), []
    for moment, code in enumerate(codes):
        assert code in {0, -9}
        names = lake.list(str(moment))
        assert names in ([], ["object"])
        if names:
            assert lake.read_bytes(str(moment), "object") == b"whole\n" * 50_000
        assert lake.create(b"next", str(moment), "object") is not bool(names)
        seen.append(bool(names))
    assert seen == sorted(seen), "once the object is there, it stays"
    assert 4 < seen.index(True) < len(seen) - 4, "killed both before and after"


@pytest.mark.parametrize("verb", ["create", "write_bytes", "write_all_json", "publish"])
def test_folders_are_flushed_with_what_is_new_in_them(tmp_path, monkeypatch, verb):
    flushed, fsync = {}, os.fsync

    def watched(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        flushed[path] = [entry.name for entry in path.iterdir()] if path.is_dir() else []
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    lake, file = Lake(str(tmp_path / "lake")), tmp_path / "file"
    file.write_bytes(b"x")
    match verb:
        case "write_all_json":
            lake.write_all_json({("a", "object"): {}})
        case "publish":
            lake.publish(file, "a", "object")
        case _:
            getattr(lake, verb)(b"x", "a", "object")
    flushed[tmp_path].remove("file")
    folders = {tmp_path: ["lake"], tmp_path / "lake": ["a"], tmp_path / "lake" / "a": ["object"]}
    assert folders.items() <= flushed.items()


def test_a_file_system_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(LakeError, match=r"no hard links\. Choose a lake on a file system with hard links, or on gs://"):
        Lake(str(tmp_path)).create(b"x", "a")
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_nfs_repeats_is_ours(tmp_path, monkeypatch):
    link = os.link

    def carry_out_and_repeat(source, target):
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", carry_out_and_repeat)
    lake = Lake(str(tmp_path))
    assert lake.create(b"x", "a")
    monkeypatch.undo()
    assert not lake.create(b"y", "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_in_the_way_is_not_a_taken_name(tmp_path):
    (tmp_path / "a").write_text("a file")
    with pytest.raises(LakeError, match="move it away"):
        Lake(str(tmp_path)).create(b"x", "a", "b")


@pytest.mark.parametrize(
    ("codes", "created"),
    [
        (["PreconditionFailed"], False),  # MinIO's answer does not name the condition
        (["ConditionalRequestConflict"], True),
        (["ConditionalRequestConflict", "PreconditionFailed"], False),
        (["ConditionalRequestConflict"] * 100, None),
        (["AccessDenied"], None),
    ],
)
def test_what_s3_answers_to_a_create(codes, created, monkeypatch):
    lake, answers = Lake("s3://bucket", {"anon": True, "endpoint_url": "http://127.0.0.1:9"}), iter(codes)

    def put(path, content, mode):
        assert mode == "create"
        if code := next(answers, None):
            error = botocore.exceptions.ClientError({"Error": {"Code": code, "Message": code}}, "PutObject")
            raise s3fs.errors.translate_boto_error(error)

    monkeypatch.setattr(lake.fs, "pipe_file", put)
    if created is None:
        with pytest.raises(LakeError, match="cannot create bucket/a"):
            lake.create(b"x", "a")
    else:
        assert lake.create(b"x", "a") is created


def test_backends_that_may_replace_are_refused():
    lake = Lake(f"simplecache::memory://{uuid.uuid4()}")
    with pytest.raises(LakeError, match="not known whether it refuses"):
        lake.create(b"x", "a")
    assert not lake.exists("a")


def test_the_check_leaves_nothing(lake):
    lake.check_create_only()
    assert lake.fs.find(lake.root) == []


def test_the_check_leaves_nothing_in_an_object_store(remote):
    remote.check_create_only()
    assert remote.fs.find(remote.root) == []


@pytest.mark.parametrize("object_store", ["gs"], indirect=True)
def test_a_store_that_ignores_preconditions_is_found_out(object_store, remote):
    switches = f"{object_store.storage_options['endpoint_url']}/switches"
    requests.put(switches, json={"honour_preconditions": False}, timeout=10).raise_for_status()
    try:
        with pytest.raises(LakeError, match=r"replaced it\. .* buy the same thing twice.* Choose"):
            remote.check_create_only()
        assert remote.fs.find(remote.root) == []
    finally:
        requests.put(switches, json={"honour_preconditions": True}, timeout=10).raise_for_status()
