"""The items that a job has made, waited for where UP42's storage lags behind the job."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

import pystac

from up42_pipelines.api.processing import Job
from up42_pipelines.errors import NotFound, ResultsMissing
from up42_pipelines.processing.outcome import JobState, outcome_of
from up42_pipelines.uptime import uptime_s

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0


class StorageApi(Protocol):
    """The part of `api.Storage` that finding results needs."""

    def items_of_collection(self, collection_id: str) -> list[pystac.Item]:
        """The items of a collection."""

    def items_of_job(self, job_id: str) -> list[pystac.Item]:
        """The items that a job made."""


def result_items(
    storage: StorageApi, job: Job, *, patience_s: float = 60.0, sleep: Callable[[float], object] = time.sleep
) -> list[pystac.Item]:
    """The result items of a job, sorted by id.

    Storage may show a collection later than the job shows that it succeeded: looks for it again, less and less often.

    Args:
        storage: of the workspace.
        job: one that has succeeded.
        patience_s: how long to look, seconds; 0 for one look.
        sleep: pauses for so many seconds.

    Raises:
        ResultsMissing: the job has not succeeded, or there is no item even now.
    """
    outcome = outcome_of(job)
    if outcome.state is not JobState.SUCCEEDED:
        raise ResultsMissing(
            job_id=job.id, collection_id=job.collection_id, reason=f"it has not succeeded. {outcome.sentences}"
        )
    for pause_s in _pauses(patience_s):
        if items := _items(storage, job):
            return items
        sleep(pause_s)
    if items := _items(storage, job):
        return items
    where = f"its result collection {job.collection_id}" if job.collection_id else "it names no result collection and"
    raise ResultsMissing(
        job_id=job.id,
        collection_id=job.collection_id,
        reason=f"{where} is not in storage, or holds no item, after {patience_s:g} s. The job is paid for and is not "
        "bought again: run this again later. When somebody has deleted the collection, raise the generation to buy it "
        "again; otherwise ask UP42's support about the job.",
    )


def _items(storage: StorageApi, job: Job) -> list[pystac.Item]:
    found: list[pystac.Item] = []
    if job.collection_id is not None:
        try:
            found = storage.items_of_collection(job.collection_id)
        except NotFound:
            found = []
    return found or storage.items_of_job(job.id)


def _pauses(patience_s: float) -> Iterator[float]:
    """Pauses in seconds, each twice as long as the one before, that end when the patience does."""
    end, pause_s = uptime_s() + patience_s, _FIRST_PAUSE_S
    while (left_s := end - uptime_s()) > 0:
        yield min(pause_s, left_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
