"""Every file of the real and hostile STAC beside the repository, with a stated result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.names import check_part, safe_name
from up42_pipelines.lake.rasters.raster import RasterInfo
from up42_pipelines.lake.stac import extensions, validation
from up42_pipelines.lake.stac.item import SOURCE_HREF, LandedAsset, lake_item, source_item, without_query

RASTER = RasterInfo(
    driver="GTiff",
    width=20,
    height=10,
    count=1,
    dtypes=("uint16",),
    nodata=(0.0,),
    crs_code="EPSG:32633",
    crs_wkt=None,
    transform=(10.0, 0.0, 500_000.0, 0.0, -10.0, 5_800_000.0),
    bounds=(500_000.0, 5_799_900.0, 500_200.0, 5_800_000.0),
    gsd_m=10.0,
    descriptions=(None,),
    units=(None,),
    colorinterp=("gray",),
    scales=(1.0,),
    offsets=(0.0,),
    has_mask=False,
    has_gcps=False,
    has_rpcs=False,
    is_cog=True,
    footprint_4326={"type": "Polygon", "coordinates": [[[15, 52], [16, 52], [16, 53], [15, 53], [15, 52]]]},
    bbox=(15.0, 52.0, 16.0, 53.0),
)

# Every other item lands. The Sentinel-2 sample has its geometry in Colorado and its bbox in Finland.
REFUSED = {
    "examples_0.8.1_items/sentinel2-sample.json": "bbox: does not contain the geometry",
    "examples_0.9.0_items/sentinel2-sample.json": "bbox: does not contain the geometry",
    "examples_1.0.0-beta.2_items/sentinel2-sample.json": "bbox: does not contain the geometry",
    "invalid/invalid-datetimes.json": "properties/end_datetime: ",
    "invalid/invalid-item.json": "id: ''",
    "invalid/made_bbox_geometry_mismatch.json": "bbox: does not contain the geometry",
    "invalid/made_datetime_null_without_range.json": "If datetime is None, a start_datetime and end_datetime must",
    "invalid/made_stac_version_9.json": "has STAC version '9.9.9'; 0.8 to 1.1 can be read",
    "providers/up42_search_response.json": "has STAC version 'None'",
}
# Lands; these properties of the source are set aside.
SET_ASIDE = {
    "planet_disaster_1.0.0-beta.2_with_local_assets/hurricane-harvey/hurricane-harvey-0831/"
    "Houston-East-20170831-103f-100d-0f4f-RGB/Houston-East-20170831-103f-100d-0f4f-RGB.json": {"proj:epsg_code"},
}
# Collections and catalogues, and what is wrong with them; every other one is of STAC 1.1.0 and valid, or older.
INVALID = {
    "invalid/invalid-catalog/catalog.json": '"stac_version" is a required property',
    "invalid/invalid-collection.json": "type: None",
    "invalid/fedeo_clearinghouse.json": "stac_version: '1.0.0'",
}
NOT_STAC = {"up42_real/collections_page.json"}


@dataclass(frozen=True)
class Found:
    name: str
    document: dict[str, Any]

    @property
    def is_item(self) -> bool:
        return self.document.get("type") == "Feature"


@pytest.fixture
def found(real_data: Path) -> list[Found]:
    folder, documents = real_data / "stac", []
    for path in sorted(folder.rglob("*.json")):
        content = json.loads(path.read_text())
        several = content if isinstance(content, list) else content.get("features", [content])
        documents += [Found(path.relative_to(folder).as_posix(), document) for document in several]
    return documents


def land(document):
    source = source_item(document)
    landed = {
        key: LandedAsset(
            file_name=safe_name(key),
            size=1,
            sha256="ab" * 32,
            media_type="image/tiff",
            source_href=without_query(asset.href),
            raster=RASTER if number == 0 else None,
        )
        for number, (key, asset) in enumerate(source.assets.items())
    }
    return lake_item(source, landed, collection_id="c").to_dict(transform_hrefs=False)


def test_every_item_lands_or_is_refused_as_stated(found):
    refused, aside, undeclared, items = {}, {}, {}, 0
    for file in filter(lambda file: file.is_item, found):
        items += 1
        try:
            document = land(file.document)
        except InvalidDelivery as error:
            refused[file.name] = str(error)
            continue
        assert validation.problems(document) == ()
        assert document["stac_version"] == "1.1.0"
        assert document["id"] == file.document["id"]
        # None at all in `invalid/made_no_assets.json` and some catalogues: nothing to fetch, which landing refuses.
        assert document["assets"].keys() == file.document["assets"].keys()
        if set_aside := document["properties"].get(extensions.SET_ASIDE):
            aside[file.name] = set(set_aside)
        undeclared[file.name] = document["properties"].get(extensions.UNDECLARED, [])
    assert items > 150
    assert refused.keys() == REFUSED.keys()
    assert {name: told in refused[name] for name, told in REFUSED.items()} == dict.fromkeys(REFUSED, True)
    assert aside == SET_ASIDE
    assert not any(undeclared.values())


def test_every_collection_and_catalogue_is_judged_as_stated(found):
    judged = {
        file.name: validation.problems(file.document)
        for file in found
        if not file.is_item and file.name not in NOT_STAC
    }
    assert len(judged) > 40
    for file in found:
        if file.name in judged:
            assert (judged[file.name] == ()) == (file.document.get("stac_version") == "1.1.0"), file.name
    told = {name: any(words in problem for problem in judged[name]) for name, words in INVALID.items()}
    assert told == dict.fromkeys(INVALID, True)


def test_up42s_own_items_keep_everything_that_up42_says(found):
    for file in found:
        if file.name in {"up42_real/items_of_collection.json", "up42_real/search_page.json"} and file.is_item:
            before, after = file.document["properties"], land(file.document)["properties"]
            kept = {name: value for name, value in before.items() if name not in {"datetime", "proj:epsg"}}
            assert after.items() >= kept.items()
            assert after["datetime"] == before["datetime"].replace("+00:00", "Z")
            assert after.get("proj:code") == (f"EPSG:{before['proj:epsg']}" if before["proj:epsg"] else None)
            assert after.get("order:status") == ("succeeded" if "up42-order:status" in before else None)


def test_hostile_names_stay_in_the_json_and_out_of_the_paths(found):
    documents = {file.name: file.document for file in found}
    keys = land(documents["invalid/made_asset_keys_hostile.json"])["assets"]
    assert set(keys) == {"../evil", "a/b", "", "A", "a"}
    for asset in keys.values():
        assert check_part(asset["href"].removeprefix("./"))
    hostile = documents["invalid/made_id_hostile.json"]
    assert land(hostile)["id"] == hostile["id"]
    assert check_part(safe_name(hostile["id"]))


@pytest.mark.parametrize("name", ["made_asset_href_path_traversal", "made_asset_href_file_and_loopback"])
def test_hostile_addresses_are_not_where_the_file_is(found, name):
    (document,) = (file.document for file in found if file.name == f"invalid/{name}.json")
    for key, asset in land(document)["assets"].items():
        assert asset["href"] == f"./{safe_name(key)}"


def test_a_signature_is_not_written_down(found):
    (document,) = (file.document for file in found if file.name == "invalid/made_presigned_expired_href.json")
    landed = land(document)
    assert landed["assets"]["data"][SOURCE_HREF] == "https://example.com/bucket/asset.tif"
    assert "X-Goog" not in json.dumps(landed)
