"""Cloud-Optimized GeoTIFFs, beside rio-cogeo's default profile: `python -m benchmarks.cog uint16|rgb`.

uint16: 10,000 x 10,000 pixels, 4 bands of 16 bits, 800 MB. rgb: as many pixels, 3 bands of 8 bits, 300 MB. Both are
made by benchmarks/data.py; `--raster FILE` measures a raster of yours instead, with the thresholds of the case.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import MB, Contender, Promise, Report, child, options, play, python

ROUNDS = 5
PIXELS = 10_000
# rio-cogeo / ours, in time.
THRESHOLDS = {"uint16": 1.6, "rgb": 3.0}
CONVERTED, LANDED, PEER = "up42-pipelines, converted", "up42-pipelines, landed", "rio-cogeo default"


def main() -> int:
    """Measure one case."""
    parser = options(__doc__, *THRESHOLDS)
    parser.add_argument("--raster", type=Path, help="a GeoTIFF to convert instead of a synthetic one")
    chosen = parser.parse_args()
    folder = chosen.folder / f"cog-{chosen.case}"
    try:
        return measure(chosen.case, folder, chosen.raster, quick=chosen.quick).finish(chosen.json)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(case: str, folder: Path, raster: Path | None, *, quick: bool) -> Report:
    """Ours, the conversion alone and all that landing does, beside rio-cogeo."""
    rounds, pixels = (1, 1000) if quick else (ROUNDS, PIXELS)
    folder.mkdir(parents=True, exist_ok=True)
    source, target = raster or folder / "source.tif", folder / "target.tif"
    if raster is None:
        child("benchmarks.data", "raster", source, pixels, case)
    size = source.stat().st_size
    report = Report(
        f"cog-{case}", f"COG from {size / MB:,.0f} MB ({raster.name if raster else f'synthetic {case}'})", quick=quick,
        configuration={"pixels": "its own" if raster else f"{pixels}²", "rounds": rounds, "source bytes": size},
    )  # fmt: skip
    contenders = [
        Contender(name=CONVERTED, argv=python("benchmarks.clients.cog_ours", source, target, "converted")),
        Contender(name=LANDED, argv=python("benchmarks.clients.cog_ours", source, target, "landed")),
        Contender(name=PEER, argv=python("benchmarks.clients.cog_peer", source, target)),
    ]

    def prepare() -> None:
        target.unlink(missing_ok=True)

    def check(_: Contender) -> Mapping[str, Any]:
        child("benchmarks.clients.cog_check", source, target)
        return {"output_bytes": target.stat().st_size, "outputs": "valid, pixels equal"}

    samples = play(contenders, rounds=rounds, prepare=prepare, check=check, warm_up=not quick)
    promises = [
        Promise(of=CONVERTED, figure="wall_s", beside=PEER, at_least=THRESHOLDS[case]),
        Promise(of=CONVERTED, figure="cpu_s", beside=PEER, at_most=1.0),
        Promise(of=CONVERTED, figure="output_bytes", beside=PEER, at_most=0.85),
        Promise(of=CONVERTED, figure="rss_bytes", beside=PEER, at_most=1 / 8),
    ]
    report.add(samples, promises)
    return report


if __name__ == "__main__":
    sys.exit(main())
