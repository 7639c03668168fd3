"""Inputs from a fixed seed, made by processes of their own: some need more memory than the harness may have.

`python -m benchmarks.data bytes FILE BYTES SEED`
`python -m benchmarks.data raster FILE PIXELS uint16|rgb`
`python -m benchmarks.data items FILE COUNT`
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_PIECE_BYTES = 16 << 20
_SEED = 42
# Of an item: what UP42 delivers of an optical scene has 2 to 5 files.
ASSETS = 4


def write_bytes(path: Path, size: int, seed: int) -> int:
    """Random bytes, which no layer can compress; their crc32c."""
    import google_crc32c

    source = random.Random(seed)  # noqa: S311 - test data
    crc32c = 0
    with path.open("wb") as file:
        while size:
            piece = source.randbytes(min(size, _PIECE_BYTES))
            file.write(piece)
            crc32c = google_crc32c.extend(crc32c, piece)
            size -= len(piece)
    return crc32c


def write_raster(path: Path, pixels: int, kind: str) -> None:
    """An uncompressed, striped, pixel-interleaved GeoTIFF of `pixels` x `pixels`: fractal terrain with sensor noise.

    Bands share half of their terrain, as those of an optical sensor do. uint16: 4 bands of 12 bits, noise of sigma 30;
    DEFLATE with predictor makes that 1.7 times smaller. rgb: 3 bands of 8 bits, noise of sigma 3; 2.0 times.
    """
    import numpy as np
    import rasterio
    from rasterio.crs import CRS
    from rasterio.transform import from_origin

    bands, dtype, top, sigma = (4, "uint16", 4095, 30.0) if kind == "uint16" else (3, "uint8", 255, 3.0)
    generator = np.random.default_rng(_SEED)
    common = [_octave(generator, 1 << level) for level in range(2, 10)]
    own = [[_octave(generator, 1 << level) for level in range(2, 10)] for _ in range(bands)]
    profile = {
        "driver": "GTiff", "width": pixels, "height": pixels, "count": bands, "dtype": dtype, "interleave": "pixel",
        "crs": CRS.from_epsg(32633), "transform": from_origin(390_000, 5_820_000, 0.5, 0.5),
        "photometric": "RGB" if kind == "rgb" else "MINISBLACK",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        for row in range(0, pixels, 250):
            rows = np.arange(row, min(row + 250, pixels)) / pixels
            window = rasterio.windows.Window(0, row, pixels, len(rows))
            shared = _terrain(common, rows, pixels)
            for band in range(bands):
                height = 0.5 * shared + 0.5 * _terrain(own[band], rows, pixels)
                noise = generator.normal(0, sigma, height.shape)
                values = np.clip((0.5 + 0.25 * height) * top + noise, 1, top)
                dataset.write(values.astype(dtype), band + 1, window=window)


def _octave(generator: Any, cells: int) -> Any:
    """Random heights on a grid of cells; finer grids are lower (1 / frequency, as in natural relief)."""
    return generator.normal(0, 4 / cells, (cells + 2, cells + 2)).astype("float32")


def _terrain(octaves: list[Any], rows: Any, pixels: int) -> Any:
    """Sum of the octaves, interpolated bilinearly at rows (0 to 1) and all columns."""
    import numpy as np

    total = np.zeros((len(rows), pixels), "float32")
    for grid in octaves:
        cells = grid.shape[0] - 2
        y, x = rows * cells, np.arange(pixels) / pixels * cells
        y0, x0 = y.astype(int), x.astype(int)
        fy, fx = (y - y0).astype("float32")[:, None], (x - x0).astype("float32")[None, :]
        upper = grid[y0][:, x0] * (1 - fx) + grid[y0][:, x0 + 1] * fx
        lower = grid[y0 + 1][:, x0] * (1 - fx) + grid[y0 + 1][:, x0 + 1] * fx
        total += upper * (1 - fy) + lower * fy
    return total


def write_items(path: Path, count: int) -> None:
    """STAC items as lines of JSON, about 2.4 kB each: 4 assets, over 10 years, between 60 S and 75 N."""
    source = random.Random(_SEED)  # noqa: S311 - test data
    with path.open("w") as file:
        for number in range(count):
            file.write(json.dumps(item(number, source), separators=(",", ":")))
            file.write("\n")


def item(number: int, source: random.Random) -> dict[str, Any]:
    """One item of the collection `benchmark`, complete by STAC 1.1.0 and the extensions that it names."""
    west, south = source.uniform(-179, 178), source.uniform(-60, 74)
    size, seconds = source.uniform(0.05, 0.2), source.randrange(10 * 365 * 86_400)
    east, north = west + size, south + size
    identifier = f"scene-{number:07}"
    taken = (datetime(2016, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    zone = 32600 + int((west + 180) / 6) + 1 if south >= 0 else 32700 + int((west + 180) / 6) + 1
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/file/v2.1.0/schema.json",
            "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
            "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
            "https://stac-extensions.github.io/view/v1.0.0/schema.json",
        ],
        "id": identifier,
        "collection": "benchmark",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, east, north],
        "properties": {
            "datetime": taken,
            "created": taken,
            "platform": source.choice(["PNEO3", "PNEO4", "PHR1A", "PHR1B"]),
            "constellation": "phr",
            "instruments": ["pan", "ms"],
            "gsd": 0.5,
            "eo:cloud_cover": round(source.uniform(0, 100), 2),
            "view:off_nadir": round(source.uniform(0, 30), 2),
            "view:sun_azimuth": round(source.uniform(0, 360), 2),
            "view:sun_elevation": round(source.uniform(10, 80), 2),
            "proj:code": f"EPSG:{zone}",
        },
        "links": [{"rel": "collection", "href": "../collection.json", "type": "application/json"}],
        "assets": {f"b{band:02}": _asset(identifier, band, source) for band in range(1, ASSETS + 1)},
    }


def _asset(identifier: str, band: int, source: random.Random) -> dict[str, Any]:
    return {
        "href": f"./{identifier}-b{band:02}.tif",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "title": f"Band {band}",
        "roles": ["data", "reflectance"],
        "file:size": source.randrange(1 << 20, 1 << 30),
        "file:checksum": f"1220{source.randbytes(32).hex()}",
        "proj:shape": [10_000, 10_000],
        "proj:transform": [0.5, 0.0, 390_000.0, 0.0, -0.5, 5_820_000.0],
        "bands": [{"name": f"B{band:02}", "data_type": "uint16", "nodata": 0, "gsd": 0.5}],
    }


def main() -> None:
    """Make one input; prints the crc32c of bytes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in ("bytes", "raster", "items"):
        sub = kinds.add_parser(kind)
        sub.add_argument("path", type=Path)
        sub.add_argument("size", type=int)
        if kind == "bytes":
            sub.add_argument("seed", type=int)
        if kind == "raster":
            sub.add_argument("pixels", choices=["uint16", "rgb"])
    options = parser.parse_args()
    if options.kind == "bytes":
        sys.stdout.write(f"{write_bytes(options.path, options.size, options.seed)}\n")
    elif options.kind == "raster":
        write_raster(options.path, options.size, options.pixels)
    else:
        write_items(options.path, options.size)


if __name__ == "__main__":
    main()
