"""Features as GeoParquet: valid, complete, in their place."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from pyproj import CRS, Transformer

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake import Lake, read_features
from up42_pipelines.lake.vectors.columns import AS_JSON
from up42_pipelines.lake.vectors.features import Features
from up42_pipelines.lake.vectors.geoparquet import as_table, land_features
from up42_pipelines.lake.vectors.places import bounds_in_degrees

CRS84, UTM33 = CRS.from_user_input("OGC:CRS84"), CRS.from_epsg(32633)
BOW_TIE = shapely.from_wkt("POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))")


def features(geometries, columns=None, crs=CRS84, **more):
    geometries = [shapely.from_wkt(one) if isinstance(one, str) else one for one in geometries]
    return Features(source_format="GeoJSON", geometries=geometries, columns=columns or {}, crs=crs, **more)


def geo(table):
    return json.loads(table.schema.metadata[b"geo"])


def column(values):
    """How values land: type, values, description."""
    table, info = as_table(features([None] * len(values), {"a": values}))
    return str(table.schema.field("a").type), table["a"].to_pylist(), info.columns[0].description


@pytest.mark.parametrize(
    ("values", "kind", "landed"),
    [
        (["a", None, "1"], "string", None),
        ([True, None], "bool", None),
        ([1, -(2**63), None], "int64", None),
        ([1, 0.5, 2**53], "double", [1.0, 0.5, 2.0**53]),
        ([None, None], "string", None),
        ([b"\xff", None], "binary", None),
        ([1, True], "string", ["1", "true"]),
        ([1, "1", None], "string", ["1", '"1"', None]),
        ([2**63, 1], "string", [str(2**63), "1"]),
        ([2**53 + 1, 0.5], "string", [str(2**53 + 1), "0.5"]),
        ([{"ä": [1, None]}, None], "string", ['{"ä": [1, null]}', None]),
        (["\ud800", "a"], "string", ['"\\ud800"', '"a"']),
        ([b"\xff", "a"], "string", ['"ff"', '"a"']),
    ],
)
def test_a_column_has_one_type_and_loses_no_value(values, kind, landed):
    assert column(values) == (kind, landed or values, AS_JSON if landed and kind == "string" else None)


def test_no_two_columns_have_one_name():
    table, info = as_table(
        features(["POINT (1 2)"], {"geometry": [1], "BBOX": [2], "": [3], "unnamed": [4], "\ud800": [5], "?": [6]})
    )
    assert table.column_names == ["geometry", "BBOX", "unnamed", "unnamed_2", "?", "?_2", "geometry_2", "bbox_2"]
    assert (info.geometry_column, geo(table)["primary_column"]) == ("geometry_2", "geometry_2")
    assert geo(table)["columns"]["geometry_2"]["covering"]["bbox"]["xmin"] == ["bbox_2", "xmin"]
    assert [one.name for one in info.columns] == table.column_names


def test_the_metadata_are_those_of_the_specification():
    """GeoParquet 1.1, "File metadata" and "Column metadata"."""
    table, info = as_table(features(["POINT Z (13 52 1)", "POLYGON ((0 0, 9 0, 9 9, 0 0))", None, "POINT EMPTY"]))
    assert geo(table) == {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": ["Point", "Point Z", "Polygon"],
                "bbox": [0.0, 0.0, 13.0, 52.0],
                "covering": {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}},
            }
        },
    }
    boxes = [{"xmin": 13, "ymin": 52, "xmax": 13, "ymax": 52}, {"xmin": 0, "ymin": 0, "xmax": 9, "ymax": 9}, None, None]
    assert table["bbox"].to_pylist() == boxes
    assert table["geometry"].to_pylist()[0][:5] == b"\x01\xe9\x03\0\0", "ISO WKB: 1001 is a point with z"
    assert (info.rows, info.without_geometry, info.invalid) == (4, 1, 0)
    assert (info.crs_code, info.bounds, info.bbox) == ("OGC:CRS84", (0, 0, 13, 52), (0, 0, 13, 52))


@pytest.mark.parametrize(("crs", "wanted"), [(UTM33, 32633), (CRS.from_epsg(4326), 4326)])
def test_another_crs_is_written_out_and_kept(crs, wanted):
    table, info = as_table(features(["POINT (50 51)"], crs=crs))
    assert CRS.from_user_input(geo(table)["columns"]["geometry"]["crs"]).to_epsg() == wanted
    assert shapely.from_wkb(table["geometry"][0].as_py()).wkt == "POINT (50 51)"
    assert info.crs_code == f"EPSG:{wanted}"


def test_a_crs_that_nobody_knows_is_null_and_has_no_place():
    table, info = as_table(features(["POINT (1e7 1e7)"], crs=None))
    assert geo(table)["columns"]["geometry"]["crs"] is None
    assert (info.crs_code, info.crs_wkt, info.bbox, info.outline_4326) == (None, None, None, None)
    assert info.bounds == (1e7, 1e7, 1e7, 1e7)


def test_no_features_are_a_valid_result():
    table, info = as_table(features([], {"kind": []}))
    assert (table.num_rows, table.column_names) == (0, ["kind", "geometry", "bbox"])
    assert geo(table)["columns"]["geometry"]["geometry_types"] == []
    assert "bbox" not in geo(table)["columns"]["geometry"]
    assert (info.rows, info.bounds, info.bbox, info.outline_4326, info.invalid) == (0, None, None, None, 0)


def test_invalid_geometries_are_kept_and_counted():
    table, info = as_table(features([BOW_TIE, shapely.box(0, 0, 1, 1), None]))
    assert (info.invalid, info.without_geometry) == (1, 1)
    assert shapely.from_wkb(table["geometry"][0].as_py()).equals_exact(BOW_TIE)


@pytest.mark.skipif(not hasattr(shapely, "has_m"), reason="this shapely reads no measures")
def test_measures_are_left_out_and_told():
    table, info = as_table(features(["POINT ZM (1 2 3 4)", "POINT M (1 2 9)", "POINT Z (1 2 5)"]))
    landed = [shapely.from_wkb(one).wkt for one in table["geometry"].to_pylist()]
    assert landed == ["POINT Z (1 2 3)", "POINT (1 2)", "POINT Z (1 2 5)"]
    assert info.geometry_types == ("Point", "Point Z")
    assert info.notes == ("Measures (m) of 2 geometries are left out: GeoParquet has none.",)


@pytest.mark.parametrize(
    ("wkt", "crs"),
    [
        ("POINT (13 90.1)", CRS84),
        ("POINT (361 0)", CRS84),
        ("POINT (500000 5800000)", CRS84),
        ("POINT (1e12 1e12)", UTM33),
    ],
)
def test_features_lie_where_their_crs_is_defined(wkt, crs):
    with pytest.raises(InvalidDelivery, match=r"lie where .* is not defined"):
        as_table(features([wkt], crs=crs))


def test_a_position_that_is_none():
    with pytest.raises(InvalidDelivery, match="not finite"):
        as_table(features([shapely.LineString([(0, 0), (float("inf"), 1)])]))


def test_places_in_degrees():
    """Against pyproj on each corner."""
    square = shapely.box(500_000, 5_800_000, 510_000, 5_810_000)
    _, info = as_table(features([square], crs=UTM33))
    corners = np.column_stack(
        Transformer.from_crs(32633, 4326, always_xy=True).transform(*np.array(square.exterior.coords).T)
    )
    outline = shapely.geometry.shape(info.outline_4326)
    assert outline.hausdorff_distance(shapely.Polygon(corners)) < 1e-3
    assert all(outline.distance(shapely.Point(corner)) < 1e-9 for corner in corners)
    assert np.allclose(info.bbox, [*corners.min(axis=0), *corners.max(axis=0)], atol=1e-4)


def test_sides_of_an_outline_are_curves_in_degrees():
    to_degrees = Transformer.from_crs(32633, 4326, always_xy=True).transform
    side = [to_degrees(x, 6_000_000) for x in (300_000, 500_000, 700_000)]
    middle, straight = shapely.Point(side[1]), shapely.LineString([side[0], side[2]])
    _, info = as_table(features([shapely.box(300_000, 5_600_000, 700_000, 6_000_000)], crs=UTM33))
    assert shapely.geometry.shape(info.outline_4326).exterior.distance(middle) < straight.distance(middle) / 4


def test_an_outline_around_half_the_earth_says_nothing():
    _, info = as_table(features(["POINT (-179.9 1)", "POINT (179.9 1)"]))
    assert info.outline_4326 is None
    assert info.bbox == (-179.9, 1, 179.9, 1)
    west, _, east, _ = bounds_in_degrees((700_000, 0, 1_000_000, 10_000), CRS.from_epsg(32660))
    assert west > east, "across the antimeridian"


def test_the_file_holds_what_the_source_said(geojson, tmp_path):
    source = geojson(*[({"type": "Point", "coordinates": [13, 52]}, {"a": index}) for index in range(3)], name="x")
    info = land_features(source, tmp_path / "a.parquet")
    file = pq.ParquetFile(tmp_path / "a.parquet")
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert json.loads(file.schema_arrow.metadata[b"up42-pipelines:source"]) == {
        "format": "GeoJSON",
        "members": {"name": "x"},
    }
    assert file.read()["a"].to_pylist() == [0, 1, 2]
    assert info == as_table(features(["POINT (13 52)"] * 3, {"a": [0, 1, 2]}))[1]
    with pytest.raises(LakeError, match="Cannot write"):
        land_features(source, tmp_path / "nowhere" / "a.parquet")


def test_other_readers_read_it(geopackage, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    columns = "geom BLOB, kind TEXT, n INTEGER"
    land_features(geopackage({"a": (columns, [("POINT (1 2)", "é", 1), (None, None, 2)])}), tmp_path / "a.parquet")
    found = duckdb.sql(f"SELECT kind, n, bbox.xmin FROM '{tmp_path}/a.parquet' ORDER BY n").fetchall()
    assert found == [("é", 1, 1.0), (None, 2, None)]


def test_features_out_of_the_lake(tmp_path, geopackage):
    lake = Lake(str(tmp_path / "lake"))
    (tmp_path / "lake").mkdir()
    rows = [(f"POINT ({500_000 + index} 5800000)",) for index in range(6)]
    source = geopackage({"a": ("geom BLOB", [(None,), *rows])})
    land_features(source, tmp_path / "lake" / "a.parquet")
    href = lake.path("a.parquet")
    assert len(read_features(lake, href, 100)) == 6
    first, second = read_features(lake, href, 2)
    wanted = Transformer.from_crs(32633, 4326, always_xy=True).transform(500_001, 5_800_000)
    assert np.allclose(second.coords[0], wanted, atol=1e-9)
    assert first.x < second.x
    with pytest.raises(LakeError, match="No such file"):
        read_features(lake, lake.path("b.parquet"), 1)
    lake.write_bytes(b"PAR1", "c.parquet")
    with pytest.raises(LakeError, match="no GeoParquet"):
        read_features(lake, lake.path("c.parquet"), 1)
    source.unlink()
    land_features(geopackage({"a": ("geom BLOB", rows)}, srs_id=0), tmp_path / "lake" / "d.parquet")
    with pytest.raises(LakeError, match="does not say which coordinate reference system"):
        read_features(lake, lake.path("d.parquet"), 1)
