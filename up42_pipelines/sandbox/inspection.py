"""Balance, and the sandbox's own calls for tests and people: what was bought, is it alive."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox import order_book
from up42_pipelines.sandbox.routing import Call, route


def balance(call: Call) -> Response:
    """Return the credits of the account; an archive order is charged when it is fulfilled."""
    amount = order_book.available_credits(call.world, reserved=False)
    return JSONResponse({"available": {"amount": amount, "unit": "CREDIT"}})


def ledger(call: Call) -> Response:
    """List every order ever placed: the judge of double purchases. Not a call of UP42."""
    return JSONResponse({"orders": order_book.ledger(call.world)})


def health(call: Call) -> Response:  # noqa: ARG001 - every handler takes the call
    """Say that the sandbox answers. Not a call of UP42."""
    return JSONResponse({"status": "ok"})


ROUTES: list[BaseRoute] = [
    route("/v2/payments/balances", balance),
    route("/sandbox/ledger", ledger, public=True),
    route("/sandbox/health", health, public=True),
]
