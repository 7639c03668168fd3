"""A whole workflow checked and priced before anything is spent: each step on the items that it would get.

Results do not exist yet. So a later step is judged on the items that the first one works on, as stand-ins: what is
priced by area holds for them, what UP42 finds wrong with them may not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyproj
import pystac
from shapely.errors import ShapelyError
from shapely.geometry import shape

from up42_pipelines.api.processing import InputProblem, Process
from up42_pipelines.errors import InvalidRequest
from up42_pipelines.processing.checking import (
    INVALID_INPUT,
    INVALID_SCHEMA,
    MISSING_INPUT,
    UNKNOWN_INPUT,
    CheckingApi,
    check_items,
    check_process,
    in_words,
)
from up42_pipelines.processing.plan import JobToBuy, plan_jobs
from up42_pipelines.processing.workflow import Step, Workflow
from up42_pipelines.purchasing.budget import Entry, EntryState, Refusal, Sheet, reserve

_OF_THE_FORM = frozenset({INVALID_SCHEMA, MISSING_INPUT, UNKNOWN_INPUT, INVALID_INPUT})
"""Problems with the form of the inputs, which other items would not cure."""

_WGS84 = pyproj.Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEstimate:
    """What one job would cost.

    Attributes:
        key: job key; of a stand-in, no key that is ever bought.
        items: ids of the items it was judged on.
        credits: whole credits, rounded up; None when nobody tells a price.
        problems: why it would not be taken.
        warnings: what UP42 finds wrong with a stand-in; the real item is another one.
    """

    key: str
    items: tuple[str, ...]
    credits: int | None = None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEstimate:
    """What the jobs of one step would cost.

    Attributes:
        step: its name.
        process_id: its process.
        on_stand_ins: whether it was judged on items that stand in for results.
        jobs: one estimate each.
        left_out: by item id, why no job would work on it.
        problems: why none of its jobs would be taken: there is no such process, or its EULA is not accepted.
    """

    step: str
    process_id: str
    on_stand_ins: bool
    jobs: tuple[JobEstimate, ...] = ()
    left_out: Mapping[str, str]
    problems: tuple[str, ...] = ()

    @property
    def credits(self) -> int:
        """Of its jobs whose price is known."""
        return sum(job.credits or 0 for job in self.jobs)

    @property
    def unpriced(self) -> int:
        """How many of its jobs would be taken at a price that nobody tells."""
        return 0 if self.problems else sum(job.credits is None and not job.problems for job in self.jobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowEstimate:
    """What a workflow would cost on the items of a partition.

    Attributes:
        workflow: its name.
        steps: each after the one whose results it works on.
        refusals: sentences: the ceilings that would not let a job through.
        approvals: sentences: the jobs that would wait for a person.
        sheet: what would be committed afterwards; the estimate of the next partition begins with it.
    """

    workflow: str
    steps: tuple[StepEstimate, ...]
    refusals: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    sheet: Sheet

    @property
    def credits(self) -> int:
        """Of all jobs whose price is known."""
        return sum(step.credits for step in self.steps)

    @property
    def problems(self) -> tuple[str, ...]:
        """What would certainly go wrong, each beginning with its step."""
        return (
            *(f"{step.step}: {problem}" for step in self.steps for problem in step.problems),
            *(
                f"{step.step}: {', '.join(job.items)}: {problem}"
                for step in self.steps
                for job in step.jobs
                for problem in job.problems
            ),
            *self.refusals,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may go wrong, what is left out and what is not priced, each beginning with its step."""
        return (
            *(
                f"{step.step}: {', '.join(job.items)}, in place of a result: {warning}"
                for step in self.steps
                for job in step.jobs
                for warning in job.warnings
            ),
            *(f"{step.step}: {item}: {reason}" for step in self.steps for item, reason in step.left_out.items()),
            *(f"{step.step}: {step.unpriced} job(s) without a price." for step in self.steps if step.unpriced),
        )


def estimate_workflow(
    processing: CheckingApi,
    workflow: Workflow,
    items: Sequence[pystac.Item],
    *,
    references: Sequence[pystac.Item] = (),
    partition: str = "estimate",
    workspace_id: str = "",
    sheet: Sheet | None = None,
) -> WorkflowEstimate:
    """Check and price all steps of a workflow for one partition. Only free calls.

    Args:
        processing: of the workspace.
        workflow: what would be computed.
        items: that the first steps would work on.
        references: that steps which compare would compare with.
        partition: partition key.
        workspace_id: part of the job keys; with the real one, jobs of first steps that are on the sheet count once.
        sheet: what the workflow has committed so far; nothing when None. Jobs of later steps that are on it count once
            more: what they worked on is not known here.

    Raises:
        ApiError, Unreachable: a call failed; that says nothing about the workflow.
    """
    estimates: list[StepEstimate] = []
    worked_on: dict[str | None, list[pystac.Item]] = {None: list(items)}
    for step in workflow.in_order():
        plan = plan_jobs(
            workflow,
            step,
            workspace_id=workspace_id,
            partition=partition,
            items=worked_on[step.of],
            references=references,
        )
        # A result lies where its source does; of a job over many items there is one result.
        worked_on[step.name] = [job.sources[0] for job in plan.jobs]
        offered = check_process(processing, step.template.process_id)
        told = tuple(map(in_words, offered.problems))
        process = None if told else offered.process
        estimates.append(
            StepEstimate(
                step=step.name,
                process_id=step.template.process_id,
                on_stand_ins=step.of is not None,
                jobs=tuple(_estimate(processing, process, step, job) for job in plan.jobs),
                left_out=plan.left_out,
                problems=told,
            )
        )
    refusals, afterwards = under_ceilings(
        workflow, estimates, partition=partition, sheet=sheet or Sheet(pipeline=workflow.name), at=datetime.now(UTC)
    )
    return WorkflowEstimate(
        workflow=workflow.name,
        steps=tuple(estimates),
        refusals=tuple(refusals),
        approvals=tuple(_approvals(workflow, estimates)),
        sheet=afterwards,
    )


def under_ceilings(
    workflow: Workflow, steps: Sequence[StepEstimate], *, partition: str, sheet: Sheet, at: datetime
) -> tuple[list[str], Sheet]:
    """The jobs that a ceiling would refuse if all were bought in turn, as sentences, and the sheet afterwards. Pure.

    Steps that follow one step are bought in one run: on its ceiling they count together.
    """
    refusals = []
    for estimate in steps:
        before = workflow.step(estimate.step).of
        run = "of the first steps" if before is None else f"that follows {before}"
        for job in estimate.jobs:
            if job.credits is None:
                continue
            entry = Entry(
                key=job.key, credits=job.credits, partition=partition, run=run, at=at, state=EntryState.RESERVED
            )
            reserved = reserve(sheet, entry, workflow.ceilings)
            if isinstance(reserved, Refusal):
                refusals.append(reserved.sentence(f"Step {estimate.step} on {', '.join(job.items)}"))
            else:
                sheet = reserved
    return refusals, sheet


def _approvals(workflow: Workflow, steps: Sequence[StepEstimate]) -> list[str]:
    above = workflow.approvals.above
    return [
        f"Step {step.step} on {', '.join(job.items)} would cost {job.credits} credits; more than {above:g} need a "
        "person's approval."
        for step in steps
        for job in step.jobs
        if above is not None and job.credits is not None and job.credits > above
    ]


def _estimate(processing: CheckingApi, process: Process | None, step: Step, job: JobToBuy) -> JobEstimate:
    """Judge one job; without a process, which refuses all, there is nothing to ask."""
    key, items = job.planned.key, tuple(item.id for item in job.sources)
    if process is None:
        return JobEstimate(key=key, items=items)
    inputs = job.planned.submitted()
    certain, doubtful = _sorted(check_items(processing, process, inputs), on_stand_in=step.of is not None)
    credits = None
    if not certain:
        credits = _area_price(process, job.sources[0])
        try:
            credits = math.ceil(processing.cost(process.id, inputs).total_credits)
        except InvalidRequest:  # as it is when a stand-in does not fit
            if not doubtful:
                raise
    return JobEstimate(key=key, items=items, credits=credits, problems=certain, warnings=doubtful)


def _sorted(problems: Sequence[InputProblem], *, on_stand_in: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What would certainly be refused, and what may be."""
    certain = [one for one in problems if not on_stand_in or one.name in _OF_THE_FORM]
    doubtful = [one for one in problems if on_stand_in and one.name not in _OF_THE_FORM]
    return tuple(map(in_words, certain)), tuple(map(in_words, doubtful))


def _area_price(process: Process, item: pystac.Item) -> int | None:
    """What the process's price makes of the area of an item; None when it is not one price by area."""
    prices = process.prices
    if len(prices) != 1 or prices[0].unit != "SQ_KM" or not item.geometry:
        return None
    try:
        area_m2, _ = _WGS84.geometry_area_perimeter(shape(item.geometry))
    except (ShapelyError, LookupError, TypeError, ValueError, AttributeError):
        return None
    return math.ceil(prices[0].credits * abs(area_m2) / 1e6)
