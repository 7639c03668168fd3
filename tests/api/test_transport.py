import threading
import time

import pytest

from up42_pipelines.api import Credentials, Hosts, Transport
from up42_pipelines.api.auth import TOKEN_PATH
from up42_pipelines.errors import (
    AnswerLost,
    ApiError,
    ConfigurationError,
    InvalidRequest,
    LegalBlock,
    NotAuthorized,
    NotFound,
    RateLimited,
    ServerProblem,
    UnexpectedAnswer,
    Unreachable,
    WrongCredentials,
)

OK = (200, {"fine": True}, {})
BUSY = (503, {"title": "busy", "status": 503}, {})


class TestTokens:
    def test_password_grant_as_documented(self, script, transport):
        script.on("/x", OK)
        assert transport.json("GET", "/x") == {"fine": True}
        form = script.requests(TOKEN_PATH)[0]["body"].decode()
        assert "grant_type=password" in form
        assert "client_id=up42-api" in form
        assert "username=me%40example.com" in form
        assert "scope=openid" in form
        assert script.requests("/x")[0]["headers"]["Authorization"] == "Bearer token-1"

    def test_kept_until_shortly_before_expiry_on_the_given_clock(self, script, make_transport):
        now = [0.0]
        transport = make_transport(clock=lambda: now[0])
        script.on("/x", OK)
        for moment, tokens in [(0, 1), (269, 1), (271, 2), (540, 2), (542, 3)]:
            now[0] = moment
            transport.send("GET", "/x")
            assert script.tokens_issued == tokens, moment

    def test_wall_clock_does_not_matter(self, script, make_transport, monkeypatch):
        transport = make_transport()
        script.on("/x", OK)
        transport.send("GET", "/x")
        monkeypatch.setattr(time, "time", lambda: 4e9)
        transport.send("GET", "/x")
        assert script.tokens_issued == 1

    def test_threads_that_find_it_expired_cause_one_request(self, script, transport):
        script.on("/x", OK)
        barrier = threading.Barrier(16)

        def call():
            barrier.wait()
            transport.send("GET", "/x")

        threads = [threading.Thread(target=call) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert script.tokens_issued == 1
        assert len(script.requests("/x")) == 16

    def test_one_refresh_on_401(self, script, transport):
        script.on("/x", (401, {"title": "expired", "status": 401}, {}), OK)
        assert transport.json("GET", "/x") == {"fine": True}
        sent = [one["headers"]["Authorization"] for one in script.requests("/x")]
        assert sent == ["Bearer token-1", "Bearer token-2"]

    def test_a_second_401_is_an_error(self, script, transport):
        script.on("/x", (401, {"title": "no", "status": 401}, {}))
        with pytest.raises(NotAuthorized, match="renewed and refused again"):
            transport.send("GET", "/x")
        assert len(script.requests("/x")) == 2

    def test_many_threads_with_one_expired_token_refresh_it_once(self, script, transport):
        script.on("/first", OK)
        transport.send("GET", "/first")
        refused = transport._tokens.get()
        for _ in range(8):  # eight answers 401 to the same old token, in any order with the refresh
            transport._tokens.refuse(refused)
            transport._tokens.get()
        assert script.tokens_issued == 2

    def test_wrong_credentials_say_what_the_server_said_and_what_to_do(self, script, transport):
        script.on(TOKEN_PATH, (401, {"error": "invalid_grant", "error_description": "Invalid user credentials"}, {}))
        with pytest.raises(WrongCredentials, match=r"Invalid user credentials.*Check UP42_USERNAME") as caught:
            transport.send("GET", "/x")
        assert "geheim" not in str(caught.value)

    def test_a_failing_token_endpoint_is_not_called_wrong_credentials(self, script, transport):
        script.on(TOKEN_PATH, BUSY)
        with pytest.raises(ServerProblem):
            transport.send("GET", "/x")
        assert len(script.requests(TOKEN_PATH)) == 4

    def test_goes_to_our_hosts_only(self, script, transport):
        script.on("/x", OK)
        transport.send("GET", f"{script.url.replace('127.0.0.1', 'localhost')}/x")
        assert "Authorization" not in script.requests("/x")[0]["headers"]

    def test_secrets_are_in_no_repr(self, transport):
        credentials = Credentials(username="me@example.com", password="geheim")
        assert "geheim" not in repr(credentials) + repr(transport)


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
        assert transport.json("GET", "/x") == {"fine": True}

    def test_at_most_as_often_as_said(self, script, transport):
        script.on("/x", BUSY)
        with pytest.raises(ServerProblem):
            transport.send("GET", "/x")
        assert len(script.requests("/x")) == 4

    def test_retry_after_is_obeyed_and_capped(self, script, make_transport):
        from up42_pipelines.api import Patience

        patient = make_transport(patience=Patience(retries=1, backoff_s=0, longest_pause_s=1))
        script.on("/x", (429, {}, {"Retry-After": "3600"}), OK)
        begun = time.monotonic()
        patient.send("GET", "/x")
        assert 0.9 < time.monotonic() - begun < 5

    @pytest.mark.parametrize("answer", [BUSY, (429, {}, {"Retry-After": "0"}), (500, {}, {}), "drop", "hang"])
    def test_calls_that_spend_are_sent_once(self, script, transport, answer):
        script.on("/orders", answer, OK)
        with pytest.raises((ApiError, AnswerLost)):
            transport.send("POST", "/orders", json={}, once=True)
        assert len(script.requests("/orders")) == 1

    def test_nor_do_they_follow_redirects(self, script, transport):
        script.on("/orders", (307, {}, {"Location": "/elsewhere"}))
        script.on("/elsewhere", OK)
        with pytest.raises(ApiError):
            transport.send("POST", "/orders", json={}, once=True)
        assert not script.requests("/elsewhere")

    def test_client_errors_are_not_retried(self, script, transport):
        script.on("/x", (400, {"title": "bad"}, {}))
        with pytest.raises(InvalidRequest):
            transport.send("GET", "/x")
        assert len(script.requests("/x")) == 1


class TestErrors:
    def test_nothing_listening(self):
        transport = Transport(
            Hosts.of(api_url="http://127.0.0.1:9"), Credentials(username="a", password="b"), patience=_no_retries()
        )
        with pytest.raises(Unreachable, match="nothing was sent"):
            transport.send("GET", "/x")

    @pytest.mark.parametrize("answer", ["drop", "hang"])
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

    @pytest.mark.parametrize(
        ("body", "title", "detail"),
        [
            ({"data": None, "error": {"code": 422, "message": "M", "details": "D"}}, "M", "D"),
            ({"error": {"message": "Not Found"}}, "Not Found", None),
            ({"code": 404, "message": "M", "details": "D"}, "M", "D"),
            ({"title": "T", "status": 400, "schema-error": "S"}, "T", "S"),
            (
                {"title": "T", "errors": [{"name": "InvalidTitle", "message": "too long"}]},
                "T",
                "InvalidTitle: too long",
            ),
            ({"title": "T", "detail": {}}, "T", None),
            ({"code": "E", "description": "D"}, "D", None),
            (b"<html>gateway</html>", "<html>gateway</html>", None),
            ([], "Bad Request", None),
        ],
    )
    def test_every_generation_of_bodies_is_read(self, script, transport, body, title, detail):
        script.on("/x", (400, body, {}))
        with pytest.raises(InvalidRequest) as caught:
            transport.send("GET", "/x")
        assert (caught.value.title, caught.value.detail) == (title, detail)

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


class TestSettings:
    def test_regions(self):
        assert Hosts.of("eu").api == "https://api.up42.com"
        assert Hosts.of("sa").auth == "https://auth.sa.up42.com"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"region": "us"}, "eu, sa"),
            ({"auth_url": "https://auth.example.com"}, "without an API URL"),
            ({"api_url": "http://up42.example.com"}, "unencrypted"),
            ({"api_url": "up42.example.com"}, "not a base URL"),
            ({"api_url": "https://api.example.com/?x=1"}, "not a base URL"),
        ],
    )
    def test_contradictions_are_explained(self, options, message):
        with pytest.raises(ConfigurationError, match=message):
            Hosts.of(options.pop("region", "eu"), **options)

    def test_missing_credentials_name_the_variables(self):
        with pytest.raises(ConfigurationError, match="UP42_USERNAME and UP42_PASSWORD"):
            Credentials(username="", password="")


def _no_retries():
    from up42_pipelines.api import Patience

    return Patience(connect_s=1, read_s=1, retries=0)
