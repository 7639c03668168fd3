"""A crowd at one sandbox: processes that wait for each other, then buy at the same instant, one purchase each.

Run as a program it reads errands from stdin and answers each with a line: what became of its processes, a JSON list. It
forks them, everything imported, and opens no lake itself: s3fs and gcsfs start a thread, which no fork takes along.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any, Self

import s3fs  # noqa: F401 - here once, not in each process that is forked
from shapely.geometry import box, mapping, shape

from tests.conftest import SandboxProcess
from up42_pipelines.api import Credentials, Hosts, Up42Client
from up42_pipelines.errors import BudgetExceeded, LakeError
from up42_pipelines.lake import Lake
from up42_pipelines.ordering.buyer import order_buyer
from up42_pipelines.ordering.plan import Purpose, plan_order
from up42_pipelines.ordering.purchase import OrderPurchase
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.attempt import Clock
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.protocol import Timing

AREA = box(-9.15, 38.71, -9.14, 38.72)
PRICE = 10
"""Of the area, in credits, at the sandbox."""

_ROOT = Path(__file__).resolve().parents[2]
_FORK = multiprocessing.get_context("fork")
_LONGEST_S = 40.0
_SECOND_S = 0.4

Outcome = dict[str, Any]
"""`bought` (id) and `adopted`; or `refused` (figures) and `said`; or `failed` (why); or `died` (exit code)."""


@dataclass(frozen=True, kw_only=True)
class Errand:
    """What a crowd is sent to do.

    Attributes:
        sandbox: its URL.
        workspace_id: for whom.
        data_product: of what.
        scene_id: of what.
        lake: its URL.
        storage_options: of the lake.
        pipeline: on whose behalf.
        partitions: one process for each; the same partition twice is the same purchase.
        month: ceiling per month, in credits.
        ahead_s: how far the clocks of its processes are ahead of the real one.
        timing: delays that are not the usual ones.
        contested: whether they race for one purchase, and meet where it hurts most.
        dies: whether each process ends with its request that spends: sent, and the answer not read.
    """

    sandbox: str
    workspace_id: str
    data_product: str
    scene_id: str
    lake: str
    storage_options: dict[str, Any] = field(default_factory=dict)
    pipeline: str
    partitions: list[str]
    month: float | None = None
    ahead_s: float = 0.0
    timing: dict[str, float] = field(default_factory=dict)
    contested: bool = False
    dies: bool = False


def goods(sandbox: SandboxProcess) -> dict[str, str]:
    """Where to buy, and what: the fields of an errand that come first."""
    client = sandbox.client()
    may = {"start": datetime(2026, 5, 1, tzinfo=UTC), "end": datetime(2026, 5, 31, tzinfo=UTC)}
    scenes = client.catalog.search("sandbox-host", collections=["sandbox-optical"], intersects=mapping(AREA), **may)
    found = {
        "sandbox": sandbox.url,
        "workspace_id": client.workspace_id,
        "data_product": client.catalog.collection("sandbox-optical").data_product("analytic").id,
        "scene_id": next(scene.id for scene in scenes if shape(scene.geometry).covers(AREA)),
    }
    client.transport.close()
    return found


class Crowd:
    """The program, started once for any number of errands; a context manager."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.purchasing.crowd"]
        self._process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def send(self, errand: Errand) -> list[Outcome]:
        """Let it be done; the outcomes in the order of the partitions."""
        self._process.stdin.write(json.dumps(asdict(errand)) + "\n")
        answer = self._process.stdout.readline()
        assert answer, "the crowd's program ended"
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:  # closes what it reads from, and so ends it
            pass


class _Meeting:
    """Where the processes of an errand wait for each other."""

    def __init__(self, processes: int) -> None:
        self.start = _FORK.Barrier(processes)
        self.first_claim, self.priced, self.two_about_to_place = _FORK.Lock(), _FORK.Event(), _FORK.Barrier(2)


class _ContestedLake(Lake):
    """All see that nothing is claimed; one claims, and the others try when it looks at the lake no more."""

    def __init__(self, errand: Errand, meeting: _Meeting) -> None:
        super().__init__(errand.lake, errand.storage_options)
        self._meeting, self._has_tried = meeting, False

    def create(self, content: bytes, *parts: str) -> bool:
        if "intents" in parts and not self._has_tried:
            self._has_tried = True
            self._meeting.start.wait(_LONGEST_S)
            if not self._meeting.first_claim.acquire(block=False):
                self._meeting.priced.wait(_LONGEST_S)
        return super().create(content, *parts)


class _ContestedPurchase(OrderPurchase):
    """Who believes that it may place waits for another one who does: if there can be two, there are."""

    meeting: _Meeting

    def price(self) -> int:
        credits = super().price()
        self.meeting.priced.set()
        with suppress(BrokenBarrierError):
            self.meeting.two_about_to_place.wait(_SECOND_S)
        return credits


def _run(errand: Errand) -> list[Outcome]:
    meeting = _Meeting(len(errand.partitions))
    members = []
    for partition in errand.partitions:
        ours, theirs = _FORK.Pipe(duplex=False)
        process = _FORK.Process(target=_buy, args=(errand, partition, meeting, theirs))
        process.start()
        theirs.close()
        members.append((process, ours))
    return [_outcome(process, channel) for process, channel in members]


def _outcome(process: Any, channel: Connection) -> Outcome:
    with channel:
        try:
            outcome = channel.recv() if channel.poll(_LONGEST_S) else None
        except EOFError:
            outcome = None
    if outcome is None:
        process.join(1)
    process.kill()  # whatever a backend's threads still do
    process.join()
    return outcome or {"died": process.exitcode}


def _buy(errand: Errand, partition: str, meeting: _Meeting, channel: Connection) -> None:
    client = Up42Client(
        Credentials(username="sandbox@example.com", password="sandbox"),
        Hosts.of(api_url=errand.sandbox),
        workspace_id=errand.workspace_id,
    )
    purpose = Purpose(
        workspace_id=errand.workspace_id,
        pipeline=errand.pipeline,
        partition=partition,
        data_product=errand.data_product,
    )
    [planned] = plan_order(purpose, errand.scene_id, [AREA])
    lake = Lake(errand.lake, errand.storage_options)
    purchase = OrderPurchase(planned, client.orders, client.account)
    if errand.contested:
        lake = _ContestedLake(errand, meeting)
        purchase = _ContestedPurchase(planned, client.orders, client.account)
        purchase.meeting = meeting
    if errand.dies:
        _die_when_sent()
    try:
        buyer = order_buyer(
            client.orders,
            client.account,
            lake,
            errand.pipeline,
            ceilings=Ceilings(month=errand.month),
            approvals=Approvals(),
            run=f"run of {partition}",
            timing=Timing(**errand.timing),
        )
        ahead = timedelta(seconds=errand.ahead_s)
        buyer.clock = Clock(now=lambda: datetime.now(UTC) + ahead)
        meeting.start.wait(_LONGEST_S)
        bought = buyer.buy(purchase)
    except BudgetExceeded as error:
        channel.send({"refused": vars(error), "said": str(error)})
    except LakeError as error:
        channel.send({"failed": str(error)})
    else:
        channel.send({"bought": bought.id, "adopted": bought.adopted})


def _die_when_sent() -> None:
    sent: list[bytes] = []
    sys.addaudithook(lambda event, args: sent.append(args[1]) if event == "http.client.send" else None)
    getresponse = http.client.HTTPConnection.getresponse

    def die(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        if any(data.startswith((b"POST /v2/orders?", b"POST /v2/orders ")) for data in sent):
            os.kill(os.getpid(), signal.SIGKILL)
        return getresponse(connection)

    http.client.HTTPConnection.getresponse = die


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_run(Errand(**json.loads(line)))) + "\n")
        sys.stdout.flush()
