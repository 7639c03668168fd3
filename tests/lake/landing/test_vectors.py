"""Detections land as GeoParquet: alone, beside rasters, out of an archive."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pyarrow.parquet as pq
import pystac
import pytest
import shapely
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake import (
    PARQUET_MEDIA_TYPE,
    Check,
    DeliveryRules,
    Lake,
    Severity,
    read_features,
    read_item,
    search,
)
from up42_pipelines.lake.content import Kind, kind_by_content, kind_of
from up42_pipelines.lake.stac.validation import problems, unchecked
from up42_pipelines.lake.upkeep.repair import repair
from up42_pipelines.lake.upkeep.verify import verify

GEOJSON, GEOPACKAGE = "application/geo+json", "application/geopackage+sqlite3"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
JPEG = b"\xff\xd8\xff\xe0" + bytes(200)
BOW_TIE = [[[13.1, 52.1], [13.2, 52.2], [13.2, 52.1], [13.1, 52.2], [13.1, 52.1]]]
CHECKS = {Check.COVERAGE, Check.BANDS, Check.NODATA, Check.CLOUD, Check.GEOMETRIES, Check.CHECKSUM, Check.COMPLETE}


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


def detections(*rings, **members):
    features = [
        {
            "type": "Feature",
            "id": index,
            "properties": {"class": "ship", "score": index / 10},
            "geometry": {"type": "Polygon", "coordinates": ring},
        }
        for index, ring in enumerate(rings)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features, **members}).encode()


SQUARE = [[[13.1, 52.1], [13.2, 52.1], [13.2, 52.2], [13.1, 52.2], [13.1, 52.1]]]


@pytest.fixture
def delivery(files, up42_item):
    """As a detection is delivered: the features, a thumbnail, metadata."""

    def make(content=None, media_type=GEOJSON, roles=("data",), name="detections.geojson", **changes):
        files.put("f1", detections(SQUARE, SQUARE) if content is None else content)
        files.put("f2", JPEG)
        files.put("f3", b'{"a": 1}')
        return up42_item(
            {
                name: (f"{files.url}/f1", media_type, list(roles)),
                "thumbnail.jpg": (f"{files.url}/f2", "image/jpeg", ["thumbnail"]),
                "metadata.json": (f"{files.url}/f3", "application/json", ["metadata"]),
            },
            **changes,
        )

    return make


def found(landed, check):
    (one,) = (finding for finding in landed.findings if finding.check == check)
    return one


def test_detections_land_whole(land, lake, delivery):
    source = delivery()
    landed = land(lake, source)
    folder = ("collections", "phr", source.id)
    assert lake.list(*folder) == sorted([f"{source.id}.json", "detections.parquet", "metadata.json", "thumbnail.jpg"])
    asset = landed.item.assets["detections.geojson"]
    fields = asset.extra_fields
    assert (asset.media_type, asset.roles) == (PARQUET_MEDIA_TYPE, ["data"])
    assert (fields["table:row_count"], fields["table:primary_geometry"]) == (2, "geometry")
    assert fields["table:columns"] == [
        {"name": "id", "type": "int64"},
        {"name": "class", "type": "string"},
        {"name": "score", "type": "double"},
        {"name": "geometry", "type": "binary"},
        {"name": "bbox", "type": "struct"},
    ]
    assert (fields["proj:code"], fields["proj:bbox"]) == ("OGC:CRS84", [13.1, 52.1, 13.2, 52.2])
    assert fields["file:size"] == lake.size(*folder, "detections.parquet")
    assert fields["processing:lineage"] == "Converted to GeoParquet from GeoJSON: 2 features."
    assert landed.item.properties["processing:lineage"] == (
        "Delivered by UP42. Converted to GeoParquet: detections.geojson. Everything else kept as delivered."
    )
    assert landed.item.geometry == source.geometry
    with lake.fs.open(asset.href, "rb") as file:
        assert pq.read_table(file)["score"].to_pylist() == [0.0, 0.1]
    assert [geometry.bounds for geometry in read_features(lake, asset.href, 1)] == [(13.1, 52.1, 13.2, 52.2)]
    assert {finding.check for finding in landed.findings if finding.passed} == CHECKS
    assert found(landed, Check.COVERAGE).detail == found(landed, Check.BANDS).detail == "It has no rasters."
    assert found(landed, Check.GEOMETRIES).detail == "All of 2 features are valid."


def test_the_item_is_valid_stac(land, lake, delivery):
    source = delivery()
    land(lake, source)
    document = lake.read_json("collections", "phr", source.id, f"{source.id}.json")
    JsonSchemaSTACValidator().validate_core(document, pystac.STACObjectType.ITEM, "1.1.0")
    assert "https://stac-extensions.github.io/table/v1.2.0/schema.json" in document["stac_extensions"]
    assert problems(document) == ()
    assert not any("table" in uri or "projection" in uri for uri in unchecked(document))
    document["assets"]["detections.geojson"]["table:row_count"] = "two"
    assert problems(document) != ()


def test_what_landed_is_known_to_all_who_look(land, lake, delivery, files):
    """Again without a request; catalogue, index, verification, repair."""
    source = delivery()
    first = land(lake, source)
    files.requests.clear()
    again = land(lake, source)
    assert (again.already_there, files.requests) == (True, [])
    assert again.item.to_dict(transform_hrefs=False) == first.item.to_dict(transform_hrefs=False)
    assert [finding.passed for finding in again.findings] == [True] * len(CHECKS)
    assert list(verify(lake)) == []
    (row,) = search(lake, "phr")
    assert row["assets"]["detections.geojson"]["type"] == PARQUET_MEDIA_TYPE
    for name in ("collection.json",):
        lake.remove("collections", "phr", name)
    assert [one.items for one in repair(lake)] == [1]
    assert list(verify(lake)) == []
    lake.write_bytes(b"PAR1", "collections", "phr", source.id, "detections.parquet")
    assert [finding.kind for finding in verify(lake)] == ["wrong size"]
    healed = land(lake, source)
    assert (healed.assets_fetched, len(files.requests)) == (1, 1)
    assert list(verify(lake)) == []


def test_nothing_detected_is_a_result(land, lake, delivery):
    landed = land(lake, delivery(detections()))
    asset = landed.item.assets["detections.geojson"]
    assert asset.extra_fields["table:row_count"] == 0
    assert read_features(lake, asset.href, 10) == []
    assert not landed.withheld
    assert read_item(lake, "phr", landed.item.id) is not None


def test_a_geopackage_of_another_crs(land, lake, delivery, tmp_path):
    with closing(sqlite3.connect(tmp_path / "a.gpkg")) as connection:
        connection.executescript(
            "PRAGMA application_id = 0x47504B47;"
            "CREATE TABLE gpkg_contents (table_name TEXT, data_type TEXT);"
            "CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, srs_id INTEGER);"
            "CREATE TABLE gpkg_spatial_ref_sys (srs_id, organization, organization_coordsys_id, definition);"
            "CREATE TABLE ships (fid INTEGER PRIMARY KEY, geom BLOB);"
            "INSERT INTO gpkg_contents VALUES ('ships', 'features');"
            "INSERT INTO gpkg_geometry_columns VALUES ('ships', 'geom', 32633);"
            "INSERT INTO gpkg_spatial_ref_sys VALUES (32633, 'EPSG', 32633, '');"
        )
        blob = b"GP\0\x01" + bytes(4) + shapely.to_wkb(shapely.box(500_000, 5_800_000, 501_000, 5_801_000))
        connection.execute("INSERT INTO ships VALUES (7, ?)", (blob,))
        connection.commit()
    content = (tmp_path / "a.gpkg").read_bytes()
    source = delivery(content, GEOPACKAGE, name="../ships.gpkg", geometry=None)
    landed = land(lake, source)
    asset = landed.item.assets["../ships.gpkg"]
    assert asset.href.endswith(".parquet")
    assert "/../" not in asset.href
    assert (asset.extra_fields["proj:code"], asset.extra_fields["proj:bbox"][0]) == ("EPSG:32633", 500_000)
    # Without a place of its own, the item is where its features are.
    assert shapely.geometry.shape(landed.item.geometry).distance(shapely.Point(15.005, 52.355)) < 1e-9
    assert landed.item.bbox == pytest.approx([15, 52.3503, 15.0147, 52.3593], abs=1e-3)


def test_beside_a_raster_the_geometry_is_the_pixels(land, lake, delivery, files, cog_bytes):
    source = delivery()
    files.put("f4", cog_bytes)
    source.assets["image"] = pystac.Asset(f"{files.url}/f4", media_type=COG, roles=["data"])
    landed = land(lake, source)
    types = {key: asset.media_type for key, asset in landed.item.assets.items()}
    assert (types["image"], types["detections.geojson"]) == (COG, PARQUET_MEDIA_TYPE)
    assert landed.item.geometry == landed.item.assets["image"].extra_fields["up42-pipelines:valid_footprint"]
    assert "have valid pixels" in found(landed, Check.COVERAGE).detail


def test_invalid_geometries_are_shown_and_kept(land, lake, delivery):
    source = delivery(detections(BOW_TIE, SQUARE))
    landed = land(lake, source)
    finding = found(landed, Check.GEOMETRIES)
    assert (finding.passed, finding.severity) == (False, Severity.WARN)
    assert finding.detail.startswith("1 geometries of detections.geojson are not valid")
    assert finding.figures["features"]["detections.geojson"] == {"features": 2, "invalid": 1, "without_geometry": 0}
    assert "kept as delivered" in landed.item.assets["detections.geojson"].extra_fields["processing:lineage"]
    assert not landed.withheld
    strict = DeliveryRules(severities={Check.GEOMETRIES: Severity.ERROR})
    assert set(land(lake, source, rules=strict).withheld) == {str(Check.GEOMETRIES)}


@pytest.mark.parametrize(
    ("content", "media_type", "reason"),
    [
        (b'{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": 1}]}', GEOJSON, "Feature 1: "),
        (b'{"type": "FeatureCollection"}', GEOJSON, "no GeoJSON"),
        (b"<html>", GEOJSON, "neither GeoJSON nor GeoPackage: it starts with b'<html>'"),
        (b"SQLite format 3\0" + bytes(200), GEOPACKAGE, "cannot be read as a GeoPackage"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_item(land, lake, delivery, content, media_type, reason):
    source = delivery(content, media_type)
    with pytest.raises(InvalidDelivery, match=rf"asset 'detections.geojson': .*{reason}.* Nothing of the item was"):
        land(lake, source)
    assert read_item(lake, "phr", source.id) is None
    assert lake.fs.find(lake.root) == []


def test_a_worker_of_its_own_starts_when_there_are_features(land, lake, delivery):
    landed = land(lake, delivery(), vectors=None)
    assert landed.item.assets["detections.geojson"].media_type == PARQUET_MEDIA_TYPE


@pytest.mark.parametrize(
    ("members", "landed"),
    [
        ({"out/ships.geojson": detections(SQUARE), "out/readme.txt": b"a"}, {"ships": 1, "readme": None}),
        ({"data.json": detections(SQUARE, SQUARE)}, {"data": 2}),
        ({"a/x.geojson": detections(SQUARE), "b/x.geojson": detections()}, {"x_geojson": 1, "x_geojson-2": 0}),
    ],
)
def test_an_archive_of_features(land, lake, files, up42_item, zipped, members, landed):
    files.put("f1", zipped(members))
    source = up42_item({"result": (f"{files.url}/f1", "application/zip", ["data"])})
    item = land(lake, source).item
    assert {key: asset.extra_fields.get("table:row_count") for key, asset in item.assets.items()} == landed
    assert list(verify(lake)) == []
    files.requests.clear()
    assert land(lake, source).already_there
    assert files.requests == []


def test_beside_rasters_an_archive_has_papers(land, lake, files, up42_item, zipped, cog_bytes):
    """What a provider packs beside imagery is an outline of it."""
    files.put("f1", zipped({"image.tif": cog_bytes, "outline.geojson": detections(SQUARE)}))
    source = up42_item({"result": (f"{files.url}/f1", "application/zip", ["data"])})
    item = land(lake, source).item
    assert {key: asset.media_type for key, asset in item.assets.items() if "quicklook" not in key} == {
        "image": COG,
        "outline": GEOJSON,
    }


@pytest.mark.parametrize(
    ("media_type", "roles", "href", "content", "claimed", "kind"),
    [
        (GEOJSON, ["data"], "a", b"{}", Kind.VECTOR, Kind.VECTOR),
        (f"{GEOJSON}; charset=utf-8", None, "a", b"{}", Kind.VECTOR, Kind.VECTOR),
        (GEOPACKAGE, ["data", "detections"], "a", b"", Kind.VECTOR, Kind.VECTOR),
        (GEOJSON, ["metadata"], "a", b"{}", Kind.FILE, Kind.FILE),
        (None, ["data"], "a/ships.GEOJSON", b"{}", Kind.VECTOR, Kind.VECTOR),
        (None, None, "a/ships.gpkg", b"", Kind.VECTOR, Kind.VECTOR),
        (None, ["data"], "a", detections(), Kind.RASTER, Kind.VECTOR),
        ("application/octet-stream", ["data"], "a", detections(), Kind.RASTER, Kind.VECTOR),
        ("application/json", ["data"], "a", detections(), Kind.FILE, Kind.VECTOR),
        ("application/json", ["data"], "a", b'{"a": 1}', Kind.FILE, Kind.FILE),
        ("application/json", ["metadata"], "a", detections(), Kind.FILE, Kind.FILE),
        (None, None, "a", detections(), Kind.FILE, Kind.FILE),
        (None, None, "a", b"II*\0", Kind.FILE, Kind.RASTER),
        ("image/tiff", ["data"], "a", detections(), Kind.RASTER, Kind.RASTER),
        (PARQUET_MEDIA_TYPE, ["data"], "a", b"PAR1", Kind.FILE, Kind.FILE),
    ],
)
def test_how_an_asset_is_landed(tmp_path, media_type, roles, href, content, claimed, kind):
    (tmp_path / "a").write_bytes(content)
    asset = pystac.Asset(f"https://host/{href}", media_type=media_type, roles=roles)
    assert (kind_of(asset), kind_by_content(asset, tmp_path / "a")) == (claimed, kind)
