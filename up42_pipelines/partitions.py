"""Partitions: date x AOI, the same key all the way down the graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

import dagster as dg

from up42_pipelines.errors import ConfigurationError

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


def partitions_in(definition: dg.MultiPartitionsDefinition, wanted: str) -> list[str]:
    """The partition keys that a text means: `A..B`, or one end alone; see `partitions_between`.

    Raises:
        ConfigurationError: as `partitions_between`.
    """
    first, dots, last = (part.strip() for part in wanted.partition(".."))
    return partitions_between(definition, first, last if dots else first)


def partitions_between(definition: dg.MultiPartitionsDefinition, first: str, last: str) -> list[str]:
    """The partition keys from one end to the other, both included, AOI by AOI.

    Args:
        definition: as `date_by_aoi` makes it.
        first: a partition key, `berlin|2026-06-01`, or a day alone for all AOIs.
        last: the same for the other end, of the same AOI.

    Raises:
        ConfigurationError: an end is missing or no partition, the two name different AOIs, or they are reversed.
    """
    aois = definition.get_partitions_def_for_dimension(AOI).get_partition_keys()
    days = definition.get_partitions_def_for_dimension(DATE).get_partition_keys()
    if not aois or not days:
        raise ConfigurationError(f"There are no partitions yet: {len(aois)} AOI(s) and {len(days)} day(s).")
    ends = [_end(text, aois, days) for text in (first, last)]
    (first_aoi, first_day), (last_aoi, last_day) = ends
    if first_aoi != last_aoi:
        raise ConfigurationError(
            f"{first}..{last} begins and ends with different AOIs: name the same one twice, or only days for all AOIs."
        )
    if first_day > last_day:
        raise ConfigurationError(f"{first}..{last} ends before it begins: swap the two.")
    return [f"{aoi}|{day}" for aoi in ([first_aoi] if first_aoi else aois) for day in days[first_day : last_day + 1]]


def _end(text: str, aois: Sequence[str], days: Sequence[str]) -> tuple[str, int]:
    """AOI, empty for all, and the number of the day."""
    if not text:
        raise ConfigurationError("Which partitions? Give a range like 2026-06-01..2026-06-10, or one day or key.")
    aoi, bar, day = text.rpartition("|")
    if bar and aoi not in aois:
        raise ConfigurationError(f"{text}: there is no AOI {aoi!r}; there are {', '.join(aois)}.")
    if day not in days:
        raise ConfigurationError(f"{text}: {day!r} is no partition; there are those of {days[0]} to {days[-1]}.")
    return aoi, days.index(day)
