"""Catalogue and product glossary: collections, data products, order forms, archive search, quicklooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import pystac
import shapely
from pydantic import AwareDatetime, Field, field_validator
from pystac.extensions.eo import EOExtension
from shapely.geometry import shape

from up42_pipelines.api.paging import next_link, spring_pages
from up42_pipelines.api.records import Record
from up42_pipelines.api.transport import Transport
from up42_pipelines.errors import NotFound, UnexpectedAnswer

SEARCH_LIMIT = 500
"""The largest page of a catalogue search; more is refused with 400 (UP42 API, catalogue search)."""


class CollectionType(StrEnum):
    """How a collection is bought."""

    ARCHIVE = "ARCHIVE"
    TASKING = "TASKING"


class Provider(Record):
    """Who produces or hosts a collection; a host's `name` goes into the search path."""

    name: str
    title: str | None = None
    description: str | None = None
    roles: tuple[str, ...] = ()


class DataProduct(Record):
    """What can be ordered from a collection; `id` is what an order names."""

    name: str | None = None
    title: str | None = None
    description: str | None = None
    id: str | None = None
    eula_id: str | None = None


class Collection(Record):
    """A geospatial collection, for example `phr`."""

    name: str
    title: str | None = None
    description: str | None = None
    type: CollectionType | str | None = Field(default=None, union_mode="left_to_right")
    integrations: tuple[str, ...] = ()
    providers: tuple[Provider, ...] = ()
    data_products: tuple[DataProduct, ...] = ()
    metadata: dict[str, Any] | None = None

    @property
    def host(self) -> str:
        """Name of the provider that answers searches for this collection.

        Raises:
            UnexpectedAnswer: the collection lists no provider with the role HOST.
        """
        for provider in self.providers:
            if "HOST" in provider.roles:
                return provider.name
        raise UnexpectedAnswer(f"Collection {self.name} lists no host; it cannot be searched.")

    def data_product(self, wanted: str) -> DataProduct:
        """The data product with this id or name.

        Raises:
            NotFound: the collection has none such; the message lists those it has.
        """
        for product in self.data_products:
            if wanted in (product.id, product.name):
                return product
        has = ", ".join(f"{product.name} ({product.id})" for product in self.data_products) or "none"
        raise NotFound(
            method="GET",
            url=f"collection {self.name}",
            status=404,
            title=f"no data product {wanted!r}",
            detail=f"It has: {has}",
        )


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
    datetime_: AwareDatetime | None = Field(default=None, alias="datetime")
    acquisition_date: AwareDatetime | None = None
    start_datetime: AwareDatetime | None = None
    cloud_coverage: float | None = None
    resolution: float | None = None
    delivery_time: str | None = None
    provider_properties: dict[str, Any] | None = None

    @field_validator("datetime_", "acquisition_date", "start_datetime", mode="before")
    @classmethod
    def _utc_when_unsaid(cls, value: Any) -> Any:
        if isinstance(value, str):
            read = datetime.fromisoformat(value)
            return read if read.tzinfo else read.replace(tzinfo=UTC)
        return value

    @property
    def acquired(self) -> datetime:
        """When the scene was taken, UTC. Newer answers say `datetime`, older ones `acquisitionDate`.

        Raises:
            UnexpectedAnswer: the scene carries no date at all.
        """
        value = self.datetime_ or self.acquisition_date or self.start_datetime
        if value is None:
            raise UnexpectedAnswer(f"Scene {self.id} carries no acquisition date.")
        return value.astimezone(UTC)

    @property
    def cloud_cover_percent(self) -> float | None:
        """Cloud cover of the whole scene, percent; None when unknown."""
        return self.cloud_coverage

    @classmethod
    def of_feature(cls, feature: Mapping[str, Any]) -> Scene:
        """Read one feature of a search answer, which is GeoJSON but not a STAC item."""
        properties = feature.get("properties") or {}
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


class Catalog:
    """The archive and what can be bought from it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def collections(self) -> Iterator[Collection]:
        """All collections, archive and tasking, sorted by name."""
        for row in spring_pages(
            lambda page: self._transport.json("GET", "/v2/collections", params={**page, "sort": "name,asc"})
        ):
            yield Collection.parse(row)

    def collection(self, name: str) -> Collection:
        """One collection with its providers and data products.

        Raises:
            NotFound: no collection has this name.
        """
        return Collection.parse(self._transport.json("GET", f"/v2/collections/{quote(name, safe='')}"))

    def order_schema(self, data_product_id: str) -> dict[str, Any]:
        """The JSON schema of an order's `params` for a data product (its geometry keys travel elsewhere)."""
        schema: dict[str, Any] = self._transport.json("GET", f"/orders/schema/{quote(data_product_id, safe='')}")
        return schema

    def search(
        self,
        host: str,
        *,
        collections: Sequence[str],
        intersects: Mapping[str, Any],
        start: datetime,
        end: datetime,
        max_cloud_cover_percent: float | None = None,
        limit: int = SEARCH_LIMIT,
    ) -> Iterator[Scene]:
        """Archive scenes of one host that touch a geometry, page by page, each once.

        Args:
            host: name of the provider with the role HOST.
            collections: names, all of this host.
            intersects: GeoJSON geometry, degrees (EPSG:4326). UP42 searches a MultiPolygon by its bounding box.
            start: begin of the acquisition interval, timezone-aware, included.
            end: end of it, included.
            max_cloud_cover_percent: server-side filter; scenes of unknown cloud cover may be left out by it.
            limit: scenes per page, at most 500.

        Raises:
            InvalidRequest: UP42 refuses the search; the message is UP42's.
        """
        body: dict[str, Any] = {
            "collections": list(collections),
            "intersects": dict(intersects),
            "datetime": f"{_rfc3339(start)}/{_rfc3339(end)}",
            "limit": limit,
        }
        if max_cloud_cover_percent is not None:
            body["query"] = {"cloudCoverage": {"lte": max_cloud_cover_percent}}
        seen: set[str] = set()
        url: str | None = f"{self._transport.hosts.api}/catalog/hosts/{quote(host, safe='')}/stac/search"
        asked: set[str] = set()
        while url and url not in asked:
            asked.add(url)
            page = self._transport.json("POST", url, json=body)
            if not isinstance(page, Mapping):
                raise UnexpectedAnswer(f"POST {url}: a search answer that is no FeatureCollection: {page!r:.200}.")
            for feature in page.get("features") or []:
                scene = Scene.of_feature(feature)
                if scene.id not in seen:
                    seen.add(scene.id)
                    yield scene
            url = next_link(page, base=url)

    def quicklook(self, host: str, scene_id: str) -> bytes | None:
        """The preview image of a whole scene (JPEG or PNG), or None when it has none."""
        path = f"/catalog/{quote(host, safe='')}/image/{quote(scene_id, safe='')}/quicklook"
        try:
            return self._transport.send("GET", path).content
        except NotFound:
            return None


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
