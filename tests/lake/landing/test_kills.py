"""Landings that are killed at any moment, and what the next one finds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from up42_pipelines.errors import TransferError
from up42_pipelines.lake import Lake, RasterWorker, read_item
from up42_pipelines.lake.events import AssetLanded
from up42_pipelines.lake.scratch import fetching_folder
from up42_pipelines.lake.stac.catalog import item_folder
from up42_pipelines.lake.transfer.plan import PART_BYTES
from up42_pipelines.lake.upkeep.gc import find_debris, remove_debris
from up42_pipelines.lake.upkeep.verify import verify

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
BY_A_KILL = -signal.SIGKILL


@pytest.fixture
def delivery(files, up42_item, cog_bytes, striped_bytes):
    files.put("f1", cog_bytes)
    files.put("f2", striped_bytes)
    files.put("f3", b'{"a": 1}')
    return up42_item(
        {
            "ms": (f"{files.url}/f1", COG, ["data"]),
            "visual": (f"{files.url}/f2", "image/tiff", ["data", "visual"]),
            "metadata": (f"{files.url}/f3", "application/json", ["metadata"]),
        }
    )


@pytest.fixture
def killed(tmp_path):
    """Land an item in lakes of its own, and be killed at a moment each: the lakes."""

    def run(item, *moments):
        lakes = [Lake(str(tmp_path / f"lake{number}")) for number in range(len(moments))]
        document = item.to_dict(transform_hrefs=False)
        jobs = [{"lake": lake.url, "item": document, "at": at} for lake, at in zip(lakes, moments, strict=True)]
        program = [sys.executable, str(Path(__file__).with_name("killed.py"))]
        done = subprocess.run(program, input=json.dumps(jobs), stdout=subprocess.PIPE, text=True, check=True)
        assert json.loads(done.stdout) == [BY_A_KILL] * len(moments)
        return lakes

    return run


def files_of(lake: Lake) -> set[str]:
    return {path.removeprefix(f"{lake.root}/") for path in lake.fs.find(lake.root)}


def needed_by(lake: Lake, item) -> set[str]:
    """The paths of an item, committed or not there, and of catalogue and index."""
    folder = "collections/phr"
    kept = {path for path in files_of(lake) if path.startswith(f"{folder}/index/") or path.endswith(".json")}
    kept = {path for path in kept if path.count("/") == 2 or "/index/" in path or "/" not in path}
    if (there := read_item(lake, "phr", item.id)) is not None:
        kept |= {asset.href.removeprefix(f"{lake.root}/") for asset in there.assets.values()}
        kept |= {f"{folder}/{item.id}/{item.id}.json"}
    return kept


def assert_gc_finds_exactly_the_debris(lake: Lake, item, tmp_path: Path) -> None:
    """On a copy, a day later."""
    copy = Lake(shutil.copytree(lake.root, tmp_path / f"{Path(lake.root).name}-copy").as_posix())
    later = datetime.now(UTC) + timedelta(days=2)
    needed = needed_by(copy, item)
    assert {debris.file.path for debris in find_debris(copy, now=later)} == files_of(copy) - needed
    assert find_debris(copy) == [], "younger than a day: somebody may be at work"
    assert [debris.file.path for debris in remove_debris(copy, now=later)]
    assert files_of(copy) == needed


def assert_whole(lake: Lake, item, landed) -> None:
    assert list(verify(lake)) == []
    assert files_of(lake) == needed_by(lake, item), "no debris at all"
    assert landed.withheld == {}
    assert [asset for asset in item.assets if asset not in landed.item.assets] == []


@pytest.mark.slow
def test_killed_between_two_steps(land, killed, delivery, files, tmp_path):
    moments = [
        ("raster", 1),
        ("publish", 0),
        ("publish", 2),
        ("write_all_json", 0),
        ("write_json", 0),
        ("write_json", 1),
    ]
    for at, lake in zip(moments, killed(delivery, *moments), strict=True):
        committed = read_item(lake, "phr", delivery.id)
        assert (committed is not None) == (at[0] == "write_json"), at
        assert_gc_finds_exactly_the_debris(lake, delivery, tmp_path)
        files.requests.clear()
        landed = land(lake, delivery)
        # A document is moved on when it is taken; the rasters stay until the item is settled.
        fetched = {path.partition("?")[0] for path, _ in files.requests}
        assert fetched <= {"/f3"}, at
        assert landed.already_there == (committed is not None)
        assert list(verify(lake)) == [], at
        list(remove_debris(lake, now=datetime.now(UTC) + timedelta(days=2)))
        assert_whole(lake, delivery, landed)


@pytest.mark.slow
def test_killed_while_bytes_arrive(land, killed, files, up42_item):
    content = np.random.default_rng(5).bytes(2 * PART_BYTES + 1000)
    item = up42_item({"table": (files.put("big", content), "application/octet-stream", ["metadata"])})
    (lake,) = killed(item, ("part", 1))
    assert read_item(lake, "phr", item.id) is None
    assert lake.list("collections", "phr", item.id) == [], "what lies around is hidden"
    landed = land(lake, item)
    assert_whole(lake, item, landed)
    assert lake.read_bytes("collections", "phr", item.id, Path(landed.item.assets["table"].href).name) == content
    assert files.sent["/big"] <= len(content) + PART_BYTES, "one part per connection"


@pytest.mark.slow
def test_killed_while_it_unpacks(land, killed, files, up42_item, zipped, cog_bytes, striped_bytes, tmp_path):
    archive = zipped({"order/ms.tif": cog_bytes, "order/visual.tif": striped_bytes})
    item = up42_item({"data": (files.put("archive", archive), "application/zip", ["data"])})
    for lake in killed(item, ("member", 1), ("raster", 1)):
        assert lake.list("collections", "phr", item.id) == []
        assert_gc_finds_exactly_the_debris(lake, item, tmp_path)
        files.requests.clear()
        landed = land(lake, item)
        assert files.requests == []
        assert landed.assets_fetched == 0
        assert not landed.already_there
        assert {"ms", "visual"} <= landed.item.assets.keys()
        assert list(verify(lake)) == []
        assert files_of(lake) >= needed_by(lake, item)
        list(remove_debris(lake, now=datetime.now(UTC) + timedelta(days=2)))
        assert files_of(lake) == needed_by(lake, item)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells whether the helper is at work")
def test_the_raster_helper_is_killed_in_the_middle(land, delivery, tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    over = threading.Event()

    def kill_it_at_work(worker: RasterWorker) -> None:
        while not over.is_set():
            if worker._helper is not None:
                pid = worker._helper._process.pid
                if Path(f"/proc/{pid}/task/{pid}/children").read_text():
                    os.kill(pid, signal.SIGKILL)
                    return
            over.wait(0.001)

    with RasterWorker() as worker:
        thread = threading.Thread(target=kill_it_at_work, args=(worker,))
        thread.start()
        try:
            landed = land(lake, delivery, rasters=worker)
        finally:
            over.set()
            thread.join()
    assert_whole(lake, delivery, landed)


def test_a_file_that_fails_does_not_have_the_others_fetched_again(land, files, fault, delivery, tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    files.faults["/f3"] = [fault(status=404)] * 20
    with pytest.raises(TransferError):
        land(lake, delivery)
    assert lake.list("collections", "phr", delivery.id) == []
    files.faults.clear()
    files.requests.clear()
    landed = land(lake, delivery)
    assert [path.partition("?")[0] for path, _ in files.requests] == ["/f3"]
    assert (landed.assets_fetched, landed.already_there) == (1, False)
    assert_whole(lake, delivery, landed)


@pytest.mark.parametrize("change", ["bytes", "note", "address"])
def test_what_waits_is_used_only_if_it_is_what_it_was(land, files, fault, delivery, tmp_path, change):
    lake = Lake(str(tmp_path / "lake"))
    files.faults["/f3"] = [fault(status=404)] * 20
    with pytest.raises(TransferError):
        land(lake, delivery)
    files.faults.clear()
    waiting = Path(lake.path(*item_folder("phr", delivery.id))) / ".fetching.part"
    (note,) = waiting.glob("ms-*.received")
    if change == "bytes":
        content = bytearray(note.with_suffix("").read_bytes())
        content[-1] ^= 1
        note.with_suffix("").unlink()
        note.with_suffix("").write_bytes(content)
    elif change == "note":
        note.write_text(note.read_text()[:-9])
    else:
        files.put("f9", files.objects["/f1"].content)
        delivery.assets["ms"].href = f"{files.url}/f9"
    files.requests.clear()
    landed = land(lake, delivery)
    assert {path.partition("?")[0] for path, _ in files.requests} == {"/f3", "/f9" if change == "address" else "/f1"}
    assert_whole(lake, delivery, landed)


def test_one_landing_of_an_item_at_a_time(land, delivery, tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    seen = []

    def other(event) -> None:
        if isinstance(event, AssetLanded) and not seen:
            with pytest.raises(TransferError, match="somebody else is landing this item") as caught:
                land(lake, delivery)
            seen.append(caught.value)

    landed = land(lake, delivery, on_event=other)
    assert len(seen) == 1
    assert_whole(lake, delivery, landed)
    with fetching_folder(lake, item_folder("phr", "another")) as place:
        assert place.is_dir()
    assert not place.parent.exists(), "nothing waited there"
