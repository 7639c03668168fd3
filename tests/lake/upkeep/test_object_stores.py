"""Verify, gc and repair on S3 and Google Cloud Storage."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from up42_pipelines.lake import Lake
from up42_pipelines.lake.stac import index
from up42_pipelines.lake.upkeep.files import files_below
from up42_pipelines.lake.upkeep.gc import find_debris, remove_debris
from up42_pipelines.lake.upkeep.repair import repair
from up42_pipelines.lake.upkeep.verify import verify

FOLDER = ("collections", "c")
LATER = datetime.now(UTC) + timedelta(days=30)


@pytest.fixture
def remote(object_store):
    return Lake(f"{object_store.url}/{uuid.uuid4()}", object_store.storage_options)


def _found(lake, *, now):
    return sorted((debris.why, debris.file.path) for debris in find_debris(lake, now=now))


def test_damaged_found_and_derived_again(remote, land):
    land(remote, "a")
    land(remote, "b")
    land(remote, "w", withheld=True)
    assert list(verify(remote)) == []
    remote.write_bytes(b"a" * 99 + b"b", *FOLDER, "a", "a.tif")
    remote.write_bytes(b"short", *FOLDER, "w", "w.tif")
    remote.remove(*FOLDER, "collection.json")
    remote.write_bytes(b"PAR1", *FOLDER, "index", remote.list(*FOLDER, "index")[0])
    found = {(finding.kind, finding.path) for finding in verify(remote)}
    files = {("wrong checksum", "collections/c/a/a.tif"), ("wrong size", "collections/c/w/w.tif")}
    derived = {("missing file", "collections/c/collection.json"), ("dangling link", "catalog.json")}
    assert found == files | derived | {("damaged", "collections/c/index")}
    (done,) = repair(remote)
    assert (done.items, done.rows, len(done.removed)) == (2, 1, 1)
    assert {(finding.kind, finding.path) for finding in verify(remote)} == files
    assert [item["id"] for item in index.search(remote, "c")] == ["a", "b"]


def test_debris(remote, land):
    land(remote, "a")
    land(remote, "a", withheld=True)
    land(remote, "a")
    whole = {file.path for file in files_below(remote)}
    (removal,) = (path for path in whole if path.endswith(".removed.json"))
    debris = {
        ".catalog.json.0123456789abcdef.part": "temporary",
        "collections/c/a/.a.tif.0123456789abcdef.part": "temporary",
        "collections/c/a/old.tif": "unreferenced",
        "collections/c/dead/a.tif": "no item",
    }
    for path in debris:
        remote.write_bytes(b"debris", *path.split("/"))
    remote.write_bytes(b"mine", "purchases", ".x.part")
    assert _found(remote, now=datetime.now(UTC)) == []
    assert _found(remote, now=LATER) == sorted((why, path) for path, why in debris.items())
    removed = {item.file.path for item in remove_debris(remote, now=LATER)}
    assert removed == {*debris, removal}
    assert list(verify(remote)) == []
    assert remote.exists("purchases", ".x.part")


def test_unfinished_uploads(remote, land):
    """Parts that S3 keeps where no listing shows them; the emulator says that every upload began in November 2010."""
    land(remote, "a")
    unfinished = []
    if hasattr(remote.fs, "call_s3"):
        bucket, key, _ = remote.fs.split_path(remote.path(*FOLDER, "a", "a.tif"))
        for place in (key, key.replace("collections", "purchases")):
            remote.fs.call_s3("create_multipart_upload", Bucket=bucket, Key=place)
        unfinished = [("upload", "collections/c/a/a.tif")]
    assert _found(remote, now=datetime(2010, 11, 11, tzinfo=UTC)) == []
    assert _found(remote, now=LATER) == unfinished
    assert [(item.why, item.file.path) for item in remove_debris(remote, now=LATER)] == unfinished
    assert _found(remote, now=LATER) == []
    if unfinished:
        (left,) = remote.fs.call_s3("list_multipart_uploads", Bucket=bucket)["Uploads"]
        assert "/purchases/" in left["Key"]
    assert list(verify(remote)) == []
