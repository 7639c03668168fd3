"""Where deliveries land: verified files, COGs and a static STAC catalogue on any fsspec filesystem."""

from up42_pipelines.lake.catalog import collection_folder, index_collection, item_folder, read_item, write_item
from up42_pipelines.lake.cog import Landed, ensure_cog
from up42_pipelines.lake.content import COG_MEDIA_TYPE
from up42_pipelines.lake.events import AssetLanded, AssetProgress, AssetSkipped, AssetStarted, LandingEvent
from up42_pipelines.lake.item import LandedAsset, lake_item
from up42_pipelines.lake.journal import Journal, Version
from up42_pipelines.lake.landing import LandedItem, land_item
from up42_pipelines.lake.names import safe_name
from up42_pipelines.lake.partial import Received
from up42_pipelines.lake.quicklook import quicklook_png
from up42_pipelines.lake.raster import RasterInfo, describe
from up42_pipelines.lake.store import Lake
from up42_pipelines.lake.transfer import download

__all__ = [
    "COG_MEDIA_TYPE",
    "AssetLanded",
    "AssetProgress",
    "AssetSkipped",
    "AssetStarted",
    "Journal",
    "Lake",
    "Landed",
    "LandedAsset",
    "LandedItem",
    "LandingEvent",
    "RasterInfo",
    "Received",
    "Version",
    "collection_folder",
    "describe",
    "download",
    "ensure_cog",
    "index_collection",
    "item_folder",
    "lake_item",
    "land_item",
    "quicklook_png",
    "read_item",
    "safe_name",
    "write_item",
]
