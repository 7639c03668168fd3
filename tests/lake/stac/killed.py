"""Does one thing to copies of a lake, in processes killed at one moment later each time.

A moment is before each call that changes the lake. Prints, by scenario, how many copies there are; they are
`<folder>/<scenario>/<moment>`, the last one of the process that got through. A program of its own, because a process
may be forked only while it has one thread.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pystac

from up42_pipelines.lake import Lake
from up42_pipelines.lake.stac import index
from up42_pipelines.lake.stac.catalog import write_items, write_withheld
from up42_pipelines.lake.upkeep.gc import remove_debris
from up42_pipelines.lake.upkeep.repair import repair

FORK = multiprocessing.get_context("fork")


def item(name: str, cloud: float = 5.0) -> pystac.Item:
    return pystac.Item(name, None, None, datetime(2024, 5, 1, tzinfo=UTC), {"eo:cloud_cover": cloud})


def prepare(url: str) -> None:
    """Two committed items, one of them written twice; one withheld, one removed long ago; debris."""
    lake = Lake(url)
    write_items(lake, "c", [item("a", 1), item("gone")])
    write_items(lake, "c", [item("a")])
    write_items(lake, "c", [item("b")])
    write_withheld(lake, "c", item("gone"), {"cloud": "too much"})
    write_withheld(lake, "c", item("w"), {"cloud": "too much"})
    lake.write_bytes(b"half", "collections", "c", "debris", "half.tif")
    lake.write_bytes(b"old", "collections", "c", "a", "old.tif")


def collect(lake: Lake) -> None:
    list(remove_debris(lake, now=datetime.now(UTC) + timedelta(days=2)))


SCENARIOS: dict[str, Callable[[Lake], Any]] = {
    "commit": lambda lake: write_items(lake, "c", [item("n1"), item("n2")]),
    "rewrite": lambda lake: write_items(lake, "c", [item("a", 90)]),
    "withhold": lambda lake: write_withheld(lake, "c", item("a"), {"cloud": "too much"}),
    "release": lambda lake: write_items(lake, "c", [item("w")]),
    "merge": lambda lake: index.compact(lake, "c", everything=True),
    "repair": lambda lake: (lake.remove("collections", "c", "collection.json"), list(repair(lake))),
    "gc": collect,
}


def killed(url: str, scenario: str, moments: int) -> None:
    """Run a scenario, and be killed when so many moments have passed."""
    left = moments

    def pass_moment() -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def between_moments(*arguments: Any, **options: Any) -> Any:
            pass_moment()
            return call(*arguments, **options)

        return between_moments

    for place, name in ((os, "link"), (os, "replace"), (Path, "unlink"), (Lake, "remove")):
        setattr(place, name, watched(getattr(place, name)))
    os.fsync = lambda _: None  # the machine stays on
    SCENARIOS[scenario](Lake(url))
    os._exit(0)


def run(target: Callable[..., None], *arguments: Any) -> int | None:
    process = FORK.Process(target=target, args=arguments)
    process.start()
    process.join()
    return process.exitcode


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    pa.array(["imports pandas"])  # once, not in each process
    assert run(prepare, str(folder / "before")) == 0
    counts = {}
    for scenario in SCENARIOS:
        code: int | None = None
        while code != 0:
            copy = folder / scenario / str(counts.get(scenario, 0))
            shutil.copytree(folder / "before", copy)
            code = run(killed, str(copy), scenario, counts.get(scenario, 0))
            assert code in {0, -signal.SIGKILL}, (scenario, code)
            counts[scenario] = counts.get(scenario, 0) + 1
    sys.stdout.write(json.dumps(counts))
