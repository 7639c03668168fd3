"""A workflow's jobs as UP42 lists them: found by what their titles tell, because UP42 cannot search titles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Protocol

from up42_pipelines.api.processing import Job, JobSort
from up42_pipelines.api.sorting import Sort
from up42_pipelines.errors import NotFound
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.processing.workflow import Step, Workflow
from up42_pipelines.purchasing.protocol import Timing


class JobsApi(Protocol):
    """The part of `api.Processing` that finding jobs needs."""

    def job(self, job_id: str) -> Job:
        """One job."""

    def jobs(self, *, process_ids: Sequence[str] = (), sort: Sort = ...) -> Iterable[Job]:
        """The jobs of processes."""


def jobs_of(
    processing: JobsApi, workflow: Workflow, step: Step, partition: str, *, bought: Iterable[str] = ()
) -> list[tuple[Job, JobTitle]]:
    """The jobs of one partition of a step, with what their titles say, the oldest first.

    Args:
        processing: the jobs of the workspace.
        workflow: that they were bought for.
        step: one of its steps.
        partition: partition key.
        bought: ids of jobs that were bought for it, as far as is known here. Those that the list does not show (yet)
            are asked for by their ids, and come last; those that UP42 does not know are left out.
    """
    jobs = processing.jobs(process_ids=[step.template.process_id], sort=JobSort.created.asc)
    wanted = (workflow.name, step.name, partition)
    found = [(job, title) for job, title in _titled(jobs) if (title.workflow, title.step, title.partition) == wanted]
    unlisted = set(bought) - {job.id for job, _ in found}
    return found + list(_titled(_known(processing, sorted(unlisted))))


def _titled(jobs: Iterable[Job]) -> Iterator[tuple[Job, JobTitle]]:
    return ((job, title) for job in jobs if (title := JobTitle.read(job.title)) is not None)


def _known(processing: JobsApi, job_ids: Iterable[str]) -> Iterator[Job]:
    for job_id in job_ids:
        with suppress(NotFound):
            yield processing.job(job_id)


class JobSearch:
    """Finds jobs by their keys, on behalf of one buyer.

    Reading all jobs of a process for each one that is bought would cost jobs times pages. So all are read once, and
    later only what may be new: back to `overlap` before the newest job that is known. Nothing is missed that all of it
    would show, as long as UP42 lists a job within `overlap` of its creation: a job that is older than that when others
    are first read beyond it was listed by then, and that reading went back far enough to see it. Buying relies on the
    same already, it believes a list after `Timing.settling_s`; so that, and the skew of clocks, is the overlap.

    A key that is asked for again is one in doubt; for it all are read again.

    Args:
        processing: the jobs of the workspace.
        timing: of the buyer.
    """

    def __init__(self, processing: JobsApi, timing: Timing) -> None:
        self._processing = processing
        self._overlap = timedelta(seconds=timing.settling_s + timing.skew_s)
        self._titles: dict[str, dict[str, str]] = {}
        self._newest: dict[str, datetime | None] = {}
        self._asked: set[tuple[str, str]] = set()

    def with_key(self, process_id: str, key: str) -> list[Job]:
        """Every job of the process whose title carries the key, as it is now."""
        is_in_doubt = (process_id, key) in self._asked
        self._asked.add((process_id, key))
        known = None if is_in_doubt else self._newest.get(process_id)
        jobs = [] if known is None else self._created_since(process_id, known - self._overlap)
        newest = _newest(jobs)
        if known is None or newest is None or newest < known:  # the last two: not sorted as it was asked for
            jobs = list(self._processing.jobs(process_ids=[process_id], sort=JobSort.created.asc))
            newest = _newest(jobs)
        titles = self._titles.setdefault(process_id, {})
        titles.update((job.id, job.title or "") for job in jobs)
        self._newest[process_id] = newest
        read = {job.id: job for job in jobs}
        return [read.get(one) or self._processing.job(one) for one, title in titles.items() if key in title]

    def _created_since(self, process_id: str, since: datetime) -> list[Job]:
        """The jobs created since then and the one before, the oldest first."""
        jobs: list[Job] = []
        for job in self._processing.jobs(process_ids=[process_id], sort=JobSort.created.desc):
            jobs.append(job)
            if job.created is None or job.created < since:
                break
        return jobs[::-1]


def _newest(oldest_first: Sequence[Job]) -> datetime | None:
    """When the last of the jobs was created; None when there are none, or they are not in this order."""
    created = [job.created for job in oldest_first if job.created is not None]
    is_in_order = len(created) == len(oldest_first) and all(one <= next_ for one, next_ in pairwise(created))
    return created[-1] if created and is_in_order else None
