"""The job `<workflow>_dry_run`: what the whole chain would cost for a range of partitions. Spends nothing."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from up42_pipelines.api import Up42Client
from up42_pipelines.assets.dry_run import DryRunConfig
from up42_pipelines.assets.workflow import ProcessingPipeline
from up42_pipelines.failures import explained
from up42_pipelines.io_managers import stored_items
from up42_pipelines.lake import Lake
from up42_pipelines.partitions import partitions_in
from up42_pipelines.processing.estimate import StepEstimate, WorkflowEstimate, estimate_workflow
from up42_pipelines.purchasing.budget import Sheet
from up42_pipelines.resources import LakeResource, Up42Resource

_MAX_ROWS = 100


def workflow_dry_run_job(processing: ProcessingPipeline, up42: Up42Resource, lake: LakeResource) -> dg.JobDefinition:
    """The job that checks and prices every step on what has landed, before anything is bought.

    Results do not exist yet: later steps are judged on the items that the first ones work on, see
    `processing.estimate`. Its op gives a `WorkflowEstimate` by partition.

    Args:
        processing: the workflow.
        up42: the account that would buy.
        lake: where the items are.
    """

    @dg.op(
        name=f"{processing.name}_estimate",
        out=dg.Out(dict, description="A WorkflowEstimate by partition key."),
        description="Check and price every step of the chain: process, EULA, inputs, cost, ceilings. Free.",
    )
    def estimate(
        context: dg.OpExecutionContext, config: DryRunConfig, up42: Up42Resource, lake: LakeResource
    ) -> dg.Output[dict[str, WorkflowEstimate]]:
        estimates = {}
        with explained(f"Dry run of {config.partitions}"):
            store = lake.lake
            sheet = processing.buyer(up42.client, store, run="dry run", tell=lambda _: None).ledger.sheet()
            for partition in partitions_in(processing.partitions, config.partitions):
                one = _estimate(processing, up42.client, store, partition, sheet)
                estimates[partition], sheet = one, one.sheet
                for problem in one.problems:
                    context.log.warning(f"{partition}: {problem}")
                context.log.info(f"{partition}: {one.credits} credits")
        return dg.Output(estimates, metadata=_metadata(estimates))

    @dg.job(
        name=processing.dry_run_job,
        # Nobody loads the output, and the code location's own io_manager may not be able to keep it.
        resource_defs={"up42": up42, "lake": lake, "io_manager": dg.mem_io_manager},
        executor_def=dg.in_process_executor,
        description="What the whole chain would cost for a range of partitions. Spends nothing.",
    )
    def dry_run() -> None:
        estimate()

    return dry_run


def _estimate(
    processing: ProcessingPipeline, client: Up42Client, lake: Lake, partition: str, sheet: Sheet
) -> WorkflowEstimate:
    """The estimate of a partition, on top of what has been committed, and of what those before it would commit."""
    landed = processing.source.key("cogs")
    earlier = {processing.reference_partition(step.name, partition) for step in processing.workflow.steps} - {None}
    return estimate_workflow(
        client.processing,
        processing.workflow,
        list(stored_items(lake, landed, partition) or ()),
        references=[item for day in sorted(filter(None, earlier)) for item in stored_items(lake, landed, day) or ()],
        partition=partition,
        workspace_id=client.workspace_id,
        sheet=sheet,
    )


def _metadata(estimates: dict[str, WorkflowEstimate]) -> dict[str, Any]:
    everything = estimates.values()
    steps = [(partition, step) for partition, one in estimates.items() for step in one.steps]
    said = [
        {"partition": partition, "kind": kind, "what": sentence}
        for partition, one in estimates.items()
        for kind, sentences in (("problem", one.problems), ("warning", one.warnings), ("approval", one.approvals))
        for sentence in sentences
    ]
    return {
        "credits": dg.MetadataValue.int(sum(one.credits for one in everything)),
        "jobs": dg.MetadataValue.int(sum(len(step.jobs) for _, step in steps)),
        "problems": dg.MetadataValue.int(sum(len(one.problems) for one in everything)),
        "per step": _table([_row(partition, step) for partition, step in steps]),
        **({"remarks": _table(said)} if said else {}),
    }


def _row(partition: str, step: StepEstimate) -> dict[str, str | int]:
    return {
        "partition": partition,
        "step": step.step,
        "process": step.process_id,
        "jobs": len(step.jobs),
        "left out": len(step.left_out),
        "credits": step.credits,
        "without a price": step.unpriced,
        "judged on": "stand-ins" if step.on_stand_ins else "its items",
    }


def _table(rows: Sequence[dict[str, Any]]) -> dg.MetadataValue:
    return dg.MetadataValue.table([dg.TableRecord(row) for row in rows[:_MAX_ROWS]])
