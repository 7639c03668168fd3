"""Eight processes do the same thing to one lake at once; prints a JSON list of what each of them answers.

A program of its own, because a process may be forked only while it has one thread, and pytest's has more.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from typing import Any

import fsspec.core

from up42_pipelines.lake import Journal, Lake

RACERS = 8
CONTEXT = multiprocessing.get_context("fork")
START = CONTEXT.Barrier(RACERS)


def create(lake: Lake, racer: int) -> bool:
    """Create one object; whether this racer did."""
    START.wait()
    return lake.create(str(racer).encode() * 500_000, "contested")


def count(lake: Lake, racer: int, increments: int, keep: int | None) -> int:
    """Raise this racer's own count in a journal; how many appends counted although they were answered with False."""
    journal = Journal(lake, "counts", keep=keep)
    START.wait()
    misjudged = 0
    for wanted in range(1, increments + 1):
        tried = counted = False
        while not counted:
            latest = journal.latest()
            number, counts = (latest.number, latest.document["counts"]) if latest else (0, [0] * RACERS)
            if counts[racer] == wanted:
                misjudged += tried
                break
            tried, counts[racer] = True, wanted
            counted = journal.append(number, {"counts": counts})
    return misjudged


def _run(racer: int, verb: str, url: str, storage_options: dict[str, Any], options: dict[str, Any]) -> Any:
    return {"create": create, "count": count}[verb](Lake(url, storage_options), racer, **options)


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    fsspec.core.get_filesystem_class(fsspec.core.split_protocol(job[1])[0])  # imported once, not by each process
    with CONTEXT.Pool(RACERS) as pool:
        # The barrier lets none of the processes take a second racer's part.
        answers = pool.starmap(_run, [(racer, *job) for racer in range(RACERS)], chunksize=1)
    sys.stdout.write(json.dumps(answers))
