"""The one way to UP42: authentication, time-outs, retries, errors. Used by our calls and by pystac-client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectTimeout, InvalidJSONError, InvalidSchema, InvalidURL, MissingSchema
from urllib3.exceptions import InvalidHeader, MaxRetryError, NewConnectionError, ProtocolError, ReadTimeoutError
from urllib3.util.retry import Retry

from up42_pipelines import __version__
from up42_pipelines.api.auth import CLIENT_ID, TOKEN_PATH, Credentials, Token, TokenSource
from up42_pipelines.api.problems import error_of, legacy_error_of
from up42_pipelines.api.regions import Hosts
from up42_pipelines.errors import AnswerLost, TooLate, UnexpectedAnswer, Unreachable, WrongCredentials
from up42_pipelines.uptime import uptime_s

USER_AGENT = f"up42-pipelines/{__version__}"
RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
_JSON = {"Content-Type": "application/json"}
"""Sent with every call, also one without a body, as UP42's own client does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a call may take and how often a safe call is tried again.

    Attributes:
        connect_s: seconds to wait for a connection.
        read_s: seconds to wait between two pieces of an answer.
        retries: further tries of a safe call after 429, 5xx or a connection error.
        backoff_s: first pause between tries; doubles each time, plus up to as much at random.
        longest_pause_s: cap of one pause, a `Retry-After` of the server included.
    """

    connect_s: float = 10.0
    read_s: float = 60.0
    retries: int = 5
    backoff_s: float = 0.5
    longest_pause_s: float = 60.0


class Transport:
    """Sends requests to one UP42 on behalf of one user. Safe to share between threads.

    The bearer token goes to the API and authentication hosts only, whatever URL is asked for.

    Args:
        hosts: base URLs.
        credentials: whose account is used. No request is made before the first call.
        patience: time-outs and retries.
        clock: seconds that never go back; decides when a token is renewed and what is too late.
    """

    def __init__(
        self,
        hosts: Hosts,
        credentials: Credentials,
        *,
        patience: Patience | None = None,
        clock: Callable[[], float] = uptime_s,
    ) -> None:
        self.hosts, self._credentials, self._clock = hosts, credentials, clock
        self.patience = patience or Patience()
        self._tokens = TokenSource(self._fetch_token, clock=clock)
        self._retry = _Retry(
            total=self.patience.retries,
            status_forcelist=RETRIED_STATUSES,
            allowed_methods=None,
            backoff_factor=self.patience.backoff_s,
            backoff_jitter=self.patience.backoff_s,
            backoff_max=self.patience.longest_pause_s,
            retry_after_max=self.patience.longest_pause_s,  # type: ignore[arg-type]  # seconds; fractions work
            raise_on_status=False,
        )
        self._session = _session(self._retry)

    def __repr__(self) -> str:
        return f"Transport({self.hosts.api})"

    def send(
        self,
        method: str,
        target: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        once: bool = False,
        not_after: float | None = None,
    ) -> requests.Response:
        """Send one request with the bearer token and return the 2xx answer.

        A 401 is answered by one fresh token and one more try: the server has not carried the request out.

        Args:
            method: HTTP method.
            target: path below the API base, or a full URL (a paging link).
            params: query; a list value becomes repeated keys.
            json: body.
            headers: further headers.
            once: for calls that spend money: sent a single time, redirects not followed, never retried.
            not_after: for calls sent once: the last instant of `uptime_s` at which it may leave. Looked at when
                the token is there; the connection then takes up to `Patience.connect_s` per address, and as much for
                TLS.

        Raises:
            ApiError: any answer outside 2xx, as its subclass for the status.
            Unreachable: no connection, or no token; the request was not carried out.
            TooLate: it is later than `not_after`; the request was not carried out.
            AnswerLost: the connection broke or timed out after the request left.
        """
        url = f"{self.hosts.api}{target}" if target.startswith("/") else target
        ours = _origin(url) in (_origin(self.hosts.api), _origin(self.hosts.auth))

        def exchange(token: str | None) -> requests.Response:
            if not_after is not None and (late_s := self._clock() - not_after) > 0:
                raise TooLate(_too_late(method, url, late_s))
            sent = {**_JSON, **(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
            return self._exchange(method, url, params=params, json=json, headers=sent, once=once)

        token = self._tokens.get() if ours else None
        response = exchange(token)
        if token is not None and response.status_code == requests.codes.unauthorized:
            self._tokens.refuse(token)
            response = exchange(self._tokens.get())
        if not 200 <= response.status_code < 300:
            raise error_of(response)
        return response

    def json(self, method: str, target: str, **options: Any) -> Any:
        """The decoded JSON body of `send`.

        Raises:
            UnexpectedAnswer: the body is not JSON.
            ApiError: also for the older calls that answer 200 with an `error` object in the body.
        """
        response = self.send(method, target, **options)
        try:
            body = response.json()
        except requests.exceptions.JSONDecodeError as error:
            raise UnexpectedAnswer(f"{method} {response.url}: not JSON: {response.text[:200]!r}.") from error
        legacy = legacy_error_of(response, body)
        if legacy is not None:
            raise legacy
        return body

    def close(self) -> None:
        """Close idle connections; the transport can still be used afterwards."""
        self._session.close()

    def _fetch_token(self) -> Token:
        form = {
            "grant_type": "password",
            "username": self._credentials.username,
            "password": self._credentials.password,
            "client_id": CLIENT_ID,
            "scope": "openid",
        }
        url = f"{self.hosts.auth}{TOKEN_PATH}"
        try:
            response = self._exchange("POST", url, form=form)
        except AnswerLost as error:
            raise Unreachable(f"POST {url}: no token came back; the call that needs one was not sent.") from error
        if response.status_code in (400, 401):
            reason = error_of(response)
            raise WrongCredentials(
                method="POST",
                url=url,
                status=response.status_code,
                title=reason.title,
                detail=reason.detail,
                request_id=reason.request_id,
                body=reason.body,
                advice="Check UP42_USERNAME and UP42_PASSWORD, and that they belong to this region",
            )
        if response.status_code != requests.codes.ok:
            raise error_of(response)
        try:
            body = response.json()
            token, lifetime_s = body["access_token"], float(body.get("expires_in", 300))
        except (requests.exceptions.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise UnexpectedAnswer(f"POST {url}: a token answer that cannot be read.") from error
        if not isinstance(token, str) or not token:
            raise UnexpectedAnswer(f"POST {url}: a token answer without `access_token`.")
        return Token(value=token, lifetime_s=lifetime_s)

    def _exchange(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        once: bool = False,
    ) -> requests.Response:
        def request(session: requests.Session) -> requests.Response:
            return session.request(
                method,
                url,
                params=params,
                json=json,
                data=form,
                headers=headers,
                timeout=(self.patience.connect_s, self.patience.read_s),
                allow_redirects=not once and form is None,  # a form holds the password
            )

        try:
            if not once:
                return self._whole(method, url, lambda: request(self._session))
            # On a connection of its own: one that lay idle may be gone without notice, and whether a request that went
            # out on it was carried out, nobody could tell.
            with _session(_Retry(total=0, raise_on_status=False)) as session:
                return request(session)
        except (ConnectTimeout, MissingSchema, InvalidSchema, InvalidURL, InvalidJSONError) as error:
            raise Unreachable(_not_reached(method, url, error)) from error
        except requests.exceptions.ConnectionError as error:
            if _never_connected(error):
                raise Unreachable(_not_reached(method, url, error)) from error
            raise AnswerLost(_lost(method, url, error)) from error
        except requests.exceptions.RequestException as error:
            raise AnswerLost(_lost(method, url, error)) from error

    def _whole(self, method: str, url: str, request: Callable[[], requests.Response]) -> requests.Response:
        """Ask again while the body breaks off: requests reads it after urllib3's own retries are over."""
        retry = self._retry
        while True:
            try:
                return request()
            except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError) as broken:
                if not _broke_off(broken):
                    raise
                try:
                    retry = retry.increment(method, url, error=ProtocolError(broken))
                except MaxRetryError:
                    raise broken from None
                retry.sleep()


class _Retry(Retry):
    def parse_retry_after(self, retry_after: str) -> float:
        """Seconds to wait as the server says it; 0, the usual pause, where it says nothing that can be understood."""
        try:
            return super().parse_retry_after(retry_after)
        except InvalidHeader:
            return 0


class _Session(requests.Session):
    """A session that knows no passwords but ours: requests would take one from ~/.netrc in the place of our token."""

    def __init__(self) -> None:
        super().__init__()
        self.auth = _as_it_is

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """After a redirect: the token does not go to another host."""
        if self.should_strip_auth(str(response.request.url), str(prepared_request.url)):  # type: ignore[no-untyped-call]
            prepared_request.headers.pop("Authorization", None)


def _session(retry: Retry) -> requests.Session:
    session = _Session()
    session.headers["User-Agent"] = USER_AGENT
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # cookies would be shared state between threads
    adapter = HTTPAdapter(max_retries=retry)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _origin(url: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(url)
    except ValueError:  # requests says what is wrong with it
        return None
    return parts.scheme, parts.netloc


def _broke_off(error: requests.exceptions.RequestException) -> bool:
    """Whether the body stopped coming in the middle; anything before it was urllib3's to try again."""
    cause = error.args[0] if error.args else None
    return isinstance(error, requests.exceptions.ChunkedEncodingError) or isinstance(cause, ReadTimeoutError)


def _never_connected(error: requests.exceptions.ConnectionError) -> bool:
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(reason, NewConnectionError)


def _not_reached(method: str, url: str, error: Exception) -> str:
    why = _reason(error)
    return f"{method} {url}: UP42 cannot be reached ({why}). Check the network and the base URL; nothing was sent."


def _too_late(method: str, url: str, late_s: float) -> str:
    return (
        f"{method} {url}: not sent, because it could only leave {late_s:.1f} s after the last moment for it; "
        "nothing was carried out. Look again whether it is still wanted before it is tried anew."
    )


def _lost(method: str, url: str, error: Exception) -> str:
    return f"{method} {url}: no answer came back ({_reason(error)}); the request may have been carried out."


def _reason(error: Exception) -> str:
    cause = error.args[0] if error.args else error
    return str(getattr(cause, "reason", cause)).rsplit(": ", 1)[-1]
