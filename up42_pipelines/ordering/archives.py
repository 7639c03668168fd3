"""A STAC item for a delivery that UP42 made none of: its original archive as the only asset. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pystac
from shapely.errors import ShapelyError
from shapely.geometry import shape

from up42_pipelines.api.assets import StoredAsset
from up42_pipelines.api.orders import Order
from up42_pipelines.lake.stac.facts import DATETIME_FROM

ORDER_ID = "up42-order:id"
_ARCHIVE_TYPE = "application/zip"


def archive_item(order: Order, asset: StoredAsset, href: str, *, whole: bool) -> pystac.Item:
    """Describe an archive with what UP42 says about it, in the form that UP42 gives its own items.

    What only the archive tells (when the scene was taken, where exactly) is filled in when it is unpacked; until then
    the item's time is that of the delivery, and its place the ordered area. Nobody says which part of that area one
    delivery of several has: then it has no place.

    Args:
        order: whose delivery it is.
        asset: the delivery.
        href: its address at UP42.
        whole: whether it is all that the order brings.
    """
    aoi = (order.order_details or {}).get("aoi")
    geometry = aoi if whole and is_area(aoi) else None
    properties = {
        "title": asset.title or asset.name,
        "collection": asset.collection_name,
        "up42-system:asset_id": asset.id,
        "up42-system:source": asset.source,
        ORDER_ID: order.id,
        "up42-order:status": str(order.status),
        "up42-user:tags": None if asset.tags is None else list(asset.tags),
        DATETIME_FROM: "the delivery",
    }
    item = pystac.Item(
        id=asset.id,
        geometry=geometry,
        bbox=None if geometry is None else list(shape(geometry).bounds),
        datetime=asset.created_at or order.created_at or datetime(1970, 1, 1, tzinfo=UTC),
        properties={name: value for name, value in properties.items() if value is not None},
    )
    media_type = asset.content_type or _ARCHIVE_TYPE
    item.add_asset("original", pystac.Asset(href, "Original Delivery", None, media_type, ["data", "original"]))
    return item


def is_area(geometry: Any) -> bool:
    """Whether something is a GeoJSON geometry that covers anything."""
    try:
        return bool(shape(geometry).area)
    except (ShapelyError, AttributeError, KeyError, TypeError, ValueError, IndexError):
        return False
