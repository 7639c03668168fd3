"""The program of `worker.VectorWorker`'s helper."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from pyproj import CRS
from pyproj.datadir import get_data_dir

from up42_pipelines.lake.confined.helper import Job, serve
from up42_pipelines.lake.vectors.geoparquet import land_features
from up42_pipelines.lake.vectors.records import VectorInfo


def _land(source: str, target: str) -> VectorInfo:
    # Hazard: importing pyproj opens PROJ's database, and PROJ, when it finds itself in a fork, closes that descriptor
    # by its number, whatever file has got the number meanwhile. It does so here, before there is another file.
    CRS.from_epsg(4326)
    return land_features(Path(source), Path(target))


JOBS: Mapping[str, Job] = {"land": _land}


if __name__ == "__main__":
    os.environ["PROJ_DATA"] = get_data_dir()  # which a job may read
    pa.array([0])  # pyarrow imports pandas, where there is one, with its first array: here once, not in every fork
    serve(JOBS)
