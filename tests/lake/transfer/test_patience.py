"""How long to wait."""

from __future__ import annotations

import pytest

from up42_pipelines.lake.transfer.patience import Patience, retry_after_s


def test_pauses_grow_and_stay_bounded():
    patience = Patience()
    assert all(0 <= patience.pause_s(failures, None) <= 30 for failures in range(1, 2000))
    assert max(patience.pause_s(1, None) for _ in range(50)) <= 0.5
    assert max(patience.pause_s(6, None) for _ in range(200)) > 2, "the sixth is drawn up to 16 s"
    assert min(patience.pause_s(6, None) for _ in range(200)) < 4, "and from 0 s: full jitter"


@pytest.mark.parametrize(("asked", "waited"), [(0.0, 0), (7.0, 7), (86400.0, 60)])
def test_what_the_server_asks_is_obeyed_within_reason(asked, waited):
    assert Patience().pause_s(3, asked) == waited


@pytest.mark.parametrize(("value", "low", "high"), [("12", 12, 12), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0)])
def test_retry_after_forms(value, low, high):
    assert low <= retry_after_s(value) <= high


@pytest.mark.parametrize("value", [None, "", "soon", "-3", "Wed, 99 Oct 2015 07:28:00 GMT"])
def test_retry_after_nonsense_counts_as_absent(value):
    assert retry_after_s(value) is None
