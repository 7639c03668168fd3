"""`jobs`: what UP42 computes on delivered items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.text import Text

from up42_pipelines.cli.account import with_client
from up42_pipelines.cli.catalog import read_params
from up42_pipelines.cli.downloads import download_assets, place_option
from up42_pipelines.cli.exits import FAILED
from up42_pipelines.cli.following import patience_options, tell_changes
from up42_pipelines.cli.output import Column, Output, example, json_option, limit_option
from up42_pipelines.cli.wording import explained, instant, number, price

if TYPE_CHECKING:
    from up42_pipelines.api import Job, Process, Up42Client
    from up42_pipelines.processing.checking import Assessment
    from up42_pipelines.processing.templates import AnyProcess, Template

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


_PROCESSES: Sequence[Column[Process]] = (
    Column("process", lambda process: process.id),
    Column("credits", lambda process: " + ".join(_price_of(process)), right=True),
    Column("title", lambda process: process.title),
)
_JUDGED: Sequence[Column[tuple[Process, Text]]] = (
    Column("process", lambda row: row[0].id),
    Column("credits", lambda row: " + ".join(_price_of(row[0])), right=True),
    Column("takes it", lambda row: row[1]),
)


def _price_of(process: Process) -> list[str]:
    units = {"SQ_KM": "km²"}
    return [f"{number(one.credits)} / {units.get(one.unit or '', one.unit)}" for one in process.prices]


@click.group()
def jobs() -> None:
    """Look at processes and at jobs, check jobs, fetch results."""


@jobs.command(epilog=example("jobs processes --item ITEM_ID"))
@click.option("--item", help="Self href or id of an item in storage: also say what the processes find wrong with it.")
@json_option
@with_client
def processes(client: Up42Client, item: str | None, out: Output) -> None:
    """List what UP42 can compute, and for how much.

    With --item, whether it can be computed on that.
    """
    offered = client.processing.processes()
    if item is None:
        out.listing(offered, _PROCESSES, nothing="No processes.")
        return
    href = _href(client, item)
    judged = ((process, _takes(client, process, href)) for process in offered)
    out.listing(judged, _JUDGED, nothing="No processes.", raw=lambda row: {**row[0].raw, "takesItem": row[1].plain})


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
    from up42_pipelines.processing.checking import in_words
    from up42_pipelines.processing.outcome import outcome_of

    job = client.processing.job(job_id)
    out.record(
        job.raw,
        {
            "job": job.id,
            "title": job.title,
            "process": job.process_id,
            "status": explained(job.status, _style(job)),
            "errors": [in_words(error) for error in job.errors],
            "what to do": outcome_of(job).remedy,
            "collection": job.collection_id,
            "price": None if job.credits is None else price(job.credits),
            "inputs": [f"{name}: {value}" for name, value in job.inputs.items() if name != "title"],
            "created": instant(job.created),
            "started": instant(job.started),
            "finished": instant(job.finished),
        },
    )


@jobs.command(epilog=example("jobs check pansharpening ITEM_ID"))
@click.argument("process_id", metavar="PROCESS")
@click.argument("items", metavar="ITEM...", nargs=-1, required=True)
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Repeatable; the value may be JSON.")
@json_option
@with_client
def check(client: Up42Client, process_id: str, items: Sequence[str], params: Sequence[str], out: Output) -> None:
    """Check a job, and ask for its price. Spends nothing.

    An ITEM is the self href or the id of a STAC item in storage; a process that compares takes two, source and
    reference. Asks for process, EULA, validation and cost; exits with 1 when something is wrong. Nothing here starts a
    job: that is the business of a workflow, which buys each one once.
    """
    from up42_pipelines.processing.checking import check_job, in_words

    hrefs = [_href(client, item) for item in items]
    inputs = {"title": "check", **_template_of(process_id, len(hrefs)).inputs(hrefs), **read_params(params)}
    assessed = check_job(client.processing, process_id, inputs)
    out.record(
        {
            "processId": process_id,
            "inputs": inputs,
            "problems": [problem.raw or problem.model_dump() for problem in assessed.problems],
            "eulaId": assessed.eula_id,
            "eulaAccepted": assessed.eula_accepted,
            "cost": assessed.cost and assessed.cost.raw,
        },
        {
            "process": process_id,
            "items": hrefs,
            "EULA": _licence(assessed),
            "problems": [Text(in_words(problem), style="red") for problem in assessed.problems],
            "price": price(assessed.cost.total_credits) if assessed.cost else None,
        },
    )
    if assessed.problems:
        raise click.exceptions.Exit(FAILED)


@jobs.command(epilog=example("jobs watch JOB_ID --every 300"))
@click.argument("job_ids", metavar="JOB_ID...", nargs=-1, required=True)
@patience_options
@json_option
@with_client
def watch(client: Up42Client, job_ids: Sequence[str], interval_s: float, patience_s: float, out: Output) -> None:
    """Wait for jobs, and print each change of status. Exits with 1 when one has failed.

    A workflow's own jobs need nobody who waits: its sensor does.
    """
    changes = client.processing.follow(job_ids, interval_s=interval_s, patience_s=patience_s)
    tell_changes(changes, out, failed=lambda job: job.is_final and not job.is_successful)


@jobs.command(epilog=example("jobs results JOB_ID --to results"))
@click.argument("job_id")
@place_option
@json_option
@with_client
def results(client: Up42Client, job_id: str, place: str, out: Output) -> None:
    """Download what a job made.

    The files of all its result items, verified and resumed like those of `assets download`.
    """
    from up42_pipelines.processing.results import result_items

    items = result_items(client.storage, client.processing.job(job_id))
    hrefs = [asset.href for item in items for asset in item.assets.values()]
    download_assets(client, hrefs, place, out)


def _takes(client: Up42Client, process: Process, href: str) -> Text:
    """Whether a process takes an item; of a process that needs several nobody knows."""
    from up42_pipelines.processing.checking import in_words

    wanted = len(_template_of(process.id, 1).item_inputs)
    if wanted != 1:
        return Text(f"needs {wanted} items", style="dim")
    problems = client.processing.validate(process.id, {"title": "check", "item": href})
    return Text("; ".join(map(in_words, problems)), style="dim") if problems else Text("yes", style="green")


def _template_of(process_id: str, number: int) -> Template | AnyProcess:
    """How items go into the inputs of a process. One that is not known takes one or many, as most do."""
    from up42_pipelines.processing.templates import TEMPLATES, AnyProcess

    if process_id in TEMPLATES:
        return TEMPLATES[process_id]()
    return AnyProcess(process_id=process_id, items_input="items" if number > 1 else "")


def _href(client: Up42Client, item: str) -> str:
    """The self href of an item that was named by href or id."""
    if "://" in item:
        return item
    found = next(client.storage.search(ids=[item]), None)
    if found is None:
        raise click.UsageError(f"There is no item {item} in storage; `up42-pipelines orders show` lists an order's.")
    return str(found.get_self_href())


def _licence(assessed: Assessment) -> Text | None:
    if assessed.eula_id is None:
        return None
    standing = "accepted" if assessed.eula_accepted else "not accepted: accept it in the console"
    return Text(f"{assessed.eula_id}, {standing}", style="" if assessed.eula_accepted else "red")
