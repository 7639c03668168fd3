"""Whether an order is the planned one: what contradicts it is named, what UP42 does not tell is not held against it."""

import pytest
from shapely.affinity import scale, translate
from shapely.geometry import Polygon, box, mapping

from up42_pipelines.api import Order
from up42_pipelines.ordering.matching import AREA_TOLERANCE, area_difference, contradiction
from up42_pipelines.ordering.plan import PlannedOrder, Purpose

AREA = box(13.38, 52.46, 13.40, 52.475)
PURPOSE = Purpose(workspace_id="w", pipeline="berlin", partition="berlin|2026-06-01", data_product="analytic-id")


def planned(geometry=AREA) -> PlannedOrder:
    return PlannedOrder(key="k", scene_id="S1", geometry=geometry, purpose=PURPOSE, params={"id": "S1"})


def order(*, product="analytic-id", scene="S1", area=AREA, place="aoi") -> Order:
    details = {"imageId": scene, place: None if area is None else mapping(area)}
    return Order.parse({"id": "o", "status": "PLACED", "dataProductId": product, "orderDetails": details})


class TestTheSame:
    def test_as_planned(self):
        assert contradiction(planned(), order()) == ""
        assert contradiction(planned(), order(place="geometry")) == ""

    @pytest.mark.parametrize("untold", [{"product": None}, {"scene": None}, {"area": None}])
    def test_what_is_not_told_is_not_held_against_it(self, untold):
        assert contradiction(planned(), order(**untold)) == ""
        assert contradiction(planned(), Order.parse({"id": "o", "status": "PLACED"})) == ""

    @pytest.mark.parametrize(
        "area",
        [{}, {"type": "Polygon"}, {"type": "Polygon", "coordinates": []}, {"type": "Feature", "geometry": None}, "x"],
    )
    def test_an_area_that_cannot_be_read_is_not_told(self, area):
        one = Order.parse({"id": "o", "status": "PLACED", "orderDetails": {"imageId": "S1", "aoi": area}})
        assert contradiction(planned(), one) == ""

    def test_an_area_that_touches_itself_is_compared_all_the_same(self):
        corners = [(13.38, 52.46), (13.40, 52.475), (13.40, 52.46), (13.38, 52.475), (13.38, 52.46)]
        assert contradiction(planned(), order(area=Polygon(corners))) == "an area that differs by 50.0%"

    def test_the_footprint_of_a_full_scene(self):
        assert contradiction(planned(None), order(area=box(0, 0, 1, 1))) == ""

    def test_rounded_coordinates_and_another_spelling(self):
        turned = box(13.3800004, 52.4600004, 13.4, 52.475, ccw=False)
        assert contradiction(planned(), order(area=turned)) == ""


class TestSomethingElse:
    def test_each_difference_is_named(self):
        found = contradiction(planned(), order(product="display-id", scene="S2", area=translate(AREA, xoff=0.002)))
        assert found == (
            "data product display-id instead of analytic-id, scene S2 instead of S1, an area that differs by 20.0%"
        )

    @pytest.mark.parametrize("difference", [{"product": "x"}, {"scene": "x"}, {"area": box(0, 0, 1, 1)}])
    def test_one_is_enough(self, difference):
        assert contradiction(planned(), order(**difference))

    def test_area_up_to_the_tolerance(self):
        def grown(by):
            return scale(AREA, xfact=1 + by)

        assert contradiction(planned(), order(area=grown(AREA_TOLERANCE * 0.9))) == ""
        assert contradiction(planned(), order(area=grown(AREA_TOLERANCE * 1.1))) == "an area that differs by 0.1%"

    def test_smaller_and_larger_areas_count_alike(self):
        assert area_difference(planned(), order()) == 0
        assert area_difference(planned(), order(area=scale(AREA, xfact=0.5))) == pytest.approx(0.5)
        assert area_difference(planned(), order(area=scale(AREA, xfact=1.5))) == pytest.approx(0.5)
        assert area_difference(planned(), order(area=translate(AREA, xoff=1))) == pytest.approx(2)
