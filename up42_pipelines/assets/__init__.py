"""Asset factories, one set per pipeline and one per step of a workflow.

A pipeline is `scenes -> orders -> stac_items -> cogs` and `orders_audit`; a step, on what is in the lake,
`processing_jobs -> processed_items -> processed_cogs`.
"""

from up42_pipelines.assets.audit import orders_audit_asset
from up42_pipelines.assets.cogs import cogs_asset
from up42_pipelines.assets.orders import orders_asset
from up42_pipelines.assets.pipeline import Pipeline
from up42_pipelines.assets.processed_cogs import processed_cogs_asset
from up42_pipelines.assets.processed_items import processed_items_asset
from up42_pipelines.assets.processing_jobs import processing_jobs_asset
from up42_pipelines.assets.scenes import scenes_asset
from up42_pipelines.assets.stac_items import stac_items_asset
from up42_pipelines.assets.workflow import ProcessingPipeline

__all__ = [
    "Pipeline",
    "ProcessingPipeline",
    "cogs_asset",
    "orders_asset",
    "orders_audit_asset",
    "processed_cogs_asset",
    "processed_items_asset",
    "processing_jobs_asset",
    "scenes_asset",
    "stac_items_asset",
]
