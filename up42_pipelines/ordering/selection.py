"""Which scenes to buy: a pure decision on search results, the same whatever order they arrive in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
import shapely
from shapely.affinity import translate
from shapely.errors import ShapelyError
from shapely.geometry import MultiPolygon, Polygon, box, shape
from shapely.geometry.polygon import orient
from shapely.validation import explain_validity

from up42_pipelines.errors import ConfigurationError, OrderRefused, Up42Error
from up42_pipelines.ordering.aoi import DEFAULT_LIMITS, AoiLimits, area_km2


class SceneLike(Protocol):
    """What the decision looks at."""

    @property
    def id(self) -> str:
        """What an order names; two scenes with one id are one scene."""

    @property
    def geometry(self) -> Mapping[str, Any]:
        """Footprint, a GeoJSON Polygon or MultiPolygon: EPSG:4326, longitude then latitude in degrees."""

    @property
    def acquired(self) -> datetime:
        """When it was taken, timezone-aware; an `Up42Error` when nobody knows."""

    @property
    def cloud_cover_percent(self) -> float | None:
        """Cloud cover of the whole scene, 0 to 100; None when unknown, as for radar."""


SceneT = TypeVar("SceneT", bound=SceneLike)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRules:
    """What makes a scene worth buying.

    Raises:
        ConfigurationError: a value is out of range.
    """

    max_cloud_cover_percent: float = 100
    """Largest cloud cover of the whole scene. Below 100, a scene of unknown cloud cover is rejected: nobody can say
    that it keeps the limit. At 100 it is kept, behind its equals whose cloud cover is known."""
    min_coverage_percent: float = 0
    """Smallest share of the AOI's area under the footprint. A scene that shares no area with it is never bought."""
    max_scenes: int | None = 1
    """How many to buy at most; None for all that pass. One by default, because every scene is paid for."""
    prefer: Literal["newest", "least_cloudy"] = "newest"
    """What decides between scenes that pass."""

    def __post_init__(self) -> None:
        for name in ("max_cloud_cover_percent", "min_coverage_percent"):
            if not 0 <= getattr(self, name) <= 100:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; it is a percentage, from 0 to 100.")
        if self.max_scenes is not None and self.max_scenes < 1:
            raise ConfigurationError(f"max_scenes is {self.max_scenes}; it is at least 1, or None for no limit.")
        if self.prefer not in ("newest", "least_cloudy"):
            raise ConfigurationError(f'prefer is "{self.prefer}"; it is "newest" or "least_cloudy".')


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Generic[SceneT]):
    """A scene to buy."""

    scene: SceneT
    coverage_percent: float
    """Share of the AOI's area under the footprint, above 0 to 100, rounded to 4 decimals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection(Generic[SceneT]):
    """A scene not to buy, and why."""

    scene: SceneT
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection(Generic[SceneT]):
    """Every scene that was looked at, exactly once."""

    chosen: tuple[Choice[SceneT], ...]
    """Best first."""
    rejected: tuple[Rejection[SceneT], ...]
    """By scene id."""


def select_scenes(
    scenes: Iterable[SceneT],
    aoi: Polygon | MultiPolygon,
    rules: SelectionRules,
    *,
    taken: tuple[datetime, datetime] | None = None,
) -> Selection[SceneT]:
    """Choose the scenes to buy for an AOI.

    The order is total, so the choice does not depend on the order of the input: `rules.prefer`, then higher coverage,
    then lower cloud cover, then newer, then id. Of several scenes with one id the best is kept.

    Args:
        scenes: search results.
        aoi: the geometry of an `Aoi`: within ±180 degrees of longitude, split at the antimeridian.
        rules: what is wanted.
        taken: first and last instant at which a scene may have been taken, both included. A search by interval may
            answer with a scene that only ends in it, or rounds: then two partitions would buy it. None: any.

    Raises:
        ConfigurationError: the AOI has no area.
    """
    aoi_km2 = area_km2(aoi)
    if not aoi_km2 > 0:
        raise ConfigurationError("The AOI has no area; read it with read_aoi or parse_aoi.")
    passed: list[tuple[tuple[Any, ...], Choice[SceneT]]] = []
    rejected: list[Rejection[SceneT]] = []
    for scene in scenes:
        try:
            coverage = _coverage_percent(scene, aoi, aoi_km2)
            reason = _broken_rule(scene, coverage, rules) or _taken_outside(scene, taken)
            rank = _rank(scene, coverage, rules)
        except Up42Error as problem:
            rejected.append(Rejection(scene=scene, reason=str(problem)))
            continue
        if reason is None:
            passed.append((rank, Choice(scene=scene, coverage_percent=coverage)))
        else:
            rejected.append(Rejection(scene=scene, reason=reason))

    chosen: dict[str, Choice[SceneT]] = {}
    for _, choice in sorted(passed, key=lambda ranked: ranked[0]):
        scene = choice.scene
        if scene.id in chosen:
            rejected.append(Rejection(scene=scene, reason=f"duplicate of {scene.id}"))
        elif rules.max_scenes is not None and len(chosen) >= rules.max_scenes:
            plural = "scene" if rules.max_scenes == 1 else "scenes"
            rejected.append(Rejection(scene=scene, reason=f"beyond the {rules.max_scenes} {plural} asked for"))
        else:
            chosen[scene.id] = choice
    rejected.sort(key=lambda rejection: (rejection.scene.id, rejection.reason))
    return Selection(chosen=tuple(chosen.values()), rejected=tuple(rejected))


def clip(
    scene_geometry: Mapping[str, Any], aoi: Polygon | MultiPolygon, *, limits: AoiLimits = DEFAULT_LIMITS
) -> list[Polygon]:
    """The part of an AOI that lies under a footprint, as polygons that can be ordered one by one.

    A piece with a hole (the footprint has one) or with too many vertices is cut in two until none is left: the pieces
    cover exactly what is there, nothing is paid twice, and nothing outside of the scene is asked for. Pieces smaller
    than `limits.min_area_km2` are dropped.

    Args:
        scene_geometry: GeoJSON footprint, longitude then latitude in degrees.
        aoi: the geometry of an `Aoi`.
        limits: largest number of vertices and smallest area (km²) of one piece.

    Returns:
        Simple polygons, counter-clockwise, from west to east; none if the footprint misses the AOI.

    Raises:
        OrderRefused: the footprint is not a valid Polygon or MultiPolygon.
    """
    try:
        common = _polygons(_footprint(scene_geometry).intersection(aoi))
    except _Unusable as problem:
        raise OrderRefused(f"The AOI cannot be clipped to the scene: {problem}; order the full scene.") from problem
    pieces = [orient(shapely.normalize(piece)) for part in common for piece in _orderable(part, limits.max_vertices)]
    return sorted((piece for piece in pieces if area_km2(piece) >= limits.min_area_km2), key=lambda piece: piece.bounds)


class _Unusable(Up42Error):
    """A scene that cannot be judged; the text is the reason of its rejection."""


def _coverage_percent(scene: SceneLike, aoi: Polygon | MultiPolygon, aoi_km2: float) -> float:
    common = _polygons(_footprint(scene.geometry).intersection(aoi))
    # Rounded, because extra vertices on an edge change an area by 1e-7 of itself: that should neither rank scenes nor
    # miss a minimum of 100 %.
    return min(100.0, round(100 * sum(map(area_km2, common)) / aoi_km2, 4))


def _broken_rule(scene: SceneLike, coverage_percent: float, rules: SelectionRules) -> str | None:
    cloud, limit = _known_cloud(scene), rules.max_cloud_cover_percent
    if coverage_percent <= 0:
        return "not touching the AOI"
    if coverage_percent < rules.min_coverage_percent:
        shown = math.floor(coverage_percent * 100) / 100  # never shown as large as the minimum it misses
        return f"covers {shown:g} % of the AOI, {rules.min_coverage_percent:g} % asked"
    if cloud is None and limit < 100:
        return f"cloud cover unknown, at most {limit:g} % asked"
    if cloud is not None and cloud > limit:
        return f"cloud cover {cloud:.10g} % > {limit:.10g} %"
    return None


def _taken_outside(scene: SceneLike, taken: tuple[datetime, datetime] | None) -> str | None:
    if taken is None or taken[0] <= scene.acquired <= taken[1]:
        return None
    return f"taken {scene.acquired.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC, which belongs to another partition"


def _known_cloud(scene: SceneLike) -> float | None:
    cloud = scene.cloud_cover_percent
    return cloud if cloud is not None and cloud >= 0 else None  # NaN and -1 are how some say that they do not know


def _rank(scene: SceneLike, coverage_percent: float, rules: SelectionRules) -> tuple[Any, ...]:
    """Sort key, best first."""
    newest = -scene.acquired.timestamp()
    cloud = _known_cloud(scene)
    cloudy = math.inf if cloud is None else cloud
    first = newest if rules.prefer == "newest" else cloudy
    # The footprint tells apart two answers about one id that agree in everything else.
    return first, -coverage_percent, cloudy, newest, scene.id, shape(dict(scene.geometry)).wkb


def _footprint(geometry: Any) -> Polygon | MultiPolygon:
    """A footprint within ±180 degrees of longitude, cut at the antimeridian where it crosses it."""
    kind = geometry.get("type") if isinstance(geometry, Mapping) else None
    if kind not in ("Polygon", "MultiPolygon"):
        raise _Unusable(f"footprint missing or not a polygon ({kind})")
    try:
        with np.errstate(invalid="ignore"):  # NaN is refused below; shapely would also warn
            parts = _polygons(shape(geometry))
    except (ShapelyError, ArithmeticError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise _Unusable(f"footprint unreadable: {error}") from error
    if not parts:
        raise _Unusable("footprint empty")
    longitudes, latitudes = shapely.get_coordinates(parts).T
    if not (np.abs(longitudes) <= 540).all() or not (np.abs(latitudes) <= 90).all():
        raise _Unusable("footprint outside of the globe; longitude and latitude in degrees are expected")
    rings = [[part.exterior for part in parts], [hole for part in parts for hole in part.interiors]]
    shells, holes = (shapely.union_all([_on_the_globe(ring) for ring in kind_of_ring]) for kind_of_ring in rings)
    return MultiPolygon(_polygons(shells.difference(holes)))


def _on_the_globe(ring: shapely.LinearRing) -> Polygon | MultiPolygon:
    """The inside of a ring, moved and cut to ±180 degrees of longitude.

    Providers write a footprint across the antimeridian beyond 180 or as a jump from 179 to -179, although RFC 7946
    section 3.1.9 asks for two polygons. No footprint has an edge of more than half the globe, so a jump is undone;
    where all such edges are of exactly 360 degrees, and the ring is valid with them, they are the border of a global
    mosaic and stay.
    """
    longitudes, latitudes = shapely.get_coordinates(ring).T
    steps = np.diff(longitudes)
    jumps = np.abs(steps[np.abs(steps) > 180])
    if jumps.size and ((jumps < 360).any() or not Polygon(ring).is_valid):
        # Whole turns only, unlike np.unwrap: the ring must close to the last bit.
        longitudes[1:] -= 360 * np.cumsum(np.round(steps / 360))
        if longitudes[0] != longitudes[-1]:
            raise _Unusable("footprint goes around a pole, its area is ambiguous")
    inside = Polygon(np.column_stack([longitudes, latitudes]))
    if not inside.is_valid:
        raise _Unusable(f"footprint invalid: {explain_validity(inside)}")
    if np.abs(longitudes).max() <= 180:
        return inside
    globe = box(-180, -90, 180, 90)
    turns = [translate(inside, xoff=360 * turn).intersection(globe) for turn in (-2, -1, 0, 1, 2)]
    return MultiPolygon([part for turned in turns for part in _polygons(turned)])


def _orderable(polygon: Polygon, max_vertices: int) -> Iterable[Polygon]:
    """Pieces of a polygon without holes and with few enough vertices."""
    west, south, east, north = polygon.bounds
    if polygon.interiors:
        # A line through a hole opens it and makes no new one.
        hole_west, _, hole_east, _ = polygon.interiors[0].bounds
        middle = (hole_west + hole_east) / 2
        halves = box(west, south, middle, north), box(middle, south, east, north)
    elif shapely.get_num_coordinates(polygon) <= max_vertices:
        return [polygon]
    elif east - west >= north - south:
        halves = box(west, south, (west + east) / 2, north), box((west + east) / 2, south, east, north)
    else:
        halves = box(west, south, east, (south + north) / 2), box(west, (south + north) / 2, east, north)
    parts = (_polygons(polygon.intersection(half)) for half in halves)
    return [piece for part in itertools.chain(*parts) for piece in _orderable(part, max_vertices)]


def _polygons(geometry: Any) -> list[Polygon]:
    """The polygons of a geometry; lines and points, where shapes only touch, are left."""
    return [part for part in shapely.get_parts(geometry) if isinstance(part, Polygon) and not part.is_empty]
