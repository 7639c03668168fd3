"""What happens in one round of chaos: who buys what at the same time, what goes wrong, and who is killed where. Pure.

A schedule is known by its name. `lost-17` is one of a path that is gone along point by point: killed at its 17th.
`stalled-17` hangs there, `race-3` is a race, and `423` is what the seed draws under this number.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from up42_pipelines.api import Patience
from up42_pipelines.purchasing.budget import CeilingName
from up42_pipelines.purchasing.protocol import Timing

TIMING = Timing(lease_s=0.6, start_s=0.3, settling_s=1.2, looks=3, gap_s=0.05, skew_s=0.05, poll_s=0.02)
LONGEST_LAG_S = 0.8
"""Longer than a lease, so that who takes over cannot see yet what was bought. What is promised holds as long as a late
commit and the lag of the lists fit into the settling delay; the sandbox commits at once, and what is left of the delay
is for a machine that is busy."""
PATIENCE = Patience(connect_s=2, read_s=0.8, retries=1, backoff_s=0.02, longest_pause_s=0.05)
DELAY_S = 1.0
"""Of an answer that comes when the client has gone."""
SHORT_STALL_S, LONG_STALL_S = 0.75, 2.2
"""Of a process that hangs until it is taken for dead, and then goes on. Long: until the doubt about it is over as well.
Between its last look at the clock and the request that spends only the short one is promised to do no harm: there the
protocol leaves `lease_s - start_s + settling_s`."""

Rule = dict[str, Any]
UPSAMPLING = "upsampling-ns"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """How one kind of things is bought.

    Attributes:
        spends_at: path of the request that spends, a POST.
        looks_at: path of the list in which the key is looked for.
    """

    spends_at: str
    looks_at: str

    @property
    def spending(self) -> Rule:
        """The request that spends, for faults."""
        return {"method": "POST", "path": self.spends_at}

    @property
    def looking(self) -> Rule:
        """The look-up, for faults."""
        return {"method": "GET", "path": self.looks_at}

    @property
    def spends(self) -> str:
        """The point at which the request that spends leaves."""
        return f"send POST {self.spends_at}"


ORDERS = Trade(spends_at="/v2/orders", looks_at="/v2/orders")
JOBS = Trade(spends_at=f"/v2/processing/processes/{UPSAMPLING}/execution", looks_at="/v2/processing/jobs")

ENDINGS: Mapping[str, Rule] = {
    "lost": {"kind": "drop_after"},
    "unsent": {"kind": "drop_before"},
    "unavailable": {"kind": "status", "status": 503},
    "gateway": {"kind": "status", "status": 504},
    "slow": {"kind": "delay", "seconds": DELAY_S},
    "refused": {"kind": "status", "status": 422},
}
"""What can become of the request that spends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one process does; killed, it is started again, and then wants the same in reverse order.

    Attributes:
        wants: numbers of the things that it buys, in this order.
        kills: at which point each of its lives ends; 0 and every further life: at none.
        stall: at which point its first life hangs for a while (`stall_s`); 0: at none.
        gives_up: whether it is not started again after the last of its kills.
        reclaims: whether each life first asks what became of what others left behind.
    """

    wants: tuple[int, ...]
    kills: tuple[int, ...] = ()
    stall: int = 0
    gives_up: bool = False
    reclaims: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One round.

    Attributes:
        name: tells it from all others of a run.
        parts: the processes, started at the same time.
        rules: the sandbox's faults.
        ceiling: which ceiling the pipeline has, if any.
        share: the ceiling, as a share of the price of everything that is wanted.
        needs_approval: whether each price needs a person, who says yes at once.
        together: whether the processes wait for each other just before they buy.
        removed: what is removed from the lake when all are done; then everything is wanted again.
    """

    name: str
    parts: tuple[Part, ...]
    rules: tuple[Rule, ...] = ()
    ceiling: CeilingName | None = None
    share: float = 1.0
    needs_approval: bool = False
    together: bool = False
    removed: tuple[str, ...] = ()

    @property
    def wants(self) -> tuple[int, ...]:
        """Everything that is wanted."""
        return tuple(sorted({want for part in self.parts for want in part.wants}))

    @property
    def still_wanted(self) -> tuple[int, ...]:
        """What somebody who has not given up wants."""
        return tuple(sorted({want for part in self.parts if not part.gives_up for want in part.wants}))


PATHS = ("plain", "lost", "unsent", "refused", "takeover", "orphan", "reclaim", "approval", "abandoned")
"""The ways to buy that are gone along point by point."""


def path(name: str, plain: Sequence[str] = (), *, trade: Trade = ORDERS) -> Schedule:
    """A path without disturbance: what its only process does in its last life.

    Args:
        name: which.
        plain: the points of the plain path, for those that begin with what somebody left behind.
        trade: what is bought.
    """
    left_at = {"takeover": "sent", "reclaim": "sent", "orphan": trade.spends}.get(name)
    lag = {"kind": "list_lag", "seconds": LONGEST_LAG_S, "times": None}
    is_tight = name == "reclaim"  # what was left behind and what is wanted then do not both fit
    return Schedule(
        name=name,
        parts=(
            Part(
                wants=(0, 1) if is_tight else (0,),
                kills=(_spending(plain, left_at, trade) + 1,) if left_at else (),
                reclaims=is_tight,
                gives_up=name == "abandoned",
            ),
        ),
        rules=(lag, {**trade.spending, **ENDINGS[name]}) if name in ENDINGS else (lag,) if left_at else (),
        ceiling="pipeline" if is_tight else None,
        share=0.6,
        needs_approval=name == "approval",
    )


def _spending(points: Sequence[str], point: str, trade: Trade) -> int:
    """Index of a point of the request that spends."""
    return points.index(point, points.index(trade.spends))


def written_ahead(points: Sequence[str], trade: Trade) -> int:
    """The first point, counted from 1, at which the intent to send the request that spends is written; 1 if none is."""
    before = points[: points.index(trade.spends)] if trade.spends in points else []
    written = (number for number, point in enumerate(before, 1) if point.startswith("open purchases/intents"))
    return max(written, default=1)


def killed_at(path: Schedule, point: int) -> Schedule:
    """A path that ends at a point, and is then begun again."""
    (part,) = path.parts
    return replace(path, name=f"{path.name}-{point}", parts=(replace(part, kills=(*part.kills, point)),))


def stalled_at(point: int) -> Schedule:
    """The plain path with a pause that is taken for death by somebody who wants the same thing."""
    return Schedule(name=f"stalled-{point}", parts=(Part(wants=(0,), stall=point), Part(wants=(0,))))


def stall_s(point: str) -> float:
    """How long a process hangs at a point."""
    return SHORT_STALL_S if point.startswith(("connect", "send ")) else LONG_STALL_S


def race(number: int, *, processes: int = 8) -> Schedule:
    """Processes that begin to buy the same thing at the same instant, with credits for one."""
    return Schedule(name=f"race-{number}", parts=(Part(wants=(0,)),) * processes, ceiling="pipeline", together=True)


def drawn(seed: int, number: int, *, plain: Sequence[str], trade: Trade = ORDERS) -> Schedule:
    """A schedule by chance.

    Args:
        seed: of the whole run.
        number: which one.
        plain: the points of the plain path.
        trade: what is bought.
    """
    chance = random.Random(f"{seed}:{number}")
    wants = chance.choice((1, 1, 2, 3))
    removed = chance.choice((("intents",), ("ledgers",), ("intents", "ledgers"))) if chance.random() < 0.15 else ()
    # What UP42 lists tells no run, so that a ceiling per run does not outlive its ledger.
    ceilings: tuple[CeilingName, ...] = ("month", "pipeline", "partition", *(() if removed else ("run",)))
    parts = tuple(
        _part(chance, wants, plain, trade, may_give_up=not removed) for _ in range(chance.choice((1, 2, 2, 3)))
    )
    return Schedule(
        name=str(number),
        parts=parts,
        rules=_rules(
            chance, trade, may_lag=not any(part.stall for part in parts)
        ),  # not both fit into the settling delay
        ceiling=chance.choice(ceilings) if chance.random() < 0.6 else None,
        share=chance.choice((0.3, 0.5, 0.7, 1.0)),
        needs_approval=chance.random() < 0.1,
        removed=removed,
    )


def _part(chance: random.Random, wants: int, plain: Sequence[str], trade: Trade, *, may_give_up: bool) -> Part:
    kills = tuple(_point(chance, plain, trade) for _ in range(chance.choice((0, 1, 1, 2))))
    stall = chance.randint(1, len(plain)) if chance.random() < 0.1 else 0
    return Part(
        wants=tuple(chance.sample(range(wants), wants)),
        kills=kills,
        stall=stall,
        gives_up=may_give_up and bool(kills) and chance.random() < 0.2,
        reclaims=chance.random() < 0.3,
    )


def _point(chance: random.Random, plain: Sequence[str], trade: Trade) -> int:
    """Any point, but every other time one around the request that spends."""
    sent = _spending(plain, "sent", trade) + 1
    return chance.choice((chance.randint(1, len(plain)), chance.randint(sent - 10, min(sent + 10, len(plain)))))


def _rules(chance: random.Random, trade: Trade, *, may_lag: bool) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    if may_lag and chance.random() < 0.4:
        rules.append({"kind": "list_lag", "seconds": round(chance.uniform(0.05, LONGEST_LAG_S), 2), "times": None})
    if chance.random() < 0.2:
        rules.append({**trade.looking, "kind": "status", "status": 503, "times": 2, "skip": chance.randint(0, 4)})
    if ending := chance.choice((None, *ENDINGS.values())):
        rules.append({**trade.spending, **ending, "times": chance.randint(1, 2), "skip": chance.randint(0, 1)})
    return tuple(rules)
