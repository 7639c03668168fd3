"""How far the delivery of an order has come, from what UP42 shows of it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import pystac

from up42_pipelines.api.assets import StoredAsset
from up42_pipelines.api.orders import Order

_ASSET_ID = "up42-system:asset_id"
_EXTRACTION_FAILED = "FAILED"
TRANSFORMATION_PATIENCE = timedelta(hours=6)
"""How long UP42 may take to make STAC items of an asset. Undocumented; minutes are usual, and some are never made."""


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
        archives: assets that UP42 will make no items of; their originals are to be fetched and unpacked instead.
        reason: one sentence for a person.
    """

    state: DeliveryState
    items: tuple[pystac.Item, ...] = ()
    archives: tuple[StoredAsset, ...] = ()
    reason: str

    @property
    def fingerprint(self) -> str:
        """Changes when, and only when, there are other items to fetch or the state is another."""
        arrived = [*(f"item {item.id}" for item in self.items), *(f"archive {asset.id}" for asset in self.archives)]
        return digest([f"state {self.state}", *arrived])


def delivery_of(
    order: Order,
    assets: Sequence[StoredAsset] | None,
    items: Iterable[pystac.Item],
    *,
    now: datetime,
    patience: timedelta = TRANSFORMATION_PATIENCE,
    unpacked: Collection[str] = (),
) -> Delivery:
    """Judge the delivery of an order.

    UP42 turns each delivered asset into STAC items some time after it arrived, and nowhere says how many items an
    order will have. So an order is complete when it is fulfilled and every asset in storage has an item, or will
    certainly or apparently never have one: its transformation failed, or has taken longer than `patience`. Then its
    original archive is what there is to fetch. Without an asset list nothing tells that an order is complete, and it
    stays partial.

    What was unpacked here stays so: items that UP42 makes of it afterwards would be the same pixels again.

    Args:
        order: the order now.
        assets: its deliveries in storage; None when UP42 does not list them.
        items: its STAC items in storage.
        now: timezone-aware.
        patience: how long a transformation may take, from the asset's last change.
        unpacked: ids of assets whose archives have been landed.
    """
    arrived = tuple(sorted(items, key=lambda item: item.id))
    if assets is not None:
        arrived = tuple(item for item in arrived if item.properties.get(_ASSET_ID) not in unpacked)
    described = {item.properties.get(_ASSET_ID) for item in arrived}
    pending = [asset for asset in assets or () if asset.id not in described]
    given_up = (one for one in pending if one.id in unpacked or _is_given_up(one, now - patience))
    archives = tuple(sorted(given_up, key=lambda asset: asset.id))
    if order.is_failed:
        reason = f"UP42 ended the order as {order.status}."
        return Delivery(state=DeliveryState.FAILED, items=arrived, archives=archives, reason=reason)
    if assets is None:
        state = DeliveryState.PARTIAL if arrived else DeliveryState.WAITING
        reason = f"{len(arrived)} item(s) so far, order is {order.status}; UP42 offers no list of its assets."
        return Delivery(state=state, items=arrived, reason=reason)
    waiting = len(pending) - len(archives)
    found = f"{len(arrived)} item(s), {len(archives)} archive(s) that UP42 has made no item of"
    if order.is_fulfilled and assets and not waiting:
        state, reason = DeliveryState.COMPLETE, f"Everything has been delivered: {found}."
    elif arrived or archives:
        state, reason = (
            DeliveryState.PARTIAL,
            f"{found}; order is {order.status}, {waiting} asset(s) in transformation.",
        )
    else:
        state = DeliveryState.WAITING
        reason = f"Waiting for UP42: order is {order.status}, {len(assets)} asset(s) in storage, no STAC item yet."
    return Delivery(state=state, items=arrived, archives=archives, reason=reason)


def _is_given_up(asset: StoredAsset, before: datetime) -> bool:
    """Whether UP42 has failed to make items of an asset, or has had it since before an instant."""
    since = asset.updated_at or asset.created_at or datetime.max.replace(tzinfo=UTC)
    return asset.geospatial_metadata_extraction_status == _EXTRACTION_FAILED or since < before


def digest(parts: Iterable[str]) -> str:
    """A short stable name for a set of strings."""
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]
