"""Many files at once: order, limits, outcomes, progress, and an end at any time."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import pytest

from up42_pipelines.errors import ConfigurationError, LakeError, TransferError
from up42_pipelines.lake.transfer import file_transfer, parts
from up42_pipelines.lake.transfer.delivery import Limits
from up42_pipelines.lake.transfer.download import Wanted, fetch
from up42_pipelines.lake.transfer.partial import Received
from up42_pipelines.lake.transfer.patience import Patience

PART_BYTES = 10_000


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("transfer")] == []


@pytest.fixture
def want(files, tmp_path):
    """Put an object on the server, and make the file that is wanted of it."""

    def make(name, content, *faults, server=files, **options):
        href = server.put(name, content, *faults, **options)
        return Wanted(name=name, sign=lambda: server.sign(href), target=tmp_path / name)

    return make


def noise(size):
    return random.Random(size).randbytes(size)


class Crowd:
    """Counts requests that are under way at once; each waits until there are `size`, but not longer than that."""

    def __init__(self, size, wait_s=20):
        self._wait_s = wait_s
        self.now, self.most, self.gathered = Counter(), Counter(), threading.Event()
        self._lock, self._size = threading.Lock(), size

    def enter(self, where):
        with self._lock:
            self.now[where] += 1
            self.most[where] = max(self.most[where], self.now[where])
            if self.now.total() >= self._size:
                self.gathered.set()
        self.gathered.wait(self._wait_s)

    def leave(self, where):
        with self._lock:
            self.now[where] -= 1

    def fault(self, fault, where):
        return fault(before=lambda _: self.enter(where), halfway=lambda: self.leave(where))


def test_all_arrive_over_few_connections(files, want):
    sizes = [0, 1, 9_999, 10_000, 10_001, 55_000, 123_456, 5, 30_000]
    wanted = [want(f"{size}.tif", noise(size)) for size in sizes]
    outcomes = dict(fetch(wanted, limits=Limits(connections=3), part_bytes=PART_BYTES))
    assert len(outcomes) == len(sizes)
    for size in sizes:
        assert outcomes[f"{size}.tif"].path.read_bytes() == noise(size)
        assert outcomes[f"{size}.tif"].verified_by == "crc32c"
    assert len(files.clients) <= 3, "connections are used again, also by other files"
    assert files.signed == len(sizes)
    asked = Counter(path.partition("?")[0] for path, _ in files.requests)
    assert (asked["/5.tif"], asked["/9999.tif"], asked["/10000.tif"]) == (1, 1, 1), "a small file is one request"
    assert asked["/123456.tif"] == 13


def test_nothing_wanted_is_nothing_done():
    assert list(fetch([])) == []


def test_one_connection_takes_the_files_in_order(files, want):
    wanted = [want(f"{index}.tif", noise(25_000 + index)) for index in range(4)]
    outcomes = fetch(wanted, limits=Limits(connections=1), part_bytes=PART_BYTES)
    assert [name for name, _ in outcomes] == ["0.tif", "1.tif", "2.tif", "3.tif"]
    assert [path.partition("?")[0] for path, _ in files.requests] == [f"/{n}.tif" for n in range(4) for _ in range(3)]


def test_one_file_that_fails_does_not_stop_the_others(files, fault, want, tmp_path):
    def refuse():
        raise ConfigurationError("no such asset")

    (tmp_path / "folder").mkdir()
    wanted = [
        want("missing", noise(50_000), *[fault(status=404)] * 9),
        Wanted(name="unsigned", sign=refuse, target=tmp_path / "unsigned"),
        want("folder", noise(50_000)),
        want("good", noise(50_000)),
    ]
    outcomes = dict(fetch(wanted, part_bytes=PART_BYTES))
    assert isinstance(outcomes["missing"], TransferError)
    assert isinstance(outcomes["unsigned"], ConfigurationError)
    assert isinstance(outcomes["folder"], LakeError)
    assert outcomes["good"].path.read_bytes() == noise(50_000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "good"]


def test_two_files_with_one_target_do_not_mix(fault, want):
    one_is_over = threading.Event()
    wait = fault(before=lambda _: one_is_over.wait(20))
    first, second = want("first", noise(50_000), wait), want("second", noise(60_000), wait)
    outcomes = {}
    for name, result in fetch([first, Wanted(name="second", sign=second.sign, target=first.target)]):
        outcomes[name] = result
        one_is_over.set()
    refused, (name, received) = sorted(outcomes.items(), key=lambda outcome: isinstance(outcome[1], Received))
    assert isinstance(refused[1], TransferError)
    assert received.path.read_bytes() == noise({"first": 50_000, "second": 60_000}[name])


def test_what_sign_should_not_raise_ends_the_transfer(files, fault, want, tmp_path):
    def sign():
        raise ZeroDivisionError

    wanted = [want("slow", noise(50_000), fault(silent=True)), Wanted(name="x", sign=sign, target=tmp_path / "x")]
    with pytest.raises(ZeroDivisionError):
        list(fetch(wanted))
    assert list(tmp_path.iterdir()) == []


def test_what_a_step_should_not_raise_ends_the_transfer(want, monkeypatch):
    """Or a thread would be gone, and its file waited for without end."""

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(file_transfer, "combine", broken)
    with pytest.raises(ZeroDivisionError):
        list(fetch([want("a", noise(50_000)), want("b", noise(10))], part_bytes=PART_BYTES))


# One more than allowed never comes, so each request waits for a moment, and the others have time to show.
@pytest.fixture(params=[(4, 20), (5, 0.05)], ids=["as many as allowed", "no more"])
def crowd(request):
    return Crowd(*request.param)


def test_connections_are_limited_in_total(files, fault, want, start_files, crowd):
    with start_files() as other:
        wanted = [
            want(f"{n}", noise(40_000 + n), *[crowd.fault(fault, "all") for _ in range(5)], server=server)
            for n, server in enumerate([files, other] * 3)
        ]
        outcomes = fetch(wanted, limits=Limits(connections=4), part_bytes=PART_BYTES)
        assert all(isinstance(result, Received) for _, result in outcomes)
    assert crowd.most["all"] <= 4


def test_connections_are_limited_per_host(files, fault, want, start_files, crowd):
    with start_files() as other:
        wanted = [
            want(f"{n}", noise(40_000 + n), *[crowd.fault(fault, where) for _ in range(5)], server=server)
            for n, (where, server) in enumerate([("here", files), ("here", files), ("there", other), ("there", other)])
        ]
        outcomes = fetch(wanted, limits=Limits(connections=8, per_host=2), part_bytes=PART_BYTES)
        assert all(isinstance(result, Received) for _, result in outcomes)
    assert max(crowd.most.values()) <= 2


def test_as_many_connections_as_allowed_are_used(files, fault, want):
    crowd = Crowd(4)
    list(
        fetch(
            [want("scene", noise(200_000), fault(), *[crowd.fault(fault, "here") for _ in range(9)])],
            limits=Limits(connections=4),
            part_bytes=PART_BYTES,
        )
    )
    assert crowd.gathered.is_set()


@pytest.mark.parametrize("limits", [{"connections": 0}, {"per_host": 0}])
def test_no_connection_is_no_limit(limits):
    with pytest.raises(ValueError, match="at least one"):
        Limits(**limits)


def test_closing_cuts_connections_and_keeps_what_is_there(files, fault, want, tmp_path):
    """With the default patience, a silent server would be waited for half a minute."""
    stuck = threading.Event()
    wanted = [
        want("done", noise(10)),
        want("stuck", noise(90_000), *[fault()] * 3, *[fault(silent=True, before=lambda _: stuck.set())] * 9),
    ]
    outcomes = fetch(wanted, limits=Limits(connections=1), part_bytes=PART_BYTES)
    assert next(outcomes)[0] == "done"
    assert stuck.wait(20)
    started = time.monotonic()
    outcomes.close()
    assert time.monotonic() - started < 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done", "stuck.journal", "stuck.partial"]
    files.faults["/stuck"].clear()
    before = files.sent["/stuck"]
    ((_, received),) = fetch([wanted[1]], part_bytes=PART_BYTES)
    assert received.path.read_bytes() == noise(90_000)
    assert files.sent["/stuck"] - before == 90_000 - 3 * PART_BYTES


def test_closing_during_a_pause_does_not_wait_for_it(files, fault, want):
    paused = fault(status=503, headers={"Retry-After": "60"})
    outcomes = fetch([want("done", noise(10)), want("paused", noise(10), *[paused] * 9)])
    assert next(outcomes)[0] == "done"
    started = time.monotonic()
    outcomes.close()
    assert time.monotonic() - started < 20


def test_progress_comes_in_the_thread_that_iterates_and_not_per_block(files, want):
    seen = []

    def note(*event):
        seen.append((threading.current_thread(), *event))

    wanted = [want("a", noise(3_000_000)), want("b", noise(10))]
    assert len(list(fetch(wanted, on_progress=note, part_bytes=PART_BYTES))) == 2
    assert {thread for thread, *_ in seen} == {threading.main_thread()}
    assert ("a", 3_000_000, 3_000_000) in [event for _, *event in seen] or [
        "a", 3_000_000, 3_000_000,
    ] in [event for _, *event in seen]  # fmt: skip
    assert len(seen) < 50, "300 parts arrived"


def test_what_a_listener_raises_ends_the_transfer(files, want):
    def note(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(fetch([want("a", noise(3_000))], on_progress=note))


def test_a_url_is_signed_anew_before_it_expires(files, want, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(parts, "uptime_s", lambda: clock[0])
    wanted = want("scene", noise(100_000))
    sign = wanted.sign

    def slow_host():
        clock[0] += 1
        return sign()

    pauses = Wanted(name="scene", sign=slow_host, target=wanted.target)
    real = files.objects["/scene"].headers

    def headers():
        clock[0] += 50  # seconds pass with each part
        return real()

    files.objects["/scene"].headers = headers
    ((_, received),) = fetch([pauses], limits=Limits(connections=1), part_bytes=PART_BYTES)
    assert received.path.read_bytes() == noise(100_000)
    assert files.signed == 2, "ten parts in 500 s, a URL lives for 300 s"


def test_a_url_that_expires_early_is_signed_once_for_all_connections(files, fault, want):
    crowd = Crowd(4)
    expired = fault(status=403, before=lambda _: crowd.enter("here"))
    wanted = want("scene", noise(200_000), fault(), *[expired] * 4)
    patience = Patience(first_pause_s=0.01)
    ((_, received),) = fetch([wanted], limits=Limits(connections=4), part_bytes=PART_BYTES, patience=patience)
    assert received.path.read_bytes() == noise(200_000)
    assert files.signed == 2
