"""GeoJSON of strangers: every value stays, or the file is refused."""

from __future__ import annotations

import json

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.vectors import geojson as geojson_module
from up42_pipelines.lake.vectors.geojson import read_geojson

POINT = {"type": "Point", "coordinates": [13, 52]}
SQUARE = [[13, 52], [14, 52], [14, 53], [13, 53], [13, 52]]


def feature(**changes):
    return {"type": "Feature", "geometry": POINT, "properties": {}, **changes}


def polygon(*rings):
    return {"type": "Polygon", "coordinates": list(rings)}


def test_every_value_stays_under_its_name(geojson):
    values = [1, 2.5, "2024-01-02", True, None, {"a": [1]}, 2**70, "\ud800"]
    read = read_geojson(geojson(*[(POINT, {"v": value, "n": index}) for index, value in enumerate(values)]))
    assert read.columns == {"v": values, "n": list(range(8))}
    assert [type(value) for value in read.columns["v"]] == [type(value) for value in values]


def test_what_is_beside_the_properties_stays_too(geojson):
    path = geojson(
        feature(id="a", score=0.5, properties={"n": 1, "id": 7}),
        feature(id=3, properties=None),
        name="ships",
        stamp=[1],
    )
    read = read_geojson(path)
    assert read.columns == {"feature:id": ["a", 3], "score": [0.5, None], "n": [1, None], "id": [7, None]}
    assert read.members == {"name": "ships", "stamp": [1]}


@pytest.mark.parametrize(
    "wkt",
    [
        "POINT (13 52)",
        "POINT Z (13 52 7.5)",
        "LINESTRING (13 52, 14 53)",
        "POLYGON ((0 0, 9 0, 9 9, 0 0), (3 1, 5 1, 5 3, 3 1))",
        "MULTIPOINT ((1 2), (3 4))",
        "MULTILINESTRING ((1 2, 3 4), (5 6, 7 8))",
        "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((5 5, 6 5, 6 6, 5 5)))",
        "GEOMETRYCOLLECTION (POINT (1 2), GEOMETRYCOLLECTION (LINESTRING (1 2, 3 4)))",
        "POLYGON EMPTY",
        "MULTIPOINT EMPTY",
        "GEOMETRYCOLLECTION EMPTY",
    ],
)
def test_each_type_of_geometry(geojson, wkt):
    wanted = shapely.from_wkt(wkt)
    read = read_geojson(geojson((json.loads(shapely.to_geojson(wanted)), {})))
    assert shapely.to_wkt(read.geometries[0]) == shapely.to_wkt(wanted)
    assert read.notes == ()


def test_a_point_without_coordinates_is_empty(geojson):
    assert read_geojson(geojson(({"type": "Point", "coordinates": []}, {}))).geometries[0].wkt == "POINT EMPTY"


def test_a_feature_and_a_geometry_stand_alone_too(tmp_path):
    path = tmp_path / "delivered"
    path.write_text(json.dumps(feature(properties={"a": 1}, id=9, crs=None)))
    read = read_geojson(path)
    assert (read.columns, read.geometries[0].wkt) == ({"id": [9], "a": [1]}, "POINT (13 52)")
    path.write_text(json.dumps(POINT))
    assert [geometry.wkt for geometry in read_geojson(path).geometries] == ["POINT (13 52)"]
    path.write_text(json.dumps({"type": "GeometryCollection", "geometries": [POINT]}))
    assert [geometry.wkt for geometry in read_geojson(path).geometries] == ["GEOMETRYCOLLECTION (POINT (13 52))"]


def test_features_are_read_however_the_text_falls_into_parts(geojson, monkeypatch):
    """Members before and after the features, numbers and letters cut in two, a mark at the beginning."""
    path = geojson(
        *[(POINT, {"größe": index, "n": -1.25e-3}) for index in range(40)], before=[1], count=1234567, name="日本"
    )
    path.write_bytes(
        b"\xef\xbb\xbf\n " + json.dumps(json.loads(path.read_text()), indent=1, ensure_ascii=False).encode()
    )
    whole = read_geojson(path)
    assert len(whole.geometries) == 40
    for size in (1, 2, 7, 64):
        monkeypatch.setattr(geojson_module, "_CHUNK_BYTES", size)
        assert read_geojson(path) == whole


def test_the_crs_that_is_named(geojson):
    def code(crs):
        return read_geojson(geojson((POINT, {}), crs=crs)).crs.to_authority()

    assert read_geojson(geojson((POINT, {}))).crs.to_authority() == ("OGC", "CRS84")
    assert code(None) == ("OGC", "CRS84")
    for name, wanted in {
        "urn:ogc:def:crs:OGC:1.3:CRS84": ("OGC", "CRS84"),
        "urn:ogc:def:crs:EPSG::32633": ("EPSG", "32633"),
        "EPSG:4326": ("EPSG", "4326"),
    }.items():
        assert code({"type": "name", "properties": {"name": name}}) == wanted


@pytest.mark.parametrize(
    "crs",
    [
        {"type": "link", "properties": {"href": "http://evil.example/crs"}},
        {"type": "name", "properties": {"name": "+proj=longlat +datum=WGS84"}},
        {"type": "name", "properties": {"name": "/etc/passwd"}},
        {"type": "name", "properties": {"name": "EPSG:999999"}},
        "EPSG:4326",
    ],
)
def test_a_crs_is_a_name_that_is_known(geojson, crs):
    with pytest.raises(InvalidDelivery, match="coordinate reference system is not known"):
        read_geojson(geojson((POINT, {}), crs=crs))


def test_what_had_to_be_changed_is_told(geojson):
    read = read_geojson(geojson((polygon(SQUARE[:-1]), {}), ({"type": "Point", "coordinates": [1, 2, 3, 4]}, {})))
    assert read.geometries[0].equals(shapely.Polygon(SQUARE))
    assert read.geometries[1].wkt == "POINT Z (1 2 3)"
    assert read.notes == (
        "1 ring(s) did not end where they began, and were closed.",
        "1 list(s) of positions had more than three numbers each; three are kept.",
    )


def test_names_that_stand_twice_are_told(tmp_path):
    path = tmp_path / "delivered"
    path.write_text('{"type": "Feature", "geometry": null, "properties": {"a": 1, "b": 2, "a": 3}}')
    read = read_geojson(path)
    assert read.columns == {"a": [3], "b": [2]}
    assert read.notes == ("Names that stand twice in one object, of which the last counts: a.",)


def test_more_names_than_columns_are_data(geojson):
    read = read_geojson(geojson(*[(POINT, {f"k{index}": index}) for index in range(501)]))
    assert list(read.columns) == ["feature", "properties"]
    assert read.columns["properties"][500] == {"k500": 500}


@pytest.mark.parametrize(
    ("geometry", "reason"),
    [
        ({"type": "Point", "coordinates": ["13", "52"]}, "not two or three numbers"),
        ({"type": "Point", "coordinates": [True, False]}, "not two or three numbers"),
        ({"type": "Point", "coordinates": [None, 52]}, "not two or three numbers"),
        ({"type": "Point", "coordinates": [13]}, "not two or three numbers"),
        ({"type": "Point", "coordinates": [10**400, 52]}, "not two or three numbers"),
        ({"type": "LineString", "coordinates": [[1, 2], [3]]}, "no LineString"),
        ({"type": "LineString", "coordinates": [[1, 2]]}, "no LineString"),
        ({"type": "LineString", "coordinates": [1, 2]}, "no LineString"),
        (polygon([[0, 0], [1, 0]]), "no Polygon"),
        ({"type": "Polygon", "coordinates": None}, "a list is missing"),
        ({"type": "MultiPolygon"}, "a list is missing"),
        ({"type": "Circle", "coordinates": [0, 0]}, "of no known type, but 'Circle'"),
        ({"type": ["Point"], "coordinates": [0, 0]}, "of no known type"),
        ([1, 2], "of no known type"),
    ],
)
def test_what_is_no_geometry_refuses_the_file_and_names_the_feature(geojson, geometry, reason):
    with pytest.raises(InvalidDelivery, match=rf"Feature 2: .*{reason}"):
        read_geojson(geojson((POINT, {}), (geometry, {})))


def test_collections_in_collections_without_end(geojson):
    geometry = POINT
    for _ in range(12):
        geometry = {"type": "GeometryCollection", "geometries": [geometry]}
    with pytest.raises(InvalidDelivery, match="Feature 1: its geometry is of no known type, but 'GeometryCollection'"):
        read_geojson(geojson((geometry, {})))


HEAD = '{"type": "FeatureCollection", "features": ['


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"a":' * 100_000, "nested absurdly deep"),
        (HEAD + '{"type": "Feature", "geometry": null, "properties": {"a": ' + "[" * 100_000, "nested absurdly deep"),
        (HEAD + '{"type": "Feature", "geometry": {"type": "Point", "coordinates": [NaN, 1]}}]}', "NaN is no number"),
        (HEAD + '{"type": "Feature", "geometry": {"type": "Point", "coordinates": [1e999, 1]}}]}', "not finite"),
        (HEAD + '{"type": "Feature", "geometry": null, "properties": {"a": -Infinity}}]}', "-Infinity is no number"),
        (
            HEAD + '{"type": "Feature", "geometry": null, "properties": [1]}]}',
            "Feature 1: its properties are no object",
        ),
        (HEAD + "1]}", "Feature 1 is no Feature"),
        (HEAD + '{"geometry": null, "properties": null}]}', "Feature 1 is no Feature"),
        (HEAD + "],}", "nothing follows a comma"),
        (HEAD + '{"type": "Feature", "geometry": null},]}', "nothing follows a comma"),
        (HEAD + '{"type": "Feature", "geometry": null} {"type": "Feature"}]}', "where ']' has to be"),
        (HEAD + "]}" + HEAD, "more after its end"),
        (HEAD, "It is no JSON"),
        (HEAD + '], "features": []}', "two lists of features"),
        ('{"type": "FeatureCollection", "features": null}', "needs other members"),
        ('{"type": "FeatureCollection"}', "needs other members"),
        ('{"type": "Topology", "arcs": []}', "no GeoJSON: its type is 'Topology'"),
        ("{1: 2}", "a name is no text"),
        ('{"type" "a"}', "where ':' has to be"),
        ("[]", "where '{' has to be"),
        ("", "where '{' has to be"),
        (b'{"type": "\xff"}', "not in UTF-8"),
        ('{"type": "Feature", "properties": {"a": ' + "9" * 5000 + "}}", "It is no JSON"),
    ],
)
def test_what_is_no_geojson(tmp_path, content, reason):
    path = tmp_path / "delivered"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidDelivery, match=reason):
        read_geojson(path)


def test_limits(geojson, monkeypatch):
    path = geojson(*[(POINT, {"text": "a" * 100})] * 3)
    assert len(read_geojson(path, most=3).geometries) == 3
    with pytest.raises(InvalidDelivery, match="more than 2 features"):
        read_geojson(path, most=2)
    monkeypatch.setattr(geojson_module, "_CHUNK_BYTES", 50)
    monkeypatch.setattr(geojson_module, "_MAX_VALUE_CHARACTERS", 100)
    with pytest.raises(InvalidDelivery, match="more than 100 characters"):
        read_geojson(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.dictionaries(st.sampled_from("abc"), JSON), max_size=4), size=st.integers(1, 40))
def test_whatever_the_properties_are(geojson, rows, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geojson_module, "_CHUNK_BYTES", size)
        columns = read_geojson(geojson(*[(None, row) for row in rows])).columns
    assert [{name: columns[name][index] for name in row} for index, row in enumerate(rows)] == rows
