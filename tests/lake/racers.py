"""Eight processes do the same thing to one lake at once; prints a JSON list of what each of them answers.

A program of its own, because a process may be forked only while it has one thread, and pytest's has more.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from datetime import UTC, datetime
from typing import Any

import fsspec.core

from up42_pipelines.lake import Journal, Lake

RACERS = 8
WHEN = datetime(2024, 5, 1, tzinfo=UTC)
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


def commit(lake: Lake, racer: int, rounds: int) -> None:
    """Commit an item of this racer's own, and one that all of them write."""
    import pystac

    from up42_pipelines.lake.stac.catalog import write_items

    items = [
        [
            pystac.Item(f"racer-{racer}-{number}", None, None, WHEN, {"eo:cloud_cover": racer})
            for number in range(rounds)
        ],
        [pystac.Item("contested", None, None, WHEN, {"eo:cloud_cover": racer}) for _ in range(rounds)],
    ]
    START.wait()
    for mine, contested in zip(*items, strict=True):
        write_items(lake, "c", [mine, contested])


def _run(racer: int, verb: str, url: str, storage_options: dict[str, Any], options: dict[str, Any]) -> Any:
    return {"create": create, "count": count, "commit": commit}[verb](Lake(url, storage_options), racer, **options)


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    # Imported once, not by each process.
    fsspec.core.get_filesystem_class(fsspec.core.split_protocol(job[1])[0])
    if job[0] == "commit":
        import pyarrow as pa

        import up42_pipelines.lake.stac.catalog  # noqa: F401

        pa.array(["imports pandas"])
    with CONTEXT.Pool(RACERS) as pool:
        # The barrier lets none of the processes take a second racer's part.
        answers = pool.starmap(_run, [(racer, *job) for racer in range(RACERS)], chunksize=1)
    sys.stdout.write(json.dumps(answers))
