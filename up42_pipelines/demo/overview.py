"""The overview picture of a demo: one small image per partition."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.image import imread

from up42_pipelines.demo.report import cogs_of
from up42_pipelines.demo.standing import Standing, State
from up42_pipelines.lake import quicklook_png

_CELL_INCHES = 3.2


def save_overview(standings: Sequence[Standing], path: Path, *, columns: int) -> None:
    """Write a PNG with a cell per partition: its first COG, or why there is none."""
    rows = -(-len(standings) // columns)
    figure = Figure(figsize=(columns * _CELL_INCHES, rows * _CELL_INCHES + 0.4), layout="constrained")
    figure.suptitle("What the demo left in the lake (imagery of the sandbox, not of UP42)")
    cells = figure.subplots(rows, columns, squeeze=False)
    for cell, one in zip(cells.flat, standings, strict=False):
        cell.set_axis_off()
        cell.set_title(one.key, fontsize=9)
        cogs = cogs_of(one)
        if cogs:
            item, asset = cogs[0]
            cell.imshow(imread(BytesIO(quicklook_png(Path(asset.href)))))
            cover = item.properties.get("eo:cloud_cover")
            caption = f"{len(cogs)} COG(s), {one.credits} credits" + ("" if cover is None else f", cloud {cover:.0f} %")
        else:
            caption = str(one.state)
        colour = "firebrick" if one.state in (State.FAILED, State.ORDER_FAILED) else "dimgray"
        cell.text(0.5, -0.04, caption, transform=cell.transAxes, ha="center", va="top", fontsize=8, color=colour)
    for cell in cells.flat[len(standings) :]:
        cell.set_axis_off()
    figure.savefig(path, dpi=110)
