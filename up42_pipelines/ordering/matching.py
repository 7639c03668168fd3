"""Whether an order at UP42 is the one that was planned: product, scene and area, one by one. Pure."""

from __future__ import annotations

import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from up42_pipelines.api.orders import Order
from up42_pipelines.ordering.plan import PlannedOrder

AREA_TOLERANCE = 0.001
"""Share of the planned area by which two areas may differ and still be the same: UP42 may round coordinates."""


def contradiction(planned: PlannedOrder, order: Order) -> str:
    """In what the order differs from the plan, for people; empty when it is the planned one.

    What UP42 does not tell about the order is not held against it.
    """
    differences = []
    if order.data_product_id is not None and order.data_product_id != planned.purpose.data_product:
        differences.append(f"data product {order.data_product_id} instead of {planned.purpose.data_product}")
    if order.scene_id is not None and order.scene_id != planned.scene_id:
        differences.append(f"scene {order.scene_id} instead of {planned.scene_id}")
    share = area_difference(planned, order)
    if share > AREA_TOLERANCE:
        differences.append(f"an area that differs by {share:.1%}")
    return ", ".join(differences)


def area_difference(planned: PlannedOrder, order: Order) -> float:
    """What only one of their two areas covers, as a share of the planned one; 0 when one of them has none."""
    area = ordered_area(order)
    if planned.geometry is None or area is None:
        return 0.0
    return float(planned.geometry.symmetric_difference(area).area / planned.geometry.area)


def ordered_area(order: Order) -> BaseGeometry | None:
    """The area of an order, degrees (EPSG:4326); None when UP42 tells none, or none that can be read."""
    if order.aoi is None:
        return None
    try:
        area = shapely.make_valid(shape(order.aoi))
    except (ShapelyError, AttributeError, KeyError, TypeError, ValueError, IndexError):
        return None
    return None if area.is_empty else area
