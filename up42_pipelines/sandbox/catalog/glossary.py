"""Collections, data products and order forms (UP42 API reference, product glossary)."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox.catalog import offers, order_forms
from up42_pipelines.sandbox.core import paging
from up42_pipelines.sandbox.core.problems import Refused
from up42_pipelines.sandbox.routing import Call, route


def list_collections(call: Call) -> Response:
    """Page through the collections."""
    page = paging.page_request(call.query, sorts=("name", "title", "description", "type"), default_sort="name,asc")
    found = [collection.as_json() for collection in offers.collections(call.world)]
    if wanted := call.query("type"):
        found = [collection for collection in found if collection["type"] == wanted]
    if integrations := call.queries("integrations"):
        found = [collection for collection in found if set(integrations) <= set(collection["integrations"])]
    found.sort(key=lambda collection: (collection[page.sort_field], collection["name"]), reverse=page.descending)
    return JSONResponse(paging.spring_page(found[page.offset : page.offset + page.size], len(found), page))


def get_collection(call: Call) -> Response:
    """Return one collection; its 404 has a shape of its own."""
    name = call.name("name")
    for collection in offers.collections(call.world):
        if collection.name == name:
            return JSONResponse(collection.as_json())
    message = f"Collection with name {name} not found"
    raise Refused(404, message, body={"code": 404, "message": message, "details": None})


def get_schema(call: Call) -> Response:
    """Return the order form of a data product, bare."""
    product_id = call.uuid("product_id", "DataProduct")
    offer = offers.find(call.world, product_id)
    if offer is None:
        message = f"Data product {product_id} not found"
        raise Refused(404, message, body={"data": None, "error": {"code": 404, "message": message, "details": None}})
    return JSONResponse(order_forms.order_schema(offer))


ROUTES: list[BaseRoute] = [
    route("/v2/collections", list_collections, public=True, query=("page", "size", "sort", "type", "integrations")),
    route("/v2/collections/{name}", get_collection, public=True),
    route("/orders/schema/{product_id}", get_schema),
]
