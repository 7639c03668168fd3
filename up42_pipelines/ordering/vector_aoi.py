"""AOIs out of the formats that are no GeoJSON: GeoPackage, shapefile, KML, FlatGeobuf, WKT.

A pipeline reads GeoJSON (`ordering/aoi.py`); this makes that of what people have, under the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj.exceptions import CRSError
from shapely.errors import ShapelyError
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from up42_pipelines.errors import ConfigurationError
from up42_pipelines.ordering.aoi import DEFAULT_LIMITS, MAX_FILE_BYTES, Aoi, AoiLimits, parse_aoi, read_aoi
from up42_pipelines.ordering.geojson import Place

_GEOJSON = (".geojson", ".json")
_WKT = ".wkt"
_LON_LAT = "EPSG:4326"


def read_vector_aoi(path: str | Path, *, layer: str | None = None, limits: AoiLimits = DEFAULT_LIMITS) -> Aoi:
    """Read a vector file of this machine as one AOI: what GDAL reads, WKT (longitude, latitude), or GeoJSON.

    Vertices are reprojected to EPSG:4326 where the file says that they are something else; edges between them are then
    straight in degrees. Altitudes that are all 0, as KML has them, are dropped.

    Args:
        path: the file; a zipped shapefile may stay zipped. Its name up to the suffix becomes the AOI's.
        layer: which one, where the file has several.
        limits: how large the AOI may be.

    Raises:
        AoiRejected: rules `file`, `size`, `layer` (several, none, or not the one), `crs` (the file does not say where
            it lies), or one of `parse_aoi`.
        ConfigurationError: GDAL's vector side (pyogrio) is not installed.
    """
    file = Path(path)
    if file.suffix.lower() in _GEOJSON:
        return read_aoi(file, limits=limits)
    whole = Place(str(file))
    try:
        size = file.stat().st_size
    except OSError as error:
        whole.reject("file", f"cannot be read ({type(error).__name__}: {error}); check that it is there.")
    if size > MAX_FILE_BYTES:
        whole.reject("size", f"larger than {MAX_FILE_BYTES} bytes; export only the features that make up the AOI.")
    try:
        geometries = _from_wkt(file, whole) if file.suffix.lower() == _WKT else _from_gdal(file, layer, whole)
    except NotImplementedError:  # of shapely
        whole.reject("type", "it has curves, which GeoJSON does not know; export it with straight edges.")
    features = [
        {"type": "Feature", "properties": {}, "geometry": None if one is None else mapping(_flat(one))}
        for one in geometries
    ]
    document = {"type": "FeatureCollection", "features": features}
    return parse_aoi(document, source=whole.source, name=file.stem, limits=limits)


def _from_wkt(file: Path, whole: Place) -> Sequence[BaseGeometry]:
    try:
        return [shapely.from_wkt(file.read_text(encoding="utf-8-sig"))]
    except (ShapelyError, ValueError) as error:
        whole.reject("file", f"is no WKT ({error}); write POLYGON ((longitude latitude, ...)).")


def _from_gdal(file: Path, layer: str | None, whole: Place) -> Sequence[BaseGeometry | None]:
    pyogrio = _pyogrio()
    try:
        layers = [str(name) for name, _ in pyogrio.list_layers(file)]
        if layer is None and len(layers) != 1:
            has = f"has {len(layers)} layers" + (f" ({', '.join(sorted(layers))})" if layers else "")
            whole.reject("layer", f"{has}; name the one that holds the AOI.")
        if layer is not None and layer not in layers:
            whole.reject("layer", f"has no layer {layer!r}, only {', '.join(sorted(layers))}.")
        meta, _, encoded, _ = pyogrio.raw.read(file, layer=layer or layers[0], columns=[])
        geometries = [] if encoded is None else list(shapely.from_wkb(encoded))
    except (pyogrio.errors.DataSourceError, ShapelyError) as error:
        whole.reject("file", f"GDAL cannot read it ({error}); export it as GeoJSON.")
    return _in_degrees(geometries, meta["crs"], whole)


def _in_degrees(
    geometries: Sequence[BaseGeometry | None], crs: str | None, whole: Place
) -> Sequence[BaseGeometry | None]:
    if not crs:
        whole.reject("crs", "the file does not say in which CRS it is; add it (a .prj file beside a shapefile).")
    try:
        transformer = pyproj.Transformer.from_crs(crs, _LON_LAT, always_xy=True)
    except CRSError as error:
        whole.reject("crs", f"its CRS is not known ({error}); reproject the file to EPSG:4326.")
    if transformer.source_crs == pyproj.CRS(_LON_LAT):
        return geometries

    def degrees(points: NDArray[np.float64]) -> NDArray[np.float64]:
        longitude, latitude = transformer.transform(points[:, 0], points[:, 1])
        points[:, 0], points[:, 1] = longitude, latitude
        return points

    return [shapely.transform(one, degrees, include_z=one.has_z) if one else None for one in geometries]


def _flat(geometry: BaseGeometry) -> BaseGeometry:
    """The geometry without altitudes when they say nothing; others stay, and are refused."""
    heights = shapely.get_coordinates(geometry, include_z=True)[:, 2]
    return shapely.force_2d(geometry) if geometry.has_z and not heights.any() else geometry


def _pyogrio() -> ModuleType:
    try:
        import_module("pyogrio.raw")
    except ImportError as error:
        raise ConfigurationError(
            "Reading other formats than GeoJSON and WKT needs pyogrio: pip install 'up42-pipelines[vectors]'."
        ) from error
    return import_module("pyogrio")
