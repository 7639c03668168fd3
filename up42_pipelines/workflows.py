"""A whole processing workflow in one call: assets, jobs, sensors; to be merged with the pipeline that it works on."""

from __future__ import annotations

from typing import Any

import dagster as dg

from up42_pipelines.assets import (
    ProcessingPipeline,
    processed_cogs_asset,
    processed_items_asset,
    processing_jobs_asset,
)
from up42_pipelines.assets.workflow_dry_run import workflow_dry_run_job
from up42_pipelines.processing.workflow import Step
from up42_pipelines.resources import LakeResource, Up42Resource
from up42_pipelines.sensors import job_status_sensor


def build_workflow(
    processing: ProcessingPipeline,
    *,
    up42: Up42Resource,
    lake: LakeResource,
    sensor_interval_s: int = 60,
    start_on_delivery: bool = False,
) -> dg.Definitions:
    """Definitions of `processing_jobs -> processed_items -> processed_cogs` for each step of a workflow.

    They bring no resources: `dg.Definitions.merge(build_ingestion(...), build_workflow(...))` takes those of the
    pipeline whose `cogs` the workflow works on.

    Besides the assets there are the job `<name>_start` (buys what the first steps need; for backfills), a job
    `<name>_<step>_collect` for each step (what the job status sensor runs: results of the step, then the jobs of the
    steps that follow), the job `<name>_approve`, the job `<name>_dry_run` (what a partition's whole chain would cost)
    and the sensor `<name>_job_status_sensor` (running at first: it only reads).

    What a step compares with may come later than what it compares. Then its jobs are bought when the reference has
    landed, by the sensor `<name>_automation` (running at first).

    Args:
        processing: the workflow, and what it works on.
        up42: the account, for the dry run.
        lake: where results land, for the dry run.
        sensor_interval_s: seconds between two looks at UP42.
        start_on_delivery: whether each delivery that has landed starts the workflow. That spends credits without
            anybody asking for it.
    """
    steps = processing.workflow.in_order()
    automated = {step.name: _automation(step, start_on_delivery=start_on_delivery) for step in steps}
    assets = [
        asset
        for step in steps
        for asset in (
            processing_jobs_asset(processing, step, automation=automated[step.name]),
            processed_items_asset(processing, step),
            processed_cogs_asset(processing, step),
        )
    ]
    start = dg.define_asset_job(
        processing.start_job,
        selection=_jobs_of(processing, processing.workflow.after(None)),
        description="Buy the jobs of the first steps on what has landed. Spends credits; the rest follows by itself.",
    )
    approve = dg.define_asset_job(
        processing.approve_job,
        selection=_jobs_of(processing, steps),
        # What the launchpad shows first; launched like this, it says what is missing.
        config={
            "ops": {
                processing.key(step.name, "processing_jobs").to_python_identifier(): {
                    "config": {"approve_up_to": 0.0, "approved_by": ""}
                }
                for step in steps
            }
        },
        description="Approve the jobs of a partition that wait for it, and buy them. Spends credits.",
    )
    collect = [
        dg.define_asset_job(
            processing.collect_job(step.name),
            selection=dg.AssetSelection.assets(
                processing.key(step.name, "processed_items"), processing.key(step.name, "processed_cogs")
            )
            | _jobs_of(processing, processing.workflow.after(step.name)),
            description=f"Fetch the results of {step.name}, and buy the jobs of the steps that follow. "
            "Launched by the job status sensor.",
        )
        for step in steps
    ]
    automation = dg.AutomationConditionSensorDefinition(
        f"{processing.name}_automation",
        target=_jobs_of(processing, [step for step in steps if automated[step.name] is not None]),
        run_tags={"up42/pipeline": processing.name},
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=sensor_interval_s,
        description="Buys the jobs of steps whose items, or what they compare with, have landed. Spends credits.",
    )
    return dg.Definitions(
        assets=assets,
        jobs=[start, approve, *collect, workflow_dry_run_job(processing, up42, lake)],
        sensors=[
            job_status_sensor(processing, collect, interval_s=sensor_interval_s),
            *([automation] if any(automated.values()) else []),
        ],
        executor=dg.in_process_executor,
    )


def _jobs_of(processing: ProcessingPipeline, steps: list[Step]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*(processing.key(step.name, "processing_jobs") for step in steps))


def _automation(step: Step, *, start_on_delivery: bool) -> dg.AutomationCondition[Any] | None:
    """When a step's jobs are bought without a run that asks for it.

    Only what changed upstream counts, not that it was materialized again: `eager` would start at every repetition. A
    change that comes while a run is on its way is not handled by that run: it has read what there was before. So it
    is not reset by it, as `since_last_handled` would.
    """
    condition = dg.AutomationCondition
    changed = condition.any_deps_match(condition.data_version_changed())
    handled = (condition.newly_requested() & ~changed) | condition.initial_evaluation()
    wanted: dg.AutomationCondition[Any]
    if step.of is None and start_on_delivery:
        wanted = changed.since(handled)
    elif step.of is not None and step.reference_days is not None:
        # The run that lands its items buys its jobs: after that only what it is compared with is waited for.
        wanted = changed.since(handled | condition.newly_updated())
        if step.reference_days == 1:
            wanted &= ~condition.any_deps_missing()
        else:  # the days between are upstream too: they need not be there, and each would start it once more
            wanted &= condition.missing()
    else:
        return None
    return wanted & ~condition.in_progress()
