"""Watching orders without a database: what a sensor remembers between two looks, and when it looks again. Pure.

The list of orders has no "changed since" filter but can be sorted by `updatedAt`. Reading it newest first until a
known instant costs requests in proportion to what changed. The list says nothing about STAC items, which appear some
time after an order's last change; so orders that are delivering are remembered and looked at, less and less often.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from up42_pipelines.api.orders import DELIVERING_STATUSES, Order

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_PAUSE = timedelta(minutes=15)


class Awaited(BaseModel):
    """An order whose delivery is on its way.

    Attributes:
        order: as it was listed last: id, status, tags, time of change.
        fingerprint: of the delivery a run was last asked for.
        looks: how often the delivery was looked at since it changed.
        look_at: when to look next.
    """

    model_config = ConfigDict(frozen=True)

    order: Order
    fingerprint: str = ""
    looks: int = 0
    look_at: AwareDatetime = _EPOCH


class WatchCursor(BaseModel):
    """What is remembered between two ticks.

    Attributes:
        until: orders changed before this instant have been handled.
        at_until: ids of the orders changed at that very instant that have been handled.
        awaited: orders whose items are to be looked for, by order id.
    """

    model_config = ConfigDict(frozen=True)

    until: AwareDatetime = _EPOCH
    at_until: frozenset[str] = frozenset()
    awaited: dict[str, Awaited] = Field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read a stored cursor. One that cannot be read starts from scratch: every order is handled again, safely."""
        try:
            return cls.model_validate_json(text or "{}")
        except ValidationError:
            return cls()

    def changes(self, newest_first: Iterable[Order]) -> list[Order]:
        """The orders that changed since, oldest first; reads the listing no further than needed."""
        return list(self._unhandled(newest_first))[::-1]

    def _unhandled(self, newest_first: Iterable[Order]) -> Iterator[Order]:
        for order in newest_first:
            changed = changed_at(order)
            if changed < self.until:
                return
            if changed > self.until or order.id not in self.at_until:
                yield order

    def handled(self, order: Order) -> Self:
        """The cursor after one change, taken oldest first. Orders that are delivering or failed become awaited."""
        changed = changed_at(order)
        at_until = {order.id} | (self.at_until if changed == self.until else frozenset())
        awaited = dict(self.awaited)
        if order.status in DELIVERING_STATUSES or order.is_failed:
            before = awaited.get(order.id)
            slim = Order(id=order.id, status=order.status, tags=order.tags, updated_at=order.updated_at)
            awaited[order.id] = Awaited(order=slim, fingerprint=before.fingerprint if before else "")
        return self.model_copy(update={"until": changed, "at_until": frozenset(at_until), "awaited": awaited})

    def due(self, now: datetime) -> list[Awaited]:
        """Awaited orders to look at now, the longest overdue first."""
        waiting = (one for one in self.awaited.values() if one.look_at <= now)
        return sorted(waiting, key=lambda one: (one.look_at, one.order.id))

    def looked(self, one: Awaited, *, fingerprint: str, final: bool, now: datetime, pause: timedelta) -> Self:
        """The cursor after looking at an awaited order.

        Args:
            one: the order that was looked at.
            fingerprint: of its delivery.
            final: True when nothing more will come; the order is forgotten.
            now: when it was looked at.
            pause: until the next look; doubles with each look that brought nothing new, to 15 minutes.
        """
        awaited = dict(self.awaited)
        if final:
            awaited.pop(one.order.id, None)
        else:
            looks = one.looks + 1 if fingerprint == one.fingerprint else 0
            wait = min(pause * 2 ** min(looks, 16), LONGEST_PAUSE)
            awaited[one.order.id] = one.model_copy(
                update={"fingerprint": fingerprint, "looks": looks, "look_at": now + wait}
            )
        return self.model_copy(update={"awaited": awaited})


def changed_at(order: Order) -> datetime:
    """When an order changed last; an order without any timestamp counts as never changed."""
    return order.updated_at or order.created_at or _EPOCH
