"""The sandbox's own call for tests and people: everything that was ever bought, and what it cost."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox.account import accounting
from up42_pipelines.sandbox.core.clock import timestamp
from up42_pipelines.sandbox.ordering import order_book
from up42_pipelines.sandbox.routing import Call, route

_JOBS = """
SELECT j.*, (SELECT status FROM job_events WHERE job_id = j.id AND at <= :now ORDER BY at DESC, step DESC LIMIT 1)
  AS status FROM jobs j ORDER BY j.number
"""
Charges = Mapping[str, Sequence[Mapping[str, Any]]]


def show(call: Call) -> Response:
    """List every order and job with its price and its charges: the judge of double purchases. Not a call of UP42."""
    world = call.world
    with world.database.transaction():
        now = world.now()
        charges = accounting.charges(world, now)
        orders = [_order(row, charges) for row in order_book.everything(world, now)]
        jobs = [_job(row, charges) for row in world.database.rows(_JOBS, {"now": now})]
        return JSONResponse({"orders": orders, "jobs": jobs, "balance": accounting.balance(world, now).as_json()})


def _order(row: sqlite3.Row, charges: Charges) -> dict[str, Any]:
    details = json.loads(row["details"])
    return {
        "id": row["id"],
        "type": row["type"],
        "status": row["status"],
        "subStatus": row["sub_status"],
        "tags": None if row["tags"] is None else json.loads(row["tags"]),
        "displayName": row["display_name"],
        "dataProductId": row["product_id"],
        "sceneId": row["scene_id"],
        "geometry": details.get("aoi") or details.get("geometry"),
        "budgetId": row["budget_id"],
        "credits": row["credits"],
        "charges": charges.get(row["id"], []),
        "createdAt": timestamp(row["created_at"]),
    }


def _job(row: sqlite3.Row, charges: Charges) -> dict[str, Any]:
    return {
        "id": row["id"],
        "processId": row["process_id"],
        "title": json.loads(row["inputs"]).get("title"),
        "status": row["status"],
        "budgetId": row["budget_id"],
        "credits": row["credits"],
        "charges": charges.get(row["id"], []),
        "createdAt": timestamp(row["created_at"]),
    }


ROUTES: list[BaseRoute] = [route("/sandbox/ledger", show, public=True)]
