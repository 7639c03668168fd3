"""The cursor: every change handled once, at a cost in proportion to the changes, and nobody forgotten."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from up42_pipelines.api.orders import Order
from up42_pipelines.ordering.watching import LONGEST_PAUSE, OVERLAP, WatchCursor, changed_at

START = datetime(2026, 5, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LIMIT = 200


def at(minute) -> datetime:
    return START + minute * MINUTE


def order(name, minute=0, status="PLACED", **more) -> Order:
    return Order(id=str(name), status=status, updated_at=at(minute), **more)


def newest_first(orders) -> list[Order]:
    return sorted(orders, key=lambda one: one.updated_at, reverse=True)


def tick(cursor, listing, limit=LIMIT) -> tuple[WatchCursor, list[Order]]:
    """What a sensor does: the oldest changes first, no more than it can, the cursor through JSON."""
    done = cursor.changes(listing)[:limit]
    for one in done:
        cursor = cursor.handled(one)
    return WatchCursor.parse(cursor.model_dump_json()), done


def names(orders) -> list[str]:
    return [one.id for one in orders]


class Counted:
    """A listing that knows how many of its rows were read."""

    def __init__(self, rows) -> None:
        self._rows, self.read = rows, 0

    def __iter__(self):
        for row in self._rows:
            self.read += 1
            yield row


class TestChanges:
    def test_oldest_first(self):
        assert names(WatchCursor().changes([order("c", 3), order("b", 2), order("a", 1)])) == ["a", "b", "c"]

    def test_nothing_twice(self):
        listing = [order("b", 2), order("a", 1)]
        cursor, done = tick(WatchCursor(), listing)
        assert names(done) == ["a", "b"]
        assert tick(cursor, listing)[1] == []

    def test_a_later_arrival_at_the_very_same_instant(self):
        cursor, _ = tick(WatchCursor(), [order("a", 1)])
        cursor, done = tick(cursor, [order("b", 1), order("a", 1)])
        assert names(done) == ["b"]
        cursor, done = tick(cursor, [order("b", 1), order("a", 1), order("c", 1)])
        assert names(done) == ["c"]
        assert tick(cursor, [order("b", 1), order("a", 1), order("c", 1)])[1] == []

    def test_the_same_order_changed_again(self):
        cursor, _ = tick(WatchCursor(), [order("a", 1)])
        assert names(tick(cursor, [order("a", 2)])[1]) == ["a"]

    def test_more_at_one_instant_than_a_tick_can_take(self):
        listing = [order(f"{number:03}", 5) for number in range(450)] + [order("old", 1)]
        cursor, seen = WatchCursor(), []
        for expected in (200, 200, 51, 0):
            cursor, done = tick(cursor, listing)
            assert len(done) == expected
            seen += names(done)
        assert sorted(seen) == sorted(names(listing))
        assert seen[0] == "old"

    def test_a_long_backlog_arrives_in_order(self):
        listing = newest_first(order(number, number // 3) for number in range(500))
        cursor, seen = WatchCursor(), []
        while len(seen) < 500:
            cursor, done = tick(cursor, listing)
            assert done
            seen += done
        moments = [one.updated_at for one in seen]
        assert moments == sorted(moments)
        assert len(set(names(seen))) == 500

    def test_orders_without_any_timestamp_are_handled_once(self):
        bare = [Order(id="a", status="PLACED"), Order(id="b", status="PLACED")]
        cursor, done = tick(WatchCursor(), bare)
        assert sorted(names(done)) == ["a", "b"]
        assert tick(cursor, bare)[1] == []

    def test_the_time_of_change_falls_back_to_creation(self):
        assert changed_at(Order(id="a", status="PLACED", created_at=at(3))) == at(3)
        assert changed_at(Order(id="a", status="PLACED", created_at=at(3), updated_at=at(4))) == at(4)
        assert changed_at(Order(id="a", status="PLACED")) < START


class TestLateRows:
    def test_a_change_that_becomes_visible_late_is_still_handled(self):
        cursor, _ = tick(WatchCursor(), [order("a", 10), order("b", 9)])
        late = order("c", 9, "FULFILLED")
        cursor, done = tick(cursor, newest_first([order("a", 10), order("b", 9), late]))
        assert names(done) == ["c"]
        assert cursor.until == at(10)
        assert list(cursor.awaited) == ["c"]
        assert tick(cursor, newest_first([order("a", 10), order("b", 9), late]))[1] == []

    def test_rows_that_shift_while_paging_do_not_spoil_the_order(self):
        cursor = WatchCursor()
        assert names(cursor.changes([order("a", 1), order("c", 3), order("b", 2)])) == ["a", "b", "c"]


class TestCost:
    @pytest.mark.parametrize("changed", [0, 1, 7])
    def test_reading_stops_at_the_first_older_order(self, changed):
        handled = [order(f"old{number}", number) for number in range(1000)]
        cursor = WatchCursor()
        for one in handled:
            cursor = cursor.handled(one)
        listing = Counted(
            newest_first([*handled, *(order(f"new{number}", 2000 + number) for number in range(changed))])
        )
        assert len(cursor.changes(listing)) == changed
        assert listing.read == changed + 4  # three within the overlap of two minutes, one that is older

    def test_of_orders_with_one_timestamp_all_are_read(self):
        cursor, _ = tick(WatchCursor(), [order(number, 5) for number in range(10)])
        listing = Counted(
            [*(order(number, 5) for number in range(10)), *(order(f"o{number}", 1) for number in range(9))]
        )
        assert cursor.changes(listing) == []
        assert listing.read == 11


actions = st.lists(
    st.one_of(
        st.tuples(st.just("update"), st.integers(0, 7), st.booleans()),
        st.tuples(st.just("tick"), st.integers(1, 4), st.randoms(use_true_random=False)),
    ),
    max_size=60,
)


@given(actions)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_every_change_is_handled_exactly_once_whatever_happens_when(steps):
    """Orders change at a clock that may stand still; ticks see a listing with ties in any order, and take few."""
    now, versions, handled, cursor = 0, {}, [], WatchCursor()

    def look(limit, random):
        nonlocal cursor
        rows = [order(name, minute) for name, minute in versions.items()]
        random.shuffle(rows)
        before = cursor
        listing = Counted(newest_first(rows))
        pending = before.changes(listing)
        overlapping = [minute for minute in versions.values() if at(minute) >= before.until - OVERLAP]
        assert listing.read <= len(overlapping) + 1
        cursor, done = tick(before, newest_first(rows), limit)
        unseen = [(name, minute) for name, minute in versions.items() if (name, minute) not in handled]
        assert sorted((int(one.id), (one.updated_at - START) // MINUTE) for one in pending) == sorted(unseen)
        assert len(done) == min(limit, len(unseen))
        handled.extend((int(one.id), (one.updated_at - START) // MINUTE) for one in done)
        assert cursor.until >= before.until
        return done

    for what, *details in steps:
        if what == "tick":
            look(*details)
            continue
        name, moves_on = details
        now += 1 if moves_on or versions.get(name) == now else 0
        versions[name] = now
    while look(3, Random(0)):
        pass
    assert len(handled) == len(set(handled))
    assert set(versions.items()) <= set(handled)


class TestStored:
    def test_what_comes_back_from_json_behaves_alike(self):
        cursor = WatchCursor()
        for one in (
            order("a", 1, "BEING_FULFILLED", tags=("key:k", "x"), workspace_id="w"),
            order("b", 1, "A_NEW_STATUS"),
            order("c", 1, "CANCELED"),
        ):
            cursor = cursor.handled(one)
        [a, _] = cursor.due(at(1))
        cursor = cursor.looked(a, fingerprint="f", final=False, now=at(2), pause=MINUTE)
        again = WatchCursor.parse(cursor.model_dump_json())
        assert again == cursor
        assert again.due(at(9)) == cursor.due(at(9))
        kept = again.awaited["a"].order
        assert (kept.id, kept.status, kept.tags, kept.updated_at) == ("a", "BEING_FULFILLED", ("key:k", "x"), at(1))
        assert again.awaited["c"].order.is_failed
        assert again.changes([order("d", 1), order("a", 1)]) == [order("d", 1)]

    @pytest.mark.parametrize(
        "text",
        [None, "", "{}", "not json", "[]", "null", "17", '{"until": "soon"}', '{"until": "2026-05-01T00:00:00"}',
         '{"recent": 3}', '{"awaited": {"a": {"order": {"id": "a"}}}}', '{"until": "2026-05-01T00:00:00Z", "awaited'],
    )  # fmt: skip
    def test_a_damaged_one_starts_from_scratch(self, text):
        cursor = WatchCursor.parse(text)
        assert cursor == WatchCursor()
        assert names(cursor.changes([order("b", 2), order("a", 1)])) == ["a", "b"]

    def test_handling_changes_no_cursor_that_exists(self):
        first = WatchCursor()
        second = first.handled(order("a", 1, "FULFILLED"))
        second.looked(second.due(at(1))[0], fingerprint="f", final=True, now=at(1), pause=MINUTE)
        assert first == WatchCursor()
        assert list(second.awaited) == ["a"]


class TestAwaited:
    @pytest.mark.parametrize(
        ("status", "awaited"),
        [
            ("CREATED", False),
            ("BEING_PLACED", False),
            ("PLACED", False),
            ("PLACEMENT_FAILED", False),
            ("A_NEW_STATUS", False),
            ("BEING_FULFILLED", True),
            ("DOWNLOADED", True),
            ("FULFILLED", True),
            ("FAILED_PERMANENTLY", True),
            ("FAILED", True),
            ("CANCELED", True),
        ],
    )
    def test_are_those_that_deliver_or_failed(self, status, awaited):
        cursor = WatchCursor().handled(order("a", 1, status))
        assert list(cursor.awaited) == (["a"] if awaited else [])
        assert names(one.order for one in cursor.due(at(1))) == (["a"] if awaited else [])

    def test_the_latest_status_is_kept_and_the_fingerprint_too(self):
        cursor = WatchCursor().handled(order("a", 1, "BEING_FULFILLED"))
        cursor = cursor.looked(cursor.due(at(1))[0], fingerprint="f", final=False, now=at(1), pause=MINUTE)
        cursor = cursor.handled(order("a", 2, "FULFILLED"))
        [one] = cursor.due(at(1))
        assert one.order.status == "FULFILLED"
        assert one.fingerprint == "f"
        assert one.looks == 0

    def test_the_final_look_forgets_it(self):
        cursor = WatchCursor()
        for name in ("a", "b"):
            cursor = cursor.handled(order(name, 1, "FULFILLED"))
        cursor = cursor.looked(cursor.due(at(1))[0], fingerprint="f", final=True, now=at(1), pause=MINUTE)
        assert names(one.order for one in cursor.due(at(1))) == ["b"]
        assert list(cursor.awaited) == ["b"]

    def test_due_means_not_before_its_time(self):
        cursor = WatchCursor().handled(order("a", 1, "FULFILLED"))
        cursor = cursor.looked(cursor.due(at(5))[0], fingerprint="f", final=False, now=at(5), pause=MINUTE)
        assert cursor.due(at(6) - timedelta(microseconds=1)) == []
        assert len(cursor.due(at(6))) == 1

    def test_the_longest_overdue_comes_first_and_ties_by_name(self):
        cursor = WatchCursor()
        for name in "dcba":
            cursor = cursor.handled(order(name, 1, "FULFILLED"))
        assert names(one.order for one in cursor.due(at(1))) == ["a", "b", "c", "d"]
        for name, minute in (("a", 4), ("b", 3), ("c", 2)):
            cursor = cursor.looked(cursor.awaited[name], fingerprint="f", final=False, now=at(minute), pause=MINUTE)
        assert names(one.order for one in cursor.due(at(9))) == ["d", "c", "b", "a"]


class TestPauses:
    def pauses(self, fingerprints, pause=MINUTE, *, changes_at=()):
        cursor, now, waited = WatchCursor().handled(order("a", 1, "FULFILLED")), at(1), []
        for number, fingerprint in enumerate(fingerprints):
            if number in changes_at:
                cursor = cursor.handled(order("a", 2 + number, "FULFILLED"))
            [one] = cursor.awaited.values()
            cursor = cursor.looked(one, fingerprint=fingerprint, final=False, now=now, pause=pause)
            due = cursor.awaited["a"].look_at
            waited.append(due - now)
            now = due
        return waited

    def test_double_up_to_a_quarter_of_an_hour(self):
        assert self.pauses(["f"] * 8) == [MINUTE * factor for factor in (1, 2, 4, 8, 15, 15, 15, 15)]
        assert LONGEST_PAUSE == 15 * MINUTE

    def test_start_again_on_news(self):
        waited = self.pauses(["f", "f", "f", "g", "g", "f", "f"])
        assert waited == [MINUTE * factor for factor in (1, 2, 4, 1, 2, 1, 2)]

    def test_start_again_when_the_order_changed(self):
        waited = self.pauses(["f"] * 6, changes_at={4})
        assert waited == [MINUTE * factor for factor in (1, 2, 4, 8, 2, 4)]

    def test_are_never_longer_than_that_however_often_one_looks(self):
        assert set(self.pauses(["f"] * 1000, timedelta(seconds=1))[20:]) == {LONGEST_PAUSE}
        assert self.pauses(["f"], timedelta(hours=1)) == [LONGEST_PAUSE]


@given(
    orders=st.integers(1, 30),
    per_tick=st.integers(1, 6),
    news=st.lists(st.booleans(), min_size=40, max_size=40),
)
@settings(derandomize=True, max_examples=60, deadline=None)
def test_nobody_waits_longer_than_everybody_else_takes(orders, per_tick, news):
    cursor = WatchCursor()
    for number in range(orders):
        cursor = cursor.handled(order(f"{number:02}", number, "FULFILLED"))
    rounds = -(-orders // per_tick)
    begin, last_looked = 100, {}
    for minute in range(begin, begin + 40):
        now = at(minute)
        for one in cursor.due(now)[:per_tick]:
            overdue = now - max(one.look_at, at(begin))
            assert overdue < rounds * MINUTE
            last_looked[one.order.id] = minute
            fingerprint = f"{minute}" if news[minute - begin] else "f"
            cursor = cursor.looked(one, fingerprint=fingerprint, final=False, now=now, pause=MINUTE)
        if minute - begin + 1 == rounds:
            assert len(last_looked) == orders
    assert all(earlier <= later for earlier, later in pairwise(one.look_at for one in cursor.due(at(10**4))))
