"""Reading UP42's error bodies: many shapes, one error tree."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import requests

from up42_pipelines.errors import (
    AlreadyDecided,
    ApiError,
    InvalidRequest,
    LegalBlock,
    NotAuthorized,
    NotFound,
    RateLimited,
    ServerProblem,
)

_REQUEST_ID_HEADERS = ("x-request-id", "x-correlation-id", "x-b3-traceid", "x-cloud-trace-context", "traceparent")
"""UP42 documents none; these are what its kind of gateway sends."""

_CLASSES: dict[int, type[ApiError]] = {
    400: InvalidRequest,
    401: NotAuthorized,
    403: NotAuthorized,
    404: NotFound,
    422: InvalidRequest,
    429: RateLimited,
    451: LegalBlock,
}
_ADVICE = {
    401: "The token was renewed and refused again: check that the user may use this workspace",
    403: "The user's role or plan does not allow this",
    429: "Lower the number of concurrent runs, or try later",
    451: "Accept the EULA or request access to the collection in the UP42 console, then run again",
}
_FIRST_SERVER_ERROR = 500
_ERROR_STATUS = re.compile(r"[45][0-9]{2}")
_METHOD_NOT_ALLOWED = 405
_DECISIONS = "/v2/tasking/"
_EULA = re.compile(r"\bEULA ([0-9a-f]{8}-[0-9a-f-]{27})", re.IGNORECASE)
_COLLECTION = re.compile(r"\baccess to collection (\S+) is restricted", re.IGNORECASE)


def error_of(response: requests.Response) -> ApiError:
    """The error of an answer outside 2xx."""
    try:
        body = response.json()
    except requests.exceptions.JSONDecodeError:
        body = response.text
    title, detail = describe(body)
    return _build(response, response.status_code, title or response.reason or "no reason given", detail, body)


def legacy_error_of(response: requests.Response, body: Any) -> ApiError | None:
    """The error inside a 200 of the v1 API (`{"data": null, "error": {...}}`), or None.

    An `error` beside other things is none: whatever it says, an order id next to it was paid for.
    """
    if not isinstance(body, Mapping) or body.get("error") is None or body.get("data") is not None:
        return None
    if "data" not in body and len(body) > 1:
        return None
    title, detail = describe(body)
    code = str(body["error"].get("code")) if isinstance(body["error"], Mapping) else ""
    status = int(code) if _ERROR_STATUS.fullmatch(code) else response.status_code
    return _build(response, status, title or "error", detail, body)


def describe(body: Any) -> tuple[str | None, str | None]:
    """Title and detail of an error body.

    Shapes: v1 `{"error": {"code", "message", "details"}}`, v2 `{"title", "status", "detail"}`, glossary
    `{"code", "message", "details"}`, processing `{"title", "schema-error" | "errors": [{"name", "message"}]}`,
    Keycloak `{"error", "error_description"}`, Spring `{"error", "message"}`, STAC API `{"code", "description"}`, and
    plain text.
    """
    if isinstance(body, str):
        return (body.strip()[:300] or None), None
    if not isinstance(body, Mapping):
        return None, None
    error = body.get("error")
    if isinstance(error, Mapping):
        return _text(error.get("message") or error.get("code")), _text(error.get("details"))
    if error is not None:
        return _text(body.get("error_description") or error), _text(body.get("message"))
    title = _text(body.get("title") or body.get("message") or body.get("description"))
    parts = [body.get("detail") or body.get("details"), body.get("schema-error"), *_named(body.get("errors"))]
    return title, "; ".join(filter(None, map(_text, parts))) or None


def _named(problems: Any) -> list[str]:
    """The entries of `errors` as `name: message`; an entry of another shape as it is."""
    if not isinstance(problems, list):
        return [] if problems is None else [str(problems)]
    return [
        ": ".join(filter(None, (_text(one.get("name")), _text(one.get("message"))))) or str(one)
        if isinstance(one, Mapping)
        else str(one)
        for one in problems
    ]


def _text(value: Any) -> str | None:
    return None if value in (None, "", {}, []) else str(value)


def _build(response: requests.Response, status: int, title: str, detail: str | None, body: Any) -> ApiError:
    kind = _CLASSES.get(status, ServerProblem if status >= _FIRST_SERVER_ERROR else ApiError)
    advice = _ADVICE.get(status)
    url = str(response.url).split("?", 1)[0]
    if status == _METHOD_NOT_ALLOWED and _DECISIONS in url:
        kind, advice = AlreadyDecided, "A decision stands for good; list it to see who decided what"
    eula, collection = _found(_EULA, title), _found(_COLLECTION, title)
    if kind is LegalBlock and eula:
        advice = f"Accept EULA {eula} in the UP42 console, then run again"
    elif kind is LegalBlock and collection:
        advice = f"Request access to collection {collection} in the UP42 console (it may take days), then run again"
    error = kind(
        method=str(response.request.method),
        url=url,
        status=status,
        title=title,
        detail=detail,
        request_id=next((response.headers[name] for name in _REQUEST_ID_HEADERS if name in response.headers), None),
        body=body,
        advice=advice,
    )
    if isinstance(error, LegalBlock):
        error.eula_id, error.collection = eula, collection
    return error


def _found(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match[1] if match else None
