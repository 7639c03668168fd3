"""Files of features, as providers write them and as nobody should."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import shapely


@pytest.fixture
def geojson(tmp_path) -> Callable[..., Path]:
    """A FeatureCollection of `(geometry, properties)` pairs or whole features; other members by keyword."""

    def write(*features: Any, **members: Any) -> Path:
        whole = [
            one if isinstance(one, dict) else {"type": "Feature", "geometry": one[0], "properties": one[1]}
            for one in features
        ]
        path = tmp_path / "delivered"
        path.write_text(json.dumps({"type": "FeatureCollection", **members, "features": whole}))
        return path

    return write


@pytest.fixture
def geopackage(tmp_path) -> Callable[..., Path]:
    """A GeoPackage written by hand: `tables` are `name: (columns, rows)`, the first column the geometry, as WKT."""

    def write(tables: dict[str, tuple[str, list[tuple[Any, ...]]]], *statements: str, srs_id: int = 32633) -> Path:
        path = tmp_path / "delivered"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(
                "PRAGMA application_id = 0x47504B47;"
                "CREATE TABLE gpkg_contents (table_name TEXT, data_type TEXT);"
                "CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, srs_id INTEGER);"
                "CREATE TABLE gpkg_spatial_ref_sys (srs_id INTEGER, organization TEXT, organization_coordsys_id,"
                " definition TEXT);"
                "INSERT INTO gpkg_spatial_ref_sys VALUES (32633, 'EPSG', 32633, ''), (4326, 'EPSG', 4326, ''),"
                " (7, 'NONE', 7, 'no WKT'), (0, 'NONE', 0, 'undefined');"
            )
            for name, (columns, rows) in tables.items():
                connection.execute(f"CREATE TABLE {name} ({columns})")
                connection.execute("INSERT INTO gpkg_contents VALUES (?, 'features')", (name,))
                connection.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', ?)", (name, srs_id))
                for geometry, *values in rows:
                    marks = ", ".join("?" for _ in (geometry, *values))
                    blob = geometry if geometry is None or isinstance(geometry, bytes) else packed(geometry)
                    connection.execute(f"INSERT INTO {name} VALUES ({marks})", (blob, *values))
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        return path

    return write


def packed(wkt: str) -> bytes:
    """A geometry in GeoPackage's envelope, with a box (clause 2.1.3)."""
    return b"GP\0\x03" + (32633).to_bytes(4, "little") + bytes(32) + shapely.to_wkb(shapely.from_wkt(wkt))
