"""Waiting for orders and jobs, with a line per change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

import click

from up42_pipelines.cli.exits import FAILED
from up42_pipelines.cli.output import Output
from up42_pipelines.cli.wording import Command


class Followed(Protocol):
    """An order or a job."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def status(self) -> str:
        """Where it stands."""

    @property
    def raw(self) -> dict[str, Any]:
        """UP42's own JSON."""


FollowedT = TypeVar("FollowedT", bound=Followed)


def patience_options(command: Command) -> Command:
    """Add `--every` and `--for` to a command that waits."""
    every = click.option(
        "--every", "interval_s", type=click.FloatRange(min=0.1), default=60, metavar="SECONDS", help="[default: 60]"
    )
    patience = click.option(
        "--for",
        "patience_s",
        type=click.FloatRange(min=0),
        default=3 * 24 * 3600,
        metavar="SECONDS",
        help="Give up after so long [default: three days].",
    )
    return every(patience(command))


def tell_changes(changes: Iterable[FollowedT], out: Output, *, failed: Callable[[FollowedT], bool]) -> None:
    """Print each change when it comes: id, status and what that means; in JSON the records.

    Raises:
        click.exceptions.Exit: with 1, when any has failed.
        StillUnderWay: not all are final.
    """
    failures: list[str] = []

    def noted() -> Iterator[FollowedT]:
        for record in changes:
            failures.extend([record.id] if failed(record) else [])
            yield record

    if out.as_json:
        out.listing(noted(), (), nothing="")
    else:
        for record in noted():
            meaning = getattr(record.status, "meaning", "this version does not know it")
            out.line(f"{record.id} {record.status}: {meaning}")
    if failures:
        raise click.exceptions.Exit(FAILED)
