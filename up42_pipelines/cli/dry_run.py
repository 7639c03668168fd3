"""`estimate --partitions`: what a range of a pipeline's partitions would buy, from the command line."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from up42_pipelines.cli.account import AccountSettings
from up42_pipelines.cli.exits import FAILED
from up42_pipelines.cli.output import Column, Output, note, one_line
from up42_pipelines.cli.wording import number, price
from up42_pipelines.errors import Up42Error

if TYPE_CHECKING:
    import dagster as dg

    from up42_pipelines.ordering.dry_run import PartitionForecast, Totals

DEFINITIONS = "assets_defs.definitions"

_COLUMNS: Sequence[Column[PartitionForecast]] = (
    Column("partition", lambda one: one.partition),
    Column("scenes", lambda one: number(one.scenes_found), right=True),
    Column("chosen", lambda one: number(one.scenes_chosen), right=True),
    Column("orders", lambda one: str(len(one.orders)), right=True),
    Column("existing", lambda one: str(one.existing), right=True),
    Column("credits", lambda one: str(one.credits), right=True),
    Column("expected, uncompressed", lambda one: _size(one.expected_bytes), right=True),
    Column("problems", lambda one: str(len(one.problems) or ""), right=True),
)


def show_dry_run(settings: AccountSettings, partitions: str, *, module: str, pipeline: str | None, out: Output) -> None:
    """Run the dry run of a code location in this process, and print what it says.

    Args:
        settings: the account that is asked, whatever the code location says.
        partitions: range of partitions.
        module: Python module with the `Definitions`.
        pipeline: name of the pipeline; not needed where there is one.
        out: where to print.

    Raises:
        Up42Error: there is no such range of partitions, or nothing can be asked for at all.
    """
    from up42_pipelines.ordering.dry_run import total

    name, job = _dry_run_of(module, pipeline)
    forecasts = _run(name, job, partitions, settings)
    totals = total(forecasts)
    out.record(_document(name, forecasts, totals), _fields(name, totals))
    out.part("partitions", forecasts, _COLUMNS)
    for one in forecasts:
        for problem in one.problems:
            note(f"error: {one.partition}: {one_line(problem)}", style="bold red")
    if totals.partitions_with_problems:
        raise click.exceptions.Exit(FAILED)


def _dry_run_of(module: str, pipeline: str | None) -> tuple[str, dg.JobDefinition]:
    """The pipeline's name and its job."""
    from up42_pipelines.assets.dry_run import DRY_RUN_TAG

    jobs = {
        job.tags[DRY_RUN_TAG]: job for job in _definitions(module).resolve_all_job_defs() if DRY_RUN_TAG in job.tags
    }
    if not jobs:
        raise click.UsageError(f"{module} holds no pipeline with a dry run: build_ingestion makes one.")
    names = ", ".join(sorted(jobs))
    if pipeline is None and len(jobs) == 1:
        return next(iter(jobs.items()))
    if pipeline is None:
        raise click.UsageError(f"Choose a pipeline of {module} with --pipeline: {names}.")
    if pipeline not in jobs:
        raise click.UsageError(f"{module} has no pipeline {pipeline!r}; it has: {names}.")
    return pipeline, jobs[pipeline]


def _definitions(module: str) -> dg.Definitions:
    import dagster as dg

    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as `dagster dev -m` does
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and misses another one
        raise click.UsageError(
            f"There is no module {module} here: name the one with your definitions with -m."
        ) from error
    found = [value for value in vars(loaded).values() if isinstance(value, dg.Definitions)]
    if len(found) != 1:
        raise click.UsageError(f"{module} holds {len(found)} Definitions instead of one: name another module with -m.")
    return found[0]


def _run(name: str, job: dg.JobDefinition, partitions: str, settings: AccountSettings) -> list[PartitionForecast]:
    import dagster as dg

    from up42_pipelines.assets.dry_run import dry_run_config, op_name
    from up42_pipelines.resources import Up42Resource

    up42 = Up42Resource(
        username=settings.username,
        password=settings.password,
        region=settings.region,
        api_url=settings.api_url,
        auth_url=settings.auth_url,
        workspace_id=settings.workspace_id,
    )
    config = dry_run_config(name, partitions)
    config.loggers["progress"] = {}
    with _progress() as progress, dg.DagsterInstance.ephemeral() as instance:
        shown = job.with_logger_defs({"progress": _logger(progress)})
        try:
            result = shown.execute_in_process(run_config=config, resources={"up42": up42}, instance=instance)
        except dg.Failure as failure:
            if isinstance(failure.__cause__, Up42Error):
                raise failure.__cause__ from failure
            raise
        except dg.DagsterExecutionInterruptedError as interrupt:
            raise click.Abort from interrupt
    return cast("list[PartitionForecast]", result.output_for_node(op_name(name)))


def _logger(progress: Progress) -> dg.LoggerDefinition:
    """A logger that moves the progress bar, in the place of Dagster's own, which writes each event to stderr."""
    import dagster as dg

    from up42_pipelines.assets.dry_run import PROGRESS

    task = progress.add_task("asking UP42", total=None)

    class Mover(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if done := getattr(record, PROGRESS, None):
                number_done, total, partition = done
                progress.update(task, completed=number_done, total=total, description=escape(partition))

    logger = logging.getLogger(__name__)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [Mover()]
    return dg.LoggerDefinition(lambda _context: logger)


def _progress() -> Progress:
    """A bar on stderr, for terminals only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _fields(name: str, totals: Totals) -> dict[str, str | None]:
    return {
        "pipeline": name,
        "partitions": f"{totals.partitions}, of which {totals.partitions_with_problems} with problems",
        "scenes": f"{totals.scenes_found} found, {totals.scenes_chosen} chosen",
        "orders": f"{totals.orders}, of which {totals.existing} exist already",
        "price": price(totals.credits),
        "expected": None if totals.expected_bytes is None else f"{decimal(totals.expected_bytes)}, uncompressed",
    }


def _document(name: str, forecasts: Sequence[PartitionForecast], totals: Totals) -> dict[str, Any]:
    rows = [
        {
            "partition": one.partition,
            "scenes_found": one.scenes_found,
            "scenes_chosen": one.scenes_chosen,
            "orders": len(one.orders),
            "existing": one.existing,
            "credits": one.credits,
            "expected_bytes": one.expected_bytes,
            "problems": list(one.problems),
        }
        for one in forecasts
    ]
    return {"pipeline": name, "partitions": rows, "totals": asdict(totals)}


def _size(size: int | None) -> str | None:
    return None if size is None else decimal(size)
