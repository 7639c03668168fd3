"""Ours: `python -m benchmarks.clients.cog_ours SOURCE TARGET converted|landed`.

converted: the conversion alone, what rio-cogeo does. landed: what a delivery goes through, in its confined process:
every pixel read and counted, converted, compared with its source, outlined, and a quicklook.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.work import work


def main() -> None:
    """Either."""
    source, target, form = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    if form == "converted":
        os.environ["GDAL_CACHEMAX"] = "64"  # MB, as the confined process has it; read when GDAL is imported
        from up42_pipelines.lake.rasters.cog import convert

        with work():
            convert(source, target)
    else:
        from up42_pipelines.lake.rasters.worker import RasterWorker

        with work(), RasterWorker() as worker:
            worker.land(source, target)


if __name__ == "__main__":
    main()
