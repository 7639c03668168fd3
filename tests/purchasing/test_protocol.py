"""The decision about the next step, on its own: what is never decided, whatever the intent and the looks."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from up42_pipelines.purchasing.intents import Intent, State
from up42_pipelines.purchasing.protocol import (
    Adopt,
    Claim,
    Contradicted,
    Finished,
    Found,
    Look,
    LookUp,
    Place,
    Timing,
    Wait,
    next_action,
    preference,
)

PROJECT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
TIMING = Timing(lease_s=30, start_s=10, settling_s=120, looks=3, gap_s=1, skew_s=5)
ME, OTHER = "host:1:me", "host:2:other"
NEWER = "haggling"
"""A state that only a newer version of this package knows."""


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def intent(state=State.CLAIMED, *, holder=None, lease=None, doubt=None, written=0.0) -> Intent:
    return Intent(
        key="k",
        kind="order",
        label="Scene S",
        pipeline="p",
        partition="a|2026-06-01",
        request={},
        state=state,
        holder=holder,
        lease_until=None if lease is None else at(lease),
        settled_from=None if doubt is None else at(doubt),
        at=at(written),
    )


def found(name="order-1", *, contradiction="", failed=False, created=0.0) -> Found:
    return Found(
        id=name,
        record=None,
        credits=10,
        created_at=None if created is None else at(created),
        failed=failed,
        contradiction=contradiction,
    )


def look(seconds, *things) -> Look:
    return Look(at=at(seconds), found=things)


def decide(what: Intent, *looks: Look, now: float, me=ME, timing=TIMING):
    return next_action(what, looks, me=me, now=at(now), timing=timing)


MINE = intent(holder=ME, lease=30)
DOUBTFUL = intent(holder=ME, lease=300, doubt=150)
SETTLED = intent(holder=ME, lease=300, doubt=-10)

WHOLE_TABLE = [
    # whose it is
    ("placed", intent(State.PLACED), [], 0, Finished()),
    ("placed, whoever holds it", intent(State.PLACED, holder=OTHER, lease=30), [], 0, Finished()),
    ("claimed by another", intent(holder=OTHER, lease=30), [], 0, Wait(at(35))),
    ("another is placing", intent(State.PLACING, holder=OTHER, lease=30), [], 34.9, Wait(at(35))),
    ("another's lease is over", intent(holder=OTHER, lease=30), [], 35, Claim(None)),
    ("another holds it in a newer way", intent(NEWER, holder=OTHER, lease=30), [], 0, Wait(at(35))),
    ("another forgot the lease", intent(holder=OTHER, written=10), [], 44.9, Wait(at(45))),
    # what a claim inherits
    ("refused", intent(State.REFUSED), [], 0, Claim(None)),
    ("waiting", intent(State.WAITING), [], 0, Claim(None)),
    ("refused after a doubt", intent(State.REFUSED, doubt=7), [], 0, Claim(at(7))),
    ("claimed with a doubt", intent(holder=OTHER, lease=30, doubt=150), [], 35, Claim(at(150))),
    ("unclear", intent(State.UNCLEAR, doubt=150), [], 0, Claim(at(150))),
    ("unclear since nobody knows when", intent(State.UNCLEAR, written=10), [], 0, Claim(at(10 + 30 + 5 + 120))),
    ("left while placing", intent(State.PLACING, holder=OTHER, lease=30), [], 35, Claim(at(155))),
    ("left while placing again", intent(State.PLACING, holder=OTHER, lease=30, doubt=20), [], 35, Claim(at(155))),
    ("left in a newer state", intent(NEWER, holder=OTHER, lease=30), [], 35, Claim(at(155))),
    ("a newer state of nobody", intent(NEWER, written=10), [], 400, Claim(at(165))),
    ("I was placing", intent(State.PLACING, holder=ME, lease=30), [], 0, Claim(at(155))),
    ("half of my lease is over", MINE, [], 15.1, Claim(None)),
    ("... and I looked already", MINE, [look(1)], 15.1, Claim(None)),
    ("... with a doubt", MINE.next(settled_from=at(150)), [look(1)], 15.1, Claim(at(150))),
    # looking, without a doubt
    ("just claimed", MINE, [], 15, LookUp()),
    ("nothing is there", MINE, [look(1)], 2, Place()),
    ("it is there", MINE, [look(1, found())], 2, Adopt([found()])),
    ("something else is there", MINE, [look(1, found(contradiction="another scene"))], 2, None),
    # looking, in doubt
    ("in doubt", DOUBTFUL, [], 0, LookUp()),
    ("in doubt, after a look", DOUBTFUL, [look(0)], 0.5, Wait(at(1))),
    ("in doubt, when the pause is over", DOUBTFUL, [look(0)], 1, LookUp()),
    ("the pause doubles", DOUBTFUL, [look(0), look(1)], 1.5, Wait(at(3))),
    ("looked often enough, too early", DOUBTFUL, [look(0), look(1), look(149)], 149.5, Wait(at(150))),
    ("... by a moment", DOUBTFUL, [look(0), look(1), look(149.9)], 150, Wait(at(150.9))),
    ("the last is when the doubt ends", DOUBTFUL, [look(n) for n in (0, 1, 3, 7, 15, 31, 63, 127)], 128, Wait(at(150))),
    ("looked often enough and late enough", DOUBTFUL, [look(0), look(1), look(150)], 150, Place()),
    ("late enough, not often enough", DOUBTFUL, [look(149), look(150)], 150, Wait(at(151))),
    ("an old doubt asks for as many looks", SETTLED, [look(0), look(1)], 1.5, Wait(at(2))),
    ("... quickly", SETTLED, [look(0), look(1), look(2)], 2, Place()),
    ("the last look found it", DOUBTFUL, [look(0), look(1), look(2, found())], 2, Adopt([found()])),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "looks", "now", "expected"), [pytest.param(*row, id=name) for name, *row in WHOLE_TABLE]
)
def test_table(what, looks, now, expected):
    action = decide(what, *looks, now=now)
    if expected is None:
        expected = Contradicted(looks[-1].found)
    assert action == expected


# --- whatever the intent ---

seconds = st.one_of(st.integers(-400, 400), st.sampled_from([0, 30, 35, 150, 155]))
maybe_seconds = st.none() | seconds
states = st.sampled_from([*State, NEWER])
holders = st.sampled_from([None, ME, OTHER])
intents = st.builds(intent, states, holder=holders, lease=maybe_seconds, doubt=maybe_seconds, written=seconds)
things = st.lists(
    st.builds(
        found,
        st.sampled_from("abc"),
        contradiction=st.sampled_from(["", "", "another scene"]),
        failed=st.booleans(),
        created=maybe_seconds,
    ),
    max_size=3,
)
looks_made = st.lists(st.tuples(seconds, st.just([]) | things), max_size=5).map(
    lambda made: [look(when, *what) for when, what in sorted(made, key=lambda one: one[0])]
)
always = settings(derandomize=True, deadline=None, max_examples=150)


@always
@given(intents, looks_made, seconds)
def test_finished_if_and_only_if_placed(what, looks, now):
    assert (decide(what, *looks, now=now) == Finished()) == (what.state == State.PLACED)


@always
@given(intents, looks_made, seconds)
def test_places_only_what_it_holds_and_has_seen_missing(what, looks, now):
    if decide(what, *looks, now=now) != Place():
        return
    assert what.state == State.CLAIMED
    assert what.holder == ME
    assert at(now) < what.lease_until or what.lease_until is None
    assert looks
    assert looks[-1].found == ()
    if what.settled_from is not None:
        assert len(looks) >= TIMING.looks
        assert looks[-1].at >= what.settled_from


@always
@given(intents, looks_made, seconds)
def test_what_another_holds_is_waited_for(what, looks, now):
    what = what.next(holder=OTHER, lease_until=what.lease_until or at(0))
    free_from = what.lease_until + timedelta(seconds=TIMING.skew_s)
    action = decide(what, *looks, now=now)
    if what.state == State.PLACED:
        assert action == Finished()
    elif at(now) < free_from:
        assert action == Wait(free_from)
    else:
        assert isinstance(action, Claim)


@always
@given(intents, seconds)
def test_a_post_that_may_be_out_always_leaves_a_doubt(what, now):
    """Taken over while placing, or in a state that says nothing to this version."""
    if what.state in (State.CLAIMED, State.REFUSED, State.WAITING, State.PLACED):
        return
    action = decide(what, now=now)
    if isinstance(action, Wait):
        return
    assert isinstance(action, Claim)
    if what.state == State.UNCLEAR and what.settled_from is not None:
        assert action.settled_from == what.settled_from
    else:
        lease_until = what.lease_until or what.at + timedelta(seconds=TIMING.lease_s)
        assert action.settled_from >= lease_until + timedelta(seconds=TIMING.skew_s + TIMING.settling_s)


@always
@given(intents, seconds)
def test_a_claim_never_forgets_a_doubt(what, now):
    action = decide(what, now=now)
    if isinstance(action, Claim) and what.settled_from is not None and what.state != State.PLACING:
        assert action.settled_from is not None
        if what.state in tuple(State):
            assert action.settled_from >= what.settled_from


@always
@given(intents, looks_made, seconds, seconds)
def test_waiting_ends_by_itself_and_not_before(what, looks, now, later):
    """The instant of a Wait is when the decision changes, if nothing else happens."""
    action = decide(what, *looks, now=now)
    if not isinstance(action, Wait):
        return
    assert action.until > at(now)
    then = decide(what, *looks, now=later)
    if now <= later and at(later) < action.until:
        assert then == action or isinstance(then, Claim)  # the own lease may have to be renewed meanwhile
    elif at(later) >= action.until:
        assert not isinstance(then, Wait)


@always
@given(intents, looks_made, seconds, st.integers(0, 400))
def test_what_was_found_is_taken_and_never_bought_again(what, looks, now, more):
    for when in (now, now + more):
        action = decide(what, *looks, now=when)
        if looks and looks[-1].found:
            assert action != Place()
            if isinstance(action, Adopt):
                assert all(not one.contradiction for one in action.found)
                assert {one.id for one in action.found} <= {one.id for one in looks[-1].found}
            if isinstance(action, Contradicted):
                assert all(one.contradiction for one in action.found)


@always
@given(intents, looks_made, seconds)
def test_a_longer_delay_never_lets_buy_earlier(what, looks, now):
    longer = replace(TIMING, settling_s=TIMING.settling_s + 60, looks=TIMING.looks + 1, skew_s=TIMING.skew_s + 1)
    if decide(what, *looks, now=now, timing=longer) == Place():
        assert decide(what, *looks, now=now) == Place()


def test_one_who_is_alone_comes_to_a_decision():
    """Claim, look, wait as told: after that the answer is to place, and not before the doubt is over."""
    what, looks, now = intent(State.PLACING, holder=OTHER, lease=30), [], 0.0
    for _ in range(100):
        match decide(what, *looks, now=now):
            case Wait(until):
                now = (until - NOON).total_seconds()
            case Claim(settled_from):
                what = what.next(state=State.CLAIMED, holder=ME, settled_from=settled_from, lease_until=at(now + 30))
            case LookUp():
                looks.append(look(now))
            case Place():
                break
    else:
        pytest.fail("no decision")
    assert now == 30 + 5 + 120
    assert len(looks) <= 12


class TestDocument:
    PAGE = (PROJECT / "docs" / "ordering.md").read_text()

    def test_its_table_has_every_state(self):
        rows = re.findall(r"^\| `(\w+)` \|", self.PAGE, flags=re.MULTILINE)
        assert sorted(rows) == sorted(State)

    def test_its_diagram_has_every_state(self):
        diagram = self.PAGE.partition("```mermaid")[2].partition("```")[0]
        assert {name for pair in re.findall(r"(\w+) --> (\w+)", diagram) for name in pair} == set(State)

    def test_the_tests_that_it_names_exist(self):
        named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`(?: \((\w+)[,)])?", self.PAGE)
        assert len(named) > 8
        for file, *names in named:
            text = (Path(__file__).parent / file).read_text()
            for name in names:
                assert not name or name in text or " " in name, (file, name)

    def test_its_delays_are_the_defaults(self):
        timing = Timing()
        assert f"lease ({timing.lease_s:g} s)" in self.PAGE
        assert f"clocks' difference ({timing.skew_s:g} s)" in self.PAGE
        assert f"must leave within {timing.start_s:g} s" in self.PAGE
        assert f"settling delay after it left ({timing.settling_s:g} s)" in self.PAGE
        assert timing.looks == 4
        assert "four in a row" in self.PAGE


class TestPreference:
    @pytest.mark.parametrize(
        "best_to_worst",
        [
            [found("b", created=0), found("a", created=1)],
            [found("b", created=1), found("a", failed=True, created=0)],
            [found("a", created=0), found("b", created=0)],
            [found("b", created=None), found("a", created=0), found("c", failed=True)],
        ],
    )
    def test_can_deliver_then_oldest_then_by_id(self, best_to_worst):
        worst_to_best = best_to_worst[::-1]
        assert sorted(worst_to_best, key=preference) == best_to_worst
        assert decide(MINE, look(1, *best_to_worst[::-1]), now=2) == Adopt(best_to_worst)

    def test_what_is_something_else_is_left_out(self):
        other = found("a", contradiction="another scene")
        assert decide(MINE, look(1, other, found("b")), now=2) == Adopt([found("b")])
