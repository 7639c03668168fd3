"""`collections`, `search`, `estimate`: what can be bought, and for how much. Nothing here spends anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from up42_pipelines.cli.account import with_client
from up42_pipelines.cli.dry_run import DEFINITIONS, show_dry_run
from up42_pipelines.cli.exits import FAILED
from up42_pipelines.cli.output import (
    FEATURE_COLLECTION,
    Column,
    Output,
    example,
    json_option,
    limit_option,
    note,
    one_line,
)
from up42_pipelines.cli.wording import instant, moment_option, number, price

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from up42_pipelines.api import Collection, DataProduct, Scene, Up42Client
    from up42_pipelines.ordering.aoi import Aoi

_LARGEST_PAGE = 500
_UNITS = {"SQ_KM": "km²", "SCENE": "whole scenes"}


def _resolution(collection: Collection) -> str | None:
    value = collection.metadata.resolution_value if collection.metadata else None
    if value is None or value.minimum is None:
        return None
    upper = f" to {number(value.maximum)}" if value.maximum not in (None, value.minimum) else ""
    return f"{number(value.minimum)}{upper}"


_COLLECTIONS: Sequence[Column[Collection]] = (
    Column("name", lambda collection: collection.name),
    Column("type", lambda collection: collection.type),
    Column("metres", _resolution, right=True),
    Column("data products", lambda collection: ", ".join(one.name or "?" for one in collection.data_products)),
    Column("title", lambda collection: collection.title),
)
_PRODUCTS: Sequence[Column[DataProduct]] = (
    Column("name", lambda product: product.name),
    Column("id", lambda product: product.id),
    Column("EULA", lambda product: product.eula_id),
    Column("title", lambda product: product.title),
)
_SCENES: Sequence[Column[Scene]] = (
    Column("scene", lambda scene: scene.id),
    Column("acquired", lambda scene: instant(scene.datetime_ or scene.acquisition_date or scene.start_datetime)),
    Column("cloud %", lambda scene: number(scene.cloud_cover_percent, 1), right=True),
    Column("metres", lambda scene: number(scene.resolution), right=True),
    Column("delivery", lambda scene: scene.delivery_time),
    Column("collection", lambda scene: scene.collection),
)
_AOI = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(invoke_without_command=True, epilog=example("collections --type ARCHIVE"))
@click.option("--type", "kind", metavar="ARCHIVE|TASKING", help="Only these.")
@json_option
@click.pass_context
def collections(context: click.Context, kind: str | None, out: Output) -> None:
    """List the collections that UP42 sells, or show one."""
    if context.invoked_subcommand is None:
        context.invoke(_list_collections, kind=kind, out=out)
    elif kind or out.as_json:
        raise click.UsageError("Options of the list stand before a sub-command: give them after it.")


@with_client
def _list_collections(client: Up42Client, kind: str | None, out: Output) -> None:
    found = client.catalog.collections(type=kind.upper() if kind else None)
    out.listing(found, _COLLECTIONS, nothing="No collections.")


@collections.command(epilog=example("collections show phr"))
@click.argument("name")
@json_option
@with_client
def show(client: Up42Client, name: str, out: Output) -> None:
    """Show a collection. Says who hosts it, what can be done with it, and its data products with ids and EULAs."""
    collection = client.catalog.collection(name)
    out.record(
        collection.raw,
        {
            "collection": collection.name,
            "title": collection.title,
            "description": collection.description,
            "type": collection.type,
            "metres": _resolution(collection),
            "host": [provider.name for provider in collection.providers if provider.is_host],
            "producer": [provider.name for provider in collection.providers if provider.is_producer],
            "integrations": collection.integrations,
        },
    )
    out.part("data products", collection.data_products, _PRODUCTS)


@click.command(epilog=example("search --collection phr --aoi harbour.geojson --start 2026-06-01 --end 2026-06-30"))
@click.argument("host", required=False)
@click.option("--collection", "names", multiple=True, help="Repeatable; all of the host when not given.")
@click.option("--aoi", "aoi_file", type=_AOI, required=True, help="GeoJSON file; checked against UP42's rules.")
@moment_option("--start", required=True, help="First day or time, UTC.")
@moment_option("--end", last=True, required=True, help="Last day or time, included.")
@click.option("--max-cloud", type=click.FloatRange(0, 100), help="Percent of the scene.")
@limit_option
@json_option
@with_client
def search(
    client: Up42Client,
    host: str | None,
    names: Sequence[str],
    aoi_file: Path,
    start: datetime,
    end: datetime,
    max_cloud: float | None,
    limit: int | None,
    out: Output,
) -> None:
    """Search the archive for scenes that touch an AOI.

    One HOST is asked; with --collection it need not be named.
    """
    if not host and not names:
        raise click.UsageError("Where to search? Give a HOST or --collection; `up42-pipelines collections` lists them.")
    aoi = _read_aoi(aoi_file)
    where, collections = _searched(client, host, names)
    several = aoi.geometry.geom_type == "MultiPolygon"
    scenes: Iterable[Scene] = client.catalog.search(
        where,
        collections=collections,
        intersects=aoi.__geo_interface__,
        start=start,
        end=end,
        max_cloud_cover_percent=max_cloud,
        limit=_LARGEST_PAGE if several else min(limit or _LARGEST_PAGE, _LARGEST_PAGE),
    )
    if several:  # UP42 searches its bounding box
        scenes = (scene for scene in scenes if _footprint(scene).intersects(aoi.geometry))
    out.listing(scenes, _SCENES, nothing="No scenes.", limit=limit, brackets=FEATURE_COLLECTION)


@click.command(epilog=example("estimate --collection phr --product analytic --scene SCENE_ID --aoi harbour.geojson"))
@click.option("--collection", "name", help="For example phr.")
@click.option("--product", help="Name or id of one of its data products.")
@click.option("--scene", help="Id of a scene, as `search` shows it.")
@click.option("--aoi", "aoi_file", type=_AOI, help="GeoJSON file; for products that are sold by area.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Repeatable; the value may be JSON.")
@click.option("--partitions", metavar="A..B", help="Days or partition keys of a pipeline, instead of all the above.")
@click.option("--pipeline", help="Name of the pipeline, where there are several.")
@click.option("-m", "--module", help=f"Python module with the Dagster definitions [default: {DEFINITIONS}].")
@json_option
@click.pass_context
def estimate(
    context: click.Context,
    /,
    partitions: str | None,
    pipeline: str | None,
    module: str | None,
    out: Output,
    **order: Any,
) -> None:
    """Check an order, and ask for its price. Spends nothing.

    What would be ordered is compared with the order form of the data product first.

    With --partitions: what a pipeline would find, order and pay for a range of its partitions, such as
    2026-06-01..2026-06-10 (all AOIs) or 'berlin|2026-06-01..berlin|2026-06-10'. What is ordered already costs nothing.
    """
    if partitions is not None:
        if any(order.values()):
            raise click.UsageError("One order or a pipeline? --partitions takes --pipeline and -m beside it only.")
        show_dry_run(context.obj, partitions, module=module or DEFINITIONS, pipeline=pipeline, out=out)
        return
    if pipeline or module:
        raise click.UsageError("--pipeline and -m belong to --partitions: give a range of partitions.")
    needed = {"--collection": order["name"], "--product": order["product"], "--scene": order["scene"]}
    if missing := [option for option, value in needed.items() if not value]:
        raise click.UsageError(f"Missing {', '.join(missing)}; or give --partitions for what a pipeline would buy.")
    context.invoke(_estimate_order, out=out, **order)


@with_client
def _estimate_order(
    client: Up42Client,
    name: str,
    product: str,
    scene: str,
    aoi_file: Path | None,
    params: Sequence[str],
    out: Output,
) -> None:
    from up42_pipelines.api import OrderInput

    given = {**read_params(params), "id": scene}
    aoi = _read_aoi(aoi_file) if aoi_file else None
    chosen = client.catalog.collection(name).data_product(product)
    form = client.catalog.order_form(chosen.id or product)
    form.check(given)
    if form.is_clipped and aoi is None:
        raise click.UsageError(f"Data product {chosen.name} is sold by area: give --aoi.")
    if not form.is_clipped and aoi is not None:
        raise click.UsageError(f"Data product {chosen.name} is sold as whole scenes: leave --aoi out.")
    order = OrderInput(
        data_product=form.data_product_id, display_name="estimate", params=given, feature_collection=_features(aoi)
    )
    answer = client.orders.estimate(order)
    size = sum(line.size or 0 for line in answer.results)
    units = {_UNITS.get(line.unit, line.unit) for line in answer.results if line.unit}
    out.record(
        answer.raw,
        {
            "data product": f"{chosen.name} of {name} ({form.data_product_id})",
            "scene": scene,
            "size": f"{number(size, 4)} {', '.join(sorted(units))}" if answer.results else None,
            "price": price(answer.credits) if answer.results else None,
        },
    )
    for error in answer.errors:
        said = ": ".join(str(part) for part in (error.message, error.details) if part)
        note(f"error: area {1 + (error.index or 0)}: {one_line(said)}", style="bold red")
    if answer.errors:
        raise click.exceptions.Exit(FAILED)


def _searched(client: Up42Client, host: str | None, names: Sequence[str]) -> tuple[str, list[str]]:
    """The host to search and which of its collections."""
    if host and names:
        return host, list(names)
    if host:
        found = client.catalog.collections(type="ARCHIVE")
        mine = [one.name for one in found if host in {p.name for p in one.providers if p.is_host}]
        if not mine:
            raise click.UsageError(f"No archive collection is hosted by {host!r}.")
        return host, mine
    hosts = {name: client.catalog.collection(name).host for name in names}
    if len(set(hosts.values())) > 1:
        of_each = ", ".join(f"{name} by {host}" for name, host in hosts.items())
        raise click.UsageError(f"One search asks one host, and these have several: {of_each}.")
    return next(iter(hosts.values())), list(hosts)


def _footprint(scene: Scene) -> BaseGeometry:
    from shapely.geometry import shape

    return shape(scene.geometry)


def _read_aoi(file: Path) -> Aoi:
    from up42_pipelines.ordering.aoi import read_aoi

    return read_aoi(file)


def read_params(given: Sequence[str]) -> dict[str, Any]:
    """`name=value` pairs; a value that is JSON counts as such, any other is a text.

    Raises:
        click.BadParameter: not a pair.
    """
    params: dict[str, Any] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is no NAME=VALUE.", param_hint="--param")
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value
    return params


def _features(aoi: Aoi | None) -> dict[str, Any]:
    """One order per feature: a part of the AOI each, or none for a whole scene."""
    areas: list[Mapping[str, Any] | None] = [None]
    if aoi is not None:
        areas = [part.__geo_interface__ for part in getattr(aoi.geometry, "geoms", [aoi.geometry])]
    features = [{"type": "Feature", "properties": {}, "geometry": area} for area in areas]
    return {"type": "FeatureCollection", "features": features}
