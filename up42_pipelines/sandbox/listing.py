"""Lists that SQL filters, sorts and cuts into pages, and their filters, read from the query."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from up42_pipelines.sandbox.account import account
from up42_pipelines.sandbox.core.paging import PageRequest
from up42_pipelines.sandbox.core.problems import bad_request
from up42_pipelines.sandbox.routing import is_uuid
from up42_pipelines.sandbox.world import World


def uuid_or_none(name: str, value: str | None) -> str | None:
    """Read a UUID, in lower case; None when there is none.

    Raises:
        Refused: 400, it is not one.
    """
    if value is not None and not is_uuid(value):
        raise bad_request(f"{name} must be a UUID, got {value[:50]!r}")
    return None if value is None else value.lower()


def uuids(name: str, values: Sequence[str]) -> list[str]:
    """Read UUIDs joined by commas, in lower case.

    Raises:
        Refused: 400, one of them is not one.
    """
    found = [part.strip().lower() for value in values for part in value.split(",") if part.strip()]
    for part in found:
        uuid_or_none(name, part)
    return found


def all_of(name: str, values: Sequence[str], allowed: Sequence[str]) -> list[str]:
    """Check that a repeated filter has only values that exist.

    Raises:
        Refused: 400, one of them does not.
    """
    for value in values:
        if value not in allowed:
            raise bad_request(f"{name} must be one of {', '.join(allowed)}, got {value[:50]!r}")
    return list(values)


@dataclass
class Where:
    """A condition under construction: its clauses are made of constants and of names for bound values."""

    clauses: list[str] = field(default_factory=lambda: ["1"])
    values: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any) -> str:
        """Keep a value and return the name under which SQL finds it."""
        name = f"v{len(self.values)}"
        self.values[name] = value
        return f":{name}"

    def bind_all(self, values: Sequence[str]) -> str:
        """Keep values and return their names, joined by commas."""
        return ", ".join(self.bind(value) for value in values)

    def equal(self, column: str, value: str | None) -> None:
        """Demand a value; None restricts nothing."""
        if value is not None:
            self.clauses.append(f"{column} = {self.bind(value)}")

    def any_of(self, column: str, values: Sequence[str]) -> None:
        """Demand one of some values; none restrict nothing."""
        if values:
            self.clauses.append(f"{column} IN ({self.bind_all(values)})")

    def in_workspace(self, workspace_id: str | None) -> None:
        """Demand a workspace: there is one, whose everything is, so that any other has nothing."""
        if workspace_id not in (None, account.WORKSPACE_ID):
            self.clauses.append("0")

    def text(self) -> str:
        """Write the condition."""
        return f"WHERE {' AND '.join(self.clauses)}"


def select_page(
    world: World, source: str, where: Where, sorts: Mapping[str, str], page: PageRequest
) -> tuple[list[sqlite3.Row], int]:
    """Return the rows of one page and how many there are in all.

    Args:
        world: the sandbox.
        source: a table or a subquery, with a column `number` that settles ties; `:now` is bound to the time.
        where: what the rows must have.
        sorts: columns by the names they are sorted by on the wire.
        page: which page.
    """
    values = {"now": world.now(), **where.values, "size": page.size, "offset": page.offset}
    direction = "DESC" if page.descending else "ASC"
    order = f"ORDER BY {sorts[page.sort_field]} {direction}, number {direction} LIMIT :size OFFSET :offset"
    (count,) = world.database.rows(" ".join(("SELECT count(*) AS total FROM", source, where.text())), values)
    rows = world.database.rows(" ".join(("SELECT * FROM", source, where.text(), order)), values)
    return rows, count["total"]
