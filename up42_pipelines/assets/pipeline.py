"""What an ingestion pipeline is made of, and what its assets share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypedDict

import dagster as dg

from up42_pipelines.api import Order, Up42Client
from up42_pipelines.lake import Lake, LandingOptions
from up42_pipelines.ordering.aoi import DEFAULT_LIMITS, Aoi, AoiLimits, read_aoi
from up42_pipelines.ordering.buyer import order_buyer
from up42_pipelines.ordering.delivery import TRANSFORMATION_PATIENCE
from up42_pipelines.ordering.keys import OrderTags, partition_tag
from up42_pipelines.ordering.selection import SelectionRules
from up42_pipelines.partitions import aoi_of
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.buying import Buyer
from up42_pipelines.purchasing.protocol import Timing


class AssetOptions(TypedDict):
    """The part of an asset's definition that follows from its pipeline."""

    key: dg.AssetKey
    partitions_def: dg.MultiPartitionsDefinition | None
    group_name: str
    owners: list[str]
    tags: dict[str, str]
    io_manager_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One ingestion pipeline: what is looked for, where, and how much may be spent.

    Attributes:
        name: part of job and sensor names, order tags and order keys. A renamed pipeline is another one: it does not
            know the orders placed so far, and buys again.
        aois: path or fsspec URL of a GeoJSON file by AOI name; read when a partition runs, not before.
        partitions: date x AOI, see `partitions.date_by_aoi`.
        collection: UP42 collection, for example `phr`.
        data_product: id or name of one of its data products.
        params: what the data product's order form asks for beside scene and geometry. Part of the order keys.
        selection: which of the scenes found are bought.
        aoi_limits: how large an AOI may be.
        ceilings: the most that may be committed, in credits.
        approvals: which prices wait for a person.
        budget_id: id of the UP42 budget that pays; None for none.
        timing: how long buying waits for other processes and for UP42, see docs/ordering.md.
        bytes_per_pixel: bands times bytes of a sample of the data product, for example 8 for four bands of 16 bit; UP42
            does not tell. Only a dry run needs it, to expect a size; None when not known.
        transformation_patience: how long UP42 may take to make STAC items of a delivery; then its original archive is
            unpacked here instead.
        landing: what deliveries must be like, and how they are fetched, unpacked and converted.
        key_prefix: of the asset keys, for several pipelines in one code location.
        group: asset group.
        owners: e-mails or `team:name`.
    """

    name: str
    aois: Mapping[str, str]
    partitions: dg.MultiPartitionsDefinition
    collection: str
    data_product: str
    params: Mapping[str, Any] = field(default_factory=dict)
    selection: SelectionRules = field(default_factory=SelectionRules)
    aoi_limits: AoiLimits = DEFAULT_LIMITS
    ceilings: Ceilings = field(default_factory=Ceilings)
    approvals: Approvals = field(default_factory=Approvals)
    budget_id: str | None = None
    timing: Timing = field(default_factory=Timing)
    bytes_per_pixel: float | None = None
    transformation_patience: timedelta = TRANSFORMATION_PATIENCE
    landing: LandingOptions = field(default_factory=LandingOptions)
    key_prefix: Sequence[str] = ()
    group: str = "up42"
    owners: Sequence[str] = ()

    @property
    def ingest_job(self) -> str:
        """Name of the job that searches, orders, and fetches what is there."""
        return f"{self.name}_ingest"

    @property
    def deliver_job(self) -> str:
        """Name of the job that the sensor runs."""
        return f"{self.name}_deliver"

    @property
    def dry_run_job(self) -> str:
        """Name of the job that tells what partitions would buy."""
        return f"{self.name}_dry_run"

    @property
    def approve_job(self) -> str:
        """Name of the job in which a person approves what waits for it."""
        return f"{self.name}_approve"

    @property
    def audit_job(self) -> str:
        """Name of the job that compares the lake with UP42."""
        return f"{self.name}_audit"

    def key(self, name: str) -> dg.AssetKey:
        """The asset key of one of the pipeline's assets."""
        return dg.AssetKey([*self.key_prefix, name])

    def options(self, name: str, *, partitioned: bool = True, tags: Mapping[str, str] | None = None) -> AssetOptions:
        """What the decorators of all the pipeline's assets are given, for the asset with this name."""
        return {
            "key": self.key(name),
            "partitions_def": self.partitions if partitioned else None,
            "group_name": self.group,
            "owners": list(self.owners),
            "tags": {"up42/pipeline": self.name, **(tags or {})},
            "io_manager_key": "stac_io_manager",
        }

    def aoi(self, partition_key: str) -> Aoi:
        """The AOI of a partition.

        Raises:
            AoiRejected: the file breaks one of UP42's rules.
        """
        return read_aoi(self.aois[aoi_of(partition_key)], limits=self.aoi_limits)

    def buyer(self, client: Up42Client, lake: Lake, *, run: str, tell: Callable[[str], None]) -> Buyer:
        """What buys the pipeline's orders.

        Args:
            client: the account that pays.
            lake: where intents and ledger are kept.
            run: the run on whose ceiling orders count.
            tell: is given a sentence whenever something takes its time.

        Raises:
            LakeError: nothing can be bought exactly once with this lake.
        """
        return order_buyer(
            client.orders,
            client.account,
            lake,
            self.name,
            ceilings=self.ceilings,
            approvals=self.approvals,
            run=run,
            timing=self.timing,
            tell=tell,
        )

    def orders_of(self, client: Up42Client, partition_key: str) -> list[tuple[Order, OrderTags]]:
        """The partition's orders as UP42 has them now, oldest first: the tags are the record, not Dagster."""
        found = []
        newest_first = list(client.orders.list(tags=[partition_tag(self.name, partition_key)]))
        for order in reversed(newest_first):
            tags = OrderTags.read(order.tags)
            if tags is not None and (tags.pipeline, tags.partition) == (self.name, partition_key):
                found.append((order, tags))
        return found
