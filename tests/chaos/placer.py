"""A process that buys, and can be killed at each point at which the world outside of it changes.

The points are what CPython reports to audit hooks (files that are opened for writing, linked, renamed, removed; folders
that are made; bytes that are sent), and beside them the moments at which a file is there and empty, is written, and a
request is sent, or answered. Between two points a process reads, computes and sleeps: dying there is the same as dying
at the next one.
"""

from __future__ import annotations

import http.client
import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from tests.chaos.schedule import stall_s
from tests.chaos.shops import Shop
from up42_pipelines.errors import (
    AnswerLost,
    ApiError,
    ApprovalRequired,
    BudgetExceeded,
    OrderRefused,
    OrderUnclear,
    Unreachable,
)
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.buying import Buyer
from up42_pipelines.purchasing.purchase import Purchase

_FILES = {"os.link", "os.rename", "os.remove", "os.rmdir"}


@dataclass(frozen=True, kw_only=True)
class Life:
    """One life of a process.

    Attributes:
        shop: where it buys.
        lake: folder of the lake.
        pipeline: on whose behalf.
        wants: what it buys.
        ceilings: of the pipeline.
        needs_approval: whether each price needs a person.
        reclaims: whether it begins with what others left behind.
        kill_at: point at which it ends, counted from 1; 0 for none.
        stall_at: point at which it hangs, before it goes on; 0 for none.
        together: what processes wait at, to begin at the same instant.
    """

    shop: Shop
    lake: Path
    pipeline: str
    wants: tuple[int, ...]
    ceilings: Ceilings
    needs_approval: bool = False
    reclaims: bool = False
    kill_at: int = 0
    stall_at: int = 0
    together: Barrier | None = None

    @property
    def log(self) -> Path:
        """File of what the processes told."""
        return self.lake.with_suffix(".log")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a life that was not killed has come to.

    Attributes:
        outcomes: by want: `bought`, `refused` by the ceiling, or what to try again after.
        points: the points that it passed.
    """

    outcomes: dict[int, str]
    points: tuple[str, ...]


def live(life: Life, channel: Connection) -> None:
    """Be that process: buy, report, end. Whatever is not foreseen ends it without a report."""
    with life.log.open("a", buffering=1) as log:

        def tell(sentence: str) -> None:
            log.write(f"{datetime.now(UTC):%H:%M:%S.%f} {os.getpid()} {sentence}\n")

        try:
            points = _watch(life, tell)
            channel.send(Report(outcomes=_buy_all(life, tell), points=tuple(points)))
        except Exception:  # noqa: BLE001 - for the log
            tell(traceback.format_exc())
            sys.exit(1)


def _buy_all(life: Life, tell: Callable[[str], None]) -> dict[int, str]:
    client = life.shop.client()
    buyer = life.shop.buyer(
        client,
        life.lake,
        life.pipeline,
        ceilings=life.ceilings,
        approvals=Approvals(above=0 if life.needs_approval else None),
        tell=tell,
    )
    if life.together is not None:
        life.together.wait()
    if life.reclaims:
        buyer.reclaim()
    return {want: _buy(buyer, life.shop.purchase(life.pipeline, want, client, buyer), tell) for want in life.wants}


def _buy(buyer: Buyer, purchase: Purchase[Any], tell: Callable[[str], None]) -> str:
    try:
        bought = buyer.buy(purchase)
    except ApprovalRequired as error:
        buyer.book.approve(purchase.key, credits=error.credits, by="the placer", at=datetime.now(UTC))
        return _buy(buyer, purchase, tell)
    except BudgetExceeded as error:
        tell(str(error))
        return "refused"
    except OrderRefused as error:
        tell(str(error))
        return _buy(buyer, purchase, tell)
    except (AnswerLost, ApiError, OrderUnclear, Unreachable) as error:
        tell(f"again: {error!r}")
        return repr(error)
    tell(f"bought {bought.id}, adopted: {bought.adopted}")
    return "bought"


def _watch(life: Life, tell: Callable[[str], None]) -> list[str]:
    """Count the points from now on, and hang or die at the one."""
    lake = life.lake
    points: list[str] = []

    def reach(point: str) -> None:
        points.append(point)
        if len(points) == life.stall_at:
            tell(f"stalled at point {life.stall_at}: {point}")
            time.sleep(stall_s(point))
        if len(points) == life.kill_at:
            tell(f"killed at point {life.kill_at}: {point}")
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event in _FILES or (event == "os.mkdir" and not os.path.exists(args[0])):  # noqa: PTH110 - str or Path
            reach(f"{event} {_below(lake, args[0])}")
        elif event == "open" and _writes(args[1]):
            reach(f"open {_below(lake, args[0])}")
        elif event == "socket.connect":
            reach("connect")
        elif event == "http.client.send":
            reach(f"send {_summary(args[1])}")

    sys.addaudithook(audit)
    io.open = _then(io.open, lambda path, mode="r", *_: _writes(mode) and reach(f"opened {_below(lake, path)}"))
    os.fsync = _first(os.fsync, lambda: reach("fsync"))
    connection = http.client.HTTPConnection
    connection.getresponse = _then(_first(connection.getresponse, lambda: reach("sent")), lambda *_: reach("answered"))
    return points


def _first(call: Callable[..., Any], before: Callable[[], object]) -> Callable[..., Any]:
    def wrapped(*args: Any, **options: Any) -> Any:
        before()
        return call(*args, **options)

    return wrapped


def _then(call: Callable[..., Any], after: Callable[..., object]) -> Callable[..., Any]:
    def wrapped(*args: Any, **options: Any) -> Any:
        result = call(*args, **options)
        after(*args)
        return result

    return wrapped


def _writes(mode: object) -> bool:
    return isinstance(mode, str) and bool(set(mode) & set("wxa+"))


def _below(lake: Path, path: Any) -> str:
    return os.path.relpath(os.fspath(path), lake)


def _summary(data: bytes) -> str:
    first = bytes(data).split(b"\r\n", 1)[0].decode(errors="replace")
    return first.split("?")[0].removesuffix(" HTTP/1.1") if first.endswith("HTTP/1.1") or "?" in first else "body"
