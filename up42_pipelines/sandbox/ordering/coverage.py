"""How much of an order's area has been delivered so far (UP42 API reference, order coverage).

Both geometries are always FeatureCollections: with one feature, a Polygon or MultiPolygon, or without any.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox.core import geometry
from up42_pipelines.sandbox.core.problems import not_found
from up42_pipelines.sandbox.ordering import order_book
from up42_pipelines.sandbox.routing import Call, route

# Degrees, a tenth of a millimetre: edges that were cut twice meet again, and leave no splinters between them.
_GRID = 1e-9


def measure(area: BaseGeometry, delivered: Sequence[BaseGeometry]) -> dict[str, Any]:
    """Compare an ordered area with what was delivered, in degrees; what lies outside of the area does not count."""
    everything = shapely.union_all(delivered, grid_size=_GRID)
    covered = geometry.polygons(shapely.intersection(area, everything, grid_size=_GRID))
    remainder = geometry.polygons(shapely.difference(area, everything, grid_size=_GRID))
    covered_km2, remainder_km2 = geometry.area_km2(covered), geometry.area_km2(remainder)
    percentage = 100.0 if remainder.is_empty else round(100 * covered_km2 / (covered_km2 + remainder_km2), 4)
    return {
        "covered": _part(covered, covered_km2, percentage),
        "remainder": _part(remainder, remainder_km2, round(100 - percentage, 4)),
    }


def _part(part: BaseGeometry, area_km2: float, percentage: float) -> dict[str, Any]:
    feature = {"type": "Feature", "properties": {}, "geometry": geometry.as_geojson(part)}
    features = [] if part.is_empty else [feature]
    return {
        "sqKmArea": round(area_km2, 4),
        "percentage": percentage,
        "geometry": {"type": "FeatureCollection", "features": features},
    }


def get_coverage(call: Call) -> Response:
    """Say which part of an order's area has been delivered."""
    order_id = call.uuid("order_id", "Order")
    order = order_book.find(call.world, order_id)
    if order is None:
        raise not_found("Order", order_id)
    rows = call.world.database.rows(
        "SELECT content FROM deliveries WHERE order_id = ? AND visible_at <= ?", (order_id, call.world.now())
    )
    details = json.loads(order["details"])
    area = shape(details["geometry"] if order["type"] == "TASKING" else details["aoi"])
    return JSONResponse(measure(area, [shape(json.loads(row["content"])["geometry"]) for row in rows]))


ROUTES: list[BaseRoute] = [route("/v2/coverage/orders/{order_id}", get_coverage)]
