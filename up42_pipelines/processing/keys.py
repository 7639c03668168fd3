"""The name by which a processing job is found again: its key, and the title that carries it inside UP42.

UP42 has no idempotency key, and jobs have no tags. What they have is a title among their inputs, which UP42 keeps and
lists.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from up42_pipelines.errors import ConfigurationError

TITLE = "title"
"""The input that carries the key."""

LONGEST_TITLE = 200
"""UP42 refuses some titles (`InvalidTitle`) and does not document how long they may be; the sandbox takes 200."""

_TITLE = re.compile(
    r"(?P<workflow>\w+)\.(?P<step>\w+) (?P<partition>\S|\S.*\S) (?P<credits>0|[1-9]\d*) credits"
    r" (?P<key>[0-9a-f]{32})",
    re.ASCII,
)


def job_key(
    *,
    workspace_id: str,
    process_id: str,
    inputs: Mapping[str, Any],
    workflow: str,
    step: str,
    partition: str,
    generation: int = 1,
) -> str:
    """The identity of one job to buy: 32 hexadecimal digits, equal for equal jobs in every process.

    Args:
        workspace_id: where it is executed.
        process_id: the process.
        inputs: links to STAC items and the process's parameters. The title does not matter, nor under which host's
            name an item is linked.
        workflow: name of the workflow it is bought for.
        step: name of its step.
        partition: partition it is bought for.
        generation: raised by a person who wants to buy the same thing again.
    """
    canonical = {
        "workspace": workspace_id,
        "process": process_id,
        "inputs": canonical_inputs(inputs),
        "workflow": workflow,
        "step": step,
        "partition": partition,
        "generation": generation,
    }
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def canonical_inputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What of a job's inputs makes it this job: all but the title, with links reduced to their paths."""
    return {name: _without_host(value) for name, value in inputs.items() if name != TITLE}


def _without_host(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_host(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_host(one) for one in value]
    if isinstance(value, str) and value.startswith(("https://", "http://")):
        return urlsplit(value).path.rstrip("/")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTitle:
    """What the title of one of our jobs says: all that is needed to know it again without any record of our own.

    Attributes:
        workflow: name of the workflow it was bought for.
        step: name of its step.
        partition: partition key.
        key: job key.
        credits: price estimated when it was executed.

    Raises:
        ConfigurationError: a title that UP42 would not take, or that could not be read back.
    """

    workflow: str
    step: str
    partition: str
    key: str
    credits: int

    def __post_init__(self) -> None:
        """Refuse what would be lost in a title, before anything is spent."""
        text = str(self)
        if _found(text) != (self.workflow, self.step, self.partition, str(self.credits), self.key):
            raise ConfigurationError(
                f"Partition {self.partition!r} of {self.workflow}.{self.step} cannot be told in the title of a job, by "
                f"which it is found again: {LONGEST_TITLE} printable characters at most, this one has {len(text)}; "
                "names of workflow and step are letters, digits and _. Use other or shorter names."
            )

    def __str__(self) -> str:
        return f"{self.workflow}.{self.step} {self.partition} {self.credits} credits {self.key}"

    @classmethod
    def read(cls, title: str | None) -> Self | None:
        """The meaning of a job's title, or None when it is not one of ours."""
        found = _found(title or "")
        if found is None:
            return None
        workflow, step, partition, credits, key = found
        return cls(workflow=workflow, step=step, partition=partition, key=key, credits=int(credits))


def _found(title: str) -> tuple[str, ...] | None:
    found = _TITLE.fullmatch(title) if len(title) <= LONGEST_TITLE and title.isprintable() else None
    return None if found is None else found.groups()
