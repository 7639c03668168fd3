"""One client for many threads, many clients in one process."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from shapely.geometry import box, mapping

from up42_pipelines.api import Credentials, Hosts, OrderInput, Patience, Up42Client
from up42_pipelines.api.auth import TOKEN_PATH, USERINFO_PATH
from up42_pipelines.errors import UnexpectedAnswer, WrongCredentials

AREA = box(16.37, 48.20, 16.38, 48.21)
EMPTY = (200, {"content": [], "totalPages": 0}, {})


@pytest.fixture
def make_client():
    made = []

    def make(url, *, username="me@example.com", password="geheim", **options):
        patience = Patience(connect_s=2, read_s=5, retries=0)
        credentials = Credentials(username=username, password=password)
        made.append(Up42Client(credentials, Hosts.of(api_url=url), patience=patience, **options))
        return made[-1]

    yield make
    for client in made:
        client.transport.close()


def some_order(client, tag) -> OrderInput:
    scene = next(
        client.catalog.search(
            "sandbox-host",
            collections=["sandbox-optical"],
            intersects=mapping(AREA),
            start=datetime(2026, 5, 1, tzinfo=UTC),
            end=datetime(2026, 5, 31, tzinfo=UTC),
        )
    )
    feature = {"type": "Feature", "properties": {}, "geometry": mapping(AREA)}
    return OrderInput(
        data_product=client.catalog.collection("sandbox-optical").data_product("display").id,
        display_name=tag,
        params={"id": scene.id},
        feature_collection={"type": "FeatureCollection", "features": [feature]},
        tags=(tag,),
    )


class TestThreads:
    def test_share_a_client(self, slow_sandbox):
        client = slow_sandbox.client()
        barrier = threading.Barrier(8)

        def work(number):
            barrier.wait()
            tag = f"thread {number}"
            order_id = client.orders.place(some_order(client, tag)).results[0].id
            [listed] = client.orders.list(tags=[tag])
            assert listed.id == order_id == client.orders.get(order_id).id
            assert client.storage.items_of_order(order_id) == []
            return order_id

        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(work, range(8)))
        client.transport.close()
        tagged = {
            one["tags"][0]: one["id"] for one in slow_sandbox.ledger() if (one["tags"] or [""])[0][:7] == "thread "
        }
        assert tagged == {f"thread {number}": order_id for number, order_id in enumerate(ids)}

    def test_ask_for_the_workspace_once(self, script, make_client):
        script.on(USERINFO_PATH, (200, {"sub": "w-1"}, {}))
        client, barrier = make_client(script.url), threading.Barrier(8)

        def ask(_):
            barrier.wait()
            return client.workspace_id

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(ask, range(8))) == {"w-1"}
        assert len(script.requests(USERINFO_PATH)) == 1
        assert script.tokens_issued == 1


class TestSideBySide:
    def test_two_hosts(self, sandbox, slow_sandbox):
        fast, slow = sandbox.client(), slow_sandbox.client()
        order_id = slow.orders.place(some_order(slow, "only here")).results[0].id
        assert [order.id for order in slow.orders.list(tags=["only here"])] == [order_id]
        assert list(fast.orders.list(tags=["only here"])) == []
        assert fast.storage.stac.self_href != slow.storage.stac.self_href
        for client, url in ((fast, sandbox.url), (slow, slow_sandbox.url)):
            assert client.storage.stac.self_href.startswith(url)
            client.transport.close()

    def test_two_accounts_on_one_host(self, script, make_client):
        script.on("/v2/orders", EMPTY)
        script.on(
            TOKEN_PATH, *[(200, {"access_token": f"of-{name}", "expires_in": 300}, {}) for name in ("one", "two")]
        )
        one = make_client(script.url, username="one@example.com", workspace_id="w-1")
        two = make_client(script.url, username="two@example.com", workspace_id="w-2")
        for client in (one, two, one, two):
            assert list(client.orders.list()) == []
        asked = script.requests("/v2/orders")
        assert [request["headers"]["Authorization"] for request in asked] == ["Bearer of-one", "Bearer of-two"] * 2
        assert [request["query"].split("&")[0] for request in asked] == ["workspaceId=w-1", "workspaceId=w-2"] * 2
        users = [request["body"].decode() for request in script.requests(TOKEN_PATH)]
        assert ["one%40" in users[0], "two%40" in users[1], len(users)] == [True, True, 2]

    def test_a_refused_one_disturbs_nobody(self, slow_sandbox, make_client):
        good = slow_sandbox.client()
        with pytest.raises(WrongCredentials, match="Invalid user credentials"):
            _ = make_client(slow_sandbox.url, username="sandbox@example.com", password="wrong").workspace_id
        assert good.workspace_id
        good.transport.close()


class TestParts:
    PARTS = ("account", "catalog", "orders", "tasking", "storage", "processing", "webhooks")

    def test_share_transport_and_workspace(self, script, make_client):
        script.on(USERINFO_PATH, (200, {"sub": "w-1"}, {}))
        client = make_client(script.url)
        for path in ("/v2/orders", "/v2/tasking/quotation", "/v2/assets"):
            script.on(path, EMPTY)
        script.on("/v2/processing/jobs", (200, {"jobs": []}, {}))
        script.on("/workspaces/w-1/webhooks", (200, {"data": [], "error": None}, {}))
        listings = (client.orders.list, client.tasking.quotations, client.storage.assets.list, client.processing.jobs)
        assert [list(listing()) for listing in (*listings, client.webhooks.list)] == [[]] * 5
        asked = [
            dict(query)
            for path in ("/v2/orders", "/v2/tasking/quotation", "/v2/assets")
            for query in script.queries(path)
        ]
        assert [query["workspaceId"] for query in asked] == ["w-1"] * 3
        assert len(script.requests(USERINFO_PATH)) == script.tokens_issued == 1

    def test_tell_no_secret(self, script, make_client):
        client = make_client(script.url)
        shown = [repr(getattr(client, part)) for part in self.PARTS] + [repr(client), repr(vars(client))]
        assert not any("geheim" in text or "me@example.com" in text for text in shown)
        assert all(len(text) < 200 for text in shown[:-1])
        assert script.asked == []


class TestWorkspace:
    def test_of_the_user(self, slow_sandbox):
        client = slow_sandbox.client()
        order_id = client.orders.place(some_order(client, "whose")).results[0].id
        assert client.orders.get(order_id).workspace_id == client.workspace_id
        client.transport.close()

    def test_given(self, script, make_client):
        client = make_client(script.url, workspace_id="w-9")
        assert client.workspace_id == "w-9"
        assert script.asked == []

    def test_empty_is_not_given(self, script, make_client):
        script.on(USERINFO_PATH, (200, {"sub": "w-1"}, {}))
        assert make_client(script.url, workspace_id="").workspace_id == "w-1"

    @pytest.mark.parametrize("answer", [{}, {"sub": ""}, {"sub": None}, []])
    def test_unknown(self, script, make_client, answer):
        script.on(USERINFO_PATH, (200, answer, {}), (200, {"sub": "w-1"}, {}))
        client = make_client(script.url)
        with pytest.raises(UnexpectedAnswer, match="give the workspace id explicitly"):
            _ = client.workspace_id
        assert client.workspace_id == "w-1"

    def test_making_a_client_asks_nobody_and_tells_no_secret(self, script, make_client):
        client = make_client(script.url, workspace_id="")
        assert script.asked == []
        assert repr(client) == f"Up42Client({script.url})"
        assert "geheim" not in json.dumps([repr(client), repr(client.transport)])
