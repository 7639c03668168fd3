"""Plays a schedule: starts its processes, starts them again when they were killed, and looks at what is there then."""

from __future__ import annotations

import json
import math
import multiprocessing
import shutil
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import connection
from pathlib import Path
from typing import Any

import requests

from tests.chaos.judge import Facts, Verdict, judge
from tests.chaos.placer import Life, Report, live
from tests.chaos.schedule import Part, Rule, Schedule
from tests.chaos.shops import Shop
from tests.conftest import SandboxProcess
from up42_pipelines.lake import Lake
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.intents import IntentBook

_FORK = multiprocessing.get_context("fork")  # a placer then starts within milliseconds, with everything imported
_MOST_LIVES = 12
_LONGEST_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Round:
    """What came of a schedule.

    Attributes:
        schedule: which.
        verdict: on it.
        bought: how many orders or jobs there are.
        kills: how many lives ended so.
        restarts: how many lives followed on another.
        points: the points that the last life of the first process passed.
        log: what the processes told.
    """

    schedule: Schedule
    verdict: Verdict
    bought: int
    kills: int
    restarts: int
    points: tuple[str, ...]
    log: str


def play(schedule: Schedule, shop: Shop, folder: Path, *, pipeline: str) -> Round:
    """Play a schedule on a sandbox that nobody else uses, in a folder that does not exist yet.

    Args:
        schedule: what happens.
        shop: where.
        folder: for the lake, and a log of what the processes told.
        pipeline: a name that was never used in this sandbox.
    """
    folder.mkdir(parents=True)
    prices = _prices(shop, pipeline, schedule.wants)
    ceiling = math.floor(schedule.share * sum(prices.values())) if schedule.ceiling else None
    life = Life(
        shop=shop,
        lake=folder / "lake",
        pipeline=pipeline,
        wants=schedule.wants,
        ceilings=Ceilings.model_validate({schedule.ceiling: ceiling} if schedule.ceiling else {}),
        needs_approval=schedule.needs_approval,
        together=_FORK.Barrier(len(schedule.parts)) if schedule.together else None,
    )
    troupe = _Troupe(life)
    with _faults(shop.sandbox, schedule.rules):
        troupe.perform(schedule.parts)
    sheets = _sheets(life) if schedule.removed else []
    for name in schedule.removed:
        shutil.rmtree(life.lake / "purchases" / name, ignore_errors=True)
    calm = _Troupe(replace(life, together=None))
    calm.perform([Part(wants=schedule.still_wanted, reclaims=True)])
    facts = _facts(life, {want: prices[want] for want in schedule.still_wanted}, calm.reports.values(), ceiling)
    return Round(
        schedule=schedule,
        verdict=judge(replace(facts, sheets=[*sheets, *facts.sheets], unfinished=troupe.unfinished + calm.unfinished)),
        bought=len(facts.bought),
        kills=troupe.kills,
        restarts=troupe.restarts,
        points=troupe.reports[0].points if 0 in troupe.reports else (),
        log=life.log.read_text(),
    )


def _prices(shop: Shop, pipeline: str, wants: Sequence[int]) -> dict[int, int]:
    client = shop.client()
    try:
        return {want: shop.purchase(pipeline, want, client).price() for want in wants}
    finally:
        client.transport.close()


def _facts(life: Life, prices: Mapping[int, int], reports: Iterable[Report], ceiling: int | None) -> Facts:
    shop, sheets = life.shop, _sheets(life)
    keys = {want: shop.purchase(life.pipeline, want, shop.client()).key for want in prices}
    outcomes = {want: {report.outcomes[want] for report in reports} for want in prices}
    return Facts(
        bought=shop.bought(life.pipeline),
        intents=[intent.model_dump(mode="json") for intent in IntentBook(Lake(str(life.lake))).all()],
        sheets=sheets,
        sheet=max(sheets, key=lambda sheet: sheet["version"], default=None),
        prices={keys[want]: price for want, price in prices.items()},
        outcomes={keys[want]: " and ".join(sorted(words)) for want, words in outcomes.items()},
        ceiling=ceiling,
    )


class _Troupe:
    """The processes of a round.

    Attributes:
        kills: how many lives ended so.
        restarts: how many lives followed on another.
        unfinished: how many processes had something left to try when it was enough.
        reports: of the last life of each that was not killed.
    """

    def __init__(self, life: Life) -> None:
        self._life = life
        self.kills = self.restarts = self.unfinished = 0
        self.reports: dict[int, Report] = {}

    def perform(self, parts: Sequence[Part]) -> None:
        """Start all parts at once, and each again until it has nothing more to try."""
        lives = [0] * len(parts)
        running = {}
        deadline = time.monotonic() + _LONGEST_S
        try:
            for number, part in enumerate(parts):
                running[number] = self._start(part, 0)
            while running and (left_s := deadline - time.monotonic()) > 0:
                ended = connection.wait([process.sentinel for process, _ in running.values()], timeout=left_s)
                for number, (process, channel) in list(running.items()):
                    if process.sentinel not in ended:
                        continue
                    del running[number]
                    if self._is_done(number, process, channel):
                        continue
                    lives[number] += 1
                    if parts[number].gives_up and lives[number] >= len(parts[number].kills):
                        continue
                    if lives[number] == _MOST_LIVES:
                        self.unfinished += 1
                        continue
                    self.restarts += 1
                    running[number] = self._start(parts[number], lives[number])
        finally:
            self.unfinished += len(running)
            for process, _ in running.values():
                process.kill()
                process.join()

    def _start(self, part: Part, lives: int) -> tuple[Any, connection.Connection]:
        life = replace(
            self._life,
            wants=part.wants[:: -1 if lives % 2 else 1],
            reclaims=part.reclaims,
            stall_at=part.stall if lives == 0 else 0,
            together=self._life.together if lives == 0 else None,
            kill_at=part.kills[lives] if lives < len(part.kills) else 0,
        )
        ours, theirs = _FORK.Pipe(duplex=False)
        process = _FORK.Process(target=live, args=(life, theirs))
        process.start()
        theirs.close()
        return process, ours

    def _is_done(self, number: int, process: Any, channel: connection.Connection) -> bool:
        process.join()
        self.kills += process.exitcode == -signal.SIGKILL
        try:
            report: Report = channel.recv()
        except EOFError:  # killed, or it failed in a way that nobody foresaw: the log says how
            return False
        finally:
            channel.close()
        self.reports[number] = report
        return set(report.outcomes.values()) <= {"bought", "refused"}


@contextmanager
def _faults(sandbox: SandboxProcess, rules: Sequence[Rule]) -> Iterator[None]:
    """The sandbox's faults, for as long as a round takes. Without them its lists show everything at once."""
    if not rules:
        yield
        return
    url = f"{sandbox.url}/sandbox/faults"
    requests.post(url, json={"faults": rules}, timeout=10).raise_for_status()
    try:
        yield
    finally:
        requests.delete(url, timeout=10).raise_for_status()


def _sheets(life: Life) -> list[dict[str, Any]]:
    folder = life.lake / "purchases" / "ledgers" / life.pipeline
    return [json.loads(path.read_text()) for path in folder.glob("*.json")]
