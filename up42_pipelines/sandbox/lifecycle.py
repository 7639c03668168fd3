"""The whole life of an archive order, decided when it is placed.

Which order fails, stumbles or arrives in two parts follows from (seed, scene, data product, how often that was
ordered before), so that a run can be repeated. Times are simulated seconds after the placement; the sandbox's speed
shortens them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from up42_pipelines.sandbox import chance

PLACEMENT_FAILED_SHARE = 0.15
PARTIAL_SHARE = 0.30
FAILED_SHARE = 0.05


class Status(StrEnum):
    """Order statuses (UP42 API reference, orders)."""

    CREATED = "CREATED"
    BEING_PLACED = "BEING_PLACED"
    PLACED = "PLACED"
    PLACEMENT_FAILED = "PLACEMENT_FAILED"
    BEING_FULFILLED = "BEING_FULFILLED"
    FULFILLED = "FULFILLED"
    FAILED_PERMANENTLY = "FAILED_PERMANENTLY"
    CANCELED = "CANCELED"


CANCELABLE = frozenset({Status.CREATED, Status.PLACEMENT_FAILED})


@dataclass(frozen=True)
class Arrival:
    """One delivery.

    Attributes:
        part: 0 for all of it, 1 for the western and 2 for the eastern half.
        asset_after: when the UP42 asset can be seen, simulated seconds.
        items_after: when its STAC collection and item can be seen, simulated seconds.
    """

    part: int
    asset_after: float
    items_after: float


@dataclass(frozen=True)
class Life:
    """Every status with the simulated seconds after which it begins, and the deliveries."""

    steps: tuple[tuple[float, Status], ...]
    arrivals: tuple[Arrival, ...]


def plan(seed: int, scene_id: str, product_id: str, ordinal: int, *, divisible: bool) -> Life:
    """Decide what will happen to an order.

    Args:
        seed: the sandbox's seed.
        scene_id: what is ordered.
        product_id: as which data product.
        ordinal: number of earlier orders of the same.
        divisible: False when it can only be delivered whole.
    """
    lot = (seed, scene_id, product_id, ordinal)
    steps = [(0.0, Status.CREATED)]

    def then(status: Status, low: float, high: float) -> float:
        after = steps[-1][0] + chance.between(low, high, "step", len(steps), *lot)
        steps.append((after, status))
        return after

    then(Status.BEING_PLACED, 0.5, 2)
    if chance.fraction("placement", *lot) < PLACEMENT_FAILED_SHARE:
        then(Status.PLACEMENT_FAILED, 0.5, 2)
        then(Status.BEING_PLACED, 60, 180)
    then(Status.PLACED, 0.5, 2)
    begun = then(Status.BEING_FULFILLED, 20, 60)
    if chance.fraction("failure", *lot) < FAILED_SHARE:
        then(Status.FAILED_PERMANENTLY, 60, 300)
        return Life(tuple(steps), ())
    done = then(Status.FULFILLED, 120, 360)
    if divisible and chance.fraction("parts", *lot) < PARTIAL_SHARE:
        early = begun + (done - begun) * chance.between(0.2, 0.6, "early", *lot)
        arrivals = tuple(_arrival(part, at, lot) for part, at in ((1, early), (2, done)))
    else:
        arrivals = (_arrival(0, done, lot),)
    return Life(tuple(steps), arrivals)


def _arrival(part: int, at: float, lot: tuple[object, ...]) -> Arrival:
    return Arrival(part, at, at + chance.between(30, 120, "items", part, *lot))
