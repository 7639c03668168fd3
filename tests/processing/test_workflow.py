"""Workflows: which chains can be written, and in which order they run."""

import pytest

from up42_pipelines.errors import ConfigurationError
from up42_pipelines.processing.templates import (
    AnyProcess,
    CoregistrationSimularity,
    DetectionChangeSimularity,
    DetectionTreesSpacept,
    Pansharpening,
    TrueColorConversion,
)
from up42_pipelines.processing.workflow import Step, Workflow


def step(name, template=None, **options):
    return Step(name=name, template=template or Pansharpening(), **options)


def names(steps):
    return [one.name for one in steps]


class TestOrder:
    WORKFLOW = Workflow(
        name="w",
        steps=[
            step("trees", DetectionTreesSpacept(), of="colour"),
            step("change", DetectionChangeSimularity(), of="sharp", reference_days=1),
            step("sharp"),
            step("colour", TrueColorConversion(), of="sharp"),
        ],
    )

    def test_each_after_the_one_it_works_on(self):
        assert names(self.WORKFLOW.in_order()) == ["sharp", "change", "colour", "trees"]

    def test_what_follows(self):
        assert names(self.WORKFLOW.after(None)) == ["sharp"]
        assert names(self.WORKFLOW.after("sharp")) == ["change", "colour"]
        assert self.WORKFLOW.step("trees").of == "colour"


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([], "has no steps"),
        ([step("a b")], "'a b': names of workflows and steps"),
        ([step("1st")], "names of workflows and steps"),
        ([step("ä")], "names of workflows and steps"),
        ([step("a"), step("a")], "several steps named a"),
        ([step("a", of="b")], "works on b, which is no step of w"),
        ([step("a", of="a")], "go in a circle"),
        ([step("a"), step("b", of="c"), step("c", of="b")], "go in a circle"),
        ([step("a", CoregistrationSimularity())], "coregistration-simularity needs reference_days"),
        ([step("a", reference_days=3)], "compares nothing: leave reference_days out"),
        ([step("a", CoregistrationSimularity(), reference_days=0)], "reference_days is 0; 1 is the day before"),
        ([step("a", AnyProcess(process_id="x", item_inputs=("a", "b", "c")))], "takes 3 items"),
        ([step("a", AnyProcess(process_id="x", item_inputs=()))], "takes 0 items"),
        ([step("a", DetectionTreesSpacept()), step("b", of="a")], "works on pixels, and step a finds features"),
    ],
)
def test_what_is_no_workflow_is_refused_when_it_is_written(steps, told):
    with pytest.raises(ConfigurationError, match=told):
        Workflow(name="w", steps=steps)


def test_a_workflow_needs_a_name():
    with pytest.raises(ConfigurationError, match="''"):
        Workflow(name="", steps=[step("a")])


def test_a_process_without_template_may_work_on_features():
    simplify = step("b", AnyProcess(process_id="simplify"), of="a")
    assert names(Workflow(name="w", steps=[step("a", DetectionTreesSpacept()), simplify]).in_order()) == ["a", "b"]


def test_a_list_of_items_compares_nothing():
    pair = AnyProcess(process_id="x", item_inputs=("a", "b"), items_input="items")
    assert Workflow(name="w", steps=[step("a", pair)]).step("a").template is pair
