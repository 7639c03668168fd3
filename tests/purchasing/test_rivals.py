"""Buying once when somebody dies or comes in between, at every moment; and what becomes of what was left behind."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.purchasing.moments import (
    AMBIGUOUS,
    REFUSALS,
    Gone,
    Interrupted,
    Log,
    dies_at,
    fails_from,
    fails_times,
    once,
    raises,
)
from up42_pipelines.errors import LakeError, OrderRefused, TooLate, Unreachable, Up42Error
from up42_pipelines.purchasing.budget import Entry, EntryState
from up42_pipelines.purchasing.intents import State


class TestOthers:
    def test_one_that_holds_it_is_waited_for(self, world, buy, intent):
        """The first is in the middle of its look-up while the second comes, and goes on while the second waits."""
        first, posts = [], []

        def second():
            def sleep(seconds):
                world.pass_time(seconds)
                assert intent().state == State.CLAIMED
                raise Gone

            with pytest.raises(Gone):
                world.buyer(sleep=sleep).buy(world.wanted(at=posts.append))

        first.append(buy(at=once("find", second)))
        assert posts == []
        assert world.seconds == world.timing.poll_s
        assert any("is buying it; waiting, until 00:00:44 UTC" in one for one in world.told)

    def test_taken_over_when_the_lease_and_the_skew_are_over(self, world, buy, intent):
        with pytest.raises(Gone):
            buy(at=dies_at("find"))
        holder = intent().holder
        buy()
        assert world.seconds == world.timing.lease_s + world.timing.skew_s
        assert any(f"Taken over from {holder}, which left it claimed" in one for one in world.told)

    def test_a_claim_is_kept_while_it_settles(self, world, buy, fate, intent):
        leases = []
        buy(
            fates=[fate(lag_s=55, answer=AMBIGUOUS[0])],
            at=lambda doing: doing == "find" and leases.append(intent().lease_until > world.now()),
        )
        assert len(leases) > 3
        assert all(leases)

    def test_clocks_that_differ_do_not_shorten_the_doubt(self, world, buy, fate):
        """Left by one whose clock is slow, looked at by one whose clock is fast."""
        half = world.timing.skew_s / 2
        with pytest.raises(Unreachable):
            buy(
                fates=[fate(lag_s=world.timing.settling_s, answer=AMBIGUOUS[0])],
                at=fails_from("find", 1),
                by={"ahead_s": -half, "sleep": lambda _: None},
            )
        buy(by={"ahead_s": half})
        assert len(world.shop.sold) == 1

    def test_a_look_from_before_the_claim_was_lost_counts_no_more(self, world, buy, fate):
        """Others took over and were refused; who comes back claims anew, and looks anew."""
        log = Log()

        def others():
            world.pass_time(50)
            with pytest.raises(OrderRefused):
                buy(fates=[fate(carried_out=False, answer=REFUSALS[0])])

        between = once("price", others)
        buy(at=lambda doing: (log(doing), between(doing)))
        assert log.of_up42() == ["find", "price", "funds", "find", "price", "funds", "post", "get"]
        assert len(world.shop.sold) == 1

    def test_a_look_counts_from_when_it_began(self, world, fate):
        """It takes so long that the doubt is over when it ends, and shows what was there when it began."""
        wanted = world.wanted(fates=[fate(lag_s=60, answer=AMBIGUOUS[0])])
        listed, looks = wanted.find, []

        def find():
            found = listed()
            looks.append(found)
            if len(looks) == 1 + world.timing.looks:
                world.pass_time(60)
            return found

        wanted.find = find
        world.buyer().buy(wanted)
        assert len(world.shop.sold) == 1

    def test_an_id_is_never_lost_whoever_holds_the_intent(self, world, buy, intent):
        """The answer comes when others have long taken over and given up."""

        def others():
            world.pass_time(50)
            with pytest.raises(Interrupted):
                buy(at=once("find", raises(Interrupted())))

        bought = buy(at=once("answer", others))
        assert intent().purchase_ids == (bought.id,)
        assert intent().state == State.PLACED

    def test_the_id_is_told_when_the_lake_does_not_take_it(self, world, buy):
        with pytest.raises(LakeError):
            buy(at=once("create intents", raises(LakeError("disk full")), skip=2))
        assert buy().id == "order-0"
        assert len(world.shop.sold) == 1


class TestRecovering:
    def test_what_does_not_exist_is_not_bought(self, world, intent, entries, buy):
        with pytest.raises(Gone):
            buy(at=dies_at("post"))
        log = Log()
        assert world.buyer(at=log).recover(world.wanted(at=log)) is None
        assert "post" not in log
        assert world.shop.sold == []
        assert intent().state == State.REFUSED
        assert entries() == {}

    def test_what_exists_is_taken(self, world, entries, buy):
        with pytest.raises(Gone):
            buy(at=dies_at("answer"))
        assert world.buyer().recover(world.wanted()).id == "order-0"
        assert entries()["key"].state == EntryState.SPENT

    def test_reclaim_asks_about_each_and_goes_on_after_a_failure(self, world, buy, entries):
        for key, moment in (("a", "post"), ("b", "answer"), ("c", "post")):
            with pytest.raises(Gone):
                buy(key=key, at=dies_at(moment))
        buy(key="d")
        failed = []

        def at(doing):
            if doing == "find" and not failed:
                failed.append(doing)
                world.pass_time(200)

        assert world.buyer(at=at).reclaim() == ["a", "b", "c"]
        assert {key: one.state for key, one in entries().items()} == {"b": EntryState.SPENT, "d": EntryState.SPENT}
        assert [one.key for one in world.shop.sold] == ["b", "d"]
        assert world.buyer().reclaim() == []

    def test_reclaim_leaves_what_it_cannot_find_out(self, world, buy, entries):
        for key in ("a", "b"):
            with pytest.raises(Gone):
                buy(key=key, at=dies_at("post"))
        world.pass_time(500)
        assert world.buyer(at=fails_times("find", 4)).reclaim() == ["b"]
        assert set(entries()) == {"a"}
        assert any("Scene a: its reservation stays" in one for one in world.told)

    def test_without_waiting_only_what_can_be_asked_now(self, world, buy, entries):
        with pytest.raises(Gone):
            buy(key="a", at=dies_at("post"))
        world.pass_time(60)
        with pytest.raises(Gone):
            buy(key="b", at=dies_at("post"))
        started = world.seconds
        assert world.buyer().reclaim(wait=False) == []
        world.pass_time(104 - 60)
        assert world.buyer().reclaim(wait=False) == ["a"]
        assert world.seconds < started + 104
        assert set(entries()) == {"b"}

    def test_a_reservation_that_no_intent_explains_stays(self, world, entries):
        entry = Entry(key="x", credits=5, partition="p", at=world.now(), state=EntryState.RESERVED)
        world.ledger().reserve(entry)
        assert world.buyer().reclaim() == []
        assert entries() == {"x": entry}


# --- every moment of a purchase, one after the other ---


def at_moment(number: int, act: Callable[[], None], log: list[str] | None = None):
    count = [-1]

    def at(doing: str) -> None:
        if log is not None:
            log.append(doing)
        count[0] += 1
        if count[0] == number:
            act()

    return at


def gone_from(number: int):
    count = [-1]

    def at(_doing: str) -> None:
        count[0] += 1
        if count[0] >= number:
            raise Gone

    return at


def moments(new_world, fates) -> list[str]:
    world, log = new_world(), Log()
    world.buyer(at=log).buy(world.wanted(at=log, fates=fates))
    world.close()
    return log


@pytest.fixture(params=["fine", "late", "lost and late", "never"])
def fates(request, fate):
    return {
        "fine": [],
        "late": [fate(lag_s=60)],
        "lost and late": [fate(after_s=30, lag_s=30, answer=AMBIGUOUS[0])],
        "never": [fate(carried_out=False, answer=AMBIGUOUS[0])],
    }[request.param]


def everything_agrees(world):
    [sold] = world.shop.sold
    _, intent = world.book.read("key")
    assert (intent.state, intent.purchase_ids) == (State.PLACED, (sold.id,))
    entry = world.ledger().sheet().entries["key"]
    assert (entry.state, entry.purchase_ids, entry.credits) == (EntryState.SPENT, (sold.id,), 10)


@pytest.mark.parametrize("how", ["killed", "interrupted", "lake fails"])
def test_dies_at_every_moment_and_the_next_buys_once(new_world, fates, how):
    for number, moment in enumerate(moments(new_world, fates)):
        world = new_world()
        error = {"interrupted": Interrupted(), "lake fails": LakeError("The lake failed.")}.get(how)
        at = gone_from(number) if error is None else at_moment(number, raises(error))
        with suppress(Gone, Interrupted, Up42Error):
            world.buyer(at=at).buy(world.wanted(at=at, fates=fates))
        assert len(world.shop.sold) <= 1, moment
        bought = world.buyer().buy(world.wanted())
        assert bought.others == ()
        everything_agrees(world)
        world.close()


@pytest.mark.parametrize("waits_s", [0, 30, 44, 45, 200])
def test_somebody_comes_in_between_at_every_moment(new_world, fates, waits_s):
    for number, moment in enumerate(moments(new_world, fates)):
        world, results = new_world(), []

        def between(world=world, results=results):
            world.pass_time(waits_s)
            results.append(world.buyer(ahead_s=4).buy(world.wanted()))

        at = at_moment(number, between)
        with suppress(TooLate):
            results.append(world.buyer(at=at).buy(world.wanted(at=at, fates=fates)))
        assert {one.id for one in results} == {"order-0"}, moment
        assert len(world.shop.sold) == 1, moment
        everything_agrees(world)
        world.close()


def test_who_lost_the_claim_does_not_send_even_if_there_is_time(new_world):
    """The deadline of the POST aside: the version that could not be written stops it."""
    log = moments(new_world, [])
    for number, moment in enumerate(log[: log.index("post") - 1]):  # up to the write-ahead
        world = new_world()
        world.timing = replace(world.timing, start_s=10_000)

        def between(world=world):
            world.pass_time(50)
            world.buyer().buy(world.wanted())

        at = at_moment(number, between)
        world.buyer(at=at).buy(world.wanted(at=at))
        assert len(world.shop.sold) == 1, moment
        world.close()
