"""UP42 assets: what was delivered, as files (UP42 API reference, storage assets)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox import listing
from up42_pipelines.sandbox.account import account
from up42_pipelines.sandbox.core import clock, paging
from up42_pipelines.sandbox.core.problems import Refused, bad_request, not_found
from up42_pipelines.sandbox.ordering.lifecycle import Transformation
from up42_pipelines.sandbox.routing import Call, route
from up42_pipelines.sandbox.storage import bucket, delivered_files, deliveries, user_metadata
from up42_pipelines.sandbox.storage.deliveries import Delivery
from up42_pipelines.sandbox.world import World

SORTS = ("name", "title", "size", "createdAt", "updatedAt", "source", "collectionName", "producerName")
EXTRACTION_STATUSES = ("SUCCESSFUL", "FAILED", "IN_PROGRESS", "NOT_PROCESSED")
SOURCES = ("ARCHIVE", "TASKING", "PROCESSING", "ANALYTICS", "USER")
_OPTIONAL = ("orderId", "tags")


@dataclass(frozen=True)
class AssetFilter:
    """Which assets a list shows; everything given must hold, an empty entry restricts nothing.

    Attributes:
        created_after, created_before: both ends belong to it.
        search: part of name, title or order id, in any case.
        tags: any of them, exactly as written.
    """

    created_after: datetime | None
    created_before: datetime | None
    workspace_id: str | None
    collection_names: frozenset[str]
    producer_names: frozenset[str]
    tags: frozenset[str]
    sources: frozenset[str]
    search: str
    extraction_status: str | None

    def matches(self, created: datetime, facts: dict[str, Any]) -> bool:
        """Check an asset, see `_facts`."""
        return (
            (self.created_after is None or created >= self.created_after)
            and (self.created_before is None or created <= self.created_before)
            and self.workspace_id in (None, account.WORKSPACE_ID)
            and (self.extraction_status in (None, facts["geospatialMetadataExtractionStatus"]))
            and any(self.search in (facts.get(key) or "").lower() for key in ("name", "title", "orderId"))
            and (not self.collection_names or facts["collectionName"] in self.collection_names)
            and (not self.producer_names or facts["producerName"] in self.producer_names)
            and (not self.sources or facts["source"] in self.sources)
            and (not self.tags or not self.tags.isdisjoint(facts.get("tags") or ()))
        )


def as_json(world: World, delivery: Delivery) -> dict[str, Any]:
    """Write a delivery as an UP42 asset; its size is known once its archive is made."""
    original = delivered_files.make_file(world, delivery, "original")
    return {
        **_facts(world, delivery),
        "accountId": account.ACCOUNT_ID,
        "workspaceId": account.WORKSPACE_ID,
        "createdAt": clock.timestamp(delivery.visible_at),
        "updatedAt": clock.timestamp(_updated_at(world, delivery)),
        "size": original.size,
        "contentType": original.media_type,
        "productId": delivery.content["product_id"],
    }


def list_assets(call: Call) -> Response:
    """Page through the assets of the account."""
    page = paging.page_request(call.query, sorts=SORTS, default_sort="createdAt,desc")
    wanted = _filter(call)
    found = [
        delivery
        for delivery in deliveries.with_assets(call.world)
        if wanted.matches(clock.moment(delivery.visible_at), _facts(call.world, delivery))
    ]
    key = _sort_key(call.world, page.sort_field)
    found.sort(key=lambda delivery: (key(delivery), delivery.number), reverse=page.descending)
    content = []
    for delivery in found[page.offset : page.offset + page.size]:
        with contextlib.suppress(Refused):  # it was removed meanwhile
            content.append(as_json(call.world, delivery))
    return JSONResponse(paging.spring_page(content, len(found), page))


def get_metadata(call: Call) -> Response:
    """Return one asset."""
    return JSONResponse(as_json(call.world, _asset(call)))


def change_metadata(call: Call) -> Response:
    """Change title and tags of an asset: null clears, what is absent stays."""
    delivery = _asset(call)
    changes = user_metadata.read(call.json_object(), title="title", tags="tags")
    deliveries.describe_asset(call.world, delivery.asset_id, changes)
    return get_metadata(call)


def download(call: Call) -> Response:
    """Send the file itself: an original delivery or a STAC asset."""
    file = bucket.find_file(call, call.uuid("asset_id", "Asset"))
    if file is None:
        raise not_found("Asset", call.name("asset_id"))
    return bucket.serve(call, file, f"attachment; filename={file.name}")


def download_url(call: Call) -> Response:
    """Make a signed URL for an original delivery or a STAC asset."""
    asset_id = call.uuid("asset_id", "Asset")
    delivery = deliveries.delivery_of_file(call.world, asset_id)
    rows = {} if delivery is None else deliveries.file_rows(call.world, delivery.asset_id)
    name = next((row["name"] for row in rows.values() if row["id"] == asset_id), None)
    if name is None:
        raise not_found("Asset", asset_id)
    return JSONResponse({"url": bucket.signed_url(call.world.database.secret, call.origin, asset_id, name)})


def _asset(call: Call) -> Delivery:
    asset_id = call.uuid("asset_id", "Asset")
    delivery = deliveries.one(call.world, "asset_id", asset_id, gate="visible_at")
    if delivery is None:
        raise not_found("Asset", asset_id)
    return delivery


def _facts(world: World, delivery: Delivery) -> dict[str, Any]:
    """Return what filters and sorting look at, without making any file."""
    facts = {
        "id": delivery.asset_id,
        "name": delivery.name,
        "title": delivery.title,
        "orderId": delivery.order_id,
        "source": delivery.source,
        "producerName": delivery.content["producer"],
        "collectionName": delivery.content["collection"],
        "tags": None if delivery.tags is None else list(delivery.tags),
        "geospatialMetadataExtractionStatus": _extraction_status(world, delivery),
    }
    return {key: value for key, value in facts.items() if key not in _OPTIONAL or value is not None}


def _extraction_status(world: World, delivery: Delivery) -> str:
    if delivery.items_at > world.now() or delivery.transformation == Transformation.NEVER_ENDS:
        return "IN_PROGRESS"
    return "FAILED" if delivery.transformation == Transformation.FAILS else "SUCCESSFUL"


def _updated_at(world: World, delivery: Delivery) -> int:
    extracted = _extraction_status(world, delivery) != "IN_PROGRESS"
    extracted_at = delivery.items_at if extracted else delivery.visible_at
    return max(extracted_at, delivery.patched_at or 0)


def _filter(call: Call) -> AssetFilter:
    status = call.query("geospatialMetadataExtractionStatus")
    sources = [source for value in call.queries("sources") for source in value.split(",")]
    return AssetFilter(
        created_after=_instant("createdAfter", call.query("createdAfter")),
        created_before=_instant("createdBefore", call.query("createdBefore")),
        workspace_id=listing.uuid_or_none("workspaceId", call.query("workspaceId")),
        collection_names=frozenset(call.queries("collectionNames")),
        producer_names=frozenset(call.queries("producerNames")),
        tags=frozenset(call.queries("tags")),
        sources=frozenset(listing.all_of("sources", sources, SOURCES)),
        search=(call.query("search") or "").lower(),
        extraction_status=None
        if status is None
        else listing.all_of("geospatialMetadataExtractionStatus", [status], EXTRACTION_STATUSES)[0],
    )


def _instant(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return clock.parse_instant(text)
    except ValueError as problem:
        raise bad_request(f"{name}: {problem}") from None


def _sort_key(world: World, field: str) -> Callable[[Delivery], Any]:
    if field == "size":
        return lambda delivery: delivered_files.make_file(world, delivery, "original").size
    if field == "createdAt":
        return lambda delivery: delivery.visible_at
    if field == "updatedAt":
        return lambda delivery: _updated_at(world, delivery)
    return lambda delivery: str(_facts(world, delivery)[field] or "")


_FILTERS = (
    "createdAfter",
    "createdBefore",
    "workspaceId",
    "collectionNames",
    "producerNames",
    "tags",
    "sources",
    "search",
    "geospatialMetadataExtractionStatus",
)
ROUTES: list[BaseRoute] = [
    route("/v2/assets", list_assets, query=("page", "size", "sort", *_FILTERS)),
    route("/v2/assets/{asset_id}", download, ["GET", "HEAD"]),
    route("/v2/assets/{asset_id}/metadata", get_metadata),
    route(
        "/v2/assets/{asset_id}/metadata",
        change_metadata,
        ["POST"],
        example={"title": "Harbour", "tags": ["harbour", "may"]},
    ),
    route("/v2/assets/{asset_id}/download-url", download_url, ["POST"]),
]
