"""What a demo shows: a table that fills, and at the end the proof that every COG and item is valid."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pyarrow.parquet
import pystac
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from rich.table import Table

from up42_pipelines.demo.standing import Standing, State
from up42_pipelines.demo.steps import StepStanding, StepState
from up42_pipelines.lake import COG_MEDIA_TYPE, PARQUET_MEDIA_TYPE

if TYPE_CHECKING:
    import xarray

_COLOURS = {
    State.DELIVERED: "green",
    State.EMPTY: "dim",
    State.FAILED: "bold red",
    State.ORDER_FAILED: "yellow",
    State.WAITING: "cyan",
    State.LANDING: "blue",
}
_STEP_COLOURS = {
    StepState.DONE: "green",
    StepState.NO_INPUT: "dim",
    StepState.NO_REFERENCE: "dim",
    StepState.JOB_FAILED: "yellow",
    StepState.FAILED: "bold red",
    StepState.COMPUTING: "cyan",
    StepState.LANDING: "blue",
}
_DETAIL_WIDTH = 60


def cogs_of(standing: Standing | StepStanding) -> list[tuple[pystac.Item, pystac.Asset]]:
    """The COGs of a partition in the lake."""
    return _assets_of(standing, COG_MEDIA_TYPE)


def features_of(standing: StepStanding) -> list[tuple[pystac.Item, pystac.Asset]]:
    """The detections of a step in the lake, as GeoParquet."""
    return _assets_of(standing, PARQUET_MEDIA_TYPE)


def _assets_of(standing: Standing | StepStanding, media_type: str) -> list[tuple[pystac.Item, pystac.Asset]]:
    return [
        (item, asset) for item in standing.items for asset in item.assets.values() if asset.media_type == media_type
    ]


def table(standings: Sequence[Standing]) -> Table:
    """Partition, scenes, orders, credits, items, COGs, MB, seconds, state."""
    shown = Table(title="up42-pipelines demo (sandbox, not UP42)", title_style="bold")
    for name in ("partition", "scenes", "orders", "credits", "items", "COGs", "MB", "seconds"):
        shown.add_column(name, justify="left" if name == "partition" else "right", no_wrap=True)
    shown.add_column("state", overflow="fold")
    for one in standings:
        size = sum(int(a.extra_fields.get("file:size", 0)) for i in one.items for a in i.assets.values())
        colour = _COLOURS.get(one.state, "white")
        detail = one.detail if len(one.detail) <= _DETAIL_WIDTH else f"{one.detail[:_DETAIL_WIDTH]}…"
        shown.add_row(
            one.key,
            str(len({order.scene_id for order in one.orders})),
            str(len(one.orders)),
            str(one.credits),
            str(len(one.items)),
            str(len(cogs_of(one))),
            f"{size / 1e6:.2f}",
            "" if one.seconds is None else f"{one.seconds:.1f}",
            f"[{colour}]{one.state}[/]" + (f" [dim]{detail}[/]" if detail and one.state is not State.DELIVERED else ""),
        )
    return shown


def steps_table(standings: Sequence[StepStanding]) -> Table:
    """One row per partition, one column per step: how far it is, and what it cost."""
    names = list(dict.fromkeys(one.step for one in standings))
    shown = Table(title="processing (computed by the sandbox, not by UP42)", title_style="bold")
    shown.add_column("partition", no_wrap=True)
    for name in names:
        shown.add_column(name)
    shown.add_column("credits", justify="right")
    for key in dict.fromkeys(one.key for one in standings):
        row = {one.step: one for one in standings if one.key == key}
        cells = [f"[{_STEP_COLOURS.get(row[name].state, 'white')}]{row[name].state}[/]" for name in names]
        shown.add_row(key, *cells, f"{sum(one.credits for one in row.values()):g}")
    return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was checked in the lake, and what is wrong with it.

    Attributes:
        cogs: COGs opened lazily with rioxarray and validated with rio-cogeo.
        items: items validated against the STAC core schema.
        features: rows of detections, counted in GeoParquet files.
        problems: one sentence each.
    """

    cogs: int
    items: int
    features: int
    problems: tuple[str, ...]


def prove(standings: Sequence[Standing], steps: Sequence[StepStanding] = ()) -> Proof:
    """Open and validate what the demo has left in the lake."""
    places: list[Standing | StepStanding] = [*standings, *steps]
    items = {item.id: item for one in places for item in one.items}
    cogs = sorted({asset.href for one in places for _, asset in cogs_of(one)})
    tables = {asset.href for one in steps for _, asset in features_of(one)}
    validator = JsonSchemaSTACValidator()
    problems = [problem for item in items.values() if (problem := _item_problem(item, validator))]
    problems += [problem for href in cogs for problem in _cog_problems(href)]
    problems += [problem for one in places if (problem := _place_problem(one))]
    features = sum(pyarrow.parquet.read_metadata(href).num_rows for href in tables)
    return Proof(cogs=len(cogs), items=len(items), features=features, problems=tuple(problems))


def _item_problem(item: pystac.Item, validator: JsonSchemaSTACValidator) -> str:
    document = item.to_dict()
    try:
        validator.validate_core(document, pystac.STACObjectType.ITEM, document["stac_version"])
    except pystac.STACValidationError as error:
        return f"item {item.id}: {error}"
    return ""


def _cog_problems(href: str) -> Iterator[str]:
    import rioxarray  # a second of imports that only the end of a demo needs
    from rio_cogeo.cogeo import cog_validate

    valid, errors, _ = cog_validate(href, quiet=True)
    if not valid:
        yield f"{href}: not a valid COG: {'; '.join(errors)}"
    with warnings.catch_warnings():
        # rioxarray also offers the CRS in CF terms, which cannot say everything; the COG itself can
        warnings.filterwarnings("ignore", message=".* lost in conversion to CF", category=UserWarning)
        opened = cast("xarray.DataArray", rioxarray.open_rasterio(href))
    with opened as pixels:
        if pixels.variable._in_memory:  # noqa: SLF001 - xarray has no public way to ask
            yield f"{href}: read at once instead of lazily"


def _place_problem(one: Standing | StepStanding) -> str:
    """What is wrong with where a partition, or a step in it, has come to."""
    name = f"{one.key} {one.step}" if isinstance(one, StepStanding) else one.key
    if one.state in (State.FAILED, StepState.FAILED):
        return f"{name}: {one.detail}"
    if not one.state.is_settled:
        return f"{name}: still {one.state}"
    has_result = bool(cogs_of(one)) or (isinstance(one, StepStanding) and bool(features_of(one)))
    if one.state in (State.DELIVERED, StepState.DONE) and not has_result:
        return f"{name}: {one.state}, but with nothing of it in the lake"
    return ""
