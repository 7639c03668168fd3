"""The program of `worker.RasterWorker`'s helper: what it does with GDAL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.ma  # noqa: F401 - rasterio imports it with the first pixels it reads: here once, not in every fork

from up42_pipelines.lake.confined.helper import Job, serve
from up42_pipelines.lake.confined.wire import rebuilt
from up42_pipelines.lake.rasters.cog import land_raster
from up42_pipelines.lake.rasters.drivers import keep_only_needed_drivers
from up42_pipelines.lake.rasters.quicklook import quicklook_png
from up42_pipelines.lake.rasters.raster import describe
from up42_pipelines.lake.rasters.source import RasterSource


def _land(source: Any, target: str, **options: Any) -> Any:
    options["roles"] = tuple(options["roles"])
    return land_raster(rebuilt(source, RasterSource), Path(target), place_kept=False, **options)


JOBS: Mapping[str, Job] = {
    "land": _land,
    "describe": lambda source: describe(rebuilt(source, RasterSource)),
    "quicklook": lambda source, max_px: quicklook_png(rebuilt(source, RasterSource), max_px),
}


if __name__ == "__main__":
    keep_only_needed_drivers()
    serve(JOBS)
