"""The order calls: estimate, place, list, read, tag and charge to a budget, cancel (UP42 API reference, orders)."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox import listing
from up42_pipelines.sandbox.account import access, account, accounting, budgets
from up42_pipelines.sandbox.catalog import products
from up42_pipelines.sandbox.core import paging
from up42_pipelines.sandbox.core.problems import Refused, bad_request, not_found
from up42_pipelines.sandbox.ordering import lifecycle, order_book, order_input, tasking_book
from up42_pipelines.sandbox.ordering.lifecycle import Status, SubStatus
from up42_pipelines.sandbox.ordering.order_input import Failure, Line, OrderInput, Task
from up42_pipelines.sandbox.routing import Call, is_uuid, route

ORDER_TYPES = ("ARCHIVE", "TASKING")


def estimate(call: Call) -> Response:
    """Price an order; nothing is bought."""
    order = order_input.read(call.json_object(), call.world)
    lines = order_input.lines(order, call.world)
    priced = [line for line in lines if isinstance(line, Line)]
    failures = [
        _without_price(line) if isinstance(line, Task) else line for line in lines if not isinstance(line, Line)
    ]
    unit = order.offer.product.unit
    return JSONResponse(
        {
            "summary": {
                "totalCredits": sum(line.credits for line in priced),
                "totalSize": round(sum(line.size for line in priced), 4),
                "unit": unit,
            },
            "results": [
                {"index": line.index, "credits": line.credits, "size": line.size, "unit": unit} for line in priced
            ],
            "errors": [failure.as_json() for failure in failures],
        }
    )


def _without_price(task: Task) -> Failure:
    details = "a tasking order gets its price from its quotation, once an option of its feasibility study is accepted"
    return Failure(task.index, "Price estimation is not available", details)


def place(call: Call) -> Response:
    """Place one order per feature. They are all committed before the answer leaves."""
    workspace_id = call.query("workspaceId")
    if not is_uuid(workspace_id):
        raise bad_request("workspaceId must be a UUID")
    if str(workspace_id).lower() != account.WORKSPACE_ID:
        raise Refused(403, "Forbidden", f"this account has no access to workspace {workspace_id}")
    world = call.world
    order = order_input.read(call.json_object(), world)
    access.require(world, order.offer)
    lines = order_input.lines(order, world)
    failures = [line for line in lines if isinstance(line, Failure)]
    with world.database.transaction():
        cost = sum(line.credits for line in lines if isinstance(line, Line))
        accounting.require(world, cost)
        budgets.check(world, order.budget_id, cost)
        names = zip(lines, order_input.display_names(order), strict=True)
        results = [
            {"index": line.index, "id": _write(call, order, line, name)}
            for line, name in names
            if not isinstance(line, Failure)
        ]
    errors = [failure.as_json() for failure in failures]
    return JSONResponse({"results": results, "errors": errors}, status_code=201 if results else 200)


def _write(call: Call, order: OrderInput, line: Line | Task, name: str) -> str:
    if isinstance(line, Line):
        return order_book.place(call.world, order, line, name)
    return tasking_book.place(call.world, order, line, name)


def list_orders(call: Call) -> Response:
    """Page through the orders of the account."""
    page = paging.page_request(call.query, sorts=order_book.SORTS, default_sort="createdAt,desc")
    wanted = order_book.OrderFilter(
        workspace_id=listing.uuid_or_none("workspaceId", call.query("workspaceId")),
        types=listing.all_of("type", call.queries("type"), ORDER_TYPES),
        statuses=listing.all_of("status", call.queries("status"), list(Status)),
        sub_statuses=listing.all_of("subStatus", call.queries("subStatus"), list(SubStatus)),
        display_name=call.query("displayName"),
        tags=call.queries("tags"),
        budget_ids=listing.uuids("budgetIds", call.queries("budgetIds")),
        order_ids=listing.uuids("orderIds", call.queries("orderIds")),
        placed_until=call.world.now() - call.list_lag,
    )
    content, total = order_book.page(call.world, wanted, page)
    return JSONResponse(paging.spring_page(content, total, page))


def get_order(call: Call) -> Response:
    """Return one order."""
    return JSONResponse(_order(call))


def patch_order(call: Call) -> Response:
    """Change tags or budget (JSON merge patch); an absent key stays as it is, a budget of null detaches it."""
    order = _order(call)
    if call.request.headers.get("content-type", "").partition(";")[0].strip() != "application/merge-patch+json":
        raise Refused(415, "Unsupported Media Type", "Content-Type must be application/merge-patch+json")
    body = call.json_object()
    if unknown := sorted(set(body) - {"tags", "budgetId"}):
        raise bad_request(f"only tags and budgetId can be changed, got {unknown}")
    changes: dict[str, Any] = {}
    if "tags" in body:
        changes["tags"] = order_input.read_tags(body)
    if "budgetId" in body:
        changes["budget_id"] = order_input.read_budget(body, call.world)
    with call.world.database.transaction():
        order_book.patch(call.world, order["id"], changes)
    return JSONResponse(_order(call))


def cancel_order(call: Call) -> Response:
    """Cancel an order that has not reached the provider, a tasking order until its quotation is accepted."""
    order_id = call.uuid("order_id", "Order")
    order = order_book.cancel(call.world, order_id)
    if order is None:
        raise not_found("Order", order_id)
    if not lifecycle.is_cancelable(order["status"], order["sub_status"]):
        state = ", ".join(filter(None, (order["status"], order["sub_status"])))
        raise Refused(409, "Order cannot be canceled.", f"order {order_id} is {state}")
    return JSONResponse({"orderId": order_id, "status": Status.CANCELED})


def _order(call: Call) -> dict[str, Any]:
    order_id = call.uuid("order_id", "Order")
    order = order_book.get(call.world, order_id)
    if order is None:
        raise not_found("Order", order_id)
    return order


_AREA = [[[13.36, 52.5], [13.39, 52.5], [13.39, 52.51], [13.36, 52.51], [13.36, 52.5]]]
_FEATURE = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": _AREA}}
EXAMPLE = {
    "dataProduct": products.OPTICAL.products[0].id,
    "displayName": "Harbour watch",
    "params": {"id": "SBX_20260601T102251_R570C0773A"},
    "featureCollection": {"type": "FeatureCollection", "features": [_FEATURE]},
    "tags": ["harbour", "run-7"],
}
ROUTES: list[BaseRoute] = [
    route("/v2/orders/estimate", estimate, ["POST"], example=EXAMPLE),
    route("/v2/orders", place, ["POST"], query=("workspaceId",), example=EXAMPLE),
    route(
        "/v2/orders",
        list_orders,
        query=(
            "page",
            "size",
            "sort",
            "workspaceId",
            "type",
            "status",
            "subStatus",
            "displayName",
            "tags",
            "budgetIds",
            "orderIds",
        ),
    ),
    route("/v2/orders/{order_id}", get_order),
    route("/v2/orders/{order_id}", patch_order, ["PATCH"], example={"tags": ["harbour"], "budgetId": None}),
    route("/v2/orders/{order_id}/cancellation", cancel_order, ["POST"]),
]
