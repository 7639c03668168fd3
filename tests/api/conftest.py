"""A scripted HTTP server: answers what a test queued, and remembers what it was asked."""

import json
import socketserver
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import pytest

from up42_pipelines.api import Credentials, Hosts, Patience, Transport
from up42_pipelines.api.auth import TOKEN_PATH

IMPATIENT = Patience(connect_s=2, read_s=0.5, retries=3, backoff_s=0.01, longest_pause_s=0.05)


@dataclass
class Script:
    """Answers by path, first in first out; the last one is repeated. An answer is (status, body, headers) or a word."""

    answers: dict[str, list] = field(default_factory=dict)
    asked: list = field(default_factory=list)
    tokens_issued: int = 0
    token_lifetime_s: float = 300
    url: str = ""

    def on(self, path: str, *answers):
        self.answers[path] = list(answers)

    def next(self, path: str):
        queue = self.answers.get(path) or [(404, {"title": f"no answer scripted for {path}", "status": 404}, {})]
        return queue.pop(0) if len(queue) > 1 else queue[0]

    def requests(self, path: str) -> list:
        return [one for one in self.asked if one["path"] == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Silence."""

    def _serve(self):
        script: Script = self.server.script
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        script.asked.append(
            {"method": self.command, "path": path, "query": query, "headers": dict(self.headers), "body": body}
        )
        if path == TOKEN_PATH and path not in script.answers:
            script.tokens_issued += 1
            answer = (200, {"access_token": f"token-{script.tokens_issued}", "expires_in": script.token_lifetime_s}, {})
        else:
            answer = script.next(path)
        if answer == "drop":
            self.close_connection = True
            self.connection.close()
            return
        if answer == "hang":
            time.sleep(1)
            self.close_connection = True
            return
        status, payload, headers = answer
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, *_):
        """A client that went away is part of the tests."""


@pytest.fixture
def script():
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.script = Script(url=f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server.script
        server.shutdown()
        thread.join()


@pytest.fixture
def make_transport(script):
    made = []

    def make(**options):
        options.setdefault("patience", IMPATIENT)
        transport = Transport(
            Hosts.of(api_url=script.url), Credentials(username="me@example.com", password="geheim"), **options
        )
        made.append(transport)
        return transport

    yield make
    for transport in made:
        transport.close()


@pytest.fixture
def transport(make_transport):
    return make_transport()
