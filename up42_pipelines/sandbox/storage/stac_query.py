"""What a STAC search asks for, read from a body or a query string and matched against views. No I/O.

For views see `stac_filter`; `id`, `collection`, `geometry` and `datetime` (RFC 3339) are always among their names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from up42_pipelines.sandbox.core import clock, geometry, paging
from up42_pipelines.sandbox.core.problems import bad_request
from up42_pipelines.sandbox.storage import stac_filter
from up42_pipelines.sandbox.storage.stac_filter import Filter

DEFAULT_LIMIT, MAX_LIMIT = 10, 500
PARAMETERS = (
    "ids",
    "collections",
    "bbox",
    "intersects",
    "datetime",
    "limit",
    "sortby",
    "filter",
    "filter-lang",
    "token",
)
"""The parameters of a search, in a query string and in a body."""
_UNSORTABLE = ("geometry", "tags")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class Rank:
    """A value in an order; null comes last in both directions."""

    value: Any
    descending: bool

    def __lt__(self, other: Rank) -> bool:
        if self.value is None or other.value is None:
            return self.value is not None
        return bool(other.value < self.value if self.descending else self.value < other.value)


@dataclass(frozen=True)
class StacQuery:
    """A search. None restricts nothing; `area` is in degrees; `sort` holds (queryable, descending)."""

    ids: tuple[str, ...] | None
    collections: tuple[str, ...] | None
    area: BaseGeometry | None
    first: datetime | None
    last: datetime | None
    filter: Filter | None
    sort: tuple[tuple[str, bool], ...]
    limit: int
    token: str | None

    def matches(self, view: Mapping[str, Any]) -> bool:
        """Check a view against everything."""
        if self.ids is not None and view["id"] not in self.ids:
            return False
        if self.collections is not None and view["collection"] not in self.collections:
            return False
        instant = datetime.fromisoformat(view["datetime"])
        if (self.first is not None and instant < self.first) or (self.last is not None and instant > self.last):
            return False
        if self.area is not None and not self.area.intersects(shape(view["geometry"])):
            return False
        return self.filter is None or self.filter.holds(view)

    def position(self, view: Mapping[str, Any]) -> tuple[Rank, ...]:
        """Return what views are ordered by; equal for all when no order was asked for."""
        return tuple(Rank(view[name], descending) for name, descending in self.sort)

    @property
    def interval(self) -> tuple[datetime | None, datetime | None]:
        """The instants outside of which nothing matches, as far as search and filter say."""
        first, last = (None, None) if self.filter is None else self.filter.interval()
        firsts = [instant for instant in (first, self.first) if instant is not None]
        lasts = [instant for instant in (last, self.last) if instant is not None]
        return max(firsts, default=None), min(lasts, default=None)

    @property
    def reach(self) -> BaseGeometry | None:
        """A geometry that everything that matches touches, as far as search and filter say."""
        return self.filter.area() if self.area is None and self.filter is not None else self.area

    def demanded(self, name: str) -> str | None:
        """Return the text that a queryable must equal, if the filter demands one."""
        return None if self.filter is None else self.filter.demanded(name)


def read(body: Mapping[str, Any], queryables: Mapping[str, Any]) -> StacQuery:
    """Read the body of a search.

    Args:
        body: the search.
        queryables: by name, what filters and sorting may name.

    Raises:
        Refused: 400, something in it is wrong.
    """
    first, last = (None, None) if body.get("datetime") is None else _interval(body["datetime"])
    source, token = body.get("filter"), body.get("token")
    if token is not None and not isinstance(token, str):
        raise bad_request("token must be a string")
    return StacQuery(
        ids=_texts(body, "ids"),
        collections=_texts(body, "collections"),
        area=_area(body.get("bbox"), body.get("intersects")),
        first=first,
        last=last,
        filter=None if source is None else stac_filter.read(source, body.get("filter-lang"), queryables),
        sort=_sort(body.get("sortby"), sorted(set(queryables) - set(_UNSORTABLE))),
        limit=read_limit(body.get("limit")),
        token=token,
    )


def body_of(query: Callable[[str], str | None]) -> dict[str, Any]:
    """Turn the parameters of a GET search into the body of the same search.

    Raises:
        Refused: 400, a parameter cannot be read.
    """
    given = {name: value for name in PARAMETERS if (value := query(name)) is not None}
    body: dict[str, Any] = dict(given)
    for name in ("ids", "collections"):
        if name in given:
            body[name] = [part for part in given[name].split(",") if part]
    try:
        if "bbox" in given:
            body["bbox"] = [float(part) for part in given["bbox"].split(",")]
        if "intersects" in given:
            body["intersects"] = json.loads(given["intersects"])
    except (ValueError, RecursionError) as problem:
        raise bad_request(f"bbox must be numbers joined by commas, intersects GeoJSON: {problem}") from None
    if "limit" in given:
        body["limit"] = paging.whole_number("limit", given["limit"], DEFAULT_LIMIT)
    if "sortby" in given:
        # In a query string + is a space.
        body["sortby"] = [
            {"field": field.lstrip("+- "), "direction": "desc" if field.startswith("-") else "asc"}
            for field in given["sortby"].split(",")
        ]
    if "filter" in given:
        body.setdefault("filter-lang", "cql2-text")
    return body


def read_limit(value: Any) -> int:
    """Read a limit; larger ones are cut down to 500, none is 10.

    Raises:
        Refused: 400, not a number of 1 or more.
    """
    if value is None:
        return DEFAULT_LIMIT
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise bad_request("limit must be a whole number of 1 or more")
    return min(value, MAX_LIMIT)


def _area(bbox: Any, intersects: Any) -> BaseGeometry | None:
    if bbox is not None and intersects is not None:
        raise bad_request("only one of bbox and intersects may be given")
    try:
        if bbox is not None:
            # Altitudes restrict nothing: nothing here has one.
            flat = [*bbox[:2], *bbox[3:5]] if isinstance(bbox, list) and len(bbox) == 6 else bbox
            return geometry.box_from(flat)
        if isinstance(intersects, dict) and intersects.get("type") == "GeometryCollection":
            parts = [geometry.storage_area(part) for part in intersects.get("geometries") or ()]
            return shapely.GeometryCollection(parts)
        return None if intersects is None else geometry.storage_area(intersects)
    except (ValueError, TypeError) as problem:
        raise bad_request(str(problem)) from None


def _interval(text: Any) -> tuple[datetime | None, datetime | None]:
    parts = text.upper().split("/") if isinstance(text, str) else [""]
    if not all(part in ("", "..") or _INSTANT.fullmatch(part) for part in parts):
        raise bad_request(f"datetime must be an RFC 3339 date-time, or two joined by a slash, got {text[:100]!r}")
    try:
        return clock.parse_interval("/".join(parts))
    except ValueError as problem:
        raise bad_request(f"datetime: {problem}") from None


def _sort(sortby: Any, sortable: list[str]) -> tuple[tuple[str, bool], ...]:
    if not sortby:
        return ()
    sort = []
    for entry in sortby if isinstance(sortby, list) else [None]:
        given = entry if isinstance(entry, dict) else {}
        name = str(given.get("field", "")).removeprefix("properties.")
        direction = str(given.get("direction", "asc")).lower()
        if name not in sortable or direction not in ("asc", "desc"):
            raise bad_request(f"sortby must be an array of field and direction; fields: {sortable}")
        sort.append((name, direction == "desc"))
    return tuple(sort)


def _texts(body: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    values = body.get(key)
    if values is None:
        return None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise bad_request(f"{key} must be an array of strings")
    return tuple(values)
