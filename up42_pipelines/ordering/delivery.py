"""How far the delivery of an order has come, from what UP42 shows of it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pystac

from up42_pipelines.api.assets import StoredAsset
from up42_pipelines.api.orders import Order

_ASSET_ID = "up42-system:asset_id"
_EXTRACTION_FAILED = "FAILED"


class DeliveryState(StrEnum):
    """What can still be expected of an order."""

    WAITING = "waiting"
    """Nothing to fetch yet."""
    PARTIAL = "partial"
    """Something to fetch, and more may come."""
    COMPLETE = "complete"
    """Everything that will come is there to fetch."""
    FAILED = "failed"
    """Nothing (more) will come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What has arrived of an order.

    Attributes:
        state: see `DeliveryState`.
        items: STAC items to fetch, possibly of a failed order too.
        reason: one sentence for a person.
    """

    state: DeliveryState
    items: tuple[pystac.Item, ...]
    reason: str

    @property
    def fingerprint(self) -> str:
        """Changes when, and only when, there are other items to fetch or the state is another."""
        return digest([f"state {self.state}", *(f"item {item.id}" for item in self.items)])


def delivery_of(order: Order, assets: Sequence[StoredAsset] | None, items: Iterable[pystac.Item]) -> Delivery:
    """Judge the delivery of an order.

    UP42 turns each delivered asset into STAC items some time after it arrived, and nowhere says how many items an
    order will have. So an order is complete when it is fulfilled and every asset in storage has an item, the ones
    whose transformation failed excepted. Without an asset list nothing tells that it is complete, and it stays partial.

    Args:
        order: the order now.
        assets: its deliveries in storage; None when UP42 does not list them.
        items: its STAC items in storage.
    """
    arrived = tuple(sorted(items, key=lambda item: item.id))
    if order.is_failed:
        return Delivery(state=DeliveryState.FAILED, items=arrived, reason=f"UP42 ended the order as {order.status}.")
    if assets is None:
        state = DeliveryState.PARTIAL if arrived else DeliveryState.WAITING
        reason = f"{len(arrived)} item(s) so far, order is {order.status}; UP42 offers no list of its assets."
        return Delivery(state=state, items=arrived, reason=reason)
    described = {item.properties.get(_ASSET_ID) for item in arrived}
    lost = [asset for asset in assets if asset.geospatial_metadata_extraction_status == _EXTRACTION_FAILED]
    pending = [asset for asset in assets if asset.id not in described and asset not in lost]
    if order.is_fulfilled and assets and not pending and not arrived:
        reason = "UP42 could not transform the delivery into STAC items; the original archive stays in UP42's storage."
        return Delivery(state=DeliveryState.FAILED, items=(), reason=reason)
    if order.is_fulfilled and arrived and assets and not pending:
        return Delivery(state=DeliveryState.COMPLETE, items=arrived, reason="Everything has been delivered.")
    if arrived:
        reason = (
            f"{len(arrived)} item(s) delivered, order is {order.status}, {len(pending)} asset(s) in transformation."
        )
        return Delivery(state=DeliveryState.PARTIAL, items=arrived, reason=reason)
    reason = f"Waiting for UP42: order is {order.status}, {len(assets)} asset(s) in storage, no STAC item yet."
    return Delivery(state=DeliveryState.WAITING, items=(), reason=reason)


def digest(parts: Iterable[str]) -> str:
    """A short stable name for a set of strings."""
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]
