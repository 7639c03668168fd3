"""Processes as templates: what is sent for each."""

import pytest

from up42_pipelines.errors import ConfigurationError
from up42_pipelines.processing.templates import (
    TEMPLATES,
    AnyProcess,
    DetectionChangeSimularity,
    GreyWeight,
    Pansharpening,
)

PAIRS = {"coregistration-simularity", "detection-change-simularity"}


@pytest.mark.parametrize("process_id", sorted(TEMPLATES.keys() - PAIRS))
def test_processes_of_one_item(process_id):
    assert TEMPLATES[process_id]().inputs(["href"]) == {"item": "href"}


def test_the_source_goes_before_the_reference():
    pair = {"sourceItem": "new", "referenceItem": "old"}
    assert TEMPLATES["coregistration-simularity"]().inputs(["new", "old"]) == pair
    assert DetectionChangeSimularity().inputs(["new", "old"]) == {**pair, "sensitivity": 2}
    assert DetectionChangeSimularity(sensitivity=7).inputs(["new", "old"])["sensitivity"] == 7


def test_grey_weights_are_sent_when_there_are_any():
    weights = (GreyWeight(band="red", weight=0.2), GreyWeight(band="nir", weight=0.8))
    assert Pansharpening(grey_weights=weights).inputs(["href"]) == {
        "item": "href",
        "greyWeights": [{"band": "red", "weight": 0.2}, {"band": "nir", "weight": 0.8}],
    }


def test_what_finds_features_is_known():
    found = {process_id for process_id, template in TEMPLATES.items() if template.finds_features}
    assert found == {process_id for process_id in TEMPLATES if process_id.startswith("detection-")}


@pytest.mark.parametrize(
    ("template", "items"),
    [(Pansharpening(), []), (Pansharpening(), ["a", "b"]), (DetectionChangeSimularity(), ["a"])],
)
def test_another_number_of_items_is_refused(template, items):
    with pytest.raises(ConfigurationError, match=rf"takes \d item\(s\) \(.*\), not {len(items)}"):
        template.inputs(items)


class TestAnyProcess:
    def test_its_items_and_parameters(self):
        mosaic = AnyProcess(process_id="mosaic", items_input="items", parameters={"blend": True})
        assert mosaic.inputs(["a", "b"]) == {"items": ["a", "b"], "blend": True}
        assert AnyProcess(process_id="x", item_inputs=("scene",)).inputs(["a"]) == {"scene": "a"}

    def test_a_list_of_nothing_is_refused(self):
        with pytest.raises(ConfigurationError, match="needs at least one item for its input items"):
            AnyProcess(process_id="mosaic", items_input="items").inputs([])

    @pytest.mark.parametrize("name", ["title", "item", "items"])
    def test_a_parameter_cannot_take_the_place_of_an_item_or_the_title(self, name):
        with pytest.raises(ConfigurationError, match=f"{name} cannot be a parameter"):
            AnyProcess(process_id="mosaic", items_input="items", parameters={name: "mine"})
