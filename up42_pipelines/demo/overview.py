"""The overview picture of a demo: one small image per partition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pystac
import shapely
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from rasterio.warp import transform_bounds
from shapely.geometry import shape

from up42_pipelines.demo.report import cogs_of, features_of
from up42_pipelines.demo.standing import Standing, State
from up42_pipelines.demo.steps import StepStanding
from up42_pipelines.lake import Lake, quicklook_png, read_features

_CELL_INCHES = 3.2
_MOST_FEATURES = 2000
_MOST_PICTURES = 3


def save_overview(standings: Sequence[Standing], path: Path, *, columns: int) -> None:
    """Write a PNG with a cell per partition: its COGs, or why there are none."""
    rows = -(-len(standings) // columns)
    figure = Figure(figsize=(columns * _CELL_INCHES, rows * _CELL_INCHES + 0.4), layout="constrained")
    figure.suptitle("What the demo left in the lake (imagery of the sandbox, not of UP42)")
    cells = figure.subplots(rows, columns, squeeze=False)
    for cell, one in zip(cells.flat, standings, strict=False):
        cell.set_axis_off()
        cell.set_title(one.key, fontsize=9)
        cogs = cogs_of(one)
        if cogs:
            cell.imshow(_picture(cogs))
            cover = cogs[0][0].properties.get("eo:cloud_cover")
            caption = f"{len(cogs)} COG(s), {one.credits} credits" + ("" if cover is None else f", cloud {cover:.0f} %")
        else:
            caption = str(one.state)
        colour = "firebrick" if one.state in (State.FAILED, State.ORDER_FAILED) else "dimgray"
        cell.text(0.5, -0.04, caption, transform=cell.transAxes, ha="center", va="top", fontsize=8, color=colour)
    for cell in cells.flat[len(standings) :]:
        cell.set_axis_off()
    figure.savefig(path, dpi=110)


def save_steps_overview(lake: Lake, standings: Sequence[Standing], steps: Sequence[StepStanding], path: Path) -> None:
    """Write a PNG with a row per partition: what was delivered, and what each step made of it.

    Detections are drawn over what was delivered.
    """
    names = list(dict.fromkeys(one.step for one in steps))
    by_place = {(one.key, one.step): one for one in steps}
    figure = Figure(
        figsize=((len(names) + 1) * _CELL_INCHES, len(standings) * _CELL_INCHES + 0.4), layout="constrained"
    )
    figure.suptitle("Delivered and processed (by the sandbox, not by UP42)")
    cells = figure.subplots(len(standings), len(names) + 1, squeeze=False)
    for row, source in zip(cells, standings, strict=True):
        _show(row[0], source, title=source.key)
        for cell, name in zip(row[1:], names, strict=True):
            one = by_place[source.key, name]
            if one.state.is_done and features_of(one):
                _draw(cell, lake, source, one)
            else:
                _show(cell, one, title=name)
    figure.savefig(path, dpi=90)


def _show(cell: Axes, standing: Standing | StepStanding, *, title: str) -> None:
    """The COGs of a place, or why there are none."""
    cell.set_axis_off()
    cell.set_title(title, fontsize=9)
    cogs = cogs_of(standing)
    if cogs:
        cell.imshow(_picture(cogs))
    caption = f"{standing.credits:g} credits" if cogs else str(standing.state)
    cell.text(0.5, -0.04, caption, transform=cell.transAxes, ha="center", va="top", fontsize=8, color="dimgray")


def _richest(cogs: Sequence[tuple[pystac.Item, pystac.Asset]]) -> list[pystac.Asset]:
    """Of each item the COG with most bands, from west to east."""
    richest: dict[str, tuple[pystac.Item, pystac.Asset]] = {}
    for item, asset in sorted(cogs, key=lambda cog: len(cog[1].extra_fields.get("bands", ()))):
        richest[item.id] = item, asset
    return [asset for _, asset in sorted(richest.values(), key=lambda cog: cog[0].bbox or [])]


def _image(asset: pystac.Asset) -> np.ndarray:
    """A small picture, shape (y, x, 3), 0 to 1."""
    return imread(BytesIO(quicklook_png(Path(asset.href))))


def _picture(cogs: Sequence[tuple[pystac.Item, pystac.Asset]]) -> np.ndarray:
    """Small pictures of the first items side by side, shape (y, x, 3), 0 to 1."""
    images = [_image(asset) for asset in _richest(cogs)[:_MOST_PICTURES]]
    height = max(len(image) for image in images)
    return np.hstack([_framed(image, height) for image in images])


def _framed(image: np.ndarray, height: int) -> np.ndarray:
    """An image in another height, by nearest neighbour, with a white line at its right."""
    rows = np.arange(height) * len(image) // height
    columns = np.arange(image.shape[1] * height // len(image)) * len(image) // height
    return np.pad(image[rows][:, columns], ((0, 0), (0, 2), (0, 0)), constant_values=1)


def _draw(cell: Axes, lake: Lake, source: Standing, standing: StepStanding) -> None:
    """The outlines of detections, over what was delivered."""
    cell.set_title(standing.step, fontsize=9)
    cell.set_axis_off()
    for asset in _richest(cogs_of(source)):
        bounds = transform_bounds(asset.extra_fields["proj:code"], "EPSG:4326", *asset.extra_fields["proj:bbox"])
        west, south, east, north = bounds
        cell.imshow(_image(asset), extent=(west, east, south, north), alpha=0.5)
    geometries = [
        geometry for _, asset in features_of(standing) for geometry in read_features(lake, asset.href, _MOST_FEATURES)
    ]
    for geometry in geometries:
        for part in shapely.get_parts(geometry):
            line = shapely.get_exterior_ring(part) if part.geom_type == "Polygon" else part
            xs, ys = shapely.get_coordinates(line).T
            cell.plot(xs, ys, color="#d1242f", linewidth=0.8, marker="." if part.geom_type == "Point" else "")
    west, south, east, north = shapely.total_bounds([shape(item.geometry or {}) for item in source.items])
    cell.set(xlim=(west, east), ylim=(south, north), aspect=1 / math.cos(math.radians((south + north) / 2)))
    caption = f"{len(geometries)} features, {standing.credits:g} credits"
    cell.text(0.5, -0.04, caption, transform=cell.transAxes, ha="center", va="top", fontsize=8, color="dimgray")
