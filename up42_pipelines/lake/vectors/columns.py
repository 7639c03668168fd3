"""Values of features as columns of one type each, without losing any. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

AS_JSON = "JSON text: the delivered values are of several types, or nested."
_EXACT = 1 << 53
"""Integers up to here are the same as floats."""


def arrow_columns(columns: Mapping[str, Sequence[Any]]) -> tuple[dict[str, pa.Array], dict[str, str]]:
    """Columns of Arrow, and what to say of some of them."""
    made: dict[str, pa.Array] = {}
    said: dict[str, str] = {}
    for name, values in columns.items():
        text = _name(name, made)
        kind = _type_of(values)
        made[text] = pa.array([_json(value) for value in values] if kind is None else values, kind or pa.string())
        if kind is None:
            said[text] = AS_JSON
    return made, said


def _type_of(values: Sequence[Any]) -> pa.DataType | None:
    """The type that holds all values as they are; None when there is none."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {str}:
        return pa.string() if all(value is None or _is_unicode(value) for value in values) else None
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {bytes}:
        return pa.binary()
    if kinds == {int}:
        return pa.int64() if all(value is None or -(2**63) <= value < 2**63 for value in values) else None
    if kinds <= {int, float}:
        return pa.float64() if all(type(value) is not int or abs(value) <= _EXACT for value in values) else None
    return None


def _is_unicode(text: str) -> bool:
    """Whether it has no half of a surrogate pair, which JSON can spell and UTF-8 cannot."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _json(value: Any) -> str | None:
    if value is None:
        return None
    text = json.dumps(value, ensure_ascii=False, default=_hexadecimal)
    return text if _is_unicode(text) else json.dumps(value, default=_hexadecimal)


def _hexadecimal(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _name(name: str, taken: Mapping[str, Any]) -> str:
    """The name as a column can have it, of which there is no other."""
    plain = name.encode("utf-8", "replace").decode() or "unnamed"
    free, count = plain, 1
    while free in taken:
        count += 1
        free = f"{plain}_{count}"
    return free
