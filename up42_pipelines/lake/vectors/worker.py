"""Untrusted features, handled in a process of their own. Light: no library here."""

from __future__ import annotations

import sys
from pathlib import Path

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake.confined.worker import ConfinedWorker, job_folder
from up42_pipelines.lake.vectors.limits import MAX_BYTES, limits_for
from up42_pipelines.lake.vectors.records import VectorInfo


class VectorWorker(ConfinedWorker):
    """Lands untrusted features; no process starts before there are some."""

    _program = (sys.executable, "-P", "-m", "up42_pipelines.lake.vectors.helper")
    _library = "SQLite or GEOS"

    def land(self, source: Path, target: Path) -> VectorInfo:
        """Put a GeoParquet file with the features of `source` at `target`, see `geoparquet.land_features`.

        Raises:
            InvalidDelivery: the source holds no features, cannot be read whole, is too large, or was stopped at a
                limit. Nothing is at `target` then.
            LakeError: `target` cannot be written, or the helper does not live.
        """
        source, target = source.absolute(), target.absolute()
        size = source.stat().st_size
        if size > MAX_BYTES:
            raise InvalidDelivery(f"It has {size:,} bytes; features are read of up to {MAX_BYTES:,}. Report this file.")
        # Beside the target, so that what was written becomes the target by rename, and debris goes with the folder.
        with job_folder(target.parent) as folder:
            made = folder / target.name
            arguments = {"source": source, "target": made}
            info: VectorInfo = self._run("land", [source], folder, VectorInfo, limits_for(size), arguments)
            if not made.is_file() or made.is_symlink():
                raise LakeError(f"{source.name}: the helper for features left no file at {made}.")
            made.replace(target)
        return info
