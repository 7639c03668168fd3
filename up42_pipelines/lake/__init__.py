"""Where deliveries land: verified files, COGs and a static STAC catalogue on any fsspec filesystem."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from up42_pipelines.lake.archives.limits import UnpackLimits
    from up42_pipelines.lake.content import COG_MEDIA_TYPE, PARQUET_MEDIA_TYPE
    from up42_pipelines.lake.events import AssetLanded, AssetProgress, AssetSkipped, AssetStarted, LandingEvent
    from up42_pipelines.lake.journal import Journal, Version
    from up42_pipelines.lake.landing.land import land_item
    from up42_pipelines.lake.landing.records import LandedItem, LandingOptions
    from up42_pipelines.lake.names import safe_name
    from up42_pipelines.lake.quality import Check, DeliveryRules, Finding, Severity
    from up42_pipelines.lake.rasters.cog import ensure_cog
    from up42_pipelines.lake.rasters.quicklook import quicklook_png
    from up42_pipelines.lake.rasters.raster import describe
    from up42_pipelines.lake.rasters.records import Landed, RasterInfo
    from up42_pipelines.lake.rasters.worker import RasterWorker
    from up42_pipelines.lake.stac.catalog import (
        collection_folder,
        index_collection,
        item_folder,
        read_item,
        read_withheld,
        write_item,
        write_items,
    )
    from up42_pipelines.lake.stac.index import search
    from up42_pipelines.lake.stac.item import LandedAsset, lake_item
    from up42_pipelines.lake.store import Lake
    from up42_pipelines.lake.transfer.delivery import Limits
    from up42_pipelines.lake.transfer.download import download, fetch
    from up42_pipelines.lake.transfer.file_transfer import Wanted
    from up42_pipelines.lake.transfer.partial import Received
    from up42_pipelines.lake.transfer.patience import Patience
    from up42_pipelines.lake.transfer.stream import Streamed, stream
    from up42_pipelines.lake.vectors.reading import read_features
    from up42_pipelines.lake.vectors.records import VectorInfo
    from up42_pipelines.lake.vectors.worker import VectorWorker

_HOMES = {
    "COG_MEDIA_TYPE": "content",
    "AssetLanded": "events",
    "AssetProgress": "events",
    "AssetSkipped": "events",
    "AssetStarted": "events",
    "Check": "quality",
    "DeliveryRules": "quality",
    "Finding": "quality",
    "Journal": "journal",
    "Lake": "store",
    "Landed": "rasters.records",
    "LandedAsset": "stac.item",
    "LandedItem": "landing.records",
    "LandingEvent": "events",
    "LandingOptions": "landing.records",
    "Limits": "transfer.delivery",
    "PARQUET_MEDIA_TYPE": "content",
    "Patience": "transfer.patience",
    "RasterInfo": "rasters.records",
    "RasterWorker": "rasters.worker",
    "Received": "transfer.partial",
    "Severity": "quality",
    "Streamed": "transfer.stream",
    "UnpackLimits": "archives.limits",
    "VectorInfo": "vectors.records",
    "VectorWorker": "vectors.worker",
    "Version": "journal",
    "Wanted": "transfer.file_transfer",
    "collection_folder": "stac.catalog",
    "describe": "rasters.raster",
    "download": "transfer.download",
    "ensure_cog": "rasters.cog",
    "fetch": "transfer.download",
    "index_collection": "stac.catalog",
    "item_folder": "stac.catalog",
    "lake_item": "stac.item",
    "land_item": "landing.land",
    "quicklook_png": "rasters.quicklook",
    "read_features": "vectors.reading",
    "read_item": "stac.catalog",
    "read_withheld": "stac.catalog",
    "safe_name": "names",
    "search": "stac.index",
    "stream": "transfer.stream",
    "write_item": "stac.catalog",
    "write_items": "stac.catalog",
}

__all__ = [
    "COG_MEDIA_TYPE",
    "PARQUET_MEDIA_TYPE",
    "AssetLanded",
    "AssetProgress",
    "AssetSkipped",
    "AssetStarted",
    "Check",
    "DeliveryRules",
    "Finding",
    "Journal",
    "Lake",
    "Landed",
    "LandedAsset",
    "LandedItem",
    "LandingEvent",
    "LandingOptions",
    "Limits",
    "Patience",
    "RasterInfo",
    "RasterWorker",
    "Received",
    "Severity",
    "Streamed",
    "UnpackLimits",
    "VectorInfo",
    "VectorWorker",
    "Version",
    "Wanted",
    "collection_folder",
    "describe",
    "download",
    "ensure_cog",
    "fetch",
    "index_collection",
    "item_folder",
    "lake_item",
    "land_item",
    "quicklook_png",
    "read_features",
    "read_item",
    "read_withheld",
    "safe_name",
    "search",
    "stream",
    "write_item",
    "write_items",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: who moves bytes does not pay for GDAL."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
