"""A proxy on loopback that passes everything on to a sandbox and writes down what was asked."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Asked:
    """One request.

    Attributes:
        method: of it.
        path: without query.
        query: names and values, sorted.
        body: JSON; None for none or another kind.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: Any


class Recorder:
    """What was asked, in this order, and where to ask."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []


@contextmanager
def recording(upstream: str) -> Iterator[Recorder]:
    """Record what is asked of a server as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True
        protocol_version = "HTTP/1.1"
        timeout = 60

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            recorder.asked.append(_asked(self.command, self.path, body))
            connection = http.client.HTTPConnection(urlsplit(upstream).netloc, timeout=60)
            try:
                # The name by which the client knows the server: links lead back here.
                connection.request(self.command, self.path, body=body or None, headers=dict(self.headers))
                answer = connection.getresponse()
                data = answer.read()
            finally:
                connection.close()
            self.send_response(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else len(data)
            self.send_header("Content-Length", str(length or 0))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815 - as the base class wants

        def log_message(self, *_: object) -> None:
            """Nothing to tell."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        recorder = Recorder(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield recorder
        finally:
            server.shutdown()
            thread.join()


def _asked(method: str, target: str, body: bytes) -> Asked:
    parts = urlsplit(target)
    try:
        document = json.loads(body) if body else None
    except ValueError:
        document = None
    return Asked(method, parts.path, tuple(sorted(parse_qsl(parts.query))), document)
