"""Credits: what was charged, what is set aside, what is left. Everything follows from orders, quotations and jobs.

An archive order is charged when it is fulfilled, a tasking order when its quotation is accepted, a job when it has
succeeded. Until then the price of an archive order is set aside, and that of a job that will be accepted.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from up42_pipelines.sandbox.core.clock import timestamp
from up42_pipelines.sandbox.core.problems import Refused
from up42_pipelines.sandbox.world import World

# One row for everything that costs: `at` is when it was charged, NULL while it is set aside. What a job that will be
# accepted costs is set aside from the start: two jobs cannot be promised the same credits.
_ENTRIES = """
WITH entries (id, budget_id, credits, at) AS (
  SELECT o.id, o.budget_id, o.credits, e.at FROM orders o JOIN order_events e ON e.order_id = o.id
    WHERE o.type = 'ARCHIVE' AND e.status = 'FULFILLED' AND e.at <= :now
  UNION ALL
  SELECT o.id, o.budget_id, q.credits, q.decided_at FROM orders o JOIN quotations q ON q.order_id = o.id
    WHERE q.decision = 'ACCEPTED'
  UNION ALL
  SELECT j.id, j.budget_id, j.credits, min(e.at) FROM jobs j JOIN job_events e ON e.job_id = j.id
    WHERE e.status IN ('successful', 'captured') AND e.at <= :now GROUP BY j.id
  UNION ALL
  SELECT o.id, o.budget_id, o.credits, NULL FROM orders o
    WHERE o.type = 'ARCHIVE' AND NOT EXISTS (SELECT 1 FROM order_events WHERE order_id = o.id AND at <= :now
      AND status IN ('FULFILLED', 'FAILED_PERMANENTLY', 'CANCELED'))
  UNION ALL
  SELECT j.id, j.budget_id, j.credits, NULL FROM jobs j JOIN job_events a ON a.job_id = j.id AND a.status = 'accepted'
    WHERE NOT EXISTS (SELECT 1 FROM job_events e WHERE e.job_id = j.id AND e.at <= :now
      AND e.status IN ('successful', 'captured', 'released')))
"""
_SUMS = """
SELECT coalesce(sum(credits) FILTER (WHERE at IS NOT NULL), 0) AS charged,
       coalesce(sum(credits) FILTER (WHERE at IS NULL), 0) AS reserved FROM entries
"""


@dataclass(frozen=True)
class Balance:
    """The account's credits.

    Attributes:
        credited: all that was ever paid in.
        charged: what orders and jobs have cost.
        reserved: what open orders and jobs will cost if nothing goes wrong.
    """

    credited: int
    charged: int
    reserved: int

    @property
    def balance(self) -> int:
        """What the account holds."""
        return self.credited - self.charged

    @property
    def available(self) -> int:
        """What can still be spent."""
        return self.balance - self.reserved

    def as_json(self) -> dict[str, int]:
        """Write the balance as the sandbox's own calls show it."""
        return {
            "credited": self.credited,
            "charged": self.charged,
            "reserved": self.reserved,
            "balance": self.balance,
            "available": self.available,
        }


def balance(world: World, now: int | None = None) -> Balance:
    """Count the account's credits at a time, or now."""
    (credits,) = world.database.rows("SELECT coalesce(sum(amount), 0) AS credited FROM credits")
    (sums,) = _query(world, _SUMS, {} if now is None else {"now": now})
    return Balance(credits["credited"], sums["charged"], sums["reserved"])


def require(world: World, cost: int) -> None:
    """Stop what the account cannot pay, inside the transaction that buys it; what costs nothing is never stopped.

    Raises:
        Refused: 403.
    """
    available = balance(world).available
    if cost > max(available, 0):
        raise Refused(403, "Insufficient credits", f"this costs {cost} credits, {available} are available")


def used(world: World, budget_id: str) -> tuple[int, int]:
    """Return what was charged to a budget, and what is set aside in it."""
    (sums,) = _query(world, f"{_SUMS} WHERE budget_id = :id", {"id": budget_id})
    return sums["charged"], sums["reserved"]


def cost_of(world: World, identifier: str) -> int:
    """Return what an order or a job has been charged, or has set aside for it."""
    (sums,) = _query(world, f"{_SUMS} WHERE id = :id", {"id": identifier})
    return int(sums["charged"] + sums["reserved"])


def charges(world: World, now: int) -> Mapping[str, list[dict[str, Any]]]:
    """List what each order and job was charged up to a time, by its id."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in _query(world, "SELECT * FROM entries WHERE at IS NOT NULL ORDER BY at", {"now": now}):
        found[row["id"]].append({"at": timestamp(row["at"]), "credits": row["credits"]})
    return found


def _query(world: World, select: str, values: Mapping[str, Any] = MappingProxyType({})) -> list[sqlite3.Row]:
    return world.database.rows(" ".join((_ENTRIES, select)), {"now": world.now(), **values})
