"""The sandbox's memory: one SQLite file in the state folder, and the lock that keeps a second sandbox off it.

Whatever an answer promises is committed before the answer is sent: after `kill -9` an order is either wholly there or
not there at all. The operating system has a commit then, the disk not always (WAL with synchronous=NORMAL): waiting for
it costs milliseconds a commit, and helps against power cuts only. After one the last commits may be gone, each wholly.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from up42_pipelines.sandbox.core import tables
from up42_pipelines.sandbox.core.clock import real_now

OPENING_BALANCE = 1_000_000


class StateUnusable(RuntimeError):
    """The state folder cannot be used by this sandbox."""


class StateInUse(StateUnusable):
    """Another sandbox runs on the state folder."""


class StateOutdated(StateUnusable):
    """The state folder was written by a sandbox with other tables."""


class Database:
    """One connection, used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = _locked(folder)
        self._turn = threading.RLock()
        self._connection = sqlite3.connect(folder / "sandbox.sqlite", isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        with self.transaction():
            if not self.rows("SELECT 1 FROM sqlite_schema LIMIT 1"):
                self._furnish()
        version = self.rows("PRAGMA user_version")[0][0]
        if version != tables.VERSION:
            self.close()
            raise StateOutdated(
                f"{folder} holds the state of another version of the sandbox ({version}, this one writes"
                f" {tables.VERSION}). Give this one a folder of its own, or delete that one together with the lake and"
                " the Dagster instance that were filled from it: for the demo, the whole of .demo or .dev."
            )

    def _furnish(self) -> None:
        for statement in tables.TABLES.split(";\n"):
            self._connection.execute(statement)
        self.write(
            "INSERT INTO credits (at, amount, reason) VALUES (?, ?, ?)",
            (real_now(), OPENING_BALANCE, "opening balance"),
        )
        self.write("INSERT INTO settings VALUES ('secret', ?)", (secrets.token_hex(32),))
        self.write(f"PRAGMA user_version = {tables.VERSION}")

    @functools.cached_property
    def secret(self) -> bytes:
        """The key that signs tokens and storage URLs; as old as the state folder."""
        return bytes.fromhex(self.rows("SELECT value FROM settings WHERE key = 'secret'")[0]["value"])

    def rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        """Run a query and return everything it finds."""
        with self._turn:
            return self._connection.execute(sql, values).fetchall()

    def write(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> None:
        """Run one statement; committed when it returns, unless a transaction is open."""
        with self._turn:
            self._connection.execute(sql, values)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside one change: committed when the block ends, undone when it raises."""
        with self._turn:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise

    def close(self) -> None:
        """Close the file and give the folder free."""
        with self._turn:
            self._connection.close()
            self._lock_file.close()


def _locked(folder: Path) -> TextIO:
    handle = (folder / "lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise StateInUse(
            f"Another sandbox is running on {folder}. Stop it, or give this one a folder of its own."
        ) from None
    return handle
