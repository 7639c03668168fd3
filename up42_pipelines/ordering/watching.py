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

from up42_pipelines.api.order_status import DELIVERING_STATUSES
from up42_pipelines.api.orders import Order

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = datetime.min.replace(tzinfo=UTC)
LONGEST_PAUSE = timedelta(minutes=15)
OVERLAP = timedelta(minutes=2)
"""How long after its timestamp a change may become visible in the listing. Undocumented; generous."""


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
        until: the latest change that has been handled.
        recent: when each order changed that was handled in the overlap before `until`, by order id.
        awaited: orders whose items are to be looked for, by order id.
    """

    model_config = ConfigDict(frozen=True)

    until: AwareDatetime = _EPOCH
    recent: dict[str, AwareDatetime] = Field(default_factory=dict)
    awaited: dict[str, Awaited] = Field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read a stored cursor. One that cannot be read starts from scratch: every order is handled again, safely."""
        try:
            return cls.model_validate_json(text or "{}")
        except ValidationError:
            return cls()

    def changes(self, newest_first: Iterable[Order]) -> list[Order]:
        """The orders that changed since, oldest first; reads the listing no further than needed.

        It is read a little beyond `until`: nothing says that UP42 lists changes in the order of their timestamps.
        """
        return sorted(self._unhandled(newest_first), key=lambda order: (changed_at(order), order.id))

    def _unhandled(self, newest_first: Iterable[Order]) -> Iterator[Order]:
        for order in newest_first:
            changed = changed_at(order)
            if changed < self.until - OVERLAP:
                return
            if changed > self.recent.get(order.id, _NEVER):
                yield order

    def handled(self, order: Order) -> Self:
        """The cursor after one change, taken oldest first. Orders that are delivering or failed become awaited."""
        changed = changed_at(order)
        until = max(self.until, changed)
        recent = {**self.recent, order.id: changed}
        recent = {order_id: moment for order_id, moment in recent.items() if moment >= until - OVERLAP}
        awaited = dict(self.awaited)
        if order.status in DELIVERING_STATUSES or order.is_failed:
            before = awaited.get(order.id)
            slim = Order(id=order.id, status=order.status, tags=order.tags, updated_at=order.updated_at)
            fingerprint = before.fingerprint if before else ""
            awaited[order.id] = Awaited(order=slim, fingerprint=fingerprint, look_at=changed)
        return self.model_copy(update={"until": until, "recent": recent, "awaited": awaited})

    def due(self, now: datetime) -> list[Awaited]:
        """Awaited orders to look at now, the longest overdue first."""
        moment = max(now, self.until)  # a change just handled is due, even if UP42's clock is ahead of ours
        waiting = (one for one in self.awaited.values() if one.look_at <= moment)
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
