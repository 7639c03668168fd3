"""What is to happen to the next orders and jobs, in place of chance. None of these calls is UP42's."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox.core.problems import bad_request
from up42_pipelines.sandbox.processing.job_life import Outcome
from up42_pipelines.sandbox.routing import Call, route
from up42_pipelines.sandbox.world import World

KINDS = {
    "order": ("fulfilled", "in_parts", "stumbles", "placement_failed", "failed", "untransformed", "unfinished"),
    "job": tuple(outcome.value for outcome in Outcome),
}
MAX_TIMES = 1000


def take(world: World, kind: str) -> str | None:
    """Use up the oldest fate that waits for an order or a job; inside the transaction that writes it."""
    rows = world.database.rows("SELECT number, fate FROM fates WHERE kind = ? ORDER BY number LIMIT 1", (kind,))
    if not rows:
        return None
    world.database.write("DELETE FROM fates WHERE number = ?", (rows[0]["number"],))
    return str(rows[0]["fate"])


def add_fates(call: Call) -> Response:
    """Decide what happens to the next orders or jobs, after those that were decided before."""
    body = call.json_object()
    if unknown := sorted(set(body) - {"kind", "fate", "times"}):
        raise bad_request(f"a fate has kind, fate and times, got {unknown}")
    kind, fate, times = body.get("kind"), body.get("fate"), body.get("times", 1)
    if not isinstance(kind, str) or kind not in KINDS:
        raise bad_request(f"kind must be one of {sorted(KINDS)}")
    if fate not in KINDS[kind]:
        raise bad_request(f"the fate of a {kind} must be one of {list(KINDS[kind])}")
    if type(times) is not int or not 1 <= times <= MAX_TIMES:
        raise bad_request(f"times must be a whole number from 1 to {MAX_TIMES}")
    with call.world.database.transaction():
        for _ in range(times):
            call.world.database.write("INSERT INTO fates (kind, fate) VALUES (?, ?)", (kind, fate))
    return list_fates(call)


def list_fates(call: Call) -> Response:
    """List the fates that still wait, oldest first."""
    rows = call.world.database.rows("SELECT kind, fate FROM fates ORDER BY number")
    return JSONResponse({"fates": [dict(row) for row in rows]})


def forget_fates(call: Call) -> Response:
    """Leave everything to chance again."""
    call.world.database.write("DELETE FROM fates")
    return list_fates(call)


ROUTES: list[BaseRoute] = [
    route("/sandbox/fates", add_fates, ["POST"], public=True, example={"kind": "order", "fate": "failed", "times": 1}),
    route("/sandbox/fates", list_fates, public=True),
    route("/sandbox/fates", forget_fates, ["DELETE"], public=True),
]
