"""What a demo shows: a table that fills, and at the end the proof that every COG and item is valid."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pystac
import rioxarray
import xarray
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from rich.table import Table
from rio_cogeo.cogeo import cog_validate

from up42_pipelines.demo.standing import Standing, State

_COLOURS = {
    State.DELIVERED: "green",
    State.EMPTY: "dim",
    State.FAILED: "bold red",
    State.ORDER_FAILED: "yellow",
    State.WAITING: "cyan",
    State.LANDING: "blue",
}
_DETAIL_WIDTH = 60


def cogs_of(standing: Standing) -> list[tuple[pystac.Item, pystac.Asset]]:
    """The COGs of a partition in the lake."""
    return [
        (item, asset)
        for item in standing.items
        for asset in item.assets.values()
        if asset.media_type == pystac.MediaType.COG
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was checked in the lake, and what is wrong with it.

    Attributes:
        cogs: COGs opened lazily with rioxarray and validated with rio-cogeo.
        items: items validated against the STAC core schema.
        problems: one sentence each.
    """

    cogs: int
    items: int
    problems: tuple[str, ...]


def prove(standings: Sequence[Standing]) -> Proof:
    """Open and validate what the demo has left in the lake."""
    problems: list[str] = []
    validator = JsonSchemaSTACValidator()
    items = {item.id: item for one in standings for item in one.items}
    for item in items.values():
        try:
            document = item.to_dict()
            validator.validate_core(document, pystac.STACObjectType.ITEM, document["stac_version"])
        except pystac.STACValidationError as error:
            problems.append(f"item {item.id}: {error}")
    hrefs = {asset.href: item for one in standings for item, asset in cogs_of(one)}
    for href in hrefs:
        valid, errors, _ = cog_validate(href, quiet=True)
        if not valid:
            problems.append(f"{href}: not a valid COG: {'; '.join(errors)}")
        with warnings.catch_warnings():
            # rioxarray also offers the CRS in CF terms, which cannot say everything; the COG itself can
            warnings.filterwarnings("ignore", message=".* lost in conversion to CF", category=UserWarning)
            opened = cast("xarray.DataArray", rioxarray.open_rasterio(href))
        with opened as pixels:
            if pixels.variable._in_memory:  # noqa: SLF001 - xarray has no public way to ask
                problems.append(f"{href}: read at once instead of lazily")
    for one in standings:
        if one.state is State.FAILED:
            problems.append(f"{one.key}: {one.detail}")
        elif not one.state.is_settled:
            problems.append(f"{one.key}: still {one.state}")
        elif one.state is State.DELIVERED and not cogs_of(one):
            problems.append(f"{one.key}: delivered, but without a COG in the lake")
    return Proof(cogs=len(hrefs), items=len(items), problems=tuple(problems))
