"""Assets: what was delivered, as files, in UP42's older listing (UP42 API, storage assets).

UP42's own client has dropped the listing for STAC; the signed download URLs are current, also for single STAC assets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from up42_pipelines.api.orders import UNCHANGED
from up42_pipelines.api.paging import PAGE_SIZE, listing, several
from up42_pipelines.api.records import Record, Timestamp
from up42_pipelines.api.sorting import Sort
from up42_pipelines.api.transport import Transport
from up42_pipelines.errors import ApiError, UnexpectedAnswer

ASSETS_PATH = "/v2/assets/"
_NOT_OFFERED = frozenset({404, 405, 410})
_ALMOST_A_SECOND = timedelta(seconds=1, microseconds=-1)
_ASSET_ID = re.compile(r"[A-Za-z0-9_-]+")
"""UP42's are UUIDs. A dot, a percent sign or a question mark in a path would lead elsewhere."""


class ExtractionStatus(StrEnum):
    """Whether STAC items have been made of a delivery."""

    SUCCESSFUL = "SUCCESSFUL"
    FAILED = "FAILED"
    IN_PROGRESS = "IN_PROGRESS"
    NOT_PROCESSED = "NOT_PROCESSED"


class AssetSource(StrEnum):
    """Where an asset comes from."""

    ARCHIVE = "ARCHIVE"
    TASKING = "TASKING"
    PROCESSING = "PROCESSING"
    USER = "USER"


class AssetSort:
    """What assets can be sorted by."""

    name = Sort("name")
    title = Sort("title")
    size = Sort("size")
    created_at = Sort("createdAt")
    updated_at = Sort("updatedAt")
    source = Sort("source")
    collection_name = Sort("collectionName")
    producer_name = Sort("producerName")


class StoredAsset(Record):
    """One delivery in storage: usually an archive that becomes STAC items.

    Attributes:
        size: bytes.
        geospatial_metadata_extraction_status: whether STAC items have been made of it.
    """

    id: str
    account_id: str | None = None
    workspace_id: str | None = None
    name: str | None = None
    title: str | None = None
    size: int | None = None
    content_type: str | None = None
    order_id: str | None = None
    source: AssetSource | str | None = Field(default=None, union_mode="left_to_right")
    product_id: str | None = None
    producer_name: str | None = None
    collection_name: str | None = None
    tags: tuple[str, ...] | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    geospatial_metadata_extraction_status: ExtractionStatus | str | None = Field(
        default=None, union_mode="left_to_right"
    )


class Assets:
    """The files in the storage of one workspace.

    Args:
        transport: the way to UP42.
        workspace_id: asked for when first needed.
    """

    def __init__(self, transport: Transport, workspace_id: Callable[[], str]) -> None:
        self._transport, self._workspace_id = transport, workspace_id

    def of_order(self, order_id: str) -> list[StoredAsset] | None:
        """The deliveries of an order in storage so far, whether or not STAC items exist for them.

        UP42 offers a text search for this; other hits are dropped here. None where UP42 does not offer the listing
        (any more).
        """
        try:
            found = list(self.list(search=order_id, whole_account=True))
        except ApiError as error:
            if error.status in _NOT_OFFERED:
                return None
            raise
        return [asset for asset in found if asset.order_id == order_id]

    def list(
        self,
        *,
        search: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        tags: Sequence[str] = (),
        collection_names: Sequence[str] = (),
        producer_names: Sequence[str] = (),
        sources: Sequence[AssetSource | str] = (),
        extraction_status: ExtractionStatus | str | None = None,
        whole_account: bool = False,
        sort: Sort = AssetSort.created_at.desc,
        page_size: int = PAGE_SIZE,
    ) -> Iterator[StoredAsset]:
        """Assets, fetched page by page as they are consumed.

        Args:
            search: part of the name, the title or the order id.
            created_after: timezone-aware; UP42 takes whole seconds, so the interval begins with its second.
            created_before: timezone-aware; the interval ends with its second.
            tags: assets with any of these; an order's tags are inherited by its assets.
            collection_names: of any of these collections.
            producer_names: of any of these producers.
            sources: from any of these sources.
            extraction_status: whether STAC items have been made.
            whole_account: of all workspaces instead of this one.
            sort: a field of `AssetSort`.
            page_size: assets per request.
        """
        filters = {
            "workspaceId": None if whole_account else self._workspace_id(),
            "search": search,
            "createdAfter": _seconds(created_after),
            "createdBefore": _seconds(created_before and created_before + _ALMOST_A_SECOND),
            "tags": several(tags),
            "collectionNames": several(collection_names),
            "producerNames": several(producer_names),
            "sources": several(sources),
            "geospatialMetadataExtractionStatus": extraction_status,
            "sort": sort,
        }
        for row in listing(self._transport, ASSETS_PATH.rstrip("/"), filters, page_size=page_size):
            yield StoredAsset.parse(row)

    def get(self, asset_id: str) -> StoredAsset:
        """One asset.

        Raises:
            NotFound: UP42 does not know the id.
        """
        return StoredAsset.parse(self._transport.json("GET", f"{ASSETS_PATH}{self._id(asset_id)}/metadata"))

    def update(
        self, asset_id: str, *, title: str | None = UNCHANGED, tags: Sequence[str] | None = UNCHANGED
    ) -> StoredAsset:
        """Change an asset's title or tags; None clears.

        UP42 clears what a request leaves out, so what is not given is read first and sent again.
        """
        known = self.get(asset_id) if UNCHANGED in (title, tags) else None
        body: dict[str, Any] = {
            "title": known.title if title is UNCHANGED and known else title,
            "tags": known.tags if tags is UNCHANGED and known else tags,
        }
        body["tags"] = None if body["tags"] is None else several(body["tags"])
        path = f"{ASSETS_PATH}{self._id(asset_id)}/metadata"
        return StoredAsset.parse(self._transport.json("POST", path, json=body))

    def href(self, asset_id: str) -> str:
        """The address of an asset, as STAC items of UP42 name it; `download_url` takes it."""
        return f"{self._transport.hosts.api}{ASSETS_PATH}{self._id(asset_id)}"

    def download_url(self, asset: str) -> str:
        """A signed URL of an asset, valid for 5 minutes; anyone who has it can read the asset.

        It answers ranges, so QGIS and GDAL (`/vsicurl/`) can stream from it.

        Args:
            asset: an asset id, or the href of a STAC asset (`.../v2/assets/<id>`, with or without `/download-url`).

        Raises:
            UnexpectedAnswer: the href does not point to an asset of this UP42, or no URL came back.
        """
        asset_id = self._id(asset)
        body = self._transport.json("POST", f"{ASSETS_PATH}{asset_id}/download-url")
        url = body.get("url") if isinstance(body, dict) else None
        if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
            raise UnexpectedAnswer(f"Asset {asset_id}: the answer holds no download URL.")
        return url

    def _id(self, asset: str) -> str:
        prefix = f"{self._transport.hosts.api}{ASSETS_PATH}"
        asset_id = asset.removeprefix(prefix).removesuffix("/download-url") if asset.startswith(prefix) else asset
        if not _ASSET_ID.fullmatch(asset_id):
            raise UnexpectedAnswer(f"{asset} is not an asset of {self._transport.hosts.api}; it is not fetched.")
        return asset_id


def _seconds(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
