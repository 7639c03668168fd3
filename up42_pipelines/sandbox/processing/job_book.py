"""The jobs in the database. Status and times follow from the events that have come: nothing drives them."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from up42_pipelines.sandbox.account import account
from up42_pipelines.sandbox.core import chance, clock
from up42_pipelines.sandbox.core.clock import SECOND
from up42_pipelines.sandbox.listing import Where
from up42_pipelines.sandbox.processing import job_life
from up42_pipelines.sandbox.processing.compute import results
from up42_pipelines.sandbox.processing.job_life import Outcome, Status
from up42_pipelines.sandbox.processing.process_input import JobInput, Problem
from up42_pipelines.sandbox.storage import deliveries, stac_shapes
from up42_pipelines.sandbox.world import World


def _quoted(statuses: Sequence[Status]) -> str:
    return ", ".join(f"'{status}'" for status in statuses)


SORTS = {
    "processID": "process_id",
    "status": "status",
    "created": "created_at",
    "creditConsumption.credits": "coalesce(consumed, -1)",
}
# Every part of it is a constant.
_CURRENT = f"""(
  SELECT j.*, e.status AS status, e.at AS updated_at,
    (SELECT min(at) FROM job_events WHERE job_id = j.id AND at <= :now AND status = 'running') AS started_at,
    (SELECT min(at) FROM job_events WHERE job_id = j.id AND at <= :now
       AND status IN ({_quoted(job_life.FINISHING)})) AS finished_at,
    CASE WHEN e.status IN ({_quoted(job_life.CHARGED)}) THEN j.credits END AS consumed
  FROM jobs j JOIN job_events e ON e.job_id = j.id AND (e.at, e.step) = (
    SELECT at, step FROM job_events WHERE job_id = j.id AND at <= :now ORDER BY at DESC, step DESC LIMIT 1)
) AS current"""  # noqa: S608
_SECONDS = "((coalesce(finished_at, :now) - started_at) / 1e6)"
_FAILURE = Problem("ProcessingFailed", "the process gave up on these items")
_REFUSAL = Problem("InvalidItem", "the process does not work on these items")


@dataclass(frozen=True)
class JobFilter:
    """Which jobs a list shows; everything given must hold, an empty entry restricts nothing.

    Attributes:
        placed_until: the latest time at which they were placed, microseconds since 1970.
        min_duration, max_duration: seconds from start to end, or until now; what has not started has none.
    """

    placed_until: int
    workspace_id: str | None
    process_ids: Sequence[str]
    statuses: Sequence[str]
    job_ids: Sequence[str]
    min_duration: int | None
    max_duration: int | None


@dataclass(frozen=True)
class Place:
    """Where a page of a list begins: after a job, in the list as it was at an instant.

    Attributes:
        at: microseconds since 1970.
        value: what the last job of the page before is sorted by; None for the first page.
        number: of that job, to settle ties.
    """

    at: int
    value: Any = None
    number: int = 0


def lot(world: World, job: JobInput) -> tuple[object, ...]:
    """Return what chance decides a job by: the same items, given to a process once more, are another lot."""
    sql = "SELECT count(*) AS ordinal FROM jobs WHERE process_id = ? AND items = ?"
    (row,) = world.database.rows(sql, (job.process.id, job.item_key))
    scenes = [(item.content["scene_id"], item.content["product"]) for item in job.items.values()]
    return (world.seed, job.process.id, scenes, row["ordinal"])


def add(
    world: World,
    job: JobInput,
    outcome: Outcome,
    decided_by: tuple[object, ...],
    *,
    credits: int,
    budget_id: str | None,
) -> str:
    """Write a job, its whole life and its result; inside a transaction. Returns its id."""
    job_id, now = str(uuid.uuid4()), world.now()
    world.database.write(
        "INSERT INTO jobs (id, process_id, inputs, items, credits, errors, budget_id, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (job_id, job.process.id, json.dumps(job.inputs), job.item_key, credits, _errors(job, outcome), budget_id, now),
    )
    for step, (after, status) in enumerate(job_life.plan(outcome, decided_by)):
        at = now + round(after / world.speed * SECOND)
        world.database.write("INSERT INTO job_events VALUES (?, ?, ?, ?)", (job_id, at, step, status))
        if status is Status.SUCCESSFUL and outcome is not Outcome.LOST_RESULT:
            contents = {name: item.content for name, item in job.items.items()}
            content = results.describe(job.process.id, contents, job.options)
            deliveries.record_result(world, job_id, at, job.inputs["title"], content)
    return job_id


def _errors(job: JobInput, outcome: Outcome) -> str | None:
    if outcome in (Outcome.FAILED, Outcome.UNRELEASED, Outcome.STUCK_RELEASED):
        problems: Sequence[Problem] = (_FAILURE,)
    elif outcome is Outcome.INVALID:
        problems = job.problems or (_REFUSAL,)
    else:
        return None
    return json.dumps([problem.as_json() for problem in problems])


def get(world: World, job_id: str, origin: str) -> dict[str, Any] | None:
    """Return one job as the API shows it."""
    rows = world.database.rows(f"SELECT * FROM {_CURRENT} WHERE id = :id", {"now": world.now(), "id": job_id})  # noqa: S608
    return as_json(rows[0], origin) if rows else None


def page(
    world: World, wanted: JobFilter, sort: str, start: Place, limit: int, *, descending: bool
) -> tuple[list[sqlite3.Row], Place | None]:
    """Return one page of jobs as they were at the instant of the place, and where the next page begins.

    That instant is the first page's: neither new jobs nor new statuses move anything off a page.
    """
    where, column = _where(wanted), SORTS[sort]
    if start.value is not None:
        beyond = "<" if descending else ">"
        last = f"({where.bind(start.value)}, {where.bind(start.number)})"
        where.clauses.append(f"({column}, number) {beyond} {last}")
    direction = "DESC" if descending else "ASC"
    order = f"ORDER BY {column} {direction}, number {direction} LIMIT :limit"
    rows = world.database.rows(
        " ".join((f"SELECT *, {column} AS sorted_by FROM", _CURRENT, where.text(), order)),
        {**where.values, "now": start.at, "limit": limit + 1},
    )
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], Place(start.at, rows[limit - 1]["sorted_by"], rows[limit - 1]["number"])


def as_json(row: sqlite3.Row, origin: str) -> dict[str, Any]:
    """Write a job as the API shows it."""
    return {
        "processID": row["process_id"],
        "jobID": row["id"],
        "accountID": account.ACCOUNT_ID,
        "workspaceID": account.WORKSPACE_ID,
        "definition": {"inputs": json.loads(row["inputs"])},
        "results": _results(row, origin),
        "creditConsumption": None if row["consumed"] is None else {"credits": row["consumed"]},
        "status": row["status"],
        "created": _timestamp(row, "created_at"),
        "updated": _timestamp(row, "updated_at"),
        "started": _timestamp(row, "started_at"),
        "finished": _timestamp(row, "finished_at"),
    }


def _results(row: sqlite3.Row, origin: str) -> dict[str, Any] | None:
    if row["status"] in job_life.CHARGED:
        collection_id = deliveries.collection_id(deliveries.result_asset_id(row["id"]))
        return {"collection": f"{origin}{stac_shapes.ROOT}/collections/{collection_id}", "errors": None}
    if row["finished_at"] is not None and row["errors"] is not None:
        return {"collection": None, "errors": json.loads(row["errors"])}
    return None


def _timestamp(row: sqlite3.Row, column: str) -> str | None:
    """Write a time with nine decimals, as jobs show it; the clock has six."""
    if row[column] is None:
        return None
    nanos = chance.integer("nanoseconds", row["id"], row[column]) % 1000
    return f"{clock.timestamp(row[column])[:-1]}{nanos:03d}Z"


def _where(wanted: JobFilter) -> Where:
    where = Where()
    where.clauses.append(f"created_at <= {where.bind(wanted.placed_until)}")
    where.in_workspace(wanted.workspace_id)
    where.any_of("process_id", wanted.process_ids)
    where.any_of("status", wanted.statuses)
    where.any_of("id", wanted.job_ids)
    if wanted.min_duration is not None:
        where.clauses.append(f"{_SECONDS} >= {where.bind(wanted.min_duration)}")
    if wanted.max_duration is not None:
        where.clauses.append(f"{_SECONDS} <= {where.bind(wanted.max_duration)}")
    return where
