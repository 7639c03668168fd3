"""Uploads in parts: whole and verified under their name, or not there, whatever store, network and kills do."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import textwrap
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import google_crc32c
import pytest
import requests

from up42_pipelines.errors import LakeError
from up42_pipelines.lake import Lake
from up42_pipelines.lake.upkeep.files import files_below
from up42_pipelines.lake.uploads import (
    MOST_PARTS,
    Piece,
    Upload,
    abort_uploads,
    begin_upload,
    unfinished_uploads,
    upload_file,
    write_object,
)

SMALLEST = {"s3": 5 << 20, "gs": 1000}  # S3 and its emulator take no smaller part but the last
NOISE = random.Random(1).randbytes(2 * SMALLEST["s3"] + 77)
OTHER = random.Random(2).randbytes(SMALLEST["s3"] + 5)


@pytest.fixture
def lake(object_store):
    return Lake(f"{object_store.url}/{uuid.uuid4().hex}", object_store.storage_options)


@pytest.fixture
def switch(object_store):
    def put(**values):
        url = f"{object_store.storage_options['endpoint_url']}/switches"
        return requests.put(url, json=values, timeout=10).json()

    yield put
    put(damage=0, damage_composed=0, lose_answers=0, refuse="")


@pytest.fixture
def kind(object_store):
    return object_store.url.partition(":")[0]


@pytest.fixture
def part_bytes(kind):
    return SMALLEST[kind]


def cut(content, part_bytes):
    return [content[at : at + part_bytes] for at in range(0, len(content), part_bytes)]


def put(upload, index, part):
    upload.put(index, part, google_crc32c.value(part))


def names(lake):
    """Everything in the lake's folder, temporary objects and uploads included."""
    lake.fs.invalidate_cache()
    found = [path.removeprefix(f"{lake.root}/") for path in lake.fs.find(lake.root)]
    return sorted([*found, *(one.upload_id for one in unfinished_uploads(lake.fs, lake.root))])


def test_parts_in_any_order_from_any_thread(lake, part_bytes):
    lake.write_bytes(b"old", "scene.tif")
    content = NOISE[: 2 * part_bytes + 77]
    parts = cut(content, part_bytes)
    with begin_upload(lake.fs, lake.path("scene.tif")) as upload:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda index: put(upload, index, parts[index]), [2, 0, 1]))
        assert lake.read_bytes("scene.tif") == b"old"
        assert lake.list() == ["scene.tif"]
        whole = upload.commit()
    assert (whole.size, whole.crc32c) == (len(content), google_crc32c.value(content))
    assert lake.read_bytes("scene.tif") == content
    assert names(lake) == ["scene.tif"]
    lake.fs.invalidate_cache()
    info = lake.fs.info(lake.path("scene.tif"))
    assert info.get("contentType", info.get("ContentType")) == "image/tiff"


def test_a_part_that_is_put_again(lake, part_bytes):
    parts = cut(NOISE[: part_bytes + 9], part_bytes)
    lake.write_bytes(b"x", "before")
    assert lake.list() == ["before"]
    with begin_upload(lake.fs, lake.path("again")) as upload:
        put(upload, 0, OTHER[:part_bytes])
        put(upload, 1, parts[1])
        put(upload, 0, parts[0])
        upload.commit()
    assert lake.path("again") in lake.fs.ls(lake.root, detail=False), "the listing from before is forgotten"
    assert lake.read_bytes("again") == NOISE[: part_bytes + 9]
    assert names(lake) == ["again", "before"]


def test_gaps_are_no_object(lake, part_bytes):
    with begin_upload(lake.fs, lake.path("gap")) as upload:
        with pytest.raises(ValueError, match="no whole object"):
            upload.commit()
        put(upload, 1, NOISE[:part_bytes])
        with pytest.raises(ValueError, match=r"\[1\] are no whole object"):
            upload.commit()
    assert names(lake) == []


@pytest.mark.parametrize("object_store", ["gs"], indirect=True)
def test_more_parts_than_one_compose_takes(lake, object_store):
    content = NOISE[:34_567]
    with begin_upload(lake.fs, lake.path("many")) as upload:
        for index, part in enumerate(cut(content, 500)):
            put(upload, index, part)
        upload.commit()
    assert lake.read_bytes("many") == content
    assert names(lake) == ["many"]
    counts = requests.get(f"{object_store.storage_options['endpoint_url']}/requests", timeout=10).json()
    composed = [line for line in counts if line.endswith("/compose") and lake.root.rpartition("/")[2] in line]
    assert len(composed) == 4, "70 parts: 32, 32 and 6, then these three"


def test_damaged_bytes_are_sent_again(lake, switch, part_bytes):
    with begin_upload(lake.fs, lake.path("healed")) as upload:
        for index, part in enumerate(cut(NOISE[: part_bytes + 9], part_bytes)):
            switch(damage=2 - index)
            put(upload, index, part)
        upload.commit()
    assert lake.read_bytes("healed") == NOISE[: part_bytes + 9]


def test_bytes_that_are_damaged_each_time_are_never_published(lake, object_store, switch, kind, part_bytes):
    lake.write_bytes(b"old", "a")
    impatient = {"config_kwargs": {"retries": {"max_attempts": 0}}} if kind == "s3" else {}
    fs = Lake(object_store.url, object_store.storage_options | impatient).fs
    refused = r"calculated CRC32C|Told so by a test"
    switch(damage=3)
    with begin_upload(fs, lake.path("a")) as upload, pytest.raises(Exception, match=refused):
        put(upload, 0, NOISE[:part_bytes])
    switch(damage=3)
    with pytest.raises(Exception, match=refused):
        write_object(fs, lake.path("a"), b"new", google_crc32c.value(b"new"))
    assert lake.read_bytes("a") == b"old"
    assert names(lake) == ["a"]


def test_an_object_in_one_request(lake, switch):
    switch(damage=2)
    write_object(lake.fs, lake.path("small.tif"), b"pixels", google_crc32c.value(b"pixels"))
    assert lake.read_bytes("small.tif") == b"pixels"
    write_object(lake.fs, lake.path("small.tif"), b"", 0)
    assert lake.read_bytes("small.tif") == b""
    assert names(lake) == ["small.tif"]


def test_the_answer_of_the_last_step_is_lost(lake, switch, part_bytes):
    with begin_upload(lake.fs, lake.path("lost")) as upload:
        put(upload, 0, NOISE[:part_bytes])
        switch(lose_answers=1)
        upload.commit()
    assert lake.read_bytes("lost") == NOISE[:part_bytes]
    assert names(lake) == ["lost"]


@pytest.mark.parametrize("object_store", ["s3"], indirect=True)
def test_an_upload_that_somebody_aborted(lake, part_bytes):
    lake.write_bytes(b"old", "aborted")
    with begin_upload(lake.fs, lake.path("aborted")) as upload:
        put(upload, 0, NOISE[:part_bytes])
        abort_uploads(lake.fs, unfinished_uploads(lake.fs, lake.root))
        with pytest.raises(FileNotFoundError):
            upload.commit()
    assert lake.read_bytes("aborted") == b"old"


def test_a_store_that_refuses_the_last_step(lake, switch, kind, part_bytes):
    lake.write_bytes(b"old", "refused")
    switch(refuse={"s3": r"^POST .*uploadId=", "gs": "rewriteTo"}[kind])
    with begin_upload(lake.fs, lake.path("refused")) as upload:
        put(upload, 0, NOISE[:part_bytes])
        put(upload, 1, NOISE[:9])
        with pytest.raises(OSError, match=r"(?i)forbidden|denied|told so"):
            upload.commit()
    switch(refuse="")
    assert lake.read_bytes("refused") == b"old"
    assert names(lake) == ["refused"]


@pytest.mark.parametrize("object_store", ["gs"], indirect=True)
def test_what_is_composed_is_compared_before_it_has_its_name(lake, switch):
    lake.write_bytes(b"old", "composed")
    switch(damage_composed=1)
    with begin_upload(lake.fs, lake.path("composed")) as upload:
        put(upload, 0, b"one")
        put(upload, 1, b"two")
        with pytest.raises(OSError, match="holds other bytes"):
            upload.commit()
    assert lake.read_bytes("composed") == b"old"
    assert names(lake) == ["composed"]


@pytest.mark.parametrize("object_store", ["gs"], indirect=True)
def test_temporary_objects_that_cannot_be_removed_do_no_harm(lake, switch):
    switch(refuse=r"^DELETE .*\.\d\.part$")
    with begin_upload(lake.fs, lake.path("kept")) as upload:
        for index in range(40):
            put(upload, index, b"%d" % index)
        upload.commit()
    switch(refuse="")
    assert lake.read_bytes("kept") == b"".join(b"%d" % index for index in range(40))
    assert lake.list() == ["kept"], "readers do not see what is left"
    assert len(names(lake)) == 1 + 10, "one that stays does not keep the others"


@pytest.mark.parametrize("object_store", ["s3"], indirect=True)
class TestStoresLikeS3:
    def test_the_store_is_told_the_checksum_of_the_whole(self, lake, monkeypatch, part_bytes):
        seen, call = {}, lake.fs.call_s3

        def recorded(method, **options):
            seen[method] = options
            return call(method, **options)

        monkeypatch.setattr(lake.fs, "call_s3", recorded)
        content = NOISE[: part_bytes + 9]
        with begin_upload(lake.fs, lake.path("told")) as upload:
            for index, part in enumerate(cut(content, part_bytes)):
                put(upload, index, part)
            upload.commit()
        assert seen["create_multipart_upload"]["ChecksumType"] == "FULL_OBJECT"
        told = seen["complete_multipart_upload"]["ChecksumCRC32C"]
        head = call("head_object", Bucket="bucket", Key=lake.path("told").partition("/")[2], ChecksumMode="ENABLED")
        assert told == head["ChecksumCRC32C"]

    @pytest.mark.parametrize("damaged", [False, True])
    def test_a_store_that_knows_no_crc32c_is_believed_by_its_etag(self, lake, monkeypatch, part_bytes, damaged):
        call = lake.fs.call_s3

        def older(method, *, Body=None, **options):  # noqa: N803
            options = {name: value for name, value in options.items() if not name.startswith("Checksum")}
            if Body is not None:
                content = Body.read()
                options["Body"] = bytes([content[0] ^ damaged]) + content[1:]
            return {key: value for key, value in call(method, **options).items() if not key.startswith("Checksum")}

        monkeypatch.setattr(lake.fs, "call_s3", older)
        with begin_upload(lake.fs, lake.path("older")) as upload:
            if damaged:
                with pytest.raises(OSError, match="holds other bytes of part 0"):
                    put(upload, 0, NOISE[:part_bytes])
            else:
                put(upload, 0, NOISE[:part_bytes])
                upload.commit()
        assert lake.exists("older") != damaged


def test_two_writers_of_one_name(lake, part_bytes):
    one, other = NOISE[: part_bytes + 77], OTHER[: part_bytes + 5]
    with begin_upload(lake.fs, lake.path("both")) as first, begin_upload(lake.fs, lake.path("both")) as second:
        for index in range(2):
            put(first, index, cut(one, part_bytes)[index])
            put(second, index, cut(other, part_bytes)[index])
        second.commit()
        assert lake.read_bytes("both") == other
        first.commit()
        assert lake.read_bytes("both") == one
    assert names(lake) == ["both"]


KILLED = """
    import json, os, signal, sys
    import google_crc32c
    from up42_pipelines.lake import Lake
    from up42_pipelines.lake.uploads import begin_upload

    url, options, part_bytes = json.loads(sys.argv[1])
    lake = Lake(url, options)
    upload = begin_upload(lake.fs, lake.path("killed.tif"))
    content = b"x" * part_bytes
    for index in range(2):
        upload.put(index, content, google_crc32c.value(content))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_what_is_found_and_removed(lake, object_store, kind, part_bytes):
    job = json.dumps([lake.url, object_store.storage_options, part_bytes])
    program = [sys.executable, "-c", textwrap.dedent(KILLED), job]
    assert subprocess.run(program, timeout=60, check=False).returncode == -signal.SIGKILL
    assert not lake.exists("killed.tif")
    assert lake.list() == []
    lake.write_bytes(b"x", ".hidden")
    lake.write_bytes(b"x", "honest.part")
    if kind == "s3":
        (one,) = unfinished_uploads(lake.fs, lake.root)
        assert one.path == lake.path("killed.tif")
        assert one.begun < datetime.now(UTC)
        assert unfinished_uploads(lake.fs, lake.root[:-1]) == [], "another folder, although its name begins like this"
        abort_uploads(lake.fs, [one])
        abort_uploads(lake.fs, [one])
        assert names(lake) == [".hidden", "honest.part"]
    else:
        left = [file.path for file in files_below(lake) if file.is_temporary]
        assert [path.rpartition(".killed.tif.")[2][16:] for path in left] == [".0.part", ".1.part"]


class TestFileSystemsWithoutParts:
    @pytest.fixture(params=["memory", "local"])
    def lake(self, request, tmp_path):
        return Lake(f"memory://{uuid.uuid4()}" if request.param == "memory" else str(tmp_path / "lake"))

    def test_in_order_and_moved(self, lake):
        with lake.upload("folder", "a") as upload:
            assert upload.in_order
            put(upload, 0, b"one")
            with pytest.raises(ValueError, match="1 is next, not 2"):
                put(upload, 2, b"three")
            put(upload, 1, b"two")
            assert not lake.exists("folder", "a")
            assert lake.list("folder") == []
            assert len(names(lake)) == 1
            upload.commit()
        assert lake.read_bytes("folder", "a") == b"onetwo"
        assert names(lake) == ["folder/a"]

    def test_aborted(self, lake):
        lake.write_bytes(b"old", "a")
        with lake.upload("a") as upload:
            put(upload, 0, b"new")
        assert lake.read_bytes("a") == b"old"
        assert names(lake) == ["a"]

    def test_a_file_system_that_lost_bytes(self, lake, monkeypatch):
        monkeypatch.setattr(lake.fs, "size", lambda _: 2)
        with lake.upload("a") as upload:
            put(upload, 0, b"new")
            with pytest.raises(OSError, match="does not hold the 3 bytes"):
                upload.commit()
        assert names(lake) == []

    def test_a_killed_one_leaves_what_gc_finds(self, lake):
        upload = lake.upload("folder", "a")
        put(upload, 0, b"new")
        upload._file.close()  # as the end of the process does
        assert [file.is_temporary for file in files_below(lake)] == [True]

    def test_an_object_at_once(self, lake):
        write_object(lake.fs, lake.path("a"), b"whole", google_crc32c.value(b"whole"))
        assert lake.read_bytes("a") == b"whole"
        assert names(lake) == ["a"]


class TestFiles:
    @pytest.mark.parametrize("size", [0, 1, 1000, 1001, 2000, 4321])
    def test_in_memory(self, tmp_path, size):
        lake = Lake(f"memory://{uuid.uuid4()}")
        (tmp_path / "file").write_bytes(NOISE[:size])
        upload_file(lake.fs, tmp_path / "file", lake.path("a"), part_bytes=1000)
        assert lake.read_bytes("a") == NOISE[:size]
        assert names(lake) == ["a"]

    def test_published(self, lake, switch, tmp_path):
        file = tmp_path / "scene.tif"
        content = NOISE[: (8 << 20) + 77]
        for wanted in (content, NOISE[:500]):
            file.write_bytes(wanted)
            assert switch(damage=1)["damage"] == 1
            lake.publish(file, "scene.tif")
            assert switch()["damage"] == 0, "the bytes were sent with a checksum, damaged, and sent again"
            assert not file.exists()
            assert lake.read_bytes("scene.tif") == wanted
            assert names(lake) == ["scene.tif"]

    def test_a_part_that_fails(self, lake, switch, tmp_path, part_bytes):
        lake.write_bytes(b"old", "a")
        file = tmp_path / "file"
        file.write_bytes(NOISE[: 2 * part_bytes])
        switch(refuse={5 << 20: "partNumber=2", 1000: "^POST /upload"}[part_bytes])
        with pytest.raises(OSError, match=r"(?i)forbidden|denied|told so"):
            upload_file(lake.fs, file, lake.path("a"), part_bytes=part_bytes)
        switch(refuse="")
        assert lake.read_bytes("a") == b"old"
        assert names(lake) == ["a"]

    def test_a_failure_is_explained_and_the_file_kept(self, lake, switch, tmp_path):
        file = tmp_path / "file"
        file.write_bytes(b"pixels")
        switch(refuse="^(PUT|POST) /(bucket|upload)")
        with pytest.raises(LakeError, match="cannot write"):
            lake.publish(file, "a")
        assert file.exists()

    def test_never_more_parts_than_s3_takes(self, tmp_path):
        seen = []

        class Counted(Upload):
            def _put(self, index, content, crc32c):
                seen.append(index)
                return Piece(size=len(content), crc32c=crc32c)

            _publish = _clean_up = lambda *_: None

        lake = Lake(f"memory://{uuid.uuid4()}")
        with (tmp_path / "sparse").open("wb") as file:
            file.truncate(3 * MOST_PARTS + 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("up42_pipelines.lake.uploads.uploading.begin_upload", Counted)
            upload_file(lake.fs, tmp_path / "sparse", lake.path("a"), part_bytes=1)
        assert MOST_PARTS / 2 < len(seen) <= MOST_PARTS
