"""The job status sensor: reads which processing jobs ended at UP42 and asks for the runs that fetch their results."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import TYPE_CHECKING

import dagster as dg

from up42_pipelines.api import Job, JobSort, JobStatus, Up42Client
from up42_pipelines.assets.workflow import ProcessingPipeline
from up42_pipelines.processing.watching import ENDED, FEW, OPEN, PAGE, JobCursor, Watched, watched
from up42_pipelines.resources import Up42Resource
from up42_pipelines.sensors.ticks import (
    MAX_EVENTS,
    MAX_RUN_REQUESTS,
    READING_BUDGET_S,
    TICK_BUDGET_S,
    busy_partitions,
    run_key,
)

if TYPE_CHECKING:  # Dagster does not export it
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def job_status_sensor(
    pipeline: ProcessingPipeline, jobs: "Sequence[UnresolvedAssetJobDefinition]", *, interval_s: int = 60
) -> dg.SensorDefinition:
    """The sensor that watches all jobs of a workflow and runs `<name>_<step>_collect` where some have ended.

    Per tick it lists the jobs that are new and asks what open ones have come to, in two requests and one more for each
    50 that changed (docs/decisions/0014). A change becomes an observation on the step's `processing_jobs`; jobs that
    ended, well or not, or that UP42 no longer knows, become one run per step and partition.
    It starts running by itself, because it only reads.

    Args:
        pipeline: whose jobs.
        jobs: the jobs that `pipeline.collect_job` names, of all steps.
        interval_s: seconds between ticks.
    """

    @dg.sensor(
        name=f"{pipeline.name}_job_status_sensor",
        jobs=list(jobs),
        minimum_interval_seconds=interval_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Watches the processing jobs of workflow {pipeline.name} and fetches their results.",
    )
    def sensor(context: dg.SensorEvaluationContext, up42: Up42Resource) -> dg.SensorResult:
        cursor = JobCursor.parse(context.cursor)
        busy = busy_partitions(context.instance, pipeline.job_names)
        client = up42.hasty_client()
        try:
            return _Tick(pipeline, client, cursor, busy=busy, warn=context.log.warning).run()
        finally:
            client.transport.close()

    return sensor


class _Tick:
    """One evaluation: gathers events and run requests within the budgets, and the cursor for the next one."""

    def __init__(
        self,
        pipeline: ProcessingPipeline,
        client: Up42Client,
        cursor: JobCursor,
        *,
        busy: frozenset[str],
        warn: Callable[[str], None],
    ) -> None:
        self._pipeline, self._client, self._cursor = pipeline, client, cursor
        self._busy, self._warn, self._began = busy, warn, time.monotonic()
        self._steps = {step.name: step.template.process_id for step in pipeline.workflow.steps}
        self._partitions: dict[str, bool] = {}

    def run(self) -> dg.SensorResult:
        self._read_new()
        is_many = len(self._cursor.open) > FEW
        if is_many:
            self._read_ended()
        for turn in self._cursor.turns():
            before = len(self._cursor.news())
            self._cursor = self._cursor.asked(turn, self._client.processing.jobs(job_ids=turn, page_size=PAGE))
            if is_many and not self._is_worth_more(before):
                break
        news = self._cursor.news()[:MAX_EVENTS]
        self._cursor = self._cursor.told(news)
        requests = list(islice(self._requests(), MAX_RUN_REQUESTS))
        waiting = sum(len(jobs) for jobs in self._cursor.ended().values())
        reason = f"{len(news)} job(s) changed, {len(self._cursor.open)} go on, {waiting} ended and wait for a run"
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(reason),
            cursor=str(self._cursor),
            asset_events=[self._observation(one) for one in news if self._is_ours(one)],
        )

    def _read_new(self) -> None:
        """Jobs created since the last look; with nothing remembered, those of a week and all that go on."""
        now, is_complete = datetime.now(UTC), self._cursor.reading is not None
        floor, youngest = self._cursor.floor(now), None
        found: list[Watched] = []
        for job in self._jobs():
            if job.created is not None and job.created < floor:
                break
            if time.monotonic() - self._began > READING_BUDGET_S:
                is_complete = False
                self._warn(
                    f"There are too many new jobs to read: {self._pipeline.name} is not told of those that were created"
                    f" before {job.created} and have ended. Materialize their partitions of processed_items."
                )
                break
            youngest = youngest or job.created
            found += self._ours(job)
        if not is_complete:
            in_time = takewhile(lambda _: time.monotonic() - self._began < TICK_BUDGET_S, self._jobs(OPEN))
            found += [one for job in in_time for one in self._ours(job)]
        self._cursor = self._cursor.read(found, youngest=youngest, now=now)

    def _read_ended(self) -> None:
        """Jobs that ended, the youngest first: a page, and further ones while most of them is news."""
        listed, is_worth_it = self._jobs(ENDED), True
        while is_worth_it:
            before = len(self._cursor.news())
            self._cursor = self._cursor.seen(islice(listed, PAGE))
            is_worth_it = self._is_worth_more(before)

    def _is_worth_more(self, before: int) -> bool:
        """Whether a request brought so much news that another one pays, and this tick can tell of it."""
        after = len(self._cursor.news())
        return after - before >= PAGE / 2 and after < MAX_EVENTS

    def _jobs(self, status: Sequence[JobStatus] = ()) -> Iterator[Job]:
        processes = sorted(set(self._steps.values()))
        return self._client.processing.jobs(
            process_ids=processes, status=status, sort=JobSort.created.desc, page_size=PAGE
        )

    def _ours(self, job: Job) -> list[Watched]:
        one = watched(job, self._pipeline.name)
        return [one] if one is not None and self._is_ours(one) else []

    def _is_ours(self, one: Watched) -> bool:
        """Whether step and partition (still) exist; no run could take the job otherwise."""
        if one.partition not in self._partitions:
            self._partitions[one.partition] = self._pipeline.partitions.has_partition_key(one.partition)
        return one.step in self._steps and self._partitions[one.partition]

    def _observation(self, one: Watched) -> dg.AssetObservation:
        key = self._pipeline.key(one.step, "processing_jobs")
        metadata = {"job": one.id, "status": one.status, "step": one.step}
        return dg.AssetObservation(key, partition=one.partition, metadata=metadata)

    def _requests(self) -> Iterator[dg.RunRequest]:
        for (step, partition), ended in self._cursor.ended().items():
            if partition in self._busy:
                continue
            self._cursor = self._cursor.dropped(ended)
            if self._is_ours(ended[0]):
                yield dg.RunRequest(
                    run_key=run_key(f"{one.id}:{one.end}" for one in ended),
                    job_name=self._pipeline.collect_job(step),
                    partition_key=partition,
                    tags={"up42/pipeline": self._pipeline.name, "up42/step": step, "up42/jobs": str(len(ended))},
                )
