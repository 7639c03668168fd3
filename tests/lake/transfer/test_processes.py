"""Real processes: killed at several bytes, two at one target, short of disk, and how much memory they take."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from up42_pipelines.errors import TransferError
from up42_pipelines.lake.transfer.delivery import Limits
from up42_pipelines.lake.transfer.download import download

PART_BYTES, PARTS, CONNECTIONS = 200_000, 24, 4
CONTENT = random.Random(5).randbytes(PART_BYTES * PARTS - 77)


@pytest.fixture
def start(tmp_path):
    """Start a child that fetches a URL to `target.tif`."""
    children = []

    def run(url, **options):
        wanted = {"url": url, "target": str(tmp_path / "target.tif"), "connections": CONNECTIONS}
        job = json.dumps({**wanted, "part_bytes": PART_BYTES, **options})
        program = [sys.executable, Path(__file__).with_name("fetcher.py"), job]
        children.append(subprocess.Popen(program, stdout=subprocess.PIPE, text=True))
        return children[-1]

    yield run
    for child in children:
        child.kill()
        child.wait()
        child.stdout.close()


def outcome_of(child):
    told, _ = child.communicate(timeout=60)
    return json.loads(told)


@pytest.fixture
def resume(files, tmp_path):
    def run(href):
        limits = Limits(connections=CONNECTIONS)
        return download(lambda: files.sign(href), tmp_path / "target.tif", limits=limits, part_bytes=PART_BYTES)

    return run


@pytest.mark.parametrize("at_request", [2, 7, 16, PARTS])
@pytest.mark.parametrize("within", ["before", "halfway"])
def test_a_killed_transfer_resumes(files, fault, start, resume, tmp_path, at_request, within):
    started = threading.Event()

    def kill(*_):
        started.wait(30)
        child.kill()
        child.wait()

    href = files.put("scene", CONTENT, *[fault()] * (at_request - 1), fault(**{within: kill}))
    child = start(href)
    started.set()
    assert child.wait(60) == -9
    assert not (tmp_path / "target.tif").exists()
    before = files.sent["/scene"]
    received = resume(href)
    assert received.path.read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["target.tif"]
    again = files.sent["/scene"] - len(CONTENT)
    assert again <= CONNECTIONS * PART_BYTES, "at most one part per connection is fetched again"
    if at_request > 2 * CONNECTIONS:
        assert files.sent["/scene"] - before < len(CONTENT) - PART_BYTES, "what was there was not fetched again"


def test_an_object_that_changed_after_the_kill_is_fetched_anew(files, fault, start, resume):
    started = threading.Event()

    def kill(*_):
        started.wait(30)
        child.kill()
        child.wait()

    href = files.put("scene", CONTENT, *[fault()] * 12, fault(before=kill))
    child = start(href)
    started.set()
    child.wait(60)
    files.objects["/scene"].content, files.objects["/scene"].etag = CONTENT[::-1], '"v2"'
    assert resume(href).path.read_bytes() == CONTENT[::-1]


def test_two_processes_never_write_one_target(files, fault, start, resume, tmp_path):
    under_way, go_on = threading.Event(), threading.Event()

    def hold():
        under_way.set()
        go_on.wait(30)

    href = files.put("scene", CONTENT, fault(halfway=hold))
    child = start(href)
    assert under_way.wait(60)
    try:
        with pytest.raises(TransferError, match="is being fetched by somebody else"):
            resume(href)
    finally:
        go_on.set()
    assert outcome_of(child)["verified_by"] == "crc32c"
    assert (tmp_path / "target.tif").read_bytes() == CONTENT


@pytest.mark.parametrize("part_bytes", [PART_BYTES, len(CONTENT)])
def test_a_full_disk_is_a_lake_error_and_leaves_nothing(files, start, tmp_path, part_bytes):
    href = files.put("scene", CONTENT)
    told = outcome_of(start(href, largest_file=1_000_000, part_bytes=part_bytes))
    assert told["error"].startswith("LakeError: Cannot write the download to")
    assert list(tmp_path.iterdir()) == []
    if part_bytes == PART_BYTES:
        assert len(files.requests) == 1, "space is taken before more than the first part is asked for"


def test_many_connections_cost_little_memory(files, start):
    href = files.put("scene", CONTENT * 8)
    told = outcome_of(start(href, connections=32, part_bytes=1 << 20))
    assert told["verified_by"] == "crc32c"
    assert told["peak_mb"] <= 64
    assert not {"rasterio", "pydantic", "pystac", "fsspec", "dagster"} & set(told["modules"])
