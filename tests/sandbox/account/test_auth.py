import base64
import json
import time

import pytest
import requests

from up42_pipelines.sandbox.account import tokens
from up42_pipelines.sandbox.core.database import Database

TOKEN = "/realms/public/protocol/openid-connect/token"
USERINFO = "/realms/public/protocol/openid-connect/userinfo"
GOOD = {
    "grant_type": "password",
    "username": "sandbox@example.com",
    "password": "sandbox",
    "client_id": "up42-api",
}


@pytest.fixture(scope="module")
def secret(start_sandbox):
    """A stopped sandbox's key, and a running sandbox that uses it."""
    first = start_sandbox()
    first.stop()
    database = Database(first.state)
    key = database.secret
    database.close()
    return start_sandbox(first.state), key


def test_a_token_lives_five_minutes_and_names_the_workspace(sandbox):
    answer = requests.post(sandbox.url + TOKEN, data=GOOD | {"scope": "openid"}, timeout=10)
    body = answer.json()
    assert (answer.status_code, body["expires_in"], body["token_type"]) == (200, 300, "Bearer")
    assert {"refresh_token", "refresh_expires_in", "session_state", "scope", "not-before-policy"} <= set(body)
    claims = json.loads(base64.urlsafe_b64decode(body["access_token"].split(".")[1] + "=="))
    assert 290 < claims["exp"] - time.time() <= 300
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert requests.get(sandbox.url + USERINFO, headers=headers, timeout=10).json()["sub"] == claims["sub"]


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"password": "wrong"}, 401, "invalid_grant"),
        ({"username": "somebody@example.com"}, 401, "invalid_grant"),
        ({"client_id": "console"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
    ],
)
def test_refuses_as_keycloak_does(sandbox, change, status, error):
    answer = requests.post(sandbox.url + TOKEN, data=GOOD | change, timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_a_client_may_name_itself_by_http_basic(sandbox):
    form = {name: value for name, value in GOOD.items() if name != "client_id"}
    assert requests.post(sandbox.url + TOKEN, data=form, auth=("up42-api", ""), timeout=10).status_code == 200
    for other in ({"auth": ("console", "")}, {"headers": {"Authorization": "Basic $$$"}}, {}):
        answer = requests.post(sandbox.url + TOKEN, data=form, timeout=10, **other)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("header", [None, "Bearer rubbish", "Bearer a.b.c", "Basic c2FuZGJveA=="])
def test_every_generation_of_the_api_says_401_in_its_own_words(sandbox, header):
    headers = {} if header is None else {"Authorization": header}
    v2 = requests.get(sandbox.url + "/v2/orders", headers=headers, timeout=10)
    assert (v2.status_code, v2.json()["status"], v2.json()["title"]) == (401, 401, "Unauthorized")
    v1 = requests.post(sandbox.url + "/catalog/hosts/sandbox-host/stac/search", json={}, headers=headers, timeout=10)
    assert (v1.status_code, v1.json()["error"]["code"], v1.json()["data"]) == (401, "UNAUTHORIZED", None)
    userinfo = requests.get(sandbox.url + USERINFO, headers=headers, timeout=10)
    assert (userinfo.status_code, userinfo.json()["error"]) == (401, "invalid_token")


def test_an_expired_token_is_refused_and_says_so(secret):
    running, key = secret
    expired = tokens.issue(key, lifetime_seconds=-1, kind="Bearer", scope="openid")
    answer = requests.get(running.url + "/v2/orders", headers={"Authorization": f"Bearer {expired}"}, timeout=10)
    assert answer.status_code == 401
    assert "ACCESS_TOKEN_EXPIRED" in answer.json()["detail"]


def test_a_token_survives_a_restart_but_a_refresh_token_opens_nothing(secret):
    running, key = secret
    for kind, status in (("Bearer", 200), ("Refresh", 401)):
        token = tokens.issue(key, lifetime_seconds=60, kind=kind, scope="openid")
        headers = {"Authorization": f"Bearer {token}"}
        assert requests.get(running.url + "/v2/orders", headers=headers, timeout=10).status_code == status
