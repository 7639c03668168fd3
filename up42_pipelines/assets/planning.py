"""What a partition would buy: archive search and order plan, as the assets and the dry run need them. Free."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg
import pystac
from shapely.geometry import mapping

from up42_pipelines.api import Collection, OrderForm, Scene, Up42Client
from up42_pipelines.assets.pipeline import Pipeline
from up42_pipelines.ordering.aoi import Aoi
from up42_pipelines.ordering.plan import PlannedOrder, Purpose, plan_order
from up42_pipelines.ordering.selection import Choice, Selection, clip, select_scenes
from up42_pipelines.partitions import day_of

COVERAGE = "up42:aoi_coverage_percent"
HOST = "up42:host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the archive has for a partition.

    Attributes:
        aoi: where it was searched.
        host: who was asked.
        found: all scenes of the day that touch the AOI.
        selection: which of them are worth buying.
    """

    aoi: Aoi
    host: str
    found: tuple[Scene, ...]
    selection: Selection[Scene]

    @property
    def items(self) -> list[pystac.Item]:
        """The scenes chosen as STAC items, best first."""
        return [_item(choice, self.host) for choice in self.selection.chosen]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What UP42 sells to a pipeline.

    Attributes:
        collection: with its host.
        data_product_id: of the pipeline's data product.
        form: what an order of it must say.
    """

    collection: Collection
    data_product_id: str
    form: OrderForm


def read_offer(pipeline: Pipeline, client: Up42Client) -> Offer:
    """Read what the pipeline buys from UP42's catalogue; the same for all partitions.

    Raises:
        NotFound: there is no such collection, or it has no such data product.
    """
    collection = client.catalog.collection(pipeline.collection)
    data_product_id = str(collection.data_product(pipeline.data_product).id)
    return Offer(
        collection=collection, data_product_id=data_product_id, form=client.catalog.order_form(data_product_id)
    )


def find_scenes(
    pipeline: Pipeline, client: Up42Client, host: str, partition_key: str, window: dg.TimeWindow
) -> Findings:
    """Search the archive for a partition, and choose.

    Args:
        pipeline: what is looked for.
        client: whom to ask.
        host: of the pipeline's collection.
        partition_key: names the AOI.
        window: the partition's day.

    Raises:
        AoiRejected: the AOI's file breaks one of UP42's rules.
    """
    aoi = pipeline.aoi(partition_key)
    start, end = day_of(window)
    found = tuple(
        client.catalog.search(
            host, collections=[pipeline.collection], intersects=mapping(aoi.geometry), start=start, end=end
        )
    )
    selection = select_scenes(found, aoi.geometry, pipeline.selection, taken=(start, end))
    return Findings(aoi=aoi, host=host, found=found, selection=selection)


def plan_orders(
    pipeline: Pipeline,
    offer: Offer,
    workspace_id: str,
    partition_key: str,
    scenes: Iterable[pystac.Item],
    *,
    generation: int = 1,
) -> list[tuple[pystac.Item, PlannedOrder]]:
    """The orders for the scenes chosen, each beside its scene; all of them fit the order form.

    Args:
        pipeline: on whose behalf.
        offer: what is bought.
        workspace_id: UP42 workspace whose orders they are.
        partition_key: what for.
        scenes: as `Findings.items`.
        generation: raised by a person to buy the same scenes again.

    Raises:
        AoiRejected: the AOI's file breaks one of UP42's rules.
        InvalidParams: the pipeline's parameters do not fit the order form.
    """
    aoi = pipeline.aoi(partition_key)
    purpose = Purpose(
        workspace_id=workspace_id,
        pipeline=pipeline.name,
        partition=partition_key,
        data_product=offer.data_product_id,
        generation=generation,
        budget_id=pipeline.budget_id,
    )
    plan = []
    for item in scenes:
        areas = clip(item.geometry, aoi.geometry) if offer.form.is_clipped and item.geometry else None
        for planned in plan_order(purpose, item.id, areas, pipeline.params):
            offer.form.check(planned.params)
            plan.append((item, planned))
    return plan


def _item(choice: Choice[Scene], host: str) -> pystac.Item:
    item = choice.scene.to_item()
    item.properties[COVERAGE] = round(choice.coverage_percent, 3)
    item.properties[HOST] = host
    return item
