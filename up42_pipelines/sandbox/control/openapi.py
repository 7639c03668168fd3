"""The sandbox's calls as an OpenAPI document, made from the routes themselves."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from up42_pipelines import __version__
from up42_pipelines.sandbox.account import account
from up42_pipelines.sandbox.routing import ApiRoute

OWN_PATHS, OWN_TAG = "/sandbox/", "sandbox"
TOKEN_URL = "/realms/public/protocol/openid-connect/token"  # noqa: S105 - a path
_OWN = "The sandbox's own calls, to steer it and to look inside. **They are not UP42's.** None needs a token."
_INFO = {
    "title": "UP42 sandbox",
    "version": __version__,
    "description": (
        "A local UP42 for developing and testing: it speaks UP42's wire contract and is not UP42.\n\n"
        f"**Authorize**: user `{account.USERNAME}`, password `{account.PASSWORD}`, client `up42-sdk`"
        ". A token lasts five minutes. The id of the workspace is"
        f" `{account.WORKSPACE_ID}`."
    ),
}
_SCHEME = "up42"
_SECURITY = {
    _SCHEME: {
        "type": "oauth2",
        "description": "Choose *Request body* for the client credentials.",
        "flows": {"password": {"tokenUrl": TOKEN_URL, "scopes": {"openid": "who the token belongs to, too"}}},
    }
}


def document(routes: Iterable[ApiRoute], openapi: str = "3.1.0") -> dict[str, Any]:
    """Describe routes.

    Args:
        routes: what the application serves.
        openapi: version of the specification to name. The document uses nothing that 3.0 and 3.1 differ in.
    """
    tags: dict[str, str] = {}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        tag, about = _tag(route)
        tags.setdefault(tag, about)
        for method in sorted(_methods(route)):
            paths.setdefault(route.path_format, {})[method.lower()] = _operation(route, method, tag)
    return {
        "openapi": openapi,
        "info": _INFO,
        "tags": [{"name": name, "description": about} for name, about in tags.items()],
        "paths": paths,
        "components": {"securitySchemes": _SECURITY},
    }


def _methods(route: ApiRoute) -> set[str]:
    """Return the methods worth describing; HEAD is the one of GET without a body."""
    return (route.methods or set()) - {"HEAD"}


def _tag(route: ApiRoute) -> tuple[str, str]:
    if route.path.startswith(OWN_PATHS):
        return OWN_TAG, _OWN
    module = sys.modules[route.handler.__module__]
    return module.__name__.rpartition(".")[2], inspect.getdoc(module) or ""


def _operation(route: ApiRoute, method: str, tag: str) -> dict[str, Any]:
    summary, _, description = (inspect.getdoc(route.handler) or "").partition("\n")
    operation: dict[str, Any] = {
        "tags": [tag],
        "summary": summary.rstrip(".").replace("`", ""),  # plain text, unlike the description
        "description": description.strip(),
        "parameters": [
            *(_parameter(name, "path") for name in route.param_convertors),
            *(_parameter(name, "query") for name in route.query),
        ],
        "responses": {
            "2XX": {"description": "As UP42 answers."},
            "default": {"description": "An error, in the body that this part of the API uses."},
        },
    }
    if route.example is not None:
        operation["requestBody"] = {"content": _example(method, route.example), "required": True}
    if not route.public:
        operation["security"] = [{_SCHEME: ["openid"]}]
    return operation


def _parameter(name: str, place: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}}


def _example(method: str, example: Any) -> Mapping[str, Any]:
    media_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
    return {media_type: {"schema": {}, "example": example}}
