"""The one way to UP42: what is tried again, what never, and which failures mean what."""

import contextlib
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import pytest

from up42_pipelines.api import Credentials, Hosts, Patience, Transport
from up42_pipelines.errors import (
    AnswerLost,
    ApiError,
    InvalidRequest,
    LegalBlock,
    NotAuthorized,
    NotFound,
    RateLimited,
    ServerProblem,
    UnexpectedAnswer,
    Unreachable,
)

OK = (200, {"fine": True}, {})
BUSY = (503, {"title": "busy", "status": 503}, {})


class TestRetries:
    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_safe_calls_are_tried_again(self, script, transport, status, method):
        script.on("/x", (status, {}, {}), (status, {}, {}), OK)
        assert transport.json(method, "/x", json={} if method == "POST" else None) == {"fine": True}
        assert len(script.requests("/x")) == 3

    def test_also_after_a_dropped_connection(self, script, transport):
        script.on("/x", "drop", OK)
        assert transport.json("GET", "/x") == {"fine": True}

    def test_also_after_a_time_out(self, script, transport):
        script.on("/x", "hang", OK)
        begun = time.monotonic()
        assert transport.json("GET", "/x") == {"fine": True}
        assert time.monotonic() - begun < 5

    def test_at_most_as_often_as_said(self, script, transport):
        script.on("/x", BUSY)
        with pytest.raises(ServerProblem):
            transport.send("GET", "/x")
        assert len(script.requests("/x")) == 4

    @pytest.mark.parametrize(
        ("method", "answer"),
        [*((method, "cut") for method in ("GET", "POST", "PUT", "PATCH", "DELETE")), ("GET", "cut chunks")],
    )
    def test_also_after_a_body_that_breaks_off(self, script, transport, method, answer):
        script.on("/x", answer, answer, OK)
        assert transport.json(method, "/x") == {"fine": True}
        assert len(script.requests("/x")) == 3

    def test_also_after_a_body_that_stalls(self, script, transport):
        script.on("/x", "stall", OK)
        assert transport.json("POST", "/x") == {"fine": True}
        assert len(script.requests("/x")) == 2

    @pytest.mark.parametrize("answer", ["cut", "cut chunks", "drop"])
    def test_at_most_as_often_as_said_when_no_answer_is_whole(self, script, transport, answer):
        script.on("/x", answer)
        with pytest.raises(AnswerLost):
            transport.send("GET", "/x")
        assert len(script.requests("/x")) == 4

    def test_kinds_of_failure_can_follow_each_other(self, script, transport):
        script.on("/x", BUSY, "cut", "drop", OK)
        assert transport.json("GET", "/x") == {"fine": True}

    @pytest.mark.parametrize(
        ("said", "pauses"),
        [
            ("3", [3]),
            ("3600", [7]),
            (lambda: format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True), [7]),
            (lambda: format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True), []),
            ("soon", []),
            ("1.5", []),
            ("-1", []),
            ("", []),
        ],
    )
    @pytest.mark.parametrize("status", [429, 503])
    def test_retry_after_is_obeyed_and_capped(self, script, make_transport, monkeypatch, said, pauses, status):
        patient = make_transport(patience=Patience(retries=1, backoff_s=0, longest_pause_s=7))
        waited = []
        monkeypatch.setattr("urllib3.util.retry.time", SimpleNamespace(sleep=waited.append, time=time.time))
        script.on("/x", (status, {}, {"Retry-After": said() if callable(said) else said}), OK)
        assert patient.json("GET", "/x") == {"fine": True}
        assert waited == pauses

    def test_pauses_grow_up_to_the_longest(self, script, make_transport, monkeypatch):
        patient = make_transport(patience=Patience(retries=6, backoff_s=1, longest_pause_s=6))
        waited = []
        monkeypatch.setattr("urllib3.util.retry.time", SimpleNamespace(sleep=waited.append, time=time.time))
        script.on("/x", BUSY)
        with pytest.raises(ServerProblem):
            patient.send("GET", "/x")
        assert 2 < waited[0] <= 3
        assert 4 < waited[1] <= 5
        assert waited[2:] == [6, 6, 6]

    @pytest.mark.parametrize(
        ("method", "answer"),
        [
            *((method, answer) for method in ("POST", "PATCH") for answer in (BUSY, "drop", "cut")),
            *(("POST", (status, {}, {"Retry-After": "0"})) for status in (413, 429, 503)),
            *(("POST", answer) for answer in ("cut chunks", "hang", "stall")),
        ],
    )
    def test_calls_that_spend_are_sent_once(self, script, transport, answer, method):
        script.on("/orders", answer, OK)
        with pytest.raises((ApiError, AnswerLost)):
            transport.send(method, "/orders", json={}, once=True)
        assert len(script.requests("/orders")) == 1

    def test_nor_do_they_follow_redirects(self, script, transport):
        script.on("/orders", (307, {}, {"Location": "/elsewhere"}))
        script.on("/elsewhere", OK)
        with pytest.raises(ApiError):
            transport.send("POST", "/orders", json={}, once=True)
        assert not script.requests("/elsewhere")

    def test_a_call_that_spends_gets_its_fresh_token(self, script, transport):
        script.on("/orders", (401, {}, {}), OK)
        assert transport.json("POST", "/orders", json={}, once=True) == {"fine": True}
        assert [one["headers"]["Authorization"] for one in script.requests("/orders")] == [
            "Bearer token-1",
            "Bearer token-2",
        ]

    def test_client_errors_are_not_retried(self, script, transport):
        script.on("/x", (400, {"title": "bad"}, {}))
        with pytest.raises(InvalidRequest):
            transport.send("GET", "/x")
        assert len(script.requests("/x")) == 1


class TestErrors:
    def test_nothing_listening(self):
        transport = Transport(
            Hosts.of(api_url="http://127.0.0.1:9"),
            Credentials(username="a", password="b"),
            patience=Patience(connect_s=1, read_s=1, retries=0),
        )
        with pytest.raises(Unreachable, match="nothing was sent"):
            transport.send("GET", "/x")

    def test_a_connection_that_is_never_made(self, script):
        """A host that is gone answers nothing, not even that it refuses."""
        with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as others:
            for _ in range(4):  # until its queue is full
                other = others.enter_context(socket.socket())
                other.setblocking(False)
                other.connect_ex(listener.getsockname())
            transport = Transport(
                Hosts.of(api_url=f"http://127.0.0.1:{listener.getsockname()[1]}", auth_url=script.url),
                Credentials(username="a", password="b"),
                patience=Patience(connect_s=0.1, read_s=5, retries=0),
            )
            begun = time.monotonic()
            for once in (True, False):
                with pytest.raises(Unreachable, match="nothing was sent"):
                    transport.send("POST", "/orders", json={}, once=once)
            assert time.monotonic() - begun < 5
            transport.close()

    @pytest.mark.parametrize(
        "target", ["orders", "search?token=2", "ftp://127.0.0.1/x", "http://", "", "x?u=http://a/b", "http://[::1"]
    )
    def test_a_target_that_leads_nowhere(self, script, transport, target):
        with pytest.raises(Unreachable, match="nothing was sent"):
            transport.send("GET", target)
        assert script.asked == []

    def test_a_body_that_cannot_be_written(self, script, transport):
        with pytest.raises(Unreachable, match="nothing was sent"):
            transport.send("POST", "/orders", json={"cloud": float("nan")}, once=True)
        assert script.requests("/orders") == []

    def test_a_path_stays_below_our_host(self, script, transport):
        script.on("/elsewhere.example.com/x", OK)  # the server joins slashes
        script.on("/y", OK)
        transport.send("GET", "//elsewhere.example.com/x")
        transport.send("GET", "/y?u=http://a/b")
        assert [one["query"] for one in script.requests("/y")] == ["u=http://a/b"]

    @pytest.mark.parametrize("answer", [(302, b"", {}), (304, b"", {}), (300, {"title": "choose"}, {})])
    def test_what_is_not_2xx_is_no_success(self, script, transport, answer):
        script.on("/x", answer)
        with pytest.raises(ApiError) as caught:
            transport.send("GET", "/x")
        assert caught.value.status == answer[0]

    def test_redirects_of_safe_calls_are_followed_without_the_token_leaving(self, script, transport):
        script.on("/x", (302, b"", {"Location": f"{script.url.replace('127.0.0.1', 'localhost')}/y"}))
        script.on("/y", OK)
        assert transport.json("GET", "/x") == {"fine": True}
        assert "Authorization" not in script.requests("/y")[0]["headers"]

    @pytest.mark.parametrize("once", [False, True])
    def test_a_call_without_a_body_says_json_too(self, script, transport, once):
        """As UP42's own client does for signed URLs and cancellations; a server may insist on it."""
        script.on("/x", OK)
        transport.send("POST", "/x", once=once)
        [request] = script.requests("/x")
        assert (request["headers"]["Content-Type"], request["body"]) == ("application/json", b"")

    def test_nothing_is_remembered_between_requests(self, script, transport):
        script.on("/x", (200, {}, {"Set-Cookie": "session=1"}))
        transport.send("GET", "/x")
        transport.send("GET", "/x")
        assert "Cookie" not in script.requests("/x")[1]["headers"]

    @pytest.mark.parametrize("answer", ["drop", "hang", "cut"])
    def test_no_answer_to_a_call_that_spends_is_told_apart(self, script, transport, answer):
        script.on("/orders", answer)
        with pytest.raises(AnswerLost, match="may have been carried out"):
            transport.send("POST", "/orders", json={}, once=True)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, InvalidRequest),
            (403, NotAuthorized),
            (404, NotFound),
            (405, ApiError),
            (422, InvalidRequest),
            (451, LegalBlock),
        ],
    )
    def test_status_decides_the_class(self, script, transport, status, kind):
        script.on("/x", (status, {"title": "T", "status": status, "detail": "D"}, {"X-Request-Id": "r-1"}))
        with pytest.raises(kind) as caught:
            transport.send("GET", "/x")
        error = caught.value
        assert type(error) is kind
        assert (error.status, error.title, error.detail, error.request_id) == (status, "T", "D", "r-1")
        assert error.body["title"] == "T"
        assert "r-1" in str(error)

    def test_legacy_error_inside_a_200(self, script, transport):
        script.on("/x", (200, {"data": None, "error": {"code": 404, "message": "gone", "details": None}}, {}))
        with pytest.raises(NotFound, match="gone"):
            transport.json("GET", "/x")

    def test_success_that_is_not_json(self, script, transport):
        script.on("/x", (200, b"<html>", {}))
        with pytest.raises(UnexpectedAnswer, match="not JSON"):
            transport.json("GET", "/x")

    def test_still_limited_after_the_retries(self, script, transport):
        script.on("/x", (429, {}, {}))
        with pytest.raises(RateLimited, match="Lower the number"):
            transport.send("GET", "/x")
