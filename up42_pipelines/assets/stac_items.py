"""`stac_items`: what UP42 has delivered for a partition so far. Skips while there is nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pystac
from shapely.geometry import shape

from up42_pipelines.api import Order
from up42_pipelines.api.storage import Storage
from up42_pipelines.assets.pipeline import Pipeline
from up42_pipelines.assets.previews import map_picture
from up42_pipelines.checks import check_spec
from up42_pipelines.failures import explained
from up42_pipelines.io_managers import stored_items
from up42_pipelines.lake import Lake, read_item
from up42_pipelines.ordering.archives import archive_item, is_area
from up42_pipelines.ordering.delivery import Delivery, DeliveryState, delivery_of, digest
from up42_pipelines.resources import LakeResource, Up42Resource

NO_ORDER_FAILED = "no_order_failed"
ORDERED_AREAS = "up42-pipelines:ordered_areas"
"""Field of the ItemCollection: the GeoJSON geometry of each order, by its id."""


def stac_items_asset(pipeline: Pipeline) -> dg.AssetsDefinition:
    """The asset that lists a partition's delivered STAC items in UP42's storage.

    The orders are read from UP42 (by their partition tag), not from the upstream value: a run that died after
    placing an order loses nothing. Its value is a STAC ItemCollection with UP42's hrefs; a delivery that UP42 did not
    make items of, in the time it is given, is an item made here, with the original archive, and stays that once it is
    in the lake. Before anything is delivered the asset skips: the run succeeds, downstream is skipped, and the sensor
    comes back later.
    """
    key = pipeline.key("stac_items")

    @dg.asset(
        **pipeline.options("stac_items"),
        deps=[pipeline.key("orders")],
        kinds={"up42", "stac"},
        output_required=False,
        check_specs=[
            check_spec(key, NO_ORDER_FAILED, "UP42 has given up no order of the partition.", pipeline.partitions)
        ],
        description=(
            "STAC items that UP42 has delivered for the partition's orders. Skips while UP42 is still working; the "
            "order status sensor launches it again when something arrives."
        ),
    )
    def stac_items(
        context: dg.AssetExecutionContext, up42: Up42Resource, lake: LakeResource
    ) -> Iterator[dg.MaterializeResult[pystac.ItemCollection] | dg.AssetCheckResult]:
        with explained(f"Reading the delivery for {context.partition_key}"):
            client, store = up42.client, lake.lake
            deliveries, items = [], []
            for order, _ in pipeline.orders_of(client, context.partition_key):
                delivery, of_order = _delivered(pipeline, client.storage, store, order)
                deliveries.append((order, delivery))
                items += of_order
            ordered = stored_items(store, pipeline.key("orders"), context.partition_key)
        for order, delivery in deliveries:
            context.log.info(f"order {order.id}: {delivery.state}. {delivery.reason}")
        failed = {order.id: delivery.reason for order, delivery in deliveries if delivery.state is DeliveryState.FAILED}
        yield dg.AssetCheckResult(
            asset_key=key, check_name=NO_ORDER_FAILED, passed=not failed, metadata={"failed_orders": failed}
        )
        if failed and len(failed) == len(deliveries) and not items:
            reasons = " ".join(f"Order {order_id}: {reason}" for order_id, reason in failed.items())
            raise dg.Failure(
                f"Nothing will be delivered for {context.partition_key}. {reasons} To buy again, materialize `orders` "
                "with a higher `generation` in its config.",
                metadata={"orders": _table(deliveries)},
            )
        if deliveries and not items:
            context.log.info("Waiting for UP42: skipped. The order status sensor continues when data arrives.")
            return
        if not deliveries and (ordered is None or len(ordered)):
            # Only a day on which nothing was to be ordered is complete without orders.
            context.log.warning("UP42 lists no order of this partition (yet): skipped. Materialize `orders` first.")
            return
        yield dg.MaterializeResult(
            value=pystac.ItemCollection(items, extra_fields={ORDERED_AREAS: _areas(deliveries)}),
            metadata=_metadata(pipeline, context.partition_key, deliveries, items),
            data_version=dg.DataVersion(digest(item.id for item in items)),
        )

    return stac_items


def _delivered(pipeline: Pipeline, storage: Storage, lake: Lake, order: Order) -> tuple[Delivery, list[pystac.Item]]:
    """How far an order is, and what there is to fetch: UP42's items, and ours for what it made none of."""
    assets, found = storage.assets.of_order(order.id), storage.items_of_order(order.id)
    delivery = delivery_of(
        order,
        assets,
        found,
        now=datetime.now(UTC),
        patience=pipeline.transformation_patience,
        unpacked={asset.id for asset in assets or () if read_item(lake, pipeline.collection, asset.id) is not None},
    )
    whole = order.is_fulfilled and len(assets or ()) == 1
    archives = [archive_item(order, asset, storage.assets.href(asset.id), whole=whole) for asset in delivery.archives]
    return delivery, [*delivery.items, *archives]


def _metadata(
    pipeline: Pipeline,
    partition_key: str,
    deliveries: list[tuple[Order, Delivery]],
    items: list[pystac.Item],
) -> dict[str, dg.MetadataValue]:
    complete = sum(delivery.state is DeliveryState.COMPLETE for _, delivery in deliveries)
    metadata: dict[str, dg.MetadataValue] = {}
    footprints = {item.id: shape(item.geometry) for item in items if item.geometry}
    if footprints:
        metadata["map"] = map_picture(pipeline.aoi(partition_key).geometry, footprints)
    metadata |= {
        "items": dg.MetadataValue.int(len(items)),
        "orders_complete": dg.MetadataValue.int(complete),
        "orders_open": dg.MetadataValue.int(
            sum(delivery.state in (DeliveryState.WAITING, DeliveryState.PARTIAL) for _, delivery in deliveries)
        ),
    }
    if deliveries:
        metadata["orders"] = _table(deliveries)
    clouds = [cover for item in items if (cover := item.properties.get("eo:cloud_cover")) is not None]
    if clouds:
        metadata["cloud_cover_percent"] = dg.MetadataValue.float(float(max(clouds)))
    return metadata


def _areas(deliveries: list[tuple[Order, Delivery]]) -> dict[str, Any]:
    """What each order was for, as far as UP42 tells."""
    areas = {order.id: (order.order_details or {}).get("aoi") for order, _ in deliveries}
    return {order_id: area for order_id, area in areas.items() if is_area(area)}


def _table(deliveries: list[tuple[Order, Delivery]]) -> dg.MetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "order": order.id,
                    "status": str(order.status),
                    "delivery": str(delivery.state),
                    "items": len(delivery.items),
                    "archives": len(delivery.archives),
                    "reason": delivery.reason,
                }
            )
            for order, delivery in deliveries[:100]
        ]
    )
