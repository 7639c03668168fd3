"""An order that a person placed by hand, made one of a pipeline's: tags, intent, ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from up42_pipelines.api.orders import Order
from up42_pipelines.errors import OrderContradicted
from up42_pipelines.ordering.keys import OrderTags
from up42_pipelines.ordering.matching import area_difference, contradiction, ordered_area
from up42_pipelines.ordering.plan import PlannedOrder, Purpose, plan_order
from up42_pipelines.ordering.purchase import AccountApi, OrderPurchase, OrdersApi
from up42_pipelines.purchasing.buying import Buyer
from up42_pipelines.purchasing.protocol import Found
from up42_pipelines.purchasing.purchase import Bought

_MOST_TAGS = 30


class TaggableOrders(OrdersApi, Protocol):
    """The part of `api.Orders` that adopting needs."""

    def update(self, order_id: str, *, tags: Sequence[str]) -> Order:
        """Replace an order's tags."""


def adopt_order(
    order: Order,
    planned: PlannedOrder,
    *,
    buyer: Buyer,
    orders: TaggableOrders,
    account: AccountApi,
    credits: int | None = None,
) -> Bought[Order]:
    """Make an order the one that the pipeline has planned, so that it is delivered and never bought again.

    The intent is claimed as for a purchase, so that no run buys the same meanwhile. Doing it again repairs what an
    interruption has left undone.

    Args:
        order: placed by hand.
        planned: what it stands for (`chosen_plan`, `plan_of`).
        buyer: of the pipeline.
        orders: the orders of the workspace.
        account: the account that pays.
        credits: what it cost. None: what its tags tell, or else what it would cost now.

    Raises:
        OrderContradicted: the order failed or belongs to something else, or this was bought, or may have been.
        OrderRefused: UP42 names no price; give the credits.
    """
    label = f"Order {order.id}"
    if order.is_failed:
        raise OrderContradicted(f"{label} is {order.status}: there is nothing to adopt.")
    purchase = _GivenOrder(planned, orders, account, order)
    told = OrderTags.read(order.tags)
    if credits is None:
        credits = told.credits if told is not None and told.credits else purchase.price()
    tags = adopted_tags(order, planned, credits)
    _, intent = buyer.book.read(planned.key)
    if intent is not None and intent.may_be_out:
        raise OrderContradicted(
            f"{label} was not adopted: {intent.label} is {intent.state}, so the pipeline may have bought it itself. "
            f"Find out first: `up42-pipelines orders audit --pipeline {buyer.ledger.pipeline} --reclaim`."
        )
    purchase.credits = credits
    bought = buyer.recover(purchase)
    if bought is None or order.id not in (bought.id, *bought.others):
        there = "something else" if bought is None else bought.id
        raise OrderContradicted(
            f"{label} was not adopted: the pipeline has bought the same as {there}. Cancel one of the two, or adopt "
            "this one as another generation."
        )
    if set(tags) != set(order.tags or ()):
        order = orders.update(order.id, tags=tags)
    return replace(bought, record=order)


def chosen_plan(order: Order, plans: Sequence[PlannedOrder], *, any_area: bool = False) -> PlannedOrder:
    """Which of the orders planned for a partition this one is. Pure.

    Args:
        order: placed by hand.
        plans: of the partition.
        any_area: whether another area than the planned one will do. Only the lake remembers that: if its intents are
            removed, the order contradicts the plan, and nothing is bought until a person looks.

    Raises:
        OrderContradicted: product or scene is none of those that are planned, or the area differs.
    """
    alike = [planned for planned in plans if not contradiction(replace(planned, geometry=None), order)]
    if not alike:
        told = "; ".join(contradiction(planned, order) for planned in plans) or "nothing is planned"
        raise OrderContradicted(
            f"Order {order.id} is none of the {len(plans)} orders planned for the partition: {told}. It was not "
            "adopted: the pipeline would buy its own all the same."
        )
    nearest = min(alike, key=lambda planned: area_difference(planned, order))
    if not any_area and (why := contradiction(nearest, order)):
        raise OrderContradicted(
            f"Order {order.id} has {why}. It was not adopted: what is delivered would not be what the pipeline wants. "
            "To take it nevertheless, give --any-area."
        )
    return nearest


def plan_of(
    order: Order, purpose: Purpose, params: Mapping[str, Any] | None = None, *, is_clipped: bool = True
) -> PlannedOrder:
    """The plan that leads to an order, from what UP42 tells about it. Pure.

    Args:
        order: of an archive scene.
        purpose: on whose behalf; its data product is the order's.
        params: the pipeline's order parameters. They are part of the key, and UP42 does not tell them.
        is_clipped: False for a product that is sold as full scenes, whose orders show the footprint as their area.

    Raises:
        OrderContradicted: UP42 tells no scene or no data product.
    """
    if order.scene_id is None or order.data_product_id is None:
        raise OrderContradicted(
            f"Order {order.id} ({order.type}) does not tell scene and data product: only orders of archive scenes can "
            "be a pipeline's."
        )
    area = ordered_area(order) if is_clipped else None
    [planned] = plan_order(purpose, order.scene_id, None if area is None else [area], params)
    return planned


def adopted_tags(order: Order, planned: PlannedOrder, credits: int) -> tuple[str, ...]:
    """The order's tags and the pipeline's. Pure.

    Raises:
        OrderContradicted: some of its tags say that it is another purchase, or there would be too many.
    """
    mine = planned.request(credits).tags or ()
    theirs = [tag for tag in order.tags or () if tag not in mine]
    names = {tag.partition(":")[0] for tag in mine}
    if taken := [tag for tag in theirs if tag.partition(":")[0] in names]:
        raise OrderContradicted(
            f"Order {order.id} has {', '.join(taken)}, which makes it another purchase. If that is wrong, remove it: "
            f"`up42-pipelines orders tag {order.id} {_removing(taken)}`."
        )
    if (spare := len(theirs) + len(mine) - _MOST_TAGS) > 0:
        raise OrderContradicted(
            f"Order {order.id} has {len(theirs)} tags, and with the pipeline's {len(mine)} there would be more than "
            f"{_MOST_TAGS}, which UP42 does not take. Remove {spare}, for example "
            f"`up42-pipelines orders tag {order.id} {_removing(theirs[-spare:])}`."
        )
    return (*theirs, *mine)


class _GivenOrder(OrderPurchase):
    """A purchase that was made: the look-up gives the order that a person has named."""

    def __init__(self, planned: PlannedOrder, orders: OrdersApi, account: AccountApi, order: Order) -> None:
        super().__init__(planned, orders, account)
        self._order, self.credits = order, 0

    def find(self) -> list[Found[Order]]:
        """The order, unless UP42 has another one with the key."""
        if others := [found.id for found in super().find() if found.id != self._order.id]:
            raise OrderContradicted(
                f"Order {self._order.id} was not adopted: the pipeline has bought the same as {', '.join(others)}. "
                "Cancel one of them, or adopt this one as another generation."
            )
        return [replace(self._found(self._order), credits=self.credits, contradiction="")]


def _removing(tags: Sequence[str]) -> str:
    return " ".join(f'--remove "{tag}"' for tag in tags)
