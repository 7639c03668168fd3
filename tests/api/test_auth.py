"""Tokens: asked for once, renewed in time, and seen by nobody."""

import threading
import time

import pytest

from up42_pipelines.api import Credentials
from up42_pipelines.api.auth import TOKEN_PATH, Token, TokenSource
from up42_pipelines.errors import (
    ApiError,
    ConfigurationError,
    NotAuthorized,
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

    def test_of_a_short_life_is_still_used_more_than_once(self, script, make_transport):
        now = [0.0]
        transport = make_transport(clock=lambda: now[0])
        script.on("/x", OK)
        script.token_lifetime_s = 20
        for moment, tokens in [(0, 1), (9, 1), (11, 2), (20, 2), (22, 3)]:
            now[0] = moment
            transport.send("GET", "/x")
            assert script.tokens_issued == tokens, moment

    def test_life_begins_when_it_is_asked_for(self):
        now, fetched = [0.0], []

        def fetch():
            now[0] += 100  # a slow answer
            fetched.append(now[0])
            return Token(value=f"token-{len(fetched)}", lifetime_s=300)

        tokens = TokenSource(fetch, clock=lambda: now[0])
        assert tokens.get() == "token-1"
        now[0] = 269
        assert tokens.get() == "token-1"
        now[0] = 271
        assert tokens.get() == "token-2"

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

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            [],
            "text",
            {"access_token": None},
            {"access_token": ""},
            {"access_token": "x", "expires_in": "soon"},
            b"<",
        ],
    )
    def test_an_answer_that_holds_none(self, script, transport, answer):
        script.on(TOKEN_PATH, (200, answer, {}))
        with pytest.raises(UnexpectedAnswer, match=f"{TOKEN_PATH}: a token answer"):
            transport.send("GET", "/x")
        assert script.requests("/x") == []

    @pytest.mark.parametrize("answer", ["drop", "cut"])
    def test_without_one_nothing_is_sent_and_that_is_certain(self, script, transport, answer):
        script.on(TOKEN_PATH, answer)
        with pytest.raises(Unreachable, match="no token came back"):
            transport.send("POST", "/orders", json={}, once=True)
        assert script.requests("/orders") == []

    def test_a_password_file_of_the_user_changes_nothing(self, script, transport, monkeypatch, tmp_path):
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        script.on("/x", OK)
        transport.send("GET", "/x")
        assert script.requests("/x")[0]["headers"]["Authorization"] == "Bearer token-1"

    @pytest.mark.parametrize(("host", "sent"), [("127.0.0.1", "Bearer token-1"), ("localhost", None)])
    def test_nor_after_a_redirect(self, script, transport, monkeypatch, tmp_path, host, sent):
        (tmp_path / "netrc").write_text("default login somebody password else\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        script.on("/x", (302, b"", {"Location": f"{script.url.replace('127.0.0.1', host)}/y"}))
        script.on("/y", OK)
        transport.send("GET", "/x")
        assert script.requests("/y")[0]["headers"].get("Authorization") == sent

    @pytest.mark.parametrize("status", [302, 307, 308])
    def test_the_password_follows_no_redirect(self, script, transport, status):
        script.on(TOKEN_PATH, (status, b"", {"Location": f"{script.url.replace('127.0.0.1', 'localhost')}/y"}))
        script.on("/y", (200, {"access_token": "x"}, {}))
        with pytest.raises(ApiError, match=f"{TOKEN_PATH}: {status}"):
            transport.send("GET", "/x")
        assert script.requests("/y") == []

    def test_goes_to_our_hosts_only(self, script, transport):
        script.on("/x", OK)
        transport.send("GET", f"{script.url.replace('127.0.0.1', 'localhost')}/x")
        assert "Authorization" not in script.requests("/x")[0]["headers"]

    def test_secrets_are_in_no_repr(self, transport):
        credentials = Credentials(username="me@example.com", password="geheim")
        shown = [credentials, transport, Token(value="geheim", lifetime_s=300)]
        assert "geheim" not in repr(shown)
        assert "me@example.com" not in repr(shown)

    @pytest.mark.parametrize("missing", [{"username": ""}, {"password": ""}, {"username": "", "password": ""}])
    def test_missing_credentials_name_the_variables(self, missing):
        with pytest.raises(ConfigurationError, match="UP42_USERNAME and UP42_PASSWORD") as caught:
            Credentials(**{"username": "me@example.com", "password": "geheim", **missing})
        assert " and ".join(missing) in str(caught.value)
        assert "geheim" not in str(caught.value)
