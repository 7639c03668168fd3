"""CQL2 filters of STAC searches: read, checked, matched against views, and asked what they demand. No I/O.

A view is a mapping of queryables, as JSON holds them: numbers, texts, lists of texts, GeoJSON geometries, null.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import cql2
from shapely.geometry.base import BaseGeometry

from up42_pipelines.sandbox.core import clock, geometry
from up42_pipelines.sandbox.core.problems import bad_request

_COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">="})
_SPATIAL = frozenset(
    f"s_{name}" for name in ("intersects", "contains", "within", "disjoint", "equals", "touches", "crosses", "overlaps")
)
# fmt: off
_TEMPORAL = frozenset({
    "t_after", "t_before", "t_contains", "t_disjoint", "t_during", "t_equals", "t_finishedBy", "t_finishes",
    "t_intersects", "t_meets", "t_metBy", "t_overlappedBy", "t_overlaps", "t_startedBy", "t_starts",
})
# fmt: on
_ARRAY = frozenset({"a_contains", "a_containedBy", "a_equals", "a_overlaps"})
_ARGUMENTS = {
    **dict.fromkeys(_COMPARISONS | _SPATIAL | _TEMPORAL | _ARRAY | {"like", "in"}, 2),
    **dict.fromkeys(("not", "isNull", "casei", "accenti"), 1),
    "between": 3,
}
_OPERATORS = frozenset(_ARGUMENTS) | {"and", "or", "+", "-", "*", "/", "^", "%", "div"}
_MAX_DEPTH = 64
# Beyond these the parser of the text takes minutes, or the process with it.
_MAX_TEXT, _MAX_PARENTHESES = 2_000, 8
_DAY_END = time(23, 59, 59, 999_999, tzinfo=UTC)
_ENDS = ("=", "t_equals", "t_intersects", "t_during")


@dataclass(frozen=True)
class Filter:
    """A filter.

    Attributes:
        expression: all of it.
        conjuncts: CQL2-JSON of the conditions that must all hold.
    """

    expression: cql2.Expr
    conjuncts: tuple[Any, ...]

    def holds(self, view: Mapping[str, Any]) -> bool:
        """Check a view; what can be neither true nor false (a comparison with null) does not hold."""
        return _matches(self.expression, view)

    def excludes(self, known: Mapping[str, Any]) -> bool:
        """Tell whether something contradicts what is known, so that nothing with these values can match."""
        about = (node for node in self.conjuncts if _properties(node) <= set(known))
        return not all(_matches(cql2.Expr(node), known) for node in about if isinstance(node, dict))

    def demanded(self, name: str) -> str | None:
        """Return the text that a queryable must equal, if one is demanded."""
        for node in self.conjuncts:
            match node:
                case {"op": "=", "args": [{"property": str(found)}, str(value)]} if found == name:
                    return value
        return None

    def interval(self) -> tuple[datetime | None, datetime | None]:
        """Return a first and a last `datetime` outside of which nothing matches; None when there is no such bound."""
        firsts, lasts = [], []
        for node in self.conjuncts:
            match node:
                case {"op": str(operator), "args": [{"property": "datetime"}, dict(literal)]}:
                    start, end = _span(literal)
                    if start is not None and operator in (*_ENDS, ">", ">=", "t_after"):
                        firsts.append(start)
                    if end is not None and operator in (*_ENDS, "<", "<=", "t_before"):
                        lasts.append(end)
        return max(firsts, default=None), min(lasts, default=None)

    def area(self) -> BaseGeometry | None:
        """Return a geometry (degrees) that everything that matches touches, if there is one."""
        for node in self.conjuncts:
            match node:
                case {"op": str(operator), "args": [{"property": "geometry"}, dict(literal)]} if operator in _SPATIAL:
                    if operator != "s_disjoint":
                        return _geometry(literal)
        return None


def read(source: Any, language: Any, queryables: Collection[str]) -> Filter:
    """Read a filter.

    Args:
        source: CQL2 as text or JSON.
        language: `cql2-text`, `cql2-json`, or None: what the source looks like.
        queryables: the properties it may name.

    Raises:
        Refused: 400, it is not CQL2, names something else, or is nested too deeply.
    """
    if language not in (None, "cql2-json", "cql2-text"):
        raise bad_request("filter-lang must be cql2-json or cql2-text")
    if language == "cql2-json" and isinstance(source, str):
        source = _decoded(source)
    if isinstance(source, str) and language != "cql2-json":
        tree = _parsed_text(source)
    elif isinstance(source, dict) and language != "cql2-text":
        _check_depth(source, 0)
        tree = _parsed(source)
    else:
        raise bad_request("filter must be an object for cql2-json, a text for cql2-text")
    _check_depth(tree, 0)
    _check(tree, frozenset(queryables))
    tree = _without_between(tree)
    return Filter(cql2.Expr(tree if isinstance(tree, dict) else json.dumps(tree)), tuple(_conjuncts(tree)))


def _parsed_text(text: str) -> Any:
    depth = deepest = 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        deepest = max(deepest, depth)
    if len(text) > _MAX_TEXT or deepest > _MAX_PARENTHESES:
        raise bad_request(
            f"filter: at most {_MAX_TEXT} characters and {_MAX_PARENTHESES} parentheses inside each other are read as"
            " text; use cql2-json"
        )
    return _parsed(text)


def _parsed(source: str | dict[str, Any]) -> Any:
    try:
        return cql2.Expr(source).to_json()
    except Exception as problem:  # noqa: BLE001 - the parser raises bare Exceptions beside its own
        raise bad_request(f"filter is not CQL2: {problem}") from None


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise bad_request(f"filter is not JSON: {problem}") from None


def _check_depth(node: Any, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise bad_request(f"filter: nested deeper than {_MAX_DEPTH} levels")
    if isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            _check_depth(child, depth + 1)


def _check(node: Any, queryables: frozenset[str]) -> None:
    """Refuse what would otherwise quietly match nothing: unknown operators and properties, malformed literals.

    This is done here because the package's own `validate` takes a second for twenty nested operators.
    """
    if isinstance(node, list):
        for child in node:
            _check(child, queryables)
    elif isinstance(node, dict) and "op" in node:
        operator, arguments = node["op"], node.get("args", [])
        if operator not in _OPERATORS:
            raise bad_request(f"filter: unknown operator {operator!r}")
        if len(arguments) != _ARGUMENTS.get(operator, len(arguments)):
            raise bad_request(f"filter: {operator} needs {_ARGUMENTS[operator]} arguments, got {len(arguments)}")
        _check(arguments, queryables)
    elif isinstance(node, dict) and "property" in node:
        if node["property"] not in queryables:
            raise bad_request(f"filter: {node['property']!r} is not a queryable")
    elif isinstance(node, dict):
        _check_literal(node)


def _check_literal(node: Mapping[str, Any]) -> None:
    try:
        if "bbox" in node or "coordinates" in node:
            _geometry(node)
        else:
            _span(node)
    except (ValueError, TypeError, AttributeError, KeyError) as problem:
        raise bad_request(f"filter: {problem}") from None


def _without_between(node: Any) -> Any:
    """Write `between` as two comparisons: the package finds nothing between two timestamps."""
    if isinstance(node, list):
        return [_without_between(child) for child in node]
    match node:
        case {"op": "between", "args": [value, low, high]}:
            return {"op": "and", "args": [{"op": ">=", "args": [value, low]}, {"op": "<=", "args": [value, high]}]}
        case {"op": operator, "args": arguments}:
            return {"op": operator, "args": _without_between(arguments)}
    return node


def _conjuncts(tree: Any) -> Iterator[Any]:
    match tree:
        case {"op": "and", "args": [*children]}:
            for child in children:
                yield from _conjuncts(child)
        case _:
            yield tree


def _properties(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for child in node for name in _properties(child)}
    if isinstance(node, dict):
        return {node["property"]} if "property" in node else _properties(node.get("args", []))
    return set()


def _matches(expression: cql2.Expr, view: Mapping[str, Any]) -> bool:
    try:
        return bool(expression.matches(dict(view)))
    except Exception:  # noqa: BLE001 - a comparison with null or of unlike types decides nothing: no match
        return False


def _span(literal: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    """Return the first and the last instant of a temporal literal; None for an open end."""
    match literal:
        case {"timestamp": str(text)}:
            instant = clock.parse_instant(text)
            return instant, instant
        case {"date": str(text)}:
            day = date.fromisoformat(text)
            return datetime.combine(day, time(tzinfo=UTC)), datetime.combine(day, _DAY_END)
        case {"interval": [start, end]}:
            first, last = (None if text == ".." else _span(_instant_literal(text)) for text in (start, end))
            return first and first[0], last and last[1]
    raise ValueError(f"{dict(literal)!r} is neither an instant nor a date nor an interval nor a geometry")


def _instant_literal(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        return {"timestamp" if "T" in value.upper() else "date": value}
    if isinstance(value, dict):
        return value
    raise ValueError(f"{value!r} is not the end of an interval")


def _geometry(literal: Mapping[str, Any]) -> BaseGeometry:
    if "bbox" in literal:
        return geometry.box_from(literal["bbox"])
    return geometry.storage_area(dict(literal))
