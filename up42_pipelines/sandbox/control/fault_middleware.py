"""Where faults meet requests: a layer around the application. The sandbox's own calls are never hit."""

from __future__ import annotations

from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from up42_pipelines.sandbox.control.fault_effects import EFFECTS, changed_etag
from up42_pipelines.sandbox.control.faults import ENDING
from up42_pipelines.sandbox.world import World

OWN_PATHS = "/sandbox/"
_STAGES = (
    "list_lag",
    "no_range",
    "unknown_status",
    "extra_fields",
    "flip_byte",
    "truncate",
    "wrong_length",
    "slow",
    "delay",
)
"""In which order an answer passes the faults that apply to it: first what it says, then its length, then its pace."""


class FaultMiddleware:
    """Applies the rules of a world's fault book."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self._app, self._world = app, world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app, book = self._app, self._world.faults
        if scope["type"] == "http" and not scope["path"].startswith(OWN_PATHS):
            rules = book.meet_request(scope["method"], scope["path"], self._world.now())
            if changes := book.etag_changes(scope["path"]):
                app = partial(changed_etag, changes, app)
            for rule in sorted((rule for rule in rules if rule.kind in EFFECTS), key=lambda rule: _stage(rule.kind)):
                app = partial(EFFECTS[rule.kind], rule, app)
        await app(scope, receive, send)


def _stage(kind: str) -> int:
    return -1 if kind in ENDING else _STAGES.index(kind)
