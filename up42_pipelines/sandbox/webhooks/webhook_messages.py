"""What is reported to webhooks: events of orders and jobs, as messages that wait in the database until they are sent.

An event becomes messages in the transaction that marks it as seen, so that each reaches a webhook as one message,
however often the sandbox is killed. A message whose answer was not written down in time is sent again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from up42_pipelines.sandbox.catalog.products import HOST
from up42_pipelines.sandbox.core import chance
from up42_pipelines.sandbox.core.clock import SECOND, timestamp
from up42_pipelines.sandbox.ordering.lifecycle import Status
from up42_pipelines.sandbox.webhooks import webhook_book
from up42_pipelines.sandbox.webhooks.webhook_book import JOB_STATUS, ORDER_STATUS
from up42_pipelines.sandbox.world import World

PAUSES_SECONDS = (1, 5)
"""Between the tries to send a message, of the world's time; after the last one it is given up."""
_FINAL_ORDERS = (Status.FULFILLED, Status.FAILED_PERMANENTLY, Status.CANCELED)
_FINAL_JOBS = ("captured", "released", "invalid", "rejected", "unlicensed", "successful")
_SEEN = "webhooks_seen"
_LATE = 5 * SECOND
"""An event may be written this much after its time, while later ones were already seen."""
_ORDERS = """
SELECT e.order_id AS id, e.at, e.step, e.status, o.type AS type
FROM order_events e JOIN orders o ON o.id = e.order_id
WHERE e.at BETWEEN :since AND :now AND e.status IN (:fulfilled, :failed, :canceled)
"""
_JOBS = """
SELECT e.job_id AS id, e.at, e.step, e.status, j.process_id,
       NOT EXISTS (SELECT 1 FROM job_events l WHERE l.job_id = e.job_id AND (l.at, l.step) > (e.at, e.step)) AS is_last
FROM job_events e JOIN jobs j ON j.id = e.job_id
WHERE e.at BETWEEN :since AND :now
"""


@dataclass(frozen=True)
class Event:
    """Something to report.

    Attributes:
        name: as in the catalogue.
        key: what tells it from all others.
        at: microseconds since 1970.
        body: what the message says about it.
    """

    name: str
    key: tuple[str, int, int]
    at: int
    body: dict[str, Any]


@dataclass(frozen=True)
class Message:
    """One report to one webhook.

    Attributes:
        tries: how often it was sent in vain.
        body: JSON, as it is sent.
    """

    number: int
    webhook_id: str
    url: str
    secret: str
    tries: int
    body: bytes


def as_json(event: str, message_id: str, at: int, body: dict[str, Any], *, live: bool) -> dict[str, Any]:
    """Write a message as the receiver gets it."""
    return {"event": event, "liveMode": live, "messageId": message_id, "timestamp": timestamp(at), "body": body}


def collect(world: World, now: int) -> None:
    """Turn the events until now into messages for the active webhooks; inside a transaction."""
    database = world.database
    webhooks = [webhook for webhook in webhook_book.every(database) if webhook.draft.active]
    if not webhooks:
        return
    rows = database.rows("SELECT value FROM settings WHERE key = ?", (_SEEN,))
    seen = int(rows[0]["value"]) if rows else 0
    since = max(seen - _LATE, min(webhook.updated_at for webhook in webhooks))
    known = {row["id"] for row in database.rows("SELECT id FROM webhook_messages WHERE due_at >= ?", (since,))}
    wanted = [
        (webhook.id, message_id, event)
        for event in _events(world, since, now)
        for webhook in webhooks
        if event.name in webhook.draft.events
        and event.at >= webhook.updated_at
        # The id follows from webhook and event: what was seen before is recognized.
        and (message_id := chance.name_uuid("message", webhook.id, *event.key)) not in known
    ]
    for webhook_id, message_id, event in wanted:
        body = as_json(event.name, message_id, event.at, event.body, live=True)
        database.write(
            "INSERT INTO webhook_messages (webhook_id, id, due_at, body) VALUES (?, ?, ?, ?)",
            (webhook_id, message_id, now, json.dumps(body)),
        )
    if wanted or now > seen + _LATE:
        database.write("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_SEEN, str(now)))


def due(world: World) -> dict[str, list[Message]]:
    """List the messages to send now, by webhook, oldest first."""
    rows = world.database.rows(
        "SELECT m.number, m.webhook_id, m.tries, m.body, w.url, w.secret FROM webhook_messages m"
        " JOIN webhooks w ON w.id = m.webhook_id WHERE m.answer IS NULL AND w.active AND m.due_at <= ?"
        " ORDER BY m.due_at, m.number",
        (world.now(),),
    )
    found: dict[str, list[Message]] = {}
    for row in rows:
        message = Message(
            row["number"], row["webhook_id"], row["url"], row["secret"], row["tries"], row["body"].encode()
        )
        found.setdefault(message.webhook_id, []).append(message)
    return found


def settle(world: World, message: Message, answer: str, *, success: bool) -> bool:
    """Write down how a try ended. Returns whether the message is done with, sent or given up."""
    done = success or message.tries == len(PAUSES_SECONDS)
    pause = 0 if done else PAUSES_SECONDS[message.tries]
    world.database.write(
        "UPDATE webhook_messages SET tries = ?, due_at = ?, answer = ? WHERE number = ?",
        (message.tries + 1, world.now() + pause * SECOND, answer if done else None, message.number),
    )
    return done


def _events(world: World, since: int, now: int) -> list[Event]:
    fulfilled, failed, canceled = _FINAL_ORDERS
    span = {"since": since, "now": now}
    orders = world.database.rows(_ORDERS, {**span, "fulfilled": fulfilled, "failed": failed, "canceled": canceled})
    events = [
        Event(
            ORDER_STATUS,
            (row["id"], row["at"], row["step"]),
            row["at"],
            {
                "orderId": row["id"],
                "orderType": row["type"],
                "dataHostName": HOST,
                "status": row["status"],
                "statusIsFinal": True,
            },
        )
        for row in orders
    ]
    events += [
        Event(
            JOB_STATUS,
            (row["id"], row["at"], row["step"]),
            row["at"],
            {
                "jobId": row["id"],
                "processId": row["process_id"],
                "status": row["status"],
                "statusIsFinal": bool(row["is_last"]) and row["status"] in _FINAL_JOBS,
            },
        )
        for row in world.database.rows(_JOBS, span)
    ]
    return sorted(events, key=lambda event: (event.at, event.key))
