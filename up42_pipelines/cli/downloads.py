"""Fetching files of UP42's storage, with a bar per file: into a folder, or straight into an object store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from up42_pipelines.cli.output import Output
from up42_pipelines.cli.wording import Command
from up42_pipelines.errors import LakeError

if TYPE_CHECKING:
    from up42_pipelines.api import Up42Client
    from up42_pipelines.lake import Received


def place_option(command: Command) -> Command:
    """Add `--to` to a command that fetches files; it is given a folder or URL as `place`."""
    return click.option(
        "--to",
        "place",
        metavar="FOLDER|URL",
        default=".",
        help="Folder, made when it is not there, or gs:// or s3:// URL, straight into which files go [default: here].",
    )(command)


def download_assets(client: Up42Client, wanted: Sequence[str], place: str, out: Output) -> None:
    """Fetch assets, and print one path or URL per file.

    Args:
        client: of the account.
        wanted: asset ids, or hrefs of assets of STAC items.
        place: folder, or URL of an object store.
        out: where paths are printed.

    Raises:
        click.UsageError: the folder cannot be made.
        TransferError, LakeError: a file did not arrive whole, or cannot be written.
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
