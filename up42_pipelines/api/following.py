"""Following orders or jobs until UP42 is done with them, for people who sit and wait; pipelines have sensors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from up42_pipelines.errors import StillUnderWay
from up42_pipelines.uptime import uptime_s

INTERVAL_S = 60.0
PATIENCE_S = 3 * 24 * 3600.0
"""A look per minute for three days is what UP42's own client does (up42-py 4.3.0, `Job.track`)."""

_IDS_PER_REQUEST = 100


class Followed(Protocol):
    """What can be followed."""

    @property
    def id(self) -> str:
        """Of the order or job."""

    @property
    def status(self) -> str:
        """Where it stands."""

    @property
    def is_final(self) -> bool:
        """True when there is nothing to wait for."""


FollowedT = TypeVar("FollowedT", bound=Followed)


def follow(
    ids: Sequence[str],
    *,
    look_many: Callable[[Sequence[str]], Iterable[FollowedT]],
    look_one: Callable[[str], FollowedT],
    interval_s: float = INTERVAL_S,
    patience_s: float = PATIENCE_S,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[FollowedT]:
    """Give each record when it is first seen and whenever its status changed, until all are final.

    Args:
        ids: which.
        look_many: the records with these ids, at most 100, in any order.
        look_one: one record; asked where a list leaves it out, which raises when there is none.
        interval_s: seconds between two looks.
        patience_s: seconds after which no further look is worth it.
        sleep: pauses for so many seconds.

    Raises:
        StillUnderWay: some are not final after `patience_s`.
    """
    end = uptime_s() + patience_s
    open_ids = list(dict.fromkeys(ids))
    told: dict[str, str] = {}
    while True:
        starts = range(0, len(open_ids), _IDS_PER_REQUEST)
        seen = {record.id: record for n in starts for record in look_many(open_ids[n : n + _IDS_PER_REQUEST])}
        for one in open_ids:
            record = seen.get(one) or look_one(one)
            seen[one] = record
            if told.get(one) != record.status:
                told[one] = record.status
                yield record
        open_ids = [one for one in open_ids if not seen[one].is_final]
        if not open_ids:
            return
        if uptime_s() + interval_s > end:
            standing = ", ".join(f"{one} is {told[one]}" for one in open_ids)
            raise StillUnderWay(f"After {patience_s:g} s UP42 is not done: {standing}. It goes on there; look again.")
        sleep(interval_s)
