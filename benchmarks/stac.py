"""STAC, beside pystac and a file of all items: `python -m benchmarks.stac items|index`.

items: 10,000 items validated, written durably and indexed, beside pystac's validation and save.
index: the bytes of an index of 100,000 items beside those of their JSON, and a query by place and time beside a scan.
On disk, not in memory, because that is where durability costs something; pystac does not wait for the disk.
"""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import Contender, Promise, Report, child, on_disk, options, play, python

ROUNDS = 5
# pystac needs two minutes for what takes ten seconds here.
PYSTAC_ROUNDS = 2
ITEMS, INDEXED, BATCH, ADDED = 10_000, 100_000, 10_000, 100
# Some 10 of the 100,000 items, which are spread evenly: central Europe, half a year.
QUERY = ("5.0", "45.0", "15.0", "55.0", "2020-03-01T00:00:00Z", "2020-08-31T23:59:59Z")
OURS, PYSTAC = "up42-pipelines", "pystac, core schema only"
BUILD, ADD, SEARCH, SCAN = "index built", "2 x 100 items added", "index searched", "all items scanned"


def main() -> int:
    """Measure one case."""
    chosen = options(__doc__, "items", "index", folder=on_disk()).parse_args()
    folder = chosen.folder / f"stac-{chosen.case}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        case = {"items": items, "index": index}[chosen.case]
        return case(folder, quick=chosen.quick).finish(chosen.json)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def items(folder: Path, *, quick: bool) -> Report:
    """Validated, written, indexed."""
    count, rounds = (50, 1) if quick else (ITEMS, ROUNDS)
    source, target = folder / "items.ndjson", folder / "lake"
    child("benchmarks.data", "items", source, count)
    report = Report(
        "stac-items", f"{count:,} STAC items validated, written and indexed", quick=quick,
        configuration={
            "items": count, "rounds": rounds, "rounds of pystac": PYSTAC_ROUNDS,
            "item bytes": source.stat().st_size // count,
        },
    )  # fmt: skip

    def prepare() -> None:
        shutil.rmtree(target, ignore_errors=True)

    def check(contender: Contender) -> Mapping[str, Any]:
        written = sum(1 for path in target.rglob("scene-*.json"))
        if written != count:
            raise SystemExit(f"{contender.name} wrote {written} items of {count}")
        if contender.name == OURS and not list(target.rglob("*.parquet")):
            raise SystemExit("There is no index")
        return {"written": written}

    contenders = [
        Contender(name=OURS, argv=python("benchmarks.clients.stac_ours", source, target)),
        Contender(name=PYSTAC, argv=python("benchmarks.clients.stac_pystac", source, target), rounds=PYSTAC_ROUNDS),
    ]
    samples = play(contenders, rounds=rounds, prepare=prepare, check=check, warm_up=False)
    report.add(samples, [Promise(of=OURS, figure="wall_s", beside=PYSTAC, at_least=9)])
    return report


def index(folder: Path, *, quick: bool) -> Report:
    """How small an index is, how fast it answers, and how fast it grows."""
    count, batch, rounds = (2000, 500, 1) if quick else (INDEXED, BATCH, ROUNDS)
    source, more, lake = folder / "items.ndjson", folder / "more.ndjson", folder / "lake"
    child("benchmarks.data", "items", source, count)
    with source.open() as lines, more.open("w") as last:
        last.writelines(itertools.islice(lines, count - 2 * ADDED, None))
    static_bytes = _static_bytes(source)
    report = Report(
        "stac-index", f"GeoParquet index of {count:,} STAC items", quick=quick,
        configuration={
            "items": count, "rounds": rounds, "items per batch": batch, "query": " ".join(QUERY),
            "bytes as static JSON": static_bytes,
        },
    )  # fmt: skip

    def measure_size(_: Contender) -> Mapping[str, Any]:
        size = sum(path.stat().st_size for path in lake.rglob("*.parquet"))
        return {"output_bytes": size, "share_of_static_json": size / static_bytes}

    build = Contender(name=BUILD, argv=python("benchmarks.clients.index_build", source, lake, batch))
    built = play([build], rounds=1, prepare=_nothing, check=measure_size, warm_up=False)
    report.add(built, [Promise(of=BUILD, figure="share_of_static_json", at_most=0.1, unit="of its bytes")])
    asked = [
        Contender(name=SEARCH, argv=python("benchmarks.clients.index_search", lake, *QUERY)),
        Contender(name=SCAN, argv=python("benchmarks.clients.index_scan", source, *QUERY)),
    ]
    answers = play(asked, rounds=rounds, prepare=_nothing, check=lambda _: {}, warm_up=not quick)
    if len({tuple(sample.notes["found"]) for taken in answers.values() for sample in taken}) != 1:
        raise SystemExit("The index and the scan find different items")
    report.add(answers, [Promise(of=SEARCH, figure="wall_s", beside=SCAN, at_least=30)])
    # Two batches; the first is not counted, because pyarrow imports a good deal at its first use.
    add = Contender(name=ADD, argv=python("benchmarks.clients.index_build", more, lake, ADDED))
    added = play([add], rounds=rounds, prepare=_nothing, check=measure_size, warm_up=False)
    report.add(added, [Promise(of=ADD, figure="last_batch_s", at_most=20, unit="ms", scale=0.001)])
    return report


def _static_bytes(source: Path) -> int:
    """What the items take as files of their own, indented by two spaces, as pystac and the lake write them."""
    with source.open() as lines:
        return sum(len(json.dumps(json.loads(line), indent=2)) + 1 for line in lines)


def _nothing() -> None:
    """Every sample finds what the one before left."""


if __name__ == "__main__":
    sys.exit(main())
