"""An object from a signed URL straight into a lake: its parts come in and go out again, and no disk is needed."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import google_crc32c

from up42_pipelines.lake.transfer.checksums import as_base64, combine
from up42_pipelines.lake.transfer.parts import ObjectChanged, Source
from up42_pipelines.lake.transfer.patience import Patience
from up42_pipelines.lake.transfer.plan import Part, Plan
from up42_pipelines.lake.transfer.pool import Pool
from up42_pipelines.lake.uploads import MOST_PARTS, SMALLEST_PART_BYTES, Upload, write_object

if TYPE_CHECKING:
    from up42_pipelines.lake.store import Lake

# The memory for parts on their way: 1 GB with 9 connections, gcsfs and its imports then stay below 140 MB.
WINDOW_BYTES = 48 << 20
_BETWEEN_REPORTS_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """An object that is in the lake.

    Attributes:
        size: bytes.
        crc32c: base64, as in `x-goog-hash`.
        sha256: hexadecimal.
        content_type: media type as the server says; information only.
        filename: from Content-Disposition, made safe; information only.
        verified_by: what it was compared with before it was published: the server's crc32c or md5, or, when it
            announced neither, the length alone.
    """

    size: int
    crc32c: str
    sha256: str
    content_type: str | None
    filename: str | None
    verified_by: Literal["crc32c", "md5", "length"]


def stream(
    sign: Callable[[], str],
    lake: Lake,
    *parts: str,
    connections: int = 16,
    window_bytes: int = WINDOW_BYTES,
    patience: Patience | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
    part_bytes: int | None = None,
    sleep: Callable[[float], object] | None = None,
) -> Streamed:
    """Bring the object behind a signed URL into the lake, verified, without a file in between.

    Parts are fetched over parallel connections and uploaded in parallel; SHA-256 is computed in their order on the way.
    The object has its name in the lake when its length and checksum are what the server announced and what the store
    says it holds, and not before: a transfer that fails leaves what was there. One that is killed begins again from
    zero, and leaves hidden temporary objects, or what `uploads.unfinished_uploads` lists.

    Args:
        sign: gives a fresh signed URL; called shortly before a request. What it raises is passed on.
        lake: where to.
        parts: the object's name in the lake.
        connections: parts that are on their way at once, if the window has room for them.
        window_bytes: memory for these parts.
        patience: time-outs and retries of the way in; the default ones when None. gcsfs and s3fs have their own.
        on_progress: called with (bytes so far, bytes in total or None), a few times per second and once at the end.
            After a restart the bytes begin at 0 again.
        part_bytes: length of the parts; when None, the connections' share of the window, but no less than stores take.
            Longer ones are chosen where a store would not take so many.
        sleep: pauses between attempts, in seconds; ends early with the transfer when None.

    Raises:
        TransferError: the object did not arrive whole.
        LakeError: the lake does not take it.
    """

    def report(done: int, total: int | None) -> None:
        if on_progress is not None:
            on_progress(done, total)

    part_bytes = part_bytes or max(SMALLEST_PART_BYTES, window_bytes // connections)
    with Pool(patience) as pool:
        source = Source(sign, pool, part_bytes=part_bytes, sleep=sleep)
        while True:
            plan = source.begin()
            if plan.size is not None and plan.size > MOST_PARTS * plan.part_bytes:
                source.close()
                source = Source(sign, pool, part_bytes=-(-plan.size // MOST_PARTS), sleep=sleep)
                plan = source.begin()
            try:
                return _Passage(source, plan, lake, parts, window_bytes).run(connections, report, pool.close)
            except ObjectChanged:
                continue


class _Interrupted(Exception):
    """Another thread found that what this one does is of no use any more."""


class _Passage:
    """One attempt: threads that each bring a part in, send it out, and have it hashed when its turn comes.

    Who waits for its turn keeps its part, so that memory is bounded by the number of threads, and the first part that
    is not through always has one that works on it.
    """

    def __init__(self, source: Source, plan: Plan, lake: Lake, parts: tuple[str, ...], room_bytes: int) -> None:
        self._source, self._plan, self._lake, self._parts = source, plan, lake, parts
        self._room_bytes = room_bytes
        self._waiting = deque(plan.parts)
        self._changed, self._over = threading.Condition(), threading.Event()
        self._working = 0
        self._failure: BaseException | None = None
        self._through = self._size = self._crc32c = 0
        self._sha256 = hashlib.sha256()
        by_md5 = plan.md5 is not None and plan.crc32c is None
        self._md5 = hashlib.md5(usedforsecurity=False) if by_md5 else None

    def run(self, connections: int, report: Callable[[int, int | None], None], cut: Callable[[], None]) -> Streamed:
        """Bring the object through.

        Args:
            connections: threads, if there is room for their parts.
            report: called with bytes so far and in total.
            cut: makes those return that wait for the network.

        Raises:
            ObjectChanged: it must be begun again.
        """
        plan = self._plan
        if plan.size is not None and plan.size <= plan.part_bytes:
            verified_by = self._run_whole(plan.parts[0])
        else:
            with self._lake.upload(*self._parts) as upload:
                bring = self._bring_part if plan.ranged else self._bring_body
                count = max(1, min(connections, self._room_bytes // plan.part_bytes, len(plan.parts)))
                self._run_threads(count, lambda: self._work(upload, bring), report, cut)
                verified_by = self._verify()
                with self._writing():
                    upload.commit()
        report(self._size, self._size)
        return Streamed(
            size=self._size,
            crc32c=as_base64(self._crc32c),
            sha256=self._sha256.hexdigest(),
            content_type=plan.content_type,
            filename=plan.filename,
            verified_by=verified_by,
        )

    def _run_whole(self, part: Part) -> Literal["crc32c", "md5", "length"]:
        """An object of a single part needs no upload in parts."""
        content = bytearray()
        crc32c = self._source.fetch(part, content.extend)
        self._pass(memoryview(content), crc32c)
        verified_by = self._verify()
        with self._writing():
            write_object(self._lake.fs, self._lake.path(*self._parts), content, crc32c)
        return verified_by

    def _run_threads(
        self, count: int, work: Callable[[], None], report: Callable[[int, int | None], None], cut: Callable[[], None]
    ) -> None:
        self._working = count
        threads = [threading.Thread(target=work, name=f"stream-{number}", daemon=True) for number in range(count)]
        try:
            for thread in threads:
                thread.start()
            while not self._over.wait(_BETWEEN_REPORTS_S):
                report(self._size, self._plan.size)
        except BaseException as error:  # noqa: BLE001 - raised below, when the threads have ended
            self._stop(error)
        if self._failure is not None and not isinstance(self._failure, ObjectChanged):
            cut()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        if self._failure is not None:
            raise self._failure

    def _work(self, upload: Upload, bring: Callable[[Upload, Part, memoryview], None]) -> None:
        try:
            # A body in one stream has all the room for itself: few parts, whatever its length turns out to be.
            room = self._plan.part_bytes if self._plan.ranged else max(self._room_bytes, self._plan.part_bytes)
            buffer = memoryview(bytearray(room))
            while (part := self._next()) is not None:
                bring(upload, part, buffer)
        except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise it to
            self._stop(error)
        with self._changed:
            self._working -= 1
            if not self._working:
                self._over.set()

    def _next(self) -> Part | None:
        with self._changed:
            return self._waiting.popleft() if self._waiting and self._failure is None else None

    def _stop(self, error: BaseException) -> None:
        with self._changed:
            self._failure = self._failure or error
            self._over.set()
            self._changed.notify_all()

    def _bring_part(self, upload: Upload, part: Part, buffer: memoryview) -> None:
        filled = 0

        def sink(piece: memoryview) -> None:
            nonlocal filled
            self._go_on()
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)

        crc32c = self._source.fetch(part, sink)
        self._send(upload, part.index, buffer[:filled], crc32c)

    def _bring_body(self, upload: Upload, part: Part, buffer: memoryview) -> None:
        """An object that comes as one body is cut into parts here."""
        index = filled = crc32c = 0

        def sink(piece: memoryview) -> None:
            nonlocal index, filled, crc32c
            while piece:
                self._go_on()
                taken, piece = piece[: len(buffer) - filled], piece[len(buffer) - filled :]
                buffer[filled : filled + len(taken)] = taken
                filled, crc32c = filled + len(taken), google_crc32c.extend(crc32c, bytes(taken))
                if filled == len(buffer):
                    self._send(upload, index, buffer, crc32c)
                    index, filled, crc32c = index + 1, 0, 0

        self._source.fetch(part, sink)
        if filled or not index:
            self._send(upload, index, buffer[:filled], crc32c)

    def _go_on(self) -> None:
        if self._failure is not None:
            raise _Interrupted

    def _send(self, upload: Upload, index: int, content: memoryview, crc32c: int) -> None:
        if not upload.in_order:
            self._put(upload, index, content, crc32c)
        with self._changed:
            self._changed.wait_for(lambda: self._through == index or self._failure is not None)
            self._go_on()
        # The others wait for this one, without the lock.
        if upload.in_order:
            self._put(upload, index, content, crc32c)
        self._pass(content, crc32c)
        with self._changed:
            self._through += 1
            self._changed.notify_all()

    def _put(self, upload: Upload, index: int, content: memoryview, crc32c: int) -> None:
        with self._writing():
            upload.put(index, content, crc32c)

    def _pass(self, content: memoryview, crc32c: int) -> None:
        """Take account of the bytes that come next."""
        self._sha256.update(content)
        if self._md5 is not None:
            self._md5.update(content)
        self._crc32c = combine(self._crc32c, crc32c, len(content))
        self._size += len(content)

    def _verify(self) -> Literal["crc32c", "md5", "length"]:
        plan = self._plan
        if plan.size is not None and self._size != plan.size:
            raise self._source.distrust(f"{self._size} bytes arrived of {plan.size}")
        if plan.crc32c is not None:
            self._compare("crc32c", as_base64(self._crc32c), plan.crc32c)
            return "crc32c"
        if self._md5 is not None and plan.md5 is not None:
            self._compare("md5", base64.b64encode(self._md5.digest()).decode(), plan.md5)
            return "md5"
        return "length"

    def _compare(self, name: str, ours: str, announced: str) -> None:
        if ours != announced:
            raise self._source.distrust(
                f"{self._size} bytes arrived changed: {name} is {ours}, the server announced {announced}"
            )

    def _writing(self) -> AbstractContextManager[None]:
        return self._lake.explained("write", self._lake.path(*self._parts))
