"""Feasibility studies and quotations of tasking orders (UP42 API reference, tasking)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox import listing
from up42_pipelines.sandbox.account import account
from up42_pipelines.sandbox.core import paging
from up42_pipelines.sandbox.core.clock import timestamp
from up42_pipelines.sandbox.core.problems import bad_request
from up42_pipelines.sandbox.listing import Where
from up42_pipelines.sandbox.ordering import tasking_book
from up42_pipelines.sandbox.routing import Call, route

STUDY_SORTS = {"createdAt": "created_at", "updatedAt": "updated_at", "decisionAt": "decided_at"}
QUOTATION_SORTS = {**STUDY_SORTS, "creditsPrice": "credits"}
_STUDIES = """(
  SELECT *, coalesce(decided_at, created_at) AS updated_at,
    iif(decided_at IS NULL, 'NOT_DECIDED', 'ACCEPTED') AS decision FROM studies WHERE created_at <= :now)"""
_QUOTATIONS = """(
  SELECT *, coalesce(decided_at, created_at) AS updated_at FROM quotations WHERE created_at <= :now)"""
_QUERY = ("page", "size", "sort", "id", "workspaceId", "orderId", "decision")


def list_studies(call: Call) -> Response:
    """Page through the feasibility studies that are there."""
    return _page(call, _STUDIES, STUDY_SORTS, ("NOT_DECIDED", "ACCEPTED"), _study_json)


def decide_study(call: Call) -> Response:
    """Accept an option of a feasibility study. There is no rejecting."""
    study_id = call.name("study_id").lower()
    tasking_book.accept_option(call.world, study_id, call.json_object().get("acceptedOptionId"))
    return JSONResponse(_study_json(_one(call, _STUDIES, study_id)))


def list_quotations(call: Call) -> Response:
    """Page through the quotations that are there."""
    return _page(call, _QUOTATIONS, QUOTATION_SORTS, ("NOT_DECIDED", "ACCEPTED", "REJECTED"), _quotation_json)


def decide_quotation(call: Call) -> Response:
    """Accept a quotation, which spends its credits, or reject it, which ends the order."""
    quotation_id, decision = call.name("quotation_id").lower(), call.json_object().get("decision")
    if decision not in ("ACCEPTED", "REJECTED"):
        raise bad_request("decision must be ACCEPTED or REJECTED")
    tasking_book.decide_quotation(call.world, quotation_id, accepted=decision == "ACCEPTED")
    return JSONResponse(_quotation_json(_one(call, _QUOTATIONS, quotation_id)))


def _page(
    call: Call,
    source: str,
    sorts: Mapping[str, str],
    decisions: Sequence[str],
    write: Callable[[sqlite3.Row], dict[str, Any]],
) -> Response:
    page = paging.page_request(call.query, sorts=sorts, default_sort="createdAt,desc")
    where = Where()
    where.in_workspace(listing.uuid_or_none("workspaceId", call.query("workspaceId")))
    where.equal("id", listing.uuid_or_none("id", call.query("id")))
    where.equal("order_id", listing.uuid_or_none("orderId", call.query("orderId")))
    where.any_of("decision", listing.all_of("decision", call.queries("decision"), decisions))
    rows, total = listing.select_page(call.world, source, where, sorts, page)
    return JSONResponse(paging.spring_page([write(row) for row in rows], total, page))


def _one(call: Call, source: str, identifier: str) -> sqlite3.Row:
    sql = " ".join(("SELECT * FROM", source, "WHERE id = :id"))
    return call.world.database.rows(sql, {"now": call.world.now(), "id": identifier})[0]


def _study_json(row: sqlite3.Row) -> dict[str, Any]:
    created_at = timestamp(row["created_at"])
    options = [
        {
            "id": option["id"],
            "createdAt": created_at,
            "updatedAt": created_at,
            "studyId": row["id"],
            "description": option["description"],
        }
        for option in json.loads(row["options"])
    ]
    chosen = next((option for option in options if option["id"] == row["accepted_option_id"]), None)
    return {**_common_json(row), "type": "MANUAL", "options": options, "decisionOption": chosen}


def _quotation_json(row: sqlite3.Row) -> dict[str, Any]:
    return {**_common_json(row), "creditsPrice": row["credits"]}


def _common_json(row: sqlite3.Row) -> dict[str, Any]:
    decided = row["decided_at"] is not None
    return {
        "id": row["id"],
        "accountId": account.ACCOUNT_ID,
        "workspaceId": account.WORKSPACE_ID,
        "orderId": row["order_id"],
        "createdAt": timestamp(row["created_at"]),
        "updatedAt": timestamp(row["updated_at"]),
        "decision": row["decision"],
        "decisionById": account.WORKSPACE_ID if decided else None,
        "decisionByType": "USER" if decided else None,
        "decisionAt": timestamp(row["decided_at"]) if decided else None,
    }


# Studies moved from the older path in March 2025.
_STUDY_PATHS = ("/v2/tasking/feasibility-studies", "/v2/tasking/feasibility")
_ACCEPTANCE = {"acceptedOptionId": "2f6e8f2a-5b57-4a52-9d0e-9a4b9c2f7a10"}
ROUTES: list[BaseRoute] = [
    *(route(path, list_studies, query=_QUERY) for path in _STUDY_PATHS),
    *(route(f"{path}/{{study_id}}", decide_study, ["PATCH"], example=_ACCEPTANCE) for path in _STUDY_PATHS),
    route("/v2/tasking/quotation", list_quotations, query=_QUERY),
    route("/v2/tasking/quotation/{quotation_id}", decide_quotation, ["PATCH"], example={"decision": "ACCEPTED"}),
]
