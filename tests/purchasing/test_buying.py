"""Buying once, at a UP42 of the tests' own: every answer, every ceiling, every approval."""

from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import pytest

from tests.purchasing.moments import (
    AMBIGUOUS,
    REFUSALS,
    Gone,
    Log,
    api_error,
    dies_at,
    fails_times,
    kind,
    once,
    raises,
)
from up42_pipelines.errors import (
    ApprovalRequired,
    BudgetExceeded,
    OrderContradicted,
    OrderRefused,
    OrderUnclear,
    ServerProblem,
    TooLate,
    Unreachable,
)
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings, Entry, EntryState
from up42_pipelines.purchasing.intents import State


class TestWithoutTrouble:
    def test_claims_looks_prices_reserves_writes_ahead_and_sends_once(self, world, buy):
        log = Log()
        bought = buy(at=log)
        [sold] = world.shop.sold
        assert (bought.id, bought.record, bought.credits) == (sold.id, sold, 10)
        assert not bought.adopted
        assert bought.others == ()
        assert world.seconds == 0
        written = [one for one in log if one.startswith("created") or one in {"find", "price", "funds", "post", "get"}]
        assert written == [
            "created intents",
            "find",
            "price",
            "funds",
            "created ledgers",  # made of what UP42 lists
            "created ledgers",
            "created intents",
            "post",
            "created intents",
            "get",
            "created ledgers",
        ]

    def test_each_state_is_written_down(self, world, buy, intent, entries):
        seen = []
        buy(at=lambda doing: doing in {"find", "post"} and seen.append(intent()), by={"run": "run-7"})
        claimed, placing = seen
        assert (claimed.state, claimed.credits) == (State.CLAIMED, None)
        assert (placing.state, placing.credits, placing.holder) == (State.PLACING, 10, claimed.holder)
        assert placing.lease_until == world.now() + timedelta(seconds=world.timing.lease_s)
        placed = intent()
        assert (placed.state, placed.purchase_ids, placed.holder) == (State.PLACED, ("order-0",), None)
        assert (placed.run, placed.credits, placed.kind, placed.label) == ("run-7", 10, "order", "Scene key")
        assert placed.request == {"scene": "key", "credits": 10, "partition": "berlin|2026-06-01"}
        assert entries() == {
            "key": Entry(
                key="key",
                credits=10,
                partition="berlin|2026-06-01",
                run="run-7",
                at=world.now(),
                state=EntryState.SPENT,
                purchase_ids=("order-0",),
                claim=1,
                journal=placed.journal,
            )
        }

    def test_reserved_before_it_is_sent(self, buy, entries):
        seen = []
        buy(at=lambda doing: doing == "post" and seen.append(entries()["key"].state))
        assert seen == [EntryState.RESERVED]

    def test_the_second_time_asks_for_the_order_only(self, world, buy, entries):
        first, before, log = buy(), entries(), Log()
        second = buy(at=log, by={"run": "another"})
        assert (second.id, second.credits, second.adopted) == (first.id, 10, True)
        assert log.of_up42() == ["get"]
        assert entries() == before
        assert len(world.shop.sold) == 1

    def test_without_the_lake_it_is_found_at_up42(self, world, buy, intent, entries):
        first = buy(credits=17)
        world.lake.fs.rm(world.lake.root, recursive=True)
        world.pass_time(3600)
        log = Log()
        second = buy(at=log, by={"run": "another"}, credits=99)
        assert (second.id, second.credits, second.adopted) == (first.id, 17, True)
        assert log.of_up42() == ["find"]
        assert intent().purchase_ids == (first.id,)
        entry = entries()["key"]
        assert (entry.credits, entry.run, entry.state) == (17, "", EntryState.SPENT)
        assert entry.at == world.now() - timedelta(seconds=3600)

    def test_what_was_cancelled_is_not_bought_again_and_counts_no_more(self, world, buy, entries):
        first = buy()
        world.shop.sold[0].is_cancelled = True
        assert buy().id == first.id
        assert entries()["key"].state == EntryState.RETURNED
        assert len(world.shop.sold) == 1

    def test_its_details_can_wait(self, buy, intent):
        bought = buy(at=once("get", raises(AMBIGUOUS[1])))
        assert (bought.id, bought.record, bought.credits) == ("order-0", None, 10)
        assert intent().state == State.PLACED

    def test_what_was_bought_elsewhere_counts_with_the_price_that_it_tells(self, world, buy, fate, entries):
        with pytest.raises(ApprovalRequired):
            buy(by={"approvals": Approvals(above=5)})
        world.shop.take(world.wanted(), 17, fate())
        assert buy().credits == 17
        assert entries()["key"].credits == 17

    def test_one_that_does_not_tell_counts_with_the_estimate(self, world, buy, fate, entries):
        with pytest.raises(ApprovalRequired):
            buy(by={"approvals": Approvals(above=5)})
        world.shop.take(world.wanted(), 0, fate())
        assert buy().credits == 10
        assert entries()["key"].credits == 10

    def test_of_two_the_one_that_can_deliver_and_both_count(self, world, buy, fate, intent, entries):
        for credits in (10, 20, 40):
            world.shop.take(world.wanted(), credits, fate())
        world.shop.sold[0].is_cancelled = True
        for _ in range(2):
            bought = buy()
            assert (bought.id, bought.credits, bought.others) == ("order-1", 20, ("order-2", "order-0"))
            assert intent().purchase_ids == ("order-1", "order-2", "order-0")
            assert entries()["key"].committed == 60
        assert len(world.shop.sold) == 3

    def test_something_else_with_the_key_stops_it(self, world, buy, fate, intent, monkeypatch):
        world.shop.take(world.wanted(), 10, fate())
        honest = world.shop.found
        monkeypatch.setattr(world.shop, "found", lambda one: replace(honest(one), contradiction="another scene"))
        with pytest.raises(OrderContradicted, match=r"order-0 carries the key key .* \(another scene\)"):
            buy()
        assert len(world.shop.sold) == 1
        assert (intent().state, intent().holder) == (State.REFUSED, None)
        assert "another scene" in intent().note

    def test_what_up42_does_not_know_any_more_is_not_bought_again(self, world, buy):
        buy()
        world.shop.sold.clear()
        with pytest.raises(OrderContradicted, match=r"bought as order-0, and UP42 does not know"):
            buy()
        assert world.shop.sold == []


@pytest.mark.parametrize("error", AMBIGUOUS, ids=kind)
class TestAmbiguousAnswers:
    @pytest.mark.parametrize(("after_s", "lag_s"), [(0, 0), (7, 0), (0, 59), (60, 0), (0, 60), (30, 30)])
    def test_takes_what_went_through_however_late(self, world, buy, fate, entries, error, after_s, lag_s):
        bought = buy(fates=[fate(after_s=after_s, lag_s=lag_s, answer=error)], by={"run": "run-7"})
        assert [one.id for one in world.shop.sold] == [bought.id]
        assert not bought.adopted
        assert bought.credits == 10
        entry = entries()["key"]
        assert (entry.state, entry.run, entry.purchase_ids) == (EntryState.SPENT, "run-7", (bought.id,))

    def test_sends_again_only_after_the_settling_delay(self, world, buy, fate, error):
        posts = []
        log = Log()

        def at(doing):
            log(doing)
            if doing == "post":
                posts.append(world.seconds)

        bought = buy(fates=[fate(carried_out=False, answer=error)], at=at)
        assert [one.id for one in world.shop.sold] == [bought.id]
        [first, second] = posts
        assert second - first == world.timing.settling_s + world.timing.skew_s
        between = log.of_up42()[log.of_up42().index("post") + 1 :]
        assert between[: between.index("price")].count("find") >= world.timing.looks

    def test_is_unclear_after_some_and_the_next_call_looks_first(self, world, buy, fate, intent, entries, error):
        lost = fate(carried_out=False, answer=error)
        with pytest.raises(OrderUnclear, match=r"Scene key: 2 requests in a row"):
            buy(fates=[lost, lost])
        assert (intent().state, intent().holder) == (State.UNCLEAR, None)
        assert entries()["key"].state == EntryState.RESERVED
        log = Log()
        assert not buy(at=log).adopted
        assert log.of_up42()[: world.timing.looks] == ["find"] * world.timing.looks
        assert len(world.shop.sold) == 1

    def test_says_what_it_waits_for(self, world, buy, fate, error):
        buy(fates=[fate(lag_s=30, answer=error)])
        assert any(str(error) in one for one in world.told)
        assert any("UP42 may have taken it; looking again, until 00:01:04 UTC" in one for one in world.told)

    def test_a_look_up_that_fails_says_nothing(self, world, buy, fate, error):
        failing = iter([None, Unreachable("No network."), api_error(ServerProblem, 502), *[None] * 100])

        def at(doing):
            if doing == "find" and (problem := next(failing)) is not None:
                raise problem

        buy(fates=[fate(lag_s=30, answer=error)], at=at)
        assert len(world.shop.sold) == 1

    def test_look_ups_that_all_fail_leave_it_unclear(self, world, buy, fate, intent, error):
        looked = []

        def at(doing):
            if doing == "find":
                looked.append(doing)
                if len(looked) > 1:
                    raise Unreachable("No network.")

        with pytest.raises(Unreachable):
            buy(fates=[fate(answer=error)], at=at)
        assert intent().state == State.UNCLEAR
        assert intent().settled_from is not None
        bought = buy()
        assert bought.adopted
        assert len(world.shop.sold) == 1


class TestRefusals:
    @pytest.mark.parametrize("error", REFUSALS, ids=kind)
    def test_by_up42(self, world, buy, fate, intent, entries, error):
        log = Log()
        with pytest.raises(OrderRefused) as caught:
            buy(fates=[fate(carried_out=False, answer=error)], at=log)
        assert caught.value is error or caught.value.__cause__ is error
        assert str(error) in str(caught.value)
        assert log.of_up42() == ["find", "price", "funds", "post"]
        assert world.seconds == 0
        assert (intent().state, intent().holder, intent().settled_from) == (State.REFUSED, None, None)
        assert str(error) in intent().note
        assert entries() == {}

    def test_and_the_next_run_tries_again(self, world, buy, fate):
        with pytest.raises(OrderRefused):
            buy(fates=[fate(carried_out=False, answer=REFUSALS[0])])
        assert not buy().adopted
        assert len(world.shop.sold) == 1

    def test_never_reached(self, buy, fate, intent, entries):
        with pytest.raises(Unreachable):
            buy(fates=[fate(carried_out=False, answer=Unreachable("No connection."))])
        assert intent().state == State.REFUSED
        assert entries() == {}

    @pytest.mark.parametrize("call", ["find", "price", "funds"])
    @pytest.mark.parametrize(
        "error", [api_error(ServerProblem, 503), Unreachable("No network."), BudgetExceeded("Too dear.")], ids=kind
    )
    def test_a_free_call_that_fails_comes_before_any_purchase(self, world, buy, intent, entries, call, error):
        log = Log()
        fail = once(call, raises(error))
        with pytest.raises(type(error)) as caught:
            buy(at=lambda doing: (log(doing), fail(doing)))
        assert caught.value is error
        assert "post" not in log
        assert (intent().state, intent().holder, intent().note) == (State.REFUSED, None, str(error))
        assert entries() == {}
        buy()
        assert world.seconds == 0  # nobody has to wait for a lease

    def test_a_ledger_that_cannot_be_made_keeps_nobody_waiting(self, world, intent, monkeypatch):
        """Without a ledger UP42 is asked for its orders; when it does not answer, the first reason is told."""

        def listing():
            raise AMBIGUOUS[1]

        buyer = world.buyer()
        monkeypatch.setattr(buyer.ledger, "_found_at_up42", listing)
        with pytest.raises(Unreachable, match="No network"):
            buyer.buy(world.wanted(at=once("find", raises(Unreachable("No network.")))))
        assert (intent().state, intent().holder) == (State.REFUSED, None)
        with pytest.raises(ServerProblem):
            buyer.buy(world.wanted())
        careful = world.buyer(approvals=Approvals(above=1))
        monkeypatch.setattr(careful.ledger, "_found_at_up42", listing)
        with pytest.raises(ApprovalRequired):
            careful.buy(world.wanted())

    def test_what_could_not_leave_in_time_is_tried_again(self, world, buy):
        log = Log()
        late = once("post", lambda: world.pass_time(world.timing.start_s + 0.1))
        buy(at=lambda doing: (log(doing), late(doing)))
        assert log.count("post") == 2
        assert len(world.shop.sold) == 1
        assert world.seconds < 2 * world.timing.start_s

    def test_and_given_up_when_it_never_can(self, world, buy, intent, entries):
        posts = []

        def at(doing):
            if doing == "post":
                posts.append(doing)
                world.pass_time(world.timing.start_s + 0.1)

        with pytest.raises(TooLate):
            buy(at=at)
        assert len(posts) == 1 + world.timing.posts
        assert world.shop.sold == []
        assert (intent().state, intent().settled_from, intent().holder) == (State.REFUSED, None, None)
        assert entries() == {}


class TestCeilings:
    CEILINGS = Ceilings(pipeline=25)

    def test_refused_and_nothing_stays_reserved(self, world, buy, intent, entries):
        for key in ("a", "b"):
            buy(key=key, by={"ceilings": self.CEILINGS})
        with pytest.raises(BudgetExceeded, match="has 5 left"):
            buy(key="c", by={"ceilings": self.CEILINGS})
        assert set(entries()) == {"a", "b"}
        assert intent("c").state == State.REFUSED
        buy(key="c", by={"ceilings": Ceilings(pipeline=30)})
        assert len(world.shop.sold) == 3

    def test_what_exists_is_taken_whatever_the_ceiling(self, buy):
        first = buy()
        assert buy(by={"ceilings": Ceilings(pipeline=0)}).id == first.id

    def test_what_a_dead_run_reserved_is_given_back_when_it_is_needed(self, world, buy, entries):
        for key in ("a", "b"):
            with pytest.raises(Gone):
                buy(key=key, at=dies_at("funds", after=3))
        world.pass_time(100)
        assert {one.state for one in entries().values()} <= {EntryState.RESERVED}
        buy(key="c", by={"ceilings": Ceilings(pipeline=10)})
        assert set(entries()) == {"c"}

    def test_a_reservation_of_an_intent_that_was_removed_lets_no_higher_price_through(self, world, buy, entries):
        """Its successor's claims are numbered anew."""
        with pytest.raises(Unreachable):
            buy(at=fails_times("price", 1))
        with pytest.raises(Gone):
            buy(at=dies_at("post"))
        assert entries()["key"].claim == 3
        world.lake.fs.rm(f"{world.lake.root}/purchases/intents", recursive=True)
        with pytest.raises(BudgetExceeded):
            buy(credits=30, by={"ceilings": self.CEILINGS})
        assert world.shop.sold == []
        assert entries()["key"].committed == 10
        buy(credits=20, by={"ceilings": self.CEILINGS})
        assert entries()["key"].committed == 20

    @pytest.mark.parametrize("refused_at", ["funds", "post"])
    def test_what_another_reserved_meanwhile_is_not_given_back(self, world, buy, fate, entries, refused_at):
        """Between freeing the intent and giving the reservation back, somebody else reserves, and sends."""

        def another():
            with pytest.raises(Gone):
                buy(at=dies_at("answer"), by={"run": "another"})

        meanwhile = once("created intents", another, skip={"funds": 1, "post": 2}[refused_at])
        refuse = once("funds", raises(BudgetExceeded("Too dear."))) if refused_at == "funds" else (lambda _: None)
        with pytest.raises(OrderRefused):
            buy(
                at=lambda doing: (meanwhile(doing), refuse(doing)),
                fates=[fate(carried_out=False, answer=REFUSALS[0])],
            )
        assert [one.key for one in world.shop.sold] == ["key"]
        assert (entries()["key"].state, entries()["key"].run) == (EntryState.RESERVED, "another")

    def test_what_may_have_been_sent_stays_reserved(self, world, buy, entries):
        with pytest.raises(Gone):
            buy(key="a", at=dies_at("post"))
        world.pass_time(50)  # the lease is over, the settling delay is not
        with pytest.raises(BudgetExceeded):
            buy(key="b", by={"ceilings": Ceilings(pipeline=10)})
        assert set(entries()) == {"a"}
        world.pass_time(100)
        buy(key="b", by={"ceilings": Ceilings(pipeline=10)})
        assert set(entries()) == {"b"}


class TestApproval:
    RULE: ClassVar = {"approvals": Approvals(above=5)}

    def test_waits_with_its_price_and_reserves_nothing(self, buy, intent, entries):
        log = Log()
        with pytest.raises(ApprovalRequired):
            buy(by=self.RULE, at=log)
        assert log.of_up42() == ["find", "price"]
        assert (intent().state, intent().credits, intent().holder) == (State.WAITING, 10, None)
        assert entries() == {}

    def test_approved_it_is_bought(self, world, buy, intent):
        with pytest.raises(ApprovalRequired):
            buy(by=self.RULE)
        world.book.approve("key", credits=None, by="kim", at=world.now())
        buy(by=self.RULE)
        assert (intent().state, intent().approval.by) == (State.PLACED, "kim")

    def test_another_price_waits_again(self, world, buy, intent):
        with pytest.raises(ApprovalRequired):
            buy(by=self.RULE)
        world.book.approve("key", credits=None, by="kim", at=world.now())
        with pytest.raises(ApprovalRequired):
            buy(by=self.RULE, credits=11)
        assert (intent().state, intent().credits) == (State.WAITING, 11)
        world.book.approve("key", credits=None, by="kim", at=world.now())
        buy(by=self.RULE, credits=11)
        assert len(world.shop.sold) == 1
