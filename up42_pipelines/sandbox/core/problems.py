"""Refusals, in the error body that the part of the API in question uses (UP42 API reference, errors)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from starlette.responses import JSONResponse, Response

BUCKET_PATH = "/storage/"
_V1_PATHS = ("/accounts/", "/catalog/", "/orders/", "/users/", "/webhooks/", "/workspaces/")


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


def answer(refused: Refused, path: str) -> Response:
    """Write a refusal in the way of the part of the API that a path belongs to.

    Keycloak's own errors, the bucket's XML, the data/error envelope of v1, problem JSON for everything else.
    """
    status, headers = refused.status, refused.headers
    if refused.body is not None:
        return JSONResponse(dict(refused.body), status_code=status, headers=headers)
    if path.startswith(BUCKET_PATH):
        return bucket_error(status, refused.title.replace(" ", ""), refused.title, refused.detail or "", headers)
    if path.startswith("/realms/"):
        body = {"error": "invalid_token" if status == 401 else "unknown_error", "error_description": refused.title}
        return JSONResponse(body, status_code=status, headers=headers)
    if path.startswith(_V1_PATHS):
        message = refused.title if refused.detail is None else f"{refused.title}: {refused.detail}"
        if status == 400 and refused.detail is not None:
            message = refused.detail
        error = {"code": refused.code or status, "message": message, "details": None}
        return JSONResponse({"error": error, "data": None}, status_code=status, headers=headers)
    problem = {"status": status, "title": refused.title, "detail": refused.detail}
    return JSONResponse(problem, status_code=status, headers=headers, media_type="application/problem+json")


def bucket_error(
    status: int, code: str, message: str, details: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Write an error of the bucket, as Google Cloud Storage does."""
    body = (
        "<?xml version='1.0' encoding='UTF-8'?>"
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message><Details>{escape(details)}</Details></Error>"
    )
    return Response(body, status_code=status, headers=headers, media_type="application/xml; charset=UTF-8")
