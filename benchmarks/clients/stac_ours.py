"""Ours: `python -m benchmarks.clients.stac_ours NDJSON LAKE` validates items, writes them durably, and indexes them."""

from __future__ import annotations

import json
import sys

from benchmarks.work import work
from up42_pipelines.lake.stac.catalog import write_items
from up42_pipelines.lake.stac.validation import check
from up42_pipelines.lake.store import Lake


def main() -> None:
    """Read, validate by core and extensions, write."""
    source, lake = sys.argv[1:]
    with work(), open(source) as lines:  # noqa: PTH123
        items = []
        for line in lines:
            document = json.loads(line)
            check(document, document["id"])
            items.append(document)
        write_items(Lake(lake), "benchmark", items)


if __name__ == "__main__":
    main()
