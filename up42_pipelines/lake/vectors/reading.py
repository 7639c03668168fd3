"""Features out of the lake again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake.store import Lake
from up42_pipelines.lake.vectors.geoparquet import read_geometries
from up42_pipelines.lake.vectors.places import transformed

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


def read_features(lake: Lake, href: str, limit: int) -> list[BaseGeometry]:
    """The first geometries of a GeoParquet asset in degrees (EPSG:4326, longitude first), without the missing ones.

    Args:
        lake: where it lies.
        href: of the asset, as `read_item` and `LandedItem.item` give it.
        limit: how many at most; no more than needed is read.

    Raises:
        LakeError: the file is not there, cannot be read, is no GeoParquet, or nobody says which CRS it has.
    """
    with lake.explained("read", href), lake.fs.open(href, "rb") as file:
        try:
            geometries, crs = read_geometries(file, limit)
        except InvalidDelivery as error:
            raise LakeError(f"Lake {lake.url}: {href}: {error} Land its item again.") from error
    if crs is None and geometries:
        raise LakeError(f"Lake {lake.url}: {href} does not say which coordinate reference system it has.")
    return [transformed(geometry, crs) for geometry in geometries] if crs is not None else []
