"""Budgets: which orders and jobs they pay for, and how much of them is used (UP42 API reference, budgets).

A limit always holds, for what was charged and what is set aside together; enforcement makes a budget mandatory.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox import listing
from up42_pipelines.sandbox.account import account, accounting
from up42_pipelines.sandbox.core import chance, paging
from up42_pipelines.sandbox.core.clock import timestamp
from up42_pipelines.sandbox.core.problems import Refused, bad_request, not_found
from up42_pipelines.sandbox.listing import Where
from up42_pipelines.sandbox.routing import Call, route
from up42_pipelines.sandbox.world import World

STATUSES = ("ACTIVE", "INACTIVE")
SORTS = {"updatedAt": "updated_at"}
FORM = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string", "minLength": 1, "maxLength": 200},
        "description": {"type": ["string", "null"]},
        "externalId": {"type": ["string", "null"]},
        "status": {"enum": STATUSES},
        "spendLimit": {"type": ["integer", "null"], "minimum": 0, "maximum": 10**12},
        "validityPeriod": {
            "type": ["object", "null"],
            "additionalProperties": False,
            "properties": {"startDate": {"type": "string"}, "endDate": {"type": "string"}},
            "required": ["startDate", "endDate"],
        },
    },
    "anyOf": [{"required": ["id"]}, {"required": ["name"]}],
}
"""What `save` takes, as JSON schema."""
_SETTING = "budget_enforcement"
_COLUMNS = {
    "name": "name",
    "description": "description",
    "externalId": "external_id",
    "status": "status",
    "spendLimit": "spend_limit",
}


def find(world: World, budget_id: str) -> sqlite3.Row:
    """Return the row of a budget.

    Raises:
        Refused: 404.
    """
    rows = world.database.rows("SELECT * FROM budgets WHERE id = ?", (budget_id.lower(),))
    if not rows:
        raise not_found("Budget", budget_id)
    return rows[0]


def check(world: World, budget_id: str | None, cost: int) -> None:
    """Stop what a budget does not pay for; inside the transaction that buys it.

    Args:
        world: the sandbox.
        budget_id: the budget that is to pay; None for none.
        cost: credits that would be added to those charged to it and set aside in it.

    Raises:
        Refused: 404, there is no such budget; 403, it is not active, its limit would be exceeded, or there is none
            although budgets are enforced.
    """
    if budget_id is None:
        if enforced(world):
            raise Refused(403, "Budget required", "budgets are enforced for this account: name a budgetId")
        return
    budget = find(world, budget_id)
    if budget["status"] != "ACTIVE":
        raise Refused(403, "Budget is not active", f"budget {budget['id']} is {budget['status']}")
    limit, taken = budget["spend_limit"], sum(accounting.used(world, budget["id"]))
    if limit is not None and taken + cost > limit:
        detail = f"this costs {cost} credits, {max(0, limit - taken)} of {limit} are left in budget {budget['id']}"
        raise Refused(403, "Budget exceeded", detail)


def save(world: World, wanted: Mapping[str, Any]) -> None:
    """Change the budget whose id is given, or add one; inside a transaction. What is not given stays as it is.

    Args:
        world: the sandbox.
        wanted: matches FORM.

    Raises:
        Refused: 404, there is no budget of this id.
    """
    columns = {column: wanted[key] for key, column in _COLUMNS.items() if key in wanted}
    if "validityPeriod" in wanted:
        period = wanted["validityPeriod"] or {}
        columns |= {"start_date": period.get("startDate"), "end_date": period.get("endDate")}
    now = world.now()
    if "id" in wanted:
        budget_id = find(world, wanted["id"])["id"]
    else:
        budget_id = str(uuid.uuid4())
        world.database.write(
            "INSERT INTO budgets (id, name, status, created_at, updated_at) VALUES (?, ?, 'ACTIVE', ?, ?)",
            (budget_id, wanted["name"], now, now),
        )
    changes = ", ".join(f"{column} = :{column}" for column in (*columns, "updated_at"))
    values = {**columns, "updated_at": now, "id": budget_id}
    world.database.write(" ".join(("UPDATE budgets SET", changes, "WHERE id = :id")), values)


def enforced(world: World) -> bool:
    """Tell whether orders and jobs must name a budget."""
    return bool(world.database.rows("SELECT 1 FROM settings WHERE key = ? AND value = 'true'", (_SETTING,)))


def enforce(world: World, *, wanted: bool) -> None:
    """Make budgets mandatory, or not."""
    world.database.write("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_SETTING, "true" if wanted else "false"))


def as_json(world: World, budget: sqlite3.Row, *, usage: bool) -> dict[str, Any]:
    """Write a budget as the API shows it; what it does not have is left out."""
    known = {
        "id": budget["id"],
        "name": budget["name"],
        "description": budget["description"],
        "externalId": budget["external_id"],
        "status": budget["status"],
        "spendLimit": budget["spend_limit"],
        "createdBy": account.WORKSPACE_ID,
        "createdAt": timestamp(budget["created_at"]),
        "updatedAt": timestamp(budget["updated_at"]),
    }
    if budget["start_date"] is not None:
        known["validityPeriod"] = {"startDate": budget["start_date"], "endDate": budget["end_date"]}
    if usage:
        consumed, _ = accounting.used(world, budget["id"])
        known["consumedCredits"] = consumed
        if limit := budget["spend_limit"]:
            known |= {"remainingCredits": limit - consumed, "usagePercentage": round(100 * consumed / limit, 2)}
    return {key: value for key, value in known.items() if value is not None}


def list_budgets(call: Call) -> Response:
    """Page through the budgets of the account."""
    page = paging.page_request(call.query, sorts=SORTS, default_sort="updatedAt,desc")
    usage = _include_usage(call)
    where = Where()
    where.any_of("status", listing.all_of("status", call.queries("status"), STATUSES))
    rows, total = listing.select_page(call.world, "budgets", where, SORTS, page)
    return JSONResponse(paging.spring_page([as_json(call.world, row, usage=usage) for row in rows], total, page))


def get_budget(call: Call) -> Response:
    """Return one budget."""
    budget = find(call.world, call.uuid("budget_id", "Budget"))
    return JSONResponse(as_json(call.world, budget, usage=_include_usage(call)))


def get_usage(call: Call) -> Response:
    """Return the credits that were charged to a budget."""
    budget = find(call.world, call.uuid("budget_id", "Budget"))
    consumed, _ = accounting.used(call.world, budget["id"])
    return JSONResponse({"budgetId": budget["id"], "consumedCredits": consumed})


def get_settings(call: Call) -> Response:
    """Say whether every order and job must name a budget."""
    settings = {"enforcementEnabled": enforced(call.world), "budgetSettingId": chance.name_uuid("budget-settings")}
    return JSONResponse(settings)


def _include_usage(call: Call) -> bool:
    """Read `includeUsage`; clients written in Python send True and False."""
    text = (call.query("includeUsage") or "false").lower()
    if text not in ("true", "false"):
        raise bad_request(f"includeUsage must be true or false, got {text[:50]!r}")
    return text == "true"


ROUTES: list[BaseRoute] = [
    route("/v2/budgets", list_budgets, query=("page", "size", "sort", "status", "includeUsage")),
    route("/v2/budgets/settings", get_settings),
    route("/v2/budgets/{budget_id}", get_budget, query=("includeUsage",)),
    route("/v2/budgets/{budget_id}/usage", get_usage),
]
