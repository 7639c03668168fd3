"""A world to buy in: a UP42 that is as late as a test wants it, a lake in memory, and time that passes when told."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from up42_pipelines.errors import AnswerLost, NotFound, OrderRefused, TooLate
from up42_pipelines.lake import Lake
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.attempt import Clock
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.buying import Buyer
from up42_pipelines.purchasing.intents import IntentBook
from up42_pipelines.purchasing.ledger import Ledger
from up42_pipelines.purchasing.protocol import Found, Timing

START = datetime(2026, 6, 1, tzinfo=UTC)
TIMING = Timing(lease_s=40, start_s=10, settling_s=60, looks=3, gap_s=5, skew_s=4, poll_s=20)
PIPELINE = "berlin_daily"

At = Callable[[str], None]
"""Is told what is about to be done; can raise, or do something else first."""


@dataclass(frozen=True)
class Fate:
    """What becomes of a POST.

    Attributes:
        carried_out: whether UP42 does what it was asked.
        after_s: how long after it left.
        lag_s: how much later the list shows it.
        answer: raised instead of an answer with the id.
    """

    carried_out: bool = True
    after_s: float = 0.0
    lag_s: float = 0.0
    answer: Exception | None = None


FINE = Fate()
LOST = Fate(answer=AnswerLost("No answer came back."))
NEVER = Fate(carried_out=False, answer=AnswerLost("No answer came back."))
REFUSED = Fate(carried_out=False, answer=OrderRefused("UP42 did not take the order."))


@dataclass
class Sold:
    """An order at UP42; times in seconds since the world began."""

    id: str
    key: str
    credits: int
    run: str
    partition: str
    exists_from: float
    listed_from: float
    is_cancelled: bool = False


@dataclass
class Shop:
    """UP42."""

    world: World
    sold: list[Sold] = field(default_factory=list)

    def take(self, wanted: Wanted, credits: int, fate: Fate) -> Sold | None:
        if not fate.carried_out:
            return None
        exists_from = self.world.seconds + fate.after_s
        self.sold.append(
            Sold(
                id=f"order-{len(self.sold)}",
                key=wanted.key,
                credits=credits,
                run=wanted.run,
                partition=wanted.partition,
                exists_from=exists_from,
                listed_from=exists_from + fate.lag_s,
            )
        )
        return self.sold[-1]

    def found(self, sold: Sold) -> Found[Sold]:
        return Found(
            id=sold.id,
            record=sold,
            credits=sold.credits,
            created_at=START + timedelta(seconds=sold.exists_from),
            failed=sold.is_cancelled,
            returned=sold.is_cancelled,
        )

    def listed(self, key: str) -> list[Found[Sold]]:
        now = self.world.seconds
        return [self.found(one) for one in self.sold if one.key == key and one.listed_from <= now]

    def get(self, order_id: str) -> Found[Sold]:
        now = self.world.seconds
        for one in self.sold:
            if one.id == order_id and one.exists_from <= now:
                return self.found(one)
        raise NotFound(method="GET", url=f"/v2/orders/{order_id}", status=404, title="Not found")


@dataclass
class Wanted:
    """Something to buy from the shop; a `Purchase`. Its POSTs meet the fates in turn, then none."""

    shop: Shop
    key: str
    at: At
    run: str = ""
    fates: Sequence[Fate] = ()
    credits: int = 10
    partition: str = "berlin|2026-06-01"
    uptime_s: Callable[[], float] = lambda: 0.0
    kind: str = "order"
    pipeline: str = PIPELINE

    def __post_init__(self) -> None:
        self._fates: Iterator[Fate] = iter(self.fates)
        self.label = f"Scene {self.key}"
        self.request = {"scene": self.key, "credits": self.credits, "partition": self.partition}

    def find(self) -> list[Found[Sold]]:
        self.at("find")
        return self.shop.listed(self.key)

    def price(self) -> int:
        self.at("price")
        return self.credits

    def check_funds(self, _credits: int) -> None:
        self.at("funds")

    def place(self, credits: int, *, not_after: float) -> list[str]:
        self.at("post")
        if self.uptime_s() > not_after:
            raise TooLate("The request could not leave in time; nothing was sent.")
        fate = next(self._fates, FINE)
        sold = self.shop.take(self, credits, fate)
        self.at("answer")
        if fate.answer is not None:
            raise fate.answer
        return [sold.id]

    def get(self, purchase_id: str) -> Found[Sold]:
        self.at("get")
        return self.shop.get(purchase_id)


class WatchedLake(Lake):
    """A lake that says what is about to be done to it: `create intents`, `list ledgers`."""

    def __init__(self, url: str, at: At) -> None:
        super().__init__(url)
        self.at = at

    def list(self, *parts: str) -> list[str]:
        self.at(f"list {parts[1]}")
        return super().list(*parts)

    def read_bytes(self, *parts: str) -> bytes:
        self.at(f"read {parts[1]}")
        return super().read_bytes(*parts)

    def create(self, content: bytes, *parts: str) -> bool:
        self.at(f"create {parts[1]}")
        done = super().create(content, *parts)
        self.at(f"created {parts[1]}")
        return done

    def remove(self, *parts: str) -> None:
        self.at(f"remove {parts[1]}")
        super().remove(*parts)


def nothing(_doing: str) -> None:
    """An `At` that lets everything happen."""


class World:
    """Time, a lake, UP42.

    Attributes:
        seconds: since the world began; the real time, from which buyers' clocks differ.
    """

    _numbers = itertools.count()

    def __init__(self, timing: Timing = TIMING) -> None:
        self.seconds, self.timing = 0.0, timing
        self.url = f"memory://world-{next(self._numbers)}"
        self.shop = Shop(self)
        self.lake = Lake(self.url)
        self.book = IntentBook(self.lake)
        self.told: list[str] = []

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def pass_time(self, seconds: float) -> None:
        self.seconds += seconds

    def buyer(
        self,
        *,
        run: str = "run",
        at: At = nothing,
        ahead_s: float = 0.0,
        ceilings: Ceilings | None = None,
        approvals: Approvals | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> Buyer:
        """Somebody who buys, with a clock that is ahead of real time."""
        lake = WatchedLake(self.url, at)
        return Buyer(
            IntentBook(lake),
            Ledger(lake, PIPELINE, ceilings or Ceilings(), found_at_up42=lambda: (), sleep=lambda _: at("jitter")),
            approvals=approvals or Approvals(),
            run=run,
            restore={
                "order": lambda intent: self.wanted(
                    intent.key,
                    at=at,
                    run=run,
                    credits=intent.request["credits"],
                    partition=intent.request["partition"],
                )
            },
            timing=self.timing,
            tell=self.told.append,
            clock=Clock(
                now=lambda: self.now() + timedelta(seconds=ahead_s),
                sleep=sleep or self.pass_time,
                uptime_s=lambda: self.seconds,
            ),
        )

    def wanted(self, key: str = "key", **options) -> Wanted:
        """What a buyer is given; `at` sees what it asks of UP42."""
        options.setdefault("at", nothing)
        return Wanted(self.shop, key, uptime_s=lambda: self.seconds, **options)

    def ledger(self) -> Ledger:
        return Ledger(self.lake, PIPELINE, Ceilings(), found_at_up42=lambda: ())

    def close(self) -> None:
        if self.lake.fs.exists(self.lake.root):
            self.lake.fs.rm(self.lake.root, recursive=True)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture(scope="session")
def new_world() -> type[World]:
    return World


@pytest.fixture(scope="session")
def fate() -> type[Fate]:
    return Fate


@pytest.fixture
def buy(world):
    """`buy(**options)`: somebody buys `key`; options of `World.wanted` and, in `by`, of `World.buyer`."""

    def buy(*, by=None, at=lambda _: None, **options):
        return world.buyer(at=at, **(by or {})).buy(world.wanted(at=at, **options))

    return buy


@pytest.fixture
def intent(world):
    return lambda key="key": world.book.read(key)[1]


@pytest.fixture
def entries(world):
    return lambda: world.ledger().sheet().entries
