"""The sandbox's memory: one SQLite file in the state folder, and the lock that keeps a second sandbox off it.

Whatever an answer promises is committed, and on the disk, before the answer is sent (WAL with synchronous=FULL): after
`kill -9` an order is either wholly there or not there at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from up42_pipelines.sandbox.clock import real_now

OPENING_BALANCE = 1_000_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS credits (number INTEGER PRIMARY KEY, at INTEGER NOT NULL, amount INTEGER NOT NULL,
    reason TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, product_id TEXT NOT NULL, scene_id TEXT NOT NULL,
    collection TEXT NOT NULL, display_name TEXT NOT NULL, tags TEXT, aoi TEXT NOT NULL, credits INTEGER NOT NULL,
    created_at INTEGER NOT NULL, patched_at INTEGER) STRICT;
CREATE INDEX IF NOT EXISTS orders_of_scene ON orders (scene_id, product_id);
CREATE TABLE IF NOT EXISTS order_events (order_id TEXT NOT NULL REFERENCES orders (id), at INTEGER NOT NULL,
    step INTEGER NOT NULL, status TEXT NOT NULL, PRIMARY KEY (order_id, at, step)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT, asset_id TEXT NOT NULL UNIQUE,
    order_id TEXT NOT NULL REFERENCES orders (id), collection_id TEXT NOT NULL UNIQUE, item_id TEXT NOT NULL UNIQUE,
    visible_at INTEGER NOT NULL, items_at INTEGER NOT NULL, content TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS deliveries_of_order ON deliveries (order_id);
CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY, asset_id TEXT NOT NULL REFERENCES deliveries (asset_id), kind TEXT NOT NULL,
    name TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER, md5 TEXT, crc32c TEXT) STRICT;
CREATE INDEX IF NOT EXISTS files_of_asset ON files (asset_id);
"""


class StateInUse(RuntimeError):
    """Another sandbox runs on the state folder."""


class Database:
    """One connection, used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = _locked(folder)
        self._turn = threading.RLock()
        self._connection = sqlite3.connect(folder / "sandbox.sqlite", isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        with self.transaction():
            for statement in _SCHEMA.split(";\n"):
                self._connection.execute(statement)
            if not self.rows("SELECT 1 FROM credits LIMIT 1"):
                self.write(
                    "INSERT INTO credits (at, amount, reason) VALUES (?, ?, ?)",
                    (real_now(), OPENING_BALANCE, "opening balance"),
                )
            self.write("INSERT OR IGNORE INTO settings VALUES ('secret', ?)", (secrets.token_hex(32),))

    @property
    def secret(self) -> bytes:
        """The key that signs tokens and storage URLs; as old as the state folder."""
        return bytes.fromhex(self.rows("SELECT value FROM settings WHERE key = 'secret'")[0]["value"])

    def rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        """Run a query and return everything it finds."""
        with self._turn:
            return self._connection.execute(sql, values).fetchall()

    def write(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> None:
        """Run one statement; on the disk when it returns, unless a transaction is open."""
        with self._turn:
            self._connection.execute(sql, values)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside one change: on the disk when the block ends, undone when it raises."""
        with self._turn:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

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
