from __future__ import annotations

from datetime import UTC, datetime

from shapely.geometry import shape

from up42_pipelines.lake.products.merging import merge_facts
from up42_pipelines.lake.products.records import Band, SceneFacts
from up42_pipelines.lake.products.values import footprint

NOON, LATER = datetime(2024, 5, 1, 12, tzinfo=UTC), datetime(2024, 5, 2, 12, tzinfo=UTC)
WEST, EAST = footprint([(0, 0), (1, 0), (1, 1), (0, 1)]), footprint([(1, 0), (2, 0), (2, 1), (1, 1)])


def test_two_images_of_one_pass() -> None:
    pan = SceneFacts(datetime=NOON, platform="PHR1B", gsd_m=0.5, cloud_cover_percent=2, bands=(Band(name="P"),))
    ms = SceneFacts(datetime=NOON, platform="PHR1B", gsd_m=2, cloud_cover_percent=3, footprint_4326=WEST)
    both = SceneFacts(
        datetime=NOON,
        platform="PHR1B",
        gsd_m=0.5,
        cloud_cover_percent=3,
        footprint_4326=WEST,
        bands=(Band(name="P"),),
    )
    assert merge_facts([pan, ms]) == both == merge_facts([ms, pan])


def test_two_passes_are_a_period_and_a_union() -> None:
    first = SceneFacts(datetime=NOON, platform="PHR1A", sun_elevation_deg=50, footprint_4326=WEST)
    second = SceneFacts(datetime=LATER, platform="PHR1B", sun_elevation_deg=50, footprint_4326=EAST)
    merged = merge_facts([second, first])
    assert (merged.datetime, merged.start_datetime, merged.end_datetime) == (None, NOON, LATER)
    assert (merged.platform, merged.sun_elevation_deg) == (None, 50)
    assert shape(merged.footprint_4326).bounds == (0, 0, 2, 1)
    assert shape(merged.footprint_4326).area == 2


def test_nothing_known_stays_unknown() -> None:
    assert merge_facts([]) == SceneFacts() == merge_facts([SceneFacts(), SceneFacts()])


def test_one_scene_is_itself() -> None:
    scene = SceneFacts(datetime=NOON, start_datetime=NOON, end_datetime=LATER)
    assert merge_facts([scene]) is scene
