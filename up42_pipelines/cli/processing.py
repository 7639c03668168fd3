"""`jobs`: what UP42 computes on delivered items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.text import Text

from up42_pipelines.cli.account import with_client
from up42_pipelines.cli.output import Column, Output, example, json_option, limit_option
from up42_pipelines.cli.wording import explained, instant, number, price

if TYPE_CHECKING:
    from up42_pipelines.api import Job, Up42Client

_LARGEST_PAGE = 100


def _style(job: Job) -> str:
    if job.is_successful:
        return "green"
    return "red" if job.is_final else "cyan"


_JOBS: Sequence[Column[Job]] = (
    Column("job", lambda job: job.id),
    Column("created", lambda job: instant(job.created)),
    Column("status", lambda job: Text(job.status, style=_style(job))),
    Column("credits", lambda job: number(job.credits), right=True),
    Column("process", lambda job: job.process_id),
    Column("title", lambda job: job.title),
)


@click.group()
def jobs() -> None:
    """Look at processing jobs."""


@jobs.command("list", epilog=example("jobs list --process pansharpening --status failed"))
@click.option("--process", "processes", multiple=True, help="Id; repeatable, of any of them.")
@click.option("--status", multiple=True, help="Repeatable; in any of them.")
@click.option("--longer-than", type=click.IntRange(min=0), metavar="SECONDS", help="That took at least so long.")
@click.option("--shorter-than", type=click.IntRange(min=0), metavar="SECONDS", help="That took at most so long.")
@limit_option
@json_option
@with_client
def list_jobs(
    client: Up42Client,
    processes: Sequence[str],
    status: Sequence[str],
    longer_than: int | None,
    shorter_than: int | None,
    limit: int | None,
    out: Output,
) -> None:
    """List the processing jobs of the workspace, newest first."""
    found = client.processing.jobs(
        process_ids=processes,
        status=[one.lower() for one in status],
        min_duration_s=longer_than,
        max_duration_s=shorter_than,
        page_size=min(limit or _LARGEST_PAGE, _LARGEST_PAGE),
    )
    out.listing(found, _JOBS, nothing="No jobs.", limit=limit)


@jobs.command(epilog=example("jobs show JOB_ID"))
@click.argument("job_id")
@json_option
@with_client
def show(client: Up42Client, job_id: str, out: Output) -> None:
    """Show a processing job. Says in words where it stands, what it cost, and what it left or why it failed."""
    job = client.processing.job(job_id)
    out.record(
        job.raw,
        {
            "job": job.id,
            "title": job.title,
            "process": job.process_id,
            "status": explained(job.status, _style(job)),
            "errors": [": ".join(filter(None, (error.name, error.message))) for error in job.errors],
            "collection": job.collection_id,
            "price": None if job.credits is None else price(job.credits),
            "inputs": [f"{name}: {value}" for name, value in job.inputs.items() if name != "title"],
            "created": instant(job.created),
            "started": instant(job.started),
            "finished": instant(job.finished),
        },
    )
