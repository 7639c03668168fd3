from collections import Counter

import pytest

from up42_pipelines.sandbox.control.fates import KINDS
from up42_pipelines.sandbox.ordering.lifecycle import CANCELABLE, Status, SubStatus, is_cancelable, plan, plan_tasking

TASKED = [plan_tasking((0, "tasking", "product", number)) for number in range(1000)]
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


def test_outcomes_of_known_orders_never_change():
    """Demo, tests and users rely on what seed 0 does to these."""
    lives = [plan(0, f"scene-{number}", "product", 0, divisible=True) for number in range(40)]
    statuses = [[status for _, status in life.steps] for life in lives]
    failed = [number for number, path in enumerate(statuses) if path[-1] is Status.FAILED_PERMANENTLY]
    stumbling = [number for number, path in enumerate(statuses) if Status.PLACEMENT_FAILED in path]
    halves = [number for number, life in enumerate(lives) if len(life.arrivals) == 2]
    assert (failed, stumbling) == ([33], [1, 6, 7, 10, 12, 18])
    assert halves == [2, 3, 4, 6, 7, 8, 12, 15, 17, 22, 29, 30, 34]
    assert lives[0].steps[-1][0] == pytest.approx(214.5230509938766)


def statuses_of(life):
    return [status for _, status in life.steps]


def test_a_fate_replaces_chance():
    for number in range(200):
        fated = {fate: plan(0, f"scene-{number}", "product", 0, divisible=True, fate=fate) for fate in KINDS["order"]}
        ends = {fate: statuses_of(life)[-1] for fate, life in fated.items()}
        assert ends == {
            "fulfilled": Status.FULFILLED,
            "in_parts": Status.FULFILLED,
            "stumbles": Status.FULFILLED,
            "placement_failed": Status.PLACEMENT_FAILED,
            "failed": Status.FAILED_PERMANENTLY,
            "untransformed": Status.FULFILLED,
            "unfinished": Status.FULFILLED,
        }
        parts = {fate: len(life.arrivals) for fate, life in fated.items() if life.arrivals}
        assert parts == {"fulfilled": 1, "in_parts": 2, "stumbles": 1, "untransformed": 1, "unfinished": 1}
        stumbled = {fate for fate, life in fated.items() if Status.PLACEMENT_FAILED in statuses_of(life)}
        assert stumbled == {"stumbles", "placement_failed"}
        whole = plan(0, f"scene-{number}", "product", 0, divisible=False, fate="in_parts")
        assert len(whole.arrivals) == 1


def test_tasking_arrives_in_several_parts_while_it_is_being_fulfilled():
    for life in TASKED:
        times, statuses = zip(*life.steps, strict=True)
        assert list(times) == sorted(set(times))
        if statuses[-1] is Status.FAILED_PERMANENTLY:
            assert life.arrivals == ()
            continue
        assert statuses[-3:] == (Status.PLACED, Status.BEING_FULFILLED, Status.FULFILLED)
        assert [arrival.part for arrival in life.arrivals] == list(range(1, len(life.arrivals) + 1))
        assert 2 <= len(life.arrivals) <= 4
        assert all(times[-2] < arrival.asset_after <= times[-1] for arrival in life.arrivals)
        assert life.arrivals[-1].asset_after == times[-1]
    shares = Counter(len(life.arrivals) for life in TASKED)
    assert shares[0] / 1000 == pytest.approx(0.05, abs=0.02)
    assert min(shares[2], shares[3], shares[4]) > 250


def test_what_is_accepted_cannot_be_canceled():
    assert is_cancelable(Status.CREATED, None)
    assert is_cancelable(Status.CREATED, SubStatus.QUOTATION_WAITING_RESPONSE)
    assert is_cancelable(Status.CREATED, SubStatus.QUOTATION_REJECTED)
    assert is_cancelable(Status.PLACEMENT_FAILED, None)
    assert not is_cancelable(Status.PLACEMENT_FAILED, SubStatus.QUOTATION_ACCEPTED)
    assert not is_cancelable(Status.CREATED, SubStatus.QUOTATION_ACCEPTED)
    assert not any(is_cancelable(status, None) for status in set(Status) - CANCELABLE)
