"""What would be asked of UP42 for a scene."""

import dataclasses

import pytest
from shapely.geometry import box, mapping

from up42_pipelines.api.orders import OrderInput
from up42_pipelines.ordering.keys import OrderTags, order_key
from up42_pipelines.ordering.plan import Purpose, plan_order

PURPOSE = Purpose(workspace_id="w", pipeline="berlin_daily", partition="berlin|2026-06-01", data_product="p")
WEST, EAST = box(13, 52, 13.1, 52.1), box(13.2, 52, 13.3, 52.1)


class TestPlan:
    def test_one_order_and_one_feature_per_area(self):
        planned = plan_order(PURPOSE, "SCENE_1", [WEST, EAST])
        assert [one.geometry for one in planned] == [WEST, EAST]
        for one, area in zip(planned, [WEST, EAST], strict=True):
            features = one.request().feature_collection["features"]
            assert features == [{"type": "Feature", "properties": {}, "geometry": mapping(area)}]

    def test_a_full_scene_is_one_feature_without_geometry(self):
        [one] = plan_order(PURPOSE, "SCENE_1", None)
        assert one.geometry is None
        body = one.request().to_json()
        assert body["featureCollection"] == {
            "type": "FeatureCollection",
            "features": [{"type": "Feature", "properties": {}, "geometry": None}],
        }

    def test_no_areas_are_no_orders(self):
        assert plan_order(PURPOSE, "SCENE_1", []) == []

    def test_params_name_the_scene_whatever_else_they_say(self):
        [one] = plan_order(PURPOSE, "SCENE_1", None, {"id": "another", "bundle": "x"})
        assert one.scene_id == "SCENE_1"
        assert one.request().params == {"id": "SCENE_1", "bundle": "x"}

    def test_keys_come_from_everything_that_is_bought(self):
        [one] = plan_order(dataclasses.replace(PURPOSE, generation=2), "SCENE_1", [WEST], {"bundle": "x"})
        assert one.key == order_key(
            workspace_id="w",
            data_product="p",
            params={"id": "SCENE_1", "bundle": "x"},
            geometry=WEST,
            pipeline="berlin_daily",
            partition="berlin|2026-06-01",
            generation=2,
        )

    def test_different_orders_have_different_keys(self):
        planned = [
            *plan_order(PURPOSE, "SCENE_1", [WEST, EAST]),
            *plan_order(PURPOSE, "SCENE_2", [WEST]),
            *plan_order(PURPOSE, "SCENE_1", None),
            *plan_order(dataclasses.replace(PURPOSE, generation=2), "SCENE_1", [WEST]),
            *plan_order(dataclasses.replace(PURPOSE, partition="berlin|2026-06-02"), "SCENE_1", [WEST]),
        ]
        assert len({one.key for one in planned}) == len(planned)


class TestRequest:
    def test_body(self):
        [one] = plan_order(PURPOSE, "SCENE_1", [WEST])
        body = one.request(310).to_json()
        assert set(body) == {"dataProduct", "displayName", "params", "featureCollection", "tags"}
        assert body["dataProduct"] == "p"
        assert body["params"] == {"id": "SCENE_1"}
        assert body["displayName"] == f"berlin_daily berlin|2026-06-01 {one.key}"

    def test_tags_tell_key_partition_and_price(self):
        [one] = plan_order(PURPOSE, "SCENE_1", [WEST])
        assert OrderTags.read(one.request(310).tags) == OrderTags(
            pipeline="berlin_daily", partition="berlin|2026-06-01", key=one.key, credits=310
        )
        assert OrderTags.read(one.request().tags).credits == 0

    @pytest.mark.parametrize("length", [100, 200, 1000])
    def test_display_name_is_at_most_200_characters(self, length):
        purpose = dataclasses.replace(PURPOSE, partition="x" * length)
        [one] = plan_order(purpose, "SCENE_1", [WEST])
        name = one.request().display_name
        label = f"berlin_daily {'x' * length}"[:160]
        assert name == f"{label} {one.key}"
        assert len(name) <= 200
        assert OrderTags.read(one.request().tags).key == one.key

    def test_two_requests_share_nothing_that_can_be_changed(self):
        [one] = plan_order(PURPOSE, "SCENE_1", None)
        one.request().params["id"] = "another"
        assert one.request().params == {"id": "SCENE_1"}

    def test_an_order_without_tags_says_nothing_of_tags(self):
        plain = OrderInput(data_product="p", display_name="n", params={}, feature_collection={"features": []})
        assert set(plain.to_json()) == {"dataProduct", "displayName", "params", "featureCollection"}
