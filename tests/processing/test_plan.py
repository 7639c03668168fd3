"""Which jobs a step has for the items of a partition."""

from datetime import UTC, datetime

import pystac
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box, mapping

from up42_pipelines.api import Job
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.processing.plan import best_reference, plan_jobs, without_repeats
from up42_pipelines.processing.templates import AnyProcess, DetectionChangeSimularity, UpsamplingNS
from up42_pipelines.processing.workflow import Step, Workflow

HREF = "https://api.up42.com/v2/assets/stac/collections/c/items/{}"
ONE = Step(name="finer", template=UpsamplingNS())
PAIR = Step(name="change", template=DetectionChangeSimularity(sensitivity=5), reference_days=7)
ALL = Step(name="mosaic", template=AnyProcess(process_id="mosaic", items_input="items"))
HERE = box(13, 52, 14, 53)


def item(item_id, *, area=HERE, day=1, media_type="image/tiff", href=HREF):
    geometry = area and mapping(area)
    made = pystac.Item(item_id, geometry, area and list(area.bounds), datetime(2026, 6, day, tzinfo=UTC), {})
    if href:
        made.add_link(pystac.Link("derived_from", href.format(item_id)))
    made.add_asset("data", pystac.Asset("file", media_type=media_type, roles=["data"]))
    return made


def plan(step, items, references=(), **options):
    workflow = Workflow(name="trees", steps=[step], budget_id="budget")
    options = {"workspace_id": "w", "partition": "berlin|2026-06-01"} | options
    return plan_jobs(workflow, step, items=items, references=references, **options)


def pairs(made):
    return [tuple(one.id for one in job.sources) for job in made.jobs]


class TestOnePerItem:
    def test_a_job_per_item(self):
        made = plan(ONE, [item("b"), item("a")])
        assert pairs(made) == [("b",), ("a",)]
        planned = made.jobs[0].planned
        assert (planned.workspace_id, planned.workflow, planned.step) == ("w", "trees", "finer")
        assert (planned.partition, planned.process_id) == ("berlin|2026-06-01", "upsampling-ns")
        assert (planned.inputs, planned.budget_id) == ({"item": HREF.format("b")}, "budget")
        assert made.left_out == {}

    def test_a_generation_is_another_purchase(self):
        [first], [again] = plan(ONE, [item("a")]).jobs, plan(ONE, [item("a")], generation=2).jobs
        assert first.planned.key != again.planned.key

    def test_an_item_named_twice_is_one_job(self):
        assert pairs(plan(ONE, [item("a"), item("a")])) == [("a",)]

    def test_what_up42_does_not_know_does_not_keep_the_others(self):
        made = plan(ONE, [item("archive", href=None), item("a")])
        assert pairs(made) == [("a",)]
        assert "names an item in UP42's storage" in made.left_out["archive"]

    def test_features_are_left_out_where_pixels_are_wanted(self):
        made = plan(ONE, [item("found", media_type="application/vnd.apache.parquet"), item("a")])
        assert pairs(made) == [("a",)]
        assert made.left_out == {"found": "It holds features and no pixels, which upsampling-ns works on."}

    def test_what_another_process_wants_is_told_by_up42(self):
        step = Step(name="clean", template=AnyProcess(process_id="simplify"))
        assert pairs(plan(step, [item("found", media_type="application/geo+json")])) == [("found",)]

    def test_nothing_to_do(self):
        assert plan(ONE, []).jobs == ()


class TestOneOverAll:
    def test_its_inputs_do_not_depend_on_the_order_of_the_items(self):
        [job], [turned] = plan(ALL, [item("b"), item("a")]).jobs, plan(ALL, [item("a"), item("b")]).jobs
        assert job.planned.inputs == {"items": [HREF.format("a"), HREF.format("b")]}
        assert job.planned.key == turned.planned.key
        assert [one.id for one in job.sources] == ["a", "b"]

    def test_nothing_to_do(self):
        assert plan(ALL, []).jobs == ()


class TestPairs:
    def test_source_and_reference(self):
        made = plan(PAIR, [item("new")], [item("old")])
        assert made.jobs[0].planned.inputs == {
            "sourceItem": HREF.format("new"),
            "referenceItem": HREF.format("old"),
            "sensitivity": 5,
        }
        assert pairs(made) == [("new", "old")]

    def test_each_with_the_reference_that_covers_most_of_it(self):
        west, east = item("west", area=box(13, 52, 13.5, 53)), item("east", area=box(13.5, 52, 14, 53))
        references = [item("old-east", area=box(13.4, 52, 14, 53)), item("old-west", area=box(13, 52, 13.6, 53))]
        assert pairs(plan(PAIR, [west, east], references)) == [("west", "old-west"), ("east", "old-east")]

    def test_a_later_one_that_covers_less_is_not_taken(self):
        references = [item("whole", day=2), item("late", area=box(13, 52, 13.5, 53), day=9)]
        assert best_reference(item("new"), references).id == "whole"

    def test_of_equal_ones_the_latest_then_the_first_by_id(self):
        references = [item("a", day=2), item("c", day=3), item("b", day=3)]
        assert best_reference(item("new"), references).id == "b"

    def test_rounding_decides_nothing(self):
        barely_less = item("late", area=box(13, 52, 14, 53 - 1e-12), day=9)
        assert best_reference(item("new"), [item("early", day=2), barely_less]).id == "late"

    def test_never_with_itself(self):
        assert best_reference(item("new"), [item("new")]) is None

    def test_a_neighbour_that_only_touches_covers_nothing(self):
        made = plan(PAIR, [item("new")], [item("old", area=box(14, 52, 15, 53))])
        assert (made.jobs, list(made.left_out)) == ((), ["new"])
        assert "None of the 1 item(s) of 7 day(s) before shows the same place" in made.left_out["new"]

    def test_nothing_to_compare_with(self):
        assert "no item of 7 day(s) before" in plan(PAIR, [item("new")]).left_out["new"]

    def test_why_a_reference_cannot_be_one_is_told(self):
        made = plan(PAIR, [item("new")], [item("archive", href=None)])
        assert "archive: Item archive: no link" in made.left_out["new"]
        assert "archive" not in made.left_out

    @pytest.mark.parametrize("area", [None, box(13, 52, 13, 53)])
    def test_an_item_without_a_place_has_no_reference(self, area):
        assert plan(PAIR, [item("new", area=area)], [item("old")]).jobs == ()
        assert plan(PAIR, [item("new")], [item("old", area=area)]).jobs == ()

    def test_a_geometry_that_crosses_itself_is_compared_all_the_same(self):
        made = item("new")
        made.geometry = {"type": "Polygon", "coordinates": [[[13, 52], [14, 53], [14, 52], [13, 53], [13, 52]]]}
        assert pairs(plan(PAIR, [made], [item("old")])) == [("new", "old")]

    def test_a_geometry_that_is_none_is_no_place(self):
        made = item("new")
        made.geometry = {"type": "Polygon", "coordinates": "here"}
        assert list(plan(PAIR, [made], [item("old")]).left_out) == ["new"]

    @given(st.permutations(["a", "b", "c", "d"]), st.lists(st.integers(0, 9), min_size=4, max_size=4))
    def test_the_order_of_the_references_decides_nothing(self, order, offsets):
        made = {
            name: item(name, area=box(13 + offset / 10, 52, 14 + offset / 10, 53))
            for name, offset in zip("abcd", offsets, strict=True)
        }
        chosen = best_reference(item("new"), [made[name] for name in order])
        assert chosen is best_reference(item("new"), list(made.values()))
        assert offsets["abcd".index(chosen.id)] == min(offsets)


class TestRepeats:
    """A delivery comes in parts: what a source is compared with, or put together with, may change."""

    def bought(self, made, status="successful"):
        """The jobs of a plan as UP42 has them."""
        return [
            (
                Job(
                    id=job.planned.key,
                    process_id=job.planned.process_id,
                    status=status,
                    definition={"inputs": {**job.planned.submitted(3), "added": "by UP42"}},
                ),
                JobTitle.read(job.planned.submitted(3)["title"]),
            )
            for job in made.jobs
        ]

    @pytest.mark.parametrize("status", ["running", "successful", "released", "quarantined"])
    def test_a_source_is_compared_once_whatever_arrives_later(self, status):
        west, east = item("west", area=box(13, 52, 13.4, 53)), item("all")
        before = plan(PAIR, [item("new", day=8)], [west])
        after = plan(PAIR, [item("new", day=8), item("newer", day=8)], [west, east])
        assert pairs(after) == [("new", "all"), ("newer", "all")]
        left = without_repeats(after, PAIR, self.bought(before, status))
        assert pairs(left) == [("newer", "all")]
        assert list(left.left_out) == ["new"]
        assert "raise the generation" in left.left_out["new"]

    def test_what_is_put_together_is_put_together_once(self):
        before, after = plan(ALL, [item("a")]), plan(ALL, [item("a"), item("b")])
        left = without_repeats(after, ALL, self.bought(before))
        assert (pairs(left), set(left.left_out)) == ([], {"a", "b"})

    @pytest.mark.parametrize(("step", "references"), [(PAIR, [item("then")]), (ALL, []), (ONE, [])])
    def test_the_same_job_stays_in_the_plan_to_be_adopted(self, step, references):
        made = plan(step, [item("a", day=8)], references)
        assert without_repeats(made, step, self.bought(made)) == made

    def test_other_items_are_other_jobs(self):
        before, after = plan(ONE, [item("a")]), plan(ONE, [item("a"), item("b")])
        assert without_repeats(after, ONE, self.bought(before)) == after

    def test_another_parameter_is_another_job(self):
        before = plan(PAIR, [item("new", day=8)], [item("then")])
        keener = Step(name="change", template=DetectionChangeSimularity(sensitivity=6), reference_days=7)
        after = plan(keener, [item("new", day=8)], [item("then")])
        assert without_repeats(after, keener, self.bought(before)) == after
