"""A workflow: processes chained to steps, where the results of one are the items of the next. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from up42_pipelines.errors import ConfigurationError
from up42_pipelines.processing.templates import AnyProcess, Template
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.protocol import Timing

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One process on the items of a partition.

    Attributes:
        name: letters, digits and `_`; part of job titles and job keys. A renamed step is another one: it buys again.
        template: process and parameters.
        of: name of the step whose results it works on; None for what the ingestion pipeline has landed.
        reference_days: for processes that compare a source with a reference: the reference is what the same AOI had so
            many days before. None for all others.
    """

    name: str
    template: Template | AnyProcess
    of: str | None = None
    reference_days: int | None = None

    @property
    def takes_several(self) -> bool:
        """Whether a job works on several items."""
        return bool(self.template.items_input) or len(self.template.item_inputs) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """Steps, and how much they may cost together.

    Attributes:
        name: letters, digits and `_`; part of job titles and job keys. A renamed workflow buys everything again.
        steps: each once, in any order.
        ceilings: the most that may be committed, in credits; `order` is the most for one job.
        approvals: which prices wait for a person.
        budget_id: id of the UP42 budget that pays; None for none.
        timing: how long buying waits, see docs/ordering.md.

    Raises:
        ConfigurationError: a name that cannot be one, a step that works on one that does not exist or on what its
            process cannot take, or a circle.
    """

    name: str
    steps: Sequence[Step]
    ceilings: Ceilings = field(default_factory=Ceilings)
    approvals: Approvals = field(default_factory=Approvals)
    budget_id: str | None = None
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        """Refuse what is no workflow, when it is written and not when it is run."""
        names = [step.name for step in self.steps]
        for name in (self.name, *names):
            if not _NAME.fullmatch(name):
                raise ConfigurationError(f"{name!r}: names of workflows and steps are letters, digits and _.")
        if not names:
            raise ConfigurationError(f"Workflow {self.name} has no steps.")
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigurationError(f"Workflow {self.name} has several steps named {', '.join(sorted(twice))}.")
        for step in self.steps:
            if step.of is not None and step.of not in names:
                raise ConfigurationError(f"Step {step.name} works on {step.of}, which is no step of {self.name}.")
            _check_items(step)
            before = next((one for one in self.steps if one.name == step.of), None)
            if before is not None and _finds_features(before) and not isinstance(step.template, AnyProcess):
                raise ConfigurationError(
                    f"Step {step.name}: process {step.template.process_id} works on pixels, and step {before.name} "
                    "finds features."
                )
        if len(self.in_order()) < len(names):
            raise ConfigurationError(f"The steps of workflow {self.name} go in a circle.")

    def step(self, name: str) -> Step:
        """The step with this name."""
        return next(step for step in self.steps if step.name == name)

    def after(self, name: str | None) -> list[Step]:
        """The steps that work on the results of a step, or on what the pipeline has landed when None."""
        return [step for step in self.steps if step.of == name]

    def in_order(self) -> list[Step]:
        """The steps, each after the one whose results it works on; those in a circle are left out."""
        ordered: list[Step] = []
        waiting: list[str | None] = [None]
        while waiting:
            following = self.after(waiting.pop(0))
            ordered += following
            waiting += [step.name for step in following]
        return ordered


def _check_items(step: Step) -> None:
    """Refuse a step whose process takes other items than a step can give it: one, a pair, or all."""
    process_id, template = step.template.process_id, step.template
    takes_pairs = len(template.item_inputs) == _PAIR and not template.items_input
    if not template.items_input and len(template.item_inputs) not in (1, _PAIR):
        raise ConfigurationError(
            f"Step {step.name}: process {process_id} takes {len(template.item_inputs)} items; a step gives it one, "
            "source and reference, or a list of all."
        )
    if takes_pairs != (step.reference_days is not None):
        needs = "needs reference_days" if takes_pairs else "compares nothing: leave reference_days out"
        raise ConfigurationError(f"Step {step.name}: process {process_id} {needs}.")
    if step.reference_days is not None and step.reference_days < 1:
        raise ConfigurationError(f"Step {step.name}: reference_days is {step.reference_days}; 1 is the day before.")


def _finds_features(step: Step) -> bool:
    return isinstance(step.template, Template) and step.template.finds_features


_PAIR = 2
