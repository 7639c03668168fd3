import base64
import contextlib
import hashlib
import hmac
import json
import re
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from up42_pipelines.sandbox.app import open_world
from up42_pipelines.sandbox.core.clock import SECOND, parse_instant
from up42_pipelines.sandbox.webhooks import webhook_book, webhook_messages, webhook_sender

SECRET = "geheim"


class Receiver:
    """An HTTP server that remembers what it was sent; `answers` are used up one by one, then it answers 200."""

    def __init__(self):
        self.calls, self.answers, self.go_on = [], [], threading.Event()
        self.go_on.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.calls.append((dict(self.headers), body))
                receiver.go_on.wait(10)
                status = receiver.answers.pop(0) if receiver.answers else 200
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/up42"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def messages(self):
        return [json.loads(body) for _, body in self.calls]

    def about(self, order_id):
        return [message for message in self.messages if message["body"].get("orderId") == order_id]

    def close(self):
        self.go_on.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def make_receiver():
    made = []

    def make():
        made.append(Receiver())
        return made[-1]

    yield make
    for receiver in made:
        receiver.close()


@pytest.fixture(scope="module")
def running(start_sandbox):
    return start_sandbox()


@pytest.fixture
def hooks(running):
    """The path of the webhooks; a test begins and ends without any, and without faults."""
    path = f"/workspaces/{running.workspace_id}/webhooks"
    yield path
    for webhook in running.get(path).json()["data"]:
        assert running.http.delete(f"{running.url}{path}/{webhook['id']}").ok
    requests.delete(f"{running.url}/sandbox/faults")


@pytest.fixture
def subscribe(running, hooks):
    def subscribe(url, events=("order.status",), *, active=True, secret=""):
        body = {"name": "test", "url": url, "events": list(events), "active": active, "secret": secret}
        answer = running.post(hooks, body)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    return subscribe


def advance(sandbox, seconds):
    requests.post(f"{sandbox.url}/sandbox/clock", json={"advance": seconds}).raise_for_status()


def test_the_catalogue_of_events_is_public(running):
    body = requests.get(f"{running.url}/webhooks/events").json()
    assert body["error"] is None
    assert [event["name"] for event in body["data"]] == ["order.status", "job.status"]
    assert all(set(event) == {"name", "title", "category", "description", "documentation"} for event in body["data"])


def test_a_webhook_from_creation_to_removal(running, hooks):
    body = {"name": "mine", "url": "https://receiver.example/up42", "events": ["order.status", "job.status"]}
    created = running.post(hooks, {**body, "secret": SECRET}).json()
    assert created["error"] is None
    webhook = created["data"]
    assert {key: webhook[key] for key in (*body, "secret", "active")} == {**body, "secret": SECRET, "active": False}
    assert set(webhook) == {"id", "name", "url", "events", "active", "secret", "createdAt", "updatedAt"}
    assert parse_instant(webhook["createdAt"]) == parse_instant(webhook["updatedAt"])
    one = f"{hooks}/{webhook['id']}"
    assert running.get(hooks).json() == {"data": [webhook], "error": None}
    assert running.get(one).json() == {"data": webhook, "error": None}
    changed = running.http.put(running.url + one, json={**body, "name": "yours", "active": True}).json()["data"]
    assert (changed["name"], changed["active"], changed["secret"]) == ("yours", True, "")
    assert (changed["id"], changed["createdAt"]) == (webhook["id"], webhook["createdAt"])
    assert changed["updatedAt"] > webhook["updatedAt"]
    assert running.http.delete(running.url + one).status_code == 204
    for gone in (running.get(one), running.http.delete(running.url + one), running.post(f"{one}/tests")):
        assert (gone.status_code, gone.json()["error"]["code"], gone.json()["data"]) == (404, 404, None)
    assert running.get(hooks).json()["data"] == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": ""}, "name"),
        ({"name": 1}, "name"),
        ({"url": None}, "url"),
        ({"url": "http://receiver.example/"}, "url"),
        ({"url": "ftp://127.0.0.1/"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "http://[::1"}, "url"),
        ({"url": "http://127.0.0.1:99999/"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["job.status, order.status"]}, "events"),
        ({"events": "order.status"}, "events"),
        ({"events": [{}]}, "events"),
        ({"secret": "x" * 501}, "secret"),
        ({"secret": 5}, "secret"),
        ({"active": "yes"}, "active"),
    ],
)
def test_what_makes_no_webhook_is_named(running, hooks, change, named):
    good = {"name": "mine", "url": "http://localhost:1/", "events": ["order.status"], "secret": "x" * 500}
    answer = running.post(hooks, {**good, **change})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["message"].split()[0]) == ("INVALID_ARGUMENT", named)
    assert running.get(hooks).json()["data"] == []


def test_the_workspace_is_checked(running):
    other = "00000000-0000-4000-8000-000000000000"
    assert running.get(f"/workspaces/{other}/webhooks").status_code == 403
    assert running.get(f"/workspaces/{other}/webhooks/{other}").json()["error"]["code"] == 403
    assert running.get("/workspaces/mine/webhooks").status_code == 404
    assert requests.get(f"{running.url}/workspaces/{running.workspace_id}/webhooks").status_code == 401


@pytest.mark.parametrize("ends", ["FULFILLED", "FAILED_PERMANENTLY"])
def test_the_end_of_an_order_is_reported_once_to_those_who_asked(
    running, subscribe, make_receiver, take_scene, await_true, ends
):
    receiver, other = make_receiver(), make_receiver()
    subscribe(receiver.url)
    subscribe(other.url, active=False)
    subscribe(other.url, ["job.status"])
    order_id = running.place(take_scene(ends=ends).id)
    (message,) = await_true(lambda: receiver.about(order_id))
    order = running.get(f"/v2/orders/{order_id}").json()
    assert message.pop("messageId")
    assert message == {
        "event": "order.status",
        "liveMode": True,
        "timestamp": order["updatedAt"],
        "body": {
            "orderId": order_id,
            "orderType": "ARCHIVE",
            "dataHostName": "sandbox-host",
            "status": ends,
            "statusIsFinal": True,
        },
    }
    headers = {name.lower() for name in receiver.calls[0][0]}
    assert not {"signature", "signature-input", "digest"} & headers
    second = running.place(take_scene().id)
    await_true(lambda: receiver.about(second))
    assert len(receiver.calls) == 2
    assert other.calls == []


def verified(headers, body, secret):
    """Check a message as a receiver must: signature over the listed headers, digest over the body."""
    headers = {name.lower(): value for name, value in headers.items()}
    names, created = re.fullmatch(r"up42-sig=\((.*)\);created=(\d+)", headers["signature-input"]).groups()
    signed = "".join(headers[name.strip('"')] for name in names.split())
    expected = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    given = base64.b64decode(headers["signature"].partition("=")[2])
    digest = f"sha-256={base64.b64encode(hashlib.sha256(body).digest()).decode()}"
    fresh = 0 <= time.time() - int(created) < 300
    return hmac.compare_digest(expected, given) and headers["digest"] == digest and '"digest"' in names and fresh


def test_messages_are_signed_when_there_is_a_secret(running, subscribe, make_receiver, take_scene, await_true):
    receiver = make_receiver()
    advance(running, 1000)
    subscribe(receiver.url, secret=SECRET)
    order_id = running.place(take_scene().id)
    await_true(lambda: receiver.about(order_id))
    headers, body = receiver.calls[0]
    assert verified(headers, body, SECRET)
    assert not verified(headers, body, "other")
    assert not verified(headers, body.replace(b"FULFILLED", b"CANCELED"), SECRET)


def test_a_message_is_tried_three_times_with_growing_pauses(running, subscribe, make_receiver, take_scene, await_true):
    receiver = make_receiver()
    receiver.answers = [500, 302, 204]
    subscribe(receiver.url)
    order_id = running.place(take_scene().id)
    await_true(lambda: len(receiver.calls) == 1)
    await_true(lambda: advance(running, 0.5) or len(receiver.calls) == 2)
    await_true(lambda: advance(running, 0.5) or len(receiver.calls) == 3)
    assert len({message["messageId"] for message in receiver.about(order_id)}) == 1
    receiver.answers = [503, 503, 503]
    given_up = running.place(take_scene().id)
    await_true(lambda: advance(running, 5) or len(receiver.about(given_up)) == 3)
    await_true(lambda: "given up" in running.log.read_text())
    advance(running, 100)
    third = running.place(take_scene().id)
    await_true(lambda: receiver.about(third))
    assert (len(receiver.about(given_up)), len(receiver.about(order_id))) == (3, 3)


def test_a_slow_receiver_does_not_hold_up_others(running, subscribe, make_receiver, take_scene, await_true):
    slow, quick = make_receiver(), make_receiver()
    slow.go_on.clear()
    subscribe(slow.url)
    subscribe(quick.url)
    for _ in range(2):
        order_id = running.place(take_scene().id)
        await_true(lambda order_id=order_id: quick.about(order_id), seconds=2)
    assert len(slow.calls) == 1, "the second message waits for the answer to the first"


def test_a_receiver_that_does_not_answer_is_left_after_a_while(make_receiver):
    receiver = make_receiver()
    receiver.go_on.clear()
    outcome = webhook_sender.post(receiver.url, {}, b"{}", patience_seconds=0.1)
    assert (outcome.success, outcome.response) == (False, None)
    assert "timed out" in outcome.message
    assert len(receiver.calls) == 1


def test_what_ended_while_the_sandbox_was_dead_is_reported_and_nothing_twice(
    start_sandbox, make_receiver, take_scene, await_true
):
    receiver = make_receiver()
    first = start_sandbox(speed=200)
    hook = {"name": "test", "url": receiver.url, "events": ["order.status"], "active": True}
    first.post(f"/workspaces/{first.workspace_id}/webhooks", hook)
    before = first.place(take_scene().id)
    advance(first, 10)
    await_true(lambda: receiver.about(before))
    receiver.go_on.clear()
    unanswered, meanwhile = first.place(take_scene().id), first.place(take_scene().id)
    advance(first, 10)
    await_true(lambda: receiver.about(unanswered) or receiver.about(meanwhile))
    first.kill()
    receiver.go_on.set()
    second = start_sandbox(first.state, speed=200)
    await_true(lambda: receiver.about(unanswered) and receiver.about(meanwhile))
    last = second.place(take_scene().id)
    advance(second, 10)
    await_true(lambda: receiver.about(last))
    assert len(receiver.about(before)) == 1
    ids = {message["messageId"] for message in receiver.messages}
    assert len(ids) == 4
    # The one that was on its way when the sandbox was killed came twice, with the same id.
    assert len(receiver.calls) == 5
    receiver.go_on.clear()
    unanswered = second.place(take_scene().id)
    advance(second, 10)
    await_true(lambda: receiver.about(unanswered))
    before = time.monotonic()
    assert second.stop() == 0
    assert time.monotonic() - before < 2, "it waited for a receiver"


def test_replacing_a_webhook_loses_nothing_and_repeats_nothing(
    running, hooks, subscribe, make_receiver, take_scene, await_true
):
    receiver = make_receiver()
    webhook = subscribe(receiver.url)
    one = f"{running.url}{hooks}/{webhook['id']}"
    order_ids = []
    for number in range(5):
        order_ids.append(running.place(take_scene().id))
        advance(running, 1)  # it has ended, and nobody has looked yet
        running.http.put(one, json={**webhook, "name": f"name {number}"}).raise_for_status()
    await_true(lambda: all(receiver.about(order_id) for order_id in order_ids))
    running.http.put(one, json={**webhook, "active": False}).raise_for_status()
    ignored = running.place(take_scene().id)
    running.wait_for_end(ignored)
    running.http.put(one, json=webhook).raise_for_status()
    last = running.place(take_scene().id)
    await_true(lambda: receiver.about(last))
    assert [len(receiver.about(order_id)) for order_id in (*order_ids, ignored)] == [1] * 5 + [0]


def test_test_messages_are_sent_and_reported(running, hooks, subscribe, make_receiver):
    receiver = make_receiver()
    receiver.answers = [200, 418]
    webhook = subscribe(receiver.url, ["order.status", "job.status"], active=False, secret=SECRET)
    answer = running.post(f"{hooks}/{webhook['id']}/tests")
    assert (answer.status_code, answer.json()["error"]) == (200, None)
    report = answer.json()["data"]
    assert {key: report[key] for key in report if key not in ("startedAt", "tests")} == {
        "testsRun": 2,
        "testsSucceeded": 1,
        "testsFailed": 1,
    }
    good, bad = report["tests"]
    assert set(good) == {"startedAt", "eventName", "success", "message", "request", "response"}
    assert (good["eventName"], good["success"]) == ("order.status", True)
    assert good["message"] == "Test request was successful!"
    assert good["response"] == f"HttpResponse[{receiver.url}, 200 OK]"
    assert (bad["eventName"], bad["success"]) == ("job.status", False)
    assert "418" in bad["message"]
    assert "418" in bad["response"]
    assert receiver.messages == [test["request"]["body"] for test in (good, bad)]
    assert good["request"]["body"]["liveMode"] is False
    assert set(good["request"]["body"]["body"]) == {
        "orderId",
        "orderType",
        "dataHostName",
        "status",
        "statusIsFinal",
    }
    headers, body = receiver.calls[0]
    assert verified(headers, body, SECRET)
    assert good["request"]["headers"].items() <= {name.lower(): value for name, value in headers.items()}.items()


def test_a_receiver_that_is_not_there_fails_the_test(running, hooks, subscribe, make_receiver):
    receiver = make_receiver()
    receiver.close()
    webhook = subscribe(receiver.url)
    (test,) = running.post(f"{hooks}/{webhook['id']}/tests").json()["data"]["tests"]
    assert (test["success"], test["response"], test["request"]["headers"]) == (False, None, {})
    assert "cannot be reached" in test["message"]


def test_messages_can_come_twice(running, subscribe, make_receiver, take_scene, await_true):
    receiver = make_receiver()
    subscribe(receiver.url)
    requests.post(f"{running.url}/sandbox/faults", json={"faults": [{"kind": "duplicate_webhook"}]})
    first = running.place(take_scene().id)
    one, other = await_true(lambda: len(found := receiver.about(first)) == 2 and found)
    assert one == other
    second = running.place(take_scene().id)
    await_true(lambda: receiver.about(second))
    assert len(receiver.about(second)) == 1
    (entry,) = requests.get(f"{running.url}/sandbox/faults").json()["log"]
    assert (entry["kind"], entry["path"], entry["method"]) == ("duplicate_webhook", receiver.url, "POST")


def test_messages_can_come_in_reverse(running, subscribe, make_receiver, take_scene, await_true):
    receiver = make_receiver()
    subscribe(receiver.url)
    requests.post(f"{running.url}/sandbox/faults", json={"faults": [{"kind": "reorder_webhooks", "messages": 3}]})
    order_ids = [running.place(take_scene().id) for _ in range(2)]
    for order_id in order_ids:
        running.wait_for_end(order_id)
    order_ids.append(running.place(take_scene().id))
    await_true(lambda: len(receiver.calls) == 3)
    instants = [message["timestamp"] for message in receiver.messages]
    assert instants == sorted(instants, reverse=True)
    assert {message["body"]["orderId"] for message in receiver.messages} == set(order_ids)
    assert receiver.messages[0]["body"]["orderId"] == order_ids[2]


def test_clearing_the_faults_lets_held_messages_go(running, subscribe, make_receiver, take_scene, await_true):
    receiver = make_receiver()
    subscribe(receiver.url)
    faults = f"{running.url}/sandbox/faults"
    requests.post(faults, json={"faults": [{"kind": "reorder_webhooks", "messages": 3}]})
    order_id = running.place(take_scene().id)
    await_true(lambda: requests.get(faults).json()["log"])
    assert receiver.calls == []
    requests.delete(faults)
    await_true(lambda: receiver.about(order_id))


def test_every_change_of_a_job_is_reported_once(tmp_path):
    world = open_world(state=tmp_path / "state")
    database, now = world.database, world.now()
    everything = webhook_book.Draft("all", "https://receiver.example", ("order.status", "job.status"), True, "")
    webhook = webhook_book.create(database, everything, now - 10 * SECOND)
    webhook_book.create(database, webhook_book.Draft("none", "https://x.example", ("order.status",), True, ""), now)
    newer = webhook_book.create(database, everything, now - 2 * SECOND)
    columns = "id, process_id, inputs, items, credits, created_at"
    database.write(f"INSERT INTO jobs ({columns}) VALUES ('job', 'sharpen', '{{}}', '', 5, ?)", (now,))
    steps = ((-20, "created"), (-8, "running"), (-8, "successful"), (-1, "captured"), (3600, "never"))
    for step, (after, status) in enumerate(steps):
        database.write("INSERT INTO job_events VALUES ('job', ?, ?, ?)", (now + after * SECOND, step, status))
    with database.transaction():
        webhook_messages.collect(world, now)
    database.write("DELETE FROM job_events WHERE status = 'never'")
    # Written late: its time is before what was seen.
    database.write("INSERT INTO job_events VALUES ('job', ?, 9, 'late')", (now - SECOND // 2,))
    database.close()

    again = open_world(state=tmp_path / "state")
    for _ in range(2):
        with again.database.transaction():
            webhook_messages.collect(again, again.now())
    due = webhook_messages.due(again)
    again.database.close()
    assert set(due) == {webhook.id, newer.id}
    found, recent = ([json.loads(message.body) for message in due[one.id]] for one in (webhook, newer))
    assert [message["body"]["status"] for message in found] == ["running", "successful", "captured", "late"]
    assert [message["body"]["status"] for message in recent] == ["captured", "late"]
    assert {message["event"] for message in found} == {"job.status"}
    assert found[0]["body"] == {"jobId": "job", "processId": "sharpen", "status": "running", "statusIsFinal": False}
    assert len({message["messageId"] for message in found}) == 4


def test_only_the_last_status_of_a_job_is_final(tmp_path):
    world = open_world(state=tmp_path / "state")
    database, now = world.database, world.now()
    draft = webhook_book.Draft("all", "https://receiver.example", ("job.status",), True, "")
    webhook = webhook_book.create(database, draft, now)
    for job, statuses in {"old": ("successful", "captured"), "new": ("successful",), "open": ("running",)}.items():
        columns = "id, process_id, inputs, items, credits, created_at"
        database.write(f"INSERT INTO jobs ({columns}) VALUES (?, 'sharpen', '{{}}', '', 5, ?)", (job, now))
        for step, status in enumerate(statuses):
            database.write("INSERT INTO job_events VALUES (?, ?, ?, ?)", (job, now, step, status))
    with database.transaction():
        webhook_messages.collect(world, now)
    bodies = [json.loads(message.body)["body"] for message in webhook_messages.due(world)[webhook.id]]
    database.close()
    finals = {(body["jobId"], body["status"]) for body in bodies if body["statusIsFinal"]}
    assert finals == {("old", "captured"), ("new", "successful")}


def test_a_webhook_takes_its_messages_with_it(tmp_path):
    world = open_world(state=tmp_path / "state")
    draft = webhook_book.Draft("all", "https://receiver.example", ("job.status",), True, "")
    webhook = webhook_book.create(world.database, draft, world.now())
    world.database.write(
        "INSERT INTO webhook_messages (webhook_id, id, due_at, body) VALUES (?, 'm', 0, '{}')", (webhook.id,)
    )
    assert list(webhook_messages.due(world)) == [webhook.id]
    webhook_book.delete(world.database, webhook.id)
    world.database.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / "sandbox.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM webhook_messages").fetchone() == (0,)
