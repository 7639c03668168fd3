"""Whether a job would be taken and what it would cost, all free of charge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import jsonschema
from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable
from referencing.jsonschema import EMPTY_REGISTRY

from up42_pipelines.api.processing import Cost, Eula, InputProblem, Process
from up42_pipelines.errors import NotFound
from up42_pipelines.processing.keys import TITLE
from up42_pipelines.processing.templates import TEMPLATES

PROCESS_NOT_FOUND = "ProcessNotFound"
EULA_NOT_ACCEPTED = "EulaNotAccepted"
INVALID_SCHEMA = "InvalidSchema"
"""Names of problems that UP42's own client uses, too (up42-py 4.3.0, `JobTemplate`)."""

MISSING_INPUT, UNKNOWN_INPUT, INVALID_INPUT = "MissingInput", "UnknownInput", "InvalidInput"
"""Names of problems that `check_inputs` finds."""


class CheckingApi(Protocol):
    """The part of `api.Processing` that checking needs."""

    def process(self, process_id: str) -> Process:
        """One process."""

    def eula(self, eula_id: str) -> Eula:
        """Whether a EULA is accepted."""

    def validate(self, process_id: str, inputs: Mapping[str, Any]) -> Sequence[InputProblem]:
        """What is wrong with the inputs."""

    def cost(self, process_id: str, inputs: Mapping[str, Any]) -> Cost:
        """What it would cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What UP42 says about a job before it is executed.

    Attributes:
        process: its process; None when UP42 has none of that id.
        problems: why it would not be taken; empty when it would.
        eula_id: the process's EULA; None when it has none, or is not known.
        eula_accepted: whether the EULA is accepted; True when there is none to accept.
        cost: None when it would not be taken.
    """

    process: Process | None = None
    problems: tuple[InputProblem, ...] = ()
    eula_id: str | None = None
    eula_accepted: bool = True
    cost: Cost | None = None

    @property
    def reasons(self) -> str:
        """The problems in one line."""
        return "; ".join(map(in_words, self.problems))


def check_job(processing: CheckingApi, process_id: str, inputs: Mapping[str, Any]) -> Assessment:
    """Ask about a job in the order of UP42's own client: process, EULA, validation, cost. The first refusal ends it.

    The inputs of a process that has no template are compared with its description before they are sent.

    Args:
        processing: of the workspace.
        process_id: the process.
        inputs: as they would be executed, with a title.

    Raises:
        ApiError, Unreachable: a call failed; that says nothing about the job.
    """
    offered = check_process(processing, process_id)
    if offered.process is None or offered.problems:
        return offered
    problems = check_items(processing, offered.process, inputs)
    return replace(offered, problems=problems, cost=None if problems else processing.cost(process_id, inputs))


def check_process(processing: CheckingApi, process_id: str) -> Assessment:
    """The first part of `check_job`: whether UP42 has the process, and its EULA is accepted."""
    try:
        process = processing.process(process_id)
    except NotFound:
        message = f"UP42 has no process {process_id}; `up42-pipelines jobs processes` lists those it has"
        return Assessment(problems=(InputProblem(name=PROCESS_NOT_FOUND, message=message),))
    eula_id = process.eula_id
    if eula_id is None or processing.eula(eula_id).is_accepted:
        return Assessment(process=process, eula_id=eula_id)
    message = f"EULA {eula_id} of process {process_id} is not accepted; accept it in the UP42 console"
    problem = InputProblem(name=EULA_NOT_ACCEPTED, message=message)
    return Assessment(process=process, problems=(problem,), eula_id=eula_id, eula_accepted=False)


def check_items(processing: CheckingApi, process: Process, inputs: Mapping[str, Any]) -> tuple[InputProblem, ...]:
    """The second part of `check_job`: whether the inputs fit the process."""
    problems = check_inputs(process, inputs) if process.id not in TEMPLATES else ()
    return problems or tuple(processing.validate(process.id, inputs))


def check_inputs(process: Process, inputs: Mapping[str, Any]) -> tuple[InputProblem, ...]:
    """Compare inputs with a process description (OGC API - Processes 1.0, 7.10: `inputs` of JSON schemas). Pure.

    Refuses what no reading of the description allows. A description without inputs refuses nothing, nor does a schema
    that is none, or that refers to others. The title is UP42's own and always taken.
    """
    described = process.inputs or {}
    if not described:
        return ()
    missing = [name for name, one in described.items() if _is_required(one) and name not in inputs and name != TITLE]
    unknown = [name for name in inputs if name not in described and name != TITLE]
    known = ", ".join(described)
    return (
        *(InputProblem(name=MISSING_INPUT, message=f"{name}: {process.id} needs it") for name in missing),
        *(InputProblem(name=UNKNOWN_INPUT, message=f"{name}: {process.id} takes {known}") for name in unknown),
        *(
            InputProblem(name=INVALID_INPUT, message=f"{name}: {reason}")
            for name, value in inputs.items()
            if name in described
            for reason in _objections(described[name], value)
        ),
    )


def in_words(problem: InputProblem) -> str:
    """A problem by name and message, as far as UP42 tells them."""
    return ": ".join(filter(None, (problem.name, (problem.message or "").rstrip("."))))


def _is_required(description: Any) -> bool:
    return isinstance(description, Mapping) and description.get("minOccurs", 1) != 0


def _objections(description: Any, value: Any) -> list[str]:
    """What the schema of an input has against a value; of one that may occur several times, against each of a list."""
    schema = description.get("schema") if isinstance(description, Mapping) else None
    if not isinstance(schema, Mapping):
        return []
    if isinstance(value, list) and description.get("maxOccurs", 1) != 1 and schema.get("type") != "array":
        return [objection for one in value for objection in _against(schema, one)]
    return _against(schema, value)


def _against(schema: Mapping[str, Any], value: Any) -> list[str]:
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft7Validator)
    try:
        kind.check_schema(dict(schema))
        return [error.message for error in kind(dict(schema), registry=EMPTY_REGISTRY).iter_errors(value)]
    except (SchemaError, Unresolvable):
        return []
