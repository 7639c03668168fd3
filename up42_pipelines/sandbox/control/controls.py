"""The sandbox's own calls to steer it: what goes wrong, and what time it is. None of them is UP42's."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox.control import fault_rules
from up42_pipelines.sandbox.core.clock import SECOND, Clock, timestamp
from up42_pipelines.sandbox.core.database import Database
from up42_pipelines.sandbox.core.problems import bad_request
from up42_pipelines.sandbox.routing import Call, route
from up42_pipelines.sandbox.world import World

MOST_SECONDS_AHEAD = 100 * 365 * 86400
_AHEAD = "clock_ahead"


def open_clock(database: Database) -> Clock:
    """Return the clock of a state folder, as far ahead as it was left."""
    rows = database.rows("SELECT value FROM settings WHERE key = ?", (_AHEAD,))
    return Clock(int(rows[0]["value"]) if rows else 0)


def clock_as_json(world: World) -> dict[str, Any]:
    """Write down the world's time and how far it is ahead of the real one."""
    return {"now": timestamp(world.now()), "aheadSeconds": world.now.ahead / SECOND}


def get_clock(call: Call) -> Response:
    """Tell the time by which orders, deliveries and jobs live, and by how much it is ahead of the real one."""
    return JSONResponse(clock_as_json(call.world))


def advance_clock(call: Call) -> Response:
    """Let time pass at once: `advance` seconds, for good, also after a restart.

    Orders, deliveries, jobs and webhooks follow. Tokens and signed URLs stay on real time.
    """
    body = call.json_object()
    seconds = body.get("advance")
    if set(body) != {"advance"} or isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise bad_request('the body must be {"advance": seconds}, with seconds of 0 or more')
    world = call.world
    with world.database.transaction():
        if world.now.ahead / SECOND + seconds > MOST_SECONDS_AHEAD:
            raise bad_request(f"the clock can be at most {MOST_SECONDS_AHEAD} seconds ahead")
        by = round(seconds * SECOND)
        world.database.write("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_AHEAD, str(world.now.ahead + by)))
        world.now.advance(by)
    return get_clock(call)


def add_faults(call: Call) -> Response:
    """Let something go wrong: rules that are tried in their order, after those that are there.

    A rule has a `kind`; which requests it matches: `method`, `path` (a glob on the path without the query, `*` stands
    for slashes too); how often it applies: `times` (1; null for ever), `skip` (matches let through first),
    `probability` (drawn from the `seed`); and what belongs to its kind. All rules that match apply, up to the first
    one that replaces the answer (`drop_before`, `drop_after`, `unauthorized`, `status`, `expired_url`); those after it
    do not count the request. A restart forgets the rules.
    """
    call.world.faults.add(fault_rules.read(call.json_object()))
    return list_faults(call)


def list_faults(call: Call) -> Response:
    """List the rules with what is left of them, and the last thousand applications, oldest first."""
    return JSONResponse(call.world.faults.report())


def clear_faults(call: Call) -> Response:
    """Forget the rules, their log, and that ETags were changed."""
    call.world.faults.clear()
    return list_faults(call)


_FAULTS = {
    "faults": [
        {"kind": "status", "status": 503, "retry_after": 1, "path": "/v2/orders*", "times": 2},
        {"kind": "drop_after", "method": "POST", "path": "/v2/orders"},
        {"kind": "truncate", "bytes": 1000, "path": "/storage/*", "times": None, "probability": 0.2},
    ],
    "seed": 7,
}

ROUTES: list[BaseRoute] = [
    route("/sandbox/clock", get_clock, public=True),
    route("/sandbox/clock", advance_clock, ["POST"], public=True, example={"advance": 600}),
    route("/sandbox/faults", add_faults, ["POST"], public=True, example=_FAULTS),
    route("/sandbox/faults", list_faults, public=True),
    route("/sandbox/faults", clear_faults, ["DELETE"], public=True),
]
