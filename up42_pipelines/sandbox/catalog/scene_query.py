"""What a catalogue search asks for, read from its body and matched against scenes. No I/O."""

from __future__ import annotations

import base64
import binascii
import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from up42_pipelines.sandbox.core import clock, geometry
from up42_pipelines.sandbox.core.problems import Refused
from up42_pipelines.sandbox.imagery.scenes import Scene

MAX_LIMIT = 500
DELIVERY_TIME = "MINUTES"
USAGE_TYPES = ("DATA",)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
    "eq": operator.eq,
}
_NUMBERS: dict[str, Callable[[Scene], float]] = {
    "cloudCoverage": lambda scene: scene.cloud_cover_percent,
    "resolution": lambda scene: scene.gsd_m,
}
_WORDS: dict[str, Callable[[Scene], tuple[str, ...]]] = {
    "deliveryTime": lambda _: (DELIVERY_TIME,),
    "up42:usageType": lambda _: USAGE_TYPES,
    "producer": lambda scene: (scene.producer,),
}
_SORTS: dict[str, Callable[[Scene], float]] = {
    "acquisitionDate": lambda scene: scene.acquired_at.timestamp(),
    "datetime": lambda scene: scene.acquired_at.timestamp(),
    **_NUMBERS,
}
_GLOBE = shapely.box(-180, -90, 180, 90)


@dataclass(frozen=True)
class Condition:
    """One entry of `query`: the number or one of the words of a scene against a bound."""

    holds: Callable[[Scene], bool]


@dataclass(frozen=True)
class SceneQuery:
    """A search.

    Attributes:
        area: degrees; the globe when the search names no area.
        bounded: whether the search named an area.
        first, last: acquisition times, None when open.
        collections: lower-case names, None for all of the host.
        ids: scene ids, None for all.
        conditions: all of them must hold.
        limit: scenes per page.
        sort_field, descending: the order; ties are broken by the scene id.
    """

    area: BaseGeometry
    bounded: bool
    first: datetime | None
    last: datetime | None
    collections: frozenset[str] | None
    ids: tuple[str, ...] | None
    conditions: tuple[Condition, ...]
    limit: int
    sort_field: str
    descending: bool

    def sort_key(self, scene: Scene) -> tuple[float, str]:
        """Return what the scenes are ordered by."""
        return _SORTS[self.sort_field](scene), scene.id

    @property
    def newest_first(self) -> bool:
        """Whether scenes can be taken in the order in which they are found."""
        return self.descending and self.sort_field in ("acquisitionDate", "datetime")

    def matches(self, scene: Scene) -> bool:
        """Check everything except the area."""
        return (
            (self.first is None or self.first <= scene.acquired_at)
            and (self.last is None or scene.acquired_at <= self.last)
            and (self.collections is None or scene.collection in self.collections)
            and (self.ids is None or scene.id in self.ids)
            and all(condition.holds(scene) for condition in self.conditions)
        )


def read(body: Mapping[str, Any]) -> SceneQuery:
    """Read the body of a search.

    Raises:
        Refused: 400 for a limit beyond 500, 422 for everything else that is wrong.
    """
    limit = body.get("limit", MAX_LIMIT)
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MAX_LIMIT:
        message = f"search.limit: must be greater than 0 and must be less than or equal to {MAX_LIMIT}"
        error = {"code": "INVALID_ARGUMENT", "message": message, "details": None}
        raise Refused(400, message, body={"error": error, "data": None})
    field, descending = _sort(body.get("sortby"))
    first, last = _interval(body.get("datetime"))
    area = _area(body)
    collections, ids = _names(body, "collections"), _names(body, "ids")
    return SceneQuery(
        area=_GLOBE if area is None else area,
        bounded=area is not None,
        first=first,
        last=last,
        collections=None if collections is None else frozenset(name.lower() for name in collections),
        ids=ids,
        conditions=_conditions(body.get("query")),
        limit=limit,
        sort_field=field,
        descending=descending,
    )


def invalid(message: str, details: str = "") -> Refused:
    """Say that a search makes no sense, in the body that only searches have."""
    return Refused(422, message, body={"data": {}, "error": {"code": 422, "message": message, "details": details}})


def write_cursor(host: str, offset: int, key: tuple[float, str]) -> str:
    """Make the opaque `next`: it names the last scene of the page, so that new scenes move nothing off a page."""
    cursor = {"providerName": host, "nextOffset": offset, "after": list(key)}
    return base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode()


def read_cursor(text: str, host: str) -> tuple[int, tuple[float, str]]:
    """Return the offset and the sort key of the last scene delivered.

    Raises:
        Refused: 400, the cursor is not one of ours.
    """
    try:
        cursor = json.loads(base64.urlsafe_b64decode(text.encode()))
        value, scene_id = cursor["after"]
        same_host, position = cursor["providerName"] == host, (int(cursor["nextOffset"]), (float(value), str(scene_id)))
        clock.moment(round(position[1][0] * clock.SECOND))
    except (ValueError, TypeError, KeyError, OverflowError, binascii.Error, RecursionError):
        same_host, position = False, (0, (0.0, ""))
    if not same_host:
        error = {"code": "INVALID_ARGUMENT", "message": "next is not a cursor of this search", "details": None}
        raise Refused(400, "bad cursor", body={"error": error, "data": None})
    return position


def _area(body: Mapping[str, Any]) -> BaseGeometry | None:
    bbox, intersects = body.get("bbox"), body.get("intersects")
    if bbox is not None and intersects is not None:
        raise invalid("Only one of bbox and intersects may be given")
    try:
        if bbox is not None:
            return geometry.box_from(bbox)
        return None if intersects is None else geometry.search_area(intersects)
    except geometry.GeometryProblem as problem:
        raise invalid("Invalid geometry", str(problem)) from None


def _interval(text: Any) -> tuple[datetime | None, datetime | None]:
    if text is None:
        return None, None
    try:
        return clock.parse_interval(text)
    except (ValueError, AttributeError, TypeError) as problem:
        raise invalid("Invalid datetime: an RFC 3339 instant or interval is needed", str(problem)) from None


def _names(body: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    names = body.get(key)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise invalid(f"{key} must be an array of strings")
    return tuple(names)


def _conditions(query: Any) -> tuple[Condition, ...]:
    if query is None:
        return ()
    if not isinstance(query, dict) or not all(isinstance(bounds, dict) for bounds in query.values()):
        raise invalid("query must be an object of objects")
    return tuple(
        _condition(name, word.lower(), bound) for name, bounds in query.items() for word, bound in bounds.items()
    )


def _condition(name: str, word: str, bound: Any) -> Condition:
    if name in _NUMBERS and word in _COMPARE and isinstance(bound, int | float) and not isinstance(bound, bool):
        value, compare = _NUMBERS[name], _COMPARE[word]
        return Condition(lambda scene: compare(value(scene), bound))
    if name in _WORDS and word == "in" and isinstance(bound, list):
        words = _WORDS[name]
        return Condition(lambda scene: any(word in bound for word in words(scene)))
    raise invalid(f"query cannot be evaluated: {name} {word} {bound!r}")


def _sort(sortby: Any) -> tuple[str, bool]:
    if not sortby:
        return "acquisitionDate", True
    try:
        (entry,) = sortby
        field, direction = entry["field"].removeprefix("properties."), entry.get("direction", "asc").lower()
    except (ValueError, TypeError, KeyError, AttributeError):
        raise invalid("sortby must be an array with one object of field and direction") from None
    if field not in _SORTS or direction not in ("asc", "desc"):
        raise invalid(f"sortby: the fields are {sorted(_SORTS)}, the directions asc and desc")
    return field, direction == "desc"
