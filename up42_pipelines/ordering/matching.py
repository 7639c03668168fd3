"""Whether an order at UP42 is the one that was planned: product, scene and area, one by one. Pure."""

from __future__ import annotations

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
    if planned.geometry is not None and order.aoi is not None:
        share = area_difference(planned.geometry, shape(order.aoi))
        if share > AREA_TOLERANCE:
            differences.append(f"an area that differs by {share:.1%}")
    return ", ".join(differences)


def area_difference(planned: BaseGeometry, other: BaseGeometry) -> float:
    """What only one of two areas covers, as a share of the first; 0 when they are the same. Degrees (EPSG:4326)."""
    return float(planned.symmetric_difference(other).area / planned.area)
