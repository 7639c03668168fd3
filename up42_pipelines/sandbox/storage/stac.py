"""The STAC API over what was delivered (UP42 API reference, STAC over storage)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox import listing
from up42_pipelines.sandbox.account import account
from up42_pipelines.sandbox.core import paging
from up42_pipelines.sandbox.core.paging import Window
from up42_pipelines.sandbox.core.problems import not_found
from up42_pipelines.sandbox.routing import Call, route
from up42_pipelines.sandbox.storage import (
    delivered_files,
    deliveries,
    stac_links,
    stac_query,
    stac_shapes,
    user_metadata,
)
from up42_pipelines.sandbox.storage.deliveries import Delivery
from up42_pipelines.sandbox.storage.stac_links import GEOJSON, SCHEMA
from up42_pipelines.sandbox.storage.stac_query import StacQuery
from up42_pipelines.sandbox.storage.stac_shapes import ROOT

_ID_COLUMNS = {
    "id": "item_id",
    "collection": "collection_id",
    "asset_id": "asset_id",
    "order_id": "order_id",
    "job_id": "job_id",
}


def landing(call: Call) -> Response:
    """Return the root catalogue."""
    return JSONResponse(stac_shapes.landing_page(call.origin))


def conformance(call: Call) -> Response:  # noqa: ARG001 - every handler takes the call
    """List the conformance classes, as the root catalogue does."""
    return JSONResponse({"conformsTo": stac_shapes.CONFORMANCE})


def queryables(call: Call) -> Response:
    """List what a filter may name."""
    return JSONResponse(stac_shapes.queryables(call.origin), media_type=SCHEMA)


def list_collections(call: Call) -> Response:
    """Page through the collections, newest first."""
    found = deliveries.with_items(call.world)
    if listing.uuid_or_none("workspace_id", call.query("workspace_id")) not in (None, account.WORKSPACE_ID):
        found = []
    window = paging.token_window(found, call.query("token"), _limit(call), lambda delivery: delivery.collection_id)
    root = call.origin + ROOT
    here = f"{root}/collections"
    links = [*stac_links.trail(root, f"{root}/", here), *stac_links.pages(call, here, _tokens(window))]
    return JSONResponse(
        {"collections": [stac_shapes.collection(entry, call.origin) for entry in window.entries], "links": links}
    )


def get_collection(call: Call) -> Response:
    """Return one collection."""
    return JSONResponse(stac_shapes.collection(_delivery(call), call.origin))


def delete_collection(call: Call) -> Response:
    """Delete a collection with its item, its asset and their files; the order or job it came from stays."""
    delivered_files.remove(call.world, _delivery(call))
    return Response(status_code=204)


def list_items(call: Call) -> Response:
    """Page through the items of a collection; there is one."""
    delivery = _delivery(call)
    window = paging.token_window([delivery], call.query("token"), _limit(call), lambda entry: entry.item_id)
    root = call.origin + ROOT
    parent = f"{root}/collections/{delivery.collection_id}"
    return _feature_collection(call, window.entries, stac_links.trail(root, parent, f"{parent}/items", GEOJSON))


def get_item(call: Call) -> Response:
    """Return one item."""
    delivery = _delivery_of_item(call)
    files = deliveries.file_rows(call.world, delivery.asset_id)
    if not files:
        raise not_found("Item", delivery.item_id)
    return JSONResponse(stac_shapes.item(delivery, files, call.origin), media_type=GEOJSON)


def change_item(call: Call) -> Response:
    """Change the user's title and tags of an item: null clears, what is absent stays."""
    delivery = _delivery_of_item(call)
    changes = user_metadata.read(call.json_object(), title="up42-user:title", tags="up42-user:tags")
    deliveries.describe_item(call.world, delivery.asset_id, changes)
    return get_item(call)


def search(call: Call) -> Response:
    """Find items; the next page is the same search with a token."""
    body = stac_query.body_of(call.query) if call.request.method == "GET" else call.json_object()
    query = stac_query.read(body, stac_shapes.QUERYABLES)
    found = [
        delivery
        for delivery in deliveries.with_items(call.world, _demanded_ids(query))
        if query.matches(stac_shapes.view(delivery))
    ]
    found.sort(key=lambda delivery: query.position(stac_shapes.view(delivery)))
    window = paging.token_window(found, query.token, query.limit, lambda delivery: delivery.item_id)
    root = call.origin + ROOT
    here = f"{root}/search"
    links = stac_links.trail(root, f"{root}/", here, GEOJSON)
    return _feature_collection(call, window.entries, [*links, *stac_links.pages(call, here, _tokens(window), GEOJSON)])


def _demanded_ids(query: StacQuery) -> dict[str, Sequence[str]]:
    """Return the ids that a search demands, by column, so that not every delivery has to be looked at."""
    demanded = {column: query.demanded(name) for name, column in _ID_COLUMNS.items()}
    named = {"item_id": query.ids, "collection_id": query.collections}
    return {
        **{column: [value] for column, value in demanded.items() if value is not None},
        **{column: values for column, values in named.items() if values is not None},
    }


def _delivery(call: Call) -> Delivery:
    collection_id = call.uuid("collection_id", "Collection")
    delivery = deliveries.one(call.world, "collection_id", collection_id, gate="items_at")
    if delivery is None:
        raise not_found("Collection", collection_id)
    return delivery


def _delivery_of_item(call: Call) -> Delivery:
    delivery, item_id = _delivery(call), call.uuid("item_id", "Item")
    if delivery.item_id != item_id:
        raise not_found("Item", item_id)
    return delivery


def _feature_collection(call: Call, found: Sequence[Delivery], links: list[dict[str, Any]]) -> Response:
    files = [(delivery, deliveries.file_rows(call.world, delivery.asset_id)) for delivery in found]
    # Without files it was removed meanwhile.
    features = [stac_shapes.item(delivery, rows, call.origin) for delivery, rows in files if rows]
    return JSONResponse({"type": "FeatureCollection", "features": features, "links": links}, media_type=GEOJSON)


def _limit(call: Call) -> int:
    text = call.query("limit")
    return stac_query.read_limit(None if text is None else paging.whole_number("limit", text, 0))


def _tokens(window: Window[Delivery]) -> dict[str, str | None]:
    return {"next": window.next_token, "prev": window.prev_token}


_COLLECTION, _ITEM = f"{ROOT}/collections/{{collection_id}}", f"{ROOT}/collections/{{collection_id}}/items/{{item_id}}"
_EXAMPLE = {
    "limit": 50,
    "filter": {"op": "=", "args": [{"property": "order_id"}, "00000000-0000-4000-8000-000000000000"]},
}
ROUTES: list[BaseRoute] = [
    route(ROOT, landing),
    route(f"{ROOT}/", landing),
    route(f"{ROOT}/conformance", conformance),
    route(f"{ROOT}/queryables", queryables),
    route(f"{ROOT}/collections", list_collections, query=("workspace_id", "limit", "token")),
    route(_COLLECTION, get_collection),
    route(_COLLECTION, delete_collection, ["DELETE"]),
    route(f"{_COLLECTION}/items", list_items, query=("limit", "token")),
    route(_ITEM, get_item),
    route(_ITEM, change_item, ["PATCH"], example={"up42-user:title": "Harbour", "up42-user:tags": ["harbour"]}),
    route(f"{ROOT}/search", search, query=stac_query.PARAMETERS),
    route(f"{ROOT}/search", search, ["POST"], example=_EXAMPLE),
]
