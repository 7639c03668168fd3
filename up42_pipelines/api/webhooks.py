"""Webhooks: where UP42 reports changes, so that nobody has to ask (UP42 API, webhooks)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import Field, SecretStr

from up42_pipelines.api.records import Record, Timestamp
from up42_pipelines.api.transport import Transport
from up42_pipelines.errors import NotFound, UnexpectedAnswer


class WebhookEvent(StrEnum):
    """What can be reported."""

    ORDER_STATUS = "order.status"
    JOB_STATUS = "job.status"


class EventDescription(Record):
    """An event of the catalogue."""

    name: str
    title: str | None = None
    category: str | None = None
    description: str | None = None
    documentation: str | None = None


class Webhook(Record):
    """A URL that is called when something happens. UP42 answers the secret in clear; only `raw` shows it."""

    id: str
    name: str | None = None
    url: str
    events: tuple[Annotated[WebhookEvent | str, Field(union_mode="left_to_right")], ...] = ()
    active: bool = False
    secret: SecretStr = SecretStr("")
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class TestCall(Record):
    """One call that a test made, and how the receiver took it."""

    __test__ = False  # not a test of pytest

    event_name: str | None = None
    success: bool = False
    message: str | None = None
    started_at: Timestamp | None = None
    request: dict[str, Any] | None = None
    response: Any = None


class TestReport(Record):
    """What a test of a webhook brought, one call per event."""

    __test__ = False

    started_at: Timestamp | None = None
    tests_run: int = 0
    tests_succeeded: int = 0
    tests_failed: int = 0
    tests: tuple[TestCall, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every call was answered well."""
        return self.tests_run > 0 and self.tests_failed == 0


class WebhookMessage(Record):
    """What a webhook is sent. It may come twice, and out of order: drop doubles by `message_id`, then read the order.

    Attributes:
        event: `order.status` or `job.status`.
        live_mode: False for a test.
        body: `orderId`, `status`, `statusIsFinal`, …, as the event has it.
    """

    event: WebhookEvent | str = Field(union_mode="left_to_right")
    message_id: str
    timestamp: Timestamp | None = None
    live_mode: bool = True
    body: dict[str, Any] = Field(default_factory=dict)

    @property
    def order_id(self) -> str | None:
        """The order it is about; None for other events."""
        return self.body.get("orderId")

    @property
    def job_id(self) -> str | None:
        """The job it is about; None for other events."""
        return self.body.get("jobId") or self.body.get("jobID")


class Webhooks:
    """The webhooks of one workspace.

    Args:
        transport: the way to UP42.
        workspace_id: asked for when first needed.
    """

    def __init__(self, transport: Transport, workspace_id: Callable[[], str]) -> None:
        self._transport, self._workspace_id = transport, workspace_id

    def events(self) -> list[EventDescription]:
        """What can be reported."""
        return [EventDescription.parse(row) for row in self._data("GET", "/webhooks/events") or ()]

    def list(self) -> list[Webhook]:
        """All webhooks; UP42 answers them in one piece."""
        return [Webhook.parse(row) for row in self._data("GET", self._path()) or ()]

    def get(self, webhook_id: str) -> Webhook:
        """One webhook.

        Raises:
            NotFound: UP42 does not know the id.
        """
        return Webhook.parse(self._data("GET", self._path(webhook_id)))

    def create(
        self, *, name: str, url: str, events: Sequence[WebhookEvent | str], secret: str = "", active: bool = False
    ) -> Webhook:
        """Create a webhook; sent once, because twice would make two.

        Args:
            name: for people.
            url: https.
            events: what to report.
            secret: signs the messages (up to 500 characters); without one they are not signed.
            active: whether it is called.

        Raises:
            ApiError: UP42 refused; nothing was made, unless it is a `ServerProblem`: then nobody knows.
            Unreachable: nothing was sent.
            AnswerLost: nobody knows whether it exists; `list` tells.
        """
        body = _body(name, url, events, secret, active)
        return Webhook.parse(self._data("POST", self._path(), json=body, once=True))

    def replace(
        self,
        webhook_id: str,
        *,
        name: str,
        url: str,
        events: Sequence[WebhookEvent | str],
        secret: str = "",
        active: bool = False,
    ) -> Webhook:
        """Write a webhook anew: what is not given gets its default, the secret too.

        Raises:
            NotFound: UP42 does not know the id.
        """
        body = _body(name, url, events, secret, active)
        return Webhook.parse(self._data("PUT", self._path(webhook_id), json=body))

    def delete(self, webhook_id: str) -> None:
        """Remove a webhook; one that is gone already is none to complain about."""
        with contextlib.suppress(NotFound):  # a repeated request, or somebody else was faster
            self._transport.send("DELETE", self._path(webhook_id))

    def test(self, webhook_id: str) -> TestReport:
        """Have UP42 call the webhook once per event, now.

        Raises:
            NotFound: UP42 does not know the id.
        """
        return TestReport.parse(self._data("POST", f"{self._path(webhook_id)}/tests"))

    def _path(self, webhook_id: str | None = None) -> str:
        path = f"/workspaces/{quote(self._workspace_id(), safe='')}/webhooks"
        return path if webhook_id is None else f"{path}/{quote(webhook_id, safe='')}"

    def _data(self, method: str, path: str, **options: Any) -> Any:
        body = self._transport.json(method, path, **options)
        if not isinstance(body, dict) or "data" not in body:
            raise UnexpectedAnswer(f"{method} {path}: an answer without `data`.")  # not shown: it may hold a secret
        return body["data"]


def _body(name: str, url: str, events: Sequence[WebhookEvent | str], secret: str, active: bool) -> dict[str, Any]:
    return {"name": name, "url": url, "events": [str(event) for event in events], "secret": secret, "active": active}
