"""Reading GeoJSON strictly: bytes to the exterior rings of polygons, or the rule that is broken (RFC 7946)."""

from __future__ import annotations

import itertools
import json
import math
import re
import reprlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from up42_pipelines.errors import AoiRejected

_TYPES = ("FeatureCollection", "Feature", "Polygon", "MultiPolygon")
_LON_LAT_CRS = re.compile(
    r"(urn:ogc:def:crs:|https?://www\.opengis\.net/def/crs/)?(OGC[:/][\d.]*[:/]?CRS84|EPSG[:/][\d.]*[:/]?4326)",
    re.IGNORECASE,
)
_AMBIGUOUS_WHEN_REPEATED = ("type", "crs", "features", "geometry", "coordinates")
_NOISE_DEGREES = 1e-9  # 0.1 mm: tools that split at the antimeridian write 180.00000000000006
_SPLIT = "split the area at longitude 180 into a MultiPolygon with one part on each side, within -180 to 180."


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which file we are, for messages; `feature` is None for the file as a whole."""

    source: str
    feature: str | None = None

    def reject(self, rule: str, reason: str) -> NoReturn:
        """Refuse the file for breaking a rule at this place."""
        raise AoiRejected(source=self.source, feature=self.feature, rule=rule, reason=reason)


def decode(raw: bytes, place: Place) -> Any:
    """Decode UTF-8 JSON, with or without a byte order mark, without the liberties that Python's parser takes."""
    encoding = json.detect_encoding(raw)
    if not encoding.startswith("utf-8"):
        place.reject("encoding", f"the file is {encoding.upper()}; save it as UTF-8.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place.reject("encoding", f"{error.reason} at byte {error.start} (Latin-1?); save the file as UTF-8.")
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeats)
    except RecursionError:
        place.reject("json", "nested too deeply to be GeoJSON; export the file again.")
    except ValueError as error:
        place.reject("json", f"not valid JSON: {error}; export the file again.")


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Readers disagree on which of the two counts. In "properties" nobody cares.
    counts = Counter(key for key, _ in pairs)
    for key in _AMBIGUOUS_WHEN_REPEATED:
        if counts[key] > 1:
            raise ValueError(f'an object has "{key}" {counts[key]} times')
    return dict(pairs)


def geometries(data: Any, whole: Place) -> Iterator[tuple[Place, Any]]:
    """The geometry objects of a file, each with its place, in order."""
    kind = _type_of(data, whole)
    if kind != "FeatureCollection":
        yield whole, _geometry_of(data, whole)
        return
    features = data.get("features")
    if not isinstance(features, list | tuple):
        whole.reject("type", f'"features" is {reprlib.repr(features)}; it must be an array of features.')
    if not features:
        whole.reject("type", "the FeatureCollection is empty; draw at least one polygon.")
    for number, feature in enumerate(features, start=1):
        identifier = feature.get("id") if isinstance(feature, dict) else None
        label = f' (id "{str(identifier)[:60]}")' if isinstance(identifier, str | int) else ""
        place = Place(whole.source, f"feature {number}{label}")
        if (kind := _type_of(feature, place)) != "Feature":
            place.reject("type", f"{kind} inside a FeatureCollection; only features belong there.")
        yield place, _geometry_of(feature, place)


def _geometry_of(data: Any, place: Place) -> Any:
    if data["type"] != "Feature":
        return data
    if data.get("geometry") is None:
        place.reject("type", "the feature has no geometry; draw a polygon or delete the feature.")
    _type_of(data["geometry"], place)
    return data["geometry"]


def _type_of(data: Any, place: Place) -> str:
    """The GeoJSON type of an object that an AOI may be made of, with its crs member checked on the way."""
    if not isinstance(data, dict) or "type" not in data:
        place.reject("type", f'{reprlib.repr(data)} is not a GeoJSON object: it needs a "type".')
    if "crs" in data:
        _check_crs(data["crs"], place)
    kind = data["type"]
    if kind not in _TYPES:
        remedy = "an AOI is a Polygon or MultiPolygon, or a Feature or FeatureCollection of those (case matters)."
        place.reject("type", f"the type is {reprlib.repr(kind)}; {remedy}")
    return str(kind)


def _check_crs(crs: Any, place: Place) -> None:
    try:
        name = crs["properties"]["name"]
    except (KeyError, TypeError):
        name = None
    if not isinstance(name, str) or not _LON_LAT_CRS.fullmatch(name):
        remedy = "reproject the file to EPSG:4326 (longitude, latitude in degrees) and leave the member out."
        place.reject("crs", f"the crs member is {reprlib.repr(name or crs)}; {remedy}")


def shells_of(geometry: Any, place: Place) -> Iterator[list[tuple[float, float]]]:
    """The exterior rings of a Polygon or MultiPolygon object, each position checked."""
    kind = geometry["type"]
    if kind not in ("Polygon", "MultiPolygon"):
        place.reject("type", f"{kind} where a Polygon or MultiPolygon belongs.")
    if "coordinates" not in geometry:
        place.reject("type", f'the {kind} has no "coordinates".')
    coordinates = geometry["coordinates"]
    polygons = [coordinates] if kind == "Polygon" else _items(coordinates, place, "the MultiPolygon", "polygons")
    for number, rings in enumerate(polygons, start=1):
        which = "the polygon" if kind == "Polygon" else f"polygon {number}"
        positions = _items(_items(rings, place, which, "rings")[0], place, f"the exterior ring of {which}", "positions")
        ring = [_position(item, place, f"position {n} of {which}") for n, item in enumerate(positions, start=1)]
        _check_ring(ring, place, which)
        if len(rings) > 1:
            place.reject("holes", f"{which} has {len(rings) - 1} hole(s); remove the hole, or split the polygon.")
        yield ring


def _items(value: Any, place: Place, which: str, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or not value:
        place.reject("coordinates", f"{which} should be an array of {what}, not {reprlib.repr(value)}.")
    return value


def _position(item: Any, place: Place, which: str) -> tuple[float, float]:
    numbers = item if isinstance(item, list | tuple) else ()
    if len(numbers) < 2 or any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers):
        place.reject("coordinates", f"{which} is {reprlib.repr(item)}; write [longitude, latitude] as two numbers.")
    if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
        place.reject("coordinates", f"{which} is {reprlib.repr(item)}; every number must be finite.")
    if len(numbers) > 2:
        place.reject(
            "no-z", f"{which} is {reprlib.repr(item)}; UP42 takes no altitude, export two-dimensional geometry."
        )
    longitude, latitude = numbers
    if abs(longitude) > 360 or abs(latitude) > 90:
        remedy = "longitudes go from -180 to 180 and latitudes from -90 to 90."
        if max(abs(longitude), abs(latitude)) > 360:
            remedy = "degrees are asked for (EPSG:4326), these look like metres: reproject the file."
        elif abs(longitude) <= 90 and abs(latitude) <= 180:
            remedy = "latitude and longitude look swapped, longitude comes first."
        place.reject("range", f"{which} is {reprlib.repr(item)}; {remedy}")
    if abs(longitude) > 180 + _NOISE_DEGREES:
        place.reject("antimeridian", f"{which} has longitude {longitude}; {_SPLIT}")
    return max(-180.0, min(180.0, float(longitude))), float(latitude)


def _check_ring(ring: list[tuple[float, float]], place: Place, which: str) -> None:
    if ring[0] != ring[-1]:
        place.reject("closed", f"{which} starts at {ring[0]} and ends at {ring[-1]}; end it where it starts.")
    if len(ring) < 4:
        place.reject("closed", f"{which} has {len(ring)} positions; a closed ring has at least four.")
    for (west, _), (east, _) in itertools.pairwise(ring):
        if abs(east - west) > 180:
            edge = f"{which} has an edge from longitude {west} to {east}"
            place.reject("antimeridian", f"{edge}; if it crosses the antimeridian, {_SPLIT}")
