"""The catalogue: what can be bought, archive search at a host, the STAC catalogue, previews (UP42 API, catalogue)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pystac_client

from up42_pipelines.api.glossary import Collection, CollectionSort, CollectionType
from up42_pipelines.api.order_forms import OrderForm
from up42_pipelines.api.paging import linked_pages, listing, rows_of
from up42_pipelines.api.scenes import DeliveryTime, Scene
from up42_pipelines.api.sorting import Sort
from up42_pipelines.api.stac_io import open_stac
from up42_pipelines.api.transport import Transport
from up42_pipelines.errors import NotFound, UnexpectedAnswer

SEARCH_LIMIT = 500
"""The largest page of a catalogue search; more is refused with 400 (UP42 API, catalogue search)."""
STAC_PATH = "/v2/catalog/"


class Catalog:
    """The archive and what can be bought from it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._stac: pystac_client.Client | None = None

    def collections(
        self, *, type: CollectionType | str | None = None, sort: Sort = CollectionSort.name.asc
    ) -> Iterator[Collection]:
        """The geospatial collections, fetched page by page as they are consumed.

        Args:
            type: only archive, or only tasking collections.
            sort: a field of `CollectionSort`.
        """
        for row in listing(self._transport, "/v2/collections", {"sort": sort, "type": type}):
            collection = Collection.parse(row)
            if type is None or collection.type == type:  # the server's filter is not documented
                yield collection

    def collection(self, name: str) -> Collection:
        """One collection with its providers and data products.

        Raises:
            NotFound: no collection has this name.
        """
        return Collection.parse(self._transport.json("GET", f"/v2/collections/{quote(name, safe='')}"))

    def order_form(self, data_product_id: str) -> OrderForm:
        """What an order of a data product must say, as JSON schema.

        Raises:
            NotFound: no data product has this id.
        """
        schema = self._transport.json("GET", f"/orders/schema/{quote(data_product_id, safe='')}")
        if not isinstance(schema, dict):
            raise UnexpectedAnswer(
                f"The order form of data product {data_product_id} is no JSON schema: {schema!r:.200}."
            )
        return OrderForm(data_product_id=data_product_id, schema=schema)

    def search(
        self,
        host: str,
        *,
        collections: Sequence[str],
        intersects: Mapping[str, Any] | None = None,
        bbox: Sequence[float] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        ids: Sequence[str] = (),
        max_cloud_cover_percent: float | None = None,
        max_resolution_m: float | None = None,
        delivery_times: Sequence[DeliveryTime | str] = (),
        limit: int = SEARCH_LIMIT,
    ) -> Iterator[Scene]:
        """Archive scenes of one host, page by page, each once.

        Args:
            host: name of the provider with the role HOST.
            collections: names, all of this host.
            intersects: GeoJSON geometry, degrees (EPSG:4326). UP42 searches a MultiPolygon by its bounding box.
            bbox: west, south, east, north (degrees); instead of `intersects`.
            start: begin of the acquisition interval, timezone-aware, included; open when None.
            end: end of it, included.
            ids: only these scenes.
            max_cloud_cover_percent: server-side filter; scenes of unknown cloud cover may be left out by it.
            max_resolution_m: server-side filter, metres.
            delivery_times: server-side filter, any of them.
            limit: scenes per page, at most 500.

        Raises:
            InvalidRequest: UP42 refuses the search; the message is UP42's.
        """
        body: dict[str, Any] = {"collections": list(collections), "limit": limit}
        body |= {"intersects": dict(intersects)} if intersects is not None else {}
        body |= {"bbox": list(bbox)} if bbox is not None else {}
        body |= {"ids": list(ids)} if ids else {}
        if start is not None or end is not None:
            body["datetime"] = "/".join(".." if moment is None else _rfc3339(moment) for moment in (start, end))
        query: dict[str, Any] = {}
        query |= {"cloudCoverage": {"lte": max_cloud_cover_percent}} if max_cloud_cover_percent is not None else {}
        query |= {"resolution": {"lte": max_resolution_m}} if max_resolution_m is not None else {}
        query |= {"deliveryTime": {"in": [str(time) for time in delivery_times]}} if delivery_times else {}
        body |= {"query": query} if query else {}
        seen: set[str] = set()
        first = f"{self._transport.hosts.api}/catalog/hosts/{quote(host, safe='')}/stac/search"
        for page in linked_pages(lambda url: self._transport.json("POST", url, json=body), first):
            for feature in rows_of(page, "features"):
                scene = Scene.of_feature(feature)
                if scene.id not in seen:
                    seen.add(scene.id)
                    yield scene

    @property
    def stac(self) -> pystac_client.Client:
        """The archive as a STAC API, new in 2026; the landing page is read once.

        Its item properties and filters are not documented yet. Where it does not answer, `search` does.
        """
        with self._lock:
            if self._stac is None:
                self._stac = open_stac(self._transport, STAC_PATH)
            return self._stac

    def quicklook(self, host: str, scene_id: str) -> bytes | None:
        """The preview image of a whole scene (JPEG or PNG), or None when it has none."""
        return self._picture(host, scene_id, "quicklook")

    def thumbnail(self, host: str, scene_id: str) -> bytes | None:
        """A smaller preview of a whole scene (JPEG or PNG), or None when it has none."""
        return self._picture(host, scene_id, "thumbnail")

    def _picture(self, host: str, scene_id: str, kind: str) -> bytes | None:
        path = f"/catalog/{quote(host, safe='')}/image/{quote(scene_id, safe='')}/{kind}"
        try:
            return self._transport.send("GET", path).content
        except NotFound:
            return None


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
