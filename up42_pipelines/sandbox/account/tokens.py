"""Access tokens: signed with the state's secret, so that they outlive a restart; five real minutes long."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from up42_pipelines.sandbox.account import account
from up42_pipelines.sandbox.core.clock import SECOND, timestamp
from up42_pipelines.sandbox.core.problems import Refused
from up42_pipelines.sandbox.world import World

LIFETIME_SECONDS = 300


class BadToken(ValueError):
    """A token is missing, forged or expired; the message says which."""


def issue(secret: bytes, *, lifetime_seconds: int, kind: str, scope: str) -> str:
    """Make a token that expires `lifetime_seconds` of real time from now."""
    issued = int(time.time())
    claims = {
        "sub": account.WORKSPACE_ID,
        "preferred_username": account.USERNAME,
        "typ": kind,
        "iat": issued,
        "exp": issued + lifetime_seconds,
        "scope": scope,
    }
    return sign(secret, claims)


def sign(secret: bytes, claims: Mapping[str, Any]) -> str:
    """Write claims as a JSON web token (HS256)."""
    signed = f"{_encode({'alg': 'HS256', 'typ': 'JWT'})}.{_encode(claims)}"
    return f"{signed}.{_signature(secret, signed)}"


def verify(secret: bytes, token: str) -> dict[str, Any]:
    """Return the claims of an access token.

    Raises:
        BadToken: not one of ours, a refresh token, or expired.
    """
    signed, _, signature = token.rpartition(".")
    if not hmac.compare_digest(_signature(secret, signed).encode(), signature.encode()):
        raise BadToken("INVALID_ACCESS_TOKEN: the signature does not match.")
    payload = signed.partition(".")[2]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if claims["typ"] != "Bearer":
        raise BadToken("INVALID_ACCESS_TOKEN: not an access token.")
    if time.time() >= claims["exp"]:
        expired_at = timestamp(claims["exp"] * SECOND)
        raise BadToken(f"ACCESS_TOKEN_EXPIRED: JWT expired at {expired_at}. Allowed clock skew: 0 milliseconds.")
    return claims


def bearer_claims(header: str | None, secret: bytes) -> dict[str, Any]:
    """Return the claims behind an `Authorization` header.

    Raises:
        BadToken: see `verify`, or there is no token.
    """
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise BadToken("UNAUTHORIZED: an access token is required.")
    return verify(secret, token.strip())


def require(header: str | None, world: World, path: str) -> None:
    """Let a call pass only with a valid token.

    Raises:
        Refused: 401, problem JSON on v2 paths, the older envelope elsewhere.
    """
    try:
        bearer_claims(header, world.database.secret)
    except BadToken as problem:
        headers = {"WWW-Authenticate": "Bearer"}
        if path.startswith("/v2/"):
            raise Refused(401, "Unauthorized", str(problem), headers=headers) from None
        raise Refused(401, str(problem), code="UNAUTHORIZED", headers=headers) from None


def _encode(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part, separators=(",", ":")).encode()).decode().rstrip("=")


def _signature(secret: bytes, signed: str) -> str:
    digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
