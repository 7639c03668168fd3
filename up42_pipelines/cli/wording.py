"""How values are written for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time
from typing import Any, TypeVar

import click
from rich.text import Text

Command = TypeVar("Command", bound=Callable[..., Any])
CREDITS_PER_EUR = 100


def instant(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC, whole seconds."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def number(value: float | None, decimals: int = 2) -> str | None:
    """Without zeros behind the point, or the point."""
    if value is None:
        return None
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def price(credits: float) -> str:
    """Credits, and what they are in EUR."""
    return f"{number(credits)} credits ({credits / CREDITS_PER_EUR:.2f} EUR)"


def explained(status: Any, style: str) -> Text:
    """A status with its meaning; a new one of UP42's has none here."""
    return Text(f"{status}: {getattr(status, 'meaning', 'this version does not know it')}", style=style)


def yes_no(value: bool) -> Text:
    """For columns of flags."""
    return Text("yes", style="green") if value else Text("no", style="dim")


def moment_option(name: str, *, last: bool = False, **options: Any) -> Callable[[Command], Command]:
    """Add an option that takes a day or a time in ISO 8601 and gives a timezone-aware datetime, UTC by default.

    Args:
        name: of the option.
        last: whether a day means its last instant instead of its first.
        options: as for `click.option`.
    """

    def read(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime | None:
        return None if text is None else read_moment(text, last=last)

    return click.option(name, metavar="DAY|TIME", callback=read, **options)


def read_moment(text: str, *, last: bool) -> datetime:
    """Read a day or a time.

    Raises:
        click.BadParameter: it is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no day or time: write 2026-06-01 or 2026-06-01T12:00:00Z.") from None
    if last and len(text) <= len("2026-06-01"):
        moment = datetime.combine(moment, time.max)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
