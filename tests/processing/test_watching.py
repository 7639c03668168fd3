"""The cursor: every job found and its end told once, at a cost in proportion to what is new, and nobody forgotten."""

import base64
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from up42_pipelines.api.processing import Job, JobStatus
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.processing.watching import (
    ENDED,
    GONE,
    GONE_AFTER,
    HORIZON,
    OPEN,
    OVERLAP,
    PAGE,
    JobCursor,
    Reading,
    Watched,
    watched,
)

START = datetime(2026, 5, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def at(seconds) -> datetime:
    return START + seconds * SECOND


def title(workflow="enhance", step="sharp", partition="berlin|2026-05-01", key="0" * 32) -> str:
    return str(JobTitle(workflow=workflow, step=step, partition=partition, key=key, credits=3))


def job(name, seconds=0, status="running", **named) -> Job:
    inputs = {"title": title(**named)}
    return Job(id=str(name), process_id="p", status=status, created=at(seconds), definition={"inputs": inputs})


def one(name, seconds=0, status="running", **named) -> Watched:
    return watched(job(name, seconds, status, **named), "enhance")


def reading(*jobs, now=0, cursor=None) -> JobCursor:
    """The cursor after all these jobs were listed."""
    youngest = max((each.created for each in jobs), default=None)
    return (cursor or JobCursor()).read(jobs, youngest=youngest, now=at(now))


def stored(cursor) -> JobCursor:
    again = JobCursor.parse(str(cursor))
    assert again == cursor
    assert list(again.jobs) == list(cursor.jobs)
    return again


def packed(text) -> str:
    return base64.b64encode(zlib.compress(text.encode())).decode()


class TestWatched:
    def test_is_what_the_title_says(self):
        listed = job("a", 7, "accepted", step="colour", partition="hamburg|2026-05-02")
        assert watched(listed, "enhance") == Watched(
            id="a", step="colour", partition="hamburg|2026-05-02", created=at(7), status="accepted", told="accepted"
        )

    @pytest.mark.parametrize("text", [None, "", "by hand", title(workflow="other"), title()[:-1]])
    def test_only_jobs_of_the_workflow(self, text):
        assert watched(job("a").model_copy(update={"definition": {"inputs": {"title": text}}}), "enhance") is None

    def test_nor_one_of_which_nobody_knows_when_it_was_created(self):
        assert watched(job("a").model_copy(update={"created": None}), "enhance") is None

    @pytest.mark.parametrize("status", JobStatus)
    def test_how_it_ended(self, status):
        end = {"successful": "success", "captured": "success"}.get(status, "failure") if status.is_terminal else ""
        assert one("a", 0, status).end == end
        assert (status in ENDED, status in OPEN) == (bool(end), not end)

    @pytest.mark.parametrize(("status", "end"), [("quarantined", ""), ("SUCCESSFUL", ""), ("gone", ""), (GONE, "gone")])
    def test_what_nobody_knows_is_no_end(self, status, end):
        assert replace(one("a"), status=status).end == end

    @pytest.mark.parametrize(
        ("status", "is_news"), [("created", False), ("running", False), ("quarantined", True), ("captured", True)]
    )
    def test_that_it_goes_on_is_no_news(self, status, is_news):
        assert bool(reading(one("a", 0, status)).news()) is is_news


class TestReading:
    def test_at_first_a_week_is_read(self):
        assert JobCursor().floor(START) == START - HORIZON

    def test_then_what_is_new(self):
        cursor = reading(one("a", 100), one("b", 50), now=100)
        assert cursor.floor(at(101)) == at(100)
        assert reading(one("c", 130), cursor=cursor, now=131).floor(at(132)) == at(130)

    def test_the_youngest_counts_although_it_is_somebody_elses(self):
        assert JobCursor().read([], youngest=at(5), now=at(9)).floor(at(10)) == at(5)

    def test_when_nothing_is_there_the_week_has_been_read(self):
        cursor = reading(now=0)
        assert cursor.floor(at(1)) == START - HORIZON
        assert reading(one("a", 5), cursor=cursor, now=6).floor(at(7)) == at(5)

    def test_now_and_then_once_more_down_to_what_had_time_to_appear(self):
        cursor = reading(one("a", 100), now=100)
        late = 100 + OVERLAP / SECOND
        assert cursor.floor(at(late - 1)) == at(100)
        assert cursor.floor(at(late)) == at(100) - OVERLAP
        swept = reading(one("b", 210), cursor=cursor, now=late)
        assert swept.floor(at(late + 1)) == at(210)
        assert swept.floor(at(2 * late)) == at(100)

    def test_a_clock_that_is_set_back_does_not_put_that_off(self):
        assert reading(one("a", 100), now=100).floor(at(-9999)) == at(100) - OVERLAP

    def test_nothing_goes_back_to_an_older_youngest(self):
        first = Reading.first(at(100), at(100))
        assert first.next(at(50), at(101)) == first

    def test_a_job_that_was_dropped_is_not_taken_for_a_new_one(self):
        end = one("a", 100, "successful")
        cursor = reading(end, now=100)
        cursor = stored(cursor.dropped([end]))
        for now in (101, 400, 700, 1000):
            cursor = reading(end, cursor=cursor, now=now)
            assert not cursor.jobs

    def test_those_that_cannot_come_again_are_not_kept(self):
        ends = [one(number, number, "successful") for number in range(1000)]
        cursor = reading(*ends, now=1000).dropped(ends)
        assert min(cursor.done.values()) == at(999) - OVERLAP
        for now in (1200, 1400):
            cursor = reading(ends[-1], cursor=cursor, now=now)
        assert list(cursor.done) == ["999"]


class TestAsking:
    def test_in_turn_those_asked_longest_ago_first(self):
        names = [f"{number:03}" for number in range(PAGE + 30)]
        cursor = reading(*(one(name) for name in names), one("over", 0, "failed"))
        assert cursor.turns() == [names[:PAGE], names[PAGE:]]
        cursor = stored(cursor.asked(names[:PAGE], [job(name) for name in names[:PAGE]]))
        assert cursor.turns() == [names[PAGE:] + names[: PAGE - 30], names[PAGE - 30 : PAGE]]
        assert not cursor.asked(names, []).asked(names, []).ended()

    def test_what_is_not_in_the_answer_is_given_up_in_the_end(self):
        cursor = reading(one("a"), one("b"))
        for missed in range(1, GONE_AFTER + 1):
            cursor = stored(cursor.asked(["a", "b"], [job("b"), job("x")]))
            assert [each.status for each in cursor.news()] == ([GONE] if missed == GONE_AFTER else [])
        assert list(cursor.jobs) == ["a", "b"]
        assert cursor.turns() == [["b"]]

    @pytest.mark.parametrize("how", ["asked", "seen", "read"])
    def test_unless_it_was_there_in_between(self, how):
        cursor = reading(one("a"))
        for _ in range(GONE_AFTER):
            cursor = cursor.asked(["a"], []).asked(["a"], [])
            assert [each.status for each in cursor.open] == ["running"]
            cursor = {
                "asked": lambda now: now.asked(["a"], [job("a")]),
                "seen": lambda now: now.seen([job("a")]),
                "read": lambda now: reading(one("a"), cursor=now),
            }[how](cursor)

    def test_one_that_comes_back_goes_on(self):
        cursor = reading(one("a"))
        for _ in range(GONE_AFTER):
            cursor = cursor.asked(["a"], [])
        assert not cursor.open
        assert [each.id for each in cursor.seen([job("a", 0, "accepted")]).open] == ["a"]

    def test_of_others_nothing_is_remembered(self):
        assert list(reading(one("a")).seen([job("b"), job("a", 0, "failed")]).jobs) == ["a"]


class TestTelling:
    def test_each_change_once_oldest_first(self):
        cursor = reading(one("b", 2), one("c", 1), one("a", 2)).seen([job(name, 0, "failed") for name in "abc"])
        assert [each.id for each in cursor.news()] == ["c", "a", "b"]
        cursor = stored(cursor.told(cursor.news()[:2]))
        assert [each.id for each in cursor.news()] == ["b"]
        assert cursor.seen([job("a", 0, "failed")]).news() == cursor.news()

    def test_what_changed_again_is_told_again(self):
        cursor = reading(one("a")).seen([job("a", 0, "failed")])
        cursor = cursor.told(cursor.news()).seen([job("a", 0, "released")])
        assert [each.status for each in cursor.news()] == ["released"]

    @pytest.mark.parametrize(("status", "is_news"), [("quarantined", False), ("failed", False), ("running", True)])
    def test_what_is_listed_again_is_told_when_it_changed(self, status, is_news):
        cursor = reading(one("a", 0, "quarantined")).seen(
            [job("a", 0, "failed" if status == "failed" else "quarantined")]
        )
        cursor = reading(one("a", 0, status), cursor=cursor.told(cursor.news()))
        assert [each.status for each in cursor.news()] == [status] * is_news

    def test_only_what_was_told_asks_for_a_run(self):
        cursor = reading(one("a", 1), one("b", 2, "failed"), one("c", 3, "captured", partition="x|y"))
        assert cursor.ended() == {}
        cursor = cursor.told(cursor.news())
        assert {where: [each.id for each in jobs] for where, jobs in cursor.ended().items()} == {
            ("sharp", "berlin|2026-05-01"): ["b"],
            ("sharp", "x|y"): ["c"],
        }

    def test_by_step_and_partition_the_oldest_first(self):
        jobs = [
            one("a", 3, "failed", step="colour"),
            one("b", 2, "failed"),
            one("c", 1, "failed", step="colour"),
            one("d", 4, "failed", partition="x|y", step="colour"),
        ]
        cursor = reading(*jobs)
        groups = cursor.told(cursor.news()).ended()
        assert [[each.id for each in group] for group in groups.values()] == [["c", "a"], ["b"], ["d"]]


class TestStored:
    @pytest.mark.parametrize(
        "text",
        [
            None,
            "",
            "{}",
            "not json",
            "é",
            "e30=",
            packed("[]"),
            packed('{"jobs": {"a": 1}}'),
            str(reading(one("a")))[:-8],
        ],
    )
    def test_a_damaged_one_starts_from_scratch(self, text):
        assert JobCursor.parse(text) == JobCursor()

    def test_no_cursor_that_exists_is_changed(self):
        first = reading(one("a"))
        kept = first.model_copy(deep=True)
        ended = first.seen([job("a", 0, "failed")])
        told = ended.told(ended.news())
        told.dropped(told.jobs.values())
        first.asked(["a"], [])
        reading(one("b"), cursor=first)
        assert first == kept
        assert [each.id for each in told.ended()["sharp", "berlin|2026-05-01"]] == ["a"]

    def test_two_thousand_jobs_are_a_hundred_kilobytes(self):
        random = Random(7)
        ids = [UUID(int=random.getrandbits(128)) for _ in range(2000)]
        jobs = (one(name, number / 7, partition=f"berlin|{number % 300}") for number, name in enumerate(ids))
        assert len(str(reading(*jobs))) < 100_000


class World:
    """UP42 as it may be: a clock of its own, a list that shows a job some time after its creation."""

    def __init__(self, skew) -> None:
        self.now, self.skew, self.jobs, self.visible = 0.0, skew, {}, {}

    def add(self, lag) -> None:
        name = str(len(self.jobs))
        self.jobs[name] = job(name, self.now + self.skew)
        self.visible[name] = self.now + lag

    def listed(self) -> list[Job]:
        there = [each for name, each in self.jobs.items() if self.visible[name] <= self.now]
        return sorted(there, key=lambda each: each.created, reverse=True)


def tick(cursor, world, limit):
    """What a sensor does, without a network; the rows that it read, and the ends that it handled."""
    now = at(world.now)
    floor = cursor.floor(now)
    rows = [each for each in world.listed() if each.created >= floor]
    found = [watched(each, "enhance") for each in rows]
    cursor = cursor.read(found, youngest=rows[0].created if rows else None, now=now)
    for turn in cursor.turns():
        cursor = cursor.asked(turn, [each for each in world.listed() if each.id in turn])
    cursor = cursor.told(cursor.news()[:limit])
    ended = [each for group in cursor.ended().values() for each in group]
    return stored(cursor.dropped(ended)), rows, [each.id for each in ended]


LONGEST_LAG = OVERLAP / SECOND
actions = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.floats(0, LONGEST_LAG)),
        st.tuples(st.just("end"), st.integers(0, 30)),
        st.tuples(st.just("wait"), st.floats(0, 300)),
        st.tuples(st.just("tick"), st.integers(1, 5)),
    ),
    max_size=60,
)


@given(actions, st.sampled_from([0, -3000, 3000]))
@settings(derandomize=True, max_examples=250, deadline=None)
def test_every_end_is_handled_exactly_once_whatever_happens_when(steps, skew):
    """Jobs become visible late and out of order, end at any time, and the two clocks differ."""
    world, cursor, handled, ended = World(skew), JobCursor(), [], set()
    for what, value in steps:
        if what == "add":
            world.add(value)
        elif what == "end" and (going := [name for name in world.jobs if name not in ended]):
            name = going[value % len(going)]
            world.jobs[name] = world.jobs[name].model_copy(update={"status": JobStatus.SUCCESSFUL})
            ended.add(name)
        elif what == "wait":
            world.now += value
        elif what == "tick":
            cursor, _, done = tick(cursor, world, value)
            handled += done
    for _ in range(len(world.jobs) + 4):
        world.now += LONGEST_LAG
        cursor, _, done = tick(cursor, world, 5)
        handled += done
    assert sorted(handled) == sorted(ended)


def test_a_burst_is_read_when_it_is_new_and_twice_more():
    world, cursor, read = World(0), JobCursor(), []
    for number in range(40):
        for _ in range(50 if number == 3 else 0):
            world.add(0)
            world.now += 0.01
        cursor, rows, _ = tick(cursor, world, 200)
        read.append(len(rows))
        world.now += 30
    assert [rows for rows in read if rows > 1] == [50, 50, 50]
