"""Connections that are reused, given up when they trickle, and cut when a transfer is closed."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests.utils
import urllib3
from urllib3.util.ssl_ import create_urllib3_context

from up42_pipelines.lake.transfer.patience import Patience
from up42_pipelines.lake.transfer.plan import Fault
from up42_pipelines.uptime import uptime_s

# Larger blocks save no CPU time over TLS, whose records are 16 KiB, and each connection holds one.
BLOCK_BYTES = 256 << 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 3
_MOST_HOSTS = 32


class Pool:
    """HTTP connections for many threads; used in a `with` block.

    Environment proxies and CA bundles count (`HTTPS_PROXY`, `NO_PROXY`, `REQUESTS_CA_BUNDLE`, ...). Nothing else is
    added to a request: no cookie, and no password of a .netrc, which must not meet a signed URL.
    """

    def __init__(self, connections: int, patience: Patience) -> None:
        self._connections, self._patience = connections, patience
        self._proxies: dict[str, str | None] = {}
        self._managers: dict[str | None, urllib3.PoolManager] = {}  # by proxy
        self._lock = threading.Lock()
        self._live: set[_Exchange] = set()
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
            answer = self._open(url, headers)
            if answer.status not in _REDIRECTS:
                return answer
            answer.close()
            target = urljoin(url, answer.headers.get("location", ""))
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
                raise Fault("the server redirects from https to something else", final=True)
            url = target
        raise Fault(f"the server redirects more than {_MOST_REDIRECTS} times", final=True)

    def _open(self, url: str, headers: Mapping[str, str]) -> Answer:
        exchange = _Exchange(uptime_s() + self._patience.block_s)
        with self._lock:
            if self.closed:
                raise Fault("the transfer was closed", final=True)
            self._live.add(exchange)
            if self._watchman is None:
                self._watchman = threading.Thread(target=self._watch, name="transfer-watch", daemon=True)
                self._watchman.start()
        try:
            _current.exchange = exchange
            with _told_as_fault():
                response = self._manager(url).request(
                    "GET",
                    url,
                    # Stored bytes are hashed and measured: nobody on the way may compress them.
                    headers={"Accept-Encoding": "identity", **headers},
                    timeout=urllib3.Timeout(connect=self._patience.connect_s, read=self._patience.silence_s),
                    preload_content=False,
                    retries=False,
                    redirect=False,
                )
        except BaseException:
            self._forget(exchange)
            raise
        finally:
            _current.exchange = None
        return Answer(response, exchange, self)

    def _manager(self, url: str) -> urllib3.PoolManager:
        with _told_as_fault():
            parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Fault("the signed URL is no http(s) URL", final=True)
        origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        with self._lock:
            # The environment is read once per host: finding the proxy takes as much CPU time as the request itself.
            if origin not in self._proxies:
                proxies = requests.utils.get_environ_proxies(origin, no_proxy=None)
                self._proxies[origin] = requests.utils.select_proxy(origin, proxies)
            proxy = self._proxies[origin]
            if proxy not in self._managers:
                self._managers[proxy] = _manager(proxy, self._connections)
            return self._managers[proxy]

    def _watch(self) -> None:
        while not self._closed.wait(min(1.0, self._patience.block_s / 10)):
            now = uptime_s()
            with self._lock:
                for exchange in self._live:
                    if exchange.deadline < now:
                        exchange.cut("the connection brought less than 256 KiB within the time allowed")

    def _forget(self, exchange: _Exchange) -> None:
        with self._lock:
            self._live.discard(exchange)
            exchange.connection = None  # another exchange may be on it by now

    def close(self) -> None:
        """Cut every connection: who reads from one gets a `Fault` at once."""
        with self._lock:
            self._closed.set()
            for exchange in self._live:
                exchange.cut("the transfer was closed")
        if self._watchman is not None:
            self._watchman.join()
        for manager in self._managers.values():
            manager.clear()

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
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, exchange: _Exchange, pool: Pool) -> None:
        self._response, self._exchange, self._pool = response, exchange, pool
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    def read(self) -> bytes:
        """The next bytes, at most 256 KiB; none at the end.

        Raises:
            Fault: the body broke off.
        """
        self._exchange.deadline = uptime_s() + self._pool._patience.block_s  # noqa: SLF001 - two halves of one thing
        try:
            with _told_as_fault():
                return self._response.read(BLOCK_BYTES, decode_content=False)
        except Fault as fault:
            raise Fault(self._exchange.reason or fault.reason) from None

    def close(self) -> None:
        """Give the connection back, or drop it when the body was not read to its end."""
        self._pool._forget(self._exchange)  # noqa: SLF001 - as above
        with suppress(OSError, urllib3.exceptions.HTTPError):
            if self._response.length_remaining == 0 and not self._exchange.reason:
                self._response.release_conn()
            else:
                self._response.close()


class _Exchange:
    """One request and its answer, as seen by the thread that may have to cut it."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.reason = ""
        self.connection: Any = None

    def cut(self, reason: str) -> None:
        self.reason = self.reason or reason
        connection = getattr(self.connection, "sock", None)
        if isinstance(connection, socket.socket):
            with suppress(OSError):
                # Not SSLSocket's own: that one takes the TLS layer away from under the thread that is reading.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


_current = threading.local()


class _Traced:
    """A connection that tells the exchange of its thread which socket it is on."""

    def connect(self) -> None:
        self._tell()
        super().connect()  # type: ignore[misc]

    def request(self, *arguments: Any, **options: Any) -> None:
        self._tell()
        super().request(*arguments, **options)  # type: ignore[misc]

    def _tell(self) -> None:
        exchange = getattr(_current, "exchange", None)
        if exchange is not None:
            exchange.connection = self


class _HttpConnection(_Traced, urllib3.connection.HTTPConnection):
    pass


class _HttpsConnection(_Traced, urllib3.connection.HTTPSConnection):
    pass


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


def _manager(proxy: str | None, connections: int) -> urllib3.PoolManager:
    context = _tls_context()
    manager: urllib3.PoolManager
    if proxy is None:
        manager = urllib3.PoolManager(num_pools=_MOST_HOSTS, maxsize=connections, ssl_context=context)
    else:
        with _told_as_fault():
            proxy = str(requests.utils.prepend_scheme_if_needed(proxy, "http"))  # type: ignore[no-untyped-call]
            user, password = requests.utils.get_auth_from_url(proxy)
            manager = urllib3.ProxyManager(
                proxy,
                proxy_headers=urllib3.make_headers(proxy_basic_auth=f"{user}:{password}") if user else None,
                num_pools=_MOST_HOSTS,
                maxsize=connections,
                ssl_context=context,
            )
    manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
    return manager


def _tls_context() -> ssl.SSLContext:
    """One for all connections: each that loads the bundle anew takes half a megabyte and some milliseconds."""
    context = create_urllib3_context()
    context.verify_mode = ssl.CERT_REQUIRED
    bundle = Path(
        os.environ.get("REQUESTS_CA_BUNDLE")
        or os.environ.get("CURL_CA_BUNDLE")
        or requests.utils.DEFAULT_CA_BUNDLE_PATH
    )
    try:
        context.load_verify_locations(**{"capath" if bundle.is_dir() else "cafile": str(bundle)})
    except OSError as error:
        raise Fault(f"the CA bundle {bundle} cannot be read ({type(error).__name__})", final=True) from None
    return context


@contextmanager
def _told_as_fault() -> Iterator[None]:
    """Exceptions of urllib3 carry the whole signed URL: only their class names leave this module."""
    try:
        yield
    except (urllib3.exceptions.LocationValueError, UnicodeError) as error:
        raise Fault(f"the signed URL is no http(s) URL ({type(error).__name__})", final=True) from None
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise Fault(f"the connection failed ({type(error).__name__})") from None
