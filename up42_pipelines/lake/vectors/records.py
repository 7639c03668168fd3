"""What is known of features, as records that travel between processes. Light: no library here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

FormatName = Literal["GeoJSON", "GeoPackage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table of features.

    Attributes:
        name: as in the file.
        type: Arrow's name of its type, for example `int64`, `string`, `binary`.
        description: what a reader has to know of its values; None when nothing.
    """

    name: str
    type: str
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorInfo:
    """Features that are a GeoParquet file now, and where on Earth they are.

    Attributes:
        source_format: what was delivered.
        rows: features.
        columns: in the order of the file.
        geometry_column: name of the column with the geometries.
        geometry_types: as GeoParquet names them, for example `Polygon`, `MultiPolygon Z`; sorted.
        crs_code: `OGC:CRS84` or another authority's code; None when the CRS has none, or nobody says which it is.
        crs_wkt: WKT2 (ISO 19162:2019) of the CRS; None when nobody says which it is.
        bounds: west, south, east, north in that CRS; None without a geometry.
        bbox: west, south, east, north (degrees, EPSG:4326); west > east when it crosses the antimeridian.
        outline_4326: GeoJSON geometry (degrees, EPSG:4326), the convex hull of all features; None when they have no
            place on Earth, or reach around half of it.
        without_geometry: features that have none.
        invalid: geometries that are not valid by OGC Simple Features, kept as delivered.
        notes: what a person should know of it.
    """

    source_format: FormatName
    rows: int
    columns: tuple[Column, ...]
    geometry_column: str
    geometry_types: tuple[str, ...]
    crs_code: str | None
    crs_wkt: str | None
    bounds: tuple[float, float, float, float] | None
    bbox: tuple[float, float, float, float] | None
    outline_4326: dict[str, Any] | None
    without_geometry: int
    invalid: int
    notes: tuple[str, ...] = ()
