"""Keycloak's token endpoint and userinfo (UP42 API reference, authentication)."""

from __future__ import annotations

import base64
import hmac
import uuid
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox.account import account, tokens
from up42_pipelines.sandbox.routing import Call, route

_REALM = "/realms/public/protocol/openid-connect"
_REFRESH_SECONDS = 1800


def issue_token(call: Call) -> Response:
    """Password grant; every refusal has the body that Keycloak sends."""
    try:
        form = {key: values[-1] for key, values in parse_qs(call.body.decode(), keep_blank_values=True).items()}
    except ValueError:
        form = {}
    if "grant_type" not in form:
        return _refusal(400, "invalid_request", "Missing form parameter: grant_type")
    if (form.get("client_id") or _basic_user(call)) not in account.CLIENT_IDS:
        return _refusal(401, "invalid_client", "Invalid client or Invalid client credentials")
    if form["grant_type"] != "password":
        return _refusal(400, "unsupported_grant_type", "Unsupported grant_type")
    given = (form.get("username", "").lower(), form.get("password", ""))
    expected = (account.USERNAME, account.PASSWORD)
    if not all(hmac.compare_digest(one.encode(), other.encode()) for one, other in zip(given, expected, strict=True)):
        return _refusal(401, "invalid_grant", "Invalid user credentials")
    scope = " ".join(dict.fromkeys([*form.get("scope", "").split(), "ACCOUNT_ADMIN", "USER"]))
    secret = call.world.database.secret
    return JSONResponse(
        {
            "access_token": tokens.issue(secret, lifetime_seconds=tokens.LIFETIME_SECONDS, kind="Bearer", scope=scope),
            "expires_in": tokens.LIFETIME_SECONDS,
            "refresh_expires_in": _REFRESH_SECONDS,
            "refresh_token": tokens.issue(secret, lifetime_seconds=_REFRESH_SECONDS, kind="Refresh", scope=scope),
            "token_type": "Bearer",
            "not-before-policy": 0,
            "session_state": str(uuid.uuid4()),
            "scope": scope,
        },
        headers={"Cache-Control": "no-store"},
    )


def _basic_user(call: Call) -> str | None:
    """Return the client id from HTTP Basic: RFC 6749 (2.3.1) lets a client name itself there instead of in the form."""
    scheme, _, encoded = (call.request.headers.get("authorization") or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[0]
    except ValueError:
        return None


def userinfo(call: Call) -> Response:
    """Say who the token belongs to: `sub` is the workspace id. As at Keycloak, the scope `openid` is needed."""
    try:
        claims = tokens.bearer_claims(call.request.headers.get("authorization"), call.world.database.secret)
    except tokens.BadToken:
        return _refusal(401, "invalid_token", "Token verification failed")
    if "openid" not in claims["scope"].split():
        return _refusal(403, "insufficient_scope", "Missing openid scope")
    return JSONResponse(
        {
            "sub": claims["sub"],
            "email_verified": True,
            "preferred_username": claims["preferred_username"],
            "email": claims["preferred_username"],
        }
    )


def _refusal(status: int, error: str, description: str) -> Response:
    headers = {"WWW-Authenticate": f'Bearer error="{error}"'} if status == 401 else None
    return JSONResponse({"error": error, "error_description": description}, status_code=status, headers=headers)


ROUTES: list[BaseRoute] = [
    route(f"{_REALM}/token", issue_token, ["POST"], public=True),
    route(f"{_REALM}/userinfo", userinfo, ["GET", "POST"], public=True),
]
