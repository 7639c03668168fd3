"""Connections that are reused, given up when they trickle, and cut when a transfer is closed."""

from __future__ import annotations

import base64
import io
import os
import select
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import SplitResult, urljoin, urlsplit

import requests.utils

from up42_pipelines.lake.transfer.patience import Patience
from up42_pipelines.lake.transfer.plan import Fault
from up42_pipelines.uptime import uptime_s

# Larger blocks save no CPU time over TLS, whose records are 16 KiB, and each connection holds one.
BLOCK_BYTES = 256 << 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 3


class _TlsSocket(ssl.SSLSocket):
    """Its answers are read by its own `read`: three layers of Python less per record of 16 KiB, 8 % of the CPU time."""

    def makefile(self, *_: Any, **__: Any) -> Any:
        """What `http.client` reads an answer from."""
        stream = super().makefile("rb", buffering=0)
        stream.readinto = partial(self.read, BLOCK_BYTES)  # type: ignore[method-assign,assignment]
        return io.BufferedReader(stream)


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int


class Pool:
    """HTTP connections for many threads; used in a `with` block.

    It stands on `http.client`: urllib3 takes the same CPU time, but writes signed URLs into its log, and hides the
    socket of an answer that does not come. Environment proxies and CA bundles count (`HTTPS_PROXY`, `NO_PROXY`,
    `REQUESTS_CA_BUNDLE`, ...). Nothing else is added to a request: no cookie, and no password of a .netrc, which must
    not meet a signed URL.
    """

    def __init__(self, patience: Patience | None = None) -> None:
        self.patience = patience or Patience()
        self._lock = threading.Lock()
        self._free: defaultdict[_Origin, list[HTTPConnection]] = defaultdict(list)
        self._proxies: dict[_Origin, SplitResult | None] = {}
        self._live: set[Answer] = set()
        self._closed = threading.Event()
        self._watchman: threading.Thread | None = None

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the end of the pool."""
        self._closed.wait(seconds)

    def open(self, url: str, headers: Mapping[str, str]) -> Answer:
        """Ask for a URL; the caller closes the answer.

        Raises:
            Fault: there is no answer.
        """
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._ask(url, headers)
            if answer.status not in _REDIRECTS:
                return answer
            answer.close()
            target = urljoin(url, answer.headers.get("location", ""))
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
                raise Fault("the server redirects from https to something else", final=True)
            url = target
        raise Fault(f"the server redirects more than {_MOST_REDIRECTS} times", final=True)

    def _ask(self, url: str, headers: Mapping[str, str]) -> Answer:
        with _told_as_fault():
            parts = urlsplit(requests.utils.requote_uri(url))
            port = parts.port or (443 if parts.scheme == "https" else 80)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Fault("the signed URL is no http(s) URL", final=True)
        origin = _Origin(parts.scheme, parts.hostname, port)
        proxy = self._proxy(origin)
        target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        if proxy is not None and parts.scheme == "http":
            headers = {**_proxy_authorization(proxy), **headers}
            target = f"http://{parts.netloc.rpartition('@')[2]}{target}"
        answer = Answer(self, origin, self._free_connection(origin) or self._new_connection(origin, proxy))
        try:
            self._look_after(answer)
            answer.begin(target, headers)
        except BaseException:
            answer.close()
            raise
        return answer

    def _look_after(self, answer: Answer) -> None:
        with self._lock:
            if self.closed:
                raise Fault("the transfer was closed", final=True)
            self._live.add(answer)
            if self._watchman is None:
                self._watchman = threading.Thread(target=self._watch, name="transfer-watch", daemon=True)
                self._watchman.start()

    def _free_connection(self, origin: _Origin) -> HTTPConnection | None:
        while True:
            with self._lock:
                if not self._free[origin]:
                    return None
                connection = self._free[origin].pop()
            poll = select.poll()
            poll.register(connection.sock, select.POLLIN)
            if not poll.poll(0):
                return connection
            connection.close()  # between requests, only an end can be there to be read

    def _new_connection(self, origin: _Origin, proxy: SplitResult | None) -> HTTPConnection:
        host, port = (origin.host, origin.port) if proxy is None else (proxy.hostname or "", proxy.port or 80)
        if origin.scheme == "http":
            return HTTPConnection(host, port, timeout=self.patience.connect_s)
        connection = HTTPSConnection(host, port, timeout=self.patience.connect_s, context=self._tls)
        if proxy is not None:
            connection.set_tunnel(origin.host, origin.port, headers=_proxy_authorization(proxy))
        return connection

    def _proxy(self, origin: _Origin) -> SplitResult | None:
        with self._lock:
            # The environment is read once per host: finding the proxy takes as much CPU time as the request itself.
            if origin not in self._proxies:
                url = f"{origin.scheme}://{f'[{origin.host}]' if ':' in origin.host else origin.host}:{origin.port}/"
                proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url, no_proxy=None))
                self._proxies[origin] = _read_proxy(proxy) if proxy else None
            return self._proxies[origin]

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """One for all connections: each that loads the bundle anew takes half a megabyte and some milliseconds."""
        bundle = Path(
            os.environ.get("REQUESTS_CA_BUNDLE")
            or os.environ.get("CURL_CA_BUNDLE")
            or requests.utils.DEFAULT_CA_BUNDLE_PATH
        )
        try:
            folder = bundle.is_dir()
            context = ssl.create_default_context(
                capath=str(bundle) if folder else None, cafile=None if folder else str(bundle)
            )
        except OSError as error:
            raise Fault(f"the CA bundle {bundle} cannot be read ({type(error).__name__})", final=True) from None
        context.set_alpn_protocols(["http/1.1"])
        context.sslsocket_class = _TlsSocket
        return context

    def _watch(self) -> None:
        while not self._closed.wait(min(1.0, self.patience.block_s / 10)):
            now = uptime_s()
            with self._lock:
                for answer in self._live:
                    if answer.deadline < now:
                        answer.cut("the connection brought less than 256 KiB within the time allowed")

    def take_back(self, answer: Answer, connection: HTTPConnection, origin: _Origin, *, reusable: bool) -> None:
        """An answer is over; its connection is kept when nothing of it is left to be read."""
        with self._lock:
            self._live.discard(answer)
            if reusable and not self.closed:
                self._free[origin].append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Cut every connection: who reads from one gets a `Fault` at once."""
        with self._lock:
            self._closed.set()
            for answer in self._live:
                answer.cut("the transfer was closed")
            free = [connection for connections in self._free.values() for connection in connections]
            self._free.clear()
        for connection in free:
            connection.close()
        if self._watchman is not None:
            self._watchman.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Answer:
    """An answer whose body is still to be read.

    Attributes:
        status: HTTP status code.
        headers: by lower-case name.
        deadline: of `uptime_s`, for what comes next.
    """

    status: int
    headers: Mapping[str, str]

    def __init__(self, pool: Pool, origin: _Origin, connection: HTTPConnection) -> None:
        self._pool, self._origin, self._connection = pool, origin, connection
        self._response: HTTPResponse | None = None
        self._socket: socket.socket | None = None
        self._cut_because = ""
        self.deadline = uptime_s() + pool.patience.block_s

    def begin(self, target: str, headers: Mapping[str, str]) -> None:
        """Send the request, and read status and headers.

        Raises:
            Fault: there is no answer.
        """
        with self._told():
            connection = self._connection
            if connection.sock is None:
                connection.connect()
            self._socket = connection.sock
            self._socket.settimeout(self._pool.patience.silence_s)
            if self._cut_because:  # before there was a socket to cut
                raise Fault(self._cut_because)
            # Stored bytes are hashed and measured: nobody on the way may compress them.
            identity = {"Accept-Encoding": "identity", "User-Agent": "up42-pipelines"}
            connection.request("GET", target, headers={**identity, **headers})
            self._response = connection.getresponse()
        self.status = self._response.status
        self.headers = _merged(self._response.getheaders())

    def read(self) -> bytes:
        """The next bytes, at most 256 KiB; none at the end, be it reached or broken off.

        Raises:
            Fault: the body broke off.
        """
        self.deadline = uptime_s() + self._pool.patience.block_s
        with self._told():
            block = self._response.read(BLOCK_BYTES) if self._response else b""
        if not block and self._cut_because:
            raise Fault(self._cut_because)
        return block

    def close(self) -> None:
        """Give the connection back, or drop it when the body was not read to its end."""
        response = self._response
        if response is not None and self.status not in {200, 206} and (response.length or 0) <= BLOCK_BYTES:
            with suppress(Fault):
                self.read()  # the words of an error are few, and a new connection takes longer
        # `http.client` closes an answer that it has read to its announced end; and the connection with it, when the
        # server does not want to keep it.
        whole = response is not None and response.isclosed() and not response.will_close
        reusable = whole and not self._cut_because and self._connection.sock is not None
        if response is not None:
            with suppress(OSError):
                response.close()
        self._pool.take_back(self, self._connection, self._origin, reusable=reusable)

    def cut(self, reason: str) -> None:
        """Make the thread return that waits for this answer."""
        self._cut_because = self._cut_because or reason
        connected: socket.socket | None = self._socket or self._connection.sock
        if connected is not None:
            with suppress(OSError):
                # Not SSLSocket's own: that one takes the TLS layer away from under the thread that is reading.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            with _told_as_fault():
                yield
        except Fault as fault:
            raise Fault(self._cut_because or fault.reason, final=fault.final) from None


def _merged(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """By lower-case name; lines of the same name are one list (RFC 9110, section 5.3), as GCS sends its checksums."""
    merged: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        merged[key] = f"{merged[key]}, {value}" if key in merged else value
    return merged


def _read_proxy(url: str) -> SplitResult:
    with _told_as_fault():
        proxy = urlsplit(url if "://" in url else f"http://{url}")
        port = proxy.port
    if proxy.scheme != "http" or not proxy.hostname:
        raise Fault(f"a proxy of the environment ({proxy.scheme}://, port {port}) is no http:// proxy", final=True)
    return proxy


def _proxy_authorization(proxy: SplitResult) -> dict[str, str]:
    user, password = requests.utils.get_auth_from_url(proxy.geturl())
    if not user:
        return {}
    return {"Proxy-Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


@contextmanager
def _told_as_fault() -> Iterator[None]:
    """Exceptions can carry the whole signed URL: only their class names leave this module."""
    try:
        yield
    except (OSError, HTTPException) as error:
        raise Fault(f"the connection failed ({type(error).__name__})") from None
    except ValueError as error:
        raise Fault(f"the signed URL is no http(s) URL ({type(error).__name__})", final=True) from None
