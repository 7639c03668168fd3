"""Where each step of a workflow stands in each partition of the demo, read from Dagster and UP42."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

import dagster as dg
import pystac

from up42_pipelines.api import Job, Up42Client
from up42_pipelines.assets.workflow import ProcessingPipeline
from up42_pipelines.demo.standing import Runs, Standing, error_of
from up42_pipelines.lake import Lake
from up42_pipelines.partitions import PARTITION_TAG, aoi_of
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.processing.workflow import Step


class StepState(StrEnum):
    """How far a step is in a partition."""

    PENDING = "waiting for its items"
    COMPUTING = "UP42 computes"
    LANDING = "landing"
    DONE = "done"
    NO_INPUT = "has no items"
    NO_REFERENCE = "nothing to compare with"
    JOB_FAILED = "job failed at UP42"
    FAILED = "failed"

    @property
    def is_settled(self) -> bool:
        """True when nothing more will happen."""
        return self not in (StepState.PENDING, StepState.COMPUTING, StepState.LANDING)

    @property
    def is_done(self) -> bool:
        """True when there are results in the lake."""
        return self is StepState.DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStanding:
    """One step in one partition.

    Attributes:
        step: its name.
        key: partition key.
        state: how far it is.
        detail: job statuses, or the error.
        jobs: its jobs at UP42.
        items: its results in the lake.
    """

    step: str
    key: str
    state: StepState
    detail: str = ""
    jobs: Sequence[Job] = ()
    items: Sequence[pystac.Item] = field(default=(), repr=False)

    @property
    def credits(self) -> float:
        """What its jobs have cost."""
        return sum(job.credits or 0 for job in self.jobs)


def judge_step(
    *,
    before: StepState,
    reference: StepState | None,
    jobs: Sequence[Job],
    landed: bool,
    runs: Runs,
    error: str,
) -> tuple[StepState, str]:
    """The state of a step in a partition and a line about it. Pure.

    Args:
        before: of what its items come from.
        reference: of what its reference comes from; None when it compares nothing.
        jobs: its jobs.
        landed: whether its results are in the lake.
        runs: those of its Dagster jobs in this partition.
        error: why the newest run failed, when it did.
    """
    counted = Counter(str(job.status) for job in jobs)
    statuses = ", ".join(status if count == 1 else f"{count} {status}" for status, count in counted.most_common())
    if not jobs:
        if before.is_settled and not before.is_done:
            return StepState.NO_INPUT, ""
        if reference is not None and reference.is_settled and not reference.is_done:
            return StepState.NO_REFERENCE, ""
        failed = before.is_done and runs.failure and not runs.active
        return (StepState.FAILED, error) if failed else (StepState.PENDING, "")
    if not all(job.is_final for job in jobs):
        return StepState.COMPUTING, statuses
    if not any(job.is_successful for job in jobs):
        return StepState.JOB_FAILED, statuses
    if landed and not runs.active:
        return StepState.DONE, statuses
    if runs.failure and not runs.active:
        return StepState.FAILED, error
    return StepState.LANDING, statuses


class StepObserver:
    """Reads the standing of every step in every partition."""

    def __init__(
        self, instance: dg.DagsterInstance, client: Up42Client, lake: Lake, processing: ProcessingPipeline
    ) -> None:
        self._instance, self._client, self._lake, self._processing = instance, client, lake, processing

    def look(self, sources: Sequence[Standing]) -> list[StepStanding]:
        """The standing of each step in each partition, steps in order.

        Args:
            sources: where the partitions of the ingestion pipeline stand, from which the first steps take their items.
        """
        workflow = self._processing.workflow
        jobs = defaultdict(list)
        for job in self._client.processing.jobs(process_ids=[step.template.process_id for step in workflow.steps]):
            title = JobTitle.read(job.title)
            if title is not None and title.workflow == workflow.name:
                jobs[title.step, title.partition].append(job)
        runs = defaultdict(list)
        for record in self._instance.get_run_records():
            runs[record.dagster_run.tags.get(PARTITION_TAG, "")].append(record)
        keys = [one.key for one in sources]
        states: dict[tuple[str | None, str], StepState] = {(None, one.key): _source_state(one) for one in sources}
        standings = []
        for step in workflow.in_order():
            landed = self._instance.get_materialized_partitions(self._processing.key(step.name, "processed_cogs"))
            for key in keys:
                partition_runs = Runs(records=_of_step(self._processing, step, runs[key]))
                state, detail = judge_step(
                    before=states[step.of, key],
                    reference=_reference_state(states, step, key),
                    jobs=jobs[step.name, key],
                    landed=key in landed,
                    runs=partition_runs,
                    error=error_of(self._instance, partition_runs),
                )
                states[step.name, key] = state
                standings.append(
                    StepStanding(
                        step=step.name,
                        key=key,
                        state=state,
                        detail=detail,
                        jobs=jobs[step.name, key],
                        items=self._items(step, key) if state.is_done else (),
                    )
                )
        return standings

    def _items(self, step: Step, key: str) -> Sequence[pystac.Item]:
        """What the step's asset holds for the partition; it is there once it was materialized."""
        path = ("assets", *self._processing.key(step.name, "processed_cogs").path)
        aoi, day = key.split("|")
        return list(pystac.ItemCollection.from_dict(self._lake.read_json(*path, aoi, f"{day}.json")))


def _source_state(source: Standing) -> StepState:
    if not source.state.is_settled:
        return StepState.PENDING
    return StepState.DONE if source.items else StepState.NO_INPUT


def _of_step(processing: ProcessingPipeline, step: Step, records: Sequence[dg.RunRecord]) -> list[dg.RunRecord]:
    """The runs of a partition in which the step takes part; those that automation launched name their assets."""
    jobs = {
        processing.collect_job(step.name),
        processing.start_job if step.of is None else processing.collect_job(step.of),
    }
    keys = {processing.key(step.name, name) for name in ("processing_jobs", "processed_items", "processed_cogs")}
    runs = ((record, record.dagster_run) for record in records)
    return [record for record, run in runs if run.job_name in jobs or keys & (run.asset_selection or frozenset())]


def _reference_state(states: Mapping[tuple[str | None, str], StepState], step: Step, key: str) -> StepState | None:
    if step.reference_days is None:
        return None
    day = date.fromisoformat(key.rpartition("|")[2]) - timedelta(days=step.reference_days)
    return states.get((step.of, f"{aoi_of(key)}|{day}"), StepState.NO_INPUT)
