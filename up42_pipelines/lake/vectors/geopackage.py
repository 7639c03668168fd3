"""Reading GeoPackage (OGC 12-128r19) without trust, by SQLite alone: tables, and nothing that a file could have run.

A GeoPackage is an SQLite database, and its schema is code. Nothing of it is run but reading: no function, no recursion,
no other file; views may show tables. GDAL's driver, whose connections have functions that reach for other files and the
network, is not used.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.vectors.features import Features, free_name, too_many
from up42_pipelines.lake.vectors.limits import MAX_FEATURES

_MAX_VALUE_BYTES = 64 << 20
_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ})
_LAYERS = """
    SELECT c.table_name, g.column_name, g.srs_id FROM gpkg_contents c JOIN gpkg_geometry_columns g
    ON c.table_name = g.table_name WHERE c.data_type = 'features' ORDER BY c.table_name
"""
_OTHERS = "SELECT table_name FROM gpkg_contents WHERE data_type <> 'features' ORDER BY table_name"
_SRS = "SELECT organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys WHERE srs_id = ?"
# Bytes of the envelope by its code (clause 2.1.3.1.1).
_ENVELOPES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}


def read_geopackage(path: Path, *, most: int = MAX_FEATURES) -> Features:
    """Read all tables of features, as one; of several, the column `layer` tells which.

    Values are as SQLite has them: dates and times are texts (ISO 8601), and a boolean is one where its column says so.

    Raises:
        InvalidDelivery: it is no GeoPackage, damaged, or asks for more than to be read.
    """
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
    with closing(connection):
        try:
            return _read(connection, most)
        except (sqlite3.Error, ValueError, OverflowError) as error:
            raise InvalidDelivery(f"It cannot be read as a GeoPackage: {str(error)[:200]}.") from error


def _read(connection: sqlite3.Connection, most: int) -> Features:
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
    connection.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
    connection.set_authorizer(_only_reading)
    layers = connection.execute(_LAYERS).fetchall()
    if not layers:
        raise InvalidDelivery("It is a GeoPackage without a table of features.")
    systems = {srs_id for _, _, srs_id in layers}
    crs = {srs_id: _crs(connection, srs_id) for srs_id in systems}
    if len({one and one.to_wkt() for one in crs.values()}) > 1:
        raise InvalidDelivery("Its tables of features have different coordinate reference systems.")
    rows: list[dict[str, Any]] = []
    geometries: list[BaseGeometry | None] = []
    tables: list[Any] = []
    for table, column, _ in layers:
        for geometry, row in _rows(connection, table, column):
            geometries.append(geometry)
            rows.append(row)
            tables.append(table)
            if len(rows) > most:
                raise too_many(most)
    names = dict.fromkeys(name for row in rows for name in row)
    if not rows:
        names = dict.fromkeys(name for table, column, _ in layers for name in _columns(connection, table, column))
    columns: dict[str, list[Any]] = {name: [row.get(name) for row in rows] for name in names}
    if len(layers) > 1:
        columns = {free_name("layer", set(names)): tables, **columns}
    others = [str(table) for (table,) in connection.execute(_OTHERS)]
    return Features(
        source_format="GeoPackage",
        geometries=geometries,
        columns=columns,
        crs=next(iter(crs.values())),
        notes=(f"Tables of no features, which are left out: {', '.join(others)[:400]}.",) if others else (),
    )


def _only_reading(action: int, name: str | None, *_: Any) -> int:
    allowed = action in _READING or (action == sqlite3.SQLITE_PRAGMA and name == "table_info")
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _columns(connection: sqlite3.Connection, table: str, geometry_column: str) -> dict[str, str]:
    """Declared types by column, without the geometry."""
    declared = connection.execute(f"PRAGMA table_info({_quoted(table)})").fetchall()
    return {name: str(kind).upper() for _, name, kind, *_ in declared if name.lower() != geometry_column.lower()}


def _rows(
    connection: sqlite3.Connection, table: str, geometry_column: str
) -> Iterator[tuple[BaseGeometry | None, dict[str, Any]]]:
    booleans = {name for name, kind in _columns(connection, table, geometry_column).items() if kind == "BOOLEAN"}
    cursor = connection.execute(f"SELECT * FROM {_quoted(table)}")  # noqa: S608 - quoted, and reading is all it can do
    names: Sequence[str] = [name for name, *_ in cursor.description]
    places = [index for index, name in enumerate(names) if name.lower() == geometry_column.lower()]
    if len(places) != 1:
        raise InvalidDelivery(f"Its table {table[:80]!r} has no column {geometry_column[:80]!r}, or several.")
    for number, values in enumerate(cursor, 1):
        try:
            geometry = _geometry(values[places[0]])
        except (ValueError, ShapelyError) as error:
            what = f"Its table {table[:80]!r}, row {number}: the geometry cannot be read: {str(error)[:120]}."
            raise InvalidDelivery(what) from error
        row = dict(zip(names, values, strict=True))
        del row[names[places[0]]]
        yield geometry, {name: _boolean(value) if name in booleans else value for name, value in row.items()}


def _boolean(value: Any) -> Any:
    return bool(value) if value in (0, 1) and isinstance(value, int) else value


def _geometry(blob: Any) -> BaseGeometry | None:
    """A geometry out of its GeoPackage envelope (clause 2.1.3)."""
    if blob is None:
        return None
    if not isinstance(blob, bytes) or blob[:2] != b"GP" or len(blob) < 8:
        raise ValueError("it does not begin as a geometry does")
    size = _ENVELOPES.get(blob[3] >> 1 & 7)
    if size is None:
        raise ValueError("its envelope is of no known kind")
    geometry: BaseGeometry = shapely.from_wkb(blob[8 + size :])
    return geometry


def _crs(connection: sqlite3.Connection, srs_id: Any) -> CRS | None:
    """The CRS of an id; -1 and 0 are undefined ones (clause 1.1.2.1.2)."""
    found = connection.execute(_SRS, (srs_id,)).fetchone()
    if found is None or srs_id in (-1, 0):
        return None
    organization, code, definition = found
    try:
        if str(organization).upper() == "EPSG":
            return CRS.from_epsg(code)
        return CRS.from_wkt(definition)
    except (CRSError, TypeError) as error:
        raise InvalidDelivery(f"Its coordinate reference system {str(srs_id)[:20]} is not known.") from error


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))
