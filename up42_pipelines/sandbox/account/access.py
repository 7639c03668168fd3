"""What the account may buy: licences, restricted collections, credits and budgets; and how a test changes them.

The calls under /sandbox are not UP42's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import jsonschema
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox.account import account, accounting, budgets, eulas
from up42_pipelines.sandbox.catalog import offers
from up42_pipelines.sandbox.catalog.offers import Offer
from up42_pipelines.sandbox.core.problems import Refused, bad_request
from up42_pipelines.sandbox.routing import Call, route
from up42_pipelines.sandbox.world import World

_SWITCHES = {"type": "object", "additionalProperties": {"type": "boolean"}}
_FORM = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "eulas": _SWITCHES,
        "collections": _SWITCHES,
        "credits": {"type": "integer", "minimum": -(10**12), "maximum": 10**12},
        "budgetEnforcement": {"type": "boolean"},
        "budgets": {"type": "array", "items": budgets.FORM},
    },
}


def require(world: World, offer: Offer) -> None:
    """Stop the order of a data product that the account has no right to.

    Raises:
        Refused: 451, its collection is restricted or its licence not accepted.
    """
    name, eula_id = offer.collection.name, offer.product.eula_id
    if is_restricted(world, name):
        raise _legal(
            f"Access to collection {name} is restricted for account {account.ACCOUNT_ID}."
            " Request access to it in the console."
        )
    if not eulas.is_accepted(world, eula_id):
        raise _legal(f"EULA {eula_id} is not accepted. Accept it in the console, under settings/eula.")


def is_restricted(world: World, collection: str) -> bool:
    """Tell whether the account may not order from a collection."""
    return bool(world.database.rows("SELECT 1 FROM restricted_collections WHERE name = ?", (collection,)))


def restrict(world: World, collection: str, *, restricted: bool) -> None:
    """Close a collection to the account, or open it again."""
    sql = "INSERT OR IGNORE INTO restricted_collections VALUES (?)"
    world.database.write(sql if restricted else "DELETE FROM restricted_collections WHERE name = ?", (collection,))


def _legal(title: str) -> Refused:
    return Refused(451, title, body={"status": 451, "title": title, "detail": None})


def show(call: Call) -> Response:
    """Show licences, collections, credits and budgets."""
    world = call.world
    rows = world.database.rows("SELECT * FROM budgets ORDER BY number")
    return JSONResponse(
        {
            "eulas": {eula_id: eulas.is_accepted(world, eula_id) for eula_id in eulas.known_eulas(world)},
            "collections": {one.name: not is_restricted(world, one.name) for one in offers.collections(world)},
            "credits": accounting.balance(world).as_json(),
            "budgetEnforcement": budgets.enforced(world),
            "budgets": [budgets.as_json(world, row, usage=True) for row in rows],
        }
    )


def change(call: Call) -> Response:
    """Accept or refuse licences, open or restrict collections, add credits, change budgets: all of it or nothing."""
    world, body = call.world, call.json_object()
    problem = next(iter(jsonschema.Draft7Validator(_FORM).iter_errors(body)), None)
    if problem is not None:
        raise bad_request(f"{'/'.join(map(str, problem.absolute_path)) or 'the body'}: {problem.message[:300]}")
    allowed_eulas, open_collections = body.get("eulas", {}), body.get("collections", {})
    _demand_known("EULA", allowed_eulas, eulas.known_eulas(world))
    _demand_known("collection", open_collections, [collection.name for collection in offers.collections(world)])
    with world.database.transaction():
        for eula_id, accepted in allowed_eulas.items():
            eulas.decide(world, eula_id, accepted=accepted)
        for name, is_open in open_collections.items():
            restrict(world, name, restricted=not is_open)
        if credits := body.get("credits"):
            world.database.write(
                "INSERT INTO credits (at, amount, reason) VALUES (?, ?, 'changed by hand')", (world.now(), credits)
            )
        if "budgetEnforcement" in body:
            budgets.enforce(world, wanted=body["budgetEnforcement"])
        for budget in body.get("budgets", ()):
            budgets.save(world, budget)
    return show(call)


def _demand_known(kind: str, wanted: Iterable[str], known: Collection[str]) -> None:
    for name in wanted:
        if name not in known:
            raise bad_request(f"there is no {kind} {name[:100]!r}; GET /sandbox/access lists them")


ROUTES: list[BaseRoute] = [
    route("/sandbox/access", show, public=True),
    route(
        "/sandbox/access",
        change,
        ["POST"],
        public=True,
        example={"credits": -1000, "collections": {"sandbox-tasking": False}, "budgetEnforcement": True},
    ),
]
