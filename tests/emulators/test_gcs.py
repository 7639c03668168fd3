"""The emulator of Google Cloud Storage against gcsfs: ranges, pages, long uploads, conditions, compose and copies."""

import base64

import google_crc32c
import pytest
import requests

from up42_pipelines.lake import Lake

pytestmark = pytest.mark.parametrize("object_store", ["gs"], indirect=True)
CHUNK = 2**18


@pytest.fixture
def fs(object_store):
    return Lake(*object_store).fs


def test_ranges(fs):
    fs.pipe_file("bucket/ranges", b"0123456789")
    assert fs.cat_file("bucket/ranges") == b"0123456789"
    assert fs.cat_file("bucket/ranges", start=2, end=5) == b"234"
    assert fs.cat_file("bucket/ranges", start=7) == b"789"
    assert fs.cat_file("bucket/ranges", start=-3) == b"789"


def test_an_object_describes_itself(fs):
    fs.pipe_file("bucket/described", b"pixels", content_type="image/tiff")
    info = fs.info("bucket/described")
    assert (info["size"], info["contentType"]) == (6, "image/tiff")
    assert base64.b64decode(info["crc32c"]) == google_crc32c.value(b"pixels").to_bytes(4, "big")
    fs.pipe_file("bucket/described", b"others")
    fs.invalidate_cache()
    assert int(fs.info("bucket/described")["generation"]) > int(info["generation"])


def test_pages_of_a_listing(fs, object_store):
    for name in ("a", "b/1", "b/2", "c", "d/1"):
        fs.pipe_file(f"bucket/pages/{name}", b"")
    fs.invalidate_cache()
    assert [entry.removeprefix("bucket/pages/") for entry in sorted(fs.ls("bucket/pages"))] == ["a", "b", "c", "d"]
    url = f"{object_store.storage_options['endpoint_url']}/storage/v1/b/bucket/o"
    query, seen = {"prefix": "pages/", "delimiter": "/", "maxResults": 2}, []
    while query.get("pageToken", "start"):
        page = requests.get(url, query, timeout=10).json()
        seen += [item["name"] for item in page["items"]] + page["prefixes"]
        query["pageToken"] = page.get("nextPageToken")
    assert seen == ["pages/a", "pages/b/", "pages/c", "pages/d/"]


def test_a_long_upload_creates_once(fs):
    content = bytes(range(256)) * (2 * CHUNK // 256) + b"rest"
    fs.pipe_file("bucket/long", content, chunksize=CHUNK, mode="create")
    assert fs.cat_file("bucket/long") == content
    with pytest.raises(FileExistsError):
        fs.pipe_file("bucket/long", content, chunksize=CHUNK, mode="create")


def test_a_long_upload_that_is_overtaken(fs, object_store):
    """The condition holds at the end of the upload, not only where it begins."""
    url = f"{object_store.storage_options['endpoint_url']}/upload/storage/v1/b/bucket/o"
    begun = requests.post(
        url, params={"uploadType": "resumable", "name": "overtaken", "ifGenerationMatch": "0"}, json={}, timeout=10
    )
    fs.pipe_file("bucket/overtaken", b"other")
    ended = requests.put(begun.headers["Location"], b"mine", headers={"Content-Range": "bytes 0-3/4"}, timeout=10)
    assert ended.status_code == 412
    assert fs.cat_file("bucket/overtaken") == b"other"


def test_conditions_on_a_generation(fs, object_store):
    fs.pipe_file("bucket/conditions", b"x")
    generation = int(fs.info("bucket/conditions")["generation"])
    url = f"{object_store.storage_options['endpoint_url']}/storage/v1/b/bucket/o/conditions"
    assert requests.delete(url, params={"ifGenerationMatch": generation + 1}, timeout=10).status_code == 412
    assert requests.delete(url, params={"ifGenerationNotMatch": generation}, timeout=10).status_code == 412
    assert requests.delete(url, params={"ifGenerationMatch": generation}, timeout=10).status_code == 204
    assert requests.get(url, timeout=10).status_code == 404


def test_composing(fs):
    for name in ("one", "two"):
        fs.pipe_file(f"bucket/compose/{name}", name.encode())
    fs.merge("bucket/compose/whole", ["bucket/compose/two", "bucket/compose/one"])
    assert fs.cat_file("bucket/compose/whole") == b"twoone"
    generation = fs.info("bucket/compose/one")["generation"]
    fs.pipe_file("bucket/compose/one", b"another")
    sources = {"sourceObjects": [{"name": "compose/one", "generation": generation}]}
    with pytest.raises(FileNotFoundError):
        fs.call("POST", "b/bucket/o/{}/compose", "compose/late", json=sources)
    with pytest.raises(Exception, match="between 1 and 32"):
        fs.merge("bucket/compose/many", ["bucket/compose/two"] * 33)
    assert not fs.exists("bucket/compose/many")


def test_copies(fs):
    """gcsfs asks again with the token, as it has to for large objects."""
    fs.pipe_file("bucket/copies/from", b"pixels", content_type="image/tiff")
    fs.cp_file("bucket/copies/from", "bucket/copies/to")
    assert fs.cat_file("bucket/copies/to") == b"pixels"
    assert fs.info("bucket/copies/to")["contentType"] == "image/tiff"


def test_another_checksum_than_announced_is_refused(fs):
    url = f"{fs.base.removesuffix('storage/v1/')}upload/storage/v1/b/bucket/o"
    body = (
        b'--x\r\nA: b\r\n\r\n{"name": "announced", "crc32c": "%b"}\r\n--x\r\nContent-Type: a/b\r\n\r\npixels\r\r\n--x--'
    )
    crc32c = base64.b64encode(google_crc32c.value(b"pixels\r").to_bytes(4, "big"))
    options = {"uploadType": "multipart", "headers": {"Content-Type": "multipart/related; boundary=x"}}
    with pytest.raises(Exception, match="doesn't match calculated"):
        fs.call("POST", url, data=body % b"AAAAAA==", **options)
    assert not fs.exists("bucket/announced")
    fs.call("POST", url, data=body % crc32c, **options)
    assert fs.cat_file("bucket/announced") == b"pixels\r"
