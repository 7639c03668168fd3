"""Where UP42 lives: the two regions, or base URLs that somebody names (the sandbox, a proxy)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import urlsplit

from up42_pipelines.errors import ConfigurationError

Region = Literal["eu", "sa"]

_REGIONS = {
    "eu": ("https://api.up42.com", "https://auth.up42.com"),
    "sa": ("https://api.sa.up42.com", "https://auth.sa.up42.com"),
}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """The base URLs of one UP42: no trailing slash, no path.

    Attributes:
        api: base of the REST API, for example `https://api.up42.com`.
        auth: base of the token endpoint, for example `https://auth.up42.com`.
    """

    api: str
    auth: str

    @classmethod
    def of(cls, region: str = "eu", *, api_url: str | None = None, auth_url: str | None = None) -> Self:
        """The hosts of a region, or the explicit base URLs when given.

        An explicit `api_url` alone serves authentication as well, as the sandbox does.

        Raises:
            ConfigurationError: unknown region, a malformed URL, an `auth_url` without an `api_url`, or plain
                http to anything but this machine (the password would travel in clear).
        """
        if api_url:
            return cls(api=_base_url(api_url), auth=_base_url(auth_url or api_url))
        if auth_url:
            raise ConfigurationError("An authentication URL without an API URL: give both, or neither and a region.")
        if region not in _REGIONS:
            raise ConfigurationError(f"Unknown UP42 region {region!r}: use one of {', '.join(_REGIONS)}.")
        api, auth = _REGIONS[region]
        return cls(api=api, auth=auth)


def _base_url(url: str) -> str:
    if "@" in url:  # it would appear in logs
        raise ConfigurationError("A base URL holds no user name or password: set UP42_USERNAME and UP42_PASSWORD.")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is not a base URL such as https://api.up42.com: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(f"{url!r} is not a base URL such as https://api.up42.com.")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigurationError(f"{url!r} would send the password unencrypted: use https.")
    return url.rstrip("/")
