"""A scene of the archive, as a host's search shows it: GeoJSON, but not a STAC item."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import pystac
import shapely
from pydantic import Field
from pystac.extensions.eo import EOExtension
from shapely.geometry import shape

from up42_pipelines.api.records import Record, Timestamp
from up42_pipelines.errors import UnexpectedAnswer


class DeliveryTime(StrEnum):
    """How long a delivery takes, roughly."""

    MINUTES = "MINUTES"
    HOURS = "HOURS"
    DAYS = "DAYS"


class Scene(Record):
    """One scene of the archive: the `properties` of a search result plus its footprint.

    Attributes:
        id: what an order names.
        geometry: footprint as GeoJSON, longitude, latitude (degrees, EPSG:4326).
        cloud_coverage: percent of the scene, None when unknown.
        resolution: metres.
    """

    id: str
    geometry: dict[str, Any]
    bbox: tuple[float, ...] | None = None
    scene_id: str | None = None
    collection: str | None = None
    provider_name: str | None = None
    producer: str | None = None
    constellation: str | None = None
    datetime_: Timestamp | None = Field(default=None, alias="datetime")
    acquisition_date: Timestamp | None = None
    start_datetime: Timestamp | None = Field(default=None, alias="start_datetime")
    end_datetime: Timestamp | None = Field(default=None, alias="end_datetime")
    cloud_coverage: float | None = None
    resolution: float | None = None
    delivery_time: DeliveryTime | str | None = Field(default=None, union_mode="left_to_right")
    provider_properties: dict[str, Any] | None = None

    @property
    def acquired(self) -> datetime:
        """When the scene was taken, UTC. Newer answers say `datetime`, older ones `acquisitionDate`.

        Raises:
            UnexpectedAnswer: the scene carries no date at all.
        """
        value = self.datetime_ or self.acquisition_date or self.start_datetime
        if value is None:
            raise UnexpectedAnswer(f"Scene {self.id} carries no acquisition date.")
        return value

    @property
    def cloud_cover_percent(self) -> float | None:
        """Cloud cover of the whole scene, percent; None when unknown."""
        return self.cloud_coverage

    @classmethod
    def of_feature(cls, feature: Mapping[str, Any]) -> Scene:
        """Read one feature of a search answer, which is GeoJSON but not a STAC item.

        Raises:
            UnexpectedAnswer: it is no feature, or has no id or geometry.
        """
        properties = feature.get("properties") if isinstance(feature, Mapping) else None
        if not isinstance(properties, Mapping):
            raise UnexpectedAnswer(f"UP42 sent a search result that is no feature: {feature!r:.200}.")
        flat = {**properties, "geometry": feature.get("geometry"), "bbox": feature.get("bbox")}
        return cls.parse(flat, raw=dict(feature))

    def to_item(self) -> pystac.Item:
        """The scene as a STAC item: the currency between assets. UP42's own properties stay under `up42:scene`."""
        footprint = shape(self.geometry)
        item = pystac.Item(
            id=self.id,
            geometry=self.geometry,
            bbox=list(shapely.bounds(footprint)),
            datetime=self.acquired,
            properties={"up42:scene": self.raw.get("properties", {}), "title": self.scene_id or self.id},
        )
        if self.cloud_coverage is not None:
            EOExtension.ext(item, add_if_missing=True).cloud_cover = self.cloud_coverage
        if self.resolution is not None:
            item.common_metadata.gsd = self.resolution
        if self.constellation:
            item.common_metadata.constellation = self.constellation
        if self.collection:
            item.properties["up42-product:collection_name"] = self.collection
        return item
