"""Webhooks: the calls on the wire, their life at the sandbox, and live messages at a receiver of our own."""

import json
import queue
import threading
import time
import traceback
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from shapely.geometry import box

from up42_pipelines.api import (
    OrderStatus,
    TestReport,
    Webhook,
    WebhookEvent,
    WebhookMessage,
    Webhooks,
    read_message,
)
from up42_pipelines.errors import (
    AnswerLost,
    ApiError,
    InvalidRequest,
    NotAuthorized,
    NotFound,
    RateLimited,
    ServerProblem,
    UnexpectedAnswer,
    UntrustedMessage,
)

PATH = "/workspaces/w/webhooks"
WEBHOOK = {
    "id": "h-1",
    "name": "orders",
    "url": "https://receiver.example/up42",
    "events": ["order.status", "asset.created"],
    "active": True,
    "secret": "geheim-1",
    "createdAt": "2026-01-02T03:04:05.123456Z",
    "updatedAt": "2026-01-02T03:04:06Z",
}
WANTED = {"name": "orders", "url": "https://receiver.example/up42", "events": ["order.status"]}


def data(payload, status=200):
    return (status, {"data": payload, "error": None}, {})


@pytest.fixture
def webhooks(transport):
    return Webhooks(transport, lambda: "w")


class TestOnTheWire:
    def test_events(self, script, webhooks):
        row = {"name": "order.status", "title": "T", "category": "order", "description": "D", "documentation": "L"}
        script.on("/webhooks/events", data([row, {"name": "new.event"}]))
        described, bare = webhooks.events()
        assert (described.name, described.title, described.category) == ("order.status", "T", "order")
        assert (bare.name, bare.title) == ("new.event", None)

    def test_list_and_get(self, script, webhooks):
        script.on(PATH, data([WEBHOOK, {"id": "h-2", "url": "https://x.example"}]))
        script.on(f"{PATH}/h-1", data(WEBHOOK))
        first, second = webhooks.list()
        assert first == webhooks.get("h-1")
        assert (first.name, first.url, first.active) == ("orders", WEBHOOK["url"], True)
        assert first.events == (WebhookEvent.ORDER_STATUS, "asset.created")
        assert [isinstance(event, WebhookEvent) for event in first.events] == [True, False]
        assert (first.updated_at - first.created_at).total_seconds() == 0.876544
        assert (second.name, second.events, second.active, second.secret.get_secret_value()) == (None, (), False, "")

    @pytest.mark.parametrize("status", [200, 201])
    def test_create(self, script, webhooks, status):
        script.on(PATH, data(WEBHOOK, status))
        made = webhooks.create(**WANTED | {"events": [WebhookEvent.ORDER_STATUS, "x"]}, secret="geheim-1", active=True)
        assert made.id == "h-1"
        assert [one["method"] for one in script.requests(PATH)] == ["POST"]
        wanted = {**WANTED, "events": ["order.status", "x"], "secret": "geheim-1", "active": True}
        assert script.bodies(PATH) == [wanted]

    def test_create_is_silent_and_unsigned_when_not_said(self, script, webhooks):
        script.on(PATH, data(WEBHOOK))
        webhooks.create(**WANTED)
        assert script.bodies(PATH) == [{**WANTED, "secret": "", "active": False}]

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            ((503, {}, {}), ServerProblem),
            ((500, {"data": None, "error": {"code": 500, "message": "M"}}, {}), ServerProblem),
            ((429, {}, {"Retry-After": "0"}), RateLimited),
            ((307, b"", {"Location": PATH}), ApiError),
            ((400, {"data": None, "error": {"code": "INVALID_ARGUMENT", "message": "M"}}, {}), InvalidRequest),
            ((200, {"data": None, "error": {"code": 400, "message": "M", "details": None}}, {}), InvalidRequest),
            ((200, b"<html>", {}), UnexpectedAnswer),
            ((200, {}, {}), UnexpectedAnswer),
            (data(None), UnexpectedAnswer),
            ("drop", AnswerLost),
            ("hang", AnswerLost),
        ],
    )
    def test_create_is_sent_once_whatever_the_answer(self, script, webhooks, answer, error):
        script.on(PATH, answer, data(WEBHOOK))
        with pytest.raises(error):
            webhooks.create(**WANTED)
        assert len(script.requests(PATH)) == 1

    def test_replace(self, script, webhooks):
        script.on(f"{PATH}/h-1", (503, {}, {}), data(WEBHOOK))
        assert webhooks.replace("h-1", **WANTED, secret="s", active=True).id == "h-1"
        assert [one["method"] for one in script.requests(f"{PATH}/h-1")] == ["PUT", "PUT"]
        assert script.bodies(f"{PATH}/h-1") == [{**WANTED, "secret": "s", "active": True}] * 2

    def test_test(self, script, webhooks):
        call = {
            "startedAt": "2026-01-09T03:34:52.266344Z",
            "eventName": "order.status",
            "success": False,
            "message": "404 Not Found",
            "request": {"headers": {}, "body": {"event": "order.status", "liveMode": False}},
            "response": "HttpResponse[https://receiver.example/, 404 Not Found]",
        }
        counts = {"testsRun": 2, "testsSucceeded": 1, "testsFailed": 1}
        report = {"startedAt": call["startedAt"], **counts, "tests": [call, {}]}
        script.on(f"{PATH}/h-1/tests", (503, {}, {}), data(report))
        told = webhooks.test("h-1")
        assert (told.tests_run, told.tests_succeeded, told.tests_failed, told.passed) == (2, 1, 1, False)
        assert (told.tests[0].event_name, told.tests[0].success, told.tests[0].message) == (
            "order.status",
            False,
            "404 Not Found",
        )
        assert [one["method"] for one in script.requests(f"{PATH}/h-1/tests")] == ["POST", "POST"]

    @pytest.mark.parametrize(("run", "failed", "passed"), [(0, 0, False), (1, 0, True), (2, 1, False)])
    def test_a_test_without_calls_proves_nothing(self, run, failed, passed):
        assert TestReport.parse({"testsRun": run, "testsFailed": failed}).passed is passed

    def test_delete(self, script, webhooks):
        script.on(f"{PATH}/h-1", "drop", (204, b"", {}))
        webhooks.delete("h-1")
        assert [one["method"] for one in script.requests(f"{PATH}/h-1")] == ["DELETE", "DELETE"]

    def test_delete_what_is_gone(self, script, webhooks):
        script.on(f"{PATH}/h-1", (404, {}, {}))
        webhooks.delete("h-1")
        assert [one["method"] for one in script.requests(f"{PATH}/h-1")] == ["DELETE"]

    def test_a_delete_that_was_refused_is_told(self, script, webhooks):
        script.on(f"{PATH}/h-1", (403, {}, {}))
        with pytest.raises(ApiError):
            webhooks.delete("h-1")

    def test_names_cannot_leave_their_place_in_the_path(self, script, transport):
        webhooks = Webhooks(transport, lambda: "w/../v")
        for ask in (webhooks.get, webhooks.test):
            with pytest.raises(NotFound):
                ask("../x?y")
        paths = [one["path"] for one in script.asked if "/realms/" not in one["path"]]
        assert paths == ["/workspaces/w%2F..%2Fv/webhooks/..%2Fx%3Fy" + end for end in ("", "/tests")]

    def test_nothing_where_a_list_was_promised(self, script, webhooks):
        script.on(PATH, data(None))
        script.on("/webhooks/events", data(None))
        assert (webhooks.list(), webhooks.events()) == ([], [])

    @pytest.mark.parametrize("body", [[], {"webhooks": []}, "text"])
    def test_no_envelope(self, script, webhooks, body):
        script.on(PATH, (200, body, {}))
        with pytest.raises(UnexpectedAnswer, match="without `data`"):
            webhooks.list()


class TestSecrets:
    def test_are_shown_to_nobody_who_did_not_ask(self):
        webhook = Webhook.parse(WEBHOOK)
        assert "geheim" not in f"{webhook!r} {webhook} {[webhook]} {webhook.model_dump()} {webhook.model_dump_json()}"
        assert webhook.secret.get_secret_value() == "geheim-1"
        assert webhook.raw["secret"] == "geheim-1"

    @pytest.mark.parametrize("answer", [(200, WEBHOOK, {}), data({**WEBHOOK, "url": None})])
    def test_are_in_no_error(self, script, webhooks, answer):
        script.on(f"{PATH}/h-1", answer)
        with pytest.raises(UnexpectedAnswer) as caught:
            webhooks.get("h-1")
        told = "".join(traceback.format_exception(caught.value))
        assert "UnexpectedAnswer" in told
        assert "geheim" not in told


class TestMessage:
    def test_of_an_order(self):
        body = {"orderId": "o-1", "orderType": "TASKING", "status": "FULFILLED", "statusIsFinal": True}
        message = WebhookMessage.parse(
            {"event": "order.status", "messageId": "m", "timestamp": "2026-01-09T03:34:52.267042Z", "body": body}
        )
        assert message.event is WebhookEvent.ORDER_STATUS
        assert (message.order_id, message.job_id, message.live_mode) == ("o-1", None, True)
        assert message.timestamp.isoformat() == "2026-01-09T03:34:52.267042+00:00"

    @pytest.mark.parametrize("spelling", ["jobId", "jobID"])
    def test_of_a_job(self, spelling):
        message = WebhookMessage.parse({"event": "job.status", "messageId": "m", "body": {spelling: "j-1"}})
        assert message.event is WebhookEvent.JOB_STATUS
        assert (message.order_id, message.job_id) == (None, "j-1")

    def test_of_something_new(self):
        message = WebhookMessage.parse({"event": "x", "messageId": "m", "liveMode": False, "body": None})
        assert (message.event, message.order_id, message.job_id, message.live_mode) == ("x", None, None, False)

    @pytest.mark.parametrize("body", [{"messageId": "m"}, {"event": "order.status"}, {}, None, "x"])
    def test_what_must_be(self, body):
        with pytest.raises(UnexpectedAnswer):
            WebhookMessage.parse(body)


# --- at the sandbox, with a receiver on loopback; nothing happens until a test lets time pass -------------------------

AREA = box(12.48, 41.88, 12.49, 41.89)
SECRET = "geheim, und mit Umläuten"
NOBODY = str(uuid.UUID(int=1))


class _Receiver(BaseHTTPRequestHandler):
    def log_message(self, *_):
        """Silence."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.messages.put((self.path, self.headers, body))
        answers = self.server.answers
        self.send_response(answers.pop(0) if answers else 204)
        self.end_headers()


@pytest.fixture
def receiver():
    """A server whose `messages` are (path, headers, body); `answers` are the statuses of the next answers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Receiver) as server:
        server.messages, server.answers = queue.Queue(), []
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def client(paused):
    client = paused.client()
    yield client
    client.transport.close()


@pytest.fixture
def make(client):
    """Creates webhooks that are gone after the test."""
    made = []

    def make(**options):
        options = {"name": "n", "events": ["order.status"], "secret": SECRET, "active": True, **options}
        made.append(client.webhooks.create(**options))
        return made[-1]

    yield make
    for webhook in made:
        client.webhooks.delete(webhook.id)


@pytest.fixture(scope="module")
def finish_order(client, steer, scenes_at, order_input):
    """Places an order, lets it end, and returns its id."""
    order = order_input(client, AREA, scene=scenes_at(client, AREA)[0])

    def finish_order(fate="fulfilled"):
        steer("fates", kind="order", fate=fate)
        order_id = client.orders.place(order).results[0].id
        steer("clock", advance=1000)
        return order_id

    return finish_order


class TestLife:
    def test_catalogue(self, client):
        assert [event.name for event in client.webhooks.events()] == list(WebhookEvent)
        assert all(event.title and event.description for event in client.webhooks.events())

    def test_created_listed_replaced_deleted(self, client, make):
        url = "https://receiver.example/up42"
        made = make(name="both", url=url, events=list(WebhookEvent), active=False)
        assert (made.name, made.url, made.active) == ("both", url, False)
        assert made.events == tuple(WebhookEvent)
        assert made.secret.get_secret_value() == SECRET
        other = make(url=url)
        assert client.webhooks.get(made.id) == made
        assert [one for one in client.webhooks.list() if one.id in (made.id, other.id)] == [made, other]

        changed = client.webhooks.replace(
            made.id, name="one", url=f"{url}/2", events=["job.status"], secret="other", active=True
        )
        assert (changed.id, changed.name, changed.url, changed.active) == (made.id, "one", f"{url}/2", True)
        assert (changed.events, changed.secret.get_secret_value()) == ((WebhookEvent.JOB_STATUS,), "other")
        assert (changed.created_at, changed.updated_at > made.updated_at) == (made.created_at, True)
        bare = client.webhooks.replace(made.id, name="one", url=url, events=["job.status"])
        assert (bare.active, bare.secret.get_secret_value()) == (False, "")
        assert client.webhooks.get(made.id) == bare

        client.webhooks.delete(made.id)
        client.webhooks.delete(made.id)
        with pytest.raises(NotFound, match=made.id):
            client.webhooks.get(made.id)
        assert [one.id for one in client.webhooks.list() if one.id in (made.id, other.id)] == [other.id]

    def test_unknown(self, client):
        for ask in (
            client.webhooks.get,
            client.webhooks.test,
            lambda name: client.webhooks.replace(name, **WANTED),
        ):
            with pytest.raises(NotFound, match=NOBODY):
                ask(NOBODY)

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"url": "http://receiver.example"}, "https"),
            ({"events": ["order.created"]}, "events"),
            ({"events": []}, "events"),
            ({"name": ""}, "name"),
            ({"secret": "x" * 501}, "500"),
        ],
    )
    def test_refused(self, client, changes, told):
        before = client.webhooks.list()
        with pytest.raises(InvalidRequest, match=told):
            client.webhooks.create(**WANTED | changes)
        assert client.webhooks.list() == before

    def test_of_another_workspace(self, paused):
        stranger = paused.client(workspace_id=NOBODY)
        with pytest.raises(NotAuthorized):
            stranger.webhooks.list()
        stranger.transport.close()


class TestTrial:
    def test_one_call_per_event(self, client, make, receiver):
        webhook = make(url=receiver.url, events=list(WebhookEvent), active=False)
        report = client.webhooks.test(webhook.id)
        assert report.passed
        assert (report.tests_run, report.tests_succeeded, report.tests_failed) == (2, 2, 0)
        assert [(call.event_name, call.success) for call in report.tests] == [(event, True) for event in WebhookEvent]
        for call in report.tests:
            _, headers, body = receiver.messages.get(timeout=10)
            message = read_message(headers, body, secret=SECRET, now=time.time())
            assert (message.event, message.live_mode) == (call.event_name, False)
            assert call.request["body"] == json.loads(body) == message.raw

    def test_failed(self, client, make, receiver):
        webhook = make(url=receiver.url, events=list(WebhookEvent))
        receiver.answers += [500, 204]
        report = client.webhooks.test(webhook.id)
        assert (report.passed, report.tests_succeeded, report.tests_failed) == (False, 1, 1)
        assert [call.success for call in report.tests] == [False, True]
        assert "500" in report.tests[0].message

    def test_nobody_there(self, client, make):
        report = client.webhooks.test(make(url="http://127.0.0.1:9/nobody").id)
        assert not report.passed


class TestLive:
    @pytest.mark.parametrize(
        ("fate", "status"), [("fulfilled", OrderStatus.FULFILLED), ("failed", OrderStatus.FAILED_PERMANENTLY)]
    )
    def test_an_order_ends(self, client, make, receiver, finish_order, fate, status):
        make(url=f"{receiver.url}/hook?pipeline=1")
        order_id = finish_order(fate)
        path, headers, body = receiver.messages.get(timeout=10)
        message = read_message(headers, body, secret=SECRET, now=time.time())
        assert path == "/hook?pipeline=1"
        assert (message.event, message.live_mode, message.order_id) == (WebhookEvent.ORDER_STATUS, True, order_id)
        assert (message.body["status"], message.body["statusIsFinal"]) == (status, True)
        assert client.orders.get(message.order_id).status is status

    def test_a_job_goes_its_way(self, client, make, receiver, finish_order, steer):
        [item] = client.storage.items_of_order(finish_order())
        make(url=receiver.url, events=["job.status"])
        steer("fates", kind="job", fate="successful")
        job = client.processing.execute("true-color-conversion", {"title": "t", "item": item.self_href})
        steer("clock", advance=600)
        messages = [receiver.messages.get(timeout=10) for _ in range(6)]
        read = [read_message(headers, body, secret=SECRET, now=time.time()) for _, headers, body in messages]
        assert {(message.event, message.job_id, message.order_id) for message in read} == {
            (WebhookEvent.JOB_STATUS, job.id, None)
        }
        assert len({message.message_id for message in read}) == 6
        moments = sorted((message.timestamp, message.body["status"]) for message in read)
        assert [status for _, status in moments] == [
            "created",
            "licensed",
            "valid",
            "accepted",
            "running",
            "successful",
        ]
        assert [message.body["status"] for message in read if message.body["statusIsFinal"]] == ["successful"]

    def test_only_what_is_active_and_asked_for(self, make, receiver, finish_order):
        make(url=f"{receiver.url}/silent", active=False)
        make(url=f"{receiver.url}/jobs", events=["job.status"])
        make(url=f"{receiver.url}/orders")
        order_ids = [finish_order(), finish_order()]
        received = [receiver.messages.get(timeout=10) for _ in order_ids]
        assert [path for path, _, _ in received] == ["/orders", "/orders"]
        assert {json.loads(body)["body"]["orderId"] for _, _, body in received} == set(order_ids)

    def test_nothing_else_is_believed(self, make, receiver, finish_order):
        make(url=receiver.url)
        finish_order()
        _, headers, body = receiver.messages.get(timeout=10)
        now = time.time()
        assert read_message(dict(headers), body, secret=SECRET, now=now).message_id
        for wrong in (
            {"secret": "another"},
            {"body": body.replace(b"FULFILLED", b"CANCELED")},
            {"now": now + 400},
            {"now": now - 400},
            {"headers": {name: value for name, value in headers.items() if name.lower() != "signature"}},
        ):
            with pytest.raises(UntrustedMessage):
                read_message(**{"headers": headers, "body": body, "secret": SECRET, "now": now, **wrong})

    def test_messages_of_a_webhook_without_a_secret_prove_nothing(self, make, receiver, finish_order):
        make(url=receiver.url, secret="")
        finish_order()
        _, headers, body = receiver.messages.get(timeout=10)
        for secret in ("", SECRET):
            with pytest.raises(UntrustedMessage):
                read_message(headers, body, secret=secret, now=time.time())

    def test_what_is_sent_again_has_the_same_id(self, make, receiver, finish_order, steer):
        make(url=receiver.url)
        receiver.answers += [500]
        finish_order()
        first = receiver.messages.get(timeout=10)
        steer("clock", advance=60)
        again = receiver.messages.get(timeout=10)
        steer("faults", faults=[{"kind": "duplicate_webhook"}])
        finish_order()
        third, fourth = receiver.messages.get(timeout=10), receiver.messages.get(timeout=10)
        ids = [
            read_message(headers, body, secret=SECRET, now=time.time()).message_id
            for _, headers, body in (first, again, third, fourth)
        ]
        assert ids[0] == ids[1] != ids[2] == ids[3]
