"""Refusals, in the error body that the part of the API in question uses (UP42 API reference, errors)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse


class Refused(Exception):
    """The request is answered with an error.

    Attributes:
        status: HTTP status.
        title: what is wrong.
        detail: more about it.
        body: a whole JSON body, where the call has a shape of its own.
        code: the `code` of a v1 body; the status when it has none of its own.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(title)
        self.status, self.title, self.detail = status, title, detail
        self.body, self.code, self.headers = body, code, headers


def not_found(kind: str, identifier: str) -> Refused:
    """Say that a v2 resource does not exist."""
    return Refused(404, f"Resource ({kind}) not found with Id='{identifier}'.")


def bad_request(detail: str) -> Refused:
    """Say that the request breaks a rule."""
    return Refused(400, "Bad Request", detail, code="INVALID_ARGUMENT")


def answer(refused: Refused, path: str) -> JSONResponse:
    """Write a refusal: problem JSON under /v2 and /sandbox, the data/error envelope on the older paths."""
    if refused.body is not None:
        return JSONResponse(dict(refused.body), status_code=refused.status, headers=refused.headers)
    if path.startswith(("/v2/", "/sandbox/")) or refused.status == 404:
        body: dict[str, Any] = {"status": refused.status, "title": refused.title, "detail": refused.detail}
        return JSONResponse(
            body, status_code=refused.status, headers=refused.headers, media_type="application/problem+json"
        )
    message = refused.title if refused.detail is None else f"{refused.title}: {refused.detail}"
    if refused.status == 400 and refused.detail is not None:
        message = refused.detail
    error = {"code": refused.code or refused.status, "message": message, "details": None}
    return JSONResponse({"error": error, "data": None}, status_code=refused.status, headers=refused.headers)
