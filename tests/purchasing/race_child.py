"""A crowd at one ledger: processes that wait for each other, then reserve at the same instant.

`race_child.py URL MONTH_CEILING CREDITS KEY ...`: one process per key; prints what became of each, as JSON by key.
"""

import json
import multiprocessing
import sys
from datetime import UTC, datetime

from up42_pipelines.errors import BudgetExceeded
from up42_pipelines.lake import Lake
from up42_pipelines.purchasing.budget import Ceilings, Entry, EntryState
from up42_pipelines.purchasing.ledger import Ledger

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def reserve(key: str) -> tuple[str, dict | str]:
    ledger = Ledger(Lake(url), "optical", Ceilings(month=ceiling), found_at_up42=list)
    entry = Entry(key=key, credits=credits, partition="berlin|1", run=key, at=AT, state=EntryState.RESERVED)
    start.wait(30)
    try:
        ledger.reserve(entry)
    except BudgetExceeded as error:
        return key, vars(error)
    return key, "reserved"


if __name__ == "__main__":
    url, ceiling, credits, keys = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    fork = multiprocessing.get_context("fork")  # everything is imported once
    start = fork.Barrier(len(keys))
    with fork.Pool(len(keys)) as crowd:
        json.dump(dict(crowd.map(reserve, keys, chunksize=1)), sys.stdout)
