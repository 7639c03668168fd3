"""AOI files: what is accepted, what is refused, and whether the refusal helps."""

import codecs
import io
import json
import math
import re
from pathlib import Path

import fsspec
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Polygon, box, mapping, shape

from up42_pipelines.errors import AoiRejected, ConfigurationError
from up42_pipelines.ordering import aoi as aoi_module
from up42_pipelines.ordering.aoi import Aoi, AoiLimits, area_km2, load_aois, parse_aoi, read_aoi

BERLIN = [[13.3, 52.48], [13.42, 52.48], [13.42, 52.56], [13.3, 52.56], [13.3, 52.48]]


def square(west: float, south: float, size: float = 0.1) -> dict:
    return json.loads(json.dumps(mapping(box(west, south, west + size, south + size))))


def feature(geometry: object, **members: object) -> dict:
    return {"type": "Feature", "properties": {}, "geometry": geometry, **members}


def collection(*geometries: object) -> dict:
    return {"type": "FeatureCollection", "features": [feature(geometry) for geometry in geometries]}


def polygon(*ring: object) -> dict:
    return {"type": "Polygon", "coordinates": [list(ring)]}


def parse(data: object, **options: object) -> Aoi:
    return parse_aoi(data, source="berlin.geojson", name="berlin", **options)


def refusal(data: object, **options: object) -> AoiRejected:
    with pytest.raises(AoiRejected) as caught:
        parse(data, **options)
    return caught.value


def write(folder: Path, content: object, name: str = "berlin.geojson") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


# --- what is accepted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        polygon(*BERLIN),
        feature(polygon(*BERLIN)),
        {"type": "Feature", "geometry": polygon(*BERLIN)},
        collection(polygon(*BERLIN)),
        {"type": "MultiPolygon", "coordinates": [[BERLIN]]},
        polygon(*reversed(BERLIN)),
    ],
)
def test_the_same_area_in_any_wrapping(tmp_path: Path, data: dict) -> None:
    found = read_aoi(write(tmp_path, data))
    assert found.name == "berlin"
    assert isinstance(found.geometry, Polygon)
    assert found.geometry.equals(Polygon(BERLIN))
    assert found.geometry.exterior.is_ccw
    assert found.bbox == (13.3, 52.48, 13.42, 52.56)
    assert found.vertices == 5
    assert found.area_km2 == pytest.approx(72.5, rel=0.01)
    assert shape(found).equals(found.geometry)


def test_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    assert read_aoi(write(tmp_path, codecs.BOM_UTF8 + json.dumps(polygon(*BERLIN)).encode())).vertices == 5


def test_an_aoi_is_read_through_fsspec() -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe("/aois-read/berlin.geojson", json.dumps(polygon(*BERLIN)).encode())
    found = read_aoi("memory://aois-read/berlin.geojson")
    assert (found.name, found.source) == ("berlin", "memory://aois-read/berlin.geojson")


def test_a_signature_in_the_url_stays_out_of_messages() -> None:
    with pytest.raises(AoiRejected, match="name") as caught:
        read_aoi("https://example.com/my area.geojson?sig=secret")
    assert "secret" not in str(caught.value)


def test_a_missing_file_is_refused_like_a_bad_one(tmp_path: Path) -> None:
    with pytest.raises(AoiRejected, match=r"nowhere.*check that it is there") as caught:
        read_aoi(tmp_path / "nowhere.geojson")
    assert caught.value.rule == "file"


def test_coordinates_are_kept_to_the_last_digit() -> None:
    ring = [[13.300000000000001, 52.48], [13.42, 52.480000000000004], [13.42, 52.56], [13.300000000000001, 52.48]]
    assert [list(position) for position in parse(polygon(*ring)).geometry.exterior.coords] == ring


def test_repeated_vertices_are_harmless() -> None:
    assert parse(polygon(BERLIN[0], *BERLIN)).vertices == 6


def test_disjoint_features_become_a_multipolygon() -> None:
    found = parse(collection(square(13, 52), square(14, 52)))
    assert isinstance(found.geometry, MultiPolygon)
    assert found.area_km2 == pytest.approx(2 * area_km2(box(13, 52, 13.1, 52.1)), rel=1e-3)


@pytest.mark.parametrize("offset", [0.0, 0.05, 0.1], ids=["identical", "overlapping", "side by side"])
def test_features_that_meet_are_bought_once(offset: float) -> None:
    found = parse(collection(square(13, 52), square(13 + offset, 52)))
    assert isinstance(found.geometry, Polygon)
    assert found.geometry.exterior.is_ccw
    assert found.area_km2 == pytest.approx(area_km2(box(13, 52, 13.1 + offset, 52.1)), rel=1e-6)


def test_an_aoi_split_at_the_antimeridian() -> None:
    found = parse(collection(square(179.9, -17), square(-180, -17)))
    assert isinstance(found.geometry, MultiPolygon)
    assert found.bbox == (-180, -17, 180, pytest.approx(-16.9))


def test_float_noise_beyond_the_antimeridian_is_cut_off() -> None:
    ring = [[179.9, -17], [180.00000000000006, -17], [180.00000000000006, -16.9], [179.9, -17]]
    assert parse(polygon(*ring)).bbox[2] == 180


@pytest.mark.parametrize(
    "name",
    ["urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:OGC::CRS84", "EPSG:4326", "urn:ogc:def:crs:EPSG::4326",
     "http://www.opengis.net/def/crs/OGC/1.3/CRS84", "OGC:CRS84"],
)  # fmt: skip
def test_a_crs_member_that_says_longitude_and_latitude(name: str) -> None:
    assert parse({**collection(polygon(*BERLIN)), "crs": {"type": "name", "properties": {"name": name}}})


def test_area_of_straight_edges_along_a_parallel() -> None:
    # In a cylindrical equal-area projection such a box is a rectangle: its area is exact.
    projection = pyproj.Transformer.from_crs("EPSG:4326", "+proj=cea +ellps=WGS84", always_xy=True)
    (west, east), (south, north) = projection.transform([0, 20], [50, 60])
    assert area_km2(box(0, 50, 20, 60)) == pytest.approx((east - west) * (north - south) / 1e6, rel=1e-6)
    assert area_km2(box(0, 50, 20, 60).difference(box(1, 51, 2, 52))) == pytest.approx(
        area_km2(box(0, 50, 20, 60)) - area_km2(box(1, 51, 2, 52))
    )


# --- what is refused --------------------------------------------------------------------------------------------------

HOLE = [[13.33, 52.5], [13.33, 52.52], [13.36, 52.52], [13.33, 52.5]]
FRAME = [square(13.0, 52.0), square(13.1, 52.0), square(13.2, 52.0), square(13.0, 52.1), square(13.2, 52.1),
         square(13.0, 52.2), square(13.1, 52.2), square(13.2, 52.2)]  # fmt: skip


def with_position(position: object) -> dict:
    return polygon([13.3, 52.48], position, [13.42, 52.56], [13.3, 52.48])


@pytest.mark.parametrize(
    ("data", "rule", "says"),
    [
        (None, "type", "None"),
        ([], "type", 'needs a "type"'),
        ({"type": "Feature"}, "type", "no geometry"),
        ({"type": "FeatureCollection"}, "type", '"features"'),
        ({"type": "FeatureCollection", "features": []}, "type", "empty"),
        ({"type": "FeatureCollection", "features": [polygon(*BERLIN)]}, "type", "feature 1: type: Polygon inside"),
        (feature(feature(polygon(*BERLIN))), "type", "Feature where"),
        (collection(polygon(*BERLIN), None), "type", "feature 2"),
        (collection(polygon(*BERLIN), {"type": "Point", "coordinates": [13, 52]}), "type", "'Point'"),
        ({"type": "polygon", "coordinates": [BERLIN]}, "type", "case matters"),
        ({"type": "GeometryCollection", "geometries": [polygon(*BERLIN)]}, "type", "GeometryCollection"),
        ({"type": "MultiPolygon"}, "type", '"coordinates"'),
        ({"type": "MultiPolygon", "coordinates": []}, "coordinates", "polygons"),
        ({"type": "Polygon", "coordinates": {}}, "coordinates", "rings"),
        ({"type": "Polygon", "coordinates": [[]]}, "coordinates", "positions"),
        ({"type": "Polygon", "coordinates": [[[]]]}, "coordinates", "two numbers"),
        (with_position([13.4]), "coordinates", "position 2"),
        (with_position(["13.4", "52.5"]), "coordinates", "'13.4'"),
        (with_position([True, 52.5]), "coordinates", "True"),
        (with_position([None, 52.5]), "coordinates", "None"),
        (with_position([math.nan, 52.5]), "coordinates", "nan"),
        (with_position([13.4, math.inf]), "coordinates", "inf"),
        (with_position([13.4, 52.5, 34.5]), "no-z", "34.5"),
        (with_position([13.4, 52.5, 0, 0]), "no-z", "altitude"),
        (with_position([392000, 5820000]), "range", "metres"),
        (with_position([10**400, 52.5]), "range", "metres"),
        (with_position([37.7, -122.5]), "range", "look swapped"),
        (with_position([150, 95]), "range", "latitudes from -90 to 90"),
        (with_position([181.5, 52.5]), "antimeridian", "181.5"),
        (with_position([-180.1, 52.5]), "antimeridian", "split"),
        (polygon([178.5, 1], [-178.5, 1], [-178.5, 2], [178.5, 1]), "antimeridian", "from longitude 178.5 to -178.5"),
        (polygon([-90.5, 1], [90, 1], [90, 2], [-90.5, 1]), "antimeridian", "from longitude -90.5 to 90"),
        (polygon([-90, 1], [90, 1], [90, 2], [-90, 1]), "area", "km²"),
        (polygon(*BERLIN[:-1]), "closed", "(13.3, 52.56)"),
        (polygon(BERLIN[0], BERLIN[1], BERLIN[0]), "closed", "at least four"),
        (polygon(BERLIN[0], BERLIN[2], BERLIN[1], BERLIN[3], BERLIN[0]), "simple", "Self-intersection at longitude"),
        (polygon(BERLIN[0], BERLIN[1], BERLIN[0], BERLIN[0]), "simple", "13.3 52.48"),
        ({"type": "MultiPolygon", "coordinates": [[BERLIN], [BERLIN]]}, "simple", "do not overlap"),
        ({"type": "Polygon", "coordinates": [BERLIN, HOLE]}, "holes", "1 hole(s)"),
        (collection(*FRAME), "holes", "enclose a hole"),
        (square(13.4, 52.5, 0.00001), "area", "at least 0.0001 km²"),
        (collection(polygon(*BERLIN), square(13.9, 52.5, 0.00001)), "area", "feature 2"),
        (square(0, 0, 20), "area", "at most 500,000 km²"),
        ({**polygon(*BERLIN), "crs": None}, "crs", "None"),
        ({**polygon(*BERLIN), "crs": {"properties": {"name": "EPSG:43260"}}}, "crs", "EPSG:43260"),
        ({**polygon(*BERLIN), "crs": "EPSG:25833"}, "crs", "EPSG:25833"),
        (feature({**polygon(*BERLIN), "crs": {"properties": {"name": "EPSG:3857"}}}), "crs", "reproject"),
    ],
)  # fmt: skip
def test_refused(data: object, rule: str, says: str) -> None:
    error = refusal(data)
    assert error.rule == rule
    assert says in str(error)
    assert error.source == "berlin.geojson"


@pytest.mark.parametrize(("identifier", "label"), [("berlin", 'feature 2 (id "berlin")'), (7, 'feature 2 (id "7")'),
                                                   (None, "feature 2"), ({}, "feature 2")])  # fmt: skip
def test_the_feature_is_named(identifier: object, label: str) -> None:
    data = collection(square(1, 1))
    data["features"].append(feature(polygon(*BERLIN[:-1]), id=identifier))
    error = refusal(data)
    assert error.feature == label
    assert str(error).startswith(f"berlin.geojson, {label}: closed: ")


def star(vertices: int) -> list[list[float]]:
    angles = [2 * math.pi * n / (vertices - 1) for n in range(vertices - 1)]
    ring = [[13 + 0.1 * math.cos(angle), 52 + 0.1 * math.sin(angle)] for angle in angles]
    return [*ring, ring[0]]


def test_as_many_vertices_as_up42_takes_and_no_more() -> None:
    assert parse(polygon(*star(999))).vertices == 999
    assert refusal(polygon(*star(1000))).rule == "vertices"


def test_vertices_count_over_all_features() -> None:
    two = collection(polygon(*star(500)), square(14, 52))
    assert parse(two, limits=AoiLimits(max_vertices=505)).vertices == 505
    error = refusal(two, limits=AoiLimits(max_vertices=504))
    assert (error.rule, error.feature) == ("vertices", "feature 2")


def test_vertices_count_again_once_united() -> None:
    cross = collection(mapping(box(13, 52.1, 13.3, 52.2)), mapping(box(13.1, 52, 13.2, 52.3)))
    assert parse(cross).vertices == 13
    assert "13 once united" in str(refusal(cross, limits=AoiLimits(max_vertices=12)))


def test_limits_can_be_set() -> None:
    assert parse(square(0, 0, 20), limits=AoiLimits(max_area_km2=10_000_000)).area_km2 > 4_000_000
    assert refusal(polygon(*BERLIN), limits=AoiLimits(min_area_km2=100)).rule == "area"


@pytest.mark.parametrize("limits", [{"max_vertices": 3}, {"min_area_km2": 0}, {"min_area_km2": 2, "max_area_km2": 1},
                                    {"max_area_km2": math.inf}, {"min_area_km2": math.nan}])  # fmt: skip
def test_limits_that_make_no_sense(limits: dict) -> None:
    with pytest.raises(ConfigurationError):
        AoiLimits(**limits)


TEXT = json.dumps(polygon(*BERLIN))


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "json"),
        (TEXT[:-9].encode(), "json"),
        (TEXT.replace("13.42", "NaN").encode(), "json"),
        (TEXT.replace("13.42", "-Infinity").encode(), "json"),
        (TEXT.replace("13.42", "9" * 5000).encode(), "json"),
        (TEXT.replace("13.42", "1e999").encode(), "coordinates"),
        (TEXT.replace("13.42", "9" * 4000).encode(), "range"),
        (b"[" * 200_000, "json"),
        (b'{"a":' * 200_000, "json"),
        (TEXT.replace('"type"', '"type": "Point", "type"').encode(), "json"),
        (TEXT.encode("utf-16"), "encoding"),
        (TEXT.encode("utf-16-le"), "encoding"),
        (TEXT.encode("utf-32"), "encoding"),
        (json.dumps(feature(polygon(*BERLIN), id="Köln"), ensure_ascii=False).encode("latin-1"), "encoding"),
    ],
)
def test_unreadable_files(tmp_path: Path, content: bytes, rule: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(AoiRejected) as caught:
        read_aoi(path)
    assert caught.value.rule == rule
    assert caught.value.source == str(path)


def test_repeated_properties_are_nobodys_business(tmp_path: Path) -> None:
    text = json.dumps(feature(polygon(*BERLIN))).replace('"properties": {}', '"properties": {"a": 1, "a": 2}')
    assert read_aoi(write(tmp_path, text.encode())).name == "berlin"


def test_a_huge_file_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, polygon(*BERLIN))
    monkeypatch.setattr(aoi_module, "MAX_FILE_BYTES", path.stat().st_size)
    assert read_aoi(path)
    monkeypatch.setattr(aoi_module, "MAX_FILE_BYTES", path.stat().st_size - 1)
    with pytest.raises(AoiRejected, match="size"):
        read_aoi(path)


def test_an_endless_file_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert 0 < size <= aoi_module.MAX_FILE_BYTES + 1
            return b" " * size

    fs = fsspec.filesystem("memory")
    monkeypatch.setattr(type(fs), "open", lambda *_, **__: Endless())
    with pytest.raises(AoiRejected, match="size"):
        read_aoi("memory://endless.geojson")


# --- names and folders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".hidden", "-rf", "a b", "a/b", "a|b", "köln", "a\n", "..", "a" * 101])
def test_unsafe_names(name: str) -> None:
    with pytest.raises(AoiRejected, match="partition key"):
        parse_aoi(polygon(*BERLIN), source="somewhere", name=name)
    with pytest.raises(AoiRejected, match="partition key"):
        Aoi(name=name, geometry=Polygon(BERLIN), source="somewhere")


def test_a_folder_is_listed_without_being_parsed(tmp_path: Path) -> None:
    for name in ("b.geojson", "a.v2.json", "Upper.GeoJSON", "._b.geojson", "notes.txt"):
        write(tmp_path, b"not even JSON", name)
    (tmp_path / "sub.json").mkdir()
    found = load_aois(tmp_path)
    assert list(found.items()) == [(name, str(tmp_path / file)) for name, file in
                                   [("Upper", "Upper.GeoJSON"), ("a.v2", "a.v2.json"), ("b", "b.geojson")]]  # fmt: skip


def test_the_paths_of_a_folder_can_be_read() -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe("/aois-list/berlin.geojson", TEXT.encode())
    found = load_aois("memory://aois-list")
    assert read_aoi(found["berlin"]).name == "berlin"


@pytest.mark.parametrize("twin", ["Berlin.json", "bERLIN.geojson"])
def test_a_name_that_is_there_twice(tmp_path: Path, twin: str) -> None:
    write(tmp_path, b"", "Berlin.geojson")
    write(tmp_path, b"", twin)
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system does not tell upper case from lower case")
    with pytest.raises(AoiRejected, match=r"(?i)berlin.*is also in.*rename") as caught:
        load_aois(tmp_path)
    assert caught.value.rule == "name"


def test_an_unsafe_file_name_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path, b"", "my area.geojson")
    with pytest.raises(AoiRejected, match=re.escape(str(tmp_path / "my area.geojson"))):
        load_aois(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        load_aois(tmp_path / "nowhere")


# --- properties -------------------------------------------------------------------------------------------------------


@st.composite
def stars(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Closed star-shaped rings: one vertex in each direction around a centre, so that no edges cross."""
    centre = draw(st.tuples(st.floats(-170, 170), st.floats(-80, 80)))
    radii = draw(st.lists(st.floats(0.01, 1), min_size=4, max_size=40))
    ring = [
        (centre[0] + radius * math.cos(2 * math.pi * n / len(radii)),
         centre[1] + radius * math.sin(2 * math.pi * n / len(radii)))
        for n, radius in enumerate(radii)
    ]  # fmt: skip
    return [*ring, ring[0]]


@given(ring=stars())
def test_a_valid_polygon_comes_back_as_it_was(ring: list[tuple[float, float]]) -> None:
    found = parse(polygon(*ring))
    assert list(found.geometry.exterior.coords) == ring
    again = parse(json.loads(json.dumps(found.__geo_interface__)))
    assert again == found


@given(ring=stars(), start=st.integers(0, 39), backwards=st.booleans())
def test_start_and_direction_of_a_ring_do_not_matter(
    ring: list[tuple[float, float]], start: int, backwards: bool
) -> None:
    start %= len(ring) - 1
    turned = [*ring[start:-1], *ring[: start + 1]]
    found = parse(polygon(*(reversed(turned) if backwards else turned)))
    assert found.geometry.exterior.is_ccw
    assert shapely.normalize(found.geometry) == shapely.normalize(Polygon(ring))
    assert found.area_km2 == pytest.approx(parse(polygon(*ring)).area_km2)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "coordinates", "geometry", "features", "crs", "id"]), children)
        | st.fixed_dictionaries(
            {"type": st.sampled_from(["Feature", "FeatureCollection", "Polygon", "MultiPolygon"])},
            optional=dict.fromkeys(("coordinates", "geometry", "features", "crs", "id"), children),
        )
    ),
    max_leaves=15,
)


RULES = {None, "type", "coordinates", "no-z", "range", "antimeridian", "closed", "simple", "holes", "crs", "area"}


@given(data=JSON)
def test_any_json_is_accepted_or_refused_by_a_rule(data: object) -> None:
    broken: str | None = None
    try:
        parse(data)
    except AoiRejected as error:
        broken = error.rule
    assert broken in RULES
