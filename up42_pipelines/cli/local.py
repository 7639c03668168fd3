"""`sandbox`, `demo`, `dev`: UP42 and a pipeline on this machine, without an account."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from up42_pipelines.cli.exits import FAILED, INTERRUPTED
from up42_pipelines.errors import Up42Error

_LOG_WIDTH = 140
"""Columns when the output is not a terminal: the demo's table does not fit into the usual 80."""

_PROJECT = click.option(
    "--project",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Checkout with workspace.yaml [default: here].",
)
_IMAGERY = click.option(
    "--imagery",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of rasters that the sandbox sells instead of synthetic imagery.",
)
_SEED = click.option("--seed", type=int, help="Of the sandbox's imagery and chances [default: one with clear skies].")


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8042, show_default=True, help="0 takes a free one.")
@click.option("--state", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to keep.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True, help="Of time.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of imagery and chances.")
@_IMAGERY
def sandbox(port: int, state: Path, speed: float, seed: int, imagery: Path | None) -> None:
    """Serve a local UP42 on 127.0.0.1. Prints its base URL first; stops on SIGTERM or Ctrl-C.

    User sandbox@example.com, password sandbox. API and authentication share the URL.
    """
    from up42_pipelines.sandbox.core.database import StateUnusable
    from up42_pipelines.sandbox.server import serve

    try:
        serve(port=port, state=state, speed=speed, seed=seed, imagery=imagery)
    except (StateUnusable, OSError) as error:
        raise click.ClickException(str(error)) from error


@click.command()
@_PROJECT
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default=Path(".demo"), show_default=True)
@_IMAGERY
@_SEED
@click.option("--days", type=click.IntRange(1, 3), default=3, show_default=True, help="Of synthetic imagery.")
@click.option(
    "--what",
    type=click.Choice(["archive", "processing"]),
    default="archive",
    show_default=True,
    help="Imagery alone, or also what is computed on it.",
)
def demo(project: Path, folder: Path, imagery: Path | None, seed: int | None, days: int, what: str) -> None:
    """Backfill 3 days x 2 AOIs against a sandbox, through real Dagster processes, and check what arrives."""
    from up42_pipelines.demo.run import run_demo

    _run(
        lambda console: run_demo(
            project=project.resolve(),
            folder=folder.resolve(),
            imagery=imagery,
            seed=seed,
            days=days,
            what=what,
            console=console,
        )
    )


@click.command()
@_PROJECT
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default=Path(".dev"), show_default=True)
@click.option("--port", type=int, default=3000, show_default=True, help="Of the Dagster UI.")
@_IMAGERY
@_SEED
def dev(project: Path, folder: Path, port: int, imagery: Path | None, seed: int | None) -> None:
    """Serve the Dagster UI with a sandbox behind it."""
    from up42_pipelines.demo.dev import run_dev

    _run(
        lambda console: run_dev(
            project=project.resolve(), folder=folder.resolve(), port=port, imagery=imagery, seed=seed, console=console
        )
    )


def _run(command: Callable[[Console], int]) -> None:
    """Run a command that owns child processes; SIGTERM unwinds it like Ctrl-C, so that the children are stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_LOG_WIDTH)
    try:
        code = command(console)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Up42Error as error:  # what it says belongs into the log of the run, which is its output
        console.print(f"[bold red]{type(error).__name__}:[/] {error}", highlight=False)
        code = FAILED
    sys.exit(code)
