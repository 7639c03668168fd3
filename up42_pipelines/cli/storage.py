"""`assets`: what was delivered, as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from up42_pipelines.cli.account import with_client
from up42_pipelines.cli.output import Column, Output, example, json_option, limit_option, note
from up42_pipelines.cli.wording import instant, moment_option
from up42_pipelines.errors import LakeError

if TYPE_CHECKING:
    from up42_pipelines.api import StoredAsset, Up42Client
    from up42_pipelines.lake import Received

_LARGEST_PAGE = 100
_ASSETS: Sequence[Column[StoredAsset]] = (
    Column("asset", lambda asset: asset.id),
    Column("created", lambda asset: instant(asset.created_at)),
    Column("size", lambda asset: None if asset.size is None else decimal(asset.size), right=True),
    Column("name", lambda asset: asset.name),
)


@click.group()
def assets() -> None:
    """List, download and stream what was delivered."""


@assets.command("list", epilog=example("assets list --order ORDER_ID"))
@click.option("--order", "order_id", help="Only those of this order.")
@click.option("--search", "text", help="Part of the name or title.")
@click.option("--tag", "tags", multiple=True, help="Repeatable; assets that carry any of them.")
@click.option("--collection", "names", multiple=True, help="Repeatable; of any of them.")
@click.option("--source", "sources", multiple=True, metavar="ARCHIVE|TASKING|PROCESSING|USER", help="Repeatable.")
@moment_option("--after", help="Created since this day or time, UTC.")
@moment_option("--before", last=True, help="Created until this day or time, UTC.")
@limit_option
@json_option
@with_client
def list_assets(
    client: Up42Client,
    order_id: str | None,
    text: str | None,
    tags: Sequence[str],
    names: Sequence[str],
    sources: Sequence[str],
    after: datetime | None,
    before: datetime | None,
    limit: int | None,
    out: Output,
) -> None:
    """List the files in storage, newest first."""
    if order_id and text:
        raise click.UsageError("UP42 searches for one text: give --order or --search.")
    found = client.storage.assets.list(
        search=order_id or text,
        tags=tags,
        collection_names=names,
        sources=[one.upper() for one in sources],
        created_after=after,
        created_before=before,
        page_size=_LARGEST_PAGE if order_id else min(limit or _LARGEST_PAGE, _LARGEST_PAGE),
    )
    some = (asset for asset in found if order_id in (None, asset.order_id))
    out.listing(some, _ASSETS, nothing="No assets.", limit=limit)


@assets.command(epilog=example("assets show ASSET_ID"))
@click.argument("asset_id")
@json_option
@with_client
def show(client: Up42Client, asset_id: str, out: Output) -> None:
    """Show a file in storage. Says what it is, where it comes from, and whether STAC items were made of it."""
    asset = client.storage.assets.get(asset_id)
    out.record(
        asset.raw,
        {
            "asset": asset.id,
            "name": asset.name,
            "title": asset.title,
            "size": None if asset.size is None else f"{decimal(asset.size)} ({asset.size} bytes)",
            "content type": asset.content_type,
            "STAC items": asset.geospatial_metadata_extraction_status,
            "order": asset.order_id,
            "source": asset.source,
            "collection": asset.collection_name,
            "producer": asset.producer_name,
            "tags": asset.tags,
            "created": instant(asset.created_at),
            "updated": instant(asset.updated_at),
        },
    )


@assets.command(epilog=example("assets download ASSET_ID --to deliveries"))
@click.argument("wanted", metavar="ASSET...", nargs=-1, required=True)
@click.option(
    "--to",
    "place",
    metavar="FOLDER|URL",
    default=".",
    help="Folder, made when it is not there, or a gs:// or s3:// URL, straight into which files go [default: here].",
)
@json_option
@with_client
def download(client: Up42Client, wanted: Sequence[str], place: str, out: Output) -> None:
    """Download files, verified, and resumed when the connection drops.

    An ASSET is an id, or the href of an asset of a STAC item. A file that is there already, with other content, is not
    overwritten. In an object store each becomes an object with the asset's id, visible once it is verified. Prints one
    path or URL per file.
    """
    if "://" in place:
        _download_into_store(client, wanted, place, out)
        return
    folder = Path(place)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--to {folder}: {error.strerror}.") from error
    with _progress() as progress:
        files = [_fetch(client, asset, folder, progress) for asset in wanted]
    if out.as_json:
        out.record([_as_document(asset, file) for asset, file in zip(wanted, files, strict=True)], {})
    for file in files:
        out.line(str(file.path))


@assets.command(epilog=example("assets link ASSET_ID"))
@click.argument("asset")
@json_option
@with_client
def link(client: Up42Client, asset: str, out: Output) -> None:
    """Print a signed URL of a file. Whoever has it can read the file, for five minutes."""
    url = client.storage.assets.download_url(asset)
    out.record({"url": url}, {}) if out.as_json else out.line(url)
    note(f"For QGIS and GDAL, within five minutes: /vsicurl/{url}")


def _fetch(client: Up42Client, asset: str, folder: Path, progress: Progress) -> Received:
    """One file, under its own name; where a file of that name is something else, the asset's id is added."""
    from up42_pipelines.lake import download as verified_download

    asset_id = _id_of(asset)
    task = progress.add_task(asset_id, total=None)
    received = verified_download(
        lambda: client.storage.assets.download_url(asset),
        folder / f".{asset_id}.part",
        on_progress=partial(_show_progress, progress, task),
    )
    name = Path(received.filename or asset_id)
    for target in (folder / name, folder / f"{name.stem}-{asset_id}{name.suffix}"):
        if not target.exists() or _holds(target, received):
            received.path.replace(target)
            return replace(received, path=target)
    received.path.unlink()
    raise LakeError(f"{target} is there already, with other content: choose another folder with --to.")


def _download_into_store(client: Up42Client, wanted: Sequence[str], url: str, out: Output) -> None:
    """Stream files into an object store; nothing is kept on this machine."""
    from up42_pipelines.lake import Lake
    from up42_pipelines.lake.transfer.stream import stream

    lake = Lake(url)
    documents = []
    with _progress() as progress:
        for asset in wanted:
            asset_id = _id_of(asset)
            task = progress.add_task(asset_id, total=None)
            streamed = stream(
                partial(client.storage.assets.download_url, asset),
                lake,
                asset_id,
                on_progress=partial(_show_progress, progress, task),
            )
            digests = {"size": streamed.size, "crc32c": streamed.crc32c, "sha256": streamed.sha256}
            documents.append({"asset": asset, "path": lake.href(asset_id), **digests})
    if out.as_json:
        out.record(documents, {})
    for document in documents:
        out.line(str(document["path"]))


def _id_of(asset: str) -> str:
    from up42_pipelines.lake import safe_name

    return safe_name(asset.removesuffix("/download-url").rpartition("/")[2])


def _show_progress(progress: Progress, task: TaskID, done: int, total: int | None) -> None:
    progress.update(task, completed=done, total=total)


def _holds(target: Path, received: Received) -> bool:
    from up42_pipelines.lake.content import sha256_of

    return target.is_file() and sha256_of(target) == received.sha256()


def _progress() -> Progress:
    """A bar per file on stderr, for terminals only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)


def _as_document(asset: str, file: Received) -> dict[str, Any]:
    return {"asset": asset, "path": str(file.path), "size": file.size, "crc32c": file.crc32c, "sha256": file.sha256()}
