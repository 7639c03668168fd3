"""The catalogue: STAC that validates, and no link lost whoever writes at the same time."""

from __future__ import annotations

import itertools
import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pystac
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake import Lake, LandedAsset, describe, index_collection, lake_item, read_item, write_item
from up42_pipelines.lake.stac import catalog, links

COG = "image/tiff; application=geotiff; profile=cloud-optimized"


@pytest.fixture(params=["local", "memory"])
def lake(request, tmp_path):
    return Lake(str(tmp_path / "lake") if request.param == "local" else f"memory://{uuid.uuid4()}")


@pytest.fixture
def landed(make_raster, noise):
    def make(**changes):
        def decorate(dataset):
            dataset.descriptions = ("blue", "green")
            dataset.scales, dataset.offsets, dataset.units = (0.5, 1), (0, 0), ("K", "K")

        info = describe(make_raster("a.tif", noise(2), decorate=decorate, nodata=0))
        asset = LandedAsset(
            file_name="ms.tif", size=10, sha256="ab" * 32, media_type=COG, source_href="https://h/a", raster=info
        )
        return replace(asset, **changes)

    return make


def small_item(item_id, west=0.0):
    box = [west, 0, west + 1, 1]
    ring = [[box[0], 0], [box[2], 0], [box[2], 1], [box[0], 1], [box[0], 0]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return pystac.Item(item_id, geometry, box, datetime(2024, 5, 1 + int(west), tzinfo=UTC), {})


def children(lake, *index, relation="item"):
    return sorted(link["href"] for link in lake.read_json(*index)["links"] if link["rel"] == relation)


class TestLakeItem:
    def test_the_source_stays_as_it_was(self, up42_item, landed):
        source = up42_item({"ms.tif": ("https://h/a?Signature=1", COG, ["data"])})
        before = source.to_dict(transform_hrefs=False)
        lake_item(source, {"ms.tif": landed()}, collection_id="phr")
        assert source.to_dict(transform_hrefs=False) == before

    def test_what_it_says(self, up42_item, landed):
        source = up42_item({"ms.tif": ("https://h/a", "image/tiff", ["data", "multispectral"])})
        item = lake_item(source, {"ms.tif": landed(kept=False)}, collection_id="phr", left_out={"data": "an archive"})
        document = item.to_dict(transform_hrefs=False)
        JsonSchemaSTACValidator().validate_core(document, pystac.STACObjectType.ITEM, "1.1.0")
        json.dumps(document, allow_nan=False)
        for name, value in source.properties.items():
            assert item.properties[name] == value
        assert item.geometry == source.geometry
        assert item.bbox == source.bbox
        asset = document["assets"]["ms.tif"]
        assert asset["href"] == "./ms.tif"
        assert asset["type"] == COG
        assert asset["roles"] == ["data", "multispectral"]
        assert asset["file:size"] == 10
        assert asset["file:checksum"] == "1220" + "ab" * 32
        assert asset["proj:code"] == "EPSG:32633"
        assert asset["proj:shape"] == [700, 650]
        assert asset["proj:transform"] == [0.5, 0, 500_000, 0, -0.5, 5_800_000]
        assert asset["proj:bbox"] == [500_000, 5_799_650, 500_325, 5_800_000]
        assert asset["bands"][0] == {
            "name": "blue",
            "data_type": "uint16",
            "nodata": 0,
            "unit": "K",
            "raster:scale": 0.5,
            "raster:offset": 0.0,
            "raster:spatial_resolution": 0.5,
        }
        assert "raster:scale" not in asset["bands"][1]
        links = {link["rel"]: link["href"] for link in document["links"]}
        assert links["derived_from"] == "https://api.up42.invalid/self"
        assert links["license"] == "https://api.up42.invalid/license"
        assert links["parent"] == links["collection"] == "../collection.json"
        assert set(item.properties["processing:software"]) == {"up42-pipelines", "GDAL"}
        assert "Converted without loss" in item.properties["processing:lineage"]
        assert item.properties["up42-pipelines:left_out"] == {"data": "an archive"}
        assert any("projection/v2" in extension for extension in document["stac_extensions"])
        assert any("raster/v2" in extension for extension in document["stac_extensions"])

    def test_a_crs_without_code_is_written_out(self, up42_item, landed):
        raster = replace(landed().raster, crs_code=None)
        item = lake_item(
            up42_item({"a": ("https://h/a", COG, ["data"])}), {"a": landed(raster=raster)}, collection_id="c"
        )
        assert item.assets["a"].extra_fields["proj:code"] is None
        assert item.assets["a"].extra_fields["proj:wkt2"].startswith("PROJCRS[")

    @pytest.mark.parametrize(("nodata", "said"), [(float("nan"), "nan"), (float("-inf"), "-inf"), (-9999.5, -9999.5)])
    def test_nodata_that_json_has_no_number_for(self, up42_item, landed, nodata, said):
        raster = replace(landed().raster, nodata=(nodata, None))
        item = lake_item(
            up42_item({"a": ("https://h/a", COG, ["data"])}), {"a": landed(raster=raster)}, collection_id="c"
        )
        first, second = item.assets["a"].extra_fields["bands"]
        assert first["nodata"] == said
        assert "nodata" not in second

    def test_bands_of_the_source_keep_their_names(self, up42_item, landed):
        source = up42_item({"a": ("https://h/a", COG, ["data"])})
        source.assets["a"].extra_fields["bands"] = [{"name": "B2", "eo:common_name": "blue"}, {"name": "B3"}]
        item = lake_item(source, {"a": landed()}, collection_id="c")
        first, second = item.assets["a"].extra_fields["bands"]
        assert (first["name"], first["eo:common_name"], first["data_type"]) == ("B2", "blue", "uint16")
        assert second["name"] == "B3"

    def test_geometry_from_the_raster_when_the_source_has_none(self, up42_item, landed):
        source = up42_item({"a": ("https://h/a", COG, ["data"])}, geometry=None, bbox=None)
        item = lake_item(source, {"a": landed()}, collection_id="c")
        assert item.geometry["type"] == "Polygon"
        assert item.bbox == pytest.approx([15, 52.347, 15.005, 52.350], abs=0.01)

    def test_an_invalid_source_is_refused(self, up42_item, landed):
        source = up42_item({"a": ("https://h/a", COG, ["data"])})
        source.properties["gsd"] = -1
        with pytest.raises(InvalidDelivery, match="no valid STAC"):
            lake_item(source, {"a": landed()}, collection_id="c")


def test_write_and_read(lake, up42_item, landed):
    source = up42_item({"ms.tif": ("https://h/a", COG, ["data"])})
    assert read_item(lake, "phr", source.id) is None
    write_item(lake, "phr", lake_item(source, {"ms.tif": landed()}, collection_id="phr"))
    item = read_item(lake, "phr", source.id)
    assert item.assets["ms.tif"].href == lake.href("collections", "phr", source.id, "ms.tif")
    assert children(lake, "collections", "phr", "collection.json") == [f"./{source.id}/{source.id}.json"]
    assert children(lake, "catalog.json", relation="child") == ["./collections/phr/collection.json"]
    for index, kind in (
        (("catalog.json",), pystac.STACObjectType.CATALOG),
        (("collections", "phr", "collection.json"), pystac.STACObjectType.COLLECTION),
    ):
        JsonSchemaSTACValidator().validate_core(lake.read_json(*index), kind, "1.1.0")
    collection = lake.read_json("collections", "phr", "collection.json")
    assert collection["extent"]["spatial"]["bbox"] == [source.bbox]
    assert collection["extent"]["temporal"]["interval"] == [["2024-05-01T10:12:13Z", "2024-05-01T10:12:13Z"]]


def test_pystac_walks_the_whole_lake(tmp_path):
    lake = Lake(str(tmp_path))
    for number in range(3):
        write_item(lake, f"c{number % 2}", small_item(f"item {number}", number))
    found = pystac.Catalog.from_file(str(tmp_path / "catalog.json"))
    assert sorted(item.id for item in found.get_items(recursive=True)) == ["item 0", "item 1", "item 2"]


def test_extents_cover_all_items(lake):
    for number in (3, 1, 2):
        write_item(lake, "phr", small_item(f"i{number}", number))
    extent = lake.read_json("collections", "phr", "collection.json")["extent"]
    assert extent["spatial"]["bbox"] == [[1, 0, 4, 1]]
    assert extent["temporal"]["interval"] == [["2024-05-02T00:00:00Z", "2024-05-04T00:00:00Z"]]


def test_debris_is_not_linked(lake):
    lake.write_bytes(b"half of a raster", "collections", "phr", "killed", "ms.tif")
    write_item(lake, "phr", small_item("whole"))
    assert children(lake, "collections", "phr", "collection.json") == ["./whole/whole.json"]


def test_a_lost_index_comes_back(lake):
    for number in range(3):
        write_item(lake, "phr", small_item(f"i{number}", number))
    before = lake.read_json("collections", "phr", "collection.json")
    lake.remove("collections", "phr", "collection.json")
    lake.remove("catalog.json")
    index_collection(lake, "phr")
    assert lake.read_json("collections", "phr", "collection.json") == before
    assert children(lake, "catalog.json", relation="child") == ["./collections/phr/collection.json"]


def test_hostile_ids_stay_inside(lake):
    evil = "../../evil\u202eid/with:slash*?"
    write_item(lake, "../phr", small_item(evil))
    assert read_item(lake, "../phr", evil).id == evil
    assert lake.list() == ["catalog.json", "collections"]
    ((collection,), (folder,)) = (
        lake.list("collections"),
        [name for name in lake.list("collections", *lake.list("collections")) if catalog.is_item_folder(name)],
    )
    assert lake.exists("collections", collection, folder, f"{folder}.json")


def test_an_overwritten_index_is_written_again(lake, monkeypatch):
    """A slower writer puts back an index without our item, between our write and our second listing."""
    write_item(lake, "phr", small_item("first"))
    index = ("collections", "phr", "collection.json")
    stale = lake.read_json(*index)
    write_json, stale_writes = Lake.write_json, itertools.count()

    def raced(self, document, *parts):
        if parts == index and next(stale_writes) == 0:
            # The other process read before we committed, and its write comes first; ours follows.
            write_json(self, small_item("other").to_dict(), "collections", "phr", "other", "other.json")
            write_json(self, stale, *index)
        write_json(self, document, *parts)

    monkeypatch.setattr(Lake, "write_json", raced)
    write_item(lake, "phr", small_item("ours"))
    assert children(lake, *index) == ["./first/first.json", "./other/other.json", "./ours/ours.json"]


def test_an_index_that_never_settles_is_an_error(lake, monkeypatch):
    monkeypatch.setattr(catalog, "linked_in", lambda *_: set())
    with pytest.raises(LakeError, match="did not settle"):
        write_item(lake, "phr", small_item("one"))


def test_what_is_no_item_is_named(lake):
    lake.write_json([1, 2], "collections", "phr", "one", "one.json")
    with pytest.raises(LakeError, match="is no STAC item"):
        read_item(lake, "phr", "one")


_LON = st.floats(-180, 180).map(lambda value: round(value, 3))
_BOX = st.tuples(_LON, st.floats(-90, 0), _LON, st.floats(0, 90)).filter(lambda box: box[0] != box[2])


def _holds(box, lon):
    west, _, east, _ = box
    return west - 1e-6 <= lon <= east + 1e-6 if west <= east else lon >= west - 1e-6 or lon <= east + 1e-6


@given(_BOX, _BOX)
def test_a_union_covers_both(one, other):
    union = links.union_bbox(one, other)
    assert -180 <= union[0] <= 180
    assert -180 <= union[2] <= 180
    assert union[1] <= min(one[1], other[1])
    assert union[3] >= max(one[3], other[3])
    for west, _, east, _ in (one, other):
        width = (east - west) % 360
        for step in range(11):
            lon = (west + width * step / 10 + 180) % 360 - 180
            assert _holds(union, lon) or _holds(union, lon + 360)


def test_a_union_across_the_antimeridian_stays_narrow():
    assert links.union_bbox((170, 0, 175, 1), (-175, 0, -170, 2)) == (170, 0, -170, 2)
    assert links.union_bbox((170, 0, -170, 1), (-172, 0, -171, 1)) == (170, 0, -170, 1)
    assert links.union_bbox((-180, -90, 180, 90), (3, 0, 4, 1)) == (-180, -90, 180, 90)
