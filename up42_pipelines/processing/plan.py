"""From the items of a partition to the jobs of a step. Pure: the same items give the same jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pystac
import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from up42_pipelines.api.processing import Job
from up42_pipelines.errors import OrderRefused
from up42_pipelines.processing.items import is_features_only, up42_href
from up42_pipelines.processing.keys import JobTitle, canonical_inputs
from up42_pipelines.processing.purchase import PlannedJob
from up42_pipelines.processing.templates import AnyProcess
from up42_pipelines.processing.workflow import Step, Workflow

_SAME_SHARE = 9
"""Digits of the share of a source that a reference covers; what differs beyond them is rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobToBuy:
    """A job, and the items it works on.

    Attributes:
        planned: what would be executed.
        sources: its items, in the order of its inputs: one; or source and reference; or all of them.
    """

    planned: PlannedJob
    sources: tuple[pystac.Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """What a step would execute for a partition.

    Attributes:
        jobs: in the order of the items.
        left_out: by item id, why no job works on it.
    """

    jobs: tuple[JobToBuy, ...]
    left_out: Mapping[str, str]


def plan_jobs(
    workflow: Workflow,
    step: Step,
    *,
    workspace_id: str,
    partition: str,
    items: Sequence[pystac.Item],
    references: Sequence[pystac.Item] = (),
    generation: int = 1,
) -> JobPlan:
    """Plan the jobs of a step for one partition; what no job can work on is left out and does not keep the others.

    A process of one item gets a job per item; one that compares gets a job per item with the reference that covers
    most of it; one that takes a list gets a single job over all items.

    Args:
        workflow: that the step belongs to.
        step: what is computed.
        workspace_id: UP42 workspace.
        partition: partition key.
        items: of the lake, or of UP42's storage.
        references: the items that the step compares with.
        generation: raised by a person to buy the same jobs again.
    """
    template = step.template
    usable, left_out = _usable(items, step)
    groups: list[tuple[pystac.Item, ...]] = [(item,) for item in usable.values()]
    if template.items_input:
        groups = [tuple(usable[href] for href in sorted(usable))] if usable else []
    elif step.reference_days is not None:
        known, unusable = _usable(references, step)
        groups = []
        for item in usable.values():
            reference = best_reference(item, list(known.values()))
            if reference is None:
                left_out[item.id] = _without_reference(step, references, unusable)
            else:
                groups.append((item, reference))
    return JobPlan(
        jobs=tuple(
            JobToBuy(
                planned=PlannedJob(
                    workspace_id=workspace_id,
                    workflow=workflow.name,
                    step=step.name,
                    partition=partition,
                    process_id=template.process_id,
                    inputs=template.inputs([up42_href(item) for item in group]),
                    generation=generation,
                    budget_id=workflow.budget_id,
                ),
                sources=group,
            )
            for group in groups
        ),
        left_out=left_out,
    )


def without_repeats(plan: JobPlan, step: Step, existing: Iterable[tuple[Job, JobTitle]]) -> JobPlan:
    """A plan without jobs that would do the same again because more has been delivered meanwhile.

    What a source is compared with, and which items are put together, changes while a delivery comes in parts; each time
    it would be another job under another key. So the first one counts, failed or not, as any other purchase does; only
    a person buys another.

    Args:
        plan: of the step and partition.
        step: what is computed.
        existing: jobs of the step and partition that UP42 has.
    """
    changing = {step.template.items_input, *step.template.item_inputs[1:]}
    bought = [(title.key, canonical_inputs(job.inputs)) for job, title in existing]
    jobs, left_out = [], dict(plan.left_out)
    for job in plan.jobs:
        lasting = {name: one for name, one in canonical_inputs(job.planned.inputs).items() if name not in changing}
        same = [key for key, inputs in bought if all(inputs.get(name) == one for name, one in lasting.items())]
        if same and job.planned.key not in same:
            for source in job.sources if step.template.items_input else job.sources[:1]:
                left_out[source.id] = (
                    "There is a job for it already, made with other items before all had been delivered. To buy "
                    "another one, raise the generation."
                )
        else:
            jobs.append(job)
    return JobPlan(jobs=tuple(jobs), left_out=left_out)


def best_reference(source: pystac.Item, references: Sequence[pystac.Item]) -> pystac.Item | None:
    """The reference that covers most of a source, None when none covers any of it.

    Of equal ones it is the latest, then the first by id. Areas are compared in degrees, which is fair among references
    of one source.
    """
    ground = _ground(source)
    if ground is None or not ground.area:
        return None
    href = up42_href(source)
    candidates = []
    for reference in references:
        there = _ground(reference)
        share = 0.0 if there is None else round(ground.intersection(there).area / ground.area, _SAME_SHARE)
        if share > 0 and up42_href(reference) != href:
            taken = reference.datetime.timestamp() if reference.datetime else 0.0
            candidates.append((-share, -taken, reference.id, reference))
    return min(candidates, key=lambda one: one[:3])[-1] if candidates else None


def _usable(items: Sequence[pystac.Item], step: Step) -> tuple[dict[str, pystac.Item], dict[str, str]]:
    """The items that a job of the step can name, by href, and why the others cannot be, by id."""
    usable: dict[str, pystac.Item] = {}
    left_out: dict[str, str] = {}
    for item in items:
        # What a process without a template works on is told by UP42 alone.
        if not isinstance(step.template, AnyProcess) and is_features_only(item):
            left_out[item.id] = f"It holds features and no pixels, which {step.template.process_id} works on."
            continue
        try:
            usable.setdefault(up42_href(item), item)
        except OrderRefused as refusal:
            left_out[item.id] = str(refusal)
    return usable, left_out


def _without_reference(step: Step, references: Sequence[pystac.Item], unusable: Mapping[str, str]) -> str:
    then = f"{step.reference_days} day(s) before"
    if not references:
        return f"There is nothing to compare it with: no item of {then}."
    why = "".join(f" {item_id}: {reason}" for item_id, reason in unusable.items())
    return f"None of the {len(references)} item(s) of {then} shows the same place.{why}"


def _ground(item: pystac.Item) -> BaseGeometry | None:
    """Where an item is, in degrees; None when it does not say."""
    try:
        return shapely.make_valid(shape(item.geometry)) if item.geometry else None
    except (ShapelyError, LookupError, TypeError, ValueError, AttributeError):
        return None
