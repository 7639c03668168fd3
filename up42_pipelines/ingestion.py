"""A whole ingestion pipeline in one call: assets, jobs, schedule, sensor."""

from __future__ import annotations

import dagster as dg

from up42_pipelines.assets import (
    Pipeline,
    cogs_asset,
    orders_asset,
    orders_audit_asset,
    scenes_asset,
    stac_items_asset,
)
from up42_pipelines.assets.dry_run import dry_run_job
from up42_pipelines.io_managers import StacIOManager
from up42_pipelines.resources import LakeResource, Up42Resource
from up42_pipelines.sensors import order_status_sensor


def build_ingestion(
    *pipelines: Pipeline,
    up42: Up42Resource,
    lake: LakeResource,
    sensor_interval_s: int = 60,
    schedule_hour: int = 6,
) -> dg.Definitions:
    """Definitions of `scenes -> orders -> stac_items -> cogs`, ready to merge into a code location.

    For each pipeline there are, besides the assets, the job `<name>_ingest` (the whole chain, for schedule and
    backfills), the job `<name>_deliver` (what the sensor runs), the job `<name>_dry_run` (what a range of
    partitions would buy), the daily schedule `<name>_daily` (stopped at first: it spends) and the sensor
    `<name>_order_status_sensor` (running at first: it only reads).

    Args:
        pipelines: what to look for and where. Several on one lake belong into one call, with a `key_prefix` each:
            Dagster merges definitions only when they share their resources.
        up42: the account.
        lake: where deliveries land.
        sensor_interval_s: seconds between two looks at UP42.
        schedule_hour: hour of the day (UTC) at which yesterday's partitions are ingested.
    """
    return dg.Definitions.merge(
        *(_ingestion(pipeline, up42, sensor_interval_s, schedule_hour) for pipeline in pipelines),
        dg.Definitions(
            resources={"up42": up42, "lake": lake, "stac_io_manager": StacIOManager(lake=lake)},
            executor=dg.in_process_executor,
        ),
    )


def _ingestion(pipeline: Pipeline, up42: Up42Resource, sensor_interval_s: int, schedule_hour: int) -> dg.Definitions:
    def selected(*names: str) -> dg.AssetSelection:
        return dg.AssetSelection.assets(*(pipeline.key(name) for name in names))

    ingest = dg.define_asset_job(
        pipeline.ingest_job,
        selection=selected("scenes", "orders", "stac_items", "cogs"),
        description="Search, order, and fetch what is there. Before delivery the last two assets skip.",
    )
    approve = dg.define_asset_job(
        pipeline.approve_job,
        selection=selected("orders", "stac_items", "cogs"),
        # What the launchpad shows first; launched like this, it says what is missing.
        config={
            "ops": {
                pipeline.key("orders").to_python_identifier(): {"config": {"approve_up_to": 0.0, "approved_by": ""}}
            }
        },
        description="Approve the orders of a partition that wait for it, and buy them. Spends credits.",
    )
    deliver = dg.define_asset_job(
        pipeline.deliver_job,
        selection=selected("stac_items", "cogs"),
        description="Fetch what UP42 has delivered. Launched by the order status sensor.",
    )
    audit = dg.define_asset_job(
        pipeline.audit_job,
        selection=selected("orders_audit"),
        description="Compare what the lake says was bought with UP42's orders. Buys nothing.",
    )
    daily = dg.build_schedule_from_partitioned_job(
        ingest,
        name=f"{pipeline.name}_daily",
        hour_of_day=schedule_hour,
        description="Ingests the day before, for every AOI. Spends credits.",
    )
    daily_audit = dg.ScheduleDefinition(
        name=f"{pipeline.audit_job}_daily",
        job=audit,
        cron_schedule=f"0 {schedule_hour} * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Compares the lake with UP42, before the day's orders are placed. Buys nothing.",
    )
    return dg.Definitions(
        assets=[
            scenes_asset(pipeline),
            orders_asset(pipeline),
            stac_items_asset(pipeline),
            cogs_asset(pipeline),
            orders_audit_asset(pipeline),
        ],
        jobs=[ingest, approve, deliver, audit, dry_run_job(pipeline, up42)],
        schedules=[daily, daily_audit],
        sensors=[order_status_sensor(pipeline, interval_s=sensor_interval_s)],
    )
