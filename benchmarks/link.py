"""A slow link, in user space: `python -m benchmarks.link HOST:PORT` prints its own address and forwards to that one.

Every connection, in both directions, behaves like TCP over a path with 40 ms of round trip and a limit of 20 MB/s for
one connection: it starts with a window of 14.6 kB (ten segments, RFC 6928), which doubles with every round trip in
which it was used, until it fills the limit. What starts after a pause arrives a round trip later; the first bytes of a
connection two, because a handshake goes before. There is no loss and no limit that connections share, and the window is
kept while a connection rests (within its retransmission time-out, Linux keeps it as well).

Bytes go from socket to pipe to socket inside the kernel (splice), so that the link takes little of the CPU that the
clients are measured on. Linux only.
"""

from __future__ import annotations

import argparse
import fcntl
import heapq
import itertools
import os
import select
import socket
import sys
import time
from dataclasses import dataclass, field

ROUND_TRIP_S = 0.040
BYTES_PER_S = 20_000_000
FIRST_WINDOW = 14_600
# Bytes are let through this often; shorter is smoother and costs more.
TICK_S = 0.004
_READABLE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT
_PIPE_BYTES = 1 << 20


@dataclass(slots=True, kw_only=True, eq=False)
class Direction:
    """Bytes from one socket to another, as fast as the window lets them through.

    Attributes:
        delay_s: between the arrival of bytes after a pause and their departure.
        held: bytes in the pipe.
        tokens: bytes that may pass now.
        used: bytes passed since the window grew last.
        awake: whether bytes are flowing; otherwise epoll watches the source.
    """

    source: socket.socket
    sink: socket.socket
    delay_s: float
    extra_delay_s: float
    pipe: tuple[int, int]
    window: float = FIRST_WINDOW
    tokens: float = 0.0
    held: int = 0
    used: float = 0.0
    filled_at: float = 0.0
    grown_at: float = 0.0
    awake: bool = False
    over: bool = False
    back: Direction | None = field(default=None, repr=False)

    def wake(self, now: float) -> float:
        """Bytes came after a pause: when they may leave."""
        starts = now + self.delay_s + self.extra_delay_s
        self.extra_delay_s, self.awake, self.tokens = 0.0, True, 0.0
        self.filled_at = self.grown_at = starts
        self.used = 0.0
        return starts

    def refill(self, now: float) -> None:
        """Tokens for the time that passed; the window grows once per round trip if it was used."""
        rate = self.window / ROUND_TRIP_S
        self.tokens = min(self.tokens + rate * (now - self.filled_at), rate * 4 * TICK_S + 1460)
        self.filled_at = now
        if now - self.grown_at >= ROUND_TRIP_S:
            if self.used >= self.window / 2:
                self.window = min(self.window * 2, BYTES_PER_S * ROUND_TRIP_S)
            self.grown_at, self.used = now, 0.0


class Link:
    """All connections of one listening socket, in one thread."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._by_source: dict[int, Direction] = {}
        self._due: list[tuple[float, int, Direction]] = []
        self._order = itertools.count()

    @property
    def address(self) -> str:
        """HOST:PORT to connect to."""
        return "{}:{}".format(*self._listener.getsockname())

    def serve(self) -> None:
        """Forward until the process is ended."""
        while True:
            wait_s = max(0.0, self._due[0][0] - time.monotonic()) if self._due else -1
            for descriptor, _ in self._epoll.poll(wait_s):
                if descriptor == self._listener.fileno():
                    self._accept()
                elif direction := self._by_source.get(descriptor):
                    self._schedule(direction, direction.wake(time.monotonic()))
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                self._move(heapq.heappop(self._due)[2], now)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(self._target)
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.setblocking(False)
        # The whole round trip is on the way up, where requests wait for it; the answer then follows at once.
        up = Direction(source=near, sink=far, delay_s=ROUND_TRIP_S, extra_delay_s=ROUND_TRIP_S, pipe=_pipe())
        down = Direction(source=far, sink=near, delay_s=0.0, extra_delay_s=0.0, pipe=_pipe())
        up.back, down.back = down, up
        for direction in (up, down):
            self._by_source[direction.source.fileno()] = direction
            self._epoll.register(direction.source.fileno(), _READABLE)

    def _move(self, direction: Direction, now: float) -> None:
        """Let through what the window allows, then come back after a tick, or when there is something again."""
        if direction.over:
            return
        direction.refill(now)
        try:
            state = _pass_on(direction)
        except OSError:  # one side is gone: so is the other
            self._close(direction)
            return
        if state == "ended":
            self._end(direction)
        elif state == "empty":
            direction.awake = False
            self._epoll.modify(direction.source.fileno(), _READABLE)
        else:
            self._schedule(direction, now + TICK_S)

    def _schedule(self, direction: Direction, when: float) -> None:
        heapq.heappush(self._due, (when, next(self._order), direction))

    def _end(self, direction: Direction) -> None:
        direction.over = True
        try:
            direction.sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(direction)
            return
        if direction.back is not None and direction.back.over:
            self._close(direction)

    def _close(self, direction: Direction) -> None:
        for one in (direction, direction.back):
            if one is None or one.source.fileno() < 0:
                continue
            one.over = True
            del self._by_source[one.source.fileno()]
            self._epoll.unregister(one.source.fileno())
            one.source.close()
            os.close(one.pipe[0])
            os.close(one.pipe[1])


def _pass_on(direction: Direction) -> str:
    """Move bytes while the window allows it: "ended", "empty" (nothing to move now) or "more"."""
    out, into = direction.pipe
    while True:
        if direction.held:
            try:
                passed = os.splice(out, direction.sink.fileno(), direction.held, flags=os.SPLICE_F_NONBLOCK)
            except BlockingIOError:  # the receiver is slow
                return "more"
            direction.held -= passed
            continue
        allowed = int(direction.tokens)
        if allowed < 1:
            return "more"
        try:
            taken = os.splice(direction.source.fileno(), into, min(allowed, _PIPE_BYTES), flags=os.SPLICE_F_NONBLOCK)
        except BlockingIOError:
            return "empty"
        if taken == 0:
            return "ended"
        direction.held += taken
        direction.tokens -= taken
        direction.used += taken


def _pipe() -> tuple[int, int]:
    out, into = os.pipe2(os.O_NONBLOCK)
    fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return out, into


def main() -> None:
    """Print the address, then forward."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", help="HOST:PORT")
    host, _, port = parser.parse_args().target.rpartition(":")
    link = Link((host, int(port)))
    sys.stdout.write(f"{link.address}\n")
    sys.stdout.flush()
    link.serve()


if __name__ == "__main__":
    main()
