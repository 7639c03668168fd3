"""What a run's log says while items land."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import pystac
import pytest

from up42_pipelines.assets import landing
from up42_pipelines.assets.landing_log import BETWEEN_LINES_S, LandingLog
from up42_pipelines.lake import LandedItem
from up42_pipelines.lake.events import AssetLanded, AssetProgress, AssetSkipped, AssetStarted

MB = 1_000_000


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log(clock, caplog):
    caplog.set_level(logging.DEBUG)
    made = LandingLog(logging.getLogger("run"), 3, clock=clock)
    made.begin("scene")
    return made


@pytest.fixture
def lines(caplog):
    """Level and text of each line so far."""
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


def progress(log, key, received, total=None):
    log(AssetProgress(item_id="scene", asset_key=key, received=received, total=total))


def landed(**changes):
    item = pystac.Item("scene", None, None, datetime(2026, 6, 1, tzinfo=UTC), {})
    fields = {
        "withheld": {},
        "bytes_fetched": 12 * MB,
        "assets_fetched": 2,
        "files_kept": 1,
        "seconds": 3.0,
        "already_there": False,
    }
    return LandedItem(item=item, findings=(), quicklook=None, **fields | changes)


def test_progress_is_told_now_and_then_over_all_files_of_an_item(log, clock, lines):
    for key in ("ms", "pan"):
        log(AssetStarted(item_id="scene", asset_key=key))
    progress(log, "ms", 0, 100 * MB)
    clock.now += BETWEEN_LINES_S - 1
    progress(log, "ms", 20 * MB, 100 * MB)
    assert lines() == []
    clock.now += 1
    progress(log, "ms", 30 * MB, 100 * MB)
    assert lines() == [("INFO", "item 1 of 3, scene: 30.0 MB, 2.0 MB/s")]  # the size of `pan` is not known yet
    progress(log, "pan", 0, 20 * MB)
    clock.now += BETWEEN_LINES_S
    progress(log, "pan", 15 * MB, 20 * MB)
    assert lines()[1:] == [("INFO", "item 1 of 3, scene: 45.0 of 120.0 MB, 1.0 MB/s")]


def test_what_a_resumed_download_begins_with_is_no_speed(log, clock, lines):
    progress(log, "ms", 500 * MB, 1000 * MB)
    clock.now += BETWEEN_LINES_S
    progress(log, "ms", 530 * MB, 1000 * MB)
    assert lines() == [("INFO", "item 1 of 3, scene: 530.0 of 1000.0 MB, 2.0 MB/s")]


def test_a_download_that_starts_again_has_no_negative_speed(log, clock, lines):
    progress(log, "ms", 0, 100 * MB)
    clock.now += BETWEEN_LINES_S
    progress(log, "ms", 90 * MB, 100 * MB)
    clock.now += BETWEEN_LINES_S
    progress(log, "ms", 0, 100 * MB)
    assert lines()[-1] == ("INFO", "item 1 of 3, scene: 0.0 of 100.0 MB, 0.0 MB/s")


def test_the_next_item_begins_at_nothing_and_does_not_speak_sooner(log, clock, lines):
    progress(log, "ms", 50 * MB, 100 * MB)
    clock.now += BETWEEN_LINES_S
    progress(log, "ms", 80 * MB, 100 * MB)
    log.begin("other")
    clock.now += BETWEEN_LINES_S - 1
    progress(log, "dem", 1 * MB, 4 * MB)
    clock.now += 1
    progress(log, "dem", 4 * MB, 4 * MB)
    assert lines()[1:] == [("INFO", "item 2 of 3, other: 4.0 of 4.0 MB, 0.2 MB/s")]


def test_what_becomes_of_files_and_items(log, lines):
    log(AssetLanded(item_id="scene", asset_key="ms", size=9 * MB, kept=True, seconds=1.25))
    log(AssetLanded(item_id="scene", asset_key="pan", size=3 * MB, kept=False, seconds=0.5))
    log(AssetSkipped(item_id="scene", asset_key="original", reason="the same as an archive"))
    log.landed(landed())
    log.landed(landed(already_there=True))
    log.landed(landed(withheld={"nodata_share": "100 % of ms are nodata."}))
    log.failed("Broke off.")
    fetched = "item 1 of 3, scene: landed in 3.0 s, 12.00 MB fetched in 2 file(s), 1 kept as delivered"
    assert lines() == [
        ("DEBUG", "item 1 of 3, scene, ms: kept as delivered, 9.00 MB, 1.2 s"),
        ("DEBUG", "item 1 of 3, scene, pan: converted, 3.00 MB, 0.5 s"),
        ("DEBUG", "item 1 of 3, scene, original: the same as an archive"),
        ("INFO", fetched),
        ("INFO", "item 1 of 3, scene: already in the lake"),
        ("INFO", fetched),
        ("ERROR", "item 1 of 3, scene: withheld from catalogue and index, nodata_share: 100 % of ms are nodata."),
        ("ERROR", "item 1 of 3, scene: Broke off."),
    ]


def test_the_helpers_end_when_all_has_landed(monkeypatch):
    """Elsewhere in these tests one helper of each kind serves all runs."""
    ended = []

    class Helper(AbstractContextManager):
        def __exit__(self, *_):
            ended.append(self)

    monkeypatch.setattr(landing, "RasterWorker", Helper)
    monkeypatch.setattr(landing, "VectorWorker", Helper)
    landing.land_items([], client=None, lake=None, collection_id="c", options=None, log=logging.getLogger("run"))
    assert len(ended) == 2
