from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from up42_pipelines.lake.products.recognise import recognise

Unpacked = Callable[..., Any]


def result(path: object, **properties: Any) -> str:
    ring = [[13, 52], [14, 52], [14, 53], [13, 52]]
    feature = {
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"up42.data_path": path, **properties},
    }
    return json.dumps({"type": "FeatureCollection", "features": [feature]})


def test_the_raster_of_a_feature_and_its_facts(unpacked: Unpacked, tiff: bytes) -> None:
    acquisition = {"missionName": "Sentinel-2A", "sensorId": "MSI", "centerViewingDate": 1_576_836_871_024}
    document = result("u/u.tif", acquisition=acquisition, contentDescription={"cloudCoverPercentage": 1.5}, orbit=7)
    contents = recognise(unpacked({"output/data.json": document, "output/u/u.tif": tiff, "output/other.tif": tiff}))
    job, rest = contents.products
    assert (job.kind, [raster.key for raster in job.rasters]) == ("up42-job", ["u"])
    assert job.facts.datetime == datetime(2019, 12, 20, 10, 14, 31, 24_000, tzinfo=UTC)
    assert (job.facts.platform, job.facts.cloud_cover_percent) == ("sentinel-2a", 1.5)
    assert job.facts.footprint_4326 is not None
    assert (rest.kind, [raster.key for raster in rest.rasters]) == ("plain", ["other"])


@pytest.mark.parametrize(
    ("path", "severity"),
    [("gone.tif", "incomplete"), ("../../x.tif", "hostile"), ("/etc/hostname", "hostile"), (7, "hostile")],
)
def test_a_feature_without_its_raster(unpacked: Unpacked, tiff: bytes, path: object, severity: str) -> None:
    contents = recognise(unpacked({"output/data.json": result(path), "output/u.tif": tiff}))
    assert [problem.severity for problem in contents.all_problems] == [severity]


@pytest.mark.parametrize(
    "document", ['["up42.data_path"]', '{"features": ["up42.data_path", null, {"properties": 1}]}']
)
def test_a_document_of_another_shape_names_nothing(unpacked: Unpacked, tiff: bytes, document: str) -> None:
    contents = recognise(unpacked({"data.json": document, "u.tif": tiff}))
    assert [raster.key for product in contents.products for raster in product.rasters] == ["u"]
