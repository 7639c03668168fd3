"""What became of a job: whether it has results, and if not, why and what to do. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from up42_pipelines.api.processing import Job, JobStatus
from up42_pipelines.processing.checking import in_words
from up42_pipelines.processing.keys import canonical_inputs
from up42_pipelines.processing.templates import AnyProcess, Template

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class JobState(StrEnum):
    """How far a job is."""

    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """UP42 reports a status that is not known here: it may go on, so it is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """What became of a job.

    Attributes:
        state: how far it is.
        reason: what UP42 says about it, as sentences.
        remedy: what to do, as sentences; empty when there is nothing to do.
    """

    state: JobState
    reason: str
    remedy: str = ""

    @property
    def sentences(self) -> str:
        """Reason and remedy."""
        return f"{self.reason} {self.remedy}".rstrip()


_AGAIN = "To buy it again, raise the generation."
_REMEDIES = {
    JobStatus.UNLICENSED: f"Nothing was charged. Accept the EULA of process {{process}} in the UP42 console. {_AGAIN}",
    JobStatus.INVALID: "Nothing was charged. Choose items or parameters that the process takes; the same ones would "
    f"fail again. {_AGAIN}",
    JobStatus.REJECTED: f"Nothing was charged. Buy credits in the UP42 console. {_AGAIN}",
    JobStatus.FAILED: "The withheld credits are returned when UP42 releases the job; until then they count as spent. "
    f"{_AGAIN} When it fails again, ask UP42's support about job {{job}}.",
    JobStatus.RELEASED: f"The withheld credits were returned. {_AGAIN} When it fails again, ask UP42's support about "
    "job {job}.",
}


def outcome_of(job: Job) -> JobOutcome:
    """Judge a job by its status; every status of `JobStatus`, and those that UP42 may add."""
    status = job.status
    if not isinstance(status, JobStatus):
        return JobOutcome(
            state=JobState.UNKNOWN,
            reason=f"UP42 reports the status {status!r}, which is not known here.{_errors(job)}",
            remedy=f"Nothing is bought again meanwhile. Look at job {job.id} in the UP42 console; a newer version of "
            "up42-pipelines may know the status.",
        )
    reason = f"{status}: {status.meaning}.{_errors(job)}"
    if status.is_success:
        return JobOutcome(state=JobState.SUCCEEDED, reason=reason)
    if not status.is_failure:
        return JobOutcome(state=JobState.WAITING, reason=reason)
    remedy = _REMEDIES[status].format(process=job.process_id, job=job.id)
    return JobOutcome(state=JobState.FAILED, reason=reason, remedy=remedy)


def current(jobs: Iterable[Job], template: Template | AnyProcess) -> list[Job]:
    """Of the jobs about the same item, which are generations of one purchase, the one that counts.

    That is the newest that succeeded; else the newest that still may; else the newest. A comparison is about its
    source, whatever that is compared with; what takes a list is about all that the partition has.

    Args:
        jobs: of one step and partition, in any order.
        template: the step's process as it is now; jobs that were bought with other parameters, before somebody changed
            them, do not count any more.

    Returns:
        One job for each item, the oldest of them first.
    """
    same: defaultdict[str, list[Job]] = defaultdict(list)
    for job in sorted(jobs, key=_age):
        if _was_made_by(template, job):
            about = "" if template.items_input else canonical_inputs(job.inputs).get(template.item_inputs[0])
            same[str(about)].append(job)
    return sorted((_that_counts(generations) for generations in same.values()), key=_age)


def _that_counts(oldest_first: Sequence[Job]) -> Job:
    for wanted in ((JobState.SUCCEEDED,), (JobState.WAITING, JobState.UNKNOWN)):
        if among := [job for job in oldest_first if outcome_of(job).state in wanted]:
            return among[-1]
    return oldest_first[-1]


def _was_made_by(template: Template | AnyProcess, job: Job) -> bool:
    """Whether a job has the parameters of a template; UP42 may tell defaults beside them."""
    given, wanted = canonical_inputs(job.inputs), canonical_inputs(template.parameters)
    return job.process_id == template.process_id and all(given.get(name) == value for name, value in wanted.items())


def _age(job: Job) -> tuple[datetime, str]:
    return job.created or _LONG_AGO, job.id


def _errors(job: Job) -> str:
    told = "; ".join(map(in_words, job.errors))
    return f" {told}." if told else ""
