"""Buyers, their intents, the ledger and UP42 as one state machine: whatever comes in between, nothing is bought twice.

Buyers are threads of which one runs at a time, up to the next call of the lake, of UP42 or of the clock. Between two
calls anything may happen: others go on, hours pass, a buyer dies or is interrupted, the lake fails. The world keeps the
assumptions of docs/ordering.md and nothing more: what left is carried out and listed within the settling delay, clocks
differ by no more than the skew, the lake shows what was written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.purchasing.moments import Gone, Interrupted
from up42_pipelines.errors import AnswerLost, LakeError, OrderRefused, ServerProblem, Up42Error
from up42_pipelines.purchasing.budget import Ceilings, EntryState
from up42_pipelines.purchasing.intents import State
from up42_pipelines.purchasing.purchase import Bought

KEYS = {"k0": "berlin|2026-06-01", "k1": "berlin|2026-06-01", "k2": "lisbon|2026-06-01"}
PRICE = 10
CEILINGS = Ceilings(order=10, run=10, partition=20, pipeline=20)
MOST_AT_ONCE = 4
WHICH = st.integers(0, MOST_AT_ONCE - 1)
MOMENTS = st.sampled_from(
    [
        "create intents",
        "created intents",
        "list ledgers",
        "created ledgers",
        "find",
        "price",
        "post",
        "answer",
        "answer",
    ]
)


FATES = st.tuples(st.sampled_from(["fine", "lost", "503", "never", "refused"]), st.integers(0, 4))
"""What becomes of a POST, and how late."""


class Actor:
    """A thread that does one step whenever it is told to."""

    def __init__(self, work: Callable[[Actor], object]) -> None:
        self.doing, self.wakes_at, self.is_done, self.outcome = "begin", 0.0, False, None
        self._raise_next: BaseException | None = None
        self._lake_fails: str | None = None
        self._is_dead = False
        self._work = work
        self._mine, self._theirs = threading.Lock(), threading.Lock()
        self._mine.acquire()
        self._theirs.acquire()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        self._mine.acquire()
        try:
            if not self._is_dead:
                self.outcome = self._work(self)
        except BaseException as error:  # noqa: BLE001 - judged by the thread that is in charge
            self.outcome = error
        self.is_done = True
        self._theirs.release()

    def at(self, doing: str) -> None:
        """Wait for the next step; called by what the thread is about to do."""
        if not self._is_dead:
            self.doing = doing
            self._theirs.release()
            self._mine.acquire()
        if self._is_dead:
            raise Gone
        if self._raise_next is not None:
            error, self._raise_next = self._raise_next, None
            raise error
        if self._lake_fails is not None and doing.startswith(self._lake_fails):
            self._lake_fails = None
            raise LakeError(f"The lake failed: {doing}.")

    def step(self) -> None:
        self._mine.release()
        self._theirs.acquire()

    def interrupt(self) -> None:
        self._raise_next = Interrupted()
        self.step()

    def let_lake_fail(self, how: str) -> None:
        self._lake_fails = how

    def kill(self) -> None:
        self._is_dead = True
        if not self.is_done:
            self.step()
        self._thread.join()


class Purchasing(RuleBasedStateMachine):
    def __init__(self, new_world, fate) -> None:
        super().__init__()
        self.world, self.fate = new_world(), fate
        self.actors: list[Actor] = []
        self.ids: dict[str, tuple[str, ...]] = {}

    # --- what buyers do ---

    def _act(self, run: str, ahead_s: float, call) -> Actor:
        def work(actor: Actor) -> object:
            def sleep(seconds: float) -> None:
                actor.wakes_at = self.world.seconds + seconds
                actor.at("sleep")

            buyer = self.world.buyer(run=run, at=actor.at, ahead_s=ahead_s, ceilings=CEILINGS, sleep=sleep)
            return call(buyer, actor)

        actor = Actor(work)
        self.actors.append(actor)
        return actor

    @precondition(lambda self: len(self.actors) < MOST_AT_ONCE)
    @rule(
        key=st.sampled_from(["k0", "k0", "k0", "k1", "k2"]),
        run=st.sampled_from(["r0", "r1", "r2"]),
        skew=st.sampled_from([-0.5, 0.5]),
        fates=st.tuples(FATES, FATES),
    )
    def somebody_buys(self, key, run, skew, fates):
        fates = [self._fate(*one) for one in fates]

        def buy(buyer, actor):
            wanted = self.world.wanted(key, at=actor.at, run=run, fates=fates, credits=PRICE, partition=KEYS[key])
            return key, buyer.buy(wanted)

        self._act(run, skew * self.world.timing.skew_s, buy)

    @precondition(lambda self: len(self.actors) < MOST_AT_ONCE)
    @rule(wait=st.booleans())
    def somebody_reclaims(self, wait):
        self._act("audit", 0, lambda buyer, _actor: buyer.reclaim(wait=wait))

    def _fate(self, kind: str, lateness: int):
        settling_s = self.world.timing.settling_s
        late_s, lag_s = [(0, 0), (0, settling_s), (settling_s, 0), (settling_s / 2, settling_s / 2), (1, 0)][lateness]
        return {
            "fine": self.fate(lag_s=late_s + lag_s),
            "lost": self.fate(after_s=late_s, lag_s=lag_s, answer=AnswerLost("No answer came back.")),
            "503": self.fate(
                after_s=late_s,
                lag_s=lag_s,
                answer=ServerProblem(method="POST", url="/v2/orders", status=503, title="busy"),
            ),
            "never": self.fate(carried_out=False, answer=AnswerLost("No answer came back.")),
            "refused": self.fate(carried_out=False, answer=OrderRefused("UP42 did not take the order.")),
        }[kind]

    # --- what happens ---

    def _one(self, which: int) -> Actor:
        return self.actors[which % len(self.actors)]

    def _step(self, actor: Actor) -> bool:
        """One step, if it is not asleep or done."""
        if actor.is_done or (actor.doing == "sleep" and actor.wakes_at > self.world.seconds):
            return False
        actor.step()
        self.nothing_is_bought_twice()
        return True

    def _step_or_sleep(self, actor: Actor) -> bool:
        """One step, after the time that it sleeps; False when it is done."""
        if actor.doing == "sleep":
            self.world.seconds = max(self.world.seconds, actor.wakes_at)
        return self._step(actor)

    @precondition(lambda self: self.actors)
    @rule(which=WHICH, steps=st.sampled_from([1, 2, 3]))
    def some_steps(self, which, steps):
        actor = self._one(which)
        while steps and self._step(actor):
            steps -= 1
        self._bury()

    @precondition(lambda self: self.actors)
    @rule(which=WHICH, moment=MOMENTS, then=st.sampled_from(["waits", "waits", "dies"]))
    def goes_on_until(self, which, moment, then):
        actor = self._one(which)
        while self._step_or_sleep(actor) and actor.doing != moment:
            pass
        if then == "dies" and not actor.is_done:
            actor.kill()
            self.actors.remove(actor)
        self._bury()

    @precondition(lambda self: self.actors)
    @rule(which=WHICH)
    def goes_on_to_the_end(self, which):
        actor = self._one(which)
        while self._step_or_sleep(actor):
            pass
        self._bury()

    @precondition(lambda self: self.actors)
    @rule(which=WHICH)
    def is_interrupted(self, which):
        actor = self._one(which)
        if not actor.is_done and actor.doing != "begin":
            actor.interrupt()
        self._bury()

    @precondition(lambda self: self.actors)
    @rule(which=WHICH, how=st.sampled_from(["list", "read", "create ", "created"]))
    def the_lake_fails(self, which, how):
        self._one(which).let_lake_fail(how)

    @rule(seconds=st.sampled_from([1, 10, 20, 44, 60, 104, 108]))
    def time_passes(self, seconds):
        self.world.pass_time(seconds)

    @precondition(lambda self: self.world.shop.sold)
    @rule(which=st.integers(0, 9))
    def a_person_cancels(self, which):
        sold = self.world.shop.sold[which % len(self.world.shop.sold)]
        if sold.exists_from <= self.world.seconds:
            sold.is_cancelled = True

    def _bury(self) -> None:
        """Judge those that are done."""
        for actor in [one for one in self.actors if one.is_done]:
            self.actors.remove(actor)
            self._judge(actor.outcome)

    def _judge(self, outcome) -> None:
        if isinstance(outcome, BaseException):
            if not isinstance(outcome, Up42Error | Interrupted):
                raise outcome
            return
        if isinstance(outcome, tuple):
            key, bought = outcome
            assert isinstance(bought, Bought)
            assert bought.others == ()
            _, intent = self.world.book.read(key)
            assert intent.state == State.PLACED
            assert bought.id in intent.purchase_ids

    # --- what always holds ---

    @invariant()
    def nothing_is_bought_twice(self):
        keys = [one.key for one in self.world.shop.sold]
        assert len(keys) == len(set(keys)), self.world.shop.sold

    @invariant()
    def no_ceiling_is_exceeded(self):
        live = [one for one in self.world.shop.sold if not one.is_cancelled]
        assert sum(one.credits for one in live) <= CEILINGS.pipeline
        for run in {one.run for one in live}:
            assert sum(one.credits for one in live if one.run == run) <= CEILINGS.run, run
        for partition in {one.partition for one in live}:
            assert sum(one.credits for one in live if one.partition == partition) <= CEILINGS.partition, partition

    @invariant()
    def what_was_sent_counts(self):
        live = [one for one in self.world.shop.sold if not one.is_cancelled]
        if live:
            entries = self.world.ledger().sheet().entries
            for one in live:
                assert one.key in entries, one
                assert entries[one.key].committed >= one.credits, (one, entries[one.key])

    @invariant()
    def no_id_is_dropped(self):
        for key in KEYS:
            _, intent = self.world.book.read(key)
            ids = () if intent is None else intent.purchase_ids
            assert set(ids) >= set(self.ids.get(key, ()))
            assert set(ids) <= {one.id for one in self.world.shop.sold if one.key == key}
            self.ids[key] = ids

    def teardown(self):
        try:
            self._end()
        finally:
            for actor in self.actors:
                actor.kill()
            self.world.close()

    def _end(self) -> None:
        """All come to an end; then one who looks knows every order, and nothing else is reserved."""
        self._run_all()
        self.world.pass_time(1000)
        self._act("audit", 0, lambda buyer, _actor: buyer.reclaim())
        self._run_all()
        for key in KEYS:
            self._act("look", 0, lambda buyer, actor, key=key: buyer.recover(self.world.wanted(key, at=actor.at)))
        self._run_all()
        self.nothing_is_bought_twice()
        self.no_ceiling_is_exceeded()
        self.what_was_sent_counts()
        self.no_id_is_dropped()
        for one in self.world.shop.sold:
            assert self.ids[one.key] == (one.id,)
        entries = self.world.ledger().sheet().entries
        assert {key for key, entry in entries.items() if entry.state == EntryState.RESERVED} == set()
        assert set(entries) == {one.key for one in self.world.shop.sold}

    def _run_all(self) -> None:
        for _ in range(5000):
            if not self.actors:
                return
            moved = [self._step(actor) for actor in self.actors]
            if not any(moved):
                self.world.seconds = max(self.world.seconds, min(one.wakes_at for one in self.actors))
            self._bury()
        raise AssertionError(f"they never end: {[one.doing for one in self.actors]}")


@pytest.mark.timeout(600)  # a failure is made smaller, which takes its time
def test_whatever_happens_in_between(new_world, fate):
    run_state_machine_as_test(
        lambda: Purchasing(new_world, fate),
        settings=settings(
            derandomize=True,
            database=None,
            max_examples=120,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
