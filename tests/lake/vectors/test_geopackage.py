"""GeoPackages of strangers: tables are read, and nothing that the file says is run."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest
import shapely
from pyproj import CRS

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.vectors.formats import claimed_format, vector_format
from up42_pipelines.lake.vectors.geopackage import read_geopackage

SHIPS = {"ships": ("geom BLOB, kind TEXT, n INTEGER", [("POINT (1 2)", "tanker", 1), (None, None, 2)])}


def test_every_value_stays(geopackage):
    columns = "geom BLOB, fid INTEGER PRIMARY KEY, text TEXT, real REAL, sure BOOLEAN, raw BLOB, time DATETIME, any"
    rows = [
        ("POINT (1 2)", 1, "é", 0.5, 1, b"\0\xff", "2024-01-02T03:04:05Z", "2"),
        (None, 2, None, None, 0, None, None, 2),
        ("POINT EMPTY", 9, "", 1.0, None, b"", "", None),
    ]
    read = read_geopackage(geopackage({"ships": (columns, rows)}))
    assert read.columns == {
        "fid": [1, 2, 9],
        "text": ["é", None, ""],
        "real": [0.5, None, 1.0],
        "sure": [True, False, None],
        "raw": [b"\0\xff", None, b""],
        "time": ["2024-01-02T03:04:05Z", None, ""],
        "any": ["2", 2, None],
    }
    assert [type(value) for value in read.columns["sure"]] == [bool, bool, type(None)]
    assert [shapely.to_wkt(geometry) for geometry in read.geometries] == ["POINT (1 2)", None, "POINT EMPTY"]
    assert (read.crs.to_epsg(), read.notes) == (32633, ())


def test_gdal_reads_the_same(tmp_path):
    pyogrio = pytest.importorskip("pyogrio", reason="GDAL's drivers for vectors come with pyogrio")
    path = tmp_path / "delivered.gpkg"
    shapes = [shapely.box(5e5, 58e5, 5.01e5, 58.01e5), shapely.from_wkt("POINT Z (1 2 3)"), None, shapely.Point()]
    fields = {
        "kind": np.array(["ship", "é", None, ""], dtype=object),
        "n": np.array([1, -(2**53), 2**62, 0]),
        "score": np.array([0.1, 1e300, -0.0, 5.0]),
        "sure": np.array([True, False, True, False]),
    }
    pyogrio.raw.write(
        path,
        geometry=np.array(shapely.to_wkb(shapes, flavor="iso"), dtype=object),
        field_data=list(fields.values()),
        fields=list(fields),
        layer="found",
        crs="EPSG:32633",
        geometry_type="Unknown",
        driver="GPKG",
    )
    assert vector_format(path) == "GeoPackage"
    read = read_geopackage(path)
    meta, fids, geometries, values = pyogrio.raw.read(path, return_fids=True)
    assert read.columns == {
        "fid": fids.tolist(),
        **{name: column.tolist() for name, column in zip(meta["fields"], values, strict=True)},
    }
    # GDAL takes an empty geometry for a missing one.
    mine = [None if geometry is None or geometry.is_empty else geometry for geometry in read.geometries]
    theirs = [None if one is None or one.is_empty else one for one in shapely.from_wkb(geometries)]
    assert mine == theirs
    assert read.crs.to_wkt() == CRS.from_user_input(meta["crs"]).to_wkt()


@pytest.mark.parametrize(("code", "size"), [(0, 0), (1, 32), (2, 48), (3, 48), (4, 64)])
def test_each_envelope(geopackage, code, size):
    blob = bytes([*b"GP", 0, code << 1 | 1]) + bytes(4 + size) + shapely.to_wkb(shapely.Point(1, 2))
    read = read_geopackage(geopackage({"ships": ("geom BLOB", [(blob,)])}))
    assert [geometry.wkt for geometry in read.geometries] == ["POINT (1 2)"]


def test_text_that_is_none_stays(geopackage):
    read = read_geopackage(geopackage(SHIPS, "INSERT INTO ships (kind) VALUES (CAST(x'41ff' AS TEXT))"))
    assert read.columns["kind"][-1].encode("utf-8", "surrogateescape") == b"A\xff"


def test_neighbours_of_the_file_are_not_looked_at(geopackage):
    """SQLite would put a log beside a database in this mode, or believe what is in one."""
    path = geopackage(SHIPS)
    content = bytearray(path.read_bytes())
    content[18:20] = b"\2\2"  # "file format version" of the header: write-ahead log
    path.write_bytes(content)
    log = path.with_name("delivered-wal")
    log.write_bytes(b"\x37\x7f\x06\x82" + bytes(5000))
    assert len(read_geopackage(path).geometries) == 2
    assert sorted(path.parent.iterdir()) == [path, log]


def test_several_tables_are_one_that_says_which(geopackage):
    tables = SHIPS | {"planes": ("geom BLOB, kind TEXT, layer TEXT", [("POINT (3 4)", "jet", "x")])}
    insert = "INSERT INTO gpkg_contents VALUES ('notes', 'attributes')"
    read = read_geopackage(geopackage(tables, insert))
    assert read.columns == {
        "layer_2": ["planes", "ships", "ships"],
        "kind": ["jet", "tanker", None],
        "layer": ["x", None, None],
        "n": [None, 1, 2],
    }
    assert read.notes == ("Tables of no features, which are left out: notes.",)


def test_a_table_without_rows_has_its_columns(geopackage):
    read = read_geopackage(geopackage({"ships": ("geom BLOB, kind TEXT", [])}))
    assert (read.columns, read.geometries) == ({"kind": []}, [])


def test_an_undefined_crs_is_none(geopackage):
    assert read_geopackage(geopackage(SHIPS, srs_id=0)).crs is None


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        ("SELECT geom, upper(kind) AS kind FROM ships", "not authorized to use function: upper"),
        ("SELECT geom, load_extension('/tmp/evil') AS kind FROM ships", "unsafe use of load_extension"),
        (
            "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) SELECT NULL AS geom, x FROM r",
            "not authorized",
        ),
        ("SELECT a.geom, b.kind FROM ships a, ships b, ships c, ships d, ships e", "more than 30 features"),
    ],
)
def test_a_view_runs_nothing(geopackage, view, reason):
    register = (
        f"CREATE VIEW v AS {view}",
        "INSERT INTO gpkg_contents VALUES ('v', 'features')",
        "INSERT INTO gpkg_geometry_columns VALUES ('v', 'geom', 32633)",
    )
    with pytest.raises(InvalidDelivery, match=reason):
        read_geopackage(geopackage(SHIPS, *register), most=30)


def test_triggers_are_not_run(geopackage):
    trigger = "CREATE TRIGGER t AFTER INSERT ON ships BEGIN DELETE FROM ships; END"
    path = geopackage(SHIPS, trigger)
    before = path.read_bytes()
    assert len(read_geopackage(path).geometries) == 2
    assert path.read_bytes() == before


def test_what_is_computed_has_its_value(geopackage):
    """SQLite itself allows nothing but harmless functions there."""
    columns = "geom BLOB, kind TEXT, loud TEXT AS (upper(kind))"
    path = geopackage({"ships": (columns, [])}, "INSERT INTO ships (kind) VALUES ('a')")
    assert read_geopackage(path).columns == {"kind": ["a"], "loud": ["A"]}


def test_names_that_would_be_sql(geopackage):
    name = '"x"" ; DROP TABLE gpkg_contents; --"'
    path = geopackage({}, f"CREATE TABLE {name} (geom BLOB, n INTEGER)", f"INSERT INTO {name} VALUES (NULL, 1)")
    with closing(sqlite3.connect(path)) as connection:
        plain = 'x" ; DROP TABLE gpkg_contents; --'
        connection.execute("INSERT INTO gpkg_contents VALUES (?, 'features')", (plain,))
        connection.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 32633)", (plain,))
        connection.commit()
    assert read_geopackage(path).columns == {"n": [1]}


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (b"", "does not begin"),
        (b"GP\0\x01", "does not begin"),
        (b"GP\0\x0f" + bytes(40), "envelope is of no known kind"),
        (b"GP\0\x01" + bytes(4) + b"\x01\x01\0\0\0" + bytes(3), ""),
        ("text", "does not begin"),
    ],
)
def test_what_is_no_geometry(geopackage, blob, reason):
    insert = (
        "INSERT INTO ships (geom) VALUES (" + (f"x'{blob.hex()}'" if isinstance(blob, bytes) else f"'{blob}'") + ")"
    )
    with pytest.raises(InvalidDelivery, match=rf"'ships', row 3: the geometry cannot be read: .*{reason}"):
        read_geopackage(geopackage(SHIPS, insert))


def test_what_is_no_geopackage(geopackage, tmp_path):
    (tmp_path / "empty.db").write_bytes(b"")
    with pytest.raises(InvalidDelivery, match="no such table"):
        read_geopackage(tmp_path / "empty.db")
    with pytest.raises(InvalidDelivery, match="without a table of features"):
        read_geopackage(geopackage({}))
    path = tmp_path / "delivered"
    path.unlink()
    with pytest.raises(InvalidDelivery, match="reference system 7 is not known"):
        read_geopackage(geopackage(SHIPS, srs_id=7))
    path.unlink()
    with pytest.raises(InvalidDelivery, match="no column 'shape'"):
        read_geopackage(geopackage(SHIPS, "UPDATE gpkg_geometry_columns SET column_name = 'shape'"))
    path.unlink()
    other = SHIPS | {"planes": ("geom BLOB", [])}
    with pytest.raises(InvalidDelivery, match="different coordinate reference systems"):
        read_geopackage(geopackage(other, "UPDATE gpkg_geometry_columns SET srs_id = 4326 WHERE table_name = 'planes'"))


def test_damage_is_met(geopackage):
    path = geopackage({"ships": ("geom BLOB, kind TEXT", [("POINT (1 2)", "a" * 3000)] * 20)})
    content = bytearray(path.read_bytes())
    content[-8000:] = bytes(8000)
    path.write_bytes(content)
    with pytest.raises(InvalidDelivery, match="malformed"):
        read_geopackage(path)
    path.write_bytes(bytes(content[:6000]))
    with pytest.raises(InvalidDelivery, match="cannot be read as a GeoPackage"):
        read_geopackage(path)


def test_first_bytes_tell(geopackage, tmp_path):
    path = geopackage(SHIPS)
    assert (vector_format(path), claimed_format(path)) == ("GeoPackage", "GeoPackage")
    path.write_bytes(path.read_bytes()[:68] + bytes(4) + path.read_bytes()[72:])
    assert (vector_format(path), claimed_format(path)) == (None, "GeoPackage"), "any database of SQLite"
    for content, certain, possible in [
        (b'{"type": "FeatureCollection", "features": []}', "GeoJSON", "GeoJSON"),
        (b'\xef\xbb\xbf\n{"name": 1, "type" :"FeatureCollection"', "GeoJSON", "GeoJSON"),
        (b'{"type": "Feature"}', None, "GeoJSON"),
        (b'["type": "FeatureCollection"]', None, None),
        (b"", None, None),
        (b"II*\0", None, None),
    ]:
        path.write_bytes(content)
        assert (vector_format(path), claimed_format(path)) == (certain, possible)
