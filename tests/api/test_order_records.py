"""Orders, their input and their price as records."""

import pytest

from up42_pipelines.api import Estimate, Order, OrderInput, Placement
from up42_pipelines.api.orders import Cancellation, LineError
from up42_pipelines.errors import UnexpectedAnswer

WANTED = {
    "data_product": "p",
    "display_name": "n",
    "params": {"id": "SCENE_1"},
    "feature_collection": {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": None}]},
}
POINT = {"type": "Point", "coordinates": [1, 2]}


class TestOrder:
    def test_details_of_an_archive_order(self):
        order = Order.parse({"id": "o", "status": "PLACED", "orderDetails": {"aoi": POINT, "imageId": "SCENE_1"}})
        assert (order.scene_id, order.aoi, order.sub_status) == ("SCENE_1", POINT, None)

    def test_details_of_a_tasking_order(self):
        order = Order.parse({"id": "o", "status": "PLACED", "orderDetails": {"geometry": POINT, "subStatus": "NEW"}})
        assert (order.scene_id, order.aoi, order.sub_status) == (None, POINT, "NEW")

    @pytest.mark.parametrize("details", [None, {}, {"aoi": None, "imageId": None}])
    def test_details_that_are_missing(self, details):
        order = Order.parse({"id": "o", "status": "CREATED", "orderDetails": details})
        assert (order.tags, order.scene_id, order.aoi, order.created_at) == (None, None, None, None)


class TestOrderInput:
    def test_absent_tags_are_omitted_and_null_geometries_are_not(self):
        assert OrderInput(**WANTED).to_json() == {
            "dataProduct": "p",
            "displayName": "n",
            "params": {"id": "SCENE_1"},
            "featureCollection": {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": None}]},
        }

    def test_nulls_among_the_params_are_sent(self):
        wanted = OrderInput(**{**WANTED, "params": {"id": "s", "minBH": None, "deep": {"x": None}}})
        assert wanted.to_json()["params"] == {"id": "s", "minBH": None, "deep": {"x": None}}

    def test_tags_and_budget_that_are_there(self):
        body = OrderInput(**WANTED, tags=("a", "b"), budget_id="b-1").to_json()
        assert (body["tags"], body["budgetId"]) == (["a", "b"], "b-1")

    @pytest.mark.parametrize(
        "wrong", [{"display_name": ""}, {"display_name": "x" * 201}, {"tags": tuple(map(str, range(31)))}]
    )
    def test_limits_of_the_api_hold_before_anything_is_sent(self, wrong):
        with pytest.raises(ValueError, match=r"at (least|most)"):
            OrderInput(**{**WANTED, **wrong})

    def test_what_is_misspelt_is_not_sent(self):
        with pytest.raises(ValueError, match="budgetid"):
            OrderInput(**WANTED, budgetid="b-1")

    @pytest.mark.parametrize("fits", [{"display_name": "x" * 200}, {"tags": tuple(map(str, range(30)))}])
    def test_up_to_the_limits(self, fits):
        assert OrderInput(**{**WANTED, **fits})


class TestEstimate:
    @pytest.mark.parametrize(("total", "credits"), [(310, 310), (0, 0), (1.5, 1.5)])
    def test_the_total_of_the_summary_counts(self, total, credits):
        body = {"summary": {"totalCredits": total}, "results": [{"index": 0, "credits": 300}]}
        assert Estimate.parse(body).credits == credits

    @pytest.mark.parametrize("summary", [None, {}, {"totalCredits": None}])
    def test_without_a_total_the_lines_are_added(self, summary):
        lines = [{"index": 0, "credits": 300.5, "unit": "SQ_KM", "size": 1.5}, {"index": 1, "credits": 10}]
        assert Estimate.parse({"summary": summary, "results": lines}).credits == 310.5

    def test_where_nothing_could_be_priced_nothing_is_added(self):
        assert Estimate.parse({"errors": [{"index": 0, "message": "M", "details": "D"}]}).credits == 0

    @pytest.mark.parametrize("body", [{}, {"summary": {}}, {"results": None, "errors": None}])
    def test_no_price_is_not_a_price_of_nothing(self, body):
        with pytest.raises(UnexpectedAnswer, match="names no price"):
            _ = Estimate.parse(body).credits


class TestAnswersInParts:
    @pytest.mark.parametrize(
        ("error", "message", "details"),
        [
            ({"index": 1, "message": "M", "details": "D"}, "M", "D"),
            ({"index": 1, "message": "M"}, "M", None),
            ({"message": "M", "details": {"deep": 1}, "new": 1}, "M", {"deep": 1}),
            ("M", "M", None),
            (5, "5", None),
            (None, "None", None),
        ],
    )
    def test_an_error_of_any_shape_does_not_hide_the_ids_beside_it(self, error, message, details):
        placement = Placement.parse({"results": [{"id": "o-1"}], "errors": [error]})
        assert [line.id for line in placement.results] == ["o-1"]
        assert [(line.message, line.details) for line in placement.errors] == [(message, details)]

    @pytest.mark.parametrize(
        "line", [{"id": "o-1", "index": 0, "status": {"x": 1}}, {"id": "o-1"}, {"id": "o-1", "index": None}]
    )
    def test_an_id_that_was_paid_for_survives(self, line):
        placement = Placement.parse({"results": [line], "charged": True})
        assert [one.id for one in placement.results] == ["o-1"]
        assert placement.raw["charged"] is True
        assert placement.results[0].raw == line

    def test_an_error_by_itself(self):
        assert LineError.parse({"index": 2, "message": "M"}).index == 2

    @pytest.mark.parametrize("body", [{}, {"status": None}, {"status": "CANCELED"}])
    def test_a_cancellation_that_says_little_is_one(self, body):
        assert Cancellation.parse(body).status == "CANCELED"
