"""One queue of parts over all files of a delivery, and the threads that work on it."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from up42_pipelines.errors import LakeError, Up42Error
from up42_pipelines.lake.transfer.file_transfer import FileTransfer, Interrupted
from up42_pipelines.lake.transfer.partial import Received
from up42_pipelines.lake.transfer.parts import ObjectChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a transfer does at once.

    Attributes:
        connections: in total.
        per_host: to one host; no further limit when None.
    """

    connections: int = 16
    per_host: int | None = None

    def __post_init__(self) -> None:
        if self.connections < 1 or (self.per_host is not None and self.per_host < 1):
            raise ValueError("a transfer needs at least one connection")

    @property
    def to_one_host(self) -> int:
        """Connections to one host."""
        return min(self.connections, self.per_host or self.connections)


class Delivery:
    """The files, in order, and what is going on.

    Threads are started when there is something for them to do, and end when every file is over. A part of a file that
    has begun comes before the next file, so that the first ones are complete early.
    """

    def __init__(self, files: Sequence[FileTransfer], limits: Limits) -> None:
        self._limits = limits
        lock = threading.Lock()
        self._changed, self._over = threading.Condition(lock), threading.Condition(lock)
        self._files = list(files)  # those that are not over
        self._busy: Counter[str] = Counter()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._results: deque[tuple[FileTransfer, Received | Up42Error]] = deque()
        self._stopping = False
        self._crash: BaseException | None = None

    def start(self) -> None:
        """Start the first threads."""
        with self._changed:
            self._call_for(len(self._files))

    def wait(self, seconds: float) -> list[tuple[FileTransfer, Received | Up42Error]]:
        """What is over since the last call; waits for it, but not longer than that.

        Raises:
            BaseException: what a `sign` raised that is no error of this package.
        """
        with self._changed:
            if not self._results and self._crash is None:
                self._over.wait(seconds)
            if self._crash is not None:
                raise self._crash
            over = list(self._results)
            self._results.clear()
            return over

    def under_way(self) -> list[FileTransfer]:
        """The files of which something has arrived, and that are not over."""
        with self._changed:
            return [file for file in self._files if file.plan is not None]

    def stop(self, cut: Callable[[], None]) -> None:
        """End all threads, and let go of every file.

        Args:
            cut: makes those return that wait for the network.
        """
        with self._changed:
            self._stopping = True
            for file in self._files:
                file.stopped = True
            self._changed.notify_all()
        cut()
        for thread in self._threads:
            thread.join()
        for file in self._files:
            file.leave(resumable=True)

    def _call_for(self, jobs: int) -> None:
        """Wake threads for new jobs, and start those that are missing; the lock is held."""
        missing = min(jobs - self._idle, self._limits.connections - len(self._threads))
        for _ in range(0 if self._stopping else missing):
            thread = threading.Thread(target=self._work, name=f"transfer-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._changed.notify_all()

    def _work(self) -> None:
        try:
            while (job := self._take()) is not None:
                file, step = job
                try:
                    step()
                except Interrupted:
                    pass
                except ObjectChanged:
                    file.stale = True
                except Up42Error as error:
                    file.failure = file.failure or error
                self._put_back(file)
        except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise it to
            with self._changed:
                self._crash = self._crash or error
                self._stopping = True
                self._changed.notify_all()
                self._over.notify_all()

    def _take(self) -> tuple[FileTransfer, Callable[[], None]] | None:
        """The next step of any file; waits until there is one, None when there is nothing more to do."""
        with self._changed:
            while self._files and not self._stopping:
                job = self._next()
                if job is not None:
                    return job
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return None

    def _next(self) -> tuple[FileTransfer, Callable[[], None]] | None:
        for file in self._files:
            if file.interrupted:
                continue
            if not file.opened:
                if file.workers:
                    continue
                file.workers += 1
                return file, partial(self._open, file)
            if self._busy[file.host] >= self._limits.to_one_host:
                if file.plan is None and not file.workers:
                    return None  # files start in order, and their URLs are signed late
                continue
            if file.plan is None and not file.workers:
                self._occupy(file)
                return file, partial(self._begin, file)
            if file.waiting:
                part = file.waiting.popleft()
                self._occupy(file)
                return file, partial(file.fetch, part)
        return None

    def _occupy(self, file: FileTransfer) -> None:
        file.workers += 1
        self._busy[file.host] += 1

    def _open(self, file: FileTransfer) -> None:
        host, plan, missing = file.open()
        with self._changed:
            file.host, file.plan, file.opened = host, plan, True
            file.waiting.extend(missing)
            self._busy[host] += 1  # `_put_back` frees it
            self._call_for(len(missing))

    def _begin(self, file: FileTransfer) -> None:
        plan = file.begin()
        first, *others = plan.parts
        with self._changed:
            file.plan = plan
            file.waiting.extend(others)
            self._call_for(len(others))
        file.fetch(first)

    def _put_back(self, file: FileTransfer) -> None:
        """After a step; who leaves a file last takes it further."""
        with self._changed:
            if file.opened:
                self._busy[file.host] -= 1
            if file.workers > 1 or self._stopping or (not file.interrupted and (file.plan is None or file.waiting)):
                file.workers -= 1
                self._changed.notify_all()
                return
            file.waiting.clear()
            stale, failure = file.stale, file.failure
        # Still counted as a worker, so nobody else takes a step of it now.
        outcome: Received | Up42Error | None = failure or self._conclude(file, stale=stale)
        if isinstance(outcome, Up42Error):
            # What a full disk left over would keep it full.
            file.leave(resumable=not isinstance(outcome, LakeError))
        with self._changed:
            file.workers -= 1
            if outcome is None:
                file.plan, file.stale = None, False
            else:
                self._files.remove(file)
                self._results.append((file, outcome))
                self._over.notify_all()
            self._changed.notify_all()

    def _conclude(self, file: FileTransfer, *, stale: bool) -> Received | Up42Error | None:
        """Verify and publish a file; None when it has to begin again."""
        try:
            if not stale:
                return file.finish()
        except ObjectChanged:
            pass
        except Up42Error as error:
            return error
        try:
            file.start_over()
        except Up42Error as error:
            return error
        return None
