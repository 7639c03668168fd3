"""The program of `worker.VectorWorker`'s helper."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pyproj.datadir import get_data_dir

from up42_pipelines.lake.confined.helper import Job, serve
from up42_pipelines.lake.vectors.geoparquet import land_features

JOBS: Mapping[str, Job] = {"land": lambda source, target: land_features(Path(source), Path(target))}


if __name__ == "__main__":
    os.environ["PROJ_DATA"] = get_data_dir()  # which a job may read
    serve(JOBS)
