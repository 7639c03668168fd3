"""Points in time: integer microseconds since 1970 (UTC) inside the sandbox, ISO 8601 on the wire."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000


def real_now() -> int:
    """Return the real time, microseconds since 1970."""
    return time.time_ns() // 1000


class Clock:
    """The world's time: the real one, or ahead of it. Calling it returns microseconds since 1970.

    What UP42 does follows it: orders, deliveries, jobs, webhook messages. Tokens and signed URLs stay on real time, so
    that a client's own clock agrees with their expiry.
    """

    def __init__(self, ahead: int = 0) -> None:
        self._ahead = ahead

    def __call__(self) -> int:
        """Return the time, microseconds since 1970."""
        return real_now() + self._ahead

    @property
    def ahead(self) -> int:
        """Microseconds before the real time."""
        return self._ahead

    def advance(self, by: int) -> None:
        """Move ahead, for good, by microseconds."""
        self._ahead += by


def moment(micros: int) -> datetime:
    """Turn microseconds since 1970 into an aware datetime (UTC)."""
    return _EPOCH + timedelta(microseconds=micros)


def micros(when: datetime) -> int:
    """Turn an aware datetime into microseconds since 1970."""
    return (when - _EPOCH) // timedelta(microseconds=1)


def timestamp(instant: int) -> str:
    """Write microseconds since 1970 as orders and assets show them: six decimals and a Z."""
    return moment(instant).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_text(when: datetime) -> str:
    """Write a datetime as scenes show it: whole seconds and a Z."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_instant(text: str) -> datetime:
    """Read an RFC 3339 instant.

    Raises:
        ValueError: it is not one; a date without a time, or a time without an offset, is not. Or it lies, in UTC,
            outside of the years 1 to 9999.
    """
    when = datetime.fromisoformat(text)
    if when.tzinfo is None or "T" not in text.upper():
        raise ValueError(f"{text!r} is not an RFC 3339 date-time with an offset")
    try:
        return when.astimezone(UTC)
    except OverflowError as problem:
        raise ValueError(f"{text!r}: {problem}") from None


def parse_interval(text: str) -> tuple[datetime | None, datetime | None]:
    """Read a STAC `datetime`: an instant, or two of them around a slash where `..` or nothing leaves an end open.

    Raises:
        ValueError: the text is neither, both ends are open, or the interval ends before it starts.
    """
    start, slash, end = text.partition("/")
    if not slash:
        instant = parse_instant(start)
        return instant, instant
    first, last = (None if part in ("", "..") else parse_instant(part) for part in (start, end))
    if first is None and last is None:
        raise ValueError("an interval needs at least one end")
    if first and last and last < first:
        raise ValueError(f"the interval {text!r} ends before it starts")
    return first, last
