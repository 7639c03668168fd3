"""UP42 assets: what was delivered, as files (UP42 API reference, storage assets)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox import account, clock, deliveries, paging, storage
from up42_pipelines.sandbox.deliveries import Delivery
from up42_pipelines.sandbox.problems import bad_request, not_found
from up42_pipelines.sandbox.routing import Call, is_uuid, route
from up42_pipelines.sandbox.world import World

SORTS = ("name", "title", "size", "createdAt", "updatedAt", "source", "collectionName", "producerName")
EXTRACTION_STATUSES = ("SUCCESSFUL", "FAILED", "IN_PROGRESS", "NOT_PROCESSED")
_SOURCE = "ARCHIVE"


def as_json(world: World, delivery: Delivery) -> dict[str, Any]:
    """Write a delivery as an UP42 asset; its size is known once its archive is made."""
    original = deliveries.make_file(world, delivery, "original")
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
    found = [delivery for delivery in deliveries.with_assets(call.world) if _wanted(call, delivery)]
    key = _sort_key(call.world, page.sort_field)
    found.sort(key=lambda delivery: (key(delivery), delivery.number), reverse=page.descending)
    content = [as_json(call.world, delivery) for delivery in found[page.offset : page.offset + page.size]]
    return JSONResponse(paging.spring_page(content, len(found), page))


def get_metadata(call: Call) -> Response:
    """Return one asset."""
    asset_id = call.uuid("asset_id", "Asset")
    delivery = deliveries.one(call.world, "asset_id", asset_id, gate="visible_at")
    if delivery is None:
        raise not_found("Asset", asset_id)
    return JSONResponse(as_json(call.world, delivery))


def download(call: Call) -> Response:
    """Send the file itself: an original delivery or a STAC asset."""
    file = storage.find_file(call, call.uuid("asset_id", "Asset"))
    if file is None:
        raise not_found("Asset", call.name("asset_id"))
    return storage.serve(call, file, f"attachment; filename={file.name}")


def download_url(call: Call) -> Response:
    """Make a signed URL for an original delivery or a STAC asset."""
    asset_id = call.uuid("asset_id", "Asset")
    delivery = deliveries.delivery_of_file(call.world, asset_id)
    if delivery is None:
        raise not_found("Asset", asset_id)
    names = {row["id"]: row["name"] for row in deliveries.file_rows(call.world, delivery.asset_id).values()}
    return JSONResponse({"url": storage.signed_url(call.world.database.secret, call.origin, asset_id, names[asset_id])})


def _facts(world: World, delivery: Delivery) -> dict[str, Any]:
    """Return what filters and sorting look at, without making any file."""
    extracted = delivery.items_at <= world.now()
    facts = {
        "id": delivery.asset_id,
        "name": deliveries.file_rows(world, delivery.asset_id)["original"]["name"],
        "title": None,
        "orderId": delivery.order_id,
        "source": _SOURCE,
        "producerName": delivery.content["producer"],
        "collectionName": delivery.content["collection"],
        "tags": list(delivery.tags) if delivery.tags is not None else None,
        "geospatialMetadataExtractionStatus": "SUCCESSFUL" if extracted else "IN_PROGRESS",
    }
    return {key: value for key, value in facts.items() if key != "tags" or value is not None}


def _updated_at(world: World, delivery: Delivery) -> int:
    return delivery.items_at if delivery.items_at <= world.now() else delivery.visible_at


def _wanted(call: Call, delivery: Delivery) -> bool:
    facts = _facts(call.world, delivery)
    after, before = (_instant(name, call.query(name)) for name in ("createdAfter", "createdBefore"))
    created = clock.moment(delivery.visible_at)
    workspace_id, status = call.query("workspaceId"), call.query("geospatialMetadataExtractionStatus")
    if workspace_id is not None and not is_uuid(workspace_id):
        raise bad_request("workspaceId must be a UUID")
    if status is not None and status not in EXTRACTION_STATUSES:
        raise bad_request(f"geospatialMetadataExtractionStatus must be one of {list(EXTRACTION_STATUSES)}")
    text = (call.query("search") or "").lower()
    sources = [source for value in call.queries("sources") for source in value.split(",")]
    return (
        (after is None or created >= after)
        and (before is None or created <= before)
        and (workspace_id is None or workspace_id.lower() == account.WORKSPACE_ID)
        and (status is None or status == facts["geospatialMetadataExtractionStatus"])
        and any(text in str(facts[key] or "").lower() for key in ("name", "title", "orderId"))
        and _any_of(call.queries("collectionNames"), [facts["collectionName"]])
        and _any_of(call.queries("producerNames"), [facts["producerName"]])
        and _any_of(call.queries("tags"), delivery.tags or ())
        and _any_of(sources, [_SOURCE])
    )


def _any_of(wanted: list[str], present: list[str] | tuple[str, ...]) -> bool:
    return not wanted or not set(wanted).isdisjoint(present)


def _instant(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return clock.parse_instant(text)
    except ValueError as problem:
        raise bad_request(f"{name}: {problem}") from None


def _sort_key(world: World, field: str) -> Callable[[Delivery], Any]:
    if field == "size":
        return lambda delivery: deliveries.make_file(world, delivery, "original").size
    if field == "createdAt":
        return lambda delivery: delivery.visible_at
    if field == "updatedAt":
        return lambda delivery: _updated_at(world, delivery)
    return lambda delivery: str(_facts(world, delivery)[field] or "")


ROUTES: list[BaseRoute] = [
    route("/v2/assets", list_assets),
    route("/v2/assets/{asset_id}", download, ["GET", "HEAD"]),
    route("/v2/assets/{asset_id}/metadata", get_metadata),
    route("/v2/assets/{asset_id}/download-url", download_url, ["POST"]),
]
