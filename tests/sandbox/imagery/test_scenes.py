from datetime import UTC, date, datetime

import numpy as np
import pytest
from shapely.geometry import Point, box

from up42_pipelines.sandbox.core import geometry
from up42_pipelines.sandbox.imagery import rendering, scenes

MAY = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC)
SCENES = list(scenes.find_scenes(0, box(13, 52, 14, 53), *MAY))


def test_an_id_is_all_that_is_needed():
    for scene in SCENES[:200]:
        assert scenes.scene_by_id(0, scene.id) == scene
        assert scenes.scene_by_id(1, scene.id) is None


@pytest.mark.parametrize(
    "scene_id",
    ["", "SBX_20261301T000000_R569C0773A", "SBX_20260501T101010_R999C0773A", "SBX_20140501T101010_R569C0773A"],
)
def test_other_ids_lead_nowhere(scene_id):
    assert scenes.scene_by_id(0, scene_id) is None


def test_acquisitions_are_in_the_morning_of_the_place():
    for longitude in (-179.9, -70.0, 0.1, 120.0, 179.9):
        for scene in scenes.find_scenes(0, Point(longitude, -20), *MAY):
            hours = (scene.acquired_at - scene.acquired_at.replace(hour=0, minute=0, second=0)).total_seconds() / 3600
            assert 9.4 < (hours + longitude / 15) % 24 < 11.6
            assert f"{scene.acquired_at:%Y%m%dT%H%M%S}" in scene.id


def test_most_scenes_cover_their_tile_and_some_do_not():
    covers = [
        scene.footprint.covers(box(column, row, column + 0.25, row + 0.25))
        for scene in SCENES
        for row, column in [(int(scene.id[21:24]) / 4 - 90, int(scene.id[25:29]) / 4 - 180)]
    ]
    assert 0.7 < np.mean(covers) < 0.9


def test_a_search_finds_every_scene_that_touches_the_area():
    area = box(13.4, 52.4, 13.41, 52.41)
    found = {scene.id for scene in scenes.find_scenes(0, area, *MAY)}
    assert found == {scene.id for scene in SCENES if scene.footprint.intersects(area)}


def test_clouds_are_skewed_towards_clear():
    covers = np.array([scene.cloud_cover_percent for scene in SCENES])
    assert 5 < np.median(covers) < 25
    assert 0.05 < np.mean(covers > 80) < 0.2
    assert covers.min() == 0
    assert covers.max() <= 100


def test_every_tile_day_has_at_most_two_scenes():
    counts = {len(scenes.scenes_of(0, 569, column, date(2026, 5, 1))) for column in range(300)}
    assert counts == {0, 1, 2}


@pytest.mark.parametrize("scene", SCENES[::60], ids=lambda scene: f"{scene.cloud_cover_percent} percent")
def test_the_clouds_in_the_picture_are_those_advertised(scene):
    grid, inside = rendering.scene_grid(scene, 512)
    blue = rendering.analytic(scene, 0, grid, inside)[0]
    cloudy = 100 * (blue[inside] > 3500).mean()
    assert cloudy == pytest.approx(scene.cloud_cover_percent, abs=3)


def test_a_clip_shows_the_clouds_of_the_whole_scene():
    scene = next(scene for scene in SCENES if 30 < scene.cloud_cover_percent < 70)
    whole, inside = rendering.scene_grid(scene, 512)
    bounds = geometry.project(scene.footprint.centroid.buffer(0.03), scene.epsg).bounds
    part = rendering.grid_over(bounds, scene.epsg, 3.0)
    near = rendering.analytic(scene, 0, part, np.ones((part.height, part.width), bool))[0] > 3500
    far = rendering.analytic(scene, 0, whole, inside)[0] > 3500
    columns = ((part.columns_x - whole.west) / whole.gsd_m).astype(int)
    rows = ((whole.north - part.rows_y) / whole.gsd_m).astype(int)
    assert (near == far[np.ix_(rows, columns)]).mean() > 0.93


def test_a_large_raster_is_coarser_and_no_larger_than_2048_pixels():
    grid = rendering.grid_over((0, 0, 28_000, 20_000), 32633, 3.0)
    assert grid.gsd_m == 24
    assert max(grid.width, grid.height) <= rendering.MAX_SIDE


def test_neighbouring_rasters_share_their_ground():
    left = rendering.grid_over((390_000, 5_800_000, 390_600, 5_800_600), 32633, 3.0)
    right = rendering.grid_over((390_300, 5_800_000, 390_900, 5_800_600), 32633, 3.0)
    scene = next(scene for scene in SCENES if scene.cloud_cover_percent == 0)
    one, other = (rendering.reflectance(scene, 0, grid) for grid in (left, right))
    assert np.allclose(one[:, :, 100:], other[:, :, :-100], atol=1e-5)
    assert one.std(axis=(1, 2)).min() > 0.001
