"""The processing calls: what is offered, validation, cost, execution, jobs (UP42 API reference, processing)."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import astuple
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox import listing
from up42_pipelines.sandbox.account import account, accounting, budgets, eulas
from up42_pipelines.sandbox.control import fates
from up42_pipelines.sandbox.core import paging
from up42_pipelines.sandbox.core.paging import MAX_PAGE_SIZE
from up42_pipelines.sandbox.core.problems import Refused, bad_request, not_found
from up42_pipelines.sandbox.processing import job_book, job_life, process_input, processes
from up42_pipelines.sandbox.processing.job_book import JobFilter, Place
from up42_pipelines.sandbox.processing.job_life import Outcome, Status
from up42_pipelines.sandbox.processing.process_input import JobInput
from up42_pipelines.sandbox.processing.processes import PROCESSES, Process
from up42_pipelines.sandbox.routing import Call, is_uuid, route
from up42_pipelines.sandbox.world import World

ROOT = "/v2/processing"
DEFAULT_LIMIT = 20
_MAX_INTEGER = 2**63


def list_processes(call: Call) -> Response:
    """List the processes."""
    here = f"{call.origin}{ROOT}/processes"
    links = [{"rel": "self", "type": "application/json", "href": here}]
    return JSONResponse({"processes": [process.summary(call.origin) for process in PROCESSES], "links": links})


def get_process(call: Call) -> Response:
    """Describe one process: its inputs, licence and price."""
    return JSONResponse(_process(call).as_json(call.origin))


def validate(call: Call) -> Response:
    """Check the inputs of a job; an empty answer means that they are right."""
    _input(call).require_sense()
    return Response(status_code=200)


def cost(call: Call) -> Response:
    """Price a job; nothing is executed."""
    job = _input(call)
    job.require_sense()
    return JSONResponse(job.cost)


def execute(call: Call) -> Response:
    """Start a job. A licence that is not accepted, wrong inputs and too few credits end it early."""
    workspace_id, budget_id = call.query("workspaceId"), listing.uuid_or_none("budgetId", call.query("budgetId"))
    if not is_uuid(workspace_id):
        raise bad_request("workspaceId must be a UUID")
    if str(workspace_id).lower() != account.WORKSPACE_ID:
        raise Refused(403, "Forbidden", f"this account has no access to workspace {workspace_id}")
    job = _input(call)
    credits = job.cost["totalCredits"]
    with call.world.database.transaction():
        budgets.check(call.world, budget_id, credits)
        decided_by = job_book.lot(call.world, job)
        outcome = _outcome(call.world, job, credits, decided_by)
        job_id = job_book.add(call.world, job, outcome, decided_by, credits=credits, budget_id=budget_id)
    return JSONResponse(job_book.get(call.world, job_id, call.origin), status_code=201)


def _outcome(world: World, job: JobInput, credits: int, decided_by: tuple[object, ...]) -> Outcome:
    """Decide what will become of a job: what is wrong with it goes before its fate, and that before chance."""
    fate = fates.take(world, "job")
    if not eulas.is_accepted(world, job.process.eula_id):
        return Outcome.UNLICENSED
    if job.problems:
        return Outcome.INVALID
    if credits and credits > accounting.balance(world).available:
        return Outcome.REJECTED
    return job_life.outcome_by_chance(decided_by) if fate is None else Outcome(fate)


def get_job(call: Call) -> Response:
    """Return one job."""
    job_id = call.uuid("job_id", "Job")
    job = job_book.get(call.world, job_id, call.origin)
    if job is None:
        raise not_found("Job", job_id)
    return JSONResponse(job)


def list_jobs(call: Call) -> Response:
    """Page through the jobs; the link to the next page is relative."""
    field, _, direction = (call.query("sort") or "created,desc").partition(",")
    if field not in job_book.SORTS or direction.lower() not in ("", "asc", "desc"):
        raise bad_request(f"sort must be one of {sorted(job_book.SORTS)} followed by ,asc or ,desc")
    limit = paging.whole_number("limit", call.query("limit"), DEFAULT_LIMIT)
    if limit < 1:
        raise bad_request("limit must be at least 1")
    start = Place(call.world.now()) if call.query("next") is None else _read_cursor(call)
    wanted, limit = _filter(call, start), min(limit, MAX_PAGE_SIZE)
    rows, following = job_book.page(call.world, wanted, field, start, limit, descending=direction.lower() == "desc")
    query = [(name, value) for name, value in call.request.query_params.multi_items() if name != "next"]
    links = [{"rel": "self", "href": _href(call.path, query)}]
    if following is not None:
        links.append({"rel": "next", "href": _href(call.path, [*query, ("next", _write_cursor(following))])})
    return JSONResponse({"jobs": [job_book.as_json(row, call.origin) for row in rows], "links": links})


def _process(call: Call) -> Process:
    process_id = call.name("process_id")
    process = processes.find(process_id)
    if process is None:
        raise not_found("Process", process_id)
    return process


def _input(call: Call) -> JobInput:
    return process_input.read(call.world, _process(call), call.json_object())


def _filter(call: Call, start: Place) -> JobFilter:
    def duration(name: str) -> int | None:
        return None if call.query(name) is None else paging.whole_number(name, call.query(name), 0)

    return JobFilter(
        placed_until=start.at - call.list_lag,
        workspace_id=listing.uuid_or_none("workspaceId", call.query("workspaceId")),
        process_ids=_joined(call, "processId"),
        statuses=listing.all_of("status", _joined(call, "status"), [status.value for status in Status]),
        job_ids=listing.uuids("ids", call.queries("ids")),
        min_duration=duration("minDuration"),
        max_duration=duration("maxDuration"),
    )


def _joined(call: Call, name: str) -> list[str]:
    return [part for value in call.queries(name) for part in value.split(",") if part]


def _href(path: str, query: list[tuple[str, str]]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _write_cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(json.dumps(astuple(place)).encode()).decode()


def _read_cursor(call: Call) -> Place:
    """Read where a page begins; an instant that is still to come is not one of ours."""
    try:
        at, value, number = json.loads(base64.urlsafe_b64decode((call.query("next") or "").encode()))
        sound = 0 <= at <= call.world.now() and isinstance(value, int | str) and 0 <= number < _MAX_INTEGER
        sound = sound and (isinstance(value, str) or abs(value) < _MAX_INTEGER)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        sound = False
    if not sound:
        raise bad_request("next is not a cursor of this list")
    return Place(at, value, number)


_EXAMPLE = {
    "inputs": {
        "title": "Trees in May",
        "item": "http://127.0.0.1:8042/v2/assets/stac/collections/00000000-0000-4000-8000-000000000000"
        "/items/00000000-0000-4000-8000-000000000000",
    }
}
_PROCESS = f"{ROOT}/processes/{{process_id}}"
_FILTERS = ("workspaceId", "processId", "status", "ids", "minDuration", "maxDuration", "limit", "sort", "next")
ROUTES: list[BaseRoute] = [
    route(f"{ROOT}/processes", list_processes),
    route(_PROCESS, get_process),
    route(f"{_PROCESS}/validation", validate, ["POST"], example=_EXAMPLE),
    route(f"{_PROCESS}/cost", cost, ["POST"], example=_EXAMPLE),
    route(f"{_PROCESS}/execution", execute, ["POST"], query=("workspaceId", "budgetId"), example=_EXAMPLE),
    route(f"{ROOT}/jobs", list_jobs, query=_FILTERS),
    route(f"{ROOT}/jobs/{{job_id}}", get_job),
]
