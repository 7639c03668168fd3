"""Fields that listings can be sorted by: `OrderSort.created_at.desc`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sort:
    """A field and a direction, written to the query as `<field>,<asc|desc>`.

    A field that a class of this package does not list can still be asked for: `Sort("newField").desc`.

    Attributes:
        field: name on the wire.
        descending: newest, largest or last first.
    """

    field: str
    descending: bool = False

    @property
    def asc(self) -> Sort:
        """The same field, smallest first."""
        return Sort(self.field)

    @property
    def desc(self) -> Sort:
        """The same field, largest first."""
        return Sort(self.field, descending=True)

    def __str__(self) -> str:
        return f"{self.field},{'desc' if self.descending else 'asc'}"
