"""Watching jobs without a database: what a sensor remembers between two looks, and what it asks next. Pure.

UP42 lists jobs by the time they were created, not by the time they changed. So new jobs are read newest first until a
known instant; those that go on are remembered, and asked for by their ids in turn. Where a round of that takes many
requests, the jobs that ended are listed as well, newest first: one page holds most of what ended since the last look.
"""

from __future__ import annotations

import base64
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from up42_pipelines.api.processing import Job, JobStatus
from up42_pipelines.processing.keys import JobTitle

OVERLAP = timedelta(minutes=2)
"""How long after its creation a job may become visible in the list. Undocumented; generous."""

HORIZON = timedelta(days=7)
"""How far back ended jobs are looked for when nothing is remembered; open ones are found however old they are."""

PAGE = 100
"""Jobs per request; how many UP42 gives at most is not documented. More ids do not fit into a URL either: with a token
beside it, a request's head should stay below the 8 kB that servers commonly take."""

FEW = 2 * PAGE
"""So many open jobs are all asked for in every look; of more, those that ended are listed as well."""

GONE_AFTER = 3
"""A job that is missing in so many answers to its id, one after the other, is given up."""

GONE = "not listed any more"
"""In place of the status of a job that is given up."""

ENDED = tuple(status for status in JobStatus if status.is_terminal)
OPEN = tuple(status for status in JobStatus if not status.is_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A job of the workflow, as far as it matters here.

    Attributes:
        id: job id.
        step: name of its step.
        partition: its partition key.
        created: when it was created.
        status: as it was listed last; one that nobody knows is carried, and `GONE` is our own.
        told: the status that was reported last.
        missed: how many answers to its id in a row did not hold it.
    """

    id: str
    step: str
    partition: str
    created: AwareDatetime
    status: str
    told: str = ""
    missed: int = 0

    @property
    def end(self) -> str:
        """`success`, `failure` or `gone`; empty while it may go on, as it may with a status that nobody knows."""
        if self.status == GONE:
            return "gone"
        if self.status not in ENDED:
            return ""
        return "success" if JobStatus(self.status).is_success else "failure"


def watched(job: Job, workflow: str) -> Watched | None:
    """A listed job as something to watch; None when its title does not name a job of this workflow.

    That a job was started is no news: the run that started it has said so.
    """
    title = JobTitle.read(job.title)
    if title is None or title.workflow != workflow or job.created is None:
        return None
    status = str(job.status)
    return Watched(
        id=job.id,
        step=title.step,
        partition=title.partition,
        created=job.created,
        status=status,
        told=status if status in OPEN else "",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How far the list of jobs, newest first, has been read.

    A job may become visible after younger ones. So now and then the list is read down to `settled`: when what was
    there at `marked` is `OVERLAP` old. That is told by our clock alone; how it differs from UP42's does not matter.

    Attributes:
        until: creation of the youngest job that was read.
        settled: every job created before it has been read.
        mark: what `until` was at `marked`.
        marked: by our clock.
    """

    until: AwareDatetime
    settled: AwareDatetime
    mark: AwareDatetime
    marked: AwareDatetime

    @classmethod
    def first(cls, youngest: datetime, now: datetime) -> Self:
        """After the list has been read for the first time."""
        return cls(until=youngest, settled=youngest - OVERLAP, mark=youngest, marked=now)

    def next(self, youngest: datetime, now: datetime) -> Self:
        """After it has been read down to `floor(now)`."""
        until = max(self.until, youngest)
        if not self._is_due(now):
            return replace(self, until=until)
        return replace(self, until=until, settled=self.mark, mark=until, marked=now)

    def floor(self, now: datetime) -> datetime:
        """How far down it is to be read: jobs created before that are known."""
        return self.settled if self._is_due(now) else self.until

    def _is_due(self, now: datetime) -> bool:
        return abs(now - self.marked) >= OVERLAP  # a clock that was set back must not put it off


class JobCursor(BaseModel):
    """What is remembered between two looks. Every method gives a new one.

    Attributes:
        reading: how far the list has been read; None when nothing is remembered.
        jobs: those that go on, and those that ended without a run having been asked for; asked longest ago first.
        done: the other jobs created since `reading.settled`: when each was created, by id.
    """

    model_config = ConfigDict(frozen=True)

    reading: Reading | None = None
    jobs: dict[str, Watched] = Field(default_factory=dict)
    done: dict[str, AwareDatetime] = Field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read a stored cursor. One that cannot be read starts from scratch: jobs are handled again, safely."""
        try:
            return cls.model_validate_json(zlib.decompress(base64.b64decode(text or "", validate=True)))
        except (ValueError, zlib.error):
            return cls()

    def __str__(self) -> str:
        """As it is stored: compressed, because Dagster keeps it with every tick."""
        return base64.b64encode(zlib.compress(self.model_dump_json(exclude_defaults=True).encode())).decode()

    @property
    def open(self) -> list[Watched]:
        """Those that go on, asked longest ago first."""
        return [one for one in self.jobs.values() if not one.end]

    def floor(self, now: datetime) -> datetime:
        """How far the list of all jobs is to be read, newest first: down to this creation."""
        return self.reading.floor(now) if self.reading else now - HORIZON

    def read(self, found: Iterable[Watched], *, youngest: datetime | None, now: datetime) -> Self:
        """After the list of all jobs has been read down to `floor(now)`.

        Args:
            found: the workflow's jobs in it.
            youngest: creation of the youngest of all, None when there was none.
            now: by our clock, as it was given to `floor`.
        """
        youngest = youngest or self.floor(now)
        reading = self.reading.next(youngest, now) if self.reading else Reading.first(youngest, now)
        jobs = dict(self.jobs)
        for one in found:
            if one.id in jobs:
                jobs[one.id] = replace(jobs[one.id], status=one.status, missed=0)
            elif one.id not in self.done:
                jobs[one.id] = one
        done = {job_id: created for job_id, created in self.done.items() if created >= reading.settled}
        return self.model_copy(update={"reading": reading, "jobs": jobs, "done": done})

    def seen(self, listed: Iterable[Job]) -> Self:
        """After jobs were listed, watched ones and others: what they have come to."""
        news = {
            job.id: replace(self.jobs[job.id], status=str(job.status), missed=0)
            for job in listed
            if job.id in self.jobs
        }
        return self.model_copy(update={"jobs": self.jobs | news})

    def turns(self) -> list[list[str]]:
        """The ids of the jobs that go on, request by request, asked longest ago first."""
        ids = [one.id for one in self.open]
        return [ids[start : start + PAGE] for start in range(0, len(ids), PAGE)]

    def asked(self, turn: Collection[str], answer: Iterable[Job]) -> Self:
        """After jobs were asked for by their ids: they are the last ones now, and what is not there is missed."""
        after = self.seen(answer)
        jobs = {job_id: one for job_id, one in after.jobs.items() if job_id not in turn}
        for job_id in turn:
            one = after.jobs[job_id]
            jobs[job_id] = one if one is not self.jobs[job_id] else _missed(one)
        return after.model_copy(update={"jobs": jobs})

    def news(self) -> list[Watched]:
        """Jobs whose status has not been told, oldest first."""
        return _oldest_first(one for one in self.jobs.values() if one.status != one.told)

    def told(self, news: Iterable[Watched]) -> Self:
        """After their status was told."""
        return self.model_copy(update={"jobs": self.jobs | {one.id: replace(one, told=one.status) for one in news}})

    def ended(self) -> dict[tuple[str, str], list[Watched]]:
        """Jobs that ended and were told to have, by step and partition; those with the oldest job first."""
        groups = defaultdict(list)
        for one in _oldest_first(one for one in self.jobs.values() if one.end and one.status == one.told):
            groups[one.step, one.partition].append(one)
        return dict(groups)

    def dropped(self, jobs: Iterable[Watched]) -> Self:
        """Without jobs for which there is nothing left to do."""
        over = {one.id: one.created for one in jobs}
        left = {job_id: one for job_id, one in self.jobs.items() if job_id not in over}
        listed_again = {
            job_id: created for job_id, created in over.items() if self.reading and created >= self.reading.settled
        }
        return self.model_copy(update={"jobs": left, "done": self.done | listed_again})


def _missed(one: Watched) -> Watched:
    missed = one.missed + 1
    return replace(one, missed=missed, status=GONE if missed >= GONE_AFTER else one.status)


def _oldest_first(jobs: Iterable[Watched]) -> list[Watched]:
    return sorted(jobs, key=lambda one: (one.created, one.id))
