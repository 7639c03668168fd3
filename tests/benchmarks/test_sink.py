import base64
import os

import google_crc32c
import pytest
import requests

from benchmarks.harness import python, serving
from benchmarks.sink import combined


@pytest.fixture(scope="module")
def sink():
    with serving(python("benchmarks.sink")) as url:
        yield url


@pytest.fixture
def fs(sink, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", sink)
    # read when gcsfs is imported: it would ask a gRPC service about each bucket first
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    import gcsfs

    return gcsfs.GCSFileSystem(token="anon", endpoint_url=sink, skip_instance_cache=True)


def encoded(content):
    return base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()


def stored(sink, name):
    resource = requests.get(f"{sink}/storage/v1/b/bucket/o/{name}", timeout=5).json()
    return int(resource["size"]), resource["crc32c"]


@pytest.mark.parametrize("size", [0, 1, 100_000, 6 << 20])
def test_what_gcsfs_puts_in_one_request_or_in_pieces(fs, sink, tmp_path, size):
    content = (os.urandom(size) + b"\r")[-size:] if size else b""  # a line may seem to end there
    (tmp_path / "file").write_bytes(content)
    fs.put_file(str(tmp_path / "file"), "bucket/put", chunksize=1 << 20)
    assert stored(sink, "put") == (size, encoded(content))


def test_small_objects_can_be_read_back(fs):
    fs.pipe_file("bucket/small", b"\n--==0==--\n")
    assert fs.cat_file("bucket/small") == b"\n--==0==--\n"
    fs.rm_file("bucket/small")
    assert not fs.exists("bucket/small")


def test_compose_and_rewrite(fs, sink):
    parts = [os.urandom(size) for size in (3_000_000, 0, 5, 70_000)]
    for number, part in enumerate(parts):
        fs.pipe_file(f"bucket/part-{number}", part)
    fs.merge("bucket/whole", [f"bucket/part-{number}" for number in range(len(parts))])
    fs.cp_file("bucket/whole", "bucket/copy")
    whole = b"".join(parts)
    assert stored(sink, "whole") == stored(sink, "copy") == (len(whole), encoded(whole))


def test_preconditions(fs):
    fs.pipe_file("bucket/once", b"first")
    with pytest.raises(FileExistsError):
        fs.pipe_file("bucket/once", b"second", mode="create")


@pytest.mark.parametrize("size", [0, 1, 2, 31, 32, 255, 100_003])
def test_combined_checksums(size):
    first, second = os.urandom(57), os.urandom(size)
    checksums = google_crc32c.value(first), google_crc32c.value(second)
    assert combined(*checksums, size) == google_crc32c.value(first + second)
