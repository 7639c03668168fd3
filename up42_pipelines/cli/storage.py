"""`assets`: what was delivered, as files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click
from rich.filesize import decimal

from up42_pipelines.cli.account import with_client
from up42_pipelines.cli.downloads import download_assets, place_option
from up42_pipelines.cli.output import Column, Output, example, json_option, limit_option, note
from up42_pipelines.cli.wording import instant, moment_option

if TYPE_CHECKING:
    from up42_pipelines.api import StoredAsset, Up42Client

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
        page_size=min(limit or _LARGEST_PAGE, _LARGEST_PAGE),
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
@place_option
@json_option
@with_client
def download(client: Up42Client, wanted: Sequence[str], place: str, out: Output) -> None:
    """Download files, verified, and resumed when the connection drops.

    An ASSET is an id, or the href of an asset of a STAC item. A file that is there already, with other content, is not
    overwritten. In an object store each becomes an object with the asset's id, visible once it is verified. Prints one
    path or URL per file.
    """
    download_assets(client, wanted, place, out)


@assets.command(epilog=example("assets link ASSET_ID"))
@click.argument("asset")
@json_option
@with_client
def link(client: Up42Client, asset: str, out: Output) -> None:
    """Print a signed URL of a file. Whoever has it can read the file, for five minutes."""
    url = client.storage.assets.download_url(asset)
    out.record({"url": url}, {}) if out.as_json else out.line(url)
    note(f"For QGIS and GDAL, within five minutes: /vsicurl/{url}")
