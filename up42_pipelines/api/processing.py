"""Processing: what UP42 can compute on STAC items in storage, and the jobs that do (UP42 API, processing)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Self
from urllib.parse import quote, urlencode

from pydantic import AliasChoices, Field, model_validator

from up42_pipelines.api.following import INTERVAL_S, PATIENCE_S, follow
from up42_pipelines.api.paging import PAGE_SIZE, given, linked_pages, rows_of, several
from up42_pipelines.api.records import Record, Timestamp
from up42_pipelines.api.sorting import Sort
from up42_pipelines.api.transport import Transport
from up42_pipelines.errors import InvalidRequest

_PROCESSES = "/v2/processing/processes"
_JOBS = "/v2/processing/jobs"


class JobStatus(StrEnum):
    """Status of a processing job.

    `captured` and `released` come after `successful` and `failed`; newer servers stop at `successful`. So both of a
    pair count, and a job that has `failed` is over although UP42's own client goes on waiting for `released`.
    """

    meaning: str
    is_terminal: bool
    is_success: bool

    def __new__(cls, value: str, meaning: str = "", end: str = "") -> Self:
        """Attach the meaning; `end` is `success` or `failure`, empty while the job goes on."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning, member.is_terminal, member.is_success = meaning, bool(end), end == "success"
        return member

    CREATED = "created", "UP42 knows of the job"
    LICENSED = "licensed", "the process's EULA is accepted"
    UNLICENSED = "unlicensed", "the process's EULA is not accepted: accept it in the console", "failure"
    VALID = "valid", "the inputs fit"
    INVALID = "invalid", "the inputs do not fit: the job's errors say why", "failure"
    ACCEPTED = "accepted", "the credits are withheld"
    REJECTED = "rejected", "there are too few credits", "failure"
    RUNNING = "running", "it is being computed"
    SUCCESSFUL = "successful", "the results are in storage", "success"
    CAPTURED = "captured", "the results are in storage, the credits deducted", "success"
    FAILED = "failed", "it failed: the job's errors say why", "failure"
    RELEASED = "released", "it failed; the withheld credits were returned", "failure"

    @property
    def is_failure(self) -> bool:
        """Whether there will be no results."""
        return self.is_terminal and not self.is_success


class JobSort:
    """What jobs can be sorted by."""

    process_id = Sort("processID")
    status = Sort("status")
    created = Sort("created")
    credits = Sort("creditConsumption.credits")


class Price(Record):
    """Credits per unit (SQ_KM)."""

    credits: float
    unit: str | None = None


class Process(Record):
    """A process on offer. What the API describes beyond this is in `raw`."""

    id: str
    title: str | None = None
    description: str | None = None
    version: str | None = None
    inputs: dict[str, Any] | None = None
    additional_parameters: dict[str, Any] | None = None

    @property
    def eula_id(self) -> str | None:
        """The EULA that must be accepted before the first job."""
        values = self._parameter("eula-id")
        return str(values[0]) if values else None

    @property
    def prices(self) -> tuple[Price, ...]:
        """What it costs."""
        return tuple(Price.parse(price) for price in self._parameter("price"))

    def _parameter(self, name: str) -> Sequence[Any]:
        for parameter in (self.additional_parameters or {}).get("parameters") or []:
            if isinstance(parameter, Mapping) and parameter.get("name") == name:
                value = parameter.get("value")
                return value if isinstance(value, list) else [value] if value is not None else ()
        return ()


class Eula(Record):
    """An end-user licence agreement; it is accepted in the console, and again whenever it changes."""

    id: str | None = None
    is_accepted: bool


class InputProblem(Record):
    """One thing that is wrong with the inputs of a job, for example `MissingPanchromaticAsset`."""

    name: str | None = None
    message: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _any_text_will_do(cls, problem: Any) -> Any:
        return problem if isinstance(problem, Mapping) else {"message": str(problem)}  # never lose the job it is about


class Cost(Record):
    """What a job would cost, credits; `total_size` is in `unit`. Compares with numbers and costs: `cost <= 100`."""

    pricing_strategy: str | None = None
    total_credits: float
    total_size: float | None = None
    unit: str | None = None

    def __lt__(self, other: Cost | float) -> bool:
        return self.total_credits < _credits(other)

    def __le__(self, other: Cost | float) -> bool:
        return self.total_credits <= _credits(other)

    def __gt__(self, other: Cost | float) -> bool:
        return self.total_credits > _credits(other)

    def __ge__(self, other: Cost | float) -> bool:
        return self.total_credits >= _credits(other)


class JobResults(Record):
    """What a job left: a STAC collection, or errors."""

    collection: str | None = None
    errors: tuple[InputProblem, ...] = ()


class Job(Record):
    """A processing job. The wire spells its ids `jobID`, `processID`, `accountID`, `workspaceID`."""

    id: str = Field(validation_alias=AliasChoices("jobID", "id"), serialization_alias="jobID")
    process_id: str = Field(validation_alias=AliasChoices("processID", "process_id"), serialization_alias="processID")
    status: JobStatus | str = Field(union_mode="left_to_right")
    account_id: str | None = Field(default=None, alias="accountID")
    workspace_id: str | None = Field(default=None, alias="workspaceID")
    definition: dict[str, Any] = Field(default_factory=dict)
    results: JobResults | None = None
    credit_consumption: dict[str, Any] | None = None
    created: Timestamp | None = None
    started: Timestamp | None = None
    finished: Timestamp | None = None
    updated: Timestamp | None = None

    @property
    def inputs(self) -> dict[str, Any]:
        """The inputs as they were submitted."""
        return dict(self.definition.get("inputs") or {})

    @property
    def title(self) -> str | None:
        """The title among the inputs."""
        return self.inputs.get("title")

    @property
    def credits(self) -> float | None:
        """What it cost, None when nothing was charged (yet)."""
        return (self.credit_consumption or {}).get("credits")

    @property
    def collection_id(self) -> str | None:
        """The STAC collection with the results; None while there are none."""
        url = self.results.collection if self.results else None
        return url.rstrip("/").rsplit("/", 1)[-1] if url else None

    @property
    def errors(self) -> tuple[InputProblem, ...]:
        """Why it failed."""
        return self.results.errors if self.results else ()

    @property
    def is_final(self) -> bool:
        """True when there is nothing to wait for. An unknown status is not final."""
        return isinstance(self.status, JobStatus) and self.status.is_terminal

    @property
    def is_successful(self) -> bool:
        """True when the results are in storage."""
        return isinstance(self.status, JobStatus) and self.status.is_success


class Processing:
    """Processes, and the jobs of one workspace.

    Args:
        transport: the way to UP42.
        workspace_id: asked for when first needed.
    """

    def __init__(self, transport: Transport, workspace_id: Callable[[], str]) -> None:
        self._transport, self._workspace_id = transport, workspace_id

    def processes(self) -> Iterator[Process]:
        """The processes on offer. UP42's own client never lists them; where that is not offered, NotFound is raised."""
        for page in linked_pages(lambda url: self._transport.json("GET", url), self._url(_PROCESSES)):
            for row in rows_of(page, "processes"):
                yield Process.parse(row)

    def process(self, process_id: str) -> Process:
        """One process.

        Raises:
            NotFound: there is no such process.
        """
        return Process.parse(self._transport.json("GET", _process_path(process_id)))

    def eula(self, eula_id: str) -> Eula:
        """Whether a EULA is accepted.

        Raises:
            NotFound: UP42 does not know the id.
        """
        return Eula.parse(self._transport.json("GET", f"/v2/eulas/{quote(eula_id, safe='')}"))

    def validate(self, process_id: str, inputs: Mapping[str, Any]) -> tuple[InputProblem, ...]:
        """What is wrong with the inputs of a job, nothing when they fit; free.

        Raises:
            NotFound: there is no such process.
            ApiError: anything but a judgement of the inputs.
        """
        try:
            self._transport.send("POST", f"{_process_path(process_id)}/validation", json={"inputs": dict(inputs)})
        except InvalidRequest as refusal:
            if problems := _problems(refusal.body):
                return problems
            raise
        return ()

    def cost(self, process_id: str, inputs: Mapping[str, Any]) -> Cost:
        """What a job would cost; free.

        Raises:
            NotFound: there is no such process.
            InvalidRequest: the inputs do not fit; `validate` tells why.
        """
        body = {"inputs": dict(inputs)}
        return Cost.parse(self._transport.json("POST", f"{_process_path(process_id)}/cost", json=body))

    def execute(
        self,
        process_id: str,
        inputs: Mapping[str, Any],
        *,
        budget_id: str | None = None,
        not_after: float | None = None,
    ) -> Job:
        """Start a job: spends credits when it succeeds. Sent once; never to be repeated blindly.

        Args:
            process_id: the process.
            inputs: `title` and the self hrefs of STAC items, as the process describes.
            budget_id: the budget that pays.
            not_after: the last instant of `uptime_s` at which the request may leave; see `Transport.send`.

        Raises:
            ApiError: UP42 refused; nothing was started, unless it is a `ServerProblem`: then nobody knows.
            Unreachable: nothing was sent.
            TooLate: it is later than `not_after`; nothing was started.
            AnswerLost: nobody knows whether the job exists.
        """
        query = given({"workspaceId": self._workspace_id(), "budgetId": budget_id})
        path = f"{_process_path(process_id)}/execution"
        body = {"inputs": dict(inputs)}
        return Job.parse(self._transport.json("POST", path, params=query, json=body, once=True, not_after=not_after))

    def job(self, job_id: str) -> Job:
        """One job.

        Raises:
            NotFound: UP42 does not know the id.
        """
        return Job.parse(self._transport.json("GET", f"{_JOBS}/{quote(job_id, safe='')}"))

    def jobs(
        self,
        *,
        process_ids: Sequence[str] = (),
        status: Sequence[JobStatus | str] = (),
        job_ids: Sequence[str] = (),
        min_duration_s: int | None = None,
        max_duration_s: int | None = None,
        sort: Sort = JobSort.created.desc,
        page_size: int = PAGE_SIZE,
    ) -> Iterator[Job]:
        """Jobs of the workspace, fetched page by page as they are consumed, each once.

        Args:
            process_ids: of any of these processes.
            status: in any of these statuses.
            job_ids: only these.
            min_duration_s: that took at least so long, seconds.
            max_duration_s: that took at most so long, seconds.
            sort: a field of `JobSort`.
            page_size: jobs per request.
        """
        filters = {
            "workspaceId": self._workspace_id(),
            "processId": ",".join(several(process_ids)),
            "status": ",".join(several(status)),
            "ids": ",".join(several(job_ids)),
            "minDuration": min_duration_s,
            "maxDuration": max_duration_s,
            "limit": page_size,
            "sort": sort,
        }
        first = f"{self._url(_JOBS)}?{urlencode(given(filters))}"
        seen: set[str] = set()
        for page in linked_pages(lambda url: self._transport.json("GET", url), first):
            for row in rows_of(page, "jobs"):
                job = Job.parse(row)
                if job.id not in seen:
                    seen.add(job.id)
                    yield job

    def follow(
        self, job_ids: Sequence[str], *, interval_s: float = INTERVAL_S, patience_s: float = PATIENCE_S
    ) -> Iterator[Job]:
        """Wait for jobs: each is given when it is first seen and whenever its status changed, until all are final.

        Args:
            job_ids: which.
            interval_s: seconds between two looks.
            patience_s: seconds after which it is given up.

        Raises:
            NotFound: UP42 does not know an id.
            StillUnderWay: some are not final after `patience_s`.
        """
        return follow(
            job_ids,
            look_many=lambda ids: self.jobs(job_ids=ids),
            look_one=self.job,
            interval_s=interval_s,
            patience_s=patience_s,
        )

    def _url(self, path: str) -> str:
        return f"{self._transport.hosts.api}{path}"


def _credits(cost: Cost | float) -> float:
    return cost.total_credits if isinstance(cost, Cost) else cost


def _process_path(process_id: str) -> str:
    return f"{_PROCESSES}/{quote(process_id, safe='')}"


def _problems(body: Any) -> tuple[InputProblem, ...]:
    """What a 400 (`schema-error`) or a 422 (`errors`) says about the inputs; nothing when it is about other things."""
    if not isinstance(body, Mapping):
        return ()
    errors = body.get("errors")
    if isinstance(errors, list) and errors:
        return tuple(map(InputProblem.parse, errors))
    message = body.get("schema-error")
    return (InputProblem(name="InvalidSchema", message=str(message)),) if message else ()
