"""Where each partition of the demo stands, read from Dagster, UP42 and the lake."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

import dagster as dg
import pystac

from up42_pipelines.api import Order, OrderSort, Up42Client
from up42_pipelines.lake import Lake, read_item
from up42_pipelines.lake.stac.catalog import read_withheld
from up42_pipelines.ordering.delivery import Delivery, DeliveryState, delivery_of
from up42_pipelines.ordering.keys import OrderTags, pipeline_tag
from up42_pipelines.partitions import PARTITION_TAG
from up42_pipelines.sensors import ACTIVE


class State(StrEnum):
    """How far a partition is."""

    QUEUED = "queued"
    ORDERING = "ordering"
    WAITING = "waiting for UP42"
    LANDING = "landing"
    DELIVERED = "delivered"
    EMPTY = "no scenes"
    ORDER_FAILED = "order failed at UP42"
    FAILED = "failed"

    @property
    def is_settled(self) -> bool:
        """True when nothing more will happen."""
        return self in (State.DELIVERED, State.EMPTY, State.ORDER_FAILED, State.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One partition.

    Attributes:
        key: partition key.
        state: how far it is.
        detail: order statuses, or the error.
        orders: its orders at UP42.
        credits: their price together; an order that failed costs nothing.
        items: its items in the lake.
        seconds: since the first run was launched; None before.
    """

    key: str
    state: State
    detail: str = ""
    orders: Sequence[Order] = ()
    credits: int = 0
    items: Sequence[pystac.Item] = field(default=(), repr=False)
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The Dagster runs of one partition, newest first."""

    records: Sequence[dg.RunRecord]

    @property
    def active(self) -> bool:
        """True while one is queued or running."""
        return any(record.dagster_run.status in ACTIVE for record in self.records)

    @property
    def failure(self) -> bool:
        """True when the newest one failed."""
        return bool(self.records) and self.records[0].dagster_run.status == dg.DagsterRunStatus.FAILURE


def judge(
    key: str,
    runs: Runs,
    orders: Sequence[tuple[Order, int, Delivery]],
    landed: Mapping[str, pystac.Item],
    *,
    withheld: Collection[str] = (),
    error: str,
) -> tuple[State, str]:
    """The state of a partition and a line about it. Pure.

    Args:
        key: partition key.
        runs: its runs.
        orders: its orders with price and delivery.
        landed: items of these orders in the lake, by id.
        withheld: ids of those that failed a check there.
        error: why the newest run failed, when it did.
    """
    counted = Counter(str(order.status) for order, _, _ in orders)
    statuses = ", ".join(status if count == 1 else f"{count} {status}" for status, count in counted.most_common())
    if not runs.records:
        return State.QUEUED, ""
    if not orders:
        if runs.active:
            return State.ORDERING, ""
        return (State.FAILED, error) if runs.failure else (State.EMPTY, f"nothing found for {key}")
    arrived = {item_id for _, _, delivery in orders for item_id in _ids(delivery)}
    fetched = arrived <= landed.keys() | set(withheld) and bool(landed or not arrived)
    final = all(delivery.state in (DeliveryState.COMPLETE, DeliveryState.FAILED) for _, _, delivery in orders)
    if final and fetched and not runs.active:
        failed = [order for order, _, delivery in orders if delivery.state is DeliveryState.FAILED]
        return (State.ORDER_FAILED, statuses) if failed else (State.DELIVERED, statuses)
    if runs.failure and not runs.active:
        return State.FAILED, error
    return (State.LANDING if final or (arrived and not fetched) else State.WAITING), statuses


def _ids(delivery: Delivery) -> list[str]:
    """Ids that the items of a delivery have in the lake; what UP42 made no items of has the archive's."""
    return [*(item.id for item in delivery.items), *(asset.id for asset in delivery.archives)]


class Observer:
    """Reads the standing of all partitions; asks UP42 for deliveries of orders that changed only."""

    def __init__(
        self, instance: dg.DagsterInstance, client: Up42Client, lake: Lake, *, pipeline: str, collection: str
    ) -> None:
        self._instance, self._client, self._lake = instance, client, lake
        self._pipeline, self._collection = pipeline, collection
        self._jobs = {f"{pipeline}_ingest", f"{pipeline}_deliver"}
        self._complete: dict[str, Delivery] = {}
        self._items: dict[str, pystac.Item] = {}

    def look(self, keys: Sequence[str]) -> list[Standing]:
        """The standing of each partition, in the order given."""
        runs = defaultdict(list)
        for record in self._instance.get_run_records():
            if record.dagster_run.job_name in self._jobs:
                runs[record.dagster_run.tags.get(PARTITION_TAG, "")].append(record)
        orders: dict[str, list[tuple[Order, int, Delivery]]] = defaultdict(list)
        for order in self._client.orders.list(tags=[pipeline_tag(self._pipeline)], sort=OrderSort.created_at.asc):
            tags = OrderTags.read(order.tags)
            if tags is not None and tags.partition in keys:
                orders[tags.partition].append((order, tags.credits, self._delivery(order)))
        return [self._standing(key, Runs(records=runs[key]), orders[key]) for key in keys]

    def _standing(self, key: str, runs: Runs, orders: Sequence[tuple[Order, int, Delivery]]) -> Standing:
        landed, withheld = {}, set()
        for item_id in (item_id for _, _, delivery in orders for item_id in _ids(delivery)):
            found = self._landed(item_id)
            if found is not None:
                landed[item_id] = found
            elif read_withheld(self._lake, self._collection, item_id) is not None:
                withheld.add(item_id)
        error = error_of(self._instance, runs)
        state, detail = judge(key, runs, orders, landed, withheld=withheld, error=error)
        seconds = None
        if runs.records:
            first, last = runs.records[-1], runs.records[0]
            ended = last.end_time or last.update_timestamp.timestamp()
            seconds = ended - first.create_timestamp.timestamp()
        return Standing(
            key=key,
            state=state,
            detail=detail,
            orders=[order for order, _, _ in orders],
            credits=sum(price for order, price, _ in orders if not order.is_failed),
            items=list(landed.values()),
            seconds=seconds,
        )

    def _delivery(self, order: Order) -> Delivery:
        known = self._complete.get(order.id)
        if known is not None:
            return known
        storage = self._client.storage
        assets = storage.assets.of_order(order.id) if order.is_final else []
        delivery = delivery_of(order, assets, storage.items_of_order(order.id), now=datetime.now(UTC))
        if delivery.state in (DeliveryState.COMPLETE, DeliveryState.FAILED):
            self._complete[order.id] = delivery
        return delivery

    def _landed(self, item_id: str) -> pystac.Item | None:
        if item_id not in self._items:
            item = read_item(self._lake, self._collection, item_id)
            if item is None:
                return None
            self._items[item_id] = item
        return self._items[item_id]


def error_of(instance: dg.DagsterInstance, runs: Runs) -> str:
    """Why the newest run failed, as a person reads it; empty when it did not."""
    if not runs.failure:
        return ""
    run_id = runs.records[0].dagster_run.run_id
    for entry in reversed(instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)):
        data = entry.get_dagster_event().step_failure_data
        told = data.user_failure_data.description if data.user_failure_data else None
        if told:
            return str(told)
        if data.error is not None:
            return str((data.error.cause or data.error).message).strip()
    return "the run failed; see its log"
