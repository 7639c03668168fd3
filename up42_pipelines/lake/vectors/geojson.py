"""Reading GeoJSON (RFC 7946) without trust, feature by feature: a file need not fit in memory as text.

GDAL's driver is not used: it guesses types from values (texts that look like dates, true as 1), drops ids and what it
does not know, and goes on after a geometry that it cannot read. Here every value stays, or the file is refused.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.vectors.features import Features, free_name, too_many
from up42_pipelines.lake.vectors.limits import MAX_COLUMNS, MAX_FEATURES
from up42_pipelines.lake.vectors.shapes import ShapeReader

_CHUNK_BYTES = 1 << 20
_MAX_VALUE_CHARACTERS = 64 << 20
_SPACE = re.compile(r"[ \t\r\n]*")
_CRS84 = "OGC:CRS84"
# Names alone: PROJ would also take parameters, and names of files.
_CRS_NAME = re.compile(
    r"urn:ogc:def:crs:\w+:[\w.]*:\w+|https?://www\.opengis\.net/def/crs/\w+/[\w.]+/\w+|[A-Za-z]+:\w+", re.ASCII
)
_STRUCTURE = frozenset({"type", "features", "crs", "geometry", "properties", "id", "coordinates", "geometries"})
_FEATURE = frozenset({"type", "geometry", "properties", "bbox"})


def read_geojson(path: Path, *, most: int = MAX_FEATURES) -> Features:
    """Read a FeatureCollection, a Feature or a geometry.

    Names: a property keeps its name; a feature's `id` is the column `id`, and another foreign member (RFC 7946, section
    6.1) the column of its name, or, where a property has that name, `feature:` before it. A `crs` member, which RFC
    7946 no longer has, is honoured.

    Raises:
        InvalidDelivery: it is no GeoJSON, or some feature of it is none; it says which.
    """
    try:
        return _read(path, most)
    except UnicodeDecodeError as error:
        raise InvalidDelivery(f"It is not in UTF-8, as JSON has to be: byte {error.start} of a part of it.") from error
    except RecursionError as error:
        raise InvalidDelivery("It is nested absurdly deep.") from error
    except ValueError as error:  # of which JSONDecodeError is one
        raise InvalidDelivery(f"It is no JSON: {str(error)[:200]}.") from error


def _read(path: Path, most: int) -> Features:
    collected, listed = _Collected(most), False
    members: dict[str, Any] = {}
    with path.open("rb") as file:
        text = _Text(file)
        for name in text.members():
            if name == "features" and text.peek() == "[":
                if listed:
                    raise InvalidDelivery("It has two lists of features.")
                listed = True
                for feature in text.items():
                    collected.add(feature)
            else:
                members[name] = text.value()
        text.expect_the_end()
    kind = members.get("type")
    if kind == "FeatureCollection" and listed:
        foreign = {name: value for name, value in members.items() if name not in _STRUCTURE}
    elif kind == "Feature" and not listed:
        crs = members.pop("crs", None)
        collected.add(members)
        members, foreign = {"crs": crs}, {}
    elif not listed and ("coordinates" in members or kind == "GeometryCollection"):
        collected.add({"type": "Feature", "geometry": members})
        foreign = {name: value for name, value in members.items() if name not in _STRUCTURE}
    else:
        raise InvalidDelivery(f"It is no GeoJSON: its type is {str(kind)[:40]!r}, and that needs other members.")
    return Features(
        source_format="GeoJSON",
        geometries=collected.geometries,
        columns=collected.columns(),
        crs=_crs(members.get("crs")),
        members=foreign,
        notes=(*collected.shapes.notes(), *text.notes()),
    )


class _Collected:
    """Features as they come."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.shapes = ShapeReader()
        self.geometries: list[BaseGeometry | None] = []
        self._properties: list[dict[str, Any]] = []
        self._foreign: list[dict[str, Any]] = []

    def add(self, feature: Any) -> None:
        number = len(self.geometries) + 1
        if number > self._most:
            raise too_many(self._most)
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            raise InvalidDelivery(f"Feature {number} is no Feature.")
        geometry, properties = feature.get("geometry"), feature.get("properties")
        if not isinstance(properties, dict | None):
            raise InvalidDelivery(f"Feature {number}: its properties are no object.")
        try:
            self.geometries.append(None if geometry is None else self.shapes.read(geometry))
        except InvalidDelivery as error:
            raise InvalidDelivery(f"Feature {number}: {error}") from error
        self._properties.append(properties or {})
        self._foreign.append({name: value for name, value in feature.items() if name not in _FEATURE})

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """Values by column: ids and other members first, then the properties in the order of their first appearance."""
        names = dict.fromkeys(name for properties in self._properties for name in properties)
        foreign = dict.fromkeys(name for members in self._foreign for name in members)
        if len(names) + len(foreign) > MAX_COLUMNS:  # data used as names
            return {"feature": self._foreign, "properties": self._properties}
        columns: dict[str, list[Any]] = {}
        for name in sorted(foreign, key=lambda name: name != "id"):
            free = name if name not in names else free_name(f"feature:{name}", {*names, *foreign})
            columns[free] = [members.get(name) for members in self._foreign]
        return columns | {name: [properties.get(name) for properties in self._properties] for name in names}


class _Text:
    """JSON that is decoded value by value, with no more of it in memory than one value needs."""

    def __init__(self, file: Any) -> None:
        self._file, self._text, self._at, self._ended = file, "", 0, False
        self._utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self._repeated: set[str] = set()
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=_no_number)

    def value(self) -> Any:
        """The next value."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if not self._more():
                    raise
                continue
            # A number at the end of what was read may go on.
            if end < len(self._text) or not self._more():
                self._at = end
                return value

    def members(self) -> Iterator[str]:
        """The names of the members of an object; whoever iterates takes each value."""
        self._expect("{")
        while self.peek() != "}":
            name = self.value()
            if not isinstance(name, str):
                raise InvalidDelivery("It is no JSON: a name is no text.")
            self._expect(":")
            yield name
            if not self._goes_on("}"):
                break
        self._expect("}")

    def items(self) -> Iterator[Any]:
        """The values of an array."""
        self._expect("[")
        while self.peek() != "]":
            yield self.value()
            if not self._goes_on("]"):
                break
        self._expect("]")

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # nothing also matches
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def expect_the_end(self) -> None:
        if self.peek():
            raise InvalidDelivery("It is no JSON: there is more after its end.")

    def notes(self) -> tuple[str, ...]:
        if not self._repeated:
            return ()
        return (f"Names that stand twice in one object, of which the last counts: {_some(self._repeated)}.",)

    def _goes_on(self, end: str) -> bool:
        """Whether a comma follows, and after it another value."""
        if self.peek() != ",":
            return False
        self._at += 1
        if self.peek() == end:
            raise InvalidDelivery("It is no JSON: nothing follows a comma.")
        return True

    def _expect(self, character: str) -> None:
        found = self.peek()
        if found != character:
            raise InvalidDelivery(f"It is no JSON: {found[:1]!r} where {character!r} has to be.")
        self._at += 1

    def _more(self) -> bool:
        """Read on; False at the end. Twice as much each time, so that a long value is not decoded too often."""
        if self._ended:
            return False
        left = self._text[self._at :]
        if len(left) > _MAX_VALUE_CHARACTERS:
            raise InvalidDelivery(f"A value in it, or a feature, has more than {_MAX_VALUE_CHARACTERS:,} characters.")
        content = self._file.read(max(_CHUNK_BYTES, len(left)))
        self._ended = not content
        self._text, self._at = left + self._utf8.decode(content, final=self._ended), 0
        return True

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            self._repeated |= {name for name, count in Counter(name for name, _ in pairs).items() if count > 1}
        return made


def _crs(member: Any) -> CRS | None:
    """The CRS that a file names (GeoJSON 2008, section 3), else that of RFC 7946, section 4; no link is followed."""
    if member is None:
        return CRS.from_user_input(_CRS84)
    properties = member.get("properties") if isinstance(member, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if isinstance(name, str) and _CRS_NAME.fullmatch(name):
        with suppress(CRSError):
            return CRS.from_user_input(name)
    raise InvalidDelivery(f"Its coordinate reference system is not known: {json.dumps(member)[:100]}.")


def _no_number(literal: str) -> NoReturn:
    raise InvalidDelivery(f"It is no JSON: {literal} is no number.")


def _some(names: set[str]) -> str:
    told = sorted(names)
    return ", ".join(name[:40] for name in told[:5]) + (f" and {len(told) - 5} more" if len(told) > 5 else "")
