"""The lake that a command works with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import click

from up42_pipelines.errors import LakeError

if TYPE_CHECKING:
    from up42_pipelines.purchasing.ledger import Ledger

LAKE_HELP = "Lake of the pipeline: a folder or URL [default: UP42_LAKE_URL]."


def lake_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--lake` to a command that needs one; it is given a URL as `lake_url`."""
    return click.option("--lake", "lake_url", envvar="UP42_LAKE_URL", required=True, help=LAKE_HELP)(command)


def open_ledger(lake_url: str, pipeline: str) -> Ledger | None:
    """A pipeline's ledger; None when the lake has none, which the pipeline's next run would make."""
    from up42_pipelines.lake import Lake
    from up42_pipelines.purchasing.budget import Ceilings
    from up42_pipelines.purchasing.ledger import Ledger

    lake = Lake(lake_url)
    if pipeline not in lake.list("purchases", "ledgers"):
        return None
    return Ledger(lake, pipeline, Ceilings(), found_at_up42=_removed)


def _removed() -> NoReturn:
    raise LakeError("The ledger was removed just now. Run again.")
