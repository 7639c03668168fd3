"""`processing_jobs`: one UP42 process on each item of a partition, bought once. Returns as soon as the jobs exist."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pystac

from up42_pipelines.api import Job, JobStatus
from up42_pipelines.assets.spend import (
    BuyingConfig,
    approve,
    bought_row,
    bought_twice,
    committed_in,
    data_version,
    refused_row,
    remedies,
    spend_check,
    spend_check_spec,
    spend_metadata,
    what_was_done,
)
from up42_pipelines.assets.workflow import ProcessingPipeline
from up42_pipelines.errors import OrderRefused
from up42_pipelines.failures import explained
from up42_pipelines.io_managers import stored_items
from up42_pipelines.processing.buyer import JobBuyer
from up42_pipelines.processing.listing import jobs_of
from up42_pipelines.processing.plan import JobPlan, JobToBuy, plan_jobs, without_repeats
from up42_pipelines.processing.workflow import Step
from up42_pipelines.purchasing.purchase import Bought
from up42_pipelines.resources import LakeResource, Up42Resource

_MAX_ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job that was to be bought.

    Attributes:
        job: what was to be bought, and on which items.
        result: the job at UP42, or why nothing was bought.
    """

    job: JobToBuy
    result: Bought[Job] | OrderRefused

    @property
    def label(self) -> str:
        """The items it works on."""
        return " against ".join(item.id for item in self.job.sources)


def processing_jobs_asset(
    processing: ProcessingPipeline, step: Step, *, automation: dg.AutomationCondition[Any] | None = None
) -> dg.AssetsDefinition:
    """The asset that makes sure that a step's job exists for each item of a partition, once per generation.

    It works on what is in the lake and has passed its checks: nothing bad is paid for a second time. Safe to repeat: a
    job that exists is found and adopted. Its value is a STAC ItemCollection with one item per job.

    A job that is refused, by a ceiling or by UP42, does not keep the others from being bought; the run then fails and
    says what to do, also when a job merely waits for approval. What was bought is fetched all the same, because
    `processed_items` reads the jobs from UP42. While there is nothing to work on, or nothing to compare it with, the
    asset skips.

    Args:
        processing: the workflow.
        step: one of its steps.
        automation: when it starts by itself.
    """
    key, process_id = processing.key(step.name, "processing_jobs"), step.template.process_id

    @dg.asset(
        **processing.options(step.name, "processing_jobs", tags={"up42/spends": "credits"}),
        deps=[processing.upstream_dep(step.name)],
        kinds={"up42"},
        output_required=False,
        automation_condition=automation,
        check_specs=[spend_check_spec(key, processing.partitions)],
        description=(
            f"Jobs of UP42's process `{process_id}`, one for each item. Spends credits, once: repeating it adopts the "
            "jobs that exist. Results are watched by the job status sensor."
        ),
    )
    def processing_jobs(
        context: dg.AssetExecutionContext, config: BuyingConfig, up42: Up42Resource, lake: LakeResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[pystac.ItemCollection]]:
        partition = context.partition_key
        run = context.run.root_run_id or context.run.run_id  # a retried run shares the ceiling of the run it retries
        with explained(f"Step {step.name} for {partition}"):
            client, store = up42.client, lake.lake
            sources = stored_items(store, processing.upstream(step.name), partition)
            earlier = processing.reference_partition(step.name, partition)
            references = None if earlier is None else stored_items(store, processing.upstream(step.name), earlier)
            plan = plan_jobs(
                processing.workflow,
                step,
                workspace_id=client.workspace_id,
                partition=partition,
                items=list(sources or ()),
                references=list(references or ()),
                generation=config.generation,
            )
            if step.takes_several and config.generation == 1:
                bought = [item.id for item in stored_items(store, key, partition) or ()]
                existing = jobs_of(client.processing, processing.workflow, step, partition, bought=bought)
                plan = without_repeats(plan, step, existing)
            for item_id, reason in plan.left_out.items():
                context.log.warning(f"{item_id}: left out. {reason}")
            buyer = processing.buyer(client, store, run=run, tell=context.log.info)
            approve(buyer.book, (job.planned.key for job in plan.jobs), config)
            outcomes = [_outcome(context.log, buyer, job) for job in plan.jobs]
            committed = committed_in(buyer.ledger.sheet(), run=run, partition=partition)
        refusals = [one.result for one in outcomes if isinstance(one.result, OrderRefused)]
        yield spend_check(key, committed, processing.workflow.ceilings, refusals)
        metadata = _metadata(plan, outcomes) | spend_metadata(committed, processing.workflow.ceilings)
        if refusals:
            raise dg.Failure(
                _refused(processing, step, partition, config.generation, outcomes),
                metadata=metadata,
                allow_retries=False,
            )
        if sources is None:
            upstream = processing.upstream(step.name).to_user_string()
            context.log.warning(f"{upstream} has nothing for {partition} yet: skipped.")
            return
        if plan.left_out and not plan.jobs:
            if step.takes_several:
                context.log.warning(f"There is nothing to buy for {partition}: skipped.")
                return
            raise dg.Failure(_unfit(step, partition, plan), metadata=metadata, allow_retries=False)
        made = [(one.job, one.result) for one in outcomes if isinstance(one.result, Bought)]
        yield dg.MaterializeResult(
            value=pystac.ItemCollection([_job_item(job, result) for job, result in made]),
            metadata=metadata,
            data_version=data_version(result.id for _, result in made),
        )

    return processing_jobs


def _outcome(log: dg.DagsterLogManager, buyer: JobBuyer, job: JobToBuy) -> Outcome:
    try:
        bought = buyer.buy(buyer.job(job.planned))
    except OrderRefused as refusal:
        outcome = Outcome(job=job, result=refusal)
        log.error(f"{outcome.label}: {refusal}")
        return outcome
    outcome = Outcome(job=job, result=bought)
    log.info(f"{outcome.label}: job {bought.id} {what_was_done(bought)}, {bought.credits} credits")
    if bought.others:
        log.warning(f"{outcome.label}: job {bought.id} was {bought_twice(bought)}")
    return outcome


def _refused(
    processing: ProcessingPipeline, step: Step, partition: str, generation: int, outcomes: Sequence[Outcome]
) -> str:
    """What a person reads whose run failed because of refusals."""
    refused = [(one.label, one.result) for one in outcomes if isinstance(one.result, OrderRefused)]
    said = [f"Step {step.name} for {partition}: {len(refused)} of {len(outcomes)} jobs were not bought."]
    said += [f"- {label}: {refusal}" for label, refusal in refused]
    refusals = (refusal for _, refusal in refused)
    said += remedies(refusals, approve_job=processing.approve_job, partition=partition, generation=generation)
    if len(refused) < len(outcomes):
        said.append("The other jobs exist, and their results are fetched all the same.")
    said.append("Then materialize this partition again: it buys what is missing, and nothing twice.")
    return "\n".join(said)


def _unfit(step: Step, partition: str, plan: JobPlan) -> str:
    reasons = "\n".join(f"- {item_id}: {reason}" for item_id, reason in plan.left_out.items())
    return (
        f"Step {step.name} for {partition}: process {step.template.process_id} works on none of the "
        f"{len(plan.left_out)} items. Nothing was bought.\n{reasons}\nChange the workflow, or what it works on."
    )


def _job_item(job: JobToBuy, bought: Bought[Job]) -> pystac.Item:
    """The item that a job works on, with the job's id and facts."""
    item = job.sources[0].clone()
    item.id = bought.id
    item.properties |= {
        "up42:process_id": job.planned.process_id,
        "up42:job_status": _status(bought),
        "up42:job_key": job.planned.key,
        "up42:source_items": [source.id for source in job.sources],
        "up42:credits": bought.credits,
    }
    return item


def _metadata(plan: JobPlan, outcomes: Sequence[Outcome]) -> dict[str, dg.MetadataValue]:
    bought = [one.result for one in outcomes if isinstance(one.result, Bought)]
    new = [one for one in bought if not one.adopted]
    refused_first = sorted(outcomes, key=lambda one: isinstance(one.result, Bought))
    rows = [_row(one) for one in refused_first] + [_left_out_row(*one) for one in plan.left_out.items()]
    metadata: dict[str, dg.MetadataValue] = {
        "jobs": dg.MetadataValue.int(len(bought)),
        "jobs_bought_now": dg.MetadataValue.int(len(new)),
        "jobs_refused": dg.MetadataValue.int(len(outcomes) - len(bought)),
        "items_left_out": dg.MetadataValue.int(len(plan.left_out)),
        "credits": dg.MetadataValue.int(sum(one.credits for one in bought)),
        "credits_committed_now": dg.MetadataValue.int(sum(one.credits for one in new)),
    }
    table = [dg.TableRecord(row) for row in rows[:_MAX_ROWS]]
    return metadata | ({"table": dg.MetadataValue.table(table)} if table else {})


def _row(outcome: Outcome) -> Mapping[str, str | int]:
    told: Mapping[str, str | int]
    match outcome.result:
        case Bought() as bought:
            told = {"job": bought.id, "status": _status(bought), **bought_row(bought)}
        case refusal:
            told = {"job": "", "status": "", **refused_row(refusal)}
    return {"items": outcome.label, **told, "key": outcome.job.planned.key}


def _left_out_row(item_id: str, reason: str) -> Mapping[str, str | int]:
    told: Mapping[str, str | int] = {"job": "", "status": "", "credits": 0, "what": "left out", "reason": reason}
    return {"items": item_id, **told, "key": ""}


def _status(bought: Bought[Job]) -> str:
    return str(JobStatus.CREATED if bought.record is None else bought.record.status)
