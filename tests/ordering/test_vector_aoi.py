"""AOIs out of vector files that are no GeoJSON."""

from __future__ import annotations

import json
import sys

import numpy as np
import pyogrio.raw
import pyproj
import pytest
import shapely
from shapely.geometry import Point, box, mapping

from up42_pipelines.errors import AoiRejected, ConfigurationError
from up42_pipelines.ordering.aoi import AoiLimits, read_aoi
from up42_pipelines.ordering.vector_aoi import read_vector_aoi

BERLIN = box(13.37, 52.51, 13.38, 52.52)
KML = """<kml xmlns="http://www.opengis.net/kml/2.2"><Placemark><Polygon><outerBoundaryIs><LinearRing><coordinates>
{}</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark></kml>"""


def write(path, *geometries, crs="EPSG:4326", layer=None, append=False):
    encoded = np.array([None if one is None else shapely.to_wkb(one) for one in geometries], dtype=object)
    geometry_type = {"Point": "Point"}.get(getattr(geometries[0], "geom_type", ""), "Polygon")
    number = [np.arange(len(geometries))]
    options = {"layer": layer, "append": append}
    pyogrio.raw.write(path, encoded, number, fields=np.array(["n"]), geometry_type=geometry_type, crs=crs, **options)
    return path


def in_crs(geometry, crs):
    move = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform
    return shapely.transform(geometry, lambda points: np.column_stack(move(*points.T)))


def kml(tmp_path, height):
    places = " ".join(f"{x},{y},{height}" for x, y in BERLIN.exterior.coords)
    (tmp_path / "berlin.kml").write_text(KML.format(places))
    return tmp_path / "berlin.kml"


def rule_of(path, **options):
    with pytest.raises(AoiRejected) as refused:
        read_vector_aoi(path, **options)
    assert refused.value.source == str(path)
    return refused.value.rule


@pytest.mark.parametrize("suffix", ["gpkg", "shp", "fgb"])
def test_what_people_have(tmp_path, suffix):
    aoi = read_vector_aoi(write(tmp_path / f"berlin.{suffix}", BERLIN))
    assert aoi.name == "berlin"
    assert aoi.geometry.equals_exact(shapely.orient_polygons(BERLIN), 1e-9, normalize=True)


@pytest.mark.parametrize("crs", ["EPSG:25833", "EPSG:3857", "EPSG:3035"])
def test_metres_become_degrees(tmp_path, crs):
    aoi = read_vector_aoi(write(tmp_path / "berlin.gpkg", in_crs(BERLIN, crs), crs=crs))
    assert aoi.geometry.equals_exact(shapely.orient_polygons(BERLIN), 1e-6, normalize=True)


def test_wkt_and_geojson(tmp_path):
    (tmp_path / "berlin.wkt").write_text(BERLIN.wkt, encoding="utf-8-sig")
    (tmp_path / "berlin.geojson").write_text(json.dumps(mapping(BERLIN)))
    of_wkt, of_geojson = (read_vector_aoi(tmp_path / f"berlin.{suffix}") for suffix in ("wkt", "geojson"))
    assert of_wkt.name == of_geojson.name == "berlin"
    assert of_wkt.geometry == of_geojson.geometry == read_aoi(tmp_path / "berlin.geojson").geometry


def test_the_altitude_of_a_kml_is_dropped_when_it_says_nothing(tmp_path):
    assert not read_vector_aoi(kml(tmp_path, 0)).geometry.has_z
    assert rule_of(kml(tmp_path, 34)) == "no-z"


def test_features_that_meet_are_one(tmp_path):
    path = write(tmp_path / "two.gpkg", BERLIN, box(13.38, 52.51, 13.39, 52.52))
    assert read_vector_aoi(path).bbox == (13.37, 52.51, 13.39, 52.52)


def test_a_layer_of_several(tmp_path):
    path = write(tmp_path / "both.gpkg", BERLIN, layer="here")
    write(path, box(0, 0, 0.1, 0.1), layer="there", append=True)
    assert read_vector_aoi(path, layer="there").bbox == (0, 0, 0.1, 0.1)
    with pytest.raises(AoiRejected, match=r"layer: has 2 layers \(here, there\)"):
        read_vector_aoi(path)
    with pytest.raises(AoiRejected, match="layer: has no layer 'elsewhere', only here, there"):
        read_vector_aoi(path, layer="elsewhere")


def test_the_same_rules_as_for_geojson(tmp_path):
    holed = BERLIN.difference(box(13.373, 52.513, 13.375, 52.515))
    assert rule_of(write(tmp_path / "holed.gpkg", holed)) == "holes"
    assert rule_of(write(tmp_path / "point.gpkg", Point(13, 52))) == "type"
    assert rule_of(write(tmp_path / "none.gpkg", None)) == "type"
    (tmp_path / "large.geojson").write_text(json.dumps(mapping(BERLIN)))
    for path in (write(tmp_path / "large.gpkg", BERLIN), tmp_path / "large.geojson"):
        assert rule_of(path, limits=AoiLimits(max_area_km2=0.1)) == "area"


def test_what_cannot_be_read(tmp_path, monkeypatch):
    assert rule_of(tmp_path / "absent.gpkg") == "file"
    (tmp_path / "text.gpkg").write_text("not a GeoPackage")
    assert rule_of(tmp_path / "text.gpkg") == "file"
    (tmp_path / "text.wkt").write_text("POLYGON ((13 52")
    assert rule_of(tmp_path / "text.wkt") == "file"
    (tmp_path / "curve.wkt").write_text("CURVEPOLYGON (CIRCULARSTRING (13 52, 14 52, 13 52))")
    assert rule_of(tmp_path / "curve.wkt") == "type"
    write(tmp_path / "nowhere.shp", BERLIN).with_suffix(".prj").unlink()
    with pytest.raises(AoiRejected, match="crs: the file does not say in which CRS it is"):
        read_vector_aoi(tmp_path / "nowhere.shp")
    monkeypatch.setattr("up42_pipelines.ordering.vector_aoi.MAX_FILE_BYTES", 10)
    assert rule_of(tmp_path / "text.gpkg") == "size"


def test_without_pyogrio_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyogrio.raw", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'up42-pipelines\[vectors\]'"):
        read_vector_aoi(write(tmp_path / "berlin.gpkg", BERLIN))


def test_files_of_other_people(shared_data):
    samples = shared_data / "aois"
    for name in ("up42_berlin.kml", "up42_berlin.kmz", "up42_berlin.wkt"):
        assert read_vector_aoi(samples / name).area_km2 == pytest.approx(0.028, abs=0.001)
    for name, rule in {
        "kml_empty.kml": "layer",
        "kml_junk_after_document.kml": "file",
        "kml_odd_geometries.kml": "file",
        "kml_truncated.kml": "file",
        "ne_countries.fgb": "holes",
        "ne_switzerland_epsg2056_shapefile_no_prj.zip": "crs",
        "nybb_epsg2263_shapefile.zip": "vertices",
    }.items():
        assert rule_of(samples / name) == rule, name
