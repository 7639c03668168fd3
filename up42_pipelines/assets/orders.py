"""`orders`: the chosen scenes, bought once. Returns as soon as the orders are placed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
import pystac
from pydantic import Field
from shapely.geometry import mapping, shape

from up42_pipelines.api import Order, OrderStatus, Up42Client
from up42_pipelines.assets.pipeline import Pipeline
from up42_pipelines.assets.planning import plan_orders, read_offer
from up42_pipelines.assets.spend import SPEND_WITHIN_CEILINGS, spend_check, spend_metadata
from up42_pipelines.errors import ApprovalRequired, BudgetExceeded, ConfigurationError, OrderRefused
from up42_pipelines.failures import explained
from up42_pipelines.ordering.adoption import adopt_order, chosen_plan
from up42_pipelines.ordering.plan import PlannedOrder
from up42_pipelines.ordering.purchase import OrderPurchase
from up42_pipelines.purchasing.budget import CeilingName, Sheet, month_of
from up42_pipelines.purchasing.buying import Buyer
from up42_pipelines.purchasing.intents import IntentBook, State
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


class OrdersConfig(dg.Config):
    """What a person may say when ordering."""

    generation: int = Field(
        default=1, ge=1, description="Raise it to buy the same scenes again for this partition, on purpose."
    )
    adopt: list[str] = Field(
        default_factory=list,
        description="Ids of orders that somebody placed by hand for this partition, for instance in UP42's console. "
        "They are tagged and count as bought. Each must be one of those that would be placed: product, scene, area.",
    )
    approve_up_to: float | None = Field(
        default=None,
        ge=0,
        description="Approve what waits for approval in this partition: each order that was estimated at no more than "
        "so many credits. One whose price has changed since waits again.",
    )
    approved_by: str = Field(default="", description="Who approves; goes into the record of each order.")


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
        check_specs=[
            dg.AssetCheckSpec(
                SPEND_WITHIN_CEILINGS, asset=key, description="No ceiling refused an order, and none is exceeded."
            )
        ],
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
            _approve(buyer.book, wanted, config)
            outcomes = [_outcome(context.log, client, buyer, scene, planned) for scene, planned in plan]
            committed = _committed(buyer.ledger.sheet(), run=run, partition=partition)
        refusals = [one.result for one in outcomes if isinstance(one.result, OrderRefused)]
        yield spend_check(key, committed, pipeline.ceilings, refusals)
        metadata = _metadata(outcomes) | spend_metadata(committed, pipeline.ceilings)
        if refusals:
            raise dg.Failure(_refused(pipeline, partition, outcomes), metadata=metadata, allow_retries=False)
        placed = [(one, one.result) for one in outcomes if isinstance(one.result, Bought)]
        yield dg.MaterializeResult(
            value=pystac.ItemCollection([_order_item(one.scene, one.planned, bought) for one, bought in placed]),
            metadata=metadata,
            data_version=dg.DataVersion(",".join(sorted(bought.id for _, bought in placed)) or "none"),
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


def _approve(book: IntentBook, plan: Sequence[PlannedOrder], config: OrdersConfig) -> None:
    if config.approve_up_to is None:
        return
    if not config.approved_by.strip():
        raise ConfigurationError("approve_up_to is given and approved_by is empty: say who approves.")
    for planned in plan:
        _, intent = book.read(planned.key)
        if intent is None or intent.state != State.WAITING or intent.credits is None:
            continue
        if intent.credits <= config.approve_up_to:
            # The price that was seen, not the limit: the tolerance is meant around what a person knows.
            book.approve(planned.key, credits=intent.credits, by=config.approved_by, at=datetime.now(UTC))


def _outcome(
    log: dg.DagsterLogManager, client: Up42Client, buyer: Buyer, scene: pystac.Item, planned: PlannedOrder
) -> Outcome:
    try:
        bought = buyer.buy(OrderPurchase(planned, client.orders, client.account))
    except OrderRefused as refusal:
        log.error(f"{scene.id}: {refusal}")
        return Outcome(scene=scene, planned=planned, result=refusal)
    log.info(f"{scene.id}: order {bought.id} {_what(bought)}, {bought.credits} credits")
    if bought.others:
        log.warning(f"{scene.id}: order {bought.id} was {_twice(bought)}")
    return Outcome(scene=scene, planned=planned, result=bought)


def _committed(sheet: Sheet, *, run: str, partition: str) -> dict[CeilingName, int]:
    return {
        "run": sheet.committed(run=run),
        "partition": sheet.committed(partition=partition),
        "month": sheet.committed(month=month_of(datetime.now(UTC))),
        "pipeline": sheet.committed(),
    }


def _refused(pipeline: Pipeline, partition: str, outcomes: Sequence[Outcome]) -> str:
    """What a person reads whose run failed because of refusals."""
    refused = [(one.scene.id, one.result) for one in outcomes if isinstance(one.result, OrderRefused)]
    refusals = [refusal for _, refusal in refused]
    said = [f"Ordering for {partition}: {len(refused)} of {len(outcomes)} orders were not placed."]
    said += [f"- {scene_id}: {refusal}" for scene_id, refusal in refused]
    if any(isinstance(refusal, ApprovalRequired) for refusal in refusals):
        said.append(f"To approve, launch {pipeline.approve_job} for {partition} with approve_up_to and approved_by.")
    if any(isinstance(refusal, BudgetExceeded) and refusal.ceiling == "run" for refusal in refusals):
        said.append("A re-execution of this run counts as the same run: launch a new one instead.")
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
            told: dict[str, str | int] = {
                "order": bought.id,
                "status": str(_status(bought)),
                "credits": bought.credits,
                "what": _what(bought),
                "reason": _twice(bought) if bought.others else "",
            }
        case refusal:
            told = {
                "order": "",
                "status": "",
                "credits": _price(refusal),
                "what": "waits for approval" if isinstance(refusal, ApprovalRequired) else "refused",
                "reason": str(refusal),
            }
    return {"scene": outcome.scene.id, **told, "key": outcome.planned.key}


def _price(refusal: OrderRefused) -> int | str:
    match refusal:
        case ApprovalRequired(credits=credits):
            return credits
        case BudgetExceeded(asked=int(asked)):
            return asked
    return "unknown"


def _what(bought: Bought[Order]) -> str:
    return "existed" if bought.adopted else "placed now"


def _twice(bought: Bought[Order]) -> str:
    return f"bought several times: {', '.join(bought.others)} has the same key. Cancel it while UP42 allows that."


def _status(bought: Bought[Order]) -> OrderStatus | str:
    return OrderStatus.CREATED if bought.record is None else bought.record.status
