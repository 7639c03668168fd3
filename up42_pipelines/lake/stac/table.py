"""STAC Items as rows of GeoParquet 1.1, in columns named as stac-geoparquet 1.1 names them.

The columns are fixed, so that files written years apart can be read as one table; a property that has no column here is
in the item's JSON only. One departure from stac-geoparquet: `assets` is a map from key to asset, not a struct with one
field per key. UP42's asset keys differ from item to item, and a struct would have a column per key ever delivered.

Specifications: https://geoparquet.org/releases/v1.1.0, https://github.com/stac-utils/stac-geoparquet (spec/).
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from up42_pipelines.lake.stac.links import COLLECTION, Document

REVISION, DIGEST = "up42-pipelines:revision", "up42-pipelines:digest"
ROW_GROUP_ROWS = 2048
"""Small, because a reader decodes whole row groups, and most queries find a few items only."""

_STRUCTURE = frozenset({"self", "root", "parent", "collection"})
_LAYOUT = 1
"""Counts changes of the columns, or of how they are filled; rows of another layout are out of date."""

_TEXTS = pa.list_(pa.string())
_NUMBERS = pa.list_(pa.float64())
_TIME = pa.timestamp("us", "UTC")
_BOX = ("xmin", "ymin", "xmax", "ymax")

_PROPERTIES: dict[str, pa.DataType] = {
    **dict.fromkeys(("datetime", "start_datetime", "end_datetime", "created", "updated"), _TIME),
    **dict.fromkeys(("title", "description", "platform", "constellation", "mission", "license"), pa.string()),
    "instruments": _TEXTS,
    **dict.fromkeys(("gsd", "eo:cloud_cover", "eo:snow_cover"), pa.float64()),
    **dict.fromkeys(
        ("view:off_nadir", "view:incidence_angle", "view:azimuth", "view:sun_azimuth", "view:sun_elevation"),
        pa.float64(),
    ),
    **dict.fromkeys(("sar:instrument_mode", "sar:frequency_band", "sar:product_type", "sat:orbit_state"), pa.string()),
    "sar:polarizations": _TEXTS,
    **dict.fromkeys(
        ("processing:level", "processing:lineage", "product:type", "order:status", "order:id"), pa.string()
    ),
    **dict.fromkeys(
        (
            "up42-order:id",
            "up42-order:status",
            "up42-product:collection_name",
            "up42-product:product_id",
            "up42-product:data_type",
            "up42-product:modality",
            "up42-system:asset_id",
            "up42-system:source",
            "up42-system:workspace_id",
            "up42-system:account_id",
            "up42-user:title",
        ),
        pa.string(),
    ),
    "up42-user:tags": _TEXTS,
}
_BAND: dict[str, pa.DataType] = {
    **dict.fromkeys(("name", "description", "data_type", "unit", "eo:common_name"), pa.string()),
    # "nan", "inf" and "-inf" are the numbers that they name: a column has one type.
    **dict.fromkeys(("nodata", "gsd", "raster:scale", "raster:offset", "raster:spatial_resolution"), pa.float64()),
    **dict.fromkeys(("eo:center_wavelength", "eo:full_width_half_max"), pa.float64()),
}
_ASSET: dict[str, pa.DataType] = {
    **dict.fromkeys(("href", "type", "title", "description"), pa.string()),
    "roles": _TEXTS,
    "gsd": pa.float64(),
    "file:size": pa.int64(),
    **dict.fromkeys(("file:checksum", "proj:code", "proj:wkt2"), pa.string()),
    "proj:shape": pa.list_(pa.int64()),
    **dict.fromkeys(("proj:transform", "proj:bbox"), _NUMBERS),
    "bands": pa.list_(pa.struct(list(_BAND.items()))),
}
_LINK = {name: pa.string() for name in ("rel", "href", "type", "title")}

SCHEMA = pa.schema(
    [
        *[(name, pa.string()) for name in ("type", "stac_version")],
        ("stac_extensions", _TEXTS),
        *[(name, pa.string()) for name in ("id", "collection")],
        ("geometry", pa.binary()),
        ("bbox", pa.struct([(side, pa.float64()) for side in _BOX])),
        *_PROPERTIES.items(),
        ("links", pa.list_(pa.struct(list(_LINK.items())))),
        ("assets", pa.map_(pa.string(), pa.struct(list(_ASSET.items())))),
        (REVISION, pa.int64()),
        (DIGEST, pa.int64()),
    ]
)
FILTERED = ("datetime", "start_datetime", "end_datetime", "eo:cloud_cover", "bbox")
"""Columns that decide whether an item is wanted; of the others no statistics are kept."""
WITH_STATISTICS = [*FILTERED[:-1], *(f"bbox.{side}" for side in _BOX)]
_CROSSING = b"up42-pipelines:crossing"


@dataclass(frozen=True, slots=True)
class Placed:
    """An item's document, and where it is.

    Attributes:
        document: STAC Item.
        folder: the item's folder as a reader outside opens it; relative hrefs begin there.
        name: of the item's JSON in the folder.
    """

    document: Document
    folder: str
    name: str

    def digest(self) -> int:
        """64 bits by which a row and the item that it was made of are compared."""
        text = json.dumps([_LAYOUT, self.folder, self.document], sort_keys=True, separators=(",", ":"))
        return int.from_bytes(
            hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), signed=True
        )


def table_of(items: Sequence[Placed], revision: int) -> pa.Table:
    """Rows for items, in their order; a value that its column cannot hold is left out."""
    documents = [item.document for item in items]
    columns: dict[str, Any] = {
        "type": ["Feature"] * len(items),
        "stac_version": [_text(document.get("stac_version")) for document in documents],
        "stac_extensions": [_texts(document.get("stac_extensions")) or [] for document in documents],
        "id": [_text(document["id"]) for document in documents],
        "collection": [_text(document.get("collection")) for document in documents],
        "geometry": _wkb([document.get("geometry") for document in documents]),
        "bbox": [_box(document.get("bbox")) for document in documents],
        "links": [_links(item) for item in items],
        "assets": [_assets(item) for item in items],
        REVISION: [revision] * len(items),
        DIGEST: [item.digest() for item in items],
    }
    for name, kind in _PROPERTIES.items():
        convert = _CONVERTERS[kind]
        columns[name] = [convert(document["properties"].get(name)) for document in documents]
    return pa.table([pa.array(columns[field.name], field.type) for field in SCHEMA], schema=SCHEMA)


def documents_of(table: pa.Table) -> list[Document]:
    """STAC Items of rows, as far as the columns tell; hrefs are absolute."""
    table = table.drop_columns([REVISION, DIGEST])
    geometries = shapely.to_geojson(shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False)))
    rows = table.drop_columns(["geometry"]).to_pylist()
    return [_document(row, geometry) for row, geometry in zip(rows, geometries, strict=True)]


def encoded(table: pa.Table) -> bytes:
    """A GeoParquet file: rows near each other in time and place are near each other in the file."""
    crossing = np.asarray(_side(table, "xmin") > _side(table, "xmax"))
    near, across = table.filter(pa.array(~crossing)), table.filter(pa.array(crossing))
    groups = [
        part.slice(start, ROW_GROUP_ROWS)
        for part in (_in_order(near), _in_order(across))
        for start in range(0, part.num_rows, ROW_GROUP_ROWS)
    ]
    metadata = {
        b"geo": json.dumps(_geo(table)).encode(),
        b"stac-geoparquet": json.dumps({"version": "1.1.0"}).encode(),
        _CROSSING: str(-(-across.num_rows // ROW_GROUP_ROWS)).encode(),
    }
    target = io.BytesIO()
    with pq.ParquetWriter(
        target,
        SCHEMA.with_metadata(metadata),
        compression="zstd",
        compression_level=3,
        # zstd finds what repeats by itself: with dictionaries files are a tenth larger, and take longer to read.
        use_dictionary=False,
        write_statistics=WITH_STATISTICS,
    ) as writer:
        for group in groups:
            writer.write_table(group.replace_schema_metadata(metadata))
    return target.getvalue()


def crossing_groups(metadata: pq.FileMetaData) -> range:
    """The row groups whose boxes cross the antimeridian, so that `xmin` is more than `xmax`: the last ones."""
    crossing = int((metadata.metadata or {}).get(_CROSSING, metadata.num_row_groups))
    return range(metadata.num_row_groups - crossing, metadata.num_row_groups)


def numbers(column: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A column as float64, null as NaN; times as microseconds since 1970 in UTC."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _side(table: pa.Table, side: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return numbers(table["bbox"].combine_chunks().field(side))


def _in_order(table: pa.Table) -> pa.Table:
    """Sorted so that row groups are small in time and in place: slabs of time, each along a Z-order curve."""
    groups = -(-table.num_rows // ROW_GROUP_ROWS)
    times = np.nan_to_num(numbers(table["datetime"].combine_chunks()), nan=0.0)
    slabs = max(1, round(groups ** (1 / 3)))
    slab = np.argsort(np.argsort(times, kind="stable"), kind="stable") * slabs // max(1, table.num_rows)
    x = np.nan_to_num((_side(table, "xmin") + _side(table, "xmax")) / 2 + 180) / 360
    y = np.nan_to_num((_side(table, "ymin") + _side(table, "ymax")) / 2 + 90) / 180
    return table.take(pa.array(np.lexsort((times, _spread(x) | _spread(y) << np.uint64(1), slab))))


def _spread(share: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """16 bits of a number between 0 and 1, each followed by a zero."""
    bits = (np.clip(share, 0, 1) * 0xFFFF).astype(np.uint64)
    for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        bits = (bits | bits << np.uint64(shift)) & np.uint64(mask)
    return np.asarray(bits)


def _geo(table: pa.Table) -> Document:
    """The file's geo metadata; without `crs` it is OGC:CRS84, longitude first (GeoParquet 1.1, "crs")."""
    types = set(shapely.get_type_id(shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))).tolist())
    names = {0: "Point", 1: "LineString", 3: "Polygon", 4: "MultiPoint", 5: "MultiLineString", 6: "MultiPolygon"}
    # An empty list says that the types are not known, which is always allowed.
    known = sorted(names[kind] for kind in types - {-1}) if types <= names.keys() | {-1} else []
    covering = {side: ["bbox", side] for side in _BOX}
    geometry = {"encoding": "WKB", "geometry_types": known, "covering": {"bbox": covering}}
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}


# --- from JSON to columns ---------------------------------------------------------------------------------------------


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:  # JSON knows integers of any length
        return None


def _nodata(value: Any) -> float | None:
    return float(value) if value in ("nan", "inf", "-inf") else _number(value)


def _whole(value: Any) -> int | None:
    number = _number(value)
    return int(value) if number is not None and number.is_integer() and abs(number) < 2**63 else None


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _list_of(convert: Callable[[Any], Any]) -> Callable[[Any], list[Any] | None]:
    def each(value: Any) -> list[Any] | None:
        if not isinstance(value, list | tuple):
            return None
        values = [convert(entry) for entry in value]
        return None if None in values else values

    return each


_texts = _list_of(_text)
_CONVERTERS: dict[Any, Callable[[Any], Any]] = {
    pa.string(): _text,
    pa.float64(): _number,
    pa.int64(): _whole,
    _TIME: _moment,
    _TEXTS: _texts,
    _NUMBERS: _list_of(_number),
    pa.list_(pa.int64()): _list_of(_whole),
}


def _converter(kinds: Mapping[str, pa.DataType], **special: Callable[[Any], Any]) -> Callable[[Any], Document]:
    converters = {name: special.get(name) or _CONVERTERS[kind] for name, kind in kinds.items()}

    def convert(value: Any) -> Document:
        return {name: converters[name](entry) for name, entry in value.items() if name in converters}

    return convert


_band = _converter(_BAND, nodata=_nodata)
_asset = _converter(_ASSET, bands=_list_of(lambda value: _band(value) if isinstance(value, Mapping) else {}))
_link = _converter(_LINK)


def _assets(item: Placed) -> list[tuple[str, Document]]:
    return [
        (_text(key) or "", {**_asset(asset), "href": _absolute(asset.get("href"), item)})
        for key, asset in item.document.get("assets", {}).items()
    ]


def _links(item: Placed) -> list[Document]:
    """The item's own JSON, its collection, and what is outside the lake: the index is read without what is around."""
    links = [{"rel": "self", "href": f"{item.folder}/{item.name}", "type": "application/geo+json"}]
    if item.document.get("collection"):
        href = f"{item.folder.rpartition('/')[0]}/{COLLECTION}"
        links.append({"rel": "collection", "href": href, "type": "application/json"})
    outside = (link for link in item.document.get("links", ()) if "://" in str(link.get("href")))
    return [*links, *(_link(link) for link in outside if link.get("rel") not in _STRUCTURE)]


def _absolute(href: Any, item: Placed) -> str | None:
    if isinstance(href, str) and href.startswith("./"):
        return f"{item.folder}/{href.removeprefix('./')}"
    return _text(href)


def _box(bbox: Any) -> dict[str, float] | None:
    """A box in degrees: of six numbers, those that are no heights."""
    if not bbox:
        return None
    return dict(zip(_BOX, map(float, bbox if len(bbox) == 4 else (bbox[0], bbox[1], bbox[3], bbox[4])), strict=True))


def _wkb(geometries: Iterable[Any]) -> list[bytes | None]:
    texts = [json.dumps(geometry) if geometry else None for geometry in geometries]
    return list(
        shapely.to_wkb(shapely.from_geojson(np.asarray(texts, dtype=object), on_invalid="ignore"), flavor="iso")
    )


# --- and back ---------------------------------------------------------------------------------------------------------


def _document(row: Document, geometry: str | None) -> Document:
    properties = _present({name: row[name] for name in _PROPERTIES})
    box = row["bbox"] if row["bbox"] and row["bbox"]["xmin"] is not None else None
    document = {
        **{name: row[name] for name in ("type", "stac_version", "stac_extensions", "id")},
        "geometry": json.loads(geometry) if geometry else None,
        "bbox": [box[side] for side in _BOX] if box else None,
        "properties": {"datetime": None} | {name: _json(value) for name, value in properties.items()},
        "links": [_present(link) for link in row["links"]],
        "assets": {key: _restored(asset) for key, asset in row["assets"]},
        "collection": row["collection"],
    }
    return document if box else {name: value for name, value in document.items() if name != "bbox"}


def _restored(asset: Document) -> Document:
    asset = _present(asset)
    if "bands" in asset:
        bands = [_present(band) for band in asset["bands"]]
        asset["bands"] = [
            {**band, "nodata": _json_nodata(band["nodata"])} if "nodata" in band else band for band in bands
        ]
    return asset


def _present(fields: Document) -> Document:
    return {name: value for name, value in fields.items() if value is not None}


def _json(value: Any) -> Any:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def _json_nodata(value: float) -> float | int | str:
    if not math.isfinite(value):
        return str(value)
    return int(value) if value.is_integer() else value
