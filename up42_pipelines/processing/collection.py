"""Many jobs handled as one, for people without Dagster: status, cost, results, pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import pystac

from up42_pipelines.api import Up42Client
from up42_pipelines.api.following import INTERVAL_S, PATIENCE_S
from up42_pipelines.api.processing import Job
from up42_pipelines.errors import OrderUnclear, Up42Error
from up42_pipelines.lake import Lake, LandedItem, LandingOptions, RasterWorker, land_item, safe_name
from up42_pipelines.processing.buyer import JobBuyer
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.processing.outcome import JobState, current, outcome_of
from up42_pipelines.processing.plan import JobPlan
from up42_pipelines.processing.provenance import told_of_job
from up42_pipelines.processing.result_files import fetch_files, fetch_picture
from up42_pipelines.processing.results import result_items
from up42_pipelines.processing.status_table import JobLine, as_text
from up42_pipelines.processing.workflow import Workflow

_IDS_PER_REQUEST = 100
"""So many fit into a URL."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCollection:
    """Jobs handled as one. One that fails never keeps the others from anything.

    Attributes:
        client: of the account.
        jobs: as they were when they were last read; immutable: `refresh` and `track` give a new collection.
        refused: what could not be bought, by the items it was to work on; see `run`.
    """

    client: Up42Client
    jobs: tuple[Job, ...]
    refused: Mapping[str, Up42Error] = field(default_factory=dict)

    @classmethod
    def of_ids(cls, client: Up42Client, job_ids: Iterable[str]) -> Self:
        """The jobs with these ids, in this order.

        Raises:
            NotFound: UP42 does not know an id.
        """
        return cls(client=client, jobs=_read(client, job_ids))

    @classmethod
    def of_workflow(
        cls, client: Up42Client, workflow: Workflow, *, step: str | None = None, partition: str | None = None
    ) -> Self:
        """The jobs that a workflow has bought, found by their titles; of several generations the one that counts.

        Args:
            client: of the account.
            workflow: that bought them.
            step: name of a step; None for all.
            partition: partition key; None for all.
        """
        steps = [one for one in workflow.steps if step is None or one.name == step]
        titled = [
            (title, job)
            for job in client.processing.jobs(process_ids=sorted({one.template.process_id for one in steps}))
            if (title := JobTitle.read(job.title)) is not None and title.workflow == workflow.name
        ]
        found: list[Job] = []
        for one in steps:
            ours = [(title.partition, job) for title, job in titled if title.step == one.name]
            for wanted in sorted({name for name, _ in ours if partition is None or name == partition}):
                found += current((job for name, job in ours if name == wanted), one.template)
        return cls(client=client, jobs=tuple(found))

    @classmethod
    def run(cls, client: Up42Client, plan: JobPlan, buyer: JobBuyer) -> Self:
        """Buy each job of a plan once; jobs that exist already are taken as they are. Spends credits.

        What is refused does not keep the others from being bought: it is told in `refused`.

        Args:
            client: of the account.
            plan: from `plan_jobs`.
            buyer: from `job_buyer`; its ceilings hold.
        """
        jobs, refused = [], {}
        for one in plan.jobs:
            try:
                bought = buyer.buy(buyer.job(one.planned))
                jobs.append(bought.record or _details(client, bought.id))
            except Up42Error as error:
                refused[" against ".join(item.id for item in one.sources)] = error
        return cls(client=client, jobs=tuple(jobs), refused=refused)

    def __iter__(self) -> Iterator[Job]:
        return iter(self.jobs)

    def __len__(self) -> int:
        return len(self.jobs)

    def __str__(self) -> str:
        """The status table as text."""
        return as_text(self.status())

    def status(self) -> list[JobLine]:
        """Where each job stands, without asking UP42: `refresh` first."""
        return [JobLine.of(job) for job in self.jobs]

    @property
    def credits(self) -> float:
        """What the jobs have cost so far."""
        return sum(job.credits or 0 for job in self.jobs)

    @property
    def succeeded(self) -> Self:
        """Those with results."""
        return replace(self, jobs=tuple(job for job in self.jobs if job.is_successful), refused={})

    @property
    def failed(self) -> Self:
        """Those that ended without results."""
        return replace(
            self, jobs=tuple(job for job in self.jobs if outcome_of(job).state is JobState.FAILED), refused={}
        )

    def refresh(self) -> Self:
        """The same jobs as UP42 has them now.

        Raises:
            NotFound: UP42 does not know one any more.
        """
        return replace(self, jobs=_read(self.client, [job.id for job in self.jobs]))

    def track(
        self,
        *,
        interval_s: float = INTERVAL_S,
        patience_s: float = PATIENCE_S,
        on_change: Callable[[Job], object] = lambda _: None,
    ) -> Self:
        """Wait until all jobs have ended, well or not.

        Args:
            interval_s: seconds between two looks.
            patience_s: seconds after which it is given up.
            on_change: told about each job when it is first seen, and whenever its status changes.

        Raises:
            StillUnderWay: some have not ended after `patience_s`; they go on.
            NotFound: UP42 does not know one any more.
        """
        latest = {job.id: job for job in self.jobs}
        for job in self.client.processing.follow(list(latest), interval_s=interval_s, patience_s=patience_s):
            latest[job.id] = job
            on_change(job)
        return replace(self, jobs=tuple(latest.values()))

    def apply(self, function: Callable[[Job], T], *, only_succeeded: bool = True) -> dict[str, T | Exception]:
        """What a function makes of each job, by job id; where it raises, the exception.

        Args:
            function: is given a job.
            only_succeeded: leave out the jobs without results.
        """
        made: dict[str, T | Exception] = {}
        for job in self.jobs:
            if only_succeeded and not job.is_successful:
                continue
            try:
                made[job.id] = function(job)
            except Exception as error:  # noqa: BLE001 - the caller's function: what it raises concerns one job
                made[job.id] = error
        return made

    def items(self, *, patience_s: float = 60.0) -> dict[str, list[pystac.Item] | Exception]:
        """The result items of each job that has some, by job id; see `result_items`."""
        return self.apply(lambda job: result_items(self.client.storage, job, patience_s=patience_s))

    def download(self, folder: Path, *, patience_s: float = 60.0) -> dict[str, list[Path] | Exception]:
        """Fetch the files of all result items, verified, as `<folder>/<job id>/<item id>/<file>`.

        What is there already is fetched again; a transfer that was cut off is resumed.

        Args:
            folder: is made when it is missing.
            patience_s: how long to wait for each result collection, seconds.

        Returns:
            By job id: the files, or why one of them did not come.
        """

        def fetched(job: Job) -> list[Path]:
            items = result_items(self.client.storage, job, patience_s=patience_s)
            places = [(item, folder / safe_name(job.id) / safe_name(item.id)) for item in items]
            sign = self.client.storage.assets.download_url
            return [path for item, place in places for path in fetch_files(item, place, sign)]

        return self.apply(fetched)

    def land(
        self,
        lake: Lake,
        collection_id: str,
        *,
        options: LandingOptions | None = None,
        patience_s: float = 60.0,
    ) -> dict[str, list[LandedItem] | Exception]:
        """Land all result items in a lake, as `land_item` does; safe to repeat.

        Args:
            lake: where to.
            collection_id: the lake's collection.
            options: what items must be like, and how they are fetched.
            patience_s: how long to wait for each result collection, seconds.

        Returns:
            By job id: the items, or why one of them could not be landed.
        """
        with RasterWorker() as rasters:

            def landed(job: Job) -> list[LandedItem]:
                return [
                    land_item(
                        lake,
                        told_of_job(item, job),
                        collection_id=collection_id,
                        sign=self.client.storage.assets.download_url,
                        rasters=rasters,
                        options=options,
                    )
                    for item in result_items(self.client.storage, job, patience_s=patience_s)
                ]

            return self.apply(landed)

    def footprints(self, *, patience_s: float = 0.0) -> dict[str, Any]:
        """Where the results are: a GeoJSON FeatureCollection (degrees, EPSG:4326), one feature per result item.

        A job without results is a feature without geometry, so that it is not overlooked. Properties: job, process,
        step, partition, status, credits, seconds, reason, and the item's datetime and collection.

        Args:
            patience_s: how long to wait for each result collection, seconds.
        """
        items = self.items(patience_s=patience_s)
        features = []
        for job, line in zip(self.jobs, self.status(), strict=True):
            found = items.get(job.id, [])
            properties = {name: getattr(line, name) for name in JobLine.__slots__}
            if isinstance(found, Exception):
                properties["reason"], found = str(found), []
            features += [_feature(item.id, item.geometry, properties | _of(item)) for item in found]
            if not found:
                features.append(_feature(job.id, None, properties))
        return {"type": "FeatureCollection", "features": features}

    def quicklooks(self, *, patience_s: float = 0.0) -> dict[str, bytes]:
        """The pictures that UP42 made of the result items, by item id: PNG or JPEG. Those without one are left out.

        Args:
            patience_s: how long to wait for each result collection, seconds.
        """
        pictures: dict[str, bytes] = {}
        for items in self.items(patience_s=patience_s).values():
            for item in items if not isinstance(items, Exception) else ():
                if (picture := fetch_picture(item, self.client.storage.assets.download_url)) is not None:
                    pictures[item.id] = picture
        return pictures


def _read(client: Up42Client, job_ids: Iterable[str]) -> tuple[Job, ...]:
    wanted = list(dict.fromkeys(job_ids))
    listed = {
        job.id: job
        for start in range(0, len(wanted), _IDS_PER_REQUEST)
        for job in client.processing.jobs(job_ids=wanted[start : start + _IDS_PER_REQUEST])
    }
    return tuple(listed.get(one) or client.processing.job(one) for one in wanted)


def _details(client: Up42Client, job_id: str) -> Job:
    try:
        return client.processing.job(job_id)
    except Up42Error as error:
        raise OrderUnclear(f"Job {job_id} was bought; its details cannot be read yet. {error} Run again.") from error


def _of(item: pystac.Item) -> dict[str, Any]:
    when = item.datetime.isoformat() if item.datetime else None
    return {"datetime": when, "collection": item.collection_id}


def _feature(name: str, geometry: Mapping[str, Any] | None, properties: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(geometry) if geometry else None
    return {"type": "Feature", "id": name, "geometry": shown, "properties": dict(properties)}
