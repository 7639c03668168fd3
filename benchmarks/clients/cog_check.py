"""Whether a COG is valid and shows its source's pixels: `python -m benchmarks.clients.cog_check SOURCE TARGET`."""

from __future__ import annotations

import sys

import numpy as np
import rasterio
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate

_ROWS = 512


def main() -> None:
    """Read both, row of blocks by row of blocks.

    Raises:
        SystemExit: the target is no valid COG, or another picture.
    """
    source, target = sys.argv[1:]
    valid, errors, warnings = cog_validate(target, strict=True, quiet=True)
    if not valid:
        raise SystemExit(f"{target} is no valid COG: {errors} {warnings}")
    with rasterio.open(source) as before, rasterio.open(target) as after:
        if (before.shape, before.dtypes, before.crs, before.transform) != (
            after.shape,
            after.dtypes,
            after.crs,
            after.transform,
        ):
            raise SystemExit(f"{target} has another shape, type or place than its source")
        for row in range(0, before.height, _ROWS):
            window = Window(0, row, before.width, min(_ROWS, before.height - row))
            if not np.array_equal(before.read(window=window), after.read(window=window)):
                raise SystemExit(f"{target} shows other pixels than its source in rows {row} to {row + _ROWS}")


if __name__ == "__main__":
    main()
