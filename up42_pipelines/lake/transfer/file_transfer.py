"""One file on its way from a signed URL to its target: the steps, each taken by whichever thread is free."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from up42_pipelines.errors import TransferError, Up42Error
from up42_pipelines.lake.transfer.checksums import as_base64, combine
from up42_pipelines.lake.transfer.partial import PartialFile, Received
from up42_pipelines.lake.transfer.parts import Source
from up42_pipelines.lake.transfer.plan import Part, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file to fetch.

    Attributes:
        name: what its result and its progress are called.
        sign: gives a fresh signed URL; called shortly before a request.
        target: replaced when all is there and verified; a temporary name of the caller's choice, and the same one again
            after a failure or a kill, because what is there is then resumed.
        on_arrival: told as soon as the target is there, in a thread of the transfer.
    """

    name: str
    sign: Callable[[], str]
    target: Path
    on_arrival: Callable[[Received], None] | None = None


class Interrupted(Exception):
    """Another thread found that what this one fetches is of no use any more."""


class FileTransfer:
    """What is known about one file. The steps are called without the queue's lock, the attributes changed under it.

    Attributes:
        opened: whether the target is locked, and its host known.
        host: where it is fetched from.
        plan: None until it was begun, and when it has to be begun again.
        waiting: parts that nobody works on yet.
        workers: threads that are in one of its steps.
        failure: why it cannot arrive.
        stale: it must be begun again, from zero.
        stopped: nobody wants it any more.
    """

    def __init__(self, wanted: Wanted, source: Source) -> None:
        self.wanted, self.source = wanted, source
        self.opened = False
        self.host = ""
        self.plan: Plan | None = None
        self.waiting: deque[Part] = deque()
        self.workers = 0
        self.failure: Up42Error | None = None
        self.stale = self.stopped = False
        self._partial: PartialFile | None = None
        self._reached: dict[int, int] = {}
        self._crc32c: dict[int, int] = {}

    @property
    def interrupted(self) -> bool:
        """Whether what its threads are doing is of no use any more."""
        return self.stale or self.stopped or self.failure is not None

    @property
    def arrived(self) -> int:
        """Bytes so far."""
        return sum(list(self._reached.values()))

    @property
    def total(self) -> int | None:
        """Bytes in all, when the server has said so."""
        return self.plan.size if self.plan else None

    def open(self) -> tuple[str, Plan | None, list[Part]]:
        """Lock the target, and see what an earlier transfer left: host, plan, and the parts that are missing."""
        self._partial = PartialFile(self.wanted.target)
        resumed = self._partial.resume()
        if resumed is None:
            return self.source.host, None, []
        plan, there = resumed
        self.source.resume(plan)
        self._crc32c = dict(there)
        missing = [part for part in plan.parts if part.index not in there]
        self._reached = {part.index: _length(part) for part in plan.parts if part.index in there}
        return self.source.host if missing else "", plan, missing

    def begin(self) -> Plan:
        """Ask for the object, from its beginning."""
        plan = self.source.begin()
        self._on_disk.begin(plan)
        self._reached, self._crc32c = {}, {}
        return plan

    def fetch(self, part: Part) -> None:
        """Bring one part to its place on disk."""
        partial, at = self._on_disk, part.start

        def sink(piece: memoryview) -> None:
            nonlocal at
            if self.interrupted:
                raise Interrupted
            partial.write(piece, at)
            at += len(piece)
            self._reached[part.index] = at - part.start

        self._crc32c[part.index] = self.source.fetch(part, sink)
        partial.finished(part, self._crc32c[part.index])

    def finish(self) -> Received:
        """Verify the whole, and give it the target's name.

        Raises:
            ObjectChanged: it is not what the server announced.
        """
        if self.plan is None:
            raise ValueError("finish needs a plan: open or begin first")
        if self.plan.size is not None and self.arrived != self.plan.size:
            raise self.source.distrust(f"{self.arrived} bytes arrived of {self.plan.size}")
        crc32c = 0
        for part in self.plan.parts:
            crc32c = combine(crc32c, self._crc32c[part.index], self._reached.get(part.index, 0))
        verified_by = self._verify(self.plan, as_base64(crc32c))
        size = self._on_disk.publish()
        self._partial = None
        received = Received(
            path=self.wanted.target,
            size=size,
            crc32c=as_base64(crc32c),
            content_type=self.plan.content_type,
            filename=self.plan.filename,
            verified_by=verified_by,
        )
        if self.wanted.on_arrival is not None:
            self.wanted.on_arrival(received)
        return received

    def _verify(self, plan: Plan, crc32c: str) -> Literal["crc32c", "md5", "length"]:
        if plan.crc32c is not None:
            if plan.crc32c != crc32c:
                raise self._changed("crc32c", crc32c, plan.crc32c)
            return "crc32c"
        if plan.md5 is not None:
            # 1.1 s of CPU time per GB, where crc32c takes 0.07 s: only when nothing better is announced.
            if (md5 := self._on_disk.md5()) != plan.md5:
                raise self._changed("md5", md5, plan.md5)
            return "md5"
        return "length"

    def _changed(self, name: str, ours: str, announced: str) -> TransferError:
        reason = f"{self.arrived} bytes arrived changed: {name} is {ours}, the server announced {announced}"
        return self.source.distrust(reason)

    def start_over(self) -> None:
        """Forget what has arrived; nobody works on it any more."""
        self._on_disk.forget()
        self._reached, self._crc32c = {}, {}

    def leave(self, *, resumable: bool) -> None:
        """Let go of the target."""
        self.source.close()
        if self._partial is not None:
            self._partial.leave(resumable=resumable)
            self._partial = None

    @property
    def _on_disk(self) -> PartialFile:
        if self._partial is None:
            raise ValueError("the target is not open")
        return self._partial


def _length(part: Part) -> int:
    return (part.stop or 0) - part.start
