"""The order status sensor: reads what changed at UP42 and asks for the runs that fetch it."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from up42_pipelines.api import Order, OrderSort, Up42Client
from up42_pipelines.assets.pipeline import Pipeline
from up42_pipelines.ordering.delivery import Delivery, DeliveryState, delivery_of
from up42_pipelines.ordering.keys import OrderTags, pipeline_tag
from up42_pipelines.ordering.watching import WatchCursor, changed_at
from up42_pipelines.resources import Up42Resource
from up42_pipelines.sensors.ticks import (
    MAX_EVENTS,
    MAX_RUN_REQUESTS,
    READING_BUDGET_S,
    TICK_BUDGET_S,
    busy_partitions,
    run_key,
)

FORGET_AFTER = timedelta(days=7)
"""An order that has not changed for so long is not looked at any more: what has not come by then needs a person."""

_FINAL = (DeliveryState.COMPLETE, DeliveryState.FAILED)


def order_status_sensor(pipeline: Pipeline, *, interval_s: int = 60) -> dg.SensorDefinition:
    """The sensor that watches all orders of a pipeline and runs `<name>_deliver` where there is something to fetch.

    Per tick it lists the orders that changed since the last one, newest first until a known instant; each change
    becomes an observation on `orders`. Orders that are delivering are looked at until their STAC items are there;
    each time there is something new to fetch (or nothing more to expect) one run per partition is requested.
    It starts running by itself, because it only reads.

    Args:
        pipeline: whose orders.
        interval_s: seconds between ticks.
    """

    @dg.sensor(
        name=f"{pipeline.name}_order_status_sensor",
        job_name=pipeline.deliver_job,
        minimum_interval_seconds=interval_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Watches the orders of pipeline {pipeline.name} and fetches what UP42 delivers.",
    )
    def sensor(context: dg.SensorEvaluationContext, up42: Up42Resource) -> dg.SensorResult:
        cursor = WatchCursor.parse(context.cursor)
        busy = busy_partitions(context.instance, {pipeline.ingest_job, pipeline.deliver_job, pipeline.approve_job})
        client = up42.hasty_client()
        try:
            pause = timedelta(seconds=interval_s)
            return _Tick(pipeline, client, cursor, busy=busy, pause=pause, warn=context.log.warning).run()
        finally:
            client.transport.close()

    return sensor


class _Tick:
    """One evaluation: gathers events and run requests within the budgets, and the cursor for the next one."""

    def __init__(
        self,
        pipeline: Pipeline,
        client: Up42Client,
        cursor: WatchCursor,
        *,
        busy: frozenset[str],
        pause: timedelta,
        warn: Callable[[str], None],
    ) -> None:
        self._pipeline, self._client, self._cursor = pipeline, client, cursor
        self._busy, self._pause, self._warn = busy, pause, warn
        self._began = time.monotonic()
        self._events: list[dg.AssetObservation] = []
        self._wanted: dict[str, set[str]] = defaultdict(set)  # partition -> what is new there, for the run key

    def run(self) -> dg.SensorResult:
        listed = self._client.orders.list(tags=[pipeline_tag(self._pipeline.name)], sort=OrderSort.updated_at.desc)
        changes = self._cursor.changes(self._in_time(listed))
        for order in changes[:MAX_EVENTS]:
            self._note(order)
        looked = 0
        for one in self._cursor.due(datetime.now(UTC)):
            if len(self._wanted) >= MAX_RUN_REQUESTS or time.monotonic() - self._began > TICK_BUDGET_S:
                break
            if self._partition(one.order) in self._busy:
                continue
            delivery = self._look(one.order)
            looked += 1
            anything = delivery.items or delivery.archives or delivery.state in _FINAL
            if anything and delivery.fingerprint != one.fingerprint:
                self._want(one.order, delivery)
            now = datetime.now(UTC)
            final = delivery.state in _FINAL or now - changed_at(one.order) > FORGET_AFTER
            self._cursor = self._cursor.looked(
                one, fingerprint=delivery.fingerprint, final=final, now=now, pause=self._pause
            )
        requests = [self._request(partition, news) for partition, news in self._wanted.items()]
        waiting = len(self._cursor.awaited)
        reason = f"{len(changes)} order(s) changed, {looked} looked at, {waiting} still awaited"
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(reason),
            cursor=self._cursor.model_dump_json(exclude_defaults=True),
            asset_events=self._events,
        )

    def _in_time(self, newest_first: Iterable[Order]) -> Iterator[Order]:
        """As many as there is time for: a tick that reads on for ever would never be finished."""
        for order in newest_first:
            if time.monotonic() - self._began > READING_BUDGET_S:
                self._warn(
                    f"There are too many changed orders to read: {self._pipeline.name} is not told of those that have "
                    f"not changed after {changed_at(order)}. Launch {self._pipeline.deliver_job} for their partitions."
                )
                return
            yield order

    def _note(self, order: Order) -> None:
        partition = self._partition(order)
        if partition is None:
            # Still handled, or the tick would meet it for ever; not awaited, because no run could take it.
            ignored = order.model_copy(update={"status": "IGNORED"})
            self._cursor = self._cursor.handled(ignored)
            return
        self._cursor = self._cursor.handled(order)
        key = self._pipeline.key("orders")
        metadata = {"order": order.id, "status": str(order.status)}
        self._events.append(dg.AssetObservation(key, partition=partition, metadata=metadata))

    def _look(self, order: Order) -> Delivery:
        storage = self._client.storage
        items = storage.items_of_order(order.id)
        assets = storage.assets.of_order(order.id) if order.is_final else []
        patience = self._pipeline.transformation_patience
        return delivery_of(order, assets, items, now=datetime.now(UTC), patience=patience)

    def _want(self, order: Order, delivery: Delivery) -> None:
        partition = self._partition(order)
        if partition is not None:
            self._wanted[partition].add(f"{order.id}:{delivery.state}:{delivery.fingerprint}")

    def _request(self, partition: str, news: set[str]) -> dg.RunRequest:
        return dg.RunRequest(
            run_key=run_key(news),
            partition_key=partition,
            tags={"up42/pipeline": self._pipeline.name, "up42/orders": str(len(news))},
        )

    def _partition(self, order: Order) -> str | None:
        tags = OrderTags.read(order.tags)
        if tags is None or tags.pipeline != self._pipeline.name:
            return None
        return tags.partition if self._pipeline.partitions.has_partition_key(tags.partition) else None
