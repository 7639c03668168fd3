"""`orders`: the chosen scenes, bought once. Returns as soon as the orders are placed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
import pystac
from pydantic import Field
from shapely.geometry import mapping, shape

from up42_pipelines.api import Order, OrderStatus, Up42Client
from up42_pipelines.assets.pipeline import Pipeline
from up42_pipelines.assets.planning import plan_orders, read_offer
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
from up42_pipelines.errors import OrderRefused
from up42_pipelines.failures import explained
from up42_pipelines.ordering.adoption import adopt_order, chosen_plan
from up42_pipelines.ordering.plan import PlannedOrder
from up42_pipelines.ordering.purchase import OrderPurchase
from up42_pipelines.purchasing.buying import Buyer
from up42_pipelines.purchasing.purchase import Bought
from up42_pipelines.resources import LakeResource, Up42Resource

ORDER_EXTENSION = "https://stac-extensions.github.io/order/v1.1.0/schema.json"
_MAX_ROWS = 100
_STAC_STATUS = {
    OrderStatus.FULFILLED: "succeeded",
    OrderStatus.FAILED: "failed",
    OrderStatus.FAILED_PERMANENTLY: "failed",
    OrderStatus.CANCELED: "canceled",
    OrderStatus.BEING_FULFILLED: "shipping",
    OrderStatus.DOWNLOADED: "shipping",
}


class OrdersConfig(BuyingConfig):
    """What a person may say when ordering."""

    adopt: list[str] = Field(
        default_factory=list,
        description="Ids of orders that somebody placed by hand for this partition, for instance in UP42's console. "
        "They are tagged and count as bought. Each must be one of those that would be placed: product, scene, area.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a planned order.

    Attributes:
        scene: what was to be bought.
        planned: the order.
        result: the order at UP42, or why nothing was bought.
    """

    scene: pystac.Item
    planned: PlannedOrder
    result: Bought[Order] | OrderRefused


def orders_asset(pipeline: Pipeline) -> dg.AssetsDefinition:
    """The asset that makes sure that each chosen scene is ordered, once per partition and generation.

    Safe to repeat: an order that exists is found and adopted. Its value is a STAC ItemCollection with one item per
    order (the scene, with the `order` extension).

    An order that is refused, by a ceiling or by UP42, does not keep the others from being placed; the run then fails
    and says what to do. It fails as well when an order merely waits for approval: a partition that looks complete
    would be passed over by "failed and missing" backfills and seen by nobody, and a failed one stays in sight until
    somebody acts. What was placed is delivered all the same, because `stac_items` reads the orders from UP42.
    """
    key = pipeline.key("orders")

    @dg.asset(
        **pipeline.options("orders", tags={"up42/spends": "credits"}),
        ins={"scenes": dg.AssetIn(key=pipeline.key("scenes"))},
        kinds={"up42"},
        check_specs=[spend_check_spec(key, pipeline.partitions)],
        description=(
            f"Orders of the chosen scenes, data product `{pipeline.data_product}`. Spends credits, once: repeating it "
            "adopts the orders that exist. Delivery is watched by the order status sensor."
        ),
    )
    def orders(
        context: dg.AssetExecutionContext,
        config: OrdersConfig,
        scenes: pystac.ItemCollection,
        up42: Up42Resource,
        lake: LakeResource,
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[pystac.ItemCollection]]:
        partition = context.partition_key
        run = context.run.root_run_id or context.run.run_id  # a retried run shares the ceiling of the run it retries
        with explained(f"Ordering for {partition}"):
            client = up42.client
            plan = _plan(pipeline, partition, config, scenes, client)
            buyer = pipeline.buyer(client, lake.lake, run=run, tell=context.log.info)
            wanted = [planned for _, planned in plan]
            for order_id in config.adopt:
                _adopt(context.log, client, buyer, wanted, order_id)
            approve(buyer.book, (planned.key for planned in wanted), config)
            outcomes = [_outcome(context.log, client, buyer, scene, planned) for scene, planned in plan]
            committed = committed_in(buyer.ledger.sheet(), run=run, partition=partition)
        refusals = [one.result for one in outcomes if isinstance(one.result, OrderRefused)]
        yield spend_check(key, committed, pipeline.ceilings, refusals)
        metadata = _metadata(outcomes) | spend_metadata(committed, pipeline.ceilings)
        if refusals:
            raise dg.Failure(
                _refused(pipeline, partition, config.generation, outcomes), metadata=metadata, allow_retries=False
            )
        placed = [(one, one.result) for one in outcomes if isinstance(one.result, Bought)]
        yield dg.MaterializeResult(
            value=pystac.ItemCollection([_order_item(one.scene, one.planned, bought) for one, bought in placed]),
            metadata=metadata,
            data_version=data_version(bought.id for _, bought in placed),
        )

    return orders


def _plan(
    pipeline: Pipeline, partition_key: str, config: OrdersConfig, scenes: pystac.ItemCollection, client: Up42Client
) -> list[tuple[pystac.Item, PlannedOrder]]:
    if not len(scenes):
        return []
    offer = read_offer(pipeline, client)
    return plan_orders(pipeline, offer, client.workspace_id, partition_key, scenes, generation=config.generation)


def _adopt(
    log: dg.DagsterLogManager, client: Up42Client, buyer: Buyer, wanted: Sequence[PlannedOrder], order_id: str
) -> None:
    order = client.orders.get(order_id)
    planned = chosen_plan(order, wanted)
    adopt_order(order, planned, buyer=buyer, orders=client.orders, account=client.account)
    log.info(f"{planned.scene_id}: adopted order {order_id}")


def _outcome(
    log: dg.DagsterLogManager, client: Up42Client, buyer: Buyer, scene: pystac.Item, planned: PlannedOrder
) -> Outcome:
    try:
        bought = buyer.buy(OrderPurchase(planned, client.orders, client.account))
    except OrderRefused as refusal:
        log.error(f"{scene.id}: {refusal}")
        return Outcome(scene=scene, planned=planned, result=refusal)
    log.info(f"{scene.id}: order {bought.id} {what_was_done(bought)}, {bought.credits} credits")
    if bought.others:
        log.warning(f"{scene.id}: order {bought.id} was {bought_twice(bought)}")
    return Outcome(scene=scene, planned=planned, result=bought)


def _refused(pipeline: Pipeline, partition: str, generation: int, outcomes: Sequence[Outcome]) -> str:
    """What a person reads whose run failed because of refusals."""
    refused = [(one.scene.id, one.result) for one in outcomes if isinstance(one.result, OrderRefused)]
    said = [f"Ordering for {partition}: {len(refused)} of {len(outcomes)} orders were not placed."]
    said += [f"- {scene_id}: {refusal}" for scene_id, refusal in refused]
    refusals = (refusal for _, refusal in refused)
    said += remedies(refusals, approve_job=pipeline.approve_job, partition=partition, generation=generation)
    if len(refused) < len(outcomes):
        said.append("The other orders exist and are delivered all the same.")
    said.append("Then run the partition again: it buys what is missing, and nothing twice.")
    return "\n".join(said)


def _order_item(scene: pystac.Item, planned: PlannedOrder, bought: Bought[Order]) -> pystac.Item:
    item = scene.clone()
    item.id = bought.id
    if planned.geometry is not None:
        item.geometry = mapping(planned.geometry)
        item.bbox = list(shape(item.geometry).bounds)
    item.stac_extensions.append(ORDER_EXTENSION)
    status = _status(bought)
    item.properties |= {
        "order:id": bought.id,
        "order:status": _STAC_STATUS.get(status, "ordered") if isinstance(status, OrderStatus) else "ordered",
        "up42-order:status": str(status),
        "up42:scene_id": scene.id,
        "up42:order_key": planned.key,
        "up42:credits": bought.credits,
    }
    if bought.record is not None and bought.record.created_at is not None:
        item.properties["order:date"] = bought.record.created_at.isoformat()
    return item


def _metadata(outcomes: Sequence[Outcome]) -> dict[str, dg.MetadataValue]:
    bought = [one.result for one in outcomes if isinstance(one.result, Bought)]
    new = [one for one in bought if not one.adopted]
    metadata: dict[str, dg.MetadataValue] = {
        "orders": dg.MetadataValue.int(len(bought)),
        "orders_placed_now": dg.MetadataValue.int(len(new)),
        "orders_refused": dg.MetadataValue.int(len(outcomes) - len(bought)),
        "credits": dg.MetadataValue.int(sum(one.credits for one in bought)),
        "credits_committed_now": dg.MetadataValue.int(sum(one.credits for one in new)),
    }
    refused_first = sorted(outcomes, key=lambda one: isinstance(one.result, Bought))
    rows = [dg.TableRecord(_row(one)) for one in refused_first[:_MAX_ROWS]]
    return metadata | ({"table": dg.MetadataValue.table(rows)} if rows else {})


def _row(outcome: Outcome) -> dict[str, str | int]:
    match outcome.result:
        case Bought() as bought:
            told = {"order": bought.id, "status": str(_status(bought)), **bought_row(bought)}
        case refusal:
            told = {"order": "", "status": "", **refused_row(refusal)}
    return {"scene": outcome.scene.id, **told, "key": outcome.planned.key}


def _status(bought: Bought[Order]) -> OrderStatus | str:
    return OrderStatus.CREATED if bought.record is None else bought.record.status
