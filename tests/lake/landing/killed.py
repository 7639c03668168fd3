"""Lands items in processes that are killed at stated moments, one after the other.

Reads a JSON list of jobs: `lake`, `item`, and `at`, the name of a step and how often it comes before the killed one.
Prints a JSON list of exit codes. A program of its own for the reason that `../racers.py` gives.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pystac

from up42_pipelines.lake import Lake, LandingOptions, RasterWorker, land_item
from up42_pipelines.lake.archives import unpack
from up42_pipelines.lake.transfer.delivery import Limits
from up42_pipelines.lake.transfer.partial import PartialFile

STEPS: dict[str, tuple[Any, str]] = {
    "publish": (Lake, "publish"),
    "write_all_json": (Lake, "write_all_json"),
    "write_json": (Lake, "write_json"),
    "part": (PartialFile, "finished"),
    "raster": (RasterWorker, "land"),
    "member": (unpack, "_write"),
}


def _die_before(step: str, left: int, die: Callable[[], None]) -> None:
    owner, name = STEPS[step]
    real = getattr(owner, name)

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        if left == 0:
            die()
        left -= 1
        return real(*arguments, **options)

    setattr(owner, name, counted)


def land(job: dict[str, Any], rasters: RasterWorker) -> None:
    """Land an item, and die."""
    item = pystac.Item.from_dict(job["item"])

    def die() -> None:
        deadline = time.monotonic() + 20
        while job["at"][0] == "raster" and len(list(Path(job["lake"]).rglob("*.received"))) < len(item.assets):
            if time.monotonic() > deadline:
                os._exit(1)
            time.sleep(0.01)  # everything is to have arrived by then
        os.kill(os.getpid(), signal.SIGKILL)

    _die_before(*job["at"], die)
    options = LandingOptions(connections=Limits(connections=1))
    land_item(Lake(job["lake"]), item, collection_id="phr", sign=lambda href: href, rasters=rasters, options=options)


if __name__ == "__main__":
    codes = []
    with RasterWorker() as worker:
        for one in json.load(sys.stdin):
            process = multiprocessing.get_context("fork").Process(target=land, args=(one, worker))
            process.start()
            process.join()
            codes.append(process.exitcode)
    sys.stdout.write(json.dumps(codes))
