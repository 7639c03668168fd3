"""`lake`: what is in a lake, whether it is whole, and cleaning it up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from up42_pipelines.cli.exits import FAILED
from up42_pipelines.cli.lakes import lake_option
from up42_pipelines.cli.output import FEATURE_COLLECTION, Column, Output, example, limit_option, note
from up42_pipelines.cli.wording import instant, moment_option, number

if TYPE_CHECKING:
    from up42_pipelines.lake.upkeep.contents import CollectionSummary
    from up42_pipelines.lake.upkeep.gc import Debris
    from up42_pipelines.lake.upkeep.repair import Repaired
    from up42_pipelines.lake.upkeep.verify import Finding
    from up42_pipelines.lake.upkeep.verify import Progress as Verified

Document = Mapping[str, Any]


def _cloud(item: Document) -> str | None:
    cover = item["properties"].get("eo:cloud_cover")
    return None if cover is None else f"{number(cover)} %"


_ITEMS: Sequence[Column[Document]] = (
    Column("item", lambda item: item["id"]),
    Column("collection", lambda item: item["collection"]),
    Column("acquired", lambda item: item["properties"]["datetime"] or item["properties"].get("start_datetime")),
    Column("cloud", _cloud, right=True),
    Column("files", lambda item: str(len(item["assets"])), right=True),
    Column(
        "size", lambda item: decimal(sum(asset.get("file:size", 0) for asset in item["assets"].values())), right=True
    ),
)
_COLLECTIONS: Sequence[Column[CollectionSummary]] = (
    Column("collection", lambda summary: summary.collection),
    Column("items", lambda summary: str(summary.items), right=True),
    Column("withheld", lambda summary: str(summary.withheld), right=True),
    Column("first", lambda summary: summary.first),
    Column("last", lambda summary: summary.last),
)
_FINDINGS: Sequence[Column[Finding]] = (
    Column("finding", lambda finding: finding.kind),
    Column("path", lambda finding: finding.path),
    Column("what", lambda finding: finding.what),
)
_DEBRIS: Sequence[Column[Debris]] = (
    Column("why", lambda debris: debris.why),
    Column("size", lambda debris: decimal(debris.file.size), right=True),
    Column("changed", lambda debris: instant(debris.file.changed)),
    Column("path", lambda debris: debris.file.path),
)
_REPAIRED: Sequence[Column[Repaired]] = (
    Column("collection", lambda repaired: repaired.collection),
    Column("items", lambda repaired: str(repaired.items), right=True),
    Column("rows mended", lambda repaired: str(repaired.rows), right=True),
    Column("damaged items", lambda repaired: str(len(repaired.damaged)), right=True),
)
_collection_option = click.option("--collection", help="Only this one [default: all].")


def _json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--json", "out", is_flag=True, callback=lambda _c, _o, value: Output(as_json=value), help="Print JSON."
    )(command)


@click.group()
def lake() -> None:
    """Look into a lake, verify it, clean it up. Needs no account."""


@lake.command(epilog=example("lake ls"))
@_collection_option
@limit_option
@lake_option
@_json_option
def ls(collection: str | None, limit: int | None, lake_url: str, out: Output) -> None:
    """List the collections, or the items of one.

    Items come with the newest acquisition first; withheld ones are counted and not listed.
    """
    from up42_pipelines.lake import Lake
    from up42_pipelines.lake.stac.index import search as find
    from up42_pipelines.lake.upkeep.contents import summaries
    from up42_pipelines.lake.upkeep.files import collection_names

    opened = Lake(lake_url)
    if collection is not None:
        (name,) = collection_names(opened, collection)
        _print_items(find(opened, name, limit=limit), out)
        return
    out.listing(summaries(opened), _COLLECTIONS, nothing="The lake has no collection.", limit=limit, raw=asdict)


@lake.command(epilog=example("lake search --bbox 13 52 14 53 --start 2026-06-01 --end 2026-06-30 --max-cloud 20"))
@_collection_option
@click.option("--bbox", type=float, nargs=4, help="West, south, east, north in degrees; west > east across 180.")
@moment_option("--start", help="First day or time, UTC.")
@moment_option("--end", last=True, help="Last day or time, included.")
@click.option("--max-cloud", type=click.FloatRange(0, 100), help="Percent of the scene.")
@limit_option
@lake_option
@_json_option
def search(
    collection: str | None,
    bbox: tuple[float, float, float, float] | None,
    start: datetime | None,
    end: datetime | None,
    max_cloud: float | None,
    limit: int | None,
    lake_url: str,
    out: Output,
) -> None:
    """Find items by place, time and cloud cover.

    Looks into the lake's index, so that it is fast however many items there are. The newest acquisition comes first.
    """
    from up42_pipelines.lake import Lake
    from up42_pipelines.lake.stac.index import search as find
    from up42_pipelines.lake.upkeep.files import collection_names

    opened = Lake(lake_url)
    if collection is not None:
        (collection,) = collection_names(opened, collection)
    try:
        found = find(
            opened,
            collection,
            bbox=bbox,
            datetime_range=(start, end) if start or end else None,
            max_cloud_cover_percent=max_cloud,
            limit=limit,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    _print_items(found, out)


@lake.command(epilog=example("lake verify --fast"))
@_collection_option
@click.option("--fast", is_flag=True, help="Compare sizes, and read no file.")
@lake_option
@_json_option
def verify(collection: str | None, fast: bool, lake_url: str, out: Output) -> None:
    """Find what is not as the items say.

    Compares every file with its item, and collections, catalogue and index with the items. Exits with 1 when something
    is not as it should be.
    """
    from up42_pipelines.lake import Lake
    from up42_pipelines.lake.upkeep.files import collection_names
    from up42_pipelines.lake.upkeep.verify import verify as findings_in

    found, store = 0, Lake(lake_url)
    landed = collection_names(store, collection)

    def counted() -> Iterator[Finding]:
        nonlocal found
        with _verifying() as tell:
            for finding in findings_in(store, collection, fast=fast, on_progress=tell):
                found += 1
                yield finding

    nothing = "Everything is as the items say." if landed else f"Nothing has landed in {store.url}."
    out.listing(counted(), _FINDINGS, nothing=nothing, raw=asdict)
    if found:
        raise click.exceptions.Exit(FAILED)


@lake.command(epilog=example("lake gc --remove"))
@click.option("--remove", is_flag=True, help="Remove it; without this nothing is changed.")
@click.option(
    "--older-than", type=click.FloatRange(min=0), default=24, show_default=True, help="Hours; younger work may go on."
)
@lake_option
@_json_option
def gc(remove: bool, older_than: float, lake_url: str, out: Output) -> None:
    """List what killed work has left, or remove it.

    Nothing that an item refers to is removed, and nothing of purchases, ledgers and stored assets.
    """
    from up42_pipelines.lake import Lake
    from up42_pipelines.lake.upkeep.gc import find_debris, remove_debris

    look = remove_debris if remove else find_debris
    found, size = 0, 0

    def counted() -> Iterator[Debris]:
        nonlocal found, size
        for debris in look(Lake(lake_url), older_than=timedelta(hours=older_than)):
            found, size = found + 1, size + debris.file.size
            yield debris

    out.listing(counted(), _DEBRIS, nothing="There is no debris.", raw=_debris_as_document)
    if found:
        done = "Removed" if remove else "Would remove, with --remove:"
        note(f"{done} {found} {'file' if found == 1 else 'files'}, {decimal(size)}.")


@lake.command(epilog=example("lake repair"))
@_collection_option
@lake_option
@_json_option
def repair(collection: str | None, lake_url: str, out: Output) -> None:
    """Make collections, catalogue and index anew.

    They are written as the items say. Exits with 1 when an item cannot be read; it is left as it is.
    """
    from up42_pipelines.lake import Lake
    from up42_pipelines.lake.upkeep.repair import repair as repaired_in

    damaged: list[str] = []

    def noted() -> Iterator[Repaired]:
        for repaired in repaired_in(Lake(lake_url), collection):
            damaged.extend(repaired.damaged)
            yield repaired

    out.listing(noted(), _REPAIRED, nothing="The lake has no collection.", raw=asdict)
    for path in damaged:
        note(f"{path} is no STAC item: remove it, and land the item again.")
    if damaged:
        raise click.exceptions.Exit(FAILED)


def _print_items(items: Sequence[Document], out: Output) -> None:
    out.listing(items, _ITEMS, nothing="No item matches.", raw=dict, brackets=FEATURE_COLLECTION)


def _debris_as_document(debris: Debris) -> dict[str, Any]:
    file = debris.file
    return {"why": debris.why, "path": file.path, "size": file.size, "changed": instant(file.changed.astimezone(UTC))}


@contextmanager
def _verifying() -> Iterator[Callable[[Verified], None]]:
    """A bar of items on stderr, while somebody looks."""
    console = Console(stderr=True)
    columns = (
        TextColumn("verifying"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("items, {task.fields[read]} read"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("verify", total=None, read=decimal(0))

        def tell(verified: Verified) -> None:
            progress.update(task, completed=verified.items, total=verified.of_items, read=decimal(verified.bytes_read))

        yield tell
