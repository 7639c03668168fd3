"""Storage: what was delivered, as STAC through pystac-client, and signed URLs to fetch it."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pystac
import pystac_client
from pydantic import AwareDatetime
from pystac_client.stac_api_io import StacApiIO

from up42_pipelines.api.paging import spring_pages
from up42_pipelines.api.records import Record
from up42_pipelines.api.transport import Transport
from up42_pipelines.errors import ApiError, UnexpectedAnswer

STAC_PATH = "/v2/assets/stac/"
_ASSETS_PATH = "/v2/assets/"
_PAGE_SIZE = 100
_NOT_OFFERED = frozenset({404, 405, 410})
_ASSET_ID = re.compile(r"[A-Za-z0-9_-]+")
"""UP42's are UUIDs. A dot, a percent sign or a question mark in a path would lead elsewhere."""


class StoredAsset(Record):
    """One delivery in storage as UP42's asset list shows it: usually an archive that becomes STAC items.

    Attributes:
        size: bytes.
        geospatial_metadata_extraction_status: SUCCESSFUL, FAILED, IN_PROGRESS or NOT_PROCESSED: whether STAC items
            have been made of it.
    """

    id: str
    name: str | None = None
    size: int | None = None
    content_type: str | None = None
    order_id: str | None = None
    tags: tuple[str, ...] | None = None
    created_at: AwareDatetime | None = None
    geospatial_metadata_extraction_status: str | None = None


class TransportStacIO(StacApiIO):
    """pystac-client's input and output through our transport: same token, time-outs, retries and errors."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(max_retries=None)
        self._transport = transport

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """The body of one request, as pystac-client asks for it."""
        verb = (method or "GET").upper()
        query, body = (parameters, None) if verb == "GET" else (None, parameters)
        return self._transport.send(verb, href, params=query, json=body, headers=headers).content.decode("utf-8")


class Storage:
    """The delivered data of the account."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._client: pystac_client.Client | None = None

    @property
    def stac(self) -> pystac_client.Client:
        """The STAC API over storage; the landing page is read once."""
        with self._lock:
            if self._client is None:
                self._client = pystac_client.Client.open(
                    f"{self._transport.hosts.api}{STAC_PATH}", stac_io=TransportStacIO(self._transport)
                )
            return self._client

    def items_of_order(self, order_id: str) -> list[pystac.Item]:
        """The STAC items delivered for an order so far, sorted by id; empty while UP42 transforms the delivery."""
        same_order = {"op": "=", "args": [{"property": "order_id"}, order_id]}
        search = self.stac.search(method="POST", filter=same_order, filter_lang="cql2-json", limit=_PAGE_SIZE)
        return sorted(search.items(), key=lambda item: item.id)

    def assets_of_order(self, order_id: str) -> list[StoredAsset] | None:
        """The deliveries of an order in storage so far, whether or not STAC items exist for them.

        UP42 offers a text search over name, title and order id for this; other hits are dropped here. The call is an
        older one that UP42's own client has dropped: None where UP42 does not offer it (any more).
        """

        def fetch(page: Mapping[str, Any]) -> Mapping[str, Any]:
            body: Mapping[str, Any] = self._transport.json("GET", "/v2/assets", params={"search": order_id, **page})
            return body

        try:
            found = [StoredAsset.parse(row) for row in spring_pages(fetch)]
        except ApiError as error:
            if error.status in _NOT_OFFERED:
                return None
            raise
        return [asset for asset in found if asset.order_id == order_id]

    def download_url(self, asset: str) -> str:
        """A signed URL of an asset, valid for 5 minutes; anyone who has it can read the asset.

        Args:
            asset: an asset id, or the href of a STAC asset (`.../v2/assets/<id>`, with or without `/download-url`).

        Raises:
            UnexpectedAnswer: the href does not point to an asset of this UP42, or no URL came back.
        """
        asset_id = self._asset_id(asset)
        body = self._transport.json("POST", f"{_ASSETS_PATH}{asset_id}/download-url")
        url = body.get("url") if isinstance(body, dict) else None
        if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
            raise UnexpectedAnswer(f"Asset {asset_id}: the answer holds no download URL.")
        return url

    def _asset_id(self, asset: str) -> str:
        prefix = f"{self._transport.hosts.api}{_ASSETS_PATH}"
        asset_id = asset.removeprefix(prefix).removesuffix("/download-url") if asset.startswith(prefix) else asset
        if not _ASSET_ID.fullmatch(asset_id):
            raise UnexpectedAnswer(f"{asset} is not an asset of {self._transport.hosts.api}; it is not fetched.")
        return asset_id
