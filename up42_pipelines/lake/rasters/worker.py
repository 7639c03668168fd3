"""Untrusted rasters, handled by GDAL in a process of their own. Light: no GDAL in this one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.confined.worker import ConfinedWorker, job_folder
from up42_pipelines.lake.rasters.keeping import keep_bytes
from up42_pipelines.lake.rasters.limits import limits_for
from up42_pipelines.lake.rasters.records import Landed, RasterInfo
from up42_pipelines.lake.rasters.source import RasterSource


class RasterWorker(ConfinedWorker):
    """Lands and describes untrusted rasters; some 30 ms of each go by until PROJ has opened its database."""

    _program = (sys.executable, "-P", "-m", "up42_pipelines.lake.rasters.helper")
    _library = "GDAL"

    def land(
        self,
        source: Path | RasterSource,
        target: Path,
        *,
        roles: Sequence[str] = (),
        warp_to: str | None = None,
        quicklook: bool = True,
    ) -> Landed:
        """Put a COG with the pixels of `source` at `target`, see `cog.land_raster`.

        Raises:
            InvalidDelivery: the source is no raster, cannot be decoded, or was stopped at a limit. Nothing is at
                `target` then.
            LakeError: `target` cannot be written, or the helper does not live.
        """
        target = target.absolute()
        # Beside the target, so that what was written becomes the target by rename, and debris goes with the folder.
        with job_folder(target.parent) as folder:
            made = folder / target.name
            options = {"target": made, "roles": tuple(roles), "warp_to": warp_to, "quicklook": quicklook}
            landed: Landed = self._handle("land", source, folder, Landed, **options)
            if landed.kept:
                keep_bytes(RasterSource.of(source).path, made)
            if not made.is_file() or made.is_symlink():
                raise LakeError(f"{RasterSource.of(source).name}: the raster helper left no COG at {made}.")
            made.replace(target)
        fields = {name: getattr(landed, name) for name in Landed.__slots__}
        return Landed(**{**fields, "path": target})

    def describe(self, source: Path | RasterSource) -> RasterInfo:
        """What the header says, see `raster.describe`. Raises InvalidDelivery, LakeError."""
        with job_folder(None) as folder:
            info: RasterInfo = self._handle("describe", source, folder, RasterInfo)
        return info

    def quicklook(self, source: Path | RasterSource, max_px: int = 256) -> bytes:
        """A PNG, see `quicklook.quicklook_png`. Raises InvalidDelivery, LakeError."""
        with job_folder(None) as folder:
            png: bytes = self._handle("quicklook", source, folder, bytes, max_px=max_px)
        return png

    def _handle(self, job: str, source: Path | RasterSource, folder: Path, kind: Any, **arguments: Any) -> Any:
        source = RasterSource.of(source)
        source = RasterSource(
            path=source.path.absolute(),
            driver=source.driver,
            members=tuple(member.absolute() for member in source.members),
        )
        files = (source.path, *source.members)
        return self._run(job, files, folder, kind, limits_for(source.size), {"source": source, **arguments})
