import itertools
from datetime import UTC, date, datetime, timedelta

import pytest
import shapely

from up42_pipelines.sandbox.imagery import scene_grid, scene_stream, scenes
from up42_pipelines.sandbox.imagery.synthetic import SyntheticScenes

DAY = datetime(2026, 3, 1, tzinfo=UTC)
GLOBE = shapely.box(-180, -90, 180, 90)
FIJI = shapely.MultiPolygon([shapely.box(179.7, -17.4, 180, -17), shapely.box(-180, -17.4, -179.8, -17)])


def stream(area, first, last, *, newest_first=True):
    return scene_stream.in_order([SyntheticScenes(7)], area, first, last, newest_first=newest_first)


@pytest.mark.parametrize(
    "area",
    [
        shapely.box(13.2, 52.3, 14.1, 53),
        shapely.Point(-70, -33),
        shapely.MultiPoint([(0, 0), (0, 5), (2, 2), (100, 79.9)]),
        FIJI,
        shapely.box(20, 79.6, 20.5, 85),
    ],
    ids=["a box", "a point", "points", "across the antimeridian", "at the northern end"],
)
def test_nothing_is_lost_or_added_or_out_of_order(area):
    first, last = DAY + timedelta(hours=3), DAY + timedelta(days=3, hours=11)
    found = [scene for scene in stream(area, first, last) if area.intersects(scene.footprint)]
    assert found == list(scenes.find_scenes(7, area, first, last))
    assert len(found) > 1
    other_way = [scene for scene in stream(area, first, last, newest_first=False) if area.intersects(scene.footprint)]
    assert other_way == found[::-1]


def test_footprints_that_reach_far_out_of_their_tiles_are_found():
    """A third of a scene may lie beside its tile: every offset of a point within its tile is tried."""
    first, last = DAY, DAY + timedelta(days=20)
    for step in range(10):
        point = shapely.Point(10 + 0.025 * step, 50 + 0.025 * (step * 7 % 10))
        found = [scene for scene in stream(point, first, last) if point.intersects(scene.footprint)]
        assert found == list(scenes.find_scenes(7, point, first, last))


def test_times_agree_with_the_scenes():
    """The grid is the cheap part of a scene: what it says is what the scene says."""
    rows = tuple(range(300, 340))
    for column, day in itertools.product((0, 719, 720, 1439), (date(2015, 1, 1), date(2026, 3, 1))):
        foretold = {(second, row, ordinal) for second, row, ordinal in scene_grid.acquisitions(7, column, rows, day)}
        made = {
            ((scene.acquired_at - datetime(day.year, day.month, day.day, tzinfo=UTC)).seconds, row, ordinal)
            for row in rows
            for ordinal, scene in enumerate(scenes.scenes_of(7, row, column, day))
        }
        assert foretold == made


def test_every_scene_lies_in_the_slabs_of_its_column():
    slabs = scene_grid.columns_by_slab(range(1440), 900)
    assert set(slabs) == set(range(96))
    for column in range(0, 1440, 37):
        for second, _, _ in scene_grid.acquisitions(7, column, tuple(range(300, 400)), date(2026, 3, 1)):
            assert column in slabs[second // 900]


def test_the_globe_is_not_made_to_find_its_newest_scenes():
    scenes.scenes_of.cache_clear()
    found = list(itertools.islice(stream(GLOBE, DAY - timedelta(days=4000), DAY + timedelta(hours=9)), 100))
    assert scenes.scenes_of.cache_info().misses <= 101
    keys = [scene_stream.key(scene) for scene in found]
    assert keys == sorted(keys, reverse=True)
    assert DAY + timedelta(hours=8, minutes=59) < found[-1].acquired_at <= DAY + timedelta(hours=9)
    assert scenes.FIRST_DAY == scene_grid.FIRST_DAY
    assert scenes.TILE_DEGREES == scene_grid.TILE_DEGREES


def test_sources_are_merged():
    area, last = shapely.box(13.2, 52.3, 13.4, 52.5), DAY + timedelta(days=5)
    both = scene_stream.in_order([SyntheticScenes(7), SyntheticScenes(8)], area, DAY, last, newest_first=True)
    keys = [scene_stream.key(scene) for scene in both]
    assert keys == sorted(keys, reverse=True)
    assert len(keys) == len(list(stream(area, DAY, last))) + len(
        list(scene_stream.in_order([SyntheticScenes(8)], area, DAY, last, newest_first=True))
    )


def test_an_interval_that_ends_before_it_starts_holds_nothing():
    assert list(stream(GLOBE, DAY, DAY - timedelta(days=2))) == []
    assert list(stream(GLOBE, DAY, DAY - timedelta(seconds=1))) == []
