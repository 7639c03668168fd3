"""What faults do to requests and answers: layers around an application, each `(rule, app, scope, receive, send)`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from up42_pipelines.sandbox.account import tokens
from up42_pipelines.sandbox.control import fault_answers
from up42_pipelines.sandbox.control.fault_rules import (
    DelayFault,
    Fault,
    FlipByteFault,
    ListLagFault,
    SlowFault,
    StatusFault,
    TruncateFault,
    WrongLengthFault,
)
from up42_pipelines.sandbox.core import problems
from up42_pipelines.sandbox.core.problems import Refused

_PIECES_PER_SECOND = 10
_WITHOUT_BODY = frozenset({204, 205, 304})


async def drop_before(_rule: Fault, _app: ASGIApp, scope: Scope, receive: Receive, _send: Send) -> None:
    """Close the connection; the request is not carried out."""
    await _hang_up(scope, receive)


async def drop_after(_rule: Fault, app: ASGIApp, scope: Scope, receive: Receive, _send: Send) -> None:
    """Carry the request out and close the connection instead of answering."""

    async def swallow(message: Message) -> None:
        pass

    await app(scope, receive, swallow)
    await _hang_up(scope, receive)


async def unauthorized(_rule: Fault, _app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse as if the token had expired a second ago."""
    world = scope["app"].state.world
    expired = tokens.issue(world.database.secret, lifetime_seconds=-1, kind="Bearer", scope="")
    try:
        tokens.require(f"Bearer {expired}", world, scope["path"])
    except Refused as refused:
        await _answer(problems.answer(refused, scope["path"]), scope, receive, send)


async def status(rule: StatusFault, _app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer something else."""
    headers = {} if rule.retry_after is None else {"Retry-After": str(rule.retry_after)}
    known = {entry.value: entry.phrase for entry in HTTPStatus}
    if rule.status in _WITHOUT_BODY:
        answer = Response(status_code=rule.status, headers=headers)
    elif "body" in rule.model_fields_set:
        answer = JSONResponse(rule.body, status_code=rule.status, headers=headers)
    else:
        title = known.get(rule.status, "Unknown status")
        refused = Refused(rule.status, title, "asked for at /sandbox/faults", headers=headers)
        answer = problems.answer(refused, scope["path"])
    await _answer(answer, scope, receive, send)


async def expired_url(_rule: Fault, _app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse as the bucket does after five minutes."""
    details = "Request signature expired at: 1970-01-01T00:00:00+00:00"
    await _answer(problems.bucket_error(400, "ExpiredToken", "Invalid argument.", details), scope, receive, send)


async def no_range(_rule: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Behave as a server that knows no ranges."""
    headers = [(name, value) for name, value in scope["headers"] if name not in (b"range", b"if-range")]

    async def unadvertised(message: Message) -> None:
        if message["type"] == "http.response.start":
            del MutableHeaders(scope=message)["accept-ranges"]
        await send(message)

    await app({**scope, "headers": headers}, receive, unadvertised)


async def changed_etag(changes: int, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Show an object as if it had been replaced so many times by one with the same bytes."""
    headers = [
        (name, fault_answers.meant_etags(value.decode("latin-1"), changes).encode("latin-1"))
        if name in (b"if-match", b"if-none-match", b"if-range")
        else (name, value)
        for name, value in scope["headers"]
    ]

    async def renamed(message: Message) -> None:
        if message["type"] == "http.response.start":
            answered = MutableHeaders(scope=message)
            if "etag" in answered:
                answered["etag"] = fault_answers.shown_etag(answered["etag"], changes)
            if "x-goog-generation" in answered:
                answered["x-goog-generation"] = str(int(answered["x-goog-generation"]) + changes)
        await send(message)

    await app({**scope, "headers": headers}, receive, renamed)


async def list_lag(rule: ListLagFault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Tell the list what to leave out (see `Call.list_lag`); of several rules the longest lag counts."""
    seconds = max(rule.seconds, scope["state"].get("list_lag_s", 0))
    await app({**scope, "state": {**scope["state"], "list_lag_s": seconds}}, receive, send)


async def extra_fields(_rule: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Add fields that nobody knows."""
    await app(scope, receive, _rewriting_json(fault_answers.with_extra_fields, send))


async def unknown_status(_rule: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Show statuses that nobody knows."""
    await app(scope, receive, _rewriting_json(fault_answers.with_unknown_statuses, send))


async def flip_byte(rule: FlipByteFault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Change one bit."""
    ahead = 0

    async def flipping(message: Message) -> None:
        nonlocal ahead
        if message["type"] == "http.response.start":
            ahead = min(rule.at, _length(message) - 1)
        elif body := bytearray(message.get("body", b"")):
            if 0 <= ahead < len(body):
                body[ahead] ^= 1
            ahead -= len(body)
            message = {**message, "body": bytes(body)}
        await send(message)

    await app(scope, receive, flipping)


async def truncate(rule: TruncateFault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Announce the whole body and send the beginning."""
    await _reframe(lambda length: (length, min(length, rule.bytes)), app, scope, receive, send)


async def wrong_length(rule: WrongLengthFault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Announce more or less than the body has."""

    def plan(length: int) -> tuple[int, int]:
        claimed = max(length + rule.by, 0)
        return claimed, min(claimed, length)

    await _reframe(plan, app, scope, receive, send)


async def slow(rule: SlowFault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the body in small pieces, with pauses."""
    step = max(1, rule.bytes_per_second // _PIECES_PER_SECOND)

    async def trickling(message: Message) -> None:
        body = message.get("body", b"")
        for start in range(0, len(body), step):
            piece = body[start : start + step]
            await asyncio.sleep(len(piece) / rule.bytes_per_second)
            if scope["state"]["transport"].is_closing():
                return
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send(message if message["type"] == "http.response.start" else {**message, "body": b""})

    await app(scope, receive, trickling)


async def delay(rule: DelayFault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Hold the answer back."""

    async def late(message: Message) -> None:
        if message["type"] == "http.response.start":
            await asyncio.sleep(rule.seconds)
        await send(message)

    await app(scope, receive, late)


EFFECTS: dict[str, Callable[..., Awaitable[None]]] = {
    effect.__name__: effect
    for effect in (
        drop_before,
        drop_after,
        unauthorized,
        status,
        expired_url,
        no_range,
        list_lag,
        extra_fields,
        unknown_status,
        flip_byte,
        truncate,
        wrong_length,
        slow,
        delay,
    )
}
"""The effects by the kind of the rule. `changed_etag` is none of them: it outlasts the request it applied to."""


async def _answer(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer once the request has been read, so that the connection can be used again."""
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass
    await answer(scope, receive, send)


async def _hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection, after what was written, and return when it is closed.

    The server shows its transport (see `server`). Waiting for the end is what tells it that no answer is missing.
    """
    scope["state"]["transport"].close()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _reframe(
    plan: Callable[[int], tuple[int, int]], app: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Claim one length and send another: `plan` makes them of the true one. Less than claimed ends in a hang-up."""
    missing = left = 0

    async def reframing(message: Message) -> None:
        nonlocal missing, left
        if message["type"] == "http.response.start":
            claimed, left = plan(_length(message))
            missing = claimed - left if scope["method"] != "HEAD" else 0
            MutableHeaders(scope=message)["content-length"] = str(claimed)
            await send(message)
            return
        body = message.get("body", b"")[:left]
        left -= len(body)
        await send({**message, "body": body, "more_body": missing > 0 or message.get("more_body", False)})

    await app(scope, receive, reframing)
    if missing > 0:
        await _hang_up(scope, receive)


def _rewriting_json(change: Callable[[Any], Any], send: Send) -> Send:
    """Hold a JSON answer until it is whole, then send the changed one; others pass."""
    started: Message | None = None
    body = bytearray()

    async def rewriting(message: Message) -> None:
        nonlocal started
        if message["type"] == "http.response.start" and "json" in Headers(scope=message).get("content-type", ""):
            started = message
            return
        if started is None:
            await send(message)
            return
        body.extend(message.get("body", b""))
        if not message.get("more_body", False):
            changed = json.dumps(change(json.loads(body))).encode() if body else b""
            MutableHeaders(scope=started)["content-length"] = str(len(changed))
            await send(started)
            await send({**message, "body": changed})

    return rewriting


def _length(start: Message) -> int:
    return int(Headers(scope=start).get("content-length", 0))
