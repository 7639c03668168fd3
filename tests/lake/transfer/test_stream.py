"""Streaming into stores: what has its name in the lake is what the server announced, whatever happened on both ways."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import random
import signal
import subprocess
import sys
import textwrap
import threading
import uuid

import google_crc32c
import pytest
import requests

from up42_pipelines.errors import LakeError, TransferError
from up42_pipelines.lake import Lake
from up42_pipelines.lake.transfer.patience import Patience
from up42_pipelines.lake.transfer.stream import stream
from up42_pipelines.lake.uploads import unfinished_uploads

SMALLEST = {"s3": 5 << 20, "gs": 1000}
NOISE = random.Random(3).randbytes(2 * SMALLEST["s3"] + 77)
PATIENCE = Patience(
    silence_s=1, block_s=1.5, attempts=6, first_pause_s=0.001, longest_pause_s=0.01, longest_retry_after_s=0.02
)


@pytest.fixture
def lake(object_store):
    return Lake(f"{object_store.url}/{uuid.uuid4().hex}", object_store.storage_options)


@pytest.fixture
def switch(object_store):
    def put(**values):
        requests.put(f"{object_store.storage_options['endpoint_url']}/switches", json=values, timeout=10)

    yield put
    put(damage=0, damage_composed=0, lose_answers=0, refuse="")


@pytest.fixture
def part_bytes(object_store):
    return SMALLEST[object_store.url.partition(":")[0]]


@pytest.fixture
def memory():
    return Lake(f"memory://{uuid.uuid4()}")


@pytest.fixture
def bring(files):
    """Stream the object behind a URL of the file server, small and impatient."""

    def run(href, lake, name="a", **options):
        options = {"part_bytes": 1000, "connections": 4, "patience": PATIENCE} | options
        return stream(lambda: files.sign(href), lake, name, **options)

    return run


def names(lake):
    lake.fs.invalidate_cache()
    found = [path.removeprefix(f"{lake.root}/") for path in lake.fs.find(lake.root)]
    return sorted([*found, *(one.upload_id for one in unfinished_uploads(lake.fs, lake.root))])


def check(streamed, content):
    assert streamed.size == len(content)
    assert streamed.sha256 == hashlib.sha256(content).hexdigest()
    assert base64.b64decode(streamed.crc32c) == google_crc32c.value(content).to_bytes(4, "big")


def test_an_object_in_parts(files, bring, lake, part_bytes):
    content = NOISE[: 2 * part_bytes + 77]
    href = files.put(
        "a.tif", content, content_type="image/tiff", extra={"Content-Disposition": "attachment; filename=b.tif"}
    )
    told = []
    streamed = bring(href, lake, part_bytes=part_bytes, on_progress=lambda *now: told.append(now))
    check(streamed, content)
    assert (streamed.content_type, streamed.filename, streamed.verified_by) == ("image/tiff", "b.tif", "crc32c")
    assert lake.read_bytes("a") == content
    assert names(lake) == ["a"]
    assert len(files.requests) == 3
    assert files.signed == 1
    assert told[-1] == (len(content), len(content))


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 5000, 5001])
@pytest.mark.parametrize("options", [{}, {"ranges": False}, {"etag": None}, {"hashes": "md5"}, {"hashes": None}])
def test_sizes_and_servers_of_all_kinds(files, bring, memory, size, options):
    content = NOISE[:size]
    streamed = bring(files.put("a", content, **options), memory, window_bytes=3000)
    check(streamed, content)
    assert streamed.verified_by == {"md5": "md5", None: "length", "crc32c": "crc32c"}[options.get("hashes", "crc32c")]
    assert memory.read_bytes("a") == content
    assert names(memory) == ["a"]


@pytest.mark.parametrize("size", [0, 1000, 4321])
def test_a_body_of_unknown_length(files, bring, memory, fault, size):
    content = NOISE[:size]
    streamed = bring(files.put("a", content, fault(chunked=True, no_range=True)), memory, window_bytes=1000)
    check(streamed, content)
    assert memory.read_bytes("a") == content


def test_into_a_local_lake(files, bring, tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    check(bring(files.put("a", NOISE[:4321]), lake), NOISE[:4321])
    assert lake.read_bytes("a") == NOISE[:4321]
    assert names(lake) == ["a"]


def test_memory_is_bounded_by_the_window(files, bring, memory, fault, wait_for):
    """Who waits for its turn keeps its part: before the first one is through, no more are asked for than have room."""
    asked = []

    def halfway():
        wait_for(lambda: len(files.requests) >= 3)
        asked.append(len(files.requests))

    href = files.put("a", NOISE[:50_000], fault(halfway=halfway))
    check(bring(href, memory, window_bytes=3000, connections=16), NOISE[:50_000])
    assert asked == [3]


def test_the_first_part_fails_while_others_wait_for_their_turn(files, bring, memory, fault, wait_for):
    def halfway():
        wait_for(lambda: files.sent["/a"] >= 2500)
        files.always["/a"] = fault(status=404)

    href = files.put("a", NOISE[:50_000], fault(halfway=halfway, drop_after=500))
    with pytest.raises(TransferError, match="404"):
        bring(href, memory, window_bytes=3000)
    assert names(memory) == []


def test_a_changed_object_is_begun_again(files, bring, lake, part_bytes, fault):
    lake.write_bytes(b"old", "a")
    new = NOISE[9 : part_bytes + 600]

    def change(stored):
        stored.content, stored.etag = new, '"v2"'

    href = files.put("a", NOISE[: part_bytes + 500], fault(), fault(before=change))
    check(bring(href, lake, part_bytes=part_bytes, connections=1), new)
    assert lake.read_bytes("a") == new
    assert names(lake) == ["a"]


def test_an_object_that_changes_all_the_time(files, bring, memory, fault):
    def change(stored):
        stored.etag = f'"{uuid.uuid4()}"'

    memory.write_bytes(b"old", "a")
    href = files.put("a", NOISE[:5000])
    files.always["/a"] = fault(before=change, drop_after=500)
    with pytest.raises(TransferError, match="in a row") as caught:
        bring(href, memory)
    assert "Signature" not in str(caught.value)
    assert memory.read_bytes("a") == b"old"
    assert names(memory) == ["a"]


@pytest.mark.parametrize("size", [500, 5000])
def test_a_flipped_bit_on_the_way_in(files, bring, memory, fault, size):
    href = files.put("a", NOISE[:size], fault(flip=True))
    check(bring(href, memory), NOISE[:size])
    assert memory.read_bytes("a") == NOISE[:size]
    files.always["/a"] = fault(flip=True)
    with pytest.raises(TransferError, match="crc32c is"):
        bring(href, memory, "b")
    assert names(memory) == ["a"]


def test_a_flipped_bit_on_the_way_out(files, bring, lake, switch, part_bytes):
    content = NOISE[: part_bytes + 77]
    href = files.put("a", content)
    switch(damage=1)
    check(bring(href, lake, part_bytes=part_bytes), content)
    assert lake.read_bytes("a") == content
    assert names(lake) == ["a"]


@pytest.mark.parametrize("size", [1, 2])
def test_a_store_that_refuses(files, bring, lake, switch, part_bytes, size):
    lake.write_bytes(b"old", "a")
    switch(refuse=r"^(PUT|POST) /(bucket/.*(partNumber=2|x-id=PutObject)|upload|bucket/[^?]*\?$)")
    href = files.put("a", NOISE[: size * part_bytes - 5])
    with pytest.raises(LakeError, match=r"cannot write .*/a"):
        bring(href, lake, part_bytes=part_bytes)
    switch(refuse="")
    assert lake.read_bytes("a") == b"old"
    assert names(lake) == ["a"]


def test_who_signs_may_fail(files, bring, memory, fault):
    href = files.put("a", NOISE[:5000], fault(), fault(status=403))

    class Refused(Exception):
        pass

    calls = iter([href])

    def sign():
        try:
            return next(calls)
        except StopIteration:
            raise Refused from None

    with pytest.raises(Refused):
        stream(sign, memory, "a", part_bytes=1000, connections=2, patience=PATIENCE)
    assert names(memory) == []


def test_an_interrupted_stream_leaves_nothing(files, bring, memory, fault):
    href = files.put("a", NOISE[:50_000], fault(), fault(silent=True))

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring(href, memory, on_progress=interrupt, patience=Patience(silence_s=60))
    assert names(memory) == []
    assert [thread for thread in threading.enumerate() if thread.name.startswith(("stream-", "transfer-"))] == []
    files.over.set()


def test_more_parts_than_stores_take(files, bring, memory, monkeypatch):
    monkeypatch.setattr("up42_pipelines.lake.transfer.stream.MOST_PARTS", 7)
    check(bring(files.put("a", NOISE[:5000]), memory, part_bytes=100), NOISE[:5000])
    assert len(files.requests) <= 8


def test_two_streams_to_one_name(files, bring, lake, part_bytes):
    contents = [NOISE[: part_bytes + 500], NOISE[5 : part_bytes + 700]]
    hrefs = [files.put(f"{index}", content) for index, content in enumerate(contents)]
    threads = [threading.Thread(target=bring, args=(href, lake), kwargs={"part_bytes": part_bytes}) for href in hrefs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lake.read_bytes("a") in contents
    assert names(lake) == ["a"]


KILLED = """
    import json, os, signal, sys
    from up42_pipelines.lake import Lake
    from up42_pipelines.lake.transfer.stream import stream

    href, url, options, part_bytes = json.loads(sys.argv[1])
    stream(lambda: href, Lake(url, options), "a", part_bytes=part_bytes, connections=1)
"""


def test_killed_in_the_middle(files, lake, object_store, part_bytes, fault):
    """With one connection, half of the second part means that the first one is in the store."""
    child = []

    def kill():
        child[0].send_signal(signal.SIGKILL)
        child[0].wait()

    lake.write_bytes(b"old", "a")
    href = files.put("a", NOISE[: part_bytes * 2], fault(), fault(halfway=kill))
    job = json.dumps([href, lake.url, object_store.storage_options, part_bytes])
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(KILLED), job]) as process:
        child.append(process)
        assert process.wait(60) == -signal.SIGKILL
    assert lake.read_bytes("a") == b"old"
    assert lake.list() == ["a"]
    assert len(names(lake)) == 1 + 1


@pytest.mark.parametrize("object_store", ["gs"], indirect=True)
@pytest.mark.parametrize("seed", range(30))
def test_faults_on_both_ways(files, bring, lake, switch, fault, caplog, seed):
    """As for downloads: what can recover does, and nothing else ever has the name."""
    caplog.set_level(logging.DEBUG)
    draw = random.Random(seed)
    content = draw.randbytes(draw.choice([0, 1, 999, 1000, 1001, draw.randrange(9000)]))
    newer = draw.randbytes(draw.randrange(1, 9000))

    def replace(stored):
        stored.content, stored.etag = newer, f'"v{draw.randrange(10**9)}"'

    kinds = [
        fault(drop_after=draw.randrange(1000)),
        fault(drop_after=draw.randrange(1000), reset=True),
        fault(mid_header=True),
        fault(status=429, headers={"Retry-After": "0"}),
        fault(status=503),
        fault(status=403),
        fault(status=412),
        fault(before=replace),
        fault(no_range=True),
        fault(headers={"Content-Range": "bytes 5-/7"}),
        fault(headers={"ETag": '"another"'}),
        fault(length=draw.choice([1, 10**6])),
        fault(flip=True),
    ]
    href = files.put("a", content, *draw.choices(kinds, k=draw.randint(0, 4)), ranges=draw.random() < 0.85)
    doomed = draw.random() < 0.2
    if doomed:
        files.always["/a"] = draw.choice([fault(status=404), fault(flip=True), fault(drop_after=0), fault(status=503)])
    lake.write_bytes(b"old", "a")
    switch(damage=draw.choice([0, 0, 1, 2]))
    patience = Patience(silence_s=1, attempts=9, first_pause_s=0.001, longest_pause_s=0.01)
    try:
        outcome = bring(href, lake, patience=patience)
    except TransferError as error:
        outcome = error
    if isinstance(outcome, TransferError):
        assert doomed, f"could have recovered: {outcome}"
        assert "Signature" not in str(outcome)
        assert lake.read_bytes("a") == b"old"
    else:
        check(outcome, files.objects["/a"].content)
        assert lake.read_bytes("a") == files.objects["/a"].content
    assert names(lake) == ["a"]
    assert "Signature" not in caplog.text
