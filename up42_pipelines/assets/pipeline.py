"""What an ingestion pipeline is made of, and what its assets share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

import dagster as dg

from up42_pipelines.api import Order, OrderSort, Up42Client
from up42_pipelines.ordering.aoi import DEFAULT_LIMITS, Aoi, AoiLimits, read_aoi
from up42_pipelines.ordering.keys import OrderTags, partition_tag
from up42_pipelines.ordering.selection import SelectionRules
from up42_pipelines.partitions import aoi_of


class AssetOptions(TypedDict):
    """The part of an asset's definition that follows from its pipeline."""

    key: dg.AssetKey
    partitions_def: dg.MultiPartitionsDefinition
    group_name: str
    owners: list[str]
    tags: dict[str, str]
    io_manager_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One ingestion pipeline: what is looked for, where, and how much an order may cost.

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
        max_credits_per_order: an order estimated above is refused; None for no ceiling.
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
    max_credits_per_order: float | None = None
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

    def key(self, name: str) -> dg.AssetKey:
        """The asset key of one of the pipeline's assets."""
        return dg.AssetKey([*self.key_prefix, name])

    def options(self, name: str, **more: str) -> AssetOptions:
        """What the decorators of all the pipeline's assets are given, for the asset with this name; `more` are tags."""
        return {
            "key": self.key(name),
            "partitions_def": self.partitions,
            "group_name": self.group,
            "owners": list(self.owners),
            "tags": {"up42/pipeline": self.name, **more},
            "io_manager_key": "stac_io_manager",
        }

    def aoi(self, partition_key: str) -> Aoi:
        """The AOI of a partition.

        Raises:
            AoiRejected: the file breaks one of UP42's rules.
        """
        return read_aoi(self.aois[aoi_of(partition_key)], limits=self.aoi_limits)

    def orders_of(self, client: Up42Client, partition_key: str) -> list[tuple[Order, OrderTags]]:
        """The partition's orders as UP42 has them now, oldest first: the tags are the record, not Dagster."""
        found = []
        for order in client.orders.list(tags=[partition_tag(self.name, partition_key)], sort=OrderSort.created_at.asc):
            tags = OrderTags.read(order.tags)
            if tags is not None and (tags.pipeline, tags.partition) == (self.name, partition_key):
                found.append((order, tags))
        return found
