"""The ground that the synthetic scenes show: what changes on it, and how much."""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import shape

from up42_pipelines.sandbox.core import chance, geometry
from up42_pipelines.sandbox.imagery import ground, rendering

AOIS = sorted((Path(__file__).resolve().parents[3] / "assets_defs" / "aois").glob("*.geojson"))
MONDAY = date(2026, 6, 1)


def seen(aoi, seed, day, gsd_m=15):
    """The ground of an AOI at a coarse resolution."""
    area = shape(json.loads(aoi.read_text())["geometry"])
    epsg = geometry.utm_epsg(area.centroid.x, area.centroid.y)
    grid = rendering.grid_over(geometry.project(area, epsg).bounds, epsg, gsd_m)
    salt = chance.integer(seed, "ground", epsg)
    return ground.reflectance(grid.columns_x, grid.rows_y, 2 * grid.gsd_m, salt, day)


def share_that_differs(one, other):
    return float((one != other).any(axis=0).mean())


@pytest.mark.parametrize("seed", [0, 375, 1200])  # of the sandbox, of the demo, of most tests
@pytest.mark.parametrize("aoi", AOIS, ids=lambda path: path.stem)
def test_two_days_of_the_demo_differ_a_little(aoi, seed):
    days = [seen(aoi, seed, MONDAY + timedelta(days=after)) for after in range(3)]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert 0 < share_that_differs(days[one], days[other]) < 0.02


def test_what_is_built_stands_for_some_days_and_goes_again():
    aoi = AOIS[0]
    first = seen(aoi, 0, MONDAY)
    later = seen(aoi, 0, MONDAY + timedelta(days=ground.SITE_DAYS // 2))
    again = seen(aoi, 0, MONDAY + timedelta(days=ground.SITE_DAYS))
    assert 0.01 < share_that_differs(first, later) < 0.06
    assert np.array_equal(first, again)


def test_a_hall_is_bright_on_every_band_but_no_cloud():
    before, after = seen(AOIS[0], 0, MONDAY, 5), seen(AOIS[0], 0, MONDAY + timedelta(days=ground.SITE_DAYS // 2), 5)
    built = (before != after).any(axis=0) & (after[0] > before[0])
    assert built.any()
    assert after[:, built].min() > 0.2
    assert after[:, built].min(axis=0).max() < 0.385
