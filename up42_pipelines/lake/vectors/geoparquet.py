"""Features as GeoParquet 1.1 (https://geoparquet.org/releases/v1.1.0): geometries in WKB, with a box beside each."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake.vectors.columns import arrow_columns
from up42_pipelines.lake.vectors.features import Features, free_name
from up42_pipelines.lake.vectors.formats import claimed_format
from up42_pipelines.lake.vectors.geojson import read_geojson
from up42_pipelines.lake.vectors.geopackage import read_geopackage
from up42_pipelines.lake.vectors.places import bounds_in_degrees, code_of, outline_in_degrees
from up42_pipelines.lake.vectors.records import Column, VectorInfo

GEO = b"geo"
CRS84 = "OGC:CRS84"
SOURCE = b"up42-pipelines:source"
"""What the delivered file said about all of its features, JSON, in the file's metadata."""

_ROW_GROUP_ROWS = 50_000
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_BOX = pa.struct([(side, pa.float64()) for side in _SIDES])
_TYPES = ("Point", "LineString", "", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection")


def land_features(source: Path, target: Path) -> VectorInfo:
    """Write the features of `source` as GeoParquet at `target`: every value and every geometry, in their order.

    Geometries keep their CRS and their coordinates; those that are not valid (a polygon that crosses itself) are kept
    as they are, and counted.

    Raises:
        InvalidDelivery: the source is neither GeoJSON nor GeoPackage, or not all of it can be read.
        LakeError: `target` cannot be written.
    """
    kind = claimed_format(source)
    if kind is None:
        with source.open("rb") as file:
            raise InvalidDelivery(f"It is neither GeoJSON nor GeoPackage: it starts with {file.read(40)!r}.")
    features = read_geojson(source) if kind == "GeoJSON" else read_geopackage(source)
    table, info = as_table(features)
    try:
        pq.write_table(table, target, compression="zstd", compression_level=3, row_group_size=_ROW_GROUP_ROWS)
    except OSError as error:
        raise LakeError(f"Cannot write {target}: {error}. Free space, then run again.") from error
    return info


def as_table(features: Features) -> tuple[pa.Table, VectorInfo]:
    """The table, with GeoParquet's metadata, and what is to be said of it.

    Raises:
        InvalidDelivery: a geometry is of a type that GeoParquet does not have, or lies outside of its CRS.
    """
    geometries = np.asarray([None, *features.geometries], dtype=object)[1:]  # None: never a plain array of shapes
    geometries, notes = _without_measures(geometries)
    kinds = _geometry_types(geometries)
    boxes = shapely.bounds(geometries)
    bounds = _bounds(geometries, boxes)
    columns, said = arrow_columns(features.columns)
    geometry, box = (free_name(name, set(columns)) for name in ("geometry", "bbox"))
    columns[geometry] = pa.array(shapely.to_wkb(geometries, flavor="iso"), pa.binary())
    columns[box] = pa.StructArray.from_arrays(
        [pa.array(boxes[:, side]) for side in range(4)],
        fields=list(_BOX),
        mask=pa.array(np.isnan(boxes).any(axis=1)),
    )
    metadata = {
        GEO: json.dumps(_geo(geometry, box, kinds, features.crs, bounds)),
        SOURCE: json.dumps({"format": features.source_format, "members": dict(features.members)}),
    }
    fields = [
        pa.field(name, column.type, metadata={"description": said[name]} if name in said else None)
        for name, column in columns.items()
    ]
    table = pa.table(list(columns.values()), schema=pa.schema(fields, metadata=metadata))
    missing = shapely.is_missing(geometries)
    return table, VectorInfo(
        source_format=features.source_format,
        rows=table.num_rows,
        columns=tuple(
            Column(name=field.name, type=_type_name(field.type), description=said.get(field.name)) for field in fields
        ),
        geometry_column=geometry,
        geometry_types=kinds,
        crs_code=None if features.crs is None else code_of(features.crs),
        crs_wkt=None if features.crs is None else features.crs.to_wkt(),
        bounds=bounds,
        bbox=bounds_in_degrees(bounds, features.crs),
        outline_4326=outline_in_degrees(geometries, features.crs),
        without_geometry=int(missing.sum()),
        invalid=int((~shapely.is_valid(geometries) & ~missing).sum()),
        notes=(*features.notes, *notes),
    )


def _without_measures(geometries: Any) -> tuple[Any, tuple[str, ...]]:
    """GeoParquet has x, y and z; a measure (m), which newer GEOS reads, is left out."""
    has_m = shapely.has_m(geometries) if hasattr(shapely, "has_m") else np.zeros(len(geometries), bool)
    if not has_m.any():
        return geometries, ()
    plain = geometries.copy()
    for index in np.flatnonzero(has_m):
        geometry: BaseGeometry = plain[index]
        plain[index] = shapely.from_wkb(shapely.to_wkb(geometry, output_dimension=3 if geometry.has_z else 2))
    return plain, (f"Measures (m) of {int(has_m.sum())} geometries are left out: GeoParquet has none.",)


def _geometry_types(geometries: Any) -> tuple[str, ...]:
    types, high = shapely.get_type_id(geometries), shapely.has_z(geometries)
    counts = Counter(zip(types.tolist(), high.tolist(), strict=True))
    try:
        return tuple(sorted(_TYPES[kind] + " Z" * has_z for kind, has_z in counts if kind >= 0))
    except IndexError as error:
        raise InvalidDelivery("It has geometries with curves, which GeoParquet does not have.") from error


def _bounds(geometries: Any, boxes: Any) -> tuple[float, float, float, float] | None:
    filled = boxes[~np.isnan(boxes).any(axis=1)]
    if not np.isfinite(shapely.get_coordinates(geometries)).all():
        raise InvalidDelivery("A position in it is not finite.")
    if not len(filled):
        return None
    low, high = filled[:, :2].min(axis=0), filled[:, 2:].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _geo(
    geometry: str, box: str, kinds: tuple[str, ...], crs: CRS | None, bounds: tuple[float, ...] | None
) -> dict[str, Any]:
    """The file's geo metadata; without `crs` it is OGC:CRS84, and null says that nobody knows."""
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": list(kinds),
        "covering": {"bbox": {side: [box, side] for side in _SIDES}},
    }
    if crs is None:
        column["crs"] = None
    elif code_of(crs) != CRS84:
        column["crs"] = crs.to_json_dict()
    if bounds is not None:
        column["bbox"] = list(bounds)
    return {"version": "1.1.0", "primary_column": geometry, "columns": {geometry: column}}


def _type_name(kind: pa.DataType) -> str:
    return "struct" if pa.types.is_struct(kind) else str(kind)


def read_geometries(file: Any, limit: int) -> tuple[list[Any], CRS | None]:
    """The first geometries of a GeoParquet file that are there, and their CRS; None when nobody knows it.

    Args:
        file: a path, or a file that is open for reading.
        limit: how many at most.

    Raises:
        InvalidDelivery: it is no GeoParquet with geometries in WKB.
    """
    try:
        parquet = pq.ParquetFile(file)
        geo = json.loads((parquet.schema_arrow.metadata or {})[GEO])
        name = geo["primary_column"]
        column = geo["columns"][name]
        said = column.get("crs", CRS84)
        crs = None if said is None else CRS.from_user_input(said)
        geometries: list[Any] = []
        for batch in parquet.iter_batches(batch_size=4096, columns=[name]):
            found = shapely.from_wkb(batch.column(0).drop_null().to_numpy(zero_copy_only=False))
            geometries += list(found[: limit - len(geometries)])
            if len(geometries) >= limit:
                break
    except (pa.ArrowException, ShapelyError, ValueError, LookupError, TypeError) as error:
        raise InvalidDelivery(f"It is no GeoParquet: {' '.join(str(error).split())[:200]}.") from error
    return geometries, crs
