"""What the environment says to all pipelines of this code location. An empty variable counts as one that is not set."""

from __future__ import annotations

import os
from pathlib import Path

from up42_pipelines.errors import ConfigurationError
from up42_pipelines.ordering.aoi import load_aois
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.protocol import Timing

AOI_FOLDER = Path(__file__).parent / "aois"


def aois() -> dict[str, str]:
    """UP42_AOIS: folder of GeoJSON files, one AOI each (default: the two beside this module)."""
    return load_aois(os.environ.get("UP42_AOIS") or AOI_FOLDER)


def start_date() -> str:
    """UP42_START_DATE: first day (default 2026-06-01)."""
    return os.environ.get("UP42_START_DATE") or "2026-06-01"


def max_scenes() -> int:
    """UP42_MAX_SCENES: scenes bought per partition (default 1)."""
    return int(number("UP42_MAX_SCENES", 1))


def max_cloud_cover_percent() -> float:
    """UP42_MAX_CLOUD_COVER: percent (default 100)."""
    return number("UP42_MAX_CLOUD_COVER", 100)


def ceilings() -> Ceilings:
    """The most that may be spent.

    UP42_MAX_CREDITS_PER_ORDER: for one order or job (default 1000). UP42_MAX_CREDITS_PER_MONTH (default: none): for
    everything that one pipeline, or one workflow, buys in a calendar month.
    """
    month = number("UP42_MAX_CREDITS_PER_MONTH", 0) if os.environ.get("UP42_MAX_CREDITS_PER_MONTH") else None
    return Ceilings(order=number("UP42_MAX_CREDITS_PER_ORDER", 1000), month=month)


def timing() -> Timing:
    """How long buying waits, in seconds.

    UP42_LEASE_S, UP42_SETTLING_S: for a process that is dead, and for UP42 to list what it may have taken (default 30
    and 120; only a sandbox can do with less, see docs/ordering.md).
    """
    lease_s = number("UP42_LEASE_S", 30)
    return Timing(lease_s=lease_s, start_s=lease_s / 3, settling_s=number("UP42_SETTLING_S", 120))


def number(variable: str, default: float) -> float:
    """The number in a variable.

    Raises:
        ConfigurationError: it is none.
    """
    text = os.environ.get(variable) or default
    try:
        return float(text)
    except ValueError as error:
        raise ConfigurationError(f"{variable} is {text!r}: write a number, like 1000 or 2.5.") from error
