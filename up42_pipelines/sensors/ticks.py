"""What one tick of a sensor may do, and which partitions it leaves alone."""

from __future__ import annotations

from collections.abc import Collection

import dagster as dg

from up42_pipelines.partitions import PARTITION_TAG

MAX_EVENTS = 200
MAX_RUN_REQUESTS = 50
TICK_BUDGET_S = 40.0
"""Dagster ends a tick after 60 s, and writes events and runs one by one after the function returned."""

ASSET_JOB = "__ASSET_JOB"
"""The job of runs that somebody launches from an asset's page."""

ACTIVE = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)


def busy_partitions(instance: dg.DagsterInstance, jobs: Collection[str]) -> frozenset[str]:
    """Partitions with a run of these jobs on its way: a second one beside it would fetch the same files twice."""
    runs = instance.get_runs(dg.RunsFilter(statuses=list(ACTIVE)))
    return frozenset(
        run.tags[PARTITION_TAG] for run in runs if run.job_name in {*jobs, ASSET_JOB} and PARTITION_TAG in run.tags
    )
