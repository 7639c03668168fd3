"""From Starlette's requests to plain functions `handler(call) -> Response`, with the token checked on the way."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from up42_pipelines.sandbox.account import tokens
from up42_pipelines.sandbox.core import problems
from up42_pipelines.sandbox.core.clock import SECOND
from up42_pipelines.sandbox.world import World

MAX_BODY_BYTES = 20_000_000


@dataclass(frozen=True)
class Call:
    """One request, read to its end."""

    world: World
    request: Request
    body: bytes

    @property
    def origin(self) -> str:
        """Scheme, host and port the client used; links in answers begin with it."""
        return str(self.request.base_url).rstrip("/")

    @property
    def path(self) -> str:
        """Path of the request."""
        return self.request.url.path

    @property
    def list_lag(self) -> int:
        """How long a list hides what was placed, microseconds; above 0 only where a fault asks for it."""
        seconds: float = self.request.scope["state"].get("list_lag_s", 0)
        return round(seconds * SECOND)

    def query(self, name: str) -> str | None:
        """Return a query parameter, None when absent."""
        return self.request.query_params.get(name)

    def queries(self, name: str) -> list[str]:
        """Return all values of a repeated query parameter."""
        return self.request.query_params.getlist(name)

    def name(self, key: str) -> str:
        """Return a part of the path."""
        return str(self.request.path_params[key])

    def uuid(self, key: str, kind: str) -> str:
        """Return a UUID of the path, in lower case.

        Raises:
            Refused: 404, it is not a UUID, so there is no such thing.
        """
        text = self.name(key)
        if not is_uuid(text):
            raise problems.not_found(kind, text)
        return text.lower()

    def json_object(self) -> dict[str, Any]:
        """Decode the body.

        Raises:
            Refused: 400, it is not a JSON object.
        """
        try:
            value = json.loads(self.body, parse_constant=_refuse_constant)
            # Half a character, or a number beyond all floats, could not be answered or stored again.
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError) as problem:
            raise problems.bad_request(f"the body is not JSON: {problem}") from None
        if not isinstance(value, dict):
            raise problems.bad_request("the body must be a JSON object")
        return value


Handler = Callable[[Call], Response]


class ApiRoute(Route):
    """A route that knows enough about itself to be described to people (see `openapi`).

    Attributes:
        handler: what answers; its docstring is the description.
        public: whether it answers without a token.
        query: names of the query parameters.
        example: a request body that makes sense; None when there is no JSON body.
    """

    def __init__(
        self, path: str, handler: Handler, methods: Sequence[str], *, public: bool, query: Sequence[str], example: Any
    ) -> None:
        super().__init__(path, _endpoint(handler, public=public), methods=list(methods))
        self.handler, self.public, self.query, self.example = handler, public, tuple(query), example


def route(
    path: str,
    handler: Handler,
    methods: Sequence[str] = ("GET",),
    *,
    public: bool = False,
    query: Sequence[str] = (),
    example: Any = None,
) -> ApiRoute:
    """Serve a path; without `public` only with a valid token. Handlers run in a thread: they may block."""
    return ApiRoute(path, handler, methods, public=public, query=query, example=example)


def _endpoint(handler: Handler, *, public: bool) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        world: World = request.app.state.world
        if not public:
            tokens.require(request.headers.get("authorization"), world, request.url.path)
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise problems.Refused(413, "Payload Too Large", f"at most {MAX_BODY_BYTES} bytes are read")
        return await run_in_threadpool(handler, Call(world, request, bytes(body)))

    return endpoint


def is_uuid(text: object) -> bool:
    """Tell whether a text is a UUID in its usual form."""
    if not isinstance(text, str) or len(text) != 36:
        return False
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
