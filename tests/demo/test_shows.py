"""What the seeds of the demos promise; another seed is needed when the sandbox draws differently."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest

from up42_pipelines.api import Scene
from up42_pipelines.demo.places import ready_places
from up42_pipelines.demo.run import SHOWS
from up42_pipelines.ordering.aoi import Aoi, read_aoi
from up42_pipelines.ordering.selection import Choice, SelectionRules, select_scenes
from up42_pipelines.sandbox.catalog.products import OPTICAL
from up42_pipelines.sandbox.imagery.scenes import find_scenes
from up42_pipelines.sandbox.ordering.lifecycle import Life, Status, plan

PLACES = ready_places(Path(__file__).resolve().parents[2])
AOIS = [read_aoi(PLACES.folder / f"{name}.geojson") for name in PLACES.aois]


def chosen(seed: int, aoi: Aoi, day: date) -> Choice[Scene]:
    """The scene that a partition buys."""
    found = find_scenes(seed, aoi.geometry, datetime.combine(day, time.min, UTC), datetime.combine(day, time.max, UTC))
    scenes = [
        Scene(
            id=scene.id,
            geometry=scene.footprint.__geo_interface__,
            acquisition_date=scene.acquired_at,
            cloud_coverage=scene.cloud_cover_percent,
        )
        for scene in found
    ]
    return select_scenes(scenes, aoi.geometry, SelectionRules(max_scenes=1)).chosen[0]


def stumbles(life: Life) -> bool:
    return any(status is Status.PLACEMENT_FAILED for _, status in life.steps)


@pytest.mark.parametrize(
    ("what", "product", "expected"), [("archive", "analytic", (1, 3)), ("processing", "bundle", None)]
)
def test_clear_scenes_and_no_order_that_fails(what, product, expected):
    seed = SHOWS[what].seed
    choices = [chosen(seed, aoi, day) for aoi in AOIS for day in PLACES.days]
    assert all(choice.scene.cloud_cover_percent <= 20 for choice in choices)
    assert all(choice.coverage_percent >= 99 for choice in choices)
    [product_id] = [one.id for one in OPTICAL.products if one.name == product]
    lives = [plan(seed, choice.scene.id, product_id, 0, divisible=True) for choice in choices]
    assert all(life.steps[-1][1] is Status.FULFILLED for life in lives)
    if expected:
        assert (sum(map(stumbles, lives)), sum(len(life.arrivals) == 2 for life in lives)) == expected
