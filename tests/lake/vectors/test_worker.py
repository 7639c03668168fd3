"""Features are handled in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake.confined.limits import ProcessLimits
from up42_pipelines.lake.vectors import worker as worker_module
from up42_pipelines.lake.vectors.geoparquet import land_features
from up42_pipelines.lake.vectors.limits import limits_for
from up42_pipelines.lake.vectors.worker import VectorWorker

POINT = {"type": "Point", "coordinates": [13, 52]}
UTM = {"type": "name", "properties": {"name": "EPSG:32633"}}


@pytest.fixture(scope="module")
def worker():
    with VectorWorker() as vectors:
        yield vectors


def test_there_and_here_the_same(worker, geojson, geopackage, tmp_path):
    """With a CRS that PROJ has to look up, under confinement."""
    source = geojson(({"type": "Point", "coordinates": [500_000, 5_800_000]}, {"a": {"b": 1}}), crs=UTM)
    there = worker.land(source, tmp_path / "there.parquet")
    assert there == land_features(source, tmp_path / "here.parquet")
    assert (tmp_path / "there.parquet").read_bytes() == (tmp_path / "here.parquet").read_bytes()
    assert there.bbox[0] == pytest.approx(15)
    source.unlink()
    source = geopackage({"ships": ("geom BLOB, n INTEGER", [("POINT (500000 5800000)", 5)])})
    assert worker.land(source, tmp_path / "there.parquet").source_format == "GeoPackage"
    assert pq.read_table(tmp_path / "there.parquet")["n"].to_pylist() == [5]
    assert worker.usage.peak_bytes < 300 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_helper_has_one_thread(worker, geojson, tmp_path):
    worker.land(geojson((POINT, {})), tmp_path / "a.parquet")
    tasks = Path(f"/proc/{worker._helper._process.pid}/task")
    assert len(list(tasks.iterdir())) == 1, "forking is only safe with one"


def test_what_is_refused_leaves_nothing(worker, geojson, tmp_path):
    source = geojson((POINT, {}), (1, {}))
    with pytest.raises(InvalidDelivery, match="Feature 2: its geometry is of no known type"):
        worker.land(source, tmp_path / "a.parquet")
    source.write_bytes(b"II*\0")
    with pytest.raises(InvalidDelivery, match="neither GeoJSON nor GeoPackage: it starts with b'II"):
        worker.land(source, tmp_path / "a.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["delivered"]
    with pytest.raises(LakeError, match="nowhere"):
        worker.land(source, tmp_path / "nowhere" / "a.parquet")


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ProcessLimits(memory_bytes=420 << 20), "more than 420 MB of memory"),
        (ProcessLimits(seconds=0.01), "longer than 0 s"),
        (ProcessLimits(file_bytes=500), "a file of more than 500 bytes"),
    ],
)
def test_limits(worker, geojson, tmp_path, monkeypatch, limits, reason):
    """With a bomb: lists of lists take fifty times as much memory as text."""
    source = geojson((POINT, {"a": "bomb"}))
    if "memory" in reason:
        source.write_text(source.read_text().replace('"bomb"', f"[{'[],' * 2_000_000}[]]"))
    monkeypatch.setattr(worker, "_limits", limits)
    with pytest.raises(InvalidDelivery, match=reason):
        worker.land(source, tmp_path / "a.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["delivered"]


def test_a_file_that_is_too_large_is_not_read(worker, geojson, tmp_path, monkeypatch):
    monkeypatch.setattr(worker_module, "MAX_BYTES", 50)
    with pytest.raises(InvalidDelivery, match="features are read of up to 50"):
        worker.land(geojson((POINT, {})), tmp_path / "a.parquet")


def test_limits_grow_with_the_file():
    small, large = limits_for(1_000), limits_for(1 << 30)
    assert small.seconds < large.seconds
    assert small.cpu_seconds < large.cpu_seconds
    assert small.file_bytes < large.file_bytes


def test_the_asking_process_needs_no_library_and_starts_none(tmp_path):
    program = (
        "import sys; from up42_pipelines.lake.vectors.worker import VectorWorker\n"
        "with VectorWorker() as worker: print(worker._helper, {'pyarrow', 'shapely', 'pyproj'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "None set()"
