"""The job `<pipeline>_dry_run`: what a range of partitions would buy, and for how much. Spends nothing."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

import dagster as dg
import pystac
from pydantic import Field
from shapely.geometry import mapping

from up42_pipelines.api import Up42Client
from up42_pipelines.assets.pipeline import Pipeline
from up42_pipelines.assets.planning import Offer, find_scenes, plan_orders, read_offer
from up42_pipelines.errors import Unreachable, Up42Error, WrongCredentials
from up42_pipelines.failures import explained
from up42_pipelines.ordering.dry_run import (
    OrderForecast,
    PartitionForecast,
    above_ceiling,
    area_to_deliver_km2,
    expected_bytes,
    resolution_m,
    total,
)
from up42_pipelines.ordering.plan import PlannedOrder
from up42_pipelines.ordering.purchase import OrderPurchase
from up42_pipelines.partitions import partitions_in
from up42_pipelines.resources import Up42Resource

DRY_RUN_TAG = "up42/dry_run"
"""Tag of the job; its value is the pipeline's name."""

PROGRESS = "dry_run_progress"
"""Attribute of the op's log records: how many partitions are done, of how many, and the one just done."""

EXPECTED_BYTES = "expected bytes, uncompressed"
_AT_ONCE = 4
_HOPELESS = (Unreachable, WrongCredentials)
"""What no other partition would be spared."""


class DryRunConfig(dg.Config):
    """Which partitions a dry run looks at."""

    partitions: str = Field(
        description="2026-06-01..2026-06-10 for all AOIs, berlin|2026-06-01..berlin|2026-06-10 for one; or one day "
        "or partition key alone."
    )


def dry_run_job(pipeline: Pipeline, up42: Up42Resource) -> dg.JobDefinition:
    """The job that says per partition and in total what `scenes` and `orders` would find, order and pay.

    It searches and asks for prices as the assets do, with the same code, and materializes nothing. A partition that
    fails is told with its reason, and the others go on. Its op gives a list of `PartitionForecast`.

    Args:
        pipeline: whose partitions.
        up42: the account that would buy.
    """

    @dg.op(
        name=op_name(pipeline.name),
        out=dg.Out(list, description="A PartitionForecast for each partition."),
        description="Search, plan, look up what is ordered already, and ask for the price of the rest. Free.",
    )
    def forecast(
        context: dg.OpExecutionContext, config: DryRunConfig, up42: Up42Resource
    ) -> dg.Output[list[PartitionForecast]]:
        forecasts = []
        with explained(f"Dry run of {config.partitions}"):
            keys = partitions_in(pipeline.partitions, config.partitions)
            for number, one in enumerate(forecast_partitions(pipeline, up42.client, keys), start=1):
                log = context.log.warning if one.problems else context.log.info
                done = {PROGRESS: (number, len(keys), one.partition)}
                log(f"{number} of {len(keys)}: {_sentence(one)}", extra=done)
                forecasts.append(one)
        return dg.Output(forecasts, metadata=_metadata(forecasts))

    @dg.job(
        name=pipeline.dry_run_job,
        tags={DRY_RUN_TAG: pipeline.name},
        # Nobody loads the output, and the code location's own io_manager may not be able to keep it.
        resource_defs={"up42": up42, "io_manager": dg.mem_io_manager},
        executor_def=dg.in_process_executor,
        description="What a range of partitions would buy, and for how much. Spends nothing.",
    )
    def dry_run() -> None:
        forecast()

    return dry_run


def op_name(pipeline_name: str) -> str:
    """Name of the job's op, whose output the forecasts are. Ops and jobs of a code location must not share a name."""
    return f"{pipeline_name}_forecast"


def dry_run_config(pipeline_name: str, partitions: str) -> dg.RunConfig:
    """The run config of a pipeline's dry run over a range of partitions, written as in `DryRunConfig`."""
    return dg.RunConfig(ops={op_name(pipeline_name): DryRunConfig(partitions=partitions)})


def forecast_partitions(
    pipeline: Pipeline, client: Up42Client, partition_keys: Sequence[str]
) -> Iterator[PartitionForecast]:
    """Tell what partitions would buy, in their order, as each becomes known; a few are asked for at once.

    Args:
        pipeline: whose partitions.
        client: whom to ask.
        partition_keys: which.

    Raises:
        NotFound: UP42 has no such collection, or it has no such data product.
        Unreachable: UP42 cannot be reached (any more).
        WrongCredentials: it takes no calls of this account.
    """
    offer = read_offer(pipeline, client)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(lambda key: _forecast(pipeline, client, offer, key), partition_keys)


def _forecast(pipeline: Pipeline, client: Up42Client, offer: Offer, partition_key: str) -> PartitionForecast:
    known = PartitionForecast(partition=partition_key)
    try:
        window = pipeline.partitions.time_window_for_partition_key(partition_key)
        findings = find_scenes(pipeline, client, offer.collection.host, partition_key, window)
        known = replace(known, scenes_found=len(findings.found), scenes_chosen=len(findings.selection.chosen))
        plan = plan_orders(pipeline, offer, client.workspace_id, partition_key, findings.items)
        existing = {tags.key for _, tags in pipeline.orders_of(client, partition_key)} if plan else set()
        orders = tuple(_order(pipeline, client, offer, item, planned, existing) for item, planned in plan)
        return replace(known, orders=orders)
    except _HOPELESS:
        raise
    except Up42Error as error:
        return replace(known, problem=str(error))


def _order(
    pipeline: Pipeline,
    client: Up42Client,
    offer: Offer,
    scene: pystac.Item,
    planned: PlannedOrder,
    existing: set[str],
) -> OrderForecast:
    if planned.key in existing:
        return OrderForecast(scene_id=scene.id, exists=True)
    try:
        credits = OrderPurchase(planned, client.orders, client.account).price()
    except _HOPELESS:
        raise
    except Up42Error as error:
        return OrderForecast(scene_id=scene.id, problem=str(error))
    area = scene.geometry or {} if planned.geometry is None else mapping(planned.geometry)
    size = expected_bytes(area_to_deliver_km2(area), resolution_m(scene, offer.collection), pipeline.bytes_per_pixel)
    refused = above_ceiling(credits, pipeline.ceilings.order)
    return OrderForecast(
        scene_id=scene.id,
        credits=credits,
        expected_bytes=size,
        problem=None if refused is None else f"Scene {scene.id} {refused}. Raise the ceiling.",
    )


def _sentence(one: PartitionForecast) -> str:
    if one.scenes_found is None:
        return f"{one.partition}: {' '.join(one.problems)}"
    told = (
        f"{one.partition}: {one.scenes_found} scenes found, {one.scenes_chosen} chosen, {len(one.orders)} orders "
        f"({one.existing} exist), {one.credits} credits"
    )
    return " ".join([f"{told}.", *one.problems]) if one.problems else told


def _metadata(forecasts: Sequence[PartitionForecast]) -> dict[str, dg.MetadataValue]:
    totals = {name.replace("_", " "): value for name, value in asdict(total(forecasts)).items()}
    totals[EXPECTED_BYTES] = totals.pop("expected bytes")
    return {
        **{name: dg.MetadataValue.int(value) for name, value in totals.items() if value is not None},
        "per partition": dg.MetadataValue.table([dg.TableRecord(_row(one)) for one in forecasts]),
    }


def _row(one: PartitionForecast) -> dict[str, Any]:
    return {
        "partition": one.partition,
        "scenes found": _told(one.scenes_found),
        "scenes chosen": _told(one.scenes_chosen),
        "orders": len(one.orders),
        "existing": one.existing,
        "credits": one.credits,
        EXPECTED_BYTES: _told(one.expected_bytes),
        "problem": " ".join(one.problems),
    }


def _told(value: int | None) -> int | str:
    return "unknown" if value is None else value
