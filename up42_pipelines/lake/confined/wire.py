"""Records as JSON lines, and back. NaN and infinity are written as Python writes and reads them."""

from __future__ import annotations

import base64
import dataclasses
import json
import types
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_hints = lru_cache(get_type_hints)


def to_line(message: Any) -> bytes:
    """One line of ASCII; records become objects, paths strings, bytes base64."""
    return json.dumps(message, default=_plain).encode("ascii") + b"\n"


def from_line(line: bytes, kind: Any) -> Any:
    """What `to_line` wrote.

    Args:
        line: as read.
        kind: the type that it had: a record, a builtin, `Path`, or tuples and options of those.

    Raises:
        ValueError: it is something else.
    """
    return rebuilt(json.loads(line), kind)


def rebuilt(value: Any, kind: Any) -> Any:
    """A value of a type, from decoded JSON. Raises ValueError when it is something else."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, Union):  # `X | None` is the only one in use
        return None if value is None else rebuilt(value, arguments[0])
    if origin is tuple and isinstance(value, list):
        kinds = (arguments[0],) * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(rebuilt(item, item_kind) for item, item_kind in zip(value, kinds, strict=True))
    if dataclasses.is_dataclass(kind) and isinstance(value, dict) and isinstance(kind, type):
        hints = _hints(kind)
        if value.keys() != hints.keys():
            raise ValueError(f"{kind.__name__} does not have exactly the fields {sorted(value)}")
        return kind(**{name: rebuilt(value[name], hint) for name, hint in hints.items()})
    return _simple(value, kind)


def _simple(value: Any, kind: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is bytes and isinstance(value, str):
        return base64.b64decode(value, validate=True)
    if kind is float and type(value) in (int, float):
        return value  # nodata of int64 is an int, and must not lose digits
    if get_origin(kind) is Literal:
        right = value in get_args(kind)
    else:
        right = isinstance(value, get_origin(kind) or kind) and (kind is bool) == isinstance(value, bool)
    if not right:
        raise ValueError(f"{value!r:.80} is no {kind}")
    return value


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    raise TypeError(f"no JSON for {type(value).__name__}")
