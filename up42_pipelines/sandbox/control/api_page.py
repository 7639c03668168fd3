"""A page for people that describes the sandbox's calls and lets them try: Swagger UI, from its package, offline."""

from __future__ import annotations

from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute
from swagger_ui_bundle import swagger_ui_path

from up42_pipelines.sandbox.control import openapi
from up42_pipelines.sandbox.core.problems import not_found
from up42_pipelines.sandbox.routing import ApiRoute, Call, route

_PAGE = "/sandbox/docs"
_ASSETS = (
    "favicon-16x16.png",
    "favicon-32x32.png",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-ui.css",
)


def document(call: Call) -> Response:
    """Return this description as OpenAPI 3.1."""
    return JSONResponse(openapi.document(_routes(call)))


def page_document(call: Call) -> Response:
    """Return this description as OpenAPI 3.0, which is what the Swagger UI of the page reads."""
    return JSONResponse(openapi.document(_routes(call), openapi="3.0.3"))


def to_page(call: Call) -> Response:  # noqa: ARG001 - every handler takes the call
    """Lead to the page; what it loads lies below it."""
    return RedirectResponse(f"{_PAGE}/")


def page(call: Call) -> Response:
    """Show this description to people, and let them try the calls."""
    from starlette.templating import Jinja2Templates  # few look at the page, and every start would wait for it

    context = {"openapi_spec_url": "./openapi.json", "initOAuth": {"clientId": "up42-sdk", "scopes": "openid"}}
    return Jinja2Templates(swagger_ui_path).TemplateResponse(call.request, "index.j2", context)


def asset(call: Call) -> Response:
    """Return what the page loads."""
    name = call.name("name")
    if name not in _ASSETS:
        raise not_found("File", name)
    return FileResponse(swagger_ui_path / name)


def _routes(call: Call) -> list[ApiRoute]:
    return [one for one in call.request.app.routes if isinstance(one, ApiRoute)]


ROUTES: list[BaseRoute] = [
    route("/sandbox/openapi.json", document, public=True),
    route(_PAGE, to_page, public=True),
    route(f"{_PAGE}/", page, public=True),
    route(f"{_PAGE}/openapi.json", page_document, public=True),
    route(f"{_PAGE}/{{name}}", asset, public=True),
]
