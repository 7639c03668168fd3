"""What one tick of a sensor may do, and which partitions it leaves alone."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

import dagster as dg

from up42_pipelines.partitions import PARTITION_TAG

MAX_EVENTS = 200
MAX_RUN_REQUESTS = 50
TICK_BUDGET_S = 40.0
"""Dagster ends a tick after 60 s, and writes events and runs one by one after the function returned."""

READING_BUDGET_S = 25.0
"""For reading what is new: about 8,000 orders or jobs, where a request takes 0.3 s."""

ASSET_JOB = "__ASSET_JOB"
"""The job of runs that somebody launches from an asset's page."""

ACTIVE = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)

_LONGEST_RUN_KEY = 1000


def busy_partitions(instance: dg.DagsterInstance, jobs: Collection[str]) -> frozenset[str]:
    """Partitions with a run of these jobs on its way: a second one beside it would fetch the same files twice."""
    runs = instance.get_runs(dg.RunsFilter(statuses=list(ACTIVE)))
    return frozenset(
        run.tags[PARTITION_TAG] for run in runs if run.job_name in {*jobs, ASSET_JOB} and PARTITION_TAG in run.tags
    )


def run_key(news: Iterable[str]) -> str:
    """The key of the run that some news ask for; of many a digest.

    Dagster keeps it as a run's tag, which its index holds whole, and PostgreSQL indexes no more than 2704 bytes.
    """
    key = ",".join(sorted(news))
    return key if len(key) <= _LONGEST_RUN_KEY else hashlib.sha256(key.encode()).hexdigest()
