"""Placing an order so that it exists once: look it up, check the price, POST once, look it up again when in doubt."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from up42_pipelines.api.order_status import OrderStatus
from up42_pipelines.api.orders import Estimate, Order, OrderInput, Placement
from up42_pipelines.errors import (
    AnswerLost,
    ApiError,
    BudgetExceeded,
    OrderRefused,
    OrderUnclear,
    ServerProblem,
    UnexpectedAnswer,
    Up42Error,
)
from up42_pipelines.ordering.keys import OrderTags, key_tag
from up42_pipelines.ordering.plan import PlannedOrder

SETTLING_S = (1.0, 2.0, 4.0, 8.0)
"""Pauses before the look-ups that follow an ambiguous answer. How soon UP42 lists a new order is not documented."""

_UNDATED = datetime(1970, 1, 1, tzinfo=UTC)


class OrdersApi(Protocol):
    """The part of `api.Orders` that placing needs."""

    def estimate(self, order: OrderInput) -> Estimate:
        """What it would cost."""

    def place(self, order: OrderInput) -> Placement:
        """Spend the money."""

    def get(self, order_id: str) -> Order:
        """One order."""

    def list(self, *, tags: Sequence[str]) -> Iterator[Order]:
        """Orders with any of the tags."""


def preferred(known: Sequence[Order]) -> Order:
    """The order to adopt when several carry the same key: one that can still deliver, then the oldest."""
    return min(known, key=lambda order: (order.is_failed, order.created_at or _UNDATED, order.id))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedOrder:
    """An order that exists at UP42.

    Attributes:
        order: as UP42 answered last.
        credits: price estimated when it was placed.
        adopted: True when it existed before this call.
    """

    order: Order
    credits: int
    adopted: bool


def ensure_order(
    orders: OrdersApi,
    planned: PlannedOrder,
    *,
    max_credits: float | None,
    settling_s: Sequence[float] = SETTLING_S,
    sleep: Callable[[float], None] = time.sleep,
) -> PlacedOrder:
    """Make sure that the planned order exists at UP42, and exists once.

    An order that failed or was cancelled is adopted like any other: only a person buys again, by raising the
    generation.

    Args:
        orders: the orders of the workspace.
        planned: what to buy.
        max_credits: ceiling for this order; None for none.
        settling_s: pauses in seconds before each look-up after an ambiguous answer.
        sleep: waits.

    Raises:
        BudgetExceeded: the estimate is above the ceiling; nothing was placed.
        OrderRefused: UP42 does not take the order; nothing was placed.
        OrderUnclear: UP42 may have taken it, and does not list it yet. Run again later: it is looked up first.
        ApiError: UP42 answered a free call with an error; nothing was placed.
    """
    known = _look_up(orders, planned)
    if known:
        return _adopted(preferred(known))
    credits = _price(orders, planned)
    if max_credits is not None and credits > max_credits:
        raise BudgetExceeded(
            f"Scene {planned.scene_id} for partition {planned.purpose.partition} would cost {credits} credits; the "
            f"ceiling per order is {max_credits:g}. Nothing was placed. Raise max_credits_per_order or shrink the AOI."
        )
    try:
        placement = orders.place(planned.request(credits))
    except (AnswerLost, ServerProblem, UnexpectedAnswer) as error:
        return _settle(orders, planned, error, settling_s, sleep)
    except ApiError as error:
        raise OrderRefused(f"Scene {planned.scene_id} was not ordered. {error}") from error
    if placement.results:
        return PlacedOrder(order=_fetch(orders, placement.results[0].id), credits=credits, adopted=False)
    if not placement.errors:
        silence = UnexpectedAnswer("UP42 answered the order with neither an id nor an error.")
        return _settle(orders, planned, silence, settling_s, sleep)
    reasons = "; ".join(f"{line.message} ({line.details})" for line in placement.errors)
    raise OrderRefused(f"UP42 did not take the order of scene {planned.scene_id}: {reasons}.")


def _look_up(orders: OrdersApi, planned: PlannedOrder) -> list[Order]:
    tag = key_tag(planned.key)
    return [order for order in orders.list(tags=[tag]) if tag in (order.tags or ())]


def _adopted(order: Order) -> PlacedOrder:
    tags = OrderTags.read(order.tags)
    return PlacedOrder(order=order, credits=tags.credits if tags else 0, adopted=True)


def _price(orders: OrdersApi, planned: PlannedOrder) -> int:
    estimate = orders.estimate(planned.request())
    if estimate.errors or not estimate.results:
        reasons = "; ".join(f"{line.message} ({line.details})" for line in estimate.errors) or "no price came back"
        raise OrderRefused(f"UP42 cannot price the order of scene {planned.scene_id}: {reasons}. Nothing was placed.")
    return math.ceil(estimate.credits)


def _settle(
    orders: OrdersApi,
    planned: PlannedOrder,
    cause: Up42Error,
    settling_s: Sequence[float],
    sleep: Callable[[float], None],
) -> PlacedOrder:
    for pause_s in settling_s:
        sleep(pause_s)
        try:
            known = _look_up(orders, planned)
        except Up42Error:  # says nothing about the order; above all not that it was not placed
            continue
        if known:
            return _adopted(preferred(known))
    raise OrderUnclear(
        f"Scene {planned.scene_id} for partition {planned.purpose.partition}: {cause} No order with tag "
        f"{key_tag(planned.key)} was found yet. Run the partition again: it looks the order up before placing anything."
    ) from cause


def _fetch(orders: OrdersApi, order_id: str) -> Order:
    try:
        return orders.get(order_id)
    except Up42Error:
        return Order(id=order_id, status=OrderStatus.CREATED)  # the id was paid for; its details can wait
