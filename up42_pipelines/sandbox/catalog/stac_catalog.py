"""The STAC API over the scenes on sale (UP42 API reference, new STAC catalogue)."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox.catalog import scene_pages, scene_shapes
from up42_pipelines.sandbox.catalog.products import Collection
from up42_pipelines.sandbox.catalog.scene_shapes import QUERYABLES, ROOT
from up42_pipelines.sandbox.core.problems import not_found
from up42_pipelines.sandbox.routing import Call, route
from up42_pipelines.sandbox.storage import stac_links, stac_query
from up42_pipelines.sandbox.storage.stac_links import GEOJSON, SCHEMA
from up42_pipelines.sandbox.storage.stac_query import StacQuery

_OF_ITEMS = ("bbox", "datetime", "limit", "token")


def landing(call: Call) -> Response:
    """Return the root catalogue."""
    collections = [source.collection for source in call.world.sources]
    return JSONResponse(scene_shapes.landing_page(call.origin, collections))


def conformance(call: Call) -> Response:  # noqa: ARG001 - every handler takes the call
    """List the conformance classes, as the root catalogue does."""
    return JSONResponse({"conformsTo": scene_shapes.CONFORMANCE})


def queryables(call: Call) -> Response:
    """List what a filter may name."""
    return JSONResponse(scene_shapes.queryables(call.origin + call.path, "Sandbox catalogue"), media_type=SCHEMA)


def collection_queryables(call: Call) -> Response:
    """List what a filter may name, for one collection."""
    return JSONResponse(scene_shapes.queryables(call.origin + call.path, _collection(call).title), media_type=SCHEMA)


def list_collections(call: Call) -> Response:
    """List all collections."""
    root = call.origin + ROOT
    collections = [scene_shapes.collection(source.collection, call.origin) for source in call.world.sources]
    links = stac_links.trail(root, f"{root}/", f"{root}/collections")
    return JSONResponse({"collections": collections, "links": links})


def get_collection(call: Call) -> Response:
    """Return one collection."""
    return JSONResponse(scene_shapes.collection(_collection(call), call.origin))


def list_items(call: Call) -> Response:
    """Page through the items of a collection, newest first."""
    name = _collection(call).name
    given = stac_query.body_of(lambda key: call.query(key) if key in _OF_ITEMS else None)
    query = stac_query.read({**given, "collections": [name]}, QUERYABLES)
    parent = f"{call.origin}{ROOT}/collections/{name}"
    return _answer(call, query, parent, f"{parent}/items")


def get_item(call: Call) -> Response:
    """Return one item."""
    name, scene_id = _collection(call).name, call.name("item_id")
    scene = scene_pages.visible(call.world, scene_id)
    if scene is None or scene.collection != name:
        raise not_found("Item", scene_id)
    return JSONResponse(scene_shapes.item(scene, call.origin), media_type=GEOJSON)


def search(call: Call) -> Response:
    """Find items, newest first unless another order is asked for; the next page is the same search with a token."""
    body = stac_query.body_of(call.query) if call.request.method == "GET" else call.json_object()
    root = call.origin + ROOT
    return _answer(call, stac_query.read(body, QUERYABLES), f"{root}/", f"{root}/search")


def _answer(call: Call, query: StacQuery, parent: str, here: str) -> Response:
    page, token = scene_pages.find(call.world, query)
    links = stac_links.trail(call.origin + ROOT, parent, here, GEOJSON)
    return JSONResponse(
        {
            "type": "FeatureCollection",
            "features": [scene_shapes.item(scene, call.origin) for scene in page],
            "links": [*links, *stac_links.pages(call, here, {"next": token}, GEOJSON)],
        },
        media_type=GEOJSON,
    )


def _collection(call: Call) -> Collection:
    name = call.name("collection_id")
    for source in call.world.sources:
        if source.collection.name == name:
            return source.collection
    raise not_found("Collection", name)


_COLLECTION = f"{ROOT}/collections/{{collection_id}}"
_EXAMPLE = {
    "collections": ["sandbox-optical"],
    "bbox": [13.3, 52.4, 13.5, 52.6],
    "datetime": "2026-06-01T00:00:00Z/2026-06-30T23:59:59Z",
    "filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]},
    "limit": 50,
}
ROUTES: list[BaseRoute] = [
    route(ROOT, landing),
    route(f"{ROOT}/", landing),
    route(f"{ROOT}/conformance", conformance),
    route(f"{ROOT}/queryables", queryables),
    route(f"{ROOT}/collections", list_collections),
    route(_COLLECTION, get_collection),
    route(f"{_COLLECTION}/queryables", collection_queryables),
    route(f"{_COLLECTION}/items", list_items, query=_OF_ITEMS),
    route(f"{_COLLECTION}/items/{{item_id}}", get_item),
    route(f"{ROOT}/search", search, query=stac_query.PARAMETERS),
    route(f"{ROOT}/search", search, ["POST"], example=_EXAMPLE),
]
