"""Webhooks: where changes of orders and jobs are reported (UP42 API reference, webhooks)."""

from __future__ import annotations

import ipaddress
import json
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from up42_pipelines.sandbox.account import account
from up42_pipelines.sandbox.catalog.products import HOST
from up42_pipelines.sandbox.core.clock import timestamp
from up42_pipelines.sandbox.core.problems import Refused, bad_request, not_found
from up42_pipelines.sandbox.routing import Call, route
from up42_pipelines.sandbox.webhooks import webhook_book, webhook_messages, webhook_sender
from up42_pipelines.sandbox.webhooks.webhook_book import JOB_STATUS, ORDER_STATUS, Draft, Webhook

MAX_SECRET_LENGTH = 500
EVENTS = (
    {
        "name": ORDER_STATUS,
        "title": "Order completion",
        "category": "order",
        "description": "Sent when an order ends, successfully or not.",
        "documentation": "https://docs.up42.com/developers/api-webhooks",
    },
    {
        "name": JOB_STATUS,
        "title": "Job status change",
        "category": "job",
        "description": "Sent whenever the status of a processing job changes.",
        "documentation": "https://docs.up42.com/developers/api-webhooks",
    },
)
_TEST_ID = "00000000-0000-0000-0000-000000000001"
_TEST_BODIES: dict[str, dict[str, Any]] = {
    ORDER_STATUS: {
        "orderId": _TEST_ID,
        "orderType": "TASKING",
        "dataHostName": HOST,
        "status": "FULFILLED",
        "statusIsFinal": True,
    },
    JOB_STATUS: {"jobId": _TEST_ID, "processId": "test", "status": "successful", "statusIsFinal": True},
}


def list_events(call: Call) -> Response:  # noqa: ARG001 - every handler takes the call
    """List what can be reported."""
    return _data(list(EVENTS))


def list_webhooks(call: Call) -> Response:
    """List the webhooks of the workspace, in one piece."""
    _check_workspace(call)
    return _data([webhook.as_json() for webhook in webhook_book.every(call.world.database)])


def get_webhook(call: Call) -> Response:
    """Return one webhook, its secret in clear."""
    return _data(_webhook(call).as_json())


def create_webhook(call: Call) -> Response:
    """Create a webhook; it is only called while it is active."""
    _check_workspace(call)
    draft = read(call.json_object())
    return _data(webhook_book.create(call.world.database, draft, call.world.now()).as_json(), status=201)


def replace_webhook(call: Call) -> Response:
    """Write a webhook anew: what is not given gets its default."""
    webhook, draft = _webhook(call), read(call.json_object())
    with call.world.database.transaction():
        now = call.world.now()
        # What happened until now is reported as the webhook was when it happened.
        webhook_messages.collect(call.world, now)
        webhook_book.replace(call.world.database, webhook.id, draft, now)
    return get_webhook(call)


def delete_webhook(call: Call) -> Response:
    """Remove a webhook and what was still to be sent to it."""
    webhook_book.delete(call.world.database, _webhook(call).id)
    return Response(status_code=204)


def send_tests(call: Call) -> Response:
    """Send one test message per event now, also to a webhook that is not active, and report how they were taken."""
    webhook = _webhook(call)
    started = timestamp(call.world.now())
    tests = [_test(call, webhook, event) for event in webhook.draft.events]
    succeeded = sum(test["success"] for test in tests)
    return _data(
        {
            "startedAt": started,
            "testsRun": len(tests),
            "testsSucceeded": succeeded,
            "testsFailed": len(tests) - succeeded,
            "tests": tests,
        }
    )


def read(body: dict[str, Any]) -> Draft:
    """Read the body that creates or replaces a webhook.

    Raises:
        Refused: 400, something is missing or makes no sense.
    """
    name, events, secret, active = body.get("name"), body.get("events"), body.get("secret"), body.get("active", False)
    known = [event["name"] for event in EVENTS]
    if not isinstance(name, str) or not name.strip():
        raise bad_request("name must not be empty")
    if not isinstance(events, list) or not events or any(event not in known for event in events):
        raise bad_request(f"events must be a list of one or more of {known}")
    secret = "" if secret is None else secret
    if not isinstance(secret, str) or len(secret) > MAX_SECRET_LENGTH:
        raise bad_request(f"secret must be a text of at most {MAX_SECRET_LENGTH} characters")
    if not isinstance(active, bool):
        raise bad_request("active must be true or false")
    return Draft(name, _read_url(body.get("url")), tuple(dict.fromkeys(events)), active, secret)


def _read_url(url: object) -> str:
    """Accept https, and http on loopback (UP42 does not): a receiver beside the sandbox needs no certificate."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))):
        raise bad_request("url must be an https URL, or an http URL on loopback")
    return str(url)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _test(call: Call, webhook: Webhook, event: str) -> dict[str, Any]:
    now = call.world.now()
    body = webhook_messages.as_json(event, str(uuid.uuid4()), now, _TEST_BODIES[event], live=False)
    raw = json.dumps(body).encode()
    headers = webhook_sender.signature_headers(webhook.draft.secret, raw, int(time.time()))
    outcome = webhook_sender.post(webhook.draft.url, headers, raw)
    return {
        "startedAt": timestamp(now),
        "eventName": event,
        "success": outcome.success,
        "message": "Test request was successful!" if outcome.success else f"Test request failed: {outcome.message}",
        "request": {"headers": headers, "body": body},
        "response": outcome.response,
    }


def _check_workspace(call: Call) -> None:
    workspace_id = call.uuid("workspace_id", "Workspace")
    if workspace_id != account.WORKSPACE_ID:
        raise Refused(403, "Forbidden", f"this account has no access to workspace {workspace_id}")


def _webhook(call: Call) -> Webhook:
    _check_workspace(call)
    webhook_id = call.uuid("webhook_id", "Webhook")
    webhook = webhook_book.find(call.world.database, webhook_id)
    if webhook is None:
        raise not_found("Webhook", webhook_id)
    return webhook


def _data(data: Any, status: int = 200) -> Response:
    return JSONResponse({"data": data, "error": None}, status_code=status)


_ALL = "/workspaces/{workspace_id}/webhooks"
_ONE = f"{_ALL}/{{webhook_id}}"
_EXAMPLE = {
    "name": "order ends",
    "url": "http://127.0.0.1:9000/up42",
    "events": [ORDER_STATUS],
    "active": True,
    "secret": "change-me",
}

ROUTES: list[BaseRoute] = [
    route("/webhooks/events", list_events, public=True),
    route(_ALL, list_webhooks),
    route(_ALL, create_webhook, ["POST"], example=_EXAMPLE),
    route(_ONE, get_webhook),
    route(_ONE, replace_webhook, ["PUT"], example=_EXAMPLE),
    route(_ONE, delete_webhook, ["DELETE"]),
    route(f"{_ONE}/tests", send_tests, ["POST"]),
]
