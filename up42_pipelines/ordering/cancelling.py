"""Cancelling an order, at UP42 and on the ledger."""

from __future__ import annotations

from typing import Protocol

from up42_pipelines.api.order_status import OrderStatus
from up42_pipelines.api.orders import Order
from up42_pipelines.errors import AnswerLost, NotFound, ServerProblem, UnexpectedAnswer, Up42Error
from up42_pipelines.purchasing.ledger import Ledger


class CancellableOrders(Protocol):
    """The part of `api.Orders` that cancelling needs."""

    def get(self, order_id: str) -> Order:
        """One order."""

    def cancel(self, order_id: str) -> OrderStatus | str:
        """Cancel it."""


def cancel_order(orders: CancellableOrders, ledger: Ledger | None, order_id: str) -> Order:
    """Cancel an order that has not reached the provider; one that is cancelled stays so.

    Args:
        orders: the orders of the workspace.
        ledger: of the pipeline that bought it: it stops counting the credits. None: the next audit sees to that.
        order_id: which order.

    Returns:
        The order as it is then.

    Raises:
        NotFound: UP42 does not know the id.
        ApiError: UP42 refused, mostly because it is too late.
        AnswerLost: it is not cancelled (yet), as far as UP42 tells.
        Unreachable: nothing was sent.
    """
    order = orders.get(order_id)
    if order.status != OrderStatus.CANCELED:
        order = _cancelled(orders, order_id)
    if ledger is not None:
        give_back(orders, ledger, order)
    return order


def give_back(orders: CancellableOrders, ledger: Ledger, order: Order) -> bool:
    """Take an order's credits off the ledger, if it and all that was bought with the same key is cancelled.

    Returns:
        Whether they do not count (any more).
    """
    entries = ledger.sheet().entries.values()
    entry = next((one for one in entries if order.id in one.purchase_ids), None)
    if entry is None or any(not _is_cancelled(orders, one) for one in entry.purchase_ids):
        return False
    ledger.returned(entry.key)
    return True


def _cancelled(orders: CancellableOrders, order_id: str) -> Order:
    try:
        orders.cancel(order_id)
    except (AnswerLost, ServerProblem, UnexpectedAnswer) as error:
        order = _look(orders, order_id, error)
        if order.status != OrderStatus.CANCELED:
            raise
        return order
    return orders.get(order_id)


def _look(orders: CancellableOrders, order_id: str, cause: Up42Error) -> Order:
    try:
        return orders.get(order_id)
    except Up42Error as error:
        raise cause from error


def _is_cancelled(orders: CancellableOrders, order_id: str) -> bool:
    try:
        return orders.get(order_id).status == OrderStatus.CANCELED
    except NotFound:
        return False
