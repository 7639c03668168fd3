"""What partitions would buy, and for how much: the records of a dry run and their sums. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pystac
from shapely.geometry import box

from up42_pipelines.api.glossary import Collection
from up42_pipelines.ordering.aoi import area_km2
from up42_pipelines.ordering.selection import clip

_GLOBE = box(-180, -90, 180, 90)


def expected_bytes(area_km2: float, resolution_m: float | None, bytes_per_pixel: float | None) -> int | None:
    """Size of the pixels to deliver, uncompressed: area / resolution² * bytes per pixel.

    UP42 tells no size before the delivery, and no bands and sample type of a data product either. Files are smaller
    where they are compressed, and larger by what a rectangle holds beyond the area, by overviews and by metadata.

    Args:
        area_km2: geodesic area to deliver, km².
        resolution_m: length of a pixel's side on the ground, metres.
        bytes_per_pixel: bands times bytes of a sample.

    Returns:
        Bytes; None where resolution or bytes per pixel are not known.
    """
    if not resolution_m or bytes_per_pixel is None:
        return None
    return round(area_km2 * 1e6 / resolution_m**2 * bytes_per_pixel)


def area_to_deliver_km2(area: Mapping[str, Any]) -> float:
    """Geodesic area of an order or of the footprint of a full scene, which may cross the antimeridian."""
    return sum(map(area_km2, clip(area, _GLOBE)))


def resolution_m(scene: pystac.Item, collection: Collection) -> float | None:
    """Resolution of a scene, or of its collection where that is the same for all scenes; None when neither tells."""
    if scene.common_metadata.gsd is not None:
        return scene.common_metadata.gsd
    value = collection.metadata.resolution_value if collection.metadata else None
    if value is None or value.maximum not in (None, value.minimum):
        return None
    return value.minimum


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderForecast:
    """One order that a partition needs.

    Attributes:
        scene_id: archive scene.
        exists: whether UP42 has it already; it would be adopted and costs nothing again.
        credits: estimate of an order that does not exist; None when UP42 gave none.
        expected_bytes: see `expected_bytes`.
        problem: why it would not be placed; None when it would be.
    """

    scene_id: str
    exists: bool = False
    credits: int | None = None
    expected_bytes: int | None = None
    problem: str | None = None

    @property
    def is_new(self) -> bool:
        """Whether it would be placed."""
        return not self.exists and self.problem is None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionForecast:
    """What one partition would buy.

    Attributes:
        partition: partition key.
        scenes_found: scenes in the archive; None when they could not be searched.
        scenes_chosen: how many of them pass the selection.
        orders: what the chosen scenes need, best scene first.
        problem: why nothing could be planned; None when it could.
    """

    partition: str
    scenes_found: int | None = None
    scenes_chosen: int | None = None
    orders: tuple[OrderForecast, ...] = ()
    problem: str | None = None

    @property
    def existing(self) -> int:
        """Orders that UP42 has already."""
        return sum(order.exists for order in self.orders)

    @property
    def credits(self) -> int:
        """Credits of the orders that would be placed."""
        return sum(order.credits or 0 for order in self.orders if order.is_new)

    @property
    def expected_bytes(self) -> int | None:
        """Bytes that the orders that would be placed deliver, uncompressed; None when not all are known."""
        return _sum(order.expected_bytes for order in self.orders if order.is_new)

    @property
    def problems(self) -> tuple[str, ...]:
        """What a person should look at before the partition is run."""
        mine = () if self.problem is None else (self.problem,)
        return (*mine, *(order.problem for order in self.orders if order.problem is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The sums over partitions; those of a partition with a problem count as far as they are known.

    Attributes:
        partitions: how many were looked at.
        partitions_with_problems: how many of them have any.
        scenes_found: scenes in the archive.
        scenes_chosen: scenes that pass the selection.
        orders: orders that they need.
        existing: how many of the orders UP42 has already.
        credits: credits of the orders that would be placed.
        expected_bytes: bytes that those deliver, uncompressed; None when not all are known.
    """

    partitions: int
    partitions_with_problems: int
    scenes_found: int
    scenes_chosen: int
    orders: int
    existing: int
    credits: int
    expected_bytes: int | None


def total(forecasts: Sequence[PartitionForecast]) -> Totals:
    """Sum up a dry run."""
    return Totals(
        partitions=len(forecasts),
        partitions_with_problems=sum(bool(one.problems) for one in forecasts),
        scenes_found=sum(one.scenes_found or 0 for one in forecasts),
        scenes_chosen=sum(one.scenes_chosen or 0 for one in forecasts),
        orders=sum(len(one.orders) for one in forecasts),
        existing=sum(one.existing for one in forecasts),
        credits=sum(one.credits for one in forecasts),
        expected_bytes=_sum(one.expected_bytes for one in forecasts),
    )


def above_ceiling(credits: int, ceiling: float | None) -> str | None:
    """Why the ceiling for one order refuses this price; None when it does not."""
    if ceiling is None or credits <= ceiling:
        return None
    return f"would cost {credits} credits, the ceiling per order is {ceiling:g}"


def _sum(sizes: Iterable[int | None]) -> int | None:
    known = list(sizes)
    return None if None in known else sum(size for size in known if size is not None)
