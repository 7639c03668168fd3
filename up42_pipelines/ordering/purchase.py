"""An order as something to buy once: how it is found, priced and placed at UP42."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from shapely.geometry import shape

from up42_pipelines.api.account import Balance, Budget
from up42_pipelines.api.order_status import OrderStatus
from up42_pipelines.api.orders import Estimate, Order, OrderInput, Placement
from up42_pipelines.errors import OrderRefused, UnexpectedAnswer
from up42_pipelines.ordering.keys import OrderTags, key_tag
from up42_pipelines.ordering.matching import contradiction
from up42_pipelines.ordering.plan import PlannedOrder, Purpose
from up42_pipelines.purchasing import funds
from up42_pipelines.purchasing.intents import Intent
from up42_pipelines.purchasing.protocol import Found

KIND = "order"


class OrdersApi(Protocol):
    """The part of `api.Orders` that buying needs."""

    def estimate(self, order: OrderInput) -> Estimate:
        """What it would cost."""

    def place(self, order: OrderInput, *, not_after: float | None = None) -> Placement:
        """Spend the money."""

    def get(self, order_id: str) -> Order:
        """One order."""

    def list(self, *, tags: Sequence[str] = (), display_name: str | None = None) -> Iterable[Order]:
        """Orders with any of the tags, or with this in their name."""


class AccountApi(Protocol):
    """The part of `api.Account` that buying needs."""

    def balance(self) -> Balance:
        """The credits that are left."""

    def budget(self, budget_id: str, *, include_usage: bool = False) -> Budget:
        """One budget."""


class OrderPurchase:
    """A planned order; implements `purchasing.purchase.Purchase`.

    Args:
        planned: what to buy.
        orders: the orders of the workspace.
        account: the account that pays.
    """

    kind = KIND

    def __init__(self, planned: PlannedOrder, orders: OrdersApi, account: AccountApi) -> None:
        self.planned, self._orders, self._account = planned, orders, account
        self.key = planned.key
        self.pipeline, self.partition = planned.purpose.pipeline, planned.purpose.partition
        self.label = f"Scene {planned.scene_id} for partition {self.partition}"

    @property
    def request(self) -> dict[str, Any]:
        """The order's body, and what of its key is not in there."""
        purpose = self.planned.purpose
        body = self.planned.request().to_json()
        return {"workspaceId": purpose.workspace_id, "generation": purpose.generation, **body}

    @classmethod
    def of_intent(cls, intent: Intent, orders: OrdersApi, account: AccountApi) -> OrderPurchase:
        """The purchase that an intent was written for, perhaps by another process."""
        body = intent.request
        purpose = Purpose(
            workspace_id=body["workspaceId"],
            pipeline=intent.pipeline,
            partition=intent.partition,
            data_product=body["dataProduct"],
            generation=body["generation"],
            budget_id=body.get("budgetId"),
        )
        area = body["featureCollection"]["features"][0]["geometry"]
        planned = PlannedOrder(
            key=intent.key,
            scene_id=body["params"]["id"],
            geometry=None if area is None else shape(area),
            purpose=purpose,
            params=body["params"],
        )
        return cls(planned, orders, account)

    def find(self) -> list[Found[Order]]:
        """Every order that carries the key."""
        return [self._found(order) for order in carrying(self._orders, self.key)]

    def price(self) -> int:
        """The estimate in whole credits, rounded up."""
        estimate = self._orders.estimate(self.planned.request())
        if estimate.errors or not estimate.results:
            reasons = "; ".join(f"{line.message} ({line.details})" for line in estimate.errors) or "no price came back"
            raise OrderRefused(f"{self.label}: UP42 names no price: {reasons}. Nothing was placed.")
        return math.ceil(estimate.credits)

    def check_funds(self, credits: int) -> None:
        """Ask for the balance, and for the UP42 budget when there is one."""
        funds.check_funds(self._account, self.label, credits, budget_id=self.planned.purpose.budget_id)

    def place(self, credits: int, *, not_after: float) -> list[str]:
        """Send the order once."""
        placement = self._orders.place(self.planned.request(credits), not_after=not_after)
        if placement.results:
            return [line.id for line in placement.results]
        if not placement.errors:
            raise UnexpectedAnswer("UP42 answered the order with neither an id nor an error.")
        reasons = "; ".join(f"{line.message} ({line.details})" for line in placement.errors)
        raise OrderRefused(f"{self.label}: UP42 did not take the order: {reasons}.")

    def get(self, purchase_id: str) -> Found[Order]:
        """One order."""
        return self._found(self._orders.get(purchase_id))

    def _found(self, order: Order) -> Found[Order]:
        tags = OrderTags.read(order.tags)
        return Found(
            id=order.id,
            record=order,
            credits=tags.credits if tags else 0,
            created_at=order.created_at,
            failed=order.is_failed,
            # Whether UP42 gives credits back for an order that it gave up is not documented: those keep counting.
            returned=order.status == OrderStatus.CANCELED,
            contradiction=contradiction(self.planned, order),
        )


def carrying(orders: OrdersApi, key: str) -> list[Order]:
    """Every order whose tags or, failing that, whose display name carries the key."""
    tag = key_tag(key)
    tagged = [one for one in orders.list(tags=[tag]) if tag in (one.tags or ())]
    # Tags can be edited in the console; a display name cannot, and ends with the key.
    return tagged or [one for one in orders.list(display_name=key) if key in (one.display_name or "")]
