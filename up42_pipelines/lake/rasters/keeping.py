"""Keeping the bytes of a raster. Light: no GDAL here."""

from __future__ import annotations

import shutil
from pathlib import Path

from up42_pipelines.errors import LakeError


def keep_bytes(source: Path, target: Path) -> None:
    """Have the bytes of `source` at `target`: a hard link, or a copy where that is not possible.

    Raises:
        LakeError: `target` cannot be written.
    """
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without hard links
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise LakeError(f"Cannot write {target}: {error.strerror or error}. Free space, then run again.") from error
