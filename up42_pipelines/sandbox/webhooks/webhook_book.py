"""The webhooks in the database."""

from __future__ import annotations

import json
import sqlite3
import uuid
from dataclasses import dataclass
from typing import Any

from up42_pipelines.sandbox.core.clock import timestamp
from up42_pipelines.sandbox.core.database import Database

ORDER_STATUS, JOB_STATUS = "order.status", "job.status"


@dataclass(frozen=True)
class Draft:
    """What a user decides about a webhook.

    Attributes:
        events: names out of the catalogue.
        secret: signs the messages; empty for none.
    """

    name: str
    url: str
    events: tuple[str, ...]
    active: bool
    secret: str


@dataclass(frozen=True)
class Webhook:
    """A receiver of messages.

    Attributes:
        updated_at: microseconds since 1970; what happened before is not reported to it.
    """

    id: str
    draft: Draft
    created_at: int
    updated_at: int

    def as_json(self) -> dict[str, Any]:
        """Write the webhook as the API shows it, the secret in clear."""
        return {
            "id": self.id,
            "name": self.draft.name,
            "url": self.draft.url,
            "events": list(self.draft.events),
            "active": self.draft.active,
            "secret": self.draft.secret,
            "createdAt": timestamp(self.created_at),
            "updatedAt": timestamp(self.updated_at),
        }


def every(database: Database) -> list[Webhook]:
    """List all webhooks, oldest first."""
    return [_webhook(row) for row in database.rows("SELECT * FROM webhooks ORDER BY number")]


def find(database: Database, webhook_id: str) -> Webhook | None:
    """Find a webhook."""
    rows = database.rows("SELECT * FROM webhooks WHERE id = ?", (webhook_id,))
    return _webhook(rows[0]) if rows else None


def create(database: Database, draft: Draft, now: int) -> Webhook:
    """Write a new webhook."""
    webhook = Webhook(str(uuid.uuid4()), draft, now, now)
    database.write(
        "INSERT INTO webhooks (id, name, url, events, active, secret, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (webhook.id, *_columns(draft), now, now),
    )
    return webhook


def replace(database: Database, webhook_id: str, draft: Draft, now: int) -> None:
    """Write everything about a webhook anew."""
    database.write(
        "UPDATE webhooks SET name = ?, url = ?, events = ?, active = ?, secret = ?, updated_at = ? WHERE id = ?",
        (*_columns(draft), now, webhook_id),
    )


def delete(database: Database, webhook_id: str) -> None:
    """Remove a webhook, and what was still to be sent to it."""
    database.write("DELETE FROM webhooks WHERE id = ?", (webhook_id,))


def _columns(draft: Draft) -> tuple[Any, ...]:
    return draft.name, draft.url, json.dumps(draft.events), draft.active, draft.secret


def _webhook(row: sqlite3.Row) -> Webhook:
    draft = Draft(row["name"], row["url"], tuple(json.loads(row["events"])), bool(row["active"]), row["secret"])
    return Webhook(row["id"], draft, row["created_at"], row["updated_at"])
