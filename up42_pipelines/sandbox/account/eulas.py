"""Licences of data products and processes: accepted from the start, until `POST /sandbox/access` says otherwise."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox.catalog import offers
from up42_pipelines.sandbox.core.problems import not_found
from up42_pipelines.sandbox.processing.processes import PROCESSES
from up42_pipelines.sandbox.routing import Call, route
from up42_pipelines.sandbox.world import World


def known_eulas(world: World) -> list[str]:
    """List the licences of everything on sale."""
    products = [product for collection in offers.collections(world) for product in collection.products]
    return [*(product.eula_id for product in products), *(process.eula_id for process in PROCESSES)]


def is_accepted(world: World, eula_id: str) -> bool:
    """Tell whether the account accepted a licence."""
    return not world.database.rows("SELECT 1 FROM refused_eulas WHERE id = ?", (eula_id,))


def decide(world: World, eula_id: str, *, accepted: bool) -> None:
    """Accept a licence, or take that back."""
    sql = "DELETE FROM refused_eulas WHERE id = ?" if accepted else "INSERT OR IGNORE INTO refused_eulas VALUES (?)"
    world.database.write(sql, (eula_id,))


def get_eula(call: Call) -> Response:
    """Say whether a licence is accepted."""
    eula_id = call.uuid("eula_id", "Eula")
    if eula_id not in known_eulas(call.world):
        raise not_found("Eula", eula_id)
    return JSONResponse({"id": eula_id, "isAccepted": is_accepted(call.world, eula_id)})


ROUTES: list[BaseRoute] = [route("/v2/eulas/{eula_id}", get_eula)]
