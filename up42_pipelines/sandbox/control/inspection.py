"""The account's balance, and the sandbox's sign of life."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines import __version__
from up42_pipelines.sandbox.account import accounting
from up42_pipelines.sandbox.control import controls
from up42_pipelines.sandbox.routing import Call, route


def balance(call: Call) -> Response:
    """Return the credits of the account; what is only set aside for open orders and jobs still belongs to it."""
    return JSONResponse({"available": {"amount": accounting.balance(call.world).balance, "unit": "CREDIT"}})


def health(call: Call) -> Response:
    """Say that the sandbox answers, of which version it is, and what time it has. Not a call of UP42."""
    return JSONResponse({"status": "ok", "version": __version__, "clock": controls.clock_as_json(call.world)})


ROUTES: list[BaseRoute] = [
    route("/v2/payments/balances", balance),
    route("/sandbox/health", health, public=True),
]
