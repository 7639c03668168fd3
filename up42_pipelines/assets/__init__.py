"""Asset factories: `scenes -> orders -> stac_items -> cogs`, and `orders_audit`; one set per pipeline."""

from up42_pipelines.assets.audit import orders_audit_asset
from up42_pipelines.assets.cogs import cogs_asset
from up42_pipelines.assets.orders import orders_asset
from up42_pipelines.assets.pipeline import Pipeline
from up42_pipelines.assets.scenes import scenes_asset
from up42_pipelines.assets.stac_items import stac_items_asset

__all__ = ["Pipeline", "cogs_asset", "orders_asset", "orders_audit_asset", "scenes_asset", "stac_items_asset"]
