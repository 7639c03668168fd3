"""Partitions: date x AOI, the same key all the way down the graph."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

import dagster as dg

AOI = "aoi"
DATE = "date"

PARTITION_TAG = "dagster/partition"
"""The run tag under which Dagster keeps a run's partition key."""


def date_by_aoi(
    aois: Iterable[str], *, start_date: date | datetime | str, end_offset: int = 0
) -> dg.MultiPartitionsDefinition:
    """One partition per day (UTC) and AOI; keys read `<aoi>|<YYYY-MM-DD>`.

    Args:
        aois: names of the AOIs: letters, digits and `_ . -`.
        start_date: the first day.
        end_offset: 0 ends with yesterday, whose acquisitions are complete; 1 adds today.
    """
    start = start_date if isinstance(start_date, str) else start_date.strftime("%Y-%m-%d")
    return dg.MultiPartitionsDefinition(
        {
            AOI: dg.StaticPartitionsDefinition(sorted(aois)),
            DATE: dg.DailyPartitionsDefinition(start_date=start, end_offset=end_offset),
        }
    )


def aoi_of(partition_key: str) -> str:
    """The AOI name in a partition key."""
    return partition_key.rsplit("|", 1)[0]


def day_of(window: dg.TimeWindow) -> tuple[datetime, datetime]:
    """First and last instant of a partition's time window, both included, as a catalogue search takes them."""
    return window.start, window.end - timedelta(microseconds=1)
