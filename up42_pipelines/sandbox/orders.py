"""The order calls: estimate, place, list, read, tag, cancel (UP42 API reference, orders)."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox import account, order_book, order_input, paging
from up42_pipelines.sandbox.lifecycle import CANCELABLE, Status
from up42_pipelines.sandbox.order_input import Failure, Line
from up42_pipelines.sandbox.problems import Refused, bad_request, not_found
from up42_pipelines.sandbox.routing import Call, is_uuid, route

ORDER_TYPES = ("ARCHIVE", "TASKING")
SUB_STATUSES = (
    "FEASIBILITY_WAITING_UPLOAD",
    "FEASIBILITY_WAITING_RESPONSE",
    "QUOTATION_WAITING_UPLOAD",
    "QUOTATION_WAITING_RESPONSE",
    "QUOTATION_ACCEPTED",
    "QUOTATION_REJECTED",
)


def estimate(call: Call) -> Response:
    """Price an order; nothing is bought."""
    order = order_input.read(call.json_object(), call.world)
    lines = order_input.lines(order, call.world)
    priced = [line for line in lines if isinstance(line, Line)]
    unit = order.product.unit
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
            "errors": [line.as_json() for line in lines if isinstance(line, Failure)],
        }
    )


def place(call: Call) -> Response:
    """Place one order per feature. They are all on the disk before the answer leaves."""
    workspace_id = call.query("workspaceId")
    if not is_uuid(workspace_id):
        raise bad_request("workspaceId must be a UUID")
    if str(workspace_id).lower() != account.WORKSPACE_ID:
        raise Refused(403, "Forbidden", f"this account has no access to workspace {workspace_id}")
    order = order_input.read(call.json_object(), call.world)
    lines = order_input.lines(order, call.world)
    wanted = [line for line in lines if isinstance(line, Line)]
    names = order_input.display_names(order)
    with call.world.database.transaction():
        cost = sum(line.credits for line in wanted)
        order_input.refuse_if_poor(cost, order_book.available_credits(call.world, reserved=True))
        results = [
            {"index": line.index, "id": order_book.place(call.world, order, line, names[line.index])} for line in wanted
        ]
    errors = [line.as_json() for line in lines if isinstance(line, Failure)]
    return JSONResponse({"results": results, "errors": errors}, status_code=201 if results else 200)


def list_orders(call: Call) -> Response:
    """Page through the orders of the account."""
    page = paging.page_request(call.query, sorts=order_book.SORTS, default_sort="createdAt,desc")
    wanted = order_book.OrderFilter(
        workspace_id=_uuid_or_none("workspaceId", call.query("workspaceId")),
        type=_one_of("type", call.query("type"), ORDER_TYPES),
        statuses=_all_of("status", call.queries("status"), [status.value for status in Status]),
        sub_statuses=_all_of("subStatus", call.queries("subStatus"), SUB_STATUSES),
        display_name=call.query("displayName"),
        tags=call.queries("tags"),
        budget_ids=_uuids("budgetIds", call.queries("budgetIds")),
        order_ids=_uuids("orderIds", call.queries("orderIds")),
    )
    content, total = order_book.page(call.world, wanted, page)
    return JSONResponse(paging.spring_page(content, total, page))


def get_order(call: Call) -> Response:
    """Return one order."""
    return JSONResponse(_order(call))


def patch_order(call: Call) -> Response:
    """Change tags (JSON merge patch); an absent key stays as it is. There are no budgets to attach."""
    order = _order(call)
    if call.request.headers.get("content-type", "").partition(";")[0].strip() != "application/merge-patch+json":
        raise Refused(415, "Unsupported Media Type", "Content-Type must be application/merge-patch+json")
    body = call.json_object()
    if unknown := sorted(set(body) - {"tags", "budgetId"}):
        raise bad_request(f"only tags and budgetId can be changed, got {unknown}")
    if body.get("budgetId") is not None:
        raise not_found("Budget", str(body["budgetId"]))
    tags = order_input.read_tags(body)
    if tags is not None:
        order_book.patch_tags(call.world, order["id"], tags)
    return JSONResponse(_order(call))


def cancel_order(call: Call) -> Response:
    """Cancel an order that has not reached the provider."""
    order_id = call.uuid("order_id", "Order")
    status = order_book.cancel(call.world, order_id)
    if status is None:
        raise not_found("Order", order_id)
    if status not in CANCELABLE:
        raise Refused(409, "Order cannot be canceled.", f"order {order_id} is {status}")
    return JSONResponse({"orderId": order_id, "status": Status.CANCELED})


def _order(call: Call) -> dict[str, Any]:
    order_id = call.uuid("order_id", "Order")
    order = order_book.get(call.world, order_id)
    if order is None:
        raise not_found("Order", order_id)
    return order


def _uuid_or_none(name: str, value: str | None) -> str | None:
    if value is not None and not is_uuid(value):
        raise bad_request(f"{name} must be a UUID, got {value[:50]!r}")
    return value


def _uuids(name: str, values: list[str]) -> list[str]:
    found = [part.strip() for value in values for part in value.split(",") if part.strip()]
    for part in found:
        _uuid_or_none(name, part)
    return found


def _one_of(name: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    return None if value is None else _all_of(name, [value], allowed)[0]


def _all_of(name: str, values: list[str], allowed: tuple[str, ...] | list[str]) -> list[str]:
    for value in values:
        if value not in allowed:
            raise bad_request(f"{name} must be one of {list(allowed)}, got {value[:50]!r}")
    return values


ROUTES: list[BaseRoute] = [
    route("/v2/orders/estimate", estimate, ["POST"]),
    route("/v2/orders", place, ["POST"]),
    route("/v2/orders", list_orders),
    route("/v2/orders/{order_id}", get_order),
    route("/v2/orders/{order_id}", patch_order, ["PATCH"]),
    route("/v2/orders/{order_id}/cancellation", cancel_order, ["POST"]),
]
