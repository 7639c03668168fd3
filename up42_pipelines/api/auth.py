"""Tokens: the password grant, and one token shared by all threads until shortly before it expires."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from up42_pipelines.errors import ConfigurationError
from up42_pipelines.uptime import uptime_s

TOKEN_PATH = "/realms/public/protocol/openid-connect/token"  # noqa: S105 - a path, not a secret
USERINFO_PATH = "/realms/public/protocol/openid-connect/userinfo"
CLIENT_ID = "up42-api"
"""The OIDC client that UP42's authentication page gives to own clients."""

_EARLY_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The e-mail and password of a UP42 console user; neither appears in `repr`.

    Raises:
        ConfigurationError: one of them is empty.
    """

    username: str = field(repr=False)
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        missing = [name for name in ("username", "password") if not getattr(self, name)]
        if missing:
            raise ConfigurationError(
                f"No UP42 {' and '.join(missing)}: set the environment variables UP42_USERNAME and UP42_PASSWORD "
                "(the e-mail and password of the UP42 console, or those of the sandbox)."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token and its life.

    Attributes:
        value: the bearer token.
        lifetime_s: seconds from issue to expiry; UP42 answers 300.
    """

    value: str = field(repr=False)
    lifetime_s: float


class TokenSource:
    """Hands out the current token; asks for a new one when it is about to expire or was refused.

    Expiry is kept on a monotonic clock: the wall clock may jump (DST, NTP) and a 300 s token must not outlive it.
    Threads that find the token expired at the same time cause one request; the others wait for its answer.
    """

    def __init__(self, fetch: Callable[[], Token], *, clock: Callable[[], float] = uptime_s) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._good_until = float("-inf")

    def get(self) -> str:
        """The token to send now."""
        with self._lock:
            if self._token is None or self._clock() >= self._good_until:
                asked_at = self._clock()
                self._token = self._fetch()
                early = min(_EARLY_S, self._token.lifetime_s / 2)
                self._good_until = asked_at + self._token.lifetime_s - early
            return self._token.value

    def refuse(self, value: str) -> None:
        """Forget `value` after the API refused it; a newer token fetched meanwhile by another thread stays."""
        with self._lock:
            if self._token is not None and self._token.value == value:
                self._token = None
