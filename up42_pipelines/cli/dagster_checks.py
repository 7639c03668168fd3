"""What `doctor` looks at in Dagster: the home, the instance and its storage, the daemon."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from up42_pipelines.cli.checks import Finding, Outcome
from up42_pipelines.errors import ConfigurationError

if TYPE_CHECKING:
    import dagster as dg
    from dagster._daemon.types import DaemonStatus

_LONGEST_REASON = 160


def check_home(home: str) -> Finding:
    """Whether Dagster has a place to remember runs: the folder that DAGSTER_HOME names, empty when not set."""
    if not home:
        return Finding(
            outcome=Outcome.WARNING,
            detail="DAGSTER_HOME is not set: `dagster dev` forgets everything when it ends",
            remedy="Set it to a folder that is kept.",
        )
    folder = Path(home)
    if not folder.is_absolute() or not folder.is_dir():
        return Finding(
            outcome=Outcome.FAILURE,
            detail=f"DAGSTER_HOME is {home}, which is no absolute path of a folder",
            remedy="Make the folder, or set DAGSTER_HOME to one that is there.",
        )
    if not (folder / "dagster.yaml").is_file():
        return Finding(
            outcome=Outcome.WARNING,
            detail=f"{home} holds no dagster.yaml: Dagster uses its defaults",
            remedy="Write one; an empty one says that the defaults are meant.",
        )
    return Finding(outcome=Outcome.OK, detail=home)


def check_instance(home: str) -> Finding:
    """Whether the instance loads and its storage answers."""
    if not home:
        return Finding(outcome=Outcome.SKIPPED, detail="needs DAGSTER_HOME")
    with _instance(home) as instance:
        runs = instance.get_runs_count()
        instance.get_daemon_heartbeats()
        return Finding(outcome=Outcome.OK, detail=f"loads, its storage answers ({runs} runs)")


def check_daemon(home: str) -> Finding:
    """Whether the daemons that the instance needs are alive."""
    if not home:
        return Finding(outcome=Outcome.SKIPPED, detail="needs DAGSTER_HOME")
    with _instance(home) as instance:
        return judge_daemons(instance.get_daemon_statuses())


def judge_daemons(statuses: Mapping[str, DaemonStatus]) -> Finding:
    """Tell from the heartbeats who is missing."""
    silent = sorted(name for name, status in statuses.items() if status.required and not status.healthy)
    if not silent:
        return Finding(outcome=Outcome.OK, detail=f"alive: {', '.join(sorted(statuses)).lower()}")
    return Finding(
        outcome=Outcome.WARNING,
        detail=f"no heartbeat of {', '.join(silent).lower()}",
        remedy="Start dagster-daemon run (or dagster dev): nothing is launched or watched without it.",
    )


@contextmanager
def _instance(home: str) -> Iterator[dg.DagsterInstance]:
    import dagster as dg

    logger = logging.getLogger("dagster")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it would warn of a missing dagster.yaml, which `check_home` does
    try:
        with dg.DagsterInstance.from_config(home) as instance:
            yield instance
    except Exception as error:  # each storage backend raises its own
        reason = " ".join(str(error).replace(". ", "; ").split())[:_LONGEST_REASON].rstrip(".")
        raise ConfigurationError(
            f"{home} cannot be used: {type(error).__name__}: {reason}. Check dagster.yaml, and that its storage is up."
        ) from error
    finally:
        logger.setLevel(level)
