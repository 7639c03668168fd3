from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.products.planet import bands_of, scene_facts
from up42_pipelines.lake.products.recognise import recognise
from up42_pipelines.lake.products.records import SceneFacts

Unpacked = Callable[..., Any]
ITEM = "20240501_101112_13_24b1"
ACQUIRED = {
    "acquired": "2024-05-01T10:11:12.13Z",
    "cloud_cover": 0.02,
    "gsd": 3.8,
    "instrument": "PSB.SD",
    "satellite_id": "24b1",
    "provider": "planetscope",
    "sun_elevation": 51.5,
    "view_angle": 2.9,
    "satellite_azimuth": 98.6,
}


def order(files: dict[str, bytes], **changes: Any) -> dict[str, str | bytes]:
    entries = [
        {
            "path": name,
            "digests": {"md5": hashlib.md5(content).hexdigest(), "sha256": hashlib.sha256(content).hexdigest()},
            "annotations": {"planet/item_id": ITEM, "planet/item_type": "PSScene"},
        }
        for name, content in files.items()
    ]
    return {"manifest.json": json.dumps({"files": entries}), **files, **changes}


def files(tiff: bytes) -> dict[str, bytes]:
    return {
        f"files/{ITEM}_3B_AnalyticMS_SR_8b_clip.tif": tiff,
        f"files/{ITEM}_3B_udm2_clip.tif": tiff + b"1",
        f"files/{ITEM}_3B_Visual_clip.tif": tiff + b"2",
        f"files/{ITEM}_metadata.json": json.dumps({"properties": ACQUIRED}).encode(),
    }


def test_an_order(unpacked: Unpacked, tiff: bytes) -> None:
    contents = recognise(unpacked(order(files(tiff))))
    (product,) = contents.products
    assert (product.kind, product.name, contents.all_problems) == ("planet", ITEM, ())
    assert [(raster.key, raster.roles[0], len(raster.bands)) for raster in product.rasters] == [
        ("analytic_sr_8b", "data", 8),
        ("udm2", "data-mask", 0),
        ("visual", "visual", 3),
    ]
    assert product.facts.cloud_cover_percent == 2
    assert (product.facts.off_nadir_deg, product.facts.platform) == (2.9, "24b1")
    assert sorted(document.key for document in product.documents) == [f"{ITEM}_metadata", "manifest"]


def test_a_file_with_another_checksum_is_corrupt_and_is_not_landed(unpacked: Unpacked, tiff: bytes) -> None:
    flipped = {f"files/{ITEM}_3B_udm2_clip.tif": tiff + b"\0"}
    contents = recognise(unpacked(order(files(tiff), **flipped)))
    assert [raster.key for raster in contents.products[0].rasters] == ["analytic_sr_8b", "visual"]
    with pytest.raises(InvalidDelivery, match=r"udm2_clip\.tif: its sha256 is not that of the manifest"):
        contents.check()


def test_md5_is_compared_where_there_is_nothing_better(unpacked: Unpacked, tiff: bytes) -> None:
    document = {"files": [{"path": "a.tif", "digests": {"md5": "0" * 32}}]}
    contents = recognise(unpacked({"manifest.json": json.dumps(document), "a.tif": tiff}))
    assert [problem.message for problem in contents.all_problems] == ["its md5 is not that of the manifest"]


def test_a_file_that_was_not_delivered(unpacked: Unpacked, tiff: bytes) -> None:
    members = order(files(tiff))
    del members[f"files/{ITEM}_3B_udm2_clip.tif"]
    assert [problem.severity for problem in recognise(unpacked(members)).all_problems] == ["incomplete"]


@pytest.mark.parametrize("path", ["../../etc/hostname", "/etc/hostname", 7, None])
def test_a_manifest_that_points_out_of_the_delivery(unpacked: Unpacked, tiff: bytes, path: object) -> None:
    document = {"files": [{"path": path, "digests": {}}]}
    contents = recognise(unpacked({"manifest.json": json.dumps(document), "a.tif": tiff}))
    assert [problem.severity for problem in contents.all_problems] == ["hostile"]


@pytest.mark.parametrize("document", ['{"digests"', '["digests"]', '{"files": {"digests": 1}}'])
def test_a_manifest_that_is_none(unpacked: Unpacked, document: str) -> None:
    with pytest.raises(InvalidDelivery, match=r"manifest\.json"):
        recognise(unpacked({"manifest.json": document.replace('"digests"', '"digests" ', 1).replace('" ', '"')}))


def test_bands_are_named_only_when_their_number_is_told() -> None:
    assert [band.name for band in bands_of("3B_AnalyticMS", "PSScene4Band", "")] == ["blue", "green", "red", "nir"]
    assert len(bands_of("3B_AnalyticMS_SR", "PSScene", "ortho_analytic_8b_sr")) == 8
    assert bands_of("3B_AnalyticMS", "PSScene", "") == ()


@pytest.mark.parametrize("item", [None, [], {}, {"properties": 7}, {"properties": {"instruments": 7, "gsd": "x"}}])
def test_odd_metadata_have_no_facts(item: Any) -> None:
    assert scene_facts(item) == SceneFacts()
