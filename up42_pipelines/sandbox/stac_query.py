"""What a search of the storage asks for, read from its body and matched against deliveries. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import cql2
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from up42_pipelines.sandbox import clock, geometry, stac_shapes
from up42_pipelines.sandbox.deliveries import Delivery
from up42_pipelines.sandbox.problems import bad_request

DEFAULT_LIMIT, MAX_LIMIT = 10, 500
# fmt: off
_OPERATORS = frozenset({
    "and", "or", "not", "=", "<>", "<", "<=", ">", ">=", "isNull", "like", "between", "in", "casei", "accenti", "+",
    "-", "*", "/", "^", "%", "div", "s_intersects", "s_contains", "s_within", "s_disjoint", "s_equals", "s_touches",
    "s_crosses", "s_overlaps", "t_after", "t_before", "t_contains", "t_disjoint", "t_during", "t_equals",
    "t_finishedBy", "t_finishes", "t_intersects", "t_meets", "t_metBy", "t_overlappedBy", "t_overlaps",
    "t_startedBy", "t_starts", "a_contains", "a_containedBy", "a_equals", "a_overlaps",
})
# fmt: on


_COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">=", "like"})
_MAX_DEPTH = 64
_ID_COLUMNS = {"order_id": "order_id", "asset_id": "asset_id", "id": "item_id", "collection": "collection_id"}


@dataclass(frozen=True)
class StacQuery:
    """A search of the storage. None restricts nothing; `area` is in degrees; `sort` holds (field, descending)."""

    ids: tuple[str, ...] | None
    collections: tuple[str, ...] | None
    area: BaseGeometry | None
    first: datetime | None
    last: datetime | None
    expression: cql2.Expr | None
    sort: tuple[tuple[str, bool], ...]
    limit: int
    token: str | None

    def matches(self, delivery: Delivery) -> bool:
        """Check a delivery against everything."""
        if self.ids is not None and delivery.item_id not in self.ids:
            return False
        if self.collections is not None and delivery.collection_id not in self.collections:
            return False
        acquired = datetime.fromisoformat(delivery.content["datetime"])
        if (self.first is not None and acquired < self.first) or (self.last is not None and acquired > self.last):
            return False
        if self.area is not None and not self.area.intersects(shape(delivery.content["geometry"])):
            return False
        return self.expression is None or _holds(self.expression, stac_shapes.filter_view(delivery))


def ids_in(tree: Any) -> dict[str, str]:
    """Find the ids that a filter demands whatever else it says, so that not every delivery has to be looked at.

    Returns:
        Values by column of the deliveries: those of `=` at the top, or inside an `and` at the top.
    """
    if not isinstance(tree, dict):
        return {}
    match tree:
        case {"op": "and", "args": [*children]}:
            return {column: value for child in children for column, value in ids_in(child).items()}
        case {"op": "=", "args": [{"property": str(name)}, str(value)]} if name in _ID_COLUMNS:
            return {_ID_COLUMNS[name]: value}
    return {}


def read(body: Mapping[str, Any]) -> StacQuery:
    """Read the body of a search.

    Raises:
        Refused: 400, something in it is wrong.
    """
    bbox, intersects = body.get("bbox"), body.get("intersects")
    if bbox is not None and intersects is not None:
        raise bad_request("only one of bbox and intersects may be given")
    try:
        area: BaseGeometry | None = geometry.box_from(bbox) if bbox is not None else None
        area = geometry.storage_area(intersects) if intersects is not None else area
        first, last = (None, None) if body.get("datetime") is None else clock.parse_interval(body["datetime"])
    except (ValueError, AttributeError, TypeError, OverflowError) as problem:
        raise bad_request(str(problem)) from None
    token = body.get("token")
    if token is not None and not isinstance(token, str):
        raise bad_request("token must be a string")
    return StacQuery(
        ids=_texts(body, "ids"),
        collections=_texts(body, "collections"),
        area=area,
        first=first,
        last=last,
        expression=_expression(body.get("filter"), body.get("filter-lang", "cql2-json")),
        sort=_sort(body.get("sortby")),
        limit=read_limit(body.get("limit")),
        token=token,
    )


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


def arrange(deliveries: Sequence[Delivery], query: StacQuery) -> list[Delivery]:
    """Put what was found (newest first) into the order asked for; nulls last."""
    ordered = list(deliveries)
    for name, descending in reversed(query.sort):
        known = [(_value(delivery, name), delivery) for delivery in ordered]
        present = sorted((pair for pair in known if pair[0] is not None), key=_first, reverse=descending)
        ordered = [delivery for _, delivery in present] + [delivery for value, delivery in known if value is None]
    return ordered


def _first(pair: tuple[Any, Delivery]) -> Any:
    return pair[0]


def _value(delivery: Delivery, name: str) -> Any:
    return stac_shapes.filter_view(delivery)[name]


def _expression(tree: Any, language: Any) -> cql2.Expr | None:
    if tree is None:
        return None
    if language not in ("cql2-json", "cql2-text") or not isinstance(tree, dict | str):
        raise bad_request("filter must be CQL2")
    try:
        expression = cql2.Expr(tree)
        parsed = expression.to_json()
    except Exception as problem:  # noqa: BLE001 - the parser raises bare Exceptions beside its own
        raise bad_request(f"filter is not CQL2: {problem}") from None
    _check(parsed, depth=0)
    return expression


def _check(node: Any, depth: int) -> None:
    """Refuse operators and properties that would otherwise quietly match nothing.

    This is done here because the package's own `validate` takes a second for twenty nested operators.
    """
    if depth > _MAX_DEPTH:
        raise bad_request(f"filter: nested deeper than {_MAX_DEPTH} levels")
    if isinstance(node, list):
        for child in node:
            _check(child, depth + 1)
    elif isinstance(node, dict):
        operator, arguments = node.get("op"), node.get("args", [])
        if operator is not None and operator not in _OPERATORS:
            raise bad_request(f"filter: unknown operator {operator!r}")
        if operator in _COMPARISONS and len(arguments) != 2:
            raise bad_request(f"filter: {operator} needs two arguments, got {len(arguments)}")
        if "property" in node and node["property"] not in stac_shapes.QUERYABLES:
            raise bad_request(f"filter: {node['property']!r} is not a queryable")
        _check(arguments, depth + 1)


def _holds(expression: cql2.Expr, view: Mapping[str, Any]) -> bool:
    try:
        return bool(expression.matches(dict(view)))
    except Exception:  # noqa: BLE001 - a comparison with null or of unlike types decides nothing: no match
        return False


def _sort(sortby: Any) -> tuple[tuple[str, bool], ...]:
    if not sortby:
        return ()
    sort = []
    for entry in sortby if isinstance(sortby, list) else [None]:
        fields: Callable[[str, str], Any] | None = entry.get if isinstance(entry, dict) else None
        name = str(fields("field", "")).removeprefix("properties.") if fields else ""
        direction = str(fields("direction", "asc")).lower() if fields else ""
        if QUERYABLE_SORTS.get(name) is None or direction not in ("asc", "desc"):
            raise bad_request(f"sortby must be an array of field and direction; fields: {sorted(QUERYABLE_SORTS)}")
        sort.append((name, direction == "desc"))
    return tuple(sort)


QUERYABLE_SORTS = {name: kind for name, kind in stac_shapes.QUERYABLES.items() if kind not in ("geometry", "array")}


def _texts(body: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    values = body.get(key)
    if values is None:
        return None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise bad_request(f"{key} must be an array of strings")
    return tuple(value.lower() for value in values)
