"""Jobs as lines of a table, for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from up42_pipelines.api.processing import Job
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.processing.outcome import JobState, outcome_of


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """One job in a status table.

    Attributes:
        job: its id.
        process: id of its process.
        step: `<workflow>.<step>`; empty when its title is not one of ours.
        partition: partition key; empty as well.
        status: as UP42 has it.
        state: what that means.
        credits: what it cost; None while nothing was charged.
        seconds: from its start to its end; None before.
        reason: what UP42 says, and what to do about it.
    """

    job: str
    process: str
    step: str
    partition: str
    status: str
    state: JobState
    credits: float | None
    seconds: float | None
    reason: str

    @classmethod
    def of(cls, job: Job) -> JobLine:
        """The line of a job."""
        title, outcome = JobTitle.read(job.title), outcome_of(job)
        return cls(
            job=job.id,
            process=job.process_id,
            step=f"{title.workflow}.{title.step}" if title else "",
            partition=title.partition if title else "",
            status=str(job.status),
            state=outcome.state,
            credits=job.credits,
            seconds=(job.finished - job.started).total_seconds() if job.started and job.finished else None,
            reason=outcome.sentences,
        )

    def cells(self) -> tuple[str, ...]:
        """The line in words, under `HEADINGS`."""
        credits, seconds = ("" if value is None else f"{value:g}" for value in (self.credits, self.seconds))
        return (self.job, self.step or self.process, self.partition, self.status, credits, seconds, self.reason)


HEADINGS = ("job", "step", "partition", "status", "credits", "seconds", "reason")


def as_text(lines: Sequence[JobLine]) -> str:
    """The table, in columns of equal width."""
    rows = [HEADINGS, *(line.cells() for line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
