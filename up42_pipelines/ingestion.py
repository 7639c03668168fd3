"""A whole ingestion pipeline in one call: assets, jobs, schedule, sensor."""

from __future__ import annotations

import dagster as dg

from up42_pipelines.assets import Pipeline, cogs_asset, orders_asset, scenes_asset, stac_items_asset
from up42_pipelines.io_managers import StacIOManager
from up42_pipelines.resources import LakeResource, Up42Resource
from up42_pipelines.sensors import order_status_sensor


def build_ingestion(
    pipeline: Pipeline,
    *,
    up42: Up42Resource,
    lake: LakeResource,
    sensor_interval_s: int = 60,
    schedule_hour: int = 6,
) -> dg.Definitions:
    """Definitions of `scenes -> orders -> stac_items -> cogs`, ready to merge into a code location.

    Besides the assets there are the job `<name>_ingest` (the whole chain, for schedule and backfills), the job
    `<name>_deliver` (what the sensor runs), the daily schedule `<name>_daily` (stopped at first: it spends) and the
    sensor `<name>_order_status_sensor` (running at first: it only reads).

    Args:
        pipeline: what to look for and where.
        up42: the account.
        lake: where deliveries land.
        sensor_interval_s: seconds between two looks at UP42.
        schedule_hour: hour of the day (UTC) at which yesterday's partitions are ingested.
    """
    ingest = dg.define_asset_job(
        pipeline.ingest_job,
        selection=dg.AssetSelection.assets(
            *(pipeline.key(name) for name in ("scenes", "orders", "stac_items", "cogs"))
        ),
        description="Search, order, and fetch what is there. Before delivery the last two assets skip.",
    )
    deliver = dg.define_asset_job(
        pipeline.deliver_job,
        selection=dg.AssetSelection.assets(*(pipeline.key(name) for name in ("stac_items", "cogs"))),
        description="Fetch what UP42 has delivered. Launched by the order status sensor.",
    )
    daily = dg.build_schedule_from_partitioned_job(
        ingest,
        name=f"{pipeline.name}_daily",
        hour_of_day=schedule_hour,
        description="Ingests the day before, for every AOI. Spends credits.",
    )
    return dg.Definitions(
        assets=[scenes_asset(pipeline), orders_asset(pipeline), stac_items_asset(pipeline), cogs_asset(pipeline)],
        jobs=[ingest, deliver],
        schedules=[daily],
        sensors=[order_status_sensor(pipeline, interval_s=sensor_interval_s)],
        resources={"up42": up42, "lake": lake, "stac_io_manager": StacIOManager(lake=lake)},
        executor=dg.in_process_executor,
    )
