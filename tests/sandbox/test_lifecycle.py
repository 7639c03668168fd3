from collections import Counter

import pytest

from up42_pipelines.sandbox.lifecycle import CANCELABLE, Status, plan

LIVES = [plan(0, f"scene-{number}", "product", 0, divisible=True) for number in range(3000)]


def test_the_shares_are_as_promised():
    fates = Counter()
    for life in LIVES:
        statuses = [status for _, status in life.steps]
        fates["stumbled"] += Status.PLACEMENT_FAILED in statuses
        fates["failed"] += statuses[-1] is Status.FAILED_PERMANENTLY
        fates["partial"] += len(life.arrivals) == 2
    assert fates["stumbled"] / 3000 == pytest.approx(0.15, abs=0.02)
    assert fates["failed"] / 3000 == pytest.approx(0.05, abs=0.015)
    assert fates["partial"] / (3000 - fates["failed"]) == pytest.approx(0.30, abs=0.03)


def test_every_life_makes_sense():
    for life in LIVES:
        times, statuses = zip(*life.steps, strict=True)
        assert list(times) == sorted(set(times))
        assert statuses[:2] == (Status.CREATED, Status.BEING_PLACED)
        when = dict(zip(statuses, times, strict=True))
        if statuses[-1] is Status.FAILED_PERMANENTLY:
            assert life.arrivals == ()
            continue
        assert statuses[-3:] == (Status.PLACED, Status.BEING_FULFILLED, Status.FULFILLED)
        assert 2 * 60 < times[-1] - when[Status.PLACED] < 10 * 60
        *early, last = life.arrivals
        assert last.asset_after == when[Status.FULFILLED]
        assert all(when[Status.BEING_FULFILLED] < part.asset_after < when[Status.FULFILLED] for part in early)
        assert all(30 <= part.items_after - part.asset_after <= 120 for part in life.arrivals)
        assert [part.part for part in life.arrivals] in ([0], [1, 2])


def test_a_failed_placement_recovers():
    statuses = next(s for life in LIVES if Status.PLACEMENT_FAILED in (s := [status for _, status in life.steps]))
    at = statuses.index(Status.PLACEMENT_FAILED)
    assert statuses[at + 1 : at + 3] == [Status.BEING_PLACED, Status.PLACED]
    assert Status.PLACEMENT_FAILED in CANCELABLE


def test_fate_follows_from_seed_scene_product_and_ordinal():
    assert plan(1, "s", "p", 0, divisible=True) == plan(1, "s", "p", 0, divisible=True)
    others = [plan(2, "s", "p", 0, divisible=True), plan(1, "t", "p", 0, divisible=True)]
    others += [plan(1, "s", "q", 0, divisible=True), plan(1, "s", "p", 1, divisible=True)]
    assert plan(1, "s", "p", 0, divisible=True) not in others


def test_what_cannot_be_divided_arrives_whole():
    for number in range(300):
        life = plan(0, f"scene-{number}", "product", 0, divisible=False)
        assert [arrival.part for arrival in life.arrivals] in ([0], [])
