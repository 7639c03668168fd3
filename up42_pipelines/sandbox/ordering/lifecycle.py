"""What becomes of orders: the whole life of an archive order, and each stretch of a tasking order's between decisions.

Which order fails, stumbles or arrives in parts follows from (seed, scene, data product, how often that was ordered
before), unless a fate was decided for it (see `fates`): a run can be repeated. Times are simulated seconds after
the placement or the decision; the sandbox's speed shortens them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from up42_pipelines.sandbox.core import chance

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


class SubStatus(StrEnum):
    """Where a tasking order stands before it is activated, and that it was (UP42 API reference, tasking)."""

    FEASIBILITY_WAITING_UPLOAD = "FEASIBILITY_WAITING_UPLOAD"
    FEASIBILITY_WAITING_RESPONSE = "FEASIBILITY_WAITING_RESPONSE"
    QUOTATION_WAITING_UPLOAD = "QUOTATION_WAITING_UPLOAD"
    QUOTATION_WAITING_RESPONSE = "QUOTATION_WAITING_RESPONSE"
    QUOTATION_ACCEPTED = "QUOTATION_ACCEPTED"
    QUOTATION_REJECTED = "QUOTATION_REJECTED"


class Transformation(StrEnum):
    """Whether STAC items are made of a delivery (UP42 API reference, `geospatialMetadataExtractionStatus`)."""

    SUCCEEDS = "succeeds"
    FAILS = "fails"
    NEVER_ENDS = "never ends"


Lot = tuple[object, ...]
CANCELABLE = frozenset({Status.CREATED, Status.PLACEMENT_FAILED})


@dataclass(frozen=True)
class Arrival:
    """One delivery.

    Attributes:
        part: 0 for all of it, else counted from 1, from west to east.
        asset_after: when the UP42 asset can be seen, simulated seconds.
        items_after: when its transformation ends, and its STAC collection and item can be seen, simulated seconds.
    """

    part: int
    asset_after: float
    items_after: float


@dataclass(frozen=True)
class Life:
    """Every status with the simulated seconds after which it begins, and the deliveries."""

    steps: tuple[tuple[float, Status], ...]
    arrivals: tuple[Arrival, ...]


def plan(seed: int, scene_id: str, product_id: str, ordinal: int, *, divisible: bool, fate: str | None = None) -> Life:
    """Decide what will happen to an archive order.

    Args:
        seed: the sandbox's seed.
        scene_id: what is ordered.
        product_id: as which data product.
        ordinal: number of earlier orders of the same.
        divisible: False when it can only be delivered whole, whatever its fate.
        fate: one of `fates.KINDS["order"]`; None leaves it to chance.
    """
    lot = (seed, scene_id, product_id, ordinal)
    steps = _steps(lot, fate, fulfilment=(120, 360))
    if steps[-1][1] is not Status.FULFILLED:
        return Life(steps, ())
    begun, done = steps[-2][0], steps[-1][0]
    if divisible and _happens("in_parts", PARTIAL_SHARE, "parts", lot, fate):
        early = begun + (done - begun) * chance.between(0.2, 0.6, "early", *lot)
        return Life(steps, tuple(_arrival(part, at, lot) for part, at in ((1, early), (2, done))))
    return Life(steps, (_arrival(0, done, lot),))


def transformation(fate: str | None) -> Transformation:
    """Decide what becomes of the attempt to make STAC items of a delivery; chance never lets it fail."""
    return {"untransformed": Transformation.FAILS, "unfinished": Transformation.NEVER_ENDS}.get(
        fate or "", Transformation.SUCCEEDS
    )


def plan_tasking(lot: Lot, *, fate: str | None = None) -> Life:
    """Decide what will happen to a tasking order from the acceptance of its quotation on.

    It arrives in two to four parts; whole only when it is its fate to be fulfilled or to stumble.

    Args:
        lot: what chance decides by.
        fate: one of `fates.KINDS["order"]`; None leaves it to chance.
    """
    steps = _steps(lot, fate, fulfilment=(300, 900))
    if steps[-1][1] is not Status.FULFILLED:
        return Life(steps, ())
    begun, done = steps[-2][0], steps[-1][0]
    if fate in ("fulfilled", "stumbles"):
        return Life(steps, (_arrival(0, done, lot),))
    count = 2 + int(chance.between(0, 3, "parts", *lot))
    times = (done - (done - begun) * left / count for left in reversed(range(count)))
    return Life(steps, tuple(_arrival(part, at, lot) for part, at in enumerate(times, 1)))


def study_after(lot: Lot) -> float:
    """Return how long it takes to upload a feasibility study, simulated seconds."""
    return chance.between(60, 180, "study", *lot)


def quotation_after(lot: Lot) -> float:
    """Return how long it takes to upload a quotation once an option is accepted, simulated seconds."""
    return chance.between(60, 180, "quotation", *lot)


def canceled_after(lot: Lot) -> float:
    """Return how long an order stays after its quotation was rejected, simulated seconds."""
    return chance.between(10, 30, "rejected", *lot)


def is_cancelable(status: str, sub_status: str | None) -> bool:
    """Tell whether a user can still cancel: not what has reached the provider, nor what was accepted and paid."""
    return status in CANCELABLE and sub_status != SubStatus.QUOTATION_ACCEPTED


def _steps(lot: Lot, fate: str | None, fulfilment: tuple[float, float]) -> tuple[tuple[float, Status], ...]:
    """Decide the statuses from CREATED on; `fulfilment` is the shortest and the longest time it takes."""
    steps = [(0.0, Status.CREATED)]

    def then(status: Status, low: float, high: float) -> None:
        steps.append((steps[-1][0] + chance.between(low, high, "step", len(steps), *lot), status))

    then(Status.BEING_PLACED, 0.5, 2)
    if fate == "placement_failed" or _happens("stumbles", PLACEMENT_FAILED_SHARE, "placement", lot, fate):
        then(Status.PLACEMENT_FAILED, 0.5, 2)
        if fate == "placement_failed":
            return tuple(steps)
        then(Status.BEING_PLACED, 60, 180)
    then(Status.PLACED, 0.5, 2)
    then(Status.BEING_FULFILLED, 20, 60)
    if _happens("failed", FAILED_SHARE, "failure", lot, fate):
        then(Status.FAILED_PERMANENTLY, 60, 300)
    else:
        then(Status.FULFILLED, *fulfilment)
    return tuple(steps)


def _happens(what: str, share: float, draw: str, lot: Lot, fate: str | None) -> bool:
    return chance.fraction(draw, *lot) < share if fate is None else fate == what


def _arrival(part: int, at: float, lot: Lot) -> Arrival:
    return Arrival(part, at, at + chance.between(30, 120, "items", part, *lot))
