"""A scripted HTTP server: answers what a test queued, and remembers what it was asked."""

import json
import socketserver
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl

import pytest
import requests
from shapely.geometry import box, mapping, shape

from up42_pipelines.api import Credentials, Hosts, OrderInput, Patience, Transport, Up42Client
from up42_pipelines.api.auth import TOKEN_PATH

IMPATIENT = Patience(connect_s=2, read_s=0.5, retries=3, backoff_s=0.01, longest_pause_s=0.05)


@dataclass
class Script:
    """Answers by path, first in first out; the last one is repeated.

    An answer is (status, body, headers), or how it fails: `drop` the connection, `hang` without an answer, `cut` or
    `cut chunks` in the middle of the body, `stall` in the middle of it.
    """

    answers: dict[str, list] = field(default_factory=dict)
    asked: list = field(default_factory=list)
    tokens_issued: int = 0
    token_lifetime_s: float = 300
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def on(self, path: str, *answers):
        self.answers[path] = list(answers)

    def next(self, path: str):
        queue = self.answers.get(path) or [(404, {"title": f"no answer scripted for {path}", "status": 404}, {})]
        return queue.pop(0) if len(queue) > 1 else queue[0]

    def requests(self, path: str) -> list:
        return [one for one in self.asked if one["path"] == path]

    def queries(self, path: str) -> list:
        """The query of each request, as sorted pairs."""
        return [sorted(parse_qsl(one["query"], keep_blank_values=True)) for one in self.requests(path)]

    def bodies(self, path: str) -> list:
        """The JSON body of each request, None where it has none."""
        return [json.loads(one["body"]) if one["body"] else None for one in self.requests(path)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two packets, and the second would wait for 40 ms

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
            script.over.wait(30)
            self.close_connection = True
            return
        if answer in ("cut", "cut chunks", "stall"):
            self._break_off(answer)
            return
        status, payload, headers = answer
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _break_off(self, how):
        """Promise 100 bytes and send a few."""
        chunked = how == "cut chunks"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "100")))
        self.end_headers()
        self.wfile.write(b'64\r\n{"fine"' if chunked else b'{"fine"')
        self.wfile.flush()
        if how == "stall":
            self.server.script.over.wait(30)
        self.close_connection = True

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815


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
        server.script.over.set()
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


@pytest.fixture(scope="session")
def order_input():
    """`order_input(client, *areas, scene=..., **changes)`: what could be ordered at a sandbox."""

    def order_input(client, *areas, scene, collection="sandbox-optical", product="analytic", name="test", **changes):
        options = {
            "data_product": client.catalog.collection(collection).data_product(product).id,
            "display_name": name,
            "params": {"id": scene},
            "feature_collection": {
                "type": "FeatureCollection",
                "features": [{"type": "Feature", "properties": {}, "geometry": mapping(area)} for area in areas],
            },
        }
        return OrderInput(**{**options, **changes})

    return order_input


@pytest.fixture(scope="session")
def scenes_at():
    """`scenes_at(client, area)`: scenes of spring 2026 that cover an area, newest first."""

    def scenes_at(client, area):
        found = client.catalog.search(
            "sandbox-host",
            collections=["sandbox-optical"],
            intersects=mapping(area),
            start=datetime(2026, 3, 1, tzinfo=UTC),
            end=datetime(2026, 5, 31, tzinfo=UTC),
        )
        return [scene.id for scene in found if shape(scene.geometry).covers(area)]

    return scenes_at


@pytest.fixture(scope="module")
def paused(start_sandbox):
    """A sandbox of the module's own, at real speed: nothing to speak of happens until `steer` lets time pass."""
    return start_sandbox("--speed", "1")


@pytest.fixture(scope="module")
def steer(paused):
    """`steer("clock", advance=60)`: one of the calls with which a test controls the paused sandbox."""

    def steer(what, **body):
        requests.post(f"{paused.url}/sandbox/{what}", json=body, timeout=10).raise_for_status()

    return steer


@dataclass
class Delivered:
    """A sandbox with deliveries: order `whole` came in one part, order `parts` in two."""

    client: Up42Client
    whole: str
    parts: str

    @property
    def ids(self) -> list[str]:
        return [self.whole, self.parts]


@pytest.fixture(scope="module")
def delivered(start_sandbox, scenes_at, order_input, wait_for):
    """Of the module's own, so that it may be changed and deleted."""
    sandbox, area = start_sandbox("--speed", "5000"), box(4.35, 50.84, 4.355, 50.845)
    client = sandbox.client()
    first, second = scenes_at(client, area)[:2]
    ids = []
    for fate, scene, tag in (("fulfilled", first, "whole"), ("in_parts", second, "parts")):
        body = {"kind": "order", "fate": fate}
        requests.post(f"{sandbox.url}/sandbox/fates", json=body, timeout=10).raise_for_status()
        order = order_input(client, area, scene=scene, name=tag, tags=("delivered", tag))
        ids.append(client.orders.place(order).results[0].id)
    for order_id, count in zip(ids, (1, 2), strict=True):
        wait_for(lambda order_id=order_id, count=count: len(client.storage.items_of_order(order_id)) == count)
    yield Delivered(client, *ids)
    client.transport.close()
