"""The STAC API over what was delivered (UP42 API reference, STAC over storage)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox import account, deliveries, paging, stac_query, stac_shapes
from up42_pipelines.sandbox.deliveries import Delivery
from up42_pipelines.sandbox.paging import Window
from up42_pipelines.sandbox.problems import bad_request, not_found
from up42_pipelines.sandbox.routing import Call, is_uuid, route
from up42_pipelines.sandbox.stac_shapes import ROOT

_GEOJSON = "application/geo+json"


def landing(call: Call) -> Response:
    """Return the root catalogue."""
    return JSONResponse(stac_shapes.landing_page(call.origin))


def queryables(call: Call) -> Response:
    """List what a filter may name."""
    return JSONResponse(stac_shapes.queryables(call.origin), media_type="application/schema+json")


def list_collections(call: Call) -> Response:
    """Page through the collections, newest first."""
    found = deliveries.with_items(call.world)
    workspace_id = call.query("workspace_id")
    if workspace_id is not None:
        if not is_uuid(workspace_id):
            raise bad_request("workspace_id must be a UUID")
        found = found if workspace_id.lower() == account.WORKSPACE_ID else []
    window = paging.token_window(found, call.query("token"), _limit(call), lambda delivery: delivery.collection_id)
    here = f"{call.origin}{ROOT}/collections"
    links = [
        *_upward(call, f"{call.origin}{ROOT}/", here),
        *_token_links(here, window, _limit(call), "application/json", workspace_id),
    ]
    return JSONResponse({"collections": [_collection(call, delivery) for delivery in window.entries], "links": links})


def get_collection(call: Call) -> Response:
    """Return one collection."""
    return JSONResponse(_collection(call, _delivery(call)))


def list_items(call: Call) -> Response:
    """Page through the items of a collection; there is one."""
    delivery = _delivery(call)
    window = paging.token_window([delivery], call.query("token"), _limit(call), lambda entry: entry.item_id)
    parent = f"{call.origin}{ROOT}/collections/{delivery.collection_id}"
    links = _upward(call, parent, f"{parent}/items")
    return _feature_collection(call, window.entries, links)


def get_item(call: Call) -> Response:
    """Return one item."""
    delivery, item_id = _delivery(call), call.uuid("item_id", "Item")
    if delivery.item_id != item_id:
        raise not_found("Item", item_id)
    return JSONResponse(_item(call, delivery), media_type=_GEOJSON)


def search(call: Call) -> Response:
    """Find items; the next page is the same body with a token."""
    body = call.json_object()
    query = stac_query.read(body)
    candidates = deliveries.with_items(call.world, stac_query.ids_in(body.get("filter")))
    found = [delivery for delivery in candidates if query.matches(delivery)]
    window = paging.token_window(
        stac_query.arrange(found, query), query.token, query.limit, lambda delivery: delivery.item_id
    )
    here = f"{call.origin}{ROOT}/search"
    links = _upward(call, f"{call.origin}{ROOT}/", here)
    for rel, token in (("next", window.next_token), ("prev", window.prev_token)):
        if token is not None:
            again = {**body, "token": token}
            links.append({"rel": rel, "type": "application/json", "method": "POST", "href": here, "body": again})
    return _feature_collection(call, window.entries, links)


def _delivery(call: Call) -> Delivery:
    collection_id = call.uuid("collection_id", "Collection")
    delivery = deliveries.one(call.world, "collection_id", collection_id, gate="items_at")
    if delivery is None:
        raise not_found("Collection", collection_id)
    return delivery


def _collection(call: Call, delivery: Delivery) -> dict[str, Any]:
    original = deliveries.file_rows(call.world, delivery.asset_id)["original"]
    return stac_shapes.collection(delivery, original, call.origin)


def _item(call: Call, delivery: Delivery) -> dict[str, Any]:
    return stac_shapes.item(delivery, deliveries.file_rows(call.world, delivery.asset_id), call.origin)


def _feature_collection(call: Call, found: Sequence[Delivery], links: list[dict[str, Any]]) -> Response:
    features = [_item(call, delivery) for delivery in found]
    return JSONResponse({"type": "FeatureCollection", "features": features, "links": links}, media_type=_GEOJSON)


def _limit(call: Call) -> int:
    text = call.query("limit")
    return stac_query.read_limit(None if text is None else paging.whole_number("limit", text, 0))


def _upward(call: Call, parent: str, here: str) -> list[dict[str, Any]]:
    return [
        {"rel": rel, "type": "application/json", "href": href}
        for rel, href in (("root", f"{call.origin}{ROOT}/"), ("parent", parent), ("self", here))
    ]


def _token_links(
    here: str, window: Window[Delivery], limit: int, media_type: str, workspace_id: str | None
) -> list[dict[str, Any]]:
    extra = "" if workspace_id is None else f"&workspace_id={workspace_id}"
    return [
        {"rel": rel, "type": media_type, "method": "GET", "href": f"{here}?limit={limit}&token={quote(token)}{extra}"}
        for rel, token in (("next", window.next_token), ("prev", window.prev_token))
        if token is not None
    ]


ROUTES: list[BaseRoute] = [
    route(ROOT, landing),
    route(f"{ROOT}/", landing),
    route(f"{ROOT}/queryables", queryables),
    route(f"{ROOT}/collections", list_collections),
    route(f"{ROOT}/collections/{{collection_id}}", get_collection),
    route(f"{ROOT}/collections/{{collection_id}}/items", list_items),
    route(f"{ROOT}/collections/{{collection_id}}/items/{{item_id}}", get_item),
    route(f"{ROOT}/search", search, ["POST"]),
]
