"""What a raster does to the process that handles it ends there."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake.confined import worker as worker_module
from up42_pipelines.lake.confined.landlock import landlock_version
from up42_pipelines.lake.confined.limits import ProcessLimits
from up42_pipelines.lake.rasters.limits import limits_for
from up42_pipelines.lake.rasters.raster import describe
from up42_pipelines.lake.rasters.worker import RasterWorker

HELPER = Path(__file__).with_name("crashing_helper.py")


class CrashingWorker(RasterWorker):
    _program = (sys.executable, "-P", str(HELPER))

    def answer(self, name: str) -> Any:
        """What the job named by a file answers, as it came."""
        with worker_module.job_folder(None) as folder:
            return self._handle("describe", Path(name), folder, dict)


@pytest.fixture(scope="module")
def crashing():
    with CrashingWorker(limits=ProcessLimits(seconds=60)) as worker:
        yield worker


@pytest.fixture
def job(tmp_path):
    """A file whose name says what is to happen to the process that describes it."""

    def make(name: str) -> Path:
        path = tmp_path / name
        path.touch()
        return path

    return make


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"signal.{signal.SIGSEGV:d}", r"crashed GDAL \(SIGSEGV\)"),
        (f"signal.{signal.SIGBUS:d}", r"crashed GDAL \(SIGBUS\)"),
        (f"signal.{signal.SIGABRT:d}", "more than 3,072 MB of memory"),
        (f"signal.{signal.SIGKILL:d}", "the system killed the process"),
        ("exit.tif", "exit code 3 and no answer"),
        ("bug.tif", "ZeroDivisionError: of all things"),
        ("nonsense.tif", "the answer about it cannot be read"),
    ],
)
def test_a_crash_refuses_the_file_and_the_helper_lives_on(crashing, job, make_raster, noise, name, reason):
    path = job(name)
    with pytest.raises(InvalidDelivery, match=reason) as refused:
        crashing.describe(path)
    assert str(refused.value).startswith(name)
    helper = int(path.read_text().split()[1])
    good = make_raster("good.tif", noise())
    assert crashing.land(good, good.with_name("cog.tif")).info.width == 650
    assert not gone(helper), "one helper for all"


@pytest.mark.parametrize(
    ("name", "limits", "reason"),
    [
        ("memory.tif", ProcessLimits(memory_bytes=1 << 30), "more than 1,024 MB of memory"),
        ("spin.tif", ProcessLimits(cpu_seconds=1), "more than 1 s of CPU time"),
        ("wait.tif", ProcessLimits(seconds=0.2), "longer than 0 s"),
    ],
)
def test_limits(crashing, job, monkeypatch, name, limits, reason):
    monkeypatch.setattr(crashing, "_limits", limits)
    path = job(name)
    with pytest.raises(InvalidDelivery, match=reason):
        crashing.describe(path)
    assert gone(int(path.read_text().split()[0]))


def test_a_raster_that_needs_more_memory_than_there_is(raster_worker, make_raster, tmp_path, monkeypatch):
    """A tile has to be in memory as a whole."""
    tile = {"tiled": True, "blockxsize": 12_000, "blockysize": 12_000}
    source = make_raster("a.tif", np.zeros((1, 12_000, 12_000), "uint8"), compress="ZSTD", **tile)
    monkeypatch.setattr(raster_worker, "_limits", ProcessLimits(memory_bytes=400 << 20))
    with pytest.raises(InvalidDelivery, match=r"a\.tif"):
        raster_worker.land(source, tmp_path / "cog.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_a_file_that_grows_too_large(raster_worker, make_raster, noise, tmp_path, monkeypatch):
    source = make_raster("a.tif", noise(4))
    monkeypatch.setattr(raster_worker, "_limits", ProcessLimits(file_bytes=100_000))
    with pytest.raises(InvalidDelivery, match="a file of more than 100,000 bytes"):
        raster_worker.land(source, tmp_path / "cog.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_our_own_troubles_are_no_fault_of_the_delivery(crashing, job, raster_worker, make_raster, noise, tmp_path):
    with pytest.raises(LakeError, match="the disk is full"):
        crashing.describe(job("disk.tif"))
    with pytest.raises(LakeError, match="nowhere"):
        raster_worker.land(make_raster("a.tif", noise()), tmp_path / "nowhere" / "cog.tif")
    with pytest.raises(FileNotFoundError):
        raster_worker.describe(tmp_path / "missing.tif")


def test_a_helper_that_died_between_rasters_is_replaced(crashing, make_raster, noise, wait_for):
    good = make_raster("good.tif", noise())
    assert crashing.quicklook(good)
    helper = crashing._helper._process.pid
    os.kill(helper, signal.SIGKILL)
    wait_for(lambda: gone(helper))
    assert crashing.quicklook(good).startswith(b"\x89PNG")
    assert crashing._helper._process.pid != helper


def test_a_helper_that_dies_again_is_given_up(crashing, job, wait_for):
    path = job("orphan.tif")
    with pytest.raises(LakeError, match="died twice: exit code -9"):
        crashing.describe(path)
    child = int(path.read_text().split()[0])
    wait_for(lambda: gone(child))


def test_a_helper_that_cannot_start_says_why(make_raster, noise, tmp_path):
    class Broken(RasterWorker):
        _program = (sys.executable, "-c", "raise SystemExit('no GDAL here')")

    path = make_raster("a.tif", noise())
    with Broken() as broken, pytest.raises(LakeError, match="exit code 1: no GDAL here"):
        broken.describe(path)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_has_nothing_to_steal(crashing, job, monkeypatch):
    monkeypatch.setenv("UP42_PASSWORD", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    crashing._stop()  # the helper has the environment of its start
    path = job("facts.tif")
    facts = crashing.answer(str(path))
    assert "hunter2" not in str(facts["environment"])
    assert path.read_text().split()[2] == "1", "threads of the helper: forking is only safe with one"
    assert len(facts["descriptors"]) == 4, "the standard three, which lead nowhere, and its answer"
    assert facts["environment"]["TMPDIR"] == facts["folder"] == facts["environment"]["CPL_TMPDIR"]


@pytest.mark.skipif(landlock_version() < 4, reason="this kernel has no Landlock that knows TCP")
def test_the_process_reaches_its_raster_and_nothing_else(crashing, job, tmp_path):
    (tmp_path / "secret").write_text("a")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = crashing.answer(str(job(f"reach.{listening.getsockname()[1]}")))
    assert found == {
        "own file": "done",
        "own folder": "done",
        "neighbour": "PermissionError",
        "folder": "PermissionError",
        "system": "PermissionError",
        "write": "PermissionError",
        "overwrite": "PermissionError",
        "connect": "PermissionError",
    }


def test_kept_bytes_are_not_copied(raster_worker, tmp_path, cog_bytes):
    source = tmp_path / "source.tif"
    source.write_bytes(cog_bytes)
    landed = raster_worker.land(source, tmp_path / "cog.tif")
    assert landed.kept
    assert landed.path == tmp_path / "cog.tif"
    assert source.stat().st_ino == landed.path.stat().st_ino


def test_nobody_left_behind(job, wait_for):
    """When the process that asked is killed, the helper and the raster's process end, in the middle of a raster."""
    path = job("wait.tif")
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path; from up42_pipelines.lake.rasters.worker import RasterWorker\n"
        f"RasterWorker._program = (sys.executable, '-P', {str(HELPER)!r})\n"
        f"with RasterWorker() as worker: worker.describe(Path({str(path)!r}))"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as asking:
        child, helper, _ = map(int, wait_for(path.read_text).split())
        asking.kill()
    wait_for(lambda: gone(child) and gone(helper))
    assert gone(child)


def test_threads_take_turns(raster_worker, make_raster, noise, tmp_path):
    sources = [make_raster(f"{count}.tif", noise(count, 100)) for count in (1, 2, 3, 4)]
    counts: dict[str, int] = {}

    def land(source: Path) -> None:
        counts[source.stem] = raster_worker.land(source, tmp_path / f"cog-{source.stem}.tif").info.count

    threads = [threading.Thread(target=land, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == {"1": 1, "2": 2, "3": 3, "4": 4}


def test_the_asking_process_needs_no_gdal():
    program = (
        "import sys; from up42_pipelines.lake.rasters.worker import RasterWorker; print('rasterio' in sys.modules, "
        "'numpy' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).split() == ["False", "False"]


def test_landing_in_a_process_and_in_this_one_tell_the_same(raster_worker, make_raster, noise, tmp_path):
    from up42_pipelines.lake.rasters.cog import land_raster

    pixels = noise(3).astype("float32")
    pixels[:, :200] = np.nan
    source = make_raster("a.tif", pixels, nodata=np.nan)
    there = raster_worker.land(source, tmp_path / "cog.tif", roles=["data"])
    here = land_raster(source, tmp_path / "cog.tif", roles=["data"])
    assert repr(there) == repr(here)
    assert repr(raster_worker.describe(source)) == repr(describe(source))
    assert raster_worker.usage.peak_bytes < 300 << 20


def test_limits_grow_with_the_file():
    small, large = limits_for(1_000), limits_for(10 << 30)
    assert small.memory_bytes == large.memory_bytes, "everything streams"
    assert small.seconds < large.seconds
    assert small.cpu_seconds < large.cpu_seconds
    assert small.file_bytes < large.file_bytes
    assert worker_module._GRACE_SECONDS > 0
