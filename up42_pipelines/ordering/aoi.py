"""Areas of interest: GeoJSON files in, geometries that UP42 takes out.

An area is paid for by the square kilometre, so a file is never repaired by guessing: it is accepted as it stands or
refused with the feature, the value and the remedy. What does not change the area is normalised: ring orientation, a
MultiPolygon of one part, and features that overlap or share a border (they become one part, bought once).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import pyproj
import shapely
from shapely.geometry import MultiPolygon, Polygon, mapping
from shapely.geometry.polygon import orient
from shapely.validation import explain_validity

from up42_pipelines.errors import ConfigurationError
from up42_pipelines.ordering.geojson import Place, decode, geometries, shells_of

MAX_FILE_BYTES = 20_000_000
_SUFFIXES = (".geojson", ".json")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_WGS84 = pyproj.Geod(ellps="WGS84")


@dataclass(frozen=True, slots=True, kw_only=True)
class AoiLimits:
    """How large an AOI may be. A data product's own minimum and maximum apply on top, when the order is estimated."""

    max_vertices: int = 999
    """Positions of the whole AOI, closing ones included. UP42 documentation, "geometry": at most 999."""
    min_area_km2: float = 0.0001
    """Smallest area of one polygon, in km². Ours: 10 m by 10 m, one Sentinel-2 pixel. Products ask for far more."""
    max_area_km2: float = 500_000
    """Largest area of the whole AOI, in km². Ours: more than Germany. It catches wrong corners, not cost."""

    def __post_init__(self) -> None:
        if self.max_vertices < 4:
            raise ConfigurationError(f"max_vertices is {self.max_vertices}; the smallest polygon has 4 positions.")
        if not 0 < self.min_area_km2 < self.max_area_km2 < math.inf:
            raise ConfigurationError(
                f"min_area_km2 is {self.min_area_km2} and max_area_km2 is {self.max_area_km2}; "
                "both must be finite, above 0, and the minimum below the maximum."
            )


DEFAULT_LIMITS = AoiLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Aoi:
    """An area to buy imagery of, as `read_aoi` or `parse_aoi` found it to be acceptable."""

    name: str
    """Partition key: starts with a letter, a digit or `_`, goes on with those, `.` and `-`; at most 100 characters."""
    geometry: Polygon | MultiPolygon
    """Simple polygons without holes, EPSG:4326, longitude then latitude in degrees, exteriors counter-clockwise."""
    source: str
    """The file it was read from."""

    def __post_init__(self) -> None:
        _check_name(self.name, self.source)

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees; -180 to 180 for an AOI that is split at the antimeridian."""
        west, south, east, north = self.geometry.bounds
        return west, south, east, north

    @property
    def area_km2(self) -> float:
        """Area on the WGS84 ellipsoid, in km²."""
        return area_km2(self.geometry)

    @property
    def vertices(self) -> int:
        """Positions of all rings, the closing ones included."""
        return int(shapely.get_num_coordinates(self.geometry))

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        return dict(mapping(self.geometry))


def area_km2(geometry: Polygon | MultiPolygon) -> float:
    """Area on the WGS84 ellipsoid, in km², holes subtracted.

    GeoJSON edges are straight in longitude and latitude (RFC 7946 section 3.1.1), pyproj's are geodesics. A vertex
    every 0.1 degrees makes them agree: a box of 20 by 10 degrees at 50 degrees north is 1 % off without.

    Args:
        geometry: EPSG:4326, longitude then latitude in degrees; no single part may cover the whole globe.
    """

    def ring_km2(ring: shapely.LinearRing) -> float:
        longitudes, latitudes = shapely.get_coordinates(shapely.segmentize(ring, 0.1)).T
        area, _ = _WGS84.polygon_area_perimeter(longitudes, latitudes)
        return abs(float(area)) / 1e6

    return sum(ring_km2(part.exterior) - sum(ring_km2(hole) for hole in part.interiors) for part in _parts(geometry))


def load_aois(folder: str | Path) -> dict[str, str]:
    """Map the names of the AOIs in a folder to their files, sorted by name, without opening any.

    Nothing is parsed, so that a bad file fails its own partitions and no others. Hidden files and sub-folders are left.

    Args:
        folder: local folder or any fsspec URL, with one `<name>.geojson` or `<name>.json` per AOI.

    Raises:
        AoiRejected: a file name makes no safe partition key, or two make the same one (upper and lower case count as
            equal, because they are on many file systems).
        ConfigurationError: there is no such folder.
    """
    fs, root = fsspec.core.url_to_fs(str(folder))
    if not fs.isdir(root):
        raise ConfigurationError(f"There is no AOI folder {folder}: make it, with one GeoJSON file per AOI.")
    local = "file" in fs.protocol
    found: dict[str, str] = {}
    taken: dict[str, str] = {}
    for entry in sorted(fs.ls(root, detail=True), key=lambda entry: str(entry["name"])):
        file_name = PurePosixPath(entry["name"]).name
        if entry["type"] != "file" or file_name.startswith(".") or not file_name.lower().endswith(_SUFFIXES):
            continue
        path = str(entry["name"]) if local else str(fs.unstrip_protocol(entry["name"]))
        name = _name_of(path)
        _check_name(name, path)
        if twin := taken.get(name.lower()):
            Place(path).reject("name", f'the AOI "{name}" is also in {twin}; rename one of the two files.')
        taken[name.lower()] = found[name] = path
    return dict(sorted(found.items()))


def read_aoi(path_or_url: str | Path, *, limits: AoiLimits = DEFAULT_LIMITS) -> Aoi:
    """Read and check one GeoJSON file: a Polygon, a MultiPolygon, a Feature or a FeatureCollection of those.

    Args:
        path_or_url: local path or any fsspec URL, at most 20 MB of UTF-8 (a byte order mark is fine). The file's name
            becomes the AOI's.
        limits: how large it may be.

    Raises:
        AoiRejected: rules `name`, `file` (not readable), `size`, `encoding`, `json`, or one of `parse_aoi`.
    """
    url = str(path_or_url)
    place = Place(_without_query(url))
    name = _name_of(url)
    _check_name(name, place.source)
    try:
        fs, path = fsspec.core.url_to_fs(url)
        with fs.open(path, "rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        place.reject("file", f"cannot be read ({type(error).__name__}: {error}); check that it is there.")
    if len(raw) > MAX_FILE_BYTES:
        place.reject("size", f"larger than {MAX_FILE_BYTES} bytes; UP42 takes at most {limits.max_vertices} vertices.")
    return parse_aoi(decode(raw, place), source=place.source, name=name, limits=limits)


def parse_aoi(data: Any, *, source: str, name: str, limits: AoiLimits = DEFAULT_LIMITS) -> Aoi:
    """Check decoded GeoJSON against what UP42 orders take, and make one AOI of it.

    The features of a FeatureCollection are one AOI: if any of them meet they are dissolved, otherwise they become the
    parts of a MultiPolygon with their coordinates as given. Members other than type, id, crs, features, geometry and
    coordinates are not looked at. Latitude before longitude is found out only where that leaves the globe.

    Args:
        data: decoded JSON.
        source: the file, for messages.
        name: partition key.
        limits: how large it may be.

    Raises:
        AoiRejected: the first broken rule. `type`, `coordinates`, `closed`: RFC 7946 sections 3 and 3.1; `crs` and
            `range`: section 4; `antimeridian`: section 3.1.9; `no-z`, `simple`, `holes`, `vertices`: UP42
            documentation, "geometry" (a hole filled silently would be billed); `area`: `AoiLimits`; `name`: `Aoi`.
    """
    whole = Place(source)
    _check_name(name, source)
    features: list[Polygon | MultiPolygon] = []
    vertices = 0
    for place, geometry in geometries(data, whole):
        shells = list(shells_of(geometry, place))
        vertices += sum(map(len, shells))
        if vertices > limits.max_vertices:
            # Before any geometry is computed: a file of 20 MB should cost no more than reading it.
            so_far = f"{vertices} vertices" if place == whole else f"{vertices} vertices up to here"
            place.reject("vertices", f"{so_far}, at most {limits.max_vertices} allowed; simplify it or split the AOI.")
        features.append(_simple(shells, place, limits))
    geometry = _united(features)
    if any(part.interiors for part in _parts(geometry)):
        whole.reject("holes", "the features together enclose a hole; fill it, or put them into separate files.")
    aoi = Aoi(name=name, geometry=geometry, source=source)
    if aoi.vertices > limits.max_vertices:
        whole.reject("vertices", f"{aoi.vertices} once united, at most {limits.max_vertices} allowed; simplify it.")
    if aoi.area_km2 > limits.max_area_km2:
        allowed = f"at most {limits.max_area_km2:,.0f} km² allowed"
        whole.reject("area", f"{aoi.area_km2:,.0f} km², {allowed}; split it, or raise max_area_km2 if it is meant.")
    return aoi


def _simple(shells: list[list[tuple[float, float]]], place: Place, limits: AoiLimits) -> Polygon | MultiPolygon:
    """One feature as a valid geometry, exteriors counter-clockwise."""
    polygons = [Polygon(shell) for shell in shells]
    for geometry in (*polygons, MultiPolygon(polygons)):
        if not geometry.is_valid:
            problem, _, where = explain_validity(geometry).partition("[")
            at = f" at longitude and latitude {where.rstrip(']')}" if where else ""
            remedy = "draw parts that do not overlap and rings that do not cross or touch themselves."
            place.reject("simple", f"{problem}{at}; {remedy}")
    for number, polygon in enumerate(polygons, start=1):
        if (area := area_km2(polygon)) < limits.min_area_km2:
            needed = f"at least {limits.min_area_km2:g} km² needed"
            place.reject("area", f"polygon {number} covers {area:.3g} km², {needed}; enlarge it.")
    oriented = [orient(polygon) for polygon in polygons]
    return oriented[0] if len(oriented) == 1 else MultiPolygon(oriented)


def _united(features: list[Polygon | MultiPolygon]) -> Polygon | MultiPolygon:
    """All features as one geometry; coordinates stay as given unless features meet."""
    parts = [part for feature in features for part in _parts(feature)]
    if len(features) > 1:
        left, right = shapely.STRtree(features).query(features, predicate="intersects")
        if (left != right).any():
            parts = [orient(part) for part in _parts(shapely.union_all(features))]
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def _parts(geometry: Any) -> list[Polygon]:
    return [part for part in shapely.get_parts(geometry) if isinstance(part, Polygon)]


def _without_query(url: str) -> str:
    """The URL without what may be a signature: messages end up in logs."""
    return url.partition("?")[0] if "://" in url else url


def _name_of(url: str) -> str:
    file_name = PurePosixPath(_without_query(url).partition("::")[0]).name
    suffix = next((suffix for suffix in _SUFFIXES if file_name.lower().endswith(suffix)), "")
    return file_name[: len(file_name) - len(suffix)]


def _check_name(name: str, source: str) -> None:
    if not _NAME.fullmatch(name):
        Place(source).reject(
            "name",
            f'"{name}" cannot be a partition key; use up to 100 letters (A-Z, a-z), digits and "_", ".", "-", '
            "not starting with a dot or a dash, and rename the file.",
        )
