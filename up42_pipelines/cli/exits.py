"""From exceptions to exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

from up42_pipelines.cli.output import note, one_line
from up42_pipelines.errors import ApiError, ConfigurationError, Up42Error

FAILED, USAGE, INTERRUPTED = 1, 2, 130


class Program(click.Group):
    """The main group. Our own errors become one line on stderr, or one JSON object when `--json` is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands in the order they were added, what one needs first at the top."""
        return list(self.commands)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and exit with its code."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        as_json = "--json" in (sys.argv[1:] if args is None else args)  # a usage error comes before any option is read
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.Abort:
            code = INTERRUPTED
        except (click.ClickException, Up42Error) as error:
            code = _code_of(error)
            _tell(error, as_json=as_json)
        sys.exit(code)


def _code_of(error: click.ClickException | Up42Error) -> int:
    if isinstance(error, click.ClickException):
        return error.exit_code
    return USAGE if isinstance(error, ConfigurationError) else FAILED


def _tell(error: click.ClickException | Up42Error, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"error": as_document(error)}, ensure_ascii=False), err=True)
    elif isinstance(error, click.ClickException):
        error.show()
    else:
        note(f"error: {one_line(str(error))}", style="bold red")


def as_document(error: click.ClickException | Up42Error) -> dict[str, Any]:
    """The error for programs: its class, its message, and what UP42 said."""
    message = error.format_message() if isinstance(error, click.ClickException) else str(error)
    document: dict[str, Any] = {"type": type(error).__name__, "message": message}
    if isinstance(error, ApiError):
        document |= {"status": error.status, "title": error.title, "detail": error.detail}
        document |= {"request_id": error.request_id}
    return document
