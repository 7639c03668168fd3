"""One object behind signed URLs: its plan, and its parts, each resumed where it broke off."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import google_crc32c

from up42_pipelines.errors import TransferError
from up42_pipelines.lake.transfer.plan import PART_BYTES, Fault, Part, Plan, check_continuation, read_plan
from up42_pipelines.lake.transfer.pool import Answer, Pool
from up42_pipelines.uptime import uptime_s

# UP42's URLs live for five minutes; a request that starts in the last one might meet a clock that is ahead.
_URL_LIVES_S = 240.0
# An attempt that brought this much is progress: the count of attempts in a row starts again.
_PROGRESS_BYTES = 1 << 20


class ObjectChanged(TransferError):
    """What was fetched and what is there now are not certain to be one object: begin it again, from zero."""


class Source:
    """One object, for as many threads as fetch its parts.

    The first answer is at once the plan and the body of the first part: `begin` returns when its headers are there, and
    `fetch` of the first part goes on reading it. Every later request carries `If-Match` with the first strong ETag
    (RFC 9110, section 13.1.1). Not `If-Range`: when the object changed, that makes the server send all of it, on every
    connection; a 412 costs nothing. An object without strong ETag, or a server without ranges, gives a plan with a
    single part, which cannot be continued after it broke off.

    Args:
        sign: gives a fresh signed URL; what it raises is passed on.
        pool: connections, time-outs and retries.
        part_bytes: length of the parts.
        sleep: pauses between attempts, in seconds; ends early with the pool when None.

    Attributes:
        signings: how often a URL was signed.
    """

    def __init__(
        self,
        sign: Callable[[], str],
        pool: Pool,
        *,
        part_bytes: int = PART_BYTES,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._sign, self._pool, self._patience = sign, pool, pool.patience
        self._part_bytes, self._sleep = part_bytes, sleep or pool.pause
        self._signing = threading.Lock()
        self._url, self._signed_at = "", 0.0
        self._plan: Plan | None = None
        self._first: Answer | None = None
        self._starts, self._whole, self._why = 0, False, ""
        self.signings = 0

    @property
    def host(self) -> str:
        """Where the object is; signs its URL when that is not known yet."""
        try:
            return urlsplit(self._fresh_url()).netloc.rpartition("@")[2].lower()
        except ValueError:
            return ""

    @property
    def address(self) -> str:
        """Scheme, host and path; a signed URL's query, and a user name and password, are secrets."""
        try:
            parts = urlsplit(self._url)
        except ValueError:
            return "a malformed URL"
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if self._url else "the object"

    def begin(self) -> Plan:
        """Ask for the first part, and read from the answer what the object is. Also after `ObjectChanged`.

        Raises:
            TransferError: the server does not give the object, or it was begun as often as patience allows.
        """
        self.close()
        self._starts += 1
        if self._starts > self._patience.attempts:
            raise self._failed(self._why, self._starts - 1)
        # Servers whose ranges never hold together may still give the whole: the last start does without.
        self._whole = self._whole or (self._starts == self._patience.attempts > 1)
        failures = 0
        while True:
            wanted = {} if self._whole else {"Range": f"bytes=0-{self._part_bytes - 1}"}
            try:
                answer = self._request(wanted)
                try:
                    self._plan = read_plan(answer.status, answer.headers, self._part_bytes)
                except BaseException:
                    answer.close()
                    raise
            except Fault as fault:
                if fault.unranged and not self._whole:
                    self._whole = True
                    continue
                failures += 1
                self._give_up_or_pause(fault, failures)
            else:
                self._first = answer
                return self._plan

    def resume(self, plan: Plan) -> None:
        """Go on with an object that was begun earlier, perhaps by another process: no request is needed for that."""
        self._plan = plan

    def fetch(self, part: Part, sink: Callable[[memoryview], None]) -> int:
        """Fetch a part; what breaks off is continued at the byte it reached.

        Args:
            part: one of the plan.
            sink: appends the bytes, called in their order; each view is read-only, and stays valid. What it raises is
                passed on.

        Returns:
            CRC-32C of the part.

        Raises:
            ObjectChanged: the object must be begun again.
            TransferError: the part did not arrive within the attempts allowed.
        """
        if self._plan is None:
            raise ValueError("fetch needs a plan: begin or resume first")
        done, failures = _Progress(part), 0
        while True:
            before = done.at
            try:
                answer = self._open_at(self._plan, part, done.at)
                try:
                    done.read(answer, sink)
                finally:
                    answer.close()
            except Fault as fault:
                if fault.changed:
                    raise self._begin_again(fault.reason) from None
                if not self._plan.ranged and not self._pool.closed:
                    reason = f"{fault.reason} at byte {done.at}, and cannot be continued"
                    raise self._begin_again(reason, fault.retry_after_s) from None
                failures = 1 if done.at - before >= _PROGRESS_BYTES else failures + 1
                self._give_up_or_pause(fault, failures, done.at)
            else:
                return done.crc32c

    def distrust(self, reason: str) -> ObjectChanged:
        """What to raise when the whole turned out not to be what the server announced."""
        return self._begin_again(reason)

    def close(self) -> None:
        """Drop the first answer, when nobody read it; for whoever may stop between `begin` and `fetch`."""
        first, self._first = self._first, None
        if first is not None:
            first.close()

    def _open_at(self, plan: Plan, part: Part, at: int) -> Answer:
        if part.index == 0 and self._first is not None:
            first, self._first = self._first, None
            return first
        if part.stop is None or plan.etag is None or not plan.ranged:
            raise Fault("the object can only be read once", changed=True)
        answer = self._request({"Range": f"bytes={at}-{part.stop - 1}", "If-Match": plan.etag})
        try:
            check_continuation(plan, answer.status, answer.headers, at, part.stop)
        except BaseException:
            answer.close()
            raise
        return answer

    def _request(self, headers: Mapping[str, str]) -> Answer:
        url = self._fresh_url()
        answer = self._pool.open(url, headers)
        if answer.status in {400, 401, 403}:
            with self._signing:
                if self._url == url:
                    self._signed_at = float("-inf")
        return answer

    def _fresh_url(self) -> str:
        """A URL that is young enough; signed once for all threads that need it."""
        with self._signing:
            if not self._url or uptime_s() - self._signed_at > _URL_LIVES_S:
                self._url = self._sign()
                self._signed_at = uptime_s()
                self.signings += 1
            return self._url

    def _give_up_or_pause(self, fault: Fault, failures: int, at: int | None = None) -> None:
        reason = fault.reason if at is None else f"{fault.reason} at byte {at}"
        if fault.final or failures >= self._patience.attempts or self._pool.closed:
            raise self._failed(reason, failures) from None
        self._sleep(self._patience.pause_s(failures, fault.retry_after_s))

    def _begin_again(self, reason: str, retry_after_s: float | None = None) -> ObjectChanged:
        self._why = reason
        if self._starts < self._patience.attempts:
            self._sleep(self._patience.pause_s(max(1, self._starts), retry_after_s))
        return ObjectChanged(f"{self.address}: {reason}. It is fetched from its beginning.")

    def _failed(self, reason: str, attempts: int) -> TransferError:
        tries = f" after {attempts} attempts in a row" if attempts > 1 else ""
        return TransferError(f"{self.address}: {reason}{tries}. Nothing was published; run again to fetch it anew.")


class _Progress:
    """How far into a part its bytes have come, and their CRC-32C."""

    def __init__(self, part: Part) -> None:
        self.at, self._stop = part.start, part.stop
        self.crc32c = 0

    def read(self, answer: Answer, sink: Callable[[memoryview], None]) -> None:
        """Hand on what an answer brings, up to the end of the part.

        Raises:
            Fault: it brings less, or more.
        """
        while block := answer.read():
            # Without a Content-Length, nothing else keeps a body out of the part that comes next.
            if self._stop is not None and self.at + len(block) > self._stop:
                raise Fault("the body is longer than announced")
            sink(memoryview(block))
            self.crc32c = google_crc32c.extend(self.crc32c, block)
            self.at += len(block)
        if self._stop is not None and self.at < self._stop:
            raise Fault("the body ended early")
