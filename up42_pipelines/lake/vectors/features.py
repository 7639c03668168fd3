"""Features in memory, as their readers give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.vectors.records import FormatName


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What a file of features holds.

    Attributes:
        source_format: of the file.
        geometries: one per feature, x before y whatever the CRS says; None for a feature without one.
        columns: values by name, one per feature, None where it has none.
        crs: of the geometries; None when nobody says which it is.
        members: what the file says about all of its features, JSON.
        notes: what a person should know of how they were read.
    """

    source_format: FormatName
    geometries: Sequence[BaseGeometry | None]
    columns: Mapping[str, Sequence[Any]]
    crs: CRS | None
    members: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def too_many(most: int) -> InvalidDelivery:
    """There are more features than fit in memory."""
    return InvalidDelivery(f"It has more than {most:,} features, which is the most that is read. Report this file.")


def free_name(wanted: str, taken: set[str]) -> str:
    """A name that no column has, also not in other letters' case: SQL does not tell those apart."""
    used = {name.casefold() for name in taken}
    name, count = wanted, 1
    while name.casefold() in used:
        count += 1
        name = f"{wanted}_{count}"
    return name
