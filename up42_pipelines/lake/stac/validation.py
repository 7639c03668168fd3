"""Whether a document is valid STAC 1.1.0: vendored schemas, compiled once per process, and what no schema can say."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, NoReturn

import jsonschema_rs

from up42_pipelines.errors import InvalidDelivery, Up42Error

_CORE = {
    "Feature": "https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json",
    "Collection": "https://schemas.stacspec.org/v1.1.0/collection-spec/json-schema/collection.json",
    "Catalog": "https://schemas.stacspec.org/v1.1.0/catalog-spec/json-schema/catalog.json",
}
# Deepest nesting: a MultiPolygon in an asset's field needs about 12. Schemas that refer to themselves (PROJJSON) are
# followed recursively, and a document nested 100 000 deep would overflow the stack of the process.
_DEEPEST = 64
_LARGEST_INTEGER_BITS = 64
# Degrees, 1 m: providers round bbox and geometry differently.
_TOLERANCE = 1e-5
_RFC3339_UTC = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|\+00:00)", re.ASCII)
_NESTING = {"Point": 0, "MultiPoint": 1, "LineString": 1, "Polygon": 2, "MultiLineString": 2, "MultiPolygon": 3}
_MOST_PROBLEMS_TOLD = 5
BBOX_MISSES = "bbox: does not contain the geometry"


def problems(document: Mapping[str, Any]) -> tuple[str, ...]:
    """What is wrong with a STAC Item, Collection or Catalog; nothing when it is valid.

    Checked are the core schema, the schema of each extension in `stac_extensions` that is vendored (`unchecked` lists
    the others), and then what no schema says: `contradictions`. `format` is an annotation, as in pystac's validator
    (JSON Schema draft 7, section 7.2); times are checked by `contradictions`.

    Returns:
        One line each: where, as a path like `assets/data/file:size`, and what. No value that may be a secret.
    """
    if found := _not_json(document):
        return (found,)
    return schema_problems(document) or contradictions(document)


def schema_problems(document: Mapping[str, Any]) -> tuple[str, ...]:
    """What the schemas find, for a document of plain JSON values that is not nested too deep."""
    kind = document.get("type")
    core = _CORE.get(kind) if isinstance(kind, str) else None
    if core is None:
        return (f"type: {_told(kind)}is none of {', '.join(_CORE)}",)
    extensions = document.get("stac_extensions")
    named = {uri for uri in extensions if isinstance(uri, str)} if isinstance(extensions, list) else set()
    validator = _validator((core, *sorted(named & _vendored().keys() - set(_CORE.values()))))
    if validator.is_valid(document):
        return ()
    return tuple(dict.fromkeys(_worded(_cause(error)) for error in validator.iter_errors(document)))


def nonconforming(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The vendored extensions that a document declares and does not conform to, sorted; none when it is no JSON."""
    if _not_json(document):
        return ()
    known = set(document["stac_extensions"]) & _vendored().keys()
    return tuple(uri for uri in sorted(known) if not _validator((uri,)).is_valid(document))


def unchecked(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The extensions that a document declares and whose schemas are not vendored, sorted."""
    return tuple(sorted({uri for uri in document.get("stac_extensions") or () if uri not in _vendored()}))


def check(document: Mapping[str, Any], what: str, error: type[Up42Error] = InvalidDelivery) -> None:
    """Refuse a document that is not valid.

    Args:
        document: Item, Collection or Catalog.
        what: names the document in the message, for example `Item 'a'`.
        error: `InvalidDelivery` for what was delivered, `LakeError` for what lies in the lake.
    """
    if found := problems(document):
        rest = len(found) - _MOST_PROBLEMS_TOLD
        told = [*found[:_MOST_PROBLEMS_TOLD], *([f"and {rest} more"] if rest > 0 else [])]
        raise error(f"{what} is no valid STAC 1.1.0: {'; '.join(told)}.")


def contradictions(document: Mapping[str, Any]) -> tuple[str, ...]:
    """What contradicts itself in an Item that conforms to the core schema; nothing for other types.

    Times are RFC 3339 in UTC, the start is not after the end, positions are degrees, rings are closed (RFC 7946 section
    3.1.6), and the bbox contains the geometry (section 5; west > east when it crosses the antimeridian).
    """
    if document["type"] != "Feature":
        return ()
    return (*_time_contradictions(document["properties"]), *_place_contradictions(document))


# --- what no schema says ----------------------------------------------------------------------------------------------


def _time_contradictions(properties: Mapping[str, Any]) -> Iterator[str]:
    moments = {}
    for name in ("datetime", "start_datetime", "end_datetime", "created", "updated"):
        text = properties.get(name)
        if text is not None:
            moments[name] = _moment(text)
            if moments[name] is None:
                yield f"properties/{name}: {_told(text)}is no time in UTC (RFC 3339)"
    start, end = moments.get("start_datetime"), moments.get("end_datetime")
    if start is not None and end is not None and start > end:
        yield "properties/start_datetime: is after end_datetime"


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if _RFC3339_UTC.fullmatch(text) else None
    except ValueError:
        return None


def _place_contradictions(document: Mapping[str, Any]) -> Iterator[str]:
    geometry = document["geometry"]
    if geometry is None:
        return
    positions = list(_positions(geometry))
    if not positions:
        yield "geometry: has no coordinates"
        return
    if any(ring[0] != ring[-1] for ring in _rings(geometry)):
        yield "geometry: a ring does not end where it begins"
    lons, lats = [position[0] for position in positions], [position[1] for position in positions]
    if min(lats) < -90 - _TOLERANCE or max(lats) > 90 + _TOLERANCE or min(lons) < -360 or max(lons) > 360:
        yield "geometry: is not in degrees of longitude and latitude"
        return
    bbox = document["bbox"]
    west, south, east, north = bbox if len(bbox) == 4 else (bbox[0], bbox[1], bbox[3], bbox[4])
    if south > north:
        yield "bbox: south is more than north"
    elif min(lats) < south - _TOLERANCE or max(lats) > north + _TOLERANCE or not _within(lons, west, east):
        yield BBOX_MISSES


def _within(lons: list[float], west: float, east: float) -> bool:
    """Whether longitudes lie between two others, eastward from the first to the second."""
    if west - _TOLERANCE <= min(lons) and max(lons) <= east + _TOLERANCE:
        return True
    # Across the antimeridian; or the geometry goes beyond 180 degrees instead of being cut there.
    span = (east - west) % 360 if east != west else 0.0
    return (span > 0 or east == west) and all((lon - west + _TOLERANCE) % 360 <= span + 2 * _TOLERANCE for lon in lons)


def _positions(geometry: Mapping[str, Any]) -> Iterator[list[float]]:
    if geometry["type"] == "GeometryCollection":
        for part in geometry["geometries"]:
            yield from _positions(part)
        return
    level: list[Any] = [geometry["coordinates"]]
    for _ in range(_NESTING[geometry["type"]]):
        level = [inner for outer in level for inner in outer]
    yield from level


def _rings(geometry: Mapping[str, Any]) -> Iterator[list[list[float]]]:
    if geometry["type"] == "Polygon":
        yield from geometry["coordinates"]
    elif geometry["type"] == "MultiPolygon":
        for polygon in geometry["coordinates"]:
            yield from polygon
    elif geometry["type"] == "GeometryCollection":
        for part in geometry["geometries"]:
            yield from _rings(part)


def _not_json(document: Any) -> str | None:
    """The first value, level by level, that JSON has no notation for or that its readers do not take; else None."""
    level = [document]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for value in level:
            kind = type(value)
            # Most values are coordinates and short texts; a call for each would take half of the time.
            if (kind is float and value - value == 0.0) or (kind is str and value.isascii()):
                continue
            if kind is dict:
                below.extend(value.values())
            elif kind is list or kind is tuple:
                below.extend(value)
            elif odd := _odd(value):
                return _located(document, value, odd)
        if not below:
            return None
        level = below
    return f"is nested deeper than {_DEEPEST} levels"


def _odd(value: Any) -> str | None:
    """What is wrong with a value that is neither an object nor an array."""
    kind = type(value)
    if kind is float:
        return None if math.isfinite(value) else "is not a finite number"
    if kind is int:
        return None if value.bit_length() <= _LARGEST_INTEGER_BITS else f"has more than {_LARGEST_INTEGER_BITS} bits"
    if kind is str:
        return None if _is_unicode(value) else "has half of a surrogate pair"
    return None if value is None or kind is bool else f"a {kind.__name__} is nothing that JSON has"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _located(document: Any, wanted: Any, what: str) -> str:
    """The same walk again, with paths: only for a document that is refused."""
    level: list[tuple[tuple[Any, ...], Any]] = [((), document)]
    for _ in range(_DEEPEST):
        below: list[tuple[tuple[Any, ...], Any]] = []
        for path, value in level:
            if value is wanted:
                return f"{_path(path)}{what}"
            items = (
                value.items() if isinstance(value, dict) else enumerate(value) if type(value) in {list, tuple} else ()
            )
            below += [((*path, key), inner) for key, inner in items]
        level = below
    return what


# --- the schemas ------------------------------------------------------------------------------------------------------


@cache
def _vendored() -> dict[str, Any]:
    """Schemas by URI; the folders mirror the URIs (`schemas/README.md` says where each came from)."""

    def read(folder: Traversable, uri: str) -> Iterator[tuple[str, Any]]:
        for entry in folder.iterdir():
            if entry.is_dir():
                yield from read(entry, f"{uri}{entry.name}/")
            elif entry.name.endswith(".json"):
                yield f"{uri}{entry.name}", json.loads(entry.read_text("utf-8"))

    return dict(read(files("up42_pipelines.lake.stac") / "schemas", "https://"))


def _never_fetch(uri: str) -> NoReturn:
    raise LookupError(f"schema {uri} is not vendored")


@cache
def _registry() -> Any:
    return jsonschema_rs.Registry(_vendored().items(), draft=jsonschema_rs.Draft7, retriever=_never_fetch)


@lru_cache(maxsize=256)
def _validator(uris: tuple[str, ...]) -> Any:
    """One validator for all schemas of a document: it is walked once, not once per extension."""
    schema = {"allOf": [{"$ref": uri} for uri in uris]}
    return jsonschema_rs.Draft7Validator(schema, registry=_registry(), validate_formats=False, mask="the value")


# --- words ------------------------------------------------------------------------------------------------------------


def _cause(error: Any) -> Any:
    """The error behind "not valid under any of the schemas": in the branch that is meant, the deepest one.

    Extensions have one branch for Items and one for Collections; the one that is not meant fails at `type`. Nor is the
    branch for null meant where there is something.
    """
    branches = getattr(error.kind, "context", None)
    meant = [branch for branch in branches or () if branch and not any(_is_about_type(inner) for inner in branch)]
    if not meant:
        return error
    return _cause(max((inner for branch in meant for inner in branch), key=lambda inner: len(inner.instance_path)))


def _is_about_type(error: Any) -> bool:
    if error.kind.name == "type":
        return str(error.message).endswith('is not of type "null"')
    return bool(error.instance_path and error.instance_path[-1] == "type" and error.kind.name in {"const", "enum"})


def _worded(error: Any) -> str:
    path = tuple(error.instance_path)
    told = "" if {"href", "headers", "body"} & set(path) else _told(error.instance)
    return f"{_path(path)}{told}{' '.join(error.message.split())[:200]}"


def _path(path: tuple[Any, ...]) -> str:
    return f"{'/'.join(str(part)[:80] for part in path)}: " if path else ""


def _told(value: Any) -> str:
    """A short value, for a message; nothing that could be an address with a signature in it."""
    plain = value is None or isinstance(value, int | float) or (isinstance(value, str) and len(value) <= 40)
    return f"{value!r} " if plain and "//" not in str(value) else ""
