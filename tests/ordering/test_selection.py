"""Which scenes are bought: the rules one by one, and what holds for any catalogue answer."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box, mapping

from up42_pipelines.errors import ConfigurationError, OrderRefused, UnexpectedAnswer
from up42_pipelines.ordering.aoi import AoiLimits, area_km2, parse_aoi
from up42_pipelines.ordering.selection import SceneLike, Selection, SelectionRules, clip, select_scenes

AOI = box(13, 52, 14, 53)
FIJI = MultiPolygon([box(179, -17, 180, -16), box(-180, -17, -179, -16)])
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@dataclasses.dataclass(frozen=True)
class Scene:
    id: str
    geometry: Mapping[str, Any]
    acquired: datetime = NOON
    cloud_cover_percent: float | None = 0


class UndatedScene(Scene):
    @property
    def acquired(self) -> datetime:
        raise UnexpectedAnswer("Scene undated carries no acquisition date.")

    @acquired.setter
    def acquired(self, value: datetime) -> None:
        """The dataclass wants to set its default."""


def scene(name: str, *, share: float = 1.0, cloud: float | None = 0, age_hours: float = 0) -> Scene:
    """A scene over the western `share` of the AOI."""
    geometry = mapping(box(12.5, 51.5, 13 + share, 53.5))
    return Scene(name, geometry, NOON - timedelta(hours=age_hours), cloud)


def footprint(geometry: Any) -> Scene:
    return Scene("a", mapping(geometry) if hasattr(geometry, "geom_type") else geometry)


def ids(selection: Selection[Any]) -> list[str]:
    return [choice.scene.id for choice in selection.chosen]


def reasons(selection: Selection[Any]) -> dict[str, str]:
    return {rejection.scene.id: rejection.reason for rejection in selection.rejected}


EVERYTHING = SelectionRules(max_scenes=None)


# --- rules ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("candidate", "rules", "reason"),
    [
        (scene("a", cloud=63), SelectionRules(max_cloud_cover_percent=20), "cloud cover 63 % > 20 %"),
        (scene("a", cloud=20.001), SelectionRules(max_cloud_cover_percent=20), "cloud cover 20.001 % > 20 %"),
        (scene("a", cloud=20), SelectionRules(max_cloud_cover_percent=20), None),
        (scene("a", cloud=None), SelectionRules(max_cloud_cover_percent=20), "cloud cover unknown, at most 20 % asked"),
        (scene("a", cloud=float("nan")), SelectionRules(max_cloud_cover_percent=20),
         "cloud cover unknown, at most 20 % asked"),
        (scene("a", cloud=-1), SelectionRules(max_cloud_cover_percent=20), "cloud cover unknown, at most 20 % asked"),
        (scene("a", cloud=None), SelectionRules(), None),
        (scene("a", share=0.12), SelectionRules(min_coverage_percent=80), "covers 12 % of the AOI, 80 % asked"),
        (scene("a", share=0.799999), SelectionRules(min_coverage_percent=80), "covers 79.99 % of the AOI, 80 % asked"),
        (scene("a", share=0.800001), SelectionRules(min_coverage_percent=80), None),
        (scene("a"), SelectionRules(min_coverage_percent=100), None),
        (footprint(box(20, 52, 21, 53)), SelectionRules(), "not touching the AOI"),
        (footprint(box(14, 52, 15, 53)), SelectionRules(), "not touching the AOI"),
        (footprint(box(14, 53, 15, 54)), SelectionRules(), "not touching the AOI"),
        (UndatedScene("a", mapping(AOI)), SelectionRules(), "Scene undated carries no acquisition date."),
    ],
)  # fmt: skip
def test_one_rule(candidate: Scene, rules: SelectionRules, reason: str | None) -> None:
    selection = select_scenes([candidate], AOI, rules)
    assert reasons(selection) == ({} if reason is None else {"a": reason})
    assert ids(selection) == (["a"] if reason is None else [])


@pytest.mark.parametrize(
    ("offset", "is_bought"),
    [
        (timedelta(0), True),
        (timedelta(days=1, microseconds=-1), True),
        (timedelta(microseconds=-1), False),
        (timedelta(days=1), False),
    ],
)
def test_what_was_taken_on_another_day_is_left_to_its_partition(offset: timedelta, is_bought: bool) -> None:
    midnight = datetime(2024, 5, 1, tzinfo=UTC)
    acquired = (midnight + offset).astimezone(timezone(timedelta(hours=9)))
    day = midnight, midnight + timedelta(days=1, microseconds=-1)
    selection = select_scenes([Scene("a", mapping(AOI), acquired)], AOI, EVERYTHING, taken=day)
    assert ids(selection) == (["a"] if is_bought else [])
    assert is_bought or f"taken {midnight + offset:%Y-%m-%d %H:%M:%S.%f} UTC" in reasons(selection)["a"]


@pytest.mark.parametrize(
    ("geometry", "says"),
    [
        (None, "missing"),
        ({}, "missing"),
        ([1, 2], "missing"),
        (Point(13.5, 52.5), "Point"),
        (LineString([(13, 52), (14, 53)]), "LineString"),
        ({"type": "Polygon"}, "unreadable"),
        ({"type": "Polygon", "coordinates": None}, "empty"),
        ({"type": "Polygon", "coordinates": []}, "empty"),
        ({"type": "Polygon", "coordinates": 5}, "unreadable"),
        ({"type": "Polygon", "coordinates": {"a": 1}}, "unreadable"),
        ({"type": "Polygon", "coordinates": [[[13, 52], [14, 52]]]}, "unreadable"),
        ({"type": "Polygon", "coordinates": [[[10**400, 52], [14, 52], [14, 53], [10**400, 52]]]}, "unreadable"),
        ({"type": "Polygon", "coordinates": [[["a", "b"], ["c", "d"], ["e", "f"], ["a", "b"]]]}, "unreadable"),
        ({"type": "Polygon", "coordinates": [[[13, 52], [float("nan"), 52], [14, 53], [13, 52]]]}, "outside"),
        (box(385000, 5815000, 393000, 5824000), "outside of the globe"),
        (box(50, 80, 60, 100), "outside of the globe"),
        (Polygon([(13, 52), (14, 53), (14, 52), (13, 53)]), "Self-intersection"),
        (Polygon([(0, 80), (120, 80), (-120, 80)]), "pole"),
    ],
)  # fmt: skip
def test_a_footprint_that_cannot_be_used_is_a_reason(geometry: Any, says: str) -> None:
    selection = select_scenes([footprint(geometry), scene("good")], AOI, EVERYTHING)
    assert ids(selection) == ["good"]
    assert "footprint" in reasons(selection)["a"]
    assert says in reasons(selection)["a"]
    with pytest.raises(OrderRefused, match="full scene"):
        clip(footprint(geometry).geometry, AOI)


def test_newest_first() -> None:
    scenes = [scene("old", age_hours=5), scene("new", cloud=90, share=0.5), scene("older", age_hours=9)]
    assert ids(select_scenes(scenes, AOI, EVERYTHING)) == ["new", "old", "older"]
    assert ids(select_scenes(scenes, AOI, SelectionRules())) == ["new"]


def test_least_cloudy_first_and_unknown_last() -> None:
    rules = SelectionRules(max_scenes=None, prefer="least_cloudy")
    scenes = [scene("unknown", cloud=None), scene("grey", cloud=99, age_hours=3), scene("clear", cloud=1, age_hours=9)]
    assert ids(select_scenes(scenes, AOI, rules)) == ["clear", "grey", "unknown"]


def test_ties_go_to_coverage_then_cloud_then_age_then_id() -> None:
    scenes = [
        scene("5", share=0.5),
        scene("4", cloud=None),
        scene("3", cloud=8),
        scene("2", cloud=7),
        scene("1", cloud=7),
    ]
    assert ids(select_scenes(scenes, AOI, EVERYTHING)) == ["1", "2", "3", "4", "5"]
    rules = SelectionRules(max_scenes=None, prefer="least_cloudy")
    scenes = [scene("a", age_hours=1), scene("b"), scene("c", share=0.5)]
    assert ids(select_scenes(scenes, AOI, rules)) == ["b", "a", "c"]


def test_no_more_than_asked_for() -> None:
    scenes = [scene(name, age_hours=hours) for hours, name in enumerate("abc")]
    selection = select_scenes(scenes, AOI, SelectionRules(max_scenes=2))
    assert ids(selection) == ["a", "b"]
    assert reasons(selection) == {"c": "beyond the 2 scenes asked for"}
    assert reasons(select_scenes(scenes, AOI, SelectionRules()))["b"] == "beyond the 1 scene asked for"


def test_a_duplicate_neither_counts_nor_is_bought() -> None:
    scenes = [scene("a"), scene("a", share=0.5), scene("b", age_hours=1)]
    selection = select_scenes(scenes, AOI, SelectionRules(max_scenes=2))
    assert ids(selection) == ["a", "b"]
    assert selection.chosen[0].coverage_percent == 100
    assert reasons(selection) == {"a": "duplicate of a"}


def test_which_of_two_equal_duplicates_is_kept_does_not_depend_on_their_order() -> None:
    halves = [footprint(box(13, 52, 13.5, 53)), footprint(box(13.5, 52, 14, 53))]
    one, other = select_scenes(halves, AOI, EVERYTHING), select_scenes(halves[::-1], AOI, EVERYTHING)
    assert one.chosen == other.chosen


@pytest.mark.parametrize(
    "rules",
    [
        {"max_cloud_cover_percent": 101},
        {"max_cloud_cover_percent": float("nan")},
        {"min_coverage_percent": -1},
        {"max_scenes": 0},
        {"prefer": "cheapest"},
    ],
)
def test_rules_that_make_no_sense(rules: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(rules))):
        SelectionRules(**rules)


def test_an_aoi_without_area_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="no area"):
        select_scenes([], Polygon(), SelectionRules())


# --- coverage ---------------------------------------------------------------------------------------------------------


def test_coverage_is_a_share_of_the_ground_not_of_square_degrees() -> None:
    tall = box(0, 0, 1, 80)
    south = select_scenes([footprint(box(-1, -1, 2, 40))], tall, EVERYTHING).chosen[0].coverage_percent
    assert south == pytest.approx(100 * area_km2(box(0, 0, 1, 40)) / area_km2(tall), abs=1e-3)
    assert south > 60


@pytest.mark.parametrize(
    "crossing",
    [
        box(178, -18, 182, -15),
        box(-182, -18, -178, -15),
        Polygon([(178, -18), (-178, -18), (-178, -15), (178, -15)]),
        Polygon([(-178, -15), (178, -15), (178, -18), (-178, -18)]),
        Polygon([(178, -18), (180, -18), (-180, -18), (-178, -18), (-178, -15), (-180, -15), (180, -15), (178, -15)]),
        MultiPolygon([box(178, -18, 180, -15), box(-180, -18, -178, -15)]),
        MultiPolygon([box(178, -18, 180, -15), box(180, -18, 182, -15)]),
        box(-180, -90, 180, 90),
    ],
    ids=["over 180", "under -180", "jump", "jump, clockwise", "jump at 180", "split", "split, over 180", "whole globe"],
)
def test_footprints_across_the_antimeridian(crossing: Any) -> None:
    selection = select_scenes([footprint(crossing)], FIJI, SelectionRules(min_coverage_percent=100))
    assert selection.chosen[0].coverage_percent == 100
    west, east = clip(mapping(crossing), FIJI)
    assert (west.bounds, east.bounds) == ((-180, -17, -179, -16), (179, -17, 180, -16))
    if crossing.bounds != (-180, -90, 180, 90):
        assert select_scenes([footprint(crossing)], box(0, -17, 1, -16), EVERYTHING).chosen == ()


def test_the_part_of_an_aoi_on_one_side_of_the_antimeridian() -> None:
    half = select_scenes([footprint(box(180, -18, 182, -15))], FIJI, EVERYTHING)
    assert half.chosen[0].coverage_percent == pytest.approx(50)


def test_a_seam_in_the_footprint_does_not_cost_the_last_percent() -> None:
    west, south, seam, east, north = -6.526490336195037, 34.72, -5.646096621839821, -5.2687850299733014, 37.217
    aoi, seamed = box(west, south, east, north), [box(west, south, seam, north), box(seam, south, east, north)]
    exact = sum(area_km2(half) for half in seamed) / area_km2(aoi)
    assert exact != 1
    selection = select_scenes([footprint(MultiPolygon(seamed))], aoi, SelectionRules(min_coverage_percent=100))
    assert selection.chosen[0].coverage_percent == 100


def test_altitudes_of_a_footprint_are_dropped() -> None:
    solid = {"type": "Polygon", "coordinates": [[(x, y, 100.0) for x, y in AOI.exterior.coords]]}
    assert select_scenes([footprint(solid)], AOI, EVERYTHING).chosen[0].coverage_percent == 100
    assert not clip(solid, AOI)[0].has_z


# --- clipping ---------------------------------------------------------------------------------------------------------


def test_clip_is_what_aoi_and_footprint_share() -> None:
    (piece,) = clip(mapping(box(13.5, 51, 15, 54)), AOI)
    assert piece.equals(box(13.5, 52, 14, 53))
    assert piece.exterior.is_ccw
    assert clip(mapping(box(14, 52, 15, 53)), AOI) == []


def test_clip_gives_one_polygon_per_part() -> None:
    teeth = shapely.union_all([box(13 + n / 10, 52, 13.05 + n / 10, 53) for n in range(3)])
    pieces = clip(mapping(box(12, 52.2, 15, 52.4)), teeth)
    assert [round(piece.bounds[0], 2) for piece in pieces] == [13.0, 13.1, 13.2]


def test_clip_drops_slivers() -> None:
    sliver = mapping(box(13.99999999, 51, 15, 54))
    assert clip(sliver, AOI) == []
    assert len(clip(sliver, AOI, limits=AoiLimits(min_area_km2=1e-6))) == 1


def holes(count: int) -> Polygon:
    gaps = [box(13.05 + n / 10, 52.1, 13.1 + n / 10, 52.2) for n in range(count)]
    return box(12, 51, 15, 54).difference(shapely.union_all(gaps))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_clip_cuts_holes_open(count: int) -> None:
    frame = holes(count)
    pieces = clip(mapping(frame), AOI)
    assert all(not piece.interiors for piece in pieces)
    assert shapely.union_all(pieces).symmetric_difference(frame.intersection(AOI)).area < 1e-12
    assert sum(map(area_km2, pieces)) == pytest.approx(area_km2(frame.intersection(AOI)))


def comb(vertices: int) -> Polygon:
    teeth = [(13 + n / vertices, 52.5 if n % 2 else 53) for n in range(vertices - 3)]
    return Polygon([(13, 52), *teeth, (14, 52)])


@pytest.mark.parametrize("turned", [False, True])
def test_clip_keeps_to_the_number_of_vertices(turned: bool) -> None:
    many = comb(999)
    many = shapely.transform(many, lambda xy: xy[:, ::-1] + [-39.0, 39.0]) if turned else many
    assert shapely.get_num_coordinates(many) <= 999
    cover = mapping(box(12, 51, 15, 52.7))
    pieces = clip(cover, many)
    assert all(shapely.get_num_coordinates(piece) <= 999 for piece in pieces)
    assert sum(map(area_km2, pieces)) == pytest.approx(area_km2(many.intersection(box(12, 51, 15, 52.7))))
    few = clip(cover, many, limits=AoiLimits(max_vertices=100, min_area_km2=1e-6))
    assert all(shapely.get_num_coordinates(piece) <= 100 for piece in few)
    assert sum(map(area_km2, few)) == pytest.approx(sum(map(area_km2, pieces)), rel=1e-4)


# --- properties -------------------------------------------------------------------------------------------------------

BOXES = st.builds(
    lambda west, south, width, height: mapping(box(west, south, west + width, south + height)),
    st.sampled_from([12.0, 12.5, 13.0, 13.5, 14.0]),
    st.sampled_from([51.5, 52.0, 52.5]),
    st.floats(0.1, 2),
    st.floats(0.1, 2),
)
BROKEN = st.sampled_from([None, {}, mapping(Point(13, 52)), {"type": "Polygon", "coordinates": [[[0, 0]]]}])
SCENES = st.lists(
    st.builds(
        Scene,
        id=st.sampled_from("abcdefgh"),
        geometry=BOXES | BROKEN,
        acquired=st.integers(0, 3).map(lambda hours: NOON - timedelta(hours=hours)),
        cloud_cover_percent=st.none() | st.sampled_from([0.0, 10.0, 50.0, 100.0]) | st.floats(0, 100),
    ),
    max_size=12,
)
RULES = st.builds(
    SelectionRules,
    max_cloud_cover_percent=st.sampled_from([0, 20, 60, 100]),
    min_coverage_percent=st.sampled_from([0, 10, 50, 100]),
    max_scenes=st.none() | st.integers(1, 5),
    prefer=st.sampled_from(["newest", "least_cloudy"]),
)


@given(scenes=SCENES, rules=RULES, data=st.data())
def test_the_order_of_the_answer_does_not_matter(
    scenes: list[Scene], rules: SelectionRules, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(scenes))
    one, other = select_scenes(scenes, AOI, rules), select_scenes(shuffled, AOI, rules)
    assert one.chosen == other.chosen
    assert [(r.scene.id, r.reason) for r in one.rejected] == [(r.scene.id, r.reason) for r in other.rejected]


@given(scenes=SCENES, rules=RULES)
def test_every_scene_is_accounted_for_once(scenes: list[Scene], rules: SelectionRules) -> None:
    selection = select_scenes(scenes, AOI, rules)
    accounted = [entry.scene for entry in (*selection.chosen, *selection.rejected)]
    assert sorted(map(id, accounted)) == sorted(map(id, scenes))
    assert all(rejection.reason for rejection in selection.rejected)


@given(scenes=SCENES, rules=RULES)
def test_nothing_chosen_breaks_a_rule(scenes: list[Scene], rules: SelectionRules) -> None:
    chosen = select_scenes(scenes, AOI, rules).chosen
    assert rules.max_scenes is None or len(chosen) <= rules.max_scenes
    assert len({choice.scene.id for choice in chosen}) == len(chosen)
    for choice in chosen:
        cloud = choice.scene.cloud_cover_percent
        assert rules.max_cloud_cover_percent == 100 or (cloud is not None and cloud <= rules.max_cloud_cover_percent)
        assert max(rules.min_coverage_percent, 1e-9) <= choice.coverage_percent <= 100


@given(scenes=SCENES, rules=RULES)
def test_choosing_from_the_choice_changes_nothing(scenes: list[Scene], rules: SelectionRules) -> None:
    chosen = select_scenes(scenes, AOI, rules).chosen
    again = select_scenes([choice.scene for choice in chosen], AOI, rules)
    assert again == Selection(chosen=chosen, rejected=())


@given(scenes=SCENES, rules=RULES)
def test_nothing_better_was_left_out(scenes: list[Scene], rules: SelectionRules) -> None:
    limited, unlimited = (
        select_scenes(scenes, AOI, dataclasses.replace(rules, max_scenes=limit)) for limit in (rules.max_scenes, None)
    )
    assert limited.chosen == unlimited.chosen[: rules.max_scenes]
    if rules.prefer == "newest":
        times = [choice.scene.acquired for choice in unlimited.chosen]
        assert times == sorted(times, reverse=True)


@given(footprint_geometry=BOXES)
def test_every_clipped_piece_can_be_ordered(footprint_geometry: dict[str, Any]) -> None:
    pieces = clip(footprint_geometry, AOI)
    for piece in pieces:
        assert parse_aoi(mapping(piece), source="clip", name="clip").geometry.equals(piece)
        assert piece.within(AOI.buffer(1e-9))
    covered = sum(map(area_km2, pieces)) / area_km2(AOI) * 100
    chosen = select_scenes([Scene("a", footprint_geometry)], AOI, EVERYTHING).chosen
    assert sum(choice.coverage_percent for choice in chosen) == pytest.approx(covered, abs=1e-4)


def test_the_catalogue_record_is_a_scene() -> None:
    candidate: SceneLike = scene("a")
    assert candidate.id == "a"
