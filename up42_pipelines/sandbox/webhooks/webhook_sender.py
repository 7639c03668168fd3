"""Sending messages to webhooks: one at a time to each of them, until it answers or has been asked often enough."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Self

import urllib3

from up42_pipelines.sandbox.control.fault_rules import ReorderFault
from up42_pipelines.sandbox.webhooks import webhook_book, webhook_messages
from up42_pipelines.sandbox.webhooks.webhook_messages import Message
from up42_pipelines.sandbox.world import World

ROUND_SECONDS = 0.1
PATIENCE_SECONDS = 3.0
"""How long a receiver may take to answer, in real time."""

logger = logging.getLogger(__name__)
_pool = urllib3.PoolManager(retries=False)


@dataclass(frozen=True)
class Outcome:
    """How a receiver took a message.

    Attributes:
        success: whether it answered with 2xx.
        message: what went wrong; empty when nothing did.
        response: the answer in a few words; None when there was none.
    """

    success: bool
    message: str
    response: str | None


def signature_headers(secret: str, body: bytes, created: int) -> dict[str, str]:
    """Sign a message: base64 of the HMAC-SHA256 of the listed headers' values, one after the other.

    Args:
        secret: of the webhook; without one nothing is signed.
        body: of the message; it is covered through its digest.
        created: real time, seconds since 1970.
    """
    if not secret:
        return {}
    covered = {
        "date": formatdate(created, usegmt=True),
        "digest": f"sha-256={base64.b64encode(hashlib.sha256(body).digest()).decode()}",
    }
    signature = hmac.new(secret.encode(), "".join(covered.values()).encode(), hashlib.sha256).digest()
    names = " ".join(f'"{name}"' for name in covered)
    return {
        **covered,
        "signature-input": f"up42-sig=({names});created={created}",
        "signature": f"up42-sig={base64.b64encode(signature).decode()}",
    }


def post(url: str, headers: Mapping[str, str], body: bytes, *, patience_seconds: float = PATIENCE_SECONDS) -> Outcome:
    """Send a message once. Redirects are not followed, the body of the answer is not read."""
    try:
        answer = _pool.request(
            "POST",
            url,
            body=body,
            headers={"Content-Type": "application/json", **headers},
            redirect=False,
            timeout=patience_seconds,
            preload_content=False,
        )
    except urllib3.exceptions.HTTPError as problem:
        return Outcome(False, f"{url} cannot be reached: {problem}", None)
    answer.close()
    response = f"HttpResponse[{url}, {answer.status} {answer.reason or ''}".rstrip() + "]"
    if 200 <= answer.status < 300:
        return Outcome(True, "", response)
    return Outcome(False, f"{url} answered {answer.status}", response)


class WebhookSender:
    """Collects and sends in threads of its own while it is entered. A slow receiver holds up its own messages only."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._turn = threading.RLock()
        self._stopped = threading.Event()
        self._busy: set[str] = set()
        self._held: dict[str, ReorderFault] = {}

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, name="webhooks", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; when this returns the database is left alone. What is on its way is sent again next time."""
        with self._turn:
            self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(ROUND_SECONDS):
            with self._turn:
                if not self._stopped.is_set():
                    self._round()

    def _round(self) -> None:
        if not webhook_book.every(self._world.database):
            return
        with self._world.database.transaction():
            webhook_messages.collect(self._world, self._world.now())
        for webhook_id, waiting in webhook_messages.due(self._world).items():
            if webhook_id not in self._busy and (batch := self._batch(waiting)):
                self._busy.add(webhook_id)
                threading.Thread(target=self._deliver, args=(batch,), daemon=True).start()

    def _batch(self, waiting: Sequence[Message]) -> Sequence[Message]:
        """Choose what is sent next: the oldest message, or as many as a fault reverses once they are there."""
        book, first = self._world.faults, waiting[0]
        rule = self._held.pop(first.webhook_id, None)
        if rule is None and first.tries == 0:
            rules = book.meet_message("reorder_webhooks", first.url, self._world.now())
            rule = next((rule for rule in rules if isinstance(rule, ReorderFault)), None)
        if rule is None or not book.holds(rule):
            return waiting[:1]
        if len(waiting) < rule.messages:
            self._held[first.webhook_id] = rule
            return []
        return waiting[rule.messages - 1 :: -1]

    def _deliver(self, batch: Sequence[Message]) -> None:
        for message in batch:
            headers = signature_headers(message.secret, message.body, int(time.time()))
            outcome = post(message.url, headers, message.body)
            if message.tries == 0 and self._world.faults.meet_message(
                "duplicate_webhook", message.url, self._world.now()
            ):
                post(message.url, headers, message.body)
            with self._turn:
                if self._stopped.is_set():
                    return
                answer = outcome.response or outcome.message
                done = webhook_messages.settle(self._world, message, answer, success=outcome.success)
            if not outcome.success:
                logger.warning("webhook message %s: %s%s", message.number, outcome.message, "; given up" * done)
        with self._turn:
            self._busy.discard(batch[0].webhook_id)
