"""Ours: `python -m benchmarks.clients.index_search LAKE WEST SOUTH EAST NORTH FIRST LAST` asks the index."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

from benchmarks.work import work
from up42_pipelines.lake.stac.index import search
from up42_pipelines.lake.store import Lake


def main() -> None:
    """One query; before it one of another place and time, because pyarrow imports a good deal at its first use."""
    lake, *box, first, last = sys.argv[1:]
    between = datetime.fromisoformat(first), datetime.fromisoformat(last)
    began = time.perf_counter()
    elsewhere = datetime(2018, 1, 1, tzinfo=UTC), datetime(2018, 1, 31, tzinfo=UTC)
    search(Lake(lake), "benchmark", bbox=[100.0, 0.0, 101.0, 1.0], datetime_range=elsewhere)
    first_s = time.perf_counter() - began
    with work() as notes:
        found = search(Lake(lake), "benchmark", bbox=[float(side) for side in box], datetime_range=between)
        notes["found"] = sorted(item["id"] for item in found)
        notes["first_query_s"] = first_s


if __name__ == "__main__":
    main()
