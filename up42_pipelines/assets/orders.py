"""`orders`: the chosen scenes, bought once. Returns as soon as the orders are placed."""

from collections.abc import Iterator

import dagster as dg
import pystac
from pydantic import Field
from shapely.geometry import mapping, shape

from up42_pipelines.api import OrderStatus
from up42_pipelines.assets.pipeline import Pipeline
from up42_pipelines.failures import explained
from up42_pipelines.ordering.placement import PlacedOrder, ensure_order
from up42_pipelines.ordering.plan import PlannedOrder, Purpose, plan_order
from up42_pipelines.ordering.selection import clip
from up42_pipelines.resources import Up42Resource

ORDER_EXTENSION = "https://stac-extensions.github.io/order/v1.1.0/schema.json"
_STAC_STATUS = {
    OrderStatus.FULFILLED: "succeeded",
    OrderStatus.FAILED: "failed",
    OrderStatus.FAILED_PERMANENTLY: "failed",
    OrderStatus.CANCELED: "canceled",
    OrderStatus.BEING_FULFILLED: "shipping",
    OrderStatus.DOWNLOADED: "shipping",
}


class OrdersConfig(dg.Config):
    """What a person may say when ordering."""

    generation: int = Field(
        default=1, ge=1, description="Raise it to buy the same scenes again for this partition, on purpose."
    )


def orders_asset(pipeline: Pipeline) -> dg.AssetsDefinition:
    """The asset that makes sure that each chosen scene is ordered, once per partition and generation.

    Safe to repeat: an order that exists is found by its tag and adopted. Its value is a STAC ItemCollection with
    one item per order (the scene, with the `order` extension).
    """

    @dg.asset(
        **pipeline.options("orders", **{"up42/spends": "credits"}),
        ins={"scenes": dg.AssetIn(key=pipeline.key("scenes"))},
        kinds={"up42"},
        description=(
            f"Orders of the chosen scenes, data product `{pipeline.data_product}`. Spends credits, once: repeating it "
            "adopts the orders that exist. Delivery is watched by the order status sensor."
        ),
    )
    def orders(
        context: dg.AssetExecutionContext, config: OrdersConfig, scenes: pystac.ItemCollection, up42: Up42Resource
    ) -> dg.MaterializeResult[pystac.ItemCollection]:
        with explained(f"Ordering for {context.partition_key}"):
            placed = []
            for item, planned in _plan(pipeline, context.partition_key, config, scenes, up42):
                one = ensure_order(up42.client.orders, planned, max_credits=pipeline.max_credits_per_order)
                verb = "adopted" if one.adopted else "placed"
                context.log.info(f"{verb} order {one.order.id} ({one.order.status}, {one.credits} credits)")
                placed.append((item, planned, one))
        return dg.MaterializeResult(
            value=pystac.ItemCollection([_order_item(*one) for one in placed]),
            metadata=_metadata([one for _, _, one in placed]),
            data_version=dg.DataVersion(",".join(sorted(one.order.id for _, _, one in placed)) or "none"),
        )

    return orders


def _plan(
    pipeline: Pipeline, partition_key: str, config: OrdersConfig, scenes: pystac.ItemCollection, up42: Up42Resource
) -> Iterator[tuple[pystac.Item, PlannedOrder]]:
    if not len(scenes):
        return
    client = up42.client
    product = client.catalog.collection(pipeline.collection).data_product(pipeline.data_product)
    form = client.catalog.order_form(str(product.id))
    aoi = pipeline.aoi(partition_key)
    purpose = Purpose(
        workspace_id=client.workspace_id,
        pipeline=pipeline.name,
        partition=partition_key,
        data_product=str(product.id),
        generation=config.generation,
    )
    for item in scenes:
        areas = clip(item.geometry, aoi.geometry) if form.is_clipped and item.geometry else None
        for planned in plan_order(purpose, item.id, areas, pipeline.params):
            form.check(planned.params)
            yield item, planned


def _order_item(scene: pystac.Item, planned: PlannedOrder, placed: PlacedOrder) -> pystac.Item:
    item = scene.clone()
    item.id = placed.order.id
    if planned.geometry is not None:
        item.geometry = mapping(planned.geometry)
        item.bbox = list(shape(item.geometry).bounds)
    item.stac_extensions.append(ORDER_EXTENSION)
    status = placed.order.status
    item.properties |= {
        "order:id": placed.order.id,
        "order:status": _STAC_STATUS.get(status, "ordered") if isinstance(status, OrderStatus) else "ordered",
        "up42-order:status": str(status),
        "up42:scene_id": scene.id,
        "up42:order_key": planned.key,
        "up42:credits": placed.credits,
    }
    if placed.order.created_at is not None:
        item.properties["order:date"] = placed.order.created_at.isoformat()
    return item


def _metadata(placed: list[PlacedOrder]) -> dict[str, dg.MetadataValue]:
    rows = [
        dg.TableRecord(
            {
                "order": one.order.id,
                "status": str(one.order.status),
                "credits": one.credits,
                "": "existed" if one.adopted else "placed now",
            }
        )
        for one in placed[:100]
    ]
    new = [one for one in placed if not one.adopted]
    metadata: dict[str, dg.MetadataValue] = {
        "orders": dg.MetadataValue.int(len(placed)),
        "orders_placed_now": dg.MetadataValue.int(len(new)),
        "credits": dg.MetadataValue.int(sum(one.credits for one in placed)),
        "credits_committed_now": dg.MetadataValue.int(sum(one.credits for one in new)),
    }
    return metadata | ({"table": dg.MetadataValue.table(rows)} if rows else {})
