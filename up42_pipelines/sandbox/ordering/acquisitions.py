"""What a tasked satellite takes: the AOI, or overlapping strips of it from west to east, inside the ordered window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import shapely
from shapely.geometry import Polygon

from up42_pipelines.sandbox.catalog.products import TASKING, DataProduct
from up42_pipelines.sandbox.core import chance, geometry
from up42_pipelines.sandbox.imagery import synthetic
from up42_pipelines.sandbox.imagery.scenes import Scene

_GSD_M, _OVERLAP = 1.5, 0.05


@dataclass(frozen=True)
class Request:
    """What a tasking order asks for.

    Attributes:
        lot: what chance decides by.
        aoi: degrees.
        first: earliest acquisition, aware.
        last: latest acquisition.
        max_cloud_percent: of each scene.
        max_incidence_degrees: of each scene.
    """

    lot: tuple[object, ...]
    product: DataProduct
    aoi: Polygon
    first: datetime
    last: datetime
    max_cloud_percent: float
    max_incidence_degrees: float


def content(seed: int, request: Request, part: int, count: int) -> dict[str, Any]:
    """Describe one of `count` deliveries (see `Source.content`): part 0 is all of the AOI, others count from 1."""
    strip = _strip(request.aoi, part, count)
    scene = _scene(request, strip, part, count)
    clip = geometry.polygons(request.aoi.intersection(strip))
    description = synthetic.describe(scene, seed, request.product, clip, f"{scene.id}_{request.product.name.upper()}")
    return {**description, "footprint": geometry.as_geojson(scene.footprint)}


def _strip(aoi: Polygon, part: int, count: int) -> Polygon:
    """Return the box that a pass over a part of the AOI takes, degrees."""
    west, south, east, north = aoi.bounds
    if part == 0:
        return shapely.box(west, south, east, north)
    width = (east - west) / count
    left, right = west + (part - 1 - _OVERLAP) * width, west + (part + _OVERLAP) * width
    return shapely.box(max(west, left), south, min(east, right), north)


def _scene(request: Request, footprint: Polygon, part: int, count: int) -> Scene:
    lot = (*request.lot, part)
    share = (max(part, 1) - chance.between(0.1, 0.9, "moment", *lot)) / count
    acquired_at = request.first + share * (request.last - request.first)
    middle = footprint.centroid
    return Scene(
        id=f"SBT_{acquired_at:%Y%m%dT%H%M%S}_{chance.letters(8, *request.lot)}_{part}",
        collection=TASKING.name,
        acquired_at=acquired_at,
        footprint=footprint,
        cloud_cover_percent=round(chance.between(0, request.max_cloud_percent, "cloud", *lot), 1),
        gsd_m=_GSD_M,
        epsg=geometry.utm_epsg(middle.x, middle.y),
        constellation="SANDBOX",
        platform=f"SANDBOX-{1 + chance.integer('platform', *lot) % 3}",
        producer="Sandbox",
        provider_properties={
            "incidenceAngle": round(chance.between(0, request.max_incidence_degrees, "incidence", *lot), 2),
            "azimuthAngle": round(chance.between(0, 360, "azimuth", *lot), 2),
            "illuminationElevationAngle": round(chance.between(25, 65, "sun", *lot), 2),
            "illuminationAzimuthAngle": round(chance.between(120, 180, "sun azimuth", *lot), 2),
        },
    )
