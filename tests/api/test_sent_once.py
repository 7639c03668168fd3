"""What spends leaves in time or not at all, and the network's ways of losing it do not send it again."""

import re
import select
import socket
import struct
import threading

import pytest
import requests
from shapely.geometry import box

from up42_pipelines.api import Credentials, Hosts, Patience, Transport
from up42_pipelines.api.auth import TOKEN_PATH
from up42_pipelines.errors import AnswerLost, TooLate, Unreachable
from up42_pipelines.uptime import uptime_s

AREA = box(12.48, 41.88, 12.49, 41.89)
OK = (200, {"fine": True}, {})
PROCESS = "true-color-conversion"


@pytest.fixture(scope="module")
def buyer(paused):
    """Another client, which has its token."""
    buyer = paused.client()
    yield buyer
    buyer.transport.close()


@pytest.fixture(scope="module")
def order(buyer, scenes_at, order_input):
    return order_input(buyer, AREA, scene=scenes_at(buyer, AREA)[0])


@pytest.fixture(scope="module")
def inputs(buyer, order, steer, wait_for):
    steer("fates", kind="order", fate="fulfilled")
    order_id = buyer.orders.place(order).results[0].id
    steer("clock", advance=1000)
    [item] = wait_for(lambda: list(buyer.storage.items_of_order(order_id)))
    return {"title": "not after", "item": item.self_href}


class TestNotAfter:
    """The clock of these transports shows how many tokens were issued."""

    @pytest.fixture
    def transport(self, script, make_transport):
        script.on("/orders", OK)
        return make_transport(clock=lambda: float(script.tokens_issued))

    @pytest.mark.parametrize("not_after", [1, 1.5, 300, None])
    def test_in_time(self, script, transport, not_after):
        assert transport.json("POST", "/orders", json={}, once=True, not_after=not_after) == {"fine": True}
        assert len(script.requests("/orders")) == 1

    @pytest.mark.parametrize("not_after", [0.9, 0.0, -5])
    def test_too_late_once_the_token_is_there(self, script, transport, not_after):
        told = f"POST {script.url}/orders: not sent, because .* {1 - not_after:.1f} s after .* nothing was carried out"
        with pytest.raises(TooLate, match=told):
            transport.send("POST", "/orders", json={}, once=True, not_after=not_after)
        assert len(script.requests(TOKEN_PATH)) == 1
        assert script.requests("/orders") == []

    def test_the_next_try_can_be_in_time(self, transport):
        with pytest.raises(TooLate):
            transport.send("POST", "/orders", json={}, once=True, not_after=0)
        assert transport.json("POST", "/orders", json={}, once=True, not_after=1) == {"fine": True}

    @pytest.mark.parametrize(("not_after", "sent"), [(1, 1), (2, 2)])
    def test_looked_at_again_after_a_401(self, script, transport, not_after, sent):
        script.on("/orders", (401, {}, {}), OK)
        if sent == 1:
            with pytest.raises(TooLate):
                transport.send("POST", "/orders", json={}, once=True, not_after=not_after)
        else:
            transport.send("POST", "/orders", json={}, once=True, not_after=not_after)
        assert script.tokens_issued == 2
        assert len(script.requests("/orders")) == sent

    def test_says_that_nothing_was_carried_out(self):
        assert issubclass(TooLate, Unreachable)


class TestNotAfterAtTheSandbox:
    @pytest.fixture
    def client(self, paused):
        client = paused.client()
        yield client
        client.transport.close()

    @pytest.fixture
    def fail(self, paused):
        def fail(*faults):
            requests.post(f"{paused.url}/sandbox/faults", json={"faults": faults}, timeout=10).raise_for_status()

        yield fail
        requests.delete(f"{paused.url}/sandbox/faults", timeout=10).raise_for_status()

    @pytest.fixture(params=["order", "job"])
    def spend(self, request, paused, order, inputs):
        """`spend(client, not_after)` and how often it was carried out."""
        kind = request.param

        def spend(client, not_after):
            if kind == "order":
                return client.orders.place(order, not_after=not_after)
            return client.processing.execute(PROCESS, inputs, not_after=not_after)

        def times():
            return len(requests.get(f"{paused.url}/sandbox/ledger", timeout=10).json()[f"{kind}s"]) - before

        before = 0
        before = times()
        return spend, times

    def test_a_token_that_comes_too_late(self, client, fail, spend):
        spend, times = spend
        fail({"kind": "delay", "seconds": 0.3, "path": TOKEN_PATH})
        with pytest.raises(TooLate):
            spend(client, uptime_s() + 0.2)
        assert times() == 0
        spend(client, uptime_s() + 60)
        assert times() == 1

    def test_a_new_token_that_comes_in_time(self, client, fail, spend):
        spend, times = spend
        assert client.workspace_id
        fail({"kind": "unauthorized", "method": "POST"}, {"kind": "delay", "seconds": 0.1, "path": TOKEN_PATH})
        spend(client, uptime_s() + 60)
        assert times() == 1


class Unreliable:
    """A server on a bare socket that answers `good` requests and gives up on the next; counts what reaches it.

    Attributes:
        gives_up: `before reading`, `while reading`, `after reading`, `while answering`; or `on old connections`, which
            it forgets after one answer as a NAT gateway does: without a word until they are used again.
        requests: those that were read to their end.
        connections: how many were made.
    """

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

    def __init__(self, gives_up, good=0):
        self.gives_up, self.good, self.requests, self.connections = gives_up, good, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:  # closed by the fixture
                return
            self.connections += 1
            with connection:
                connection.settimeout(5)
                self._serve(connection)

    def _serve(self, connection):
        answered = 0
        while select.select([connection], [], [], 5)[0]:
            failing = answered > 0 if self.gives_up == "on old connections" else self.requests >= self.good
            if failing and self.gives_up in ("before reading", "on old connections"):
                return self._reset(connection)
            if failing and self.gives_up == "while reading":
                connection.recv(20)
                return self._reset(connection)
            request = self._read(connection)
            if not request:
                return None
            self.requests += 1
            if failing:
                return connection.sendall(self.ANSWER[:-1] if self.gives_up == "while answering" else b"")
            connection.sendall(self.ANSWER)
            answered += 1
        return None

    @staticmethod
    def _read(connection):
        request = b""
        while not (whole := re.match(rb"(?is).*\ncontent-length: (\d+).*?\r\n\r\n", request)) or (
            len(request) < whole.end() + int(whole[1])
        ):
            piece = connection.recv(65536)
            if not piece:
                return b""
            request += piece
        return request

    @staticmethod
    def _reset(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class TestNoLayerSendsItAgain:
    @pytest.fixture
    def unreliable(self, script):
        """`unreliable(gives_up, good)`: such a server, and a transport that gets its tokens elsewhere."""
        made = []

        def unreliable(*options):
            server = Unreliable(*options)
            hosts = Hosts.of(api_url=server.url, auth_url=script.url)
            patience = Patience(connect_s=2, read_s=5, retries=3, backoff_s=0.01)
            transport = Transport(hosts, Credentials(username="a", password="b"), patience=patience)
            made.append((server, transport))
            return server, transport

        yield unreliable
        for server, transport in made:
            transport.close()
            server.listener.shutdown(socket.SHUT_RDWR)
            server.listener.close()
            server.thread.join(5)

    @pytest.mark.parametrize("good", [0, 2])
    @pytest.mark.parametrize(
        ("gives_up", "read"),
        [("before reading", 0), ("while reading", 0), ("after reading", 1), ("while answering", 1)],
    )
    def test_after_a_connection_that_breaks(self, unreliable, gives_up, read, good):
        server, transport = unreliable(gives_up, good)
        for _ in range(good):
            transport.send("POST", "/orders", json={}, once=True)
        with pytest.raises(AnswerLost):
            transport.send("POST", "/orders", json={}, once=True)
        assert (server.requests, server.connections) == (good + read, good + 1)

    def test_nor_is_it_lost_on_a_connection_that_lay_idle(self, unreliable):
        server, transport = unreliable("on old connections")
        for number in range(1, 4):
            transport.send("POST", "/orders", json={}, once=True)
            assert (server.requests, server.connections) == (number, number)
