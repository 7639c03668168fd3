"""`aoi`."""

import json

import numpy as np
import pyogrio.raw
import pytest
from shapely.geometry import box, shape

from up42_pipelines.ordering.aoi import read_aoi

PLACE = box(13.37, 52.51, 13.38, 52.52)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "harbour.wkt").write_text(PLACE.wkt)
    return tmp_path / "harbour.wkt"


def test_in_words(cli, file):
    said = cli(["aoi", str(file)])
    assert (said.code, said.stderr) == (0, "")
    assert said.lines[:4] == [
        "aoi          harbour",
        "area         0.7554 km²",
        "vertices     5",
        "west, south  13.370000, 52.510000",
    ]


def test_as_geojson(cli, file):
    feature = cli(["aoi", str(file), "--json"]).json
    assert (feature["type"], feature["properties"]) == ("Feature", {"name": "harbour"})
    assert shape(feature["geometry"]).equals(PLACE)


def test_what_it_writes_a_pipeline_reads(cli, file, tmp_path):
    target = tmp_path / "aois" / "harbour.geojson"
    said = cli(["aoi", str(file), "--to", str(target)])
    assert f"written to   {target}" in said.lines
    assert read_aoi(target).geometry.equals(PLACE)
    target.write_text("mine")
    said = cli(["aoi", str(file), "--to", str(target)])
    assert (said.code, target.read_text()) == (2, "mine")
    assert "File exists" in said.stderr


def test_what_up42_does_not_take(cli, tmp_path):
    (tmp_path / "line.wkt").write_text("LINESTRING (0 0, 1 1)")
    said = cli(["aoi", str(tmp_path / "line.wkt"), "--json"])
    assert (said.code, said.stdout) == (1, "")
    assert json.loads(said.stderr)["error"]["type"] == "AoiRejected"
    assert cli(["aoi", str(tmp_path / "line.wkt"), "--layer", "x", "--to"]).code == 2


def test_a_layer_of_several(cli, tmp_path):
    for name, place in (("here", PLACE), ("there", box(0, 0, 0.1, 0.1))):
        pyogrio.raw.write(
            tmp_path / "both.gpkg",
            np.array([place.wkb], dtype=object),
            [np.array([1])],
            fields=np.array(["n"]),
            geometry_type="Polygon",
            crs="EPSG:4326",
            layer=name,
            append=name == "there",
        )
    assert shape(cli(["aoi", str(tmp_path / "both.gpkg"), "--layer", "here", "--json"]).json["geometry"]).equals(PLACE)
    assert "name the one that holds the AOI" in cli(["aoi", str(tmp_path / "both.gpkg")]).stderr
