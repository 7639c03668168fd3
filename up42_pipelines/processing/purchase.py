"""A processing job as something to buy once: how it is found, priced and executed at UP42."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from up42_pipelines.api.processing import Job, JobStatus
from up42_pipelines.errors import OrderRefused
from up42_pipelines.processing.checking import CheckingApi, check_job
from up42_pipelines.processing.keys import TITLE, JobTitle, canonical_inputs, job_key
from up42_pipelines.processing.listing import JobsApi, JobSearch
from up42_pipelines.purchasing.funds import Account, check_funds
from up42_pipelines.purchasing.intents import Intent
from up42_pipelines.purchasing.protocol import Found, Timing

KIND = "job"

_FREE_OF_CHARGE = frozenset({JobStatus.UNLICENSED, JobStatus.INVALID, JobStatus.REJECTED, JobStatus.RELEASED})
"""Ends after which UP42 has certainly charged nothing. FAILED is not among them: RELEASED gives the credits back."""


def is_free_of_charge(job: Job) -> bool:
    """Whether UP42 has certainly charged nothing for a job, and will not."""
    return job.status in _FREE_OF_CHARGE


class ProcessingApi(JobsApi, CheckingApi, Protocol):
    """The part of `api.Processing` that buying needs."""

    def execute(
        self,
        process_id: str,
        inputs: Mapping[str, Any],
        *,
        budget_id: str | None = None,
        not_after: float | None = None,
    ) -> Job:
        """Spend the money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """One job that may be executed.

    Attributes:
        workspace_id: UP42 workspace.
        workflow: name of the workflow it is bought for.
        step: name of its step.
        partition: partition key.
        process_id: the process.
        inputs: self hrefs of STAC items and parameters, as the process describes; without the title.
        generation: raised by a person to buy the same thing again.
        budget_id: the UP42 budget that pays; no part of the key.
    """

    workspace_id: str
    workflow: str
    step: str
    partition: str
    process_id: str
    inputs: Mapping[str, Any]
    generation: int = 1
    budget_id: str | None = None

    @property
    def key(self) -> str:
        """Job key."""
        return job_key(
            workspace_id=self.workspace_id,
            process_id=self.process_id,
            inputs=self.inputs,
            workflow=self.workflow,
            step=self.step,
            partition=self.partition,
            generation=self.generation,
        )

    def submitted(self, credits: int = 0) -> dict[str, Any]:
        """The inputs as they are sent; `credits` is the estimate that the job's title will tell."""
        title = JobTitle(
            workflow=self.workflow, step=self.step, partition=self.partition, key=self.key, credits=credits
        )
        return {**self.inputs, TITLE: str(title)}


class JobPurchase:
    """A planned job; implements `purchasing.purchase.Purchase`.

    Args:
        planned: what to buy.
        processing: the jobs of the workspace.
        account: the account that pays.
        search: the buyer's, which finds jobs by key. None for one of its own.
    """

    kind = KIND

    def __init__(
        self, planned: PlannedJob, processing: ProcessingApi, account: Account, search: JobSearch | None = None
    ) -> None:
        self.planned, self._processing, self._account = planned, processing, account
        self._search = search or JobSearch(processing, Timing())
        self.key, self.pipeline, self.partition = planned.key, planned.workflow, planned.partition
        self.label = f"Job {planned.workflow}.{planned.step} ({planned.process_id}) for partition {self.partition}"

    @property
    def request(self) -> dict[str, Any]:
        """The job's inputs, and what of its key is not in there."""
        planned = self.planned
        budget = {} if planned.budget_id is None else {"budgetId": planned.budget_id}
        return {
            "workspaceId": planned.workspace_id,
            "processId": planned.process_id,
            "step": planned.step,
            "generation": planned.generation,
            **budget,
            "inputs": dict(planned.inputs),
        }

    @classmethod
    def of_intent(
        cls, intent: Intent, processing: ProcessingApi, account: Account, search: JobSearch | None = None
    ) -> JobPurchase:
        """The purchase that an intent was written for, perhaps by another process."""
        request = intent.request
        planned = PlannedJob(
            workspace_id=request["workspaceId"],
            workflow=intent.pipeline,
            step=request["step"],
            partition=intent.partition,
            process_id=request["processId"],
            inputs=request["inputs"],
            generation=request["generation"],
            budget_id=request.get("budgetId"),
        )
        return cls(planned, processing, account, search)

    def find(self) -> list[Found[Job]]:
        """Every job of the process whose title carries the key."""
        return [self._found(job) for job in self._search.with_key(self.planned.process_id, self.key)]

    def price(self) -> int:
        """The cost in whole credits, rounded up.

        A job that could only fail costs nothing and would yet count as bought, so licence and inputs are checked.

        Raises:
            OrderRefused: UP42 has no such process, its EULA is not accepted, or the inputs do not fit.
            ConfigurationError: the job's title would be too long.
        """
        assessed = check_job(self._processing, self.planned.process_id, self.planned.submitted())
        if assessed.cost is None:
            told = f"{self.label}: UP42 does not take it: {assessed.reasons}. Nothing was executed."
            if assessed.process is not None and assessed.eula_accepted:
                told += " Change the step, or leave the item out; `up42-pipelines jobs check` tries what you like."
            raise OrderRefused(told)
        credits = math.ceil(assessed.cost.total_credits)
        self.planned.submitted(credits)  # a title that its price makes too long is refused before anything is reserved
        return credits

    def check_funds(self, credits: int) -> None:
        """Ask for the balance, and for the UP42 budget when there is one."""
        check_funds(self._account, self.label, credits, budget_id=self.planned.budget_id)

    def place(self, credits: int, *, not_after: float) -> list[str]:
        """Start the job once."""
        planned = self.planned
        job = self._processing.execute(
            planned.process_id, planned.submitted(credits), budget_id=planned.budget_id, not_after=not_after
        )
        return [job.id]

    def get(self, purchase_id: str) -> Found[Job]:
        """One job."""
        return self._found(self._processing.job(purchase_id))

    def _found(self, job: Job) -> Found[Job]:
        title = JobTitle.read(job.title)
        return Found(
            id=job.id,
            record=job,
            credits=math.ceil(job.credits or (title.credits if title else 0)),
            created_at=job.created,
            failed=isinstance(job.status, JobStatus) and job.status.is_failure,
            returned=is_free_of_charge(job),
            contradiction=self._contradiction(job),
        )

    def _contradiction(self, job: Job) -> str:
        planned = self.planned
        if job.process_id != planned.process_id:
            return f"process {job.process_id} instead of {planned.process_id}"
        theirs, ours = canonical_inputs(job.inputs), canonical_inputs(planned.inputs)
        # UP42 may tell defaults beside what was submitted.
        different = sorted(name for name, value in ours.items() if theirs.get(name) != value)
        return f"other inputs: {', '.join(different)}" if different else ""
