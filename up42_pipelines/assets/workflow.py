"""What a processing workflow is made of as assets, and what its assets share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import dagster as dg

from up42_pipelines.api import Up42Client
from up42_pipelines.assets.pipeline import AssetOptions, Pipeline
from up42_pipelines.errors import ConfigurationError
from up42_pipelines.lake import Lake, LandingOptions
from up42_pipelines.partitions import AOI, DATE, aoi_of
from up42_pipelines.processing.buyer import JobBuyer, job_buyer
from up42_pipelines.processing.workflow import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessingPipeline:
    """A workflow on top of what an ingestion pipeline lands, with the same partitions.

    Attributes:
        workflow: the steps, and how much they may cost together. Its name is part of job, sensor and collection names.
        source: the pipeline whose `cogs` the first steps work on.
        landing: what results must be like, and how they are fetched and converted.
        results_patience_s: how long a run waits for the result collections of jobs that have succeeded, seconds in all.
        key_prefix: of the asset keys, before the step's name; for several workflows in one code location.
        group: asset group of all steps; None for one per step, `<workflow>_<step>`: Dagster's graph shows the names of
            groups, and of asset keys only the last part, which is the same for all steps.
        owners: e-mails or `team:name`.

    Raises:
        ConfigurationError: the workflow has the source's name, under which another ledger is kept.
    """

    workflow: Workflow
    source: Pipeline
    landing: LandingOptions = field(default_factory=LandingOptions)
    results_patience_s: float = 60.0
    key_prefix: Sequence[str] = ()
    group: str | None = None
    owners: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what would mix two ledgers."""
        if self.workflow.name == self.source.name:
            raise ConfigurationError(f"Workflow {self.name} has the name of the pipeline it works on: give it another.")

    @property
    def name(self) -> str:
        """The workflow's name."""
        return self.workflow.name

    @property
    def partitions(self) -> dg.MultiPartitionsDefinition:
        """Date x AOI, those of the source."""
        return self.source.partitions

    @property
    def start_job(self) -> str:
        """Name of the job that buys what the first steps need."""
        return f"{self.name}_start"

    @property
    def approve_job(self) -> str:
        """Name of the job in which a person approves what waits for it."""
        return f"{self.name}_approve"

    @property
    def dry_run_job(self) -> str:
        """Name of the job that tells what the whole chain would cost."""
        return f"{self.name}_dry_run"

    def collect_job(self, step: str) -> str:
        """Name of the job that fetches the results of a step and starts the steps that follow; the sensor runs it."""
        return f"{self.name}_{step}_collect"

    @property
    def job_names(self) -> frozenset[str]:
        """The jobs whose runs materialize partitions of the workflow's assets."""
        return frozenset(
            {self.start_job, self.approve_job, *(self.collect_job(step.name) for step in self.workflow.steps)}
        )

    def key(self, step: str, name: str) -> dg.AssetKey:
        """The asset key of one of a step's assets: `processing_jobs`, `processed_items`, `processed_cogs`."""
        return dg.AssetKey([*self.key_prefix, step, name])

    def upstream(self, step: str) -> dg.AssetKey:
        """The asset whose items a step works on."""
        before = self.workflow.step(step).of
        return self.source.key("cogs") if before is None else self.key(before, "processed_cogs")

    def collection_id(self, step: str) -> str:
        """The collection of the lake in which the results of a step are."""
        return f"{self.name}-{step}"

    def collection_before(self, step: str) -> str:
        """The collection of the lake in which the items are that a step works on."""
        before = self.workflow.step(step).of
        return self.source.collection if before is None else self.collection_id(before)

    def reference_partition(self, step: str, partition_key: str) -> str | None:
        """The partition of the same AOI so many days before, with which a step compares; None when it compares nothing.

        Before the first partition there is none; its key is given all the same.
        """
        days = self.workflow.step(step).reference_days
        if days is None:
            return None
        day = self.partitions.time_window_for_partition_key(partition_key).start - timedelta(days=days)
        return f"{aoi_of(partition_key)}|{day:%Y-%m-%d}"

    def upstream_dep(self, step: str) -> dg.AssetDep:
        """On which partitions of the asset upstream a step's `processing_jobs` depends: its own and its reference.

        Dagster keeps one mapping per pair of assets, and its own mappings of days (any other is not shown) know ranges
        only: the days between the two are upstream as well.
        """
        days = self.workflow.step(step).reference_days
        if days is None:
            return dg.AssetDep(self.upstream(step))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)
            since_reference = dg.TimeWindowPartitionMapping(start_offset=-days, end_offset=0)
            mapping = dg.MultiPartitionMapping(
                {
                    AOI: dg.DimensionPartitionMapping(AOI, dg.IdentityPartitionMapping()),
                    DATE: dg.DimensionPartitionMapping(DATE, since_reference),
                }
            )
        return dg.AssetDep(self.upstream(step), partition_mapping=mapping)

    def options(self, step: str, name: str, *, tags: Mapping[str, str] | None = None) -> AssetOptions:
        """What the decorators of all the workflow's assets are given, for the asset with this name."""
        return {
            "key": self.key(step, name),
            "partitions_def": self.partitions,
            "group_name": self.group or f"{self.name}_{step}",
            "owners": list(self.owners),
            "tags": {"up42/pipeline": self.name, "up42/step": step, **(tags or {})},
            "io_manager_key": "stac_io_manager",
        }

    def buyer(self, client: Up42Client, lake: Lake, *, run: str, tell: Callable[[str], None]) -> JobBuyer:
        """What buys the workflow's jobs; see `Pipeline.buyer`."""
        return job_buyer(client.processing, client.account, lake, self.workflow, run=run, tell=tell)
