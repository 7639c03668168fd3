"""Sums of a dry run, and the expected size."""

from datetime import UTC, datetime

import pystac
import pytest
from shapely.geometry import box

from up42_pipelines.api import Collection
from up42_pipelines.ordering.aoi import area_km2
from up42_pipelines.ordering.dry_run import (
    OrderForecast,
    PartitionForecast,
    above_ceiling,
    area_to_deliver_km2,
    expected_bytes,
    resolution_m,
    total,
)

NEW = OrderForecast(scene_id="A", credits=76, expected_bytes=1000)
EXISTING = OrderForecast(scene_id="B", exists=True)
REFUSED = OrderForecast(scene_id="C", credits=5000, expected_bytes=70_000, problem="too expensive")
UNPRICED = OrderForecast(scene_id="D", problem="UP42 names no price")


def forecast(*orders, partition="berlin|2026-06-01", found=5, **more):
    return PartitionForecast(partition=partition, scenes_found=found, scenes_chosen=len(orders), orders=orders, **more)


class TestExpectedBytes:
    def test_pixels_times_bytes_per_pixel(self):
        assert expected_bytes(1, 10, 1) == 10_000
        assert expected_bytes(7.5, 3, 8) == round(7.5e6 / 9 * 8)

    @pytest.mark.parametrize("known", [(1, None, 8), (1, 3, None), (1, 0, 8)])
    def test_unknown_where_anything_is_unknown(self, known):
        assert expected_bytes(*known) is None

    @pytest.mark.parametrize(
        ("of_collection", "metres"),
        [
            ({"minimum": 0.5}, 0.5),
            ({"minimum": 0.5, "maximum": 0.5}, 0.5),
            ({"minimum": 0.5, "maximum": 2}, None),
            (None, None),
        ],
    )
    def test_a_scene_without_a_resolution_has_that_of_its_collection_if_there_is_one(self, of_collection, metres):
        collection = Collection.parse({"name": "phr", "metadata": {"resolutionValue": of_collection}})
        scene = pystac.Item("A", None, None, datetime(2026, 6, 1, tzinfo=UTC), {})
        assert resolution_m(scene, collection) == metres
        scene.common_metadata.gsd = 3
        assert resolution_m(scene, collection) == 3

    def test_a_collection_without_metadata_tells_no_resolution(self):
        scene = pystac.Item("A", None, None, datetime(2026, 6, 1, tzinfo=UTC), {})
        assert resolution_m(scene, Collection.parse({"name": "phr"})) is None

    def test_a_scene_across_the_antimeridian_has_the_area_of_its_two_parts(self):
        ring = [[179.9, 0], [-179.9, 0], [-179.9, 0.1], [179.9, 0.1], [179.9, 0]]
        footprint = {"type": "Polygon", "coordinates": [ring]}
        assert area_to_deliver_km2(footprint) == pytest.approx(area_km2(box(10, 0, 10.2, 0.1)))


class TestPartition:
    def test_only_what_would_be_placed_costs(self):
        one = forecast(NEW, EXISTING, REFUSED, UNPRICED)
        assert (one.credits, one.expected_bytes, one.existing) == (76, 1000, 1)
        assert one.problems == ("too expensive", "UP42 names no price")

    def test_one_new_order_of_unknown_size_makes_the_sum_unknown(self):
        assert forecast(NEW, OrderForecast(scene_id="E", credits=1)).expected_bytes is None

    def test_nothing_to_buy_is_nothing_to_store(self):
        assert (forecast().credits, forecast(EXISTING).expected_bytes, forecast().problems) == (0, 0, ())

    def test_its_own_problem_comes_first(self):
        assert forecast(REFUSED, problem="no plan").problems == ("no plan", "too expensive")


class TestTotals:
    def test_sums(self):
        totals = total([forecast(NEW, EXISTING), forecast(NEW, REFUSED, found=7), forecast(found=0)])
        assert (totals.partitions, totals.partitions_with_problems) == (3, 1)
        assert (totals.scenes_found, totals.scenes_chosen) == (12, 4)
        assert (totals.orders, totals.existing) == (4, 1)
        assert (totals.credits, totals.expected_bytes) == (152, 2000)

    def test_a_partition_that_could_not_be_searched_counts_as_nothing_but_a_problem(self):
        totals = total([forecast(NEW), PartitionForecast(partition="rome|2026-06-01", problem="bad file")])
        assert (totals.scenes_found, totals.credits, totals.partitions_with_problems) == (5, 76, 1)

    def test_an_unknown_size_makes_the_sum_unknown(self):
        assert total([forecast(NEW), forecast(OrderForecast(scene_id="E", credits=1))]).expected_bytes is None

    def test_nothing_at_all(self):
        assert (total([]).credits, total([]).expected_bytes) == (0, 0)


@pytest.mark.parametrize(("credits", "ceiling", "refused"), [(10, None, False), (10, 10, False), (11, 10, True)])
def test_the_ceiling_of_an_order_may_be_reached_but_not_passed(credits, ceiling, refused):
    reason = above_ceiling(credits, ceiling)
    assert (reason is not None) == refused
    if refused:
        assert reason == "would cost 11 credits, the ceiling per order is 10"
