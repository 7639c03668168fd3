"""`processed_items`: the results that a partition's jobs have made so far. Skips while there are none."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pystac

from up42_pipelines.api import Job
from up42_pipelines.assets.workflow import ProcessingPipeline
from up42_pipelines.checks import check_spec
from up42_pipelines.errors import ResultsMissing
from up42_pipelines.failures import explained
from up42_pipelines.io_managers import stored_items
from up42_pipelines.ordering.delivery import digest
from up42_pipelines.processing.listing import jobs_of
from up42_pipelines.processing.outcome import JobState, current, outcome_of
from up42_pipelines.processing.provenance import told_of_job
from up42_pipelines.processing.results import StorageApi, result_items
from up42_pipelines.processing.watching import GONE
from up42_pipelines.processing.workflow import Step
from up42_pipelines.resources import LakeResource, Up42Resource
from up42_pipelines.uptime import uptime_s

NO_JOB_FAILED = "no_job_failed"
JOBS = "up42-pipelines:jobs"
"""Field of the ItemCollection: what each job that has made its items has cost, and how long it took."""
_MAX_ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What has become of a job.

    Attributes:
        job: as UP42 has it now.
        state: how far it is.
        items: its results.
        reason: why it is in this state.
        remedy: what to do about it; empty when there is nothing to do.
    """

    job: Job
    state: JobState
    items: Sequence[pystac.Item] = ()
    reason: str
    remedy: str = ""

    @property
    def explanation(self) -> str:
        """Reason and remedy."""
        return f"{self.reason} {self.remedy}".rstrip()

    @property
    def facts(self) -> dict[str, Any]:
        """What the table and downstream tell of it."""
        return {
            "job": self.job.id,
            "status": str(self.job.status),
            "credits": self.job.credits,
            "seconds": self.seconds,
        }

    @property
    def seconds(self) -> float | None:
        """From the job's start to its end; None when UP42 does not tell."""
        if self.job.started is None or self.job.finished is None:
            return None
        return round((self.job.finished - self.job.started).total_seconds(), 3)


def processed_items_asset(processing: ProcessingPipeline, step: Step) -> dg.AssetsDefinition:
    """The asset that lists the STAC items that the jobs of a step have left in UP42's storage.

    The jobs are read from UP42 by their titles, not from the upstream value alone: a run that died after buying one
    loses nothing. Its value is a STAC ItemCollection with UP42's hrefs; each item tells the job that made it. A job
    that failed, or whose results are gone, fails the check and does not keep the results of the others back; only when
    nothing else is left does the partition fail. While UP42 is working the asset skips: the run succeeds, downstream
    is skipped, and the sensor comes back later.
    """
    key = processing.key(step.name, "processed_items")

    @dg.asset(
        **processing.options(step.name, "processed_items"),
        deps=[processing.key(step.name, "processing_jobs")],
        kinds={"up42", "stac"},
        output_required=False,
        check_specs=[
            check_spec(key, NO_JOB_FAILED, "Every job has results, or is still at work.", processing.partitions)
        ],
        description=(
            f"STAC items that the jobs of step `{step.name}` have made. Skips while UP42 is still working; the job "
            "status sensor launches it again when a job has ended."
        ),
    )
    def processed_items(
        context: dg.AssetExecutionContext, up42: Up42Resource, lake: LakeResource
    ) -> Iterator[dg.MaterializeResult[pystac.ItemCollection] | dg.AssetCheckResult]:
        partition = context.partition_key
        with explained(f"Reading the results of {step.name} for {partition}"):
            client = up42.client
            jobs_asset = stored_items(lake.lake, processing.key(step.name, "processing_jobs"), partition)
            bought = [item.id for item in jobs_asset or ()]
            listed = jobs_of(client.processing, processing.workflow, step, partition, bought=bought)
            jobs = {job.id: job for job, _ in listed}
            counting = current(jobs.values(), step.template)
            collected = list(_collect(client.storage, counting, patience_s=processing.results_patience_s))
            collected += [_gone(job_id, step) for job_id in bought if job_id not in jobs]
        for one in collected:
            log = context.log.info if one.state in (JobState.SUCCEEDED, JobState.WAITING) else context.log.warning
            log(f"job {one.job.id}: {one.state}. {one.explanation}")
        failed = [one for one in collected if one.state is JobState.FAILED]
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=NO_JOB_FAILED,
            passed=not failed,
            metadata={
                "failed_jobs": {one.job.id: one.explanation for one in failed},
                "jobs_in_an_unknown_status": {
                    one.job.id: one.explanation for one in collected if one.state is JobState.UNKNOWN
                },
            },
        )
        metadata = _metadata(collected)
        if failed and len(failed) == len(collected):
            raise dg.Failure(_nothing_left(step, partition, failed), metadata=metadata, allow_retries=False)
        items = [item for one in collected for item in one.items]
        if collected and not items:
            context.log.info("Waiting for UP42: skipped. The job status sensor continues when a job has ended.")
            return
        if not collected and (jobs_asset is None or bought):
            # Only a step that had nothing to work on is complete without jobs.
            context.log.warning(
                f"There are no jobs with the parameters that step {step.name} has now: skipped. Materialize "
                "processing_jobs of this partition first."
            )
            return
        made = [one.facts for one in collected if one.items]
        yield dg.MaterializeResult(
            value=pystac.ItemCollection(items, extra_fields={JOBS: made}),
            metadata=metadata,
            data_version=dg.DataVersion(digest(item.id for item in items)),
        )

    return processed_items


def _gone(job_id: str, step: Step) -> Collected:
    job = Job(id=job_id, process_id=step.template.process_id, status=GONE)
    reason = "It was bought, and UP42 does not know it any more."
    remedy = "Ask UP42's support about it; to buy it again, raise the generation."
    return Collected(job=job, state=JobState.FAILED, reason=reason, remedy=remedy)


def _collect(storage: StorageApi, jobs: Iterable[Job], *, patience_s: float) -> Iterator[Collected]:
    """What has become of jobs; while one is waited for, storage has the same time for the results of the others."""
    end = uptime_s() + patience_s
    return (_collected(storage, job, patience_s=max(0.0, end - uptime_s())) for job in jobs)


def _collected(storage: StorageApi, job: Job, *, patience_s: float) -> Collected:
    """How far a job is, and its results when it has any."""
    outcome = outcome_of(job)
    if outcome.state is not JobState.SUCCEEDED:
        return Collected(job=job, state=outcome.state, reason=outcome.reason, remedy=outcome.remedy)
    try:
        items = result_items(storage, job, patience_s=patience_s)
    except ResultsMissing as error:
        return Collected(job=job, state=JobState.FAILED, reason=str(error))
    told = [told_of_job(item, job) for item in items]
    return Collected(job=job, state=outcome.state, items=told, reason=f"{len(told)} item(s) in storage.")


def _nothing_left(step: Step, partition: str, failed: Sequence[Collected]) -> str:
    said = [f"Step {step.name} has no results for {partition}: none of its {len(failed)} job(s) has any."]
    said += [f"- Job {one.job.id}: {one.explanation}" for one in failed]
    return "\n".join(said)


def _metadata(collected: Sequence[Collected]) -> Mapping[str, dg.MetadataValue]:
    states = [one.state for one in collected]
    seconds = [one.seconds for one in collected if one.seconds is not None]
    metadata: dict[str, dg.MetadataValue] = {
        "items": dg.MetadataValue.int(sum(len(one.items) for one in collected)),
        "jobs_succeeded": dg.MetadataValue.int(states.count(JobState.SUCCEEDED)),
        "jobs_failed": dg.MetadataValue.int(states.count(JobState.FAILED)),
        "jobs_open": dg.MetadataValue.int(states.count(JobState.WAITING) + states.count(JobState.UNKNOWN)),
        "credits": dg.MetadataValue.float(float(sum(one.job.credits or 0 for one in collected))),
    }
    if seconds:
        metadata["job_seconds"] = dg.MetadataValue.float(max(seconds))
    if collected:
        metadata["jobs"] = dg.MetadataValue.table([_row(one) for one in collected[:_MAX_ROWS]])
    return metadata


def _row(one: Collected) -> dg.TableRecord:
    told = {name: "" if value is None else value for name, value in one.facts.items()}
    return dg.TableRecord({**told, "items": len(one.items), "reason": one.reason, "remedy": one.remedy})
