"""A whole workflow before anything is spent: judged by a stand-in for UP42, and by the sandbox."""

import math
from datetime import UTC, datetime

import pystac
import pytest
from shapely.geometry import box, mapping

from up42_pipelines.api.processing import Cost, Eula, InputProblem, Process
from up42_pipelines.errors import InvalidRequest, NotFound
from up42_pipelines.processing.estimate import estimate_workflow
from up42_pipelines.processing.templates import (
    AnyProcess,
    DetectionChangeSimularity,
    DetectionTreesSpacept,
    Pansharpening,
    TrueColorConversion,
    UpsamplingNS,
)
from up42_pipelines.processing.workflow import Step, Workflow
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings, Entry, EntryState, Sheet

HREF = "https://api.up42.com/v2/assets/stac/collections/c/items/{}"
SHARP = Step(name="sharp", template=Pansharpening())
COLOUR = Step(name="colour", template=TrueColorConversion(), of="sharp")
TREES = Step(name="trees", template=DetectionTreesSpacept(), of="colour")
KM2 = 7.64  # of the item's geometry, on the ellipsoid


def item(name, *, place=True):
    geometry = mapping(box(13, 52, 13.1, 52.01)) if place else None
    made = pystac.Item(name, geometry, None, datetime(2026, 6, 1, tzinfo=UTC), {})
    made.add_link(pystac.Link("derived_from", HREF.format(name)))
    made.add_asset("data", pystac.Asset("file", media_type="image/tiff", roles=["data"]))
    return made


class Up42:
    """Every process is offered at 3 credits a job, 2 credits per km² by its description."""

    def __init__(self, *, prices=({"credits": 2, "unit": "SQ_KM"},), inputs=None):
        self.prices, self.inputs = prices, inputs
        self.unknown, self.unlicensed = set(), set()
        self.problems, self.cost_of, self.asked = {}, {}, []

    def process(self, process_id):
        self.asked.append(("process", process_id))
        if process_id in self.unknown:
            raise NotFound(method="GET", url=process_id, status=404, title="no such process")
        parameters = [{"name": "eula-id", "value": [process_id]}, {"name": "price", "value": list(self.prices)}]
        told = {"id": process_id, "additionalParameters": {"parameters": parameters}, "inputs": self.inputs}
        return Process.parse(told)

    def eula(self, eula_id):
        return Eula(is_accepted=eula_id not in self.unlicensed)

    def validate(self, process_id, inputs):
        self.asked.append(("validate", process_id, inputs))
        return self.problems.get(process_id, ())

    def cost(self, process_id, _inputs):
        self.asked.append(("cost", process_id))
        price = self.cost_of.get(process_id, 3)
        if price is None:
            raise InvalidRequest(method="POST", url=process_id, status=422, title="Unprocessable Entity")
        return Cost(total_credits=price)


def estimate(up42, *steps, items=(), references=(), sheet=None, **options):
    workflow = Workflow(name="w", steps=steps or (SHARP, COLOUR, TREES), **options)
    made = items or [item("a"), item("b")]
    return estimate_workflow(up42, workflow, made, references=references, partition="here", sheet=sheet)


class TestPrices:
    def test_of_every_step_and_all_together(self):
        up42 = Up42()
        up42.cost_of = {"pansharpening": 10.2, "true-color-conversion": 0}
        made = estimate(up42)
        assert [(one.step, one.credits, one.on_stand_ins) for one in made.steps] == [
            ("sharp", 22, False),
            ("colour", 0, True),
            ("trees", 6, True),
        ]
        assert (made.credits, made.problems, made.warnings) == (28, (), ())

    def test_a_process_is_asked_for_once_per_step(self):
        up42 = Up42()
        estimate(up42)
        assert [one for kind, one, *_ in up42.asked if kind == "process"] == [
            "pansharpening",
            "true-color-conversion",
            "detection-trees-spacept",
        ]

    def test_a_job_over_all_items_has_one_result(self):
        mosaic = Step(name="mosaic", template=AnyProcess(process_id="mosaic", items_input="items"))
        after = Step(name="finer", template=UpsamplingNS(), of="mosaic")
        made = estimate(Up42(), mosaic, after)
        assert [[job.items for job in one.jobs] for one in made.steps] == [[("a", "b")], [("a",)]]

    def test_a_step_that_compares_is_judged_on_the_references(self):
        change = Step(name="change", template=DetectionChangeSimularity(), of="sharp", reference_days=1)
        made = estimate(Up42(), SHARP, change, items=[item("new")], references=[item("old")])
        assert [job.items for job in made.steps[1].jobs] == [("new", "old")]

    def test_what_is_left_out_is_told_and_has_no_results(self):
        change = Step(name="change", template=DetectionChangeSimularity(), reference_days=1)
        made = estimate(Up42(), change)
        assert made.steps[0].jobs == ()
        assert [one.partition(": There is nothing")[0] for one in made.warnings] == ["change: a", "change: b"]


class TestFirstStep:
    def test_a_problem_is_certain_and_has_no_price(self):
        up42 = Up42()
        up42.problems["pansharpening"] = [InputProblem(name="MissingPanchromaticAsset", message="no such asset.")]
        made = estimate(up42, SHARP)
        assert made.problems == (
            "sharp: a: MissingPanchromaticAsset: no such asset",
            "sharp: b: MissingPanchromaticAsset: no such asset",
        )
        assert (made.credits, made.warnings, [job.credits for job in made.steps[0].jobs]) == (0, (), [None, None])
        assert ("cost", "pansharpening") not in up42.asked

    def test_a_price_that_is_not_told_is_a_failed_call(self):
        up42 = Up42()
        up42.cost_of["pansharpening"] = None
        with pytest.raises(InvalidRequest):
            estimate(up42, SHARP)


class TestLaterSteps:
    """Judged on stand-ins: what may differ for the real item is a warning, what cannot is a problem."""

    def test_what_is_wrong_with_a_stand_in_is_a_warning(self):
        up42 = Up42()
        up42.problems["true-color-conversion"] = [InputProblem(name="MissingBands", message="no red band")]
        made = estimate(up42, SHARP, COLOUR, items=[item("a")])
        assert made.problems == ()
        assert made.warnings == ("colour: a, in place of a result: MissingBands: no red band",)
        assert made.steps[1].credits == 3

    def test_its_price_is_by_area_when_up42_tells_none(self):
        up42 = Up42()
        up42.problems["true-color-conversion"] = [InputProblem(name="MissingBands")]
        up42.cost_of["true-color-conversion"] = None
        assert estimate(up42, SHARP, COLOUR, items=[item("a")]).steps[1].credits == math.ceil(2 * KM2)

    @pytest.mark.parametrize(
        "prices",
        [
            (),
            ({"credits": 2, "unit": "ITEM"},),
            ({"credits": 2, "unit": "SQ_KM"}, {"credits": 1, "unit": "SQ_KM"}),
            ({"credits": 2, "unit": "SQ_KM"}, {"credits": 1, "unit": "ITEM"}),
        ],
    )
    def test_a_price_that_is_not_by_area_is_not_guessed(self, prices):
        up42 = Up42(prices=prices)
        up42.problems["true-color-conversion"] = [InputProblem(name="MissingBands")]
        up42.cost_of["true-color-conversion"] = None
        made = estimate(up42, SHARP, COLOUR, items=[item("a")])
        assert (made.steps[1].credits, made.steps[1].unpriced) == (0, 1)
        assert made.warnings[-1] == "colour: 1 job(s) without a price."

    def test_nor_of_an_item_without_a_place(self):
        up42 = Up42()
        up42.problems["true-color-conversion"] = [InputProblem(name="MissingBands")]
        up42.cost_of["true-color-conversion"] = None
        assert estimate(up42, SHARP, COLOUR, items=[item("a", place=False)]).steps[1].unpriced == 1

    def test_what_is_wrong_with_the_parameters_is_certain(self):
        up42 = Up42()
        up42.problems["true-color-conversion"] = [InputProblem(name="InvalidSchema", message="data.inputs.x")]
        assert estimate(up42, SHARP, COLOUR).problems[0] == "colour: a: InvalidSchema: data.inputs.x"

    def test_so_is_what_a_description_refuses(self):
        up42 = Up42(inputs={"item": {"schema": {"type": "string"}}, "factor": {"schema": {"type": "integer"}}})
        other = Step(name="other", template=AnyProcess(process_id="any", parameters={"factor": "two"}), of="sharp")
        made = estimate(up42, SHARP, other, items=[item("a")])
        assert made.problems == ("other: a: InvalidInput: factor: 'two' is not of type 'integer'",)

    @pytest.mark.parametrize(
        ("attribute", "told"), [("unknown", "ProcessNotFound: UP42 has no"), ("unlicensed", "EulaNotAccepted: EULA")]
    )
    def test_an_unknown_process_or_a_missing_licence_is_certain_and_told_once(self, attribute, told):
        up42 = Up42()
        getattr(up42, attribute).add("true-color-conversion")
        made = estimate(up42)
        [problem] = made.problems
        assert problem.startswith(f"colour: {told}")
        assert not [one for one in up42.asked if one[0] != "process" and one[1] == "true-color-conversion"]
        assert (made.steps[1].unpriced, made.steps[1].credits) == (0, 0)
        assert made.steps[2].credits == 6  # what follows is judged all the same

    def test_without_any_item_the_processes_are_checked(self):
        up42 = Up42()
        up42.unknown.add("detection-trees-spacept")
        made = estimate_workflow(up42, Workflow(name="w", steps=[SHARP, COLOUR, TREES]), [])
        assert [one.partition(":")[0] for one in made.problems] == ["trees"]


class TestCeilings:
    def test_the_first_job_that_does_not_fit_is_named(self):
        made = estimate(Up42(), SHARP, ceilings=Ceilings(order=100, partition=5))
        [refusal] = made.refusals
        assert refusal.startswith("Step sharp on b would cost 3 credits; the ceiling per partition (here, 5 credits)")
        assert made.problems == (refusal,)

    def test_what_follows_one_step_is_one_run(self):
        second = Step(name="second", template=UpsamplingNS())
        assert estimate(Up42(), SHARP, COLOUR, ceilings=Ceilings(run=6)).refusals == ()
        assert len(estimate(Up42(), SHARP, second, ceilings=Ceilings(run=6)).refusals) == 2

    def test_what_was_committed_before_counts(self):
        at = datetime.now(UTC)
        entry = Entry(key="x", credits=99, partition="there", at=at, state=EntryState.SPENT)
        sheet = Sheet(pipeline="w", entries={"x": entry})
        assert len(estimate(Up42(), SHARP, sheet=sheet, ceilings=Ceilings(month=100)).refusals) == 2

    def test_what_is_committed_already_counts_once(self):
        first = estimate(Up42(), SHARP, ceilings=Ceilings(month=6))
        assert first.sheet.committed() == 6
        assert estimate(Up42(), SHARP, sheet=first.sheet, ceilings=Ceilings(month=6)).refusals == ()

    def test_approvals(self):
        up42 = Up42()
        up42.cost_of["pansharpening"] = 11
        made = estimate(up42, SHARP, COLOUR, items=[item("a")], approvals=Approvals(above=10))
        assert made.approvals == ("Step sharp on a would cost 11 credits; more than 10 need a person's approval.",)


class TestAtTheSandbox:
    def test_a_whole_chain_is_estimated_and_nothing_bought(self, workshop):
        change = Step(name="change", template=DetectionChangeSimularity(), of="sharp", reference_days=3)
        workflow = Workflow(name="chain", steps=[SHARP, COLOUR, TREES, change])
        before, balance = workshop.job_ids(), workshop.client.account.balance().credits
        old, new = workshop.items
        made = estimate_workflow(workshop.client.processing, workflow, [new], references=[old])
        assert (made.problems, made.warnings) == ((), ())
        assert [(one.step, one.credits) for one in made.steps] == [
            ("sharp", 1),
            ("colour", 0),
            ("change", 2),
            ("trees", 2),
        ]
        assert (workshop.job_ids(), workshop.client.account.balance().credits) == (before, balance)

    def test_an_item_that_does_not_fit_later_is_a_warning_with_a_price(self, workshop):
        weights = AnyProcess(process_id="pansharpening", parameters={"greyWeights": [{"band": "x", "weight": 1}]})
        steps = [Step(name="colour", template=TrueColorConversion()), Step(name="odd", template=weights, of="colour")]
        made = estimate_workflow(workshop.client.processing, Workflow(name="chain", steps=steps), workshop.items[:1])
        [warning] = made.warnings
        assert warning.startswith("odd: ")
        assert "InvalidGreyWeights" in warning
        assert (made.problems, made.steps[1].credits) == ((), 1)
