"""Asking before something that spends credits or cannot be undone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from up42_pipelines.cli.output import note


def yes_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--yes` to a command that asks."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(command)


def somebody_is_there() -> bool:
    """Whether a question can be answered."""
    return sys.stdin.isatty()


def confirm(question: str, *, yes: bool) -> None:
    """Go on only when somebody says so.

    Raises:
        click.UsageError: nobody can be asked, and `--yes` is not given.
        click.exceptions.Exit: the answer was no.
    """
    if yes:
        return
    if not somebody_is_there():
        raise click.UsageError(f"{question} Nobody can be asked here: give --yes to do it.")
    if not click.confirm(question, err=True):
        note("Nothing was changed.")
        raise click.exceptions.Exit(1)
