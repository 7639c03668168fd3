"""What a run's log says while items land: each file when it is done, and now and then how far a download is."""

from __future__ import annotations

import time
from collections.abc import Callable

import dagster as dg

from up42_pipelines.lake import LandedItem
from up42_pipelines.lake.events import AssetLanded, AssetProgress, AssetSkipped, AssetStarted, LandingEvent

BETWEEN_LINES_S = 15.0


class LandingLog:
    """Tells about the items of one partition, one after the other; give it to `land_item` as `on_event`.

    Args:
        log: of the run.
        items: how many there are.
        clock: seconds.
    """

    def __init__(self, log: dg.DagsterLogManager, items: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._items, self._clock = log, items, clock
        self._last = clock()
        self._number = 0
        self._here = ""
        self._received: dict[str, int] = {}
        self._totals: dict[str, int | None] = {}
        self._told = 0

    def begin(self, item_id: str) -> None:
        """The next item."""
        self._number += 1
        self._here = f"item {self._number} of {self._items}, {item_id}"
        self._received, self._totals, self._told = {}, {}, 0

    def __call__(self, event: LandingEvent) -> None:
        """What happens to one of its files."""
        here = f"{self._here}, {event.asset_key}"
        match event:
            case AssetStarted():
                self._totals.setdefault(event.asset_key, None)
            case AssetProgress(asset_key=key, received=received, total=total):
                if key not in self._received:
                    self._told += received  # a resumed download begins with what is there already
                self._received[key], self._totals[key] = received, total
                self._progress()
            case AssetLanded(size=size, kept=kept, seconds=seconds):
                how = "kept as delivered" if kept else "converted"
                self._log.debug(f"{here}: {how}, {size / 1e6:.2f} MB, {seconds:.1f} s")
            case AssetSkipped(reason=reason):
                self._log.debug(f"{here}: {reason}")

    def landed(self, one: LandedItem) -> None:
        """The item is in the lake."""
        if one.already_there:
            self._log.info(f"{self._here}: already in the lake")
        else:
            fetched = f"{one.bytes_fetched / 1e6:.2f} MB fetched in {one.assets_fetched} file(s)"
            self._log.info(
                f"{self._here}: landed in {one.seconds:.1f} s, {fetched}, {one.files_kept} kept as delivered"
            )
        for check, reason in one.withheld.items():
            self._log.error(f"{self._here}: withheld from catalogue and index, {check}: {reason}")

    def failed(self, reason: str) -> None:
        """The item is not in the lake."""
        self._log.error(f"{self._here}: {reason}")

    def _progress(self) -> None:
        seconds = (now := self._clock()) - self._last
        if seconds < BETWEEN_LINES_S:
            return
        received, totals = sum(self._received.values()), list(self._totals.values())
        of = "" if None in totals else f" of {sum(total or 0 for total in totals) / 1e6:.1f}"
        rate = max(0, received - self._told) / seconds
        self._log.info(f"{self._here}: {received / 1e6:.1f}{of} MB, {rate / 1e6:.1f} MB/s")
        self._last, self._told = now, received
