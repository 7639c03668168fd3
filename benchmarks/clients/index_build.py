"""Ours: `python -m benchmarks.clients.index_build NDJSON LAKE BATCH` indexes items in batches, as orders arrive."""

from __future__ import annotations

import itertools
import json
import sys
import time

from benchmarks.work import work
from up42_pipelines.lake.stac import index
from up42_pipelines.lake.stac.table import Placed
from up42_pipelines.lake.store import Lake


def main() -> None:
    """Each batch becomes a part, and parts are merged on the way."""
    source, lake, size = sys.argv[1], Lake(sys.argv[2]), int(sys.argv[3])
    root = lake.href("collections", "benchmark")
    with work() as notes, open(source) as lines:  # noqa: PTH123
        while items := [_placed(line, root) for line in itertools.islice(lines, size)]:
            began = time.perf_counter()
            index.add_rows(lake, "benchmark", items, seen=index.listing(lake, "benchmark"))
            index.compact(lake, "benchmark")
            notes["last_batch_s"] = time.perf_counter() - began


def _placed(line: str, root: str) -> Placed:
    document = json.loads(line)
    name = document["id"]
    return Placed(document=document, folder=f"{root}/{name}", name=f"{name}.json")


if __name__ == "__main__":
    main()
