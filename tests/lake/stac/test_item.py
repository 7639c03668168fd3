"""The lake's item: what the source said, what was measured, and what is declared."""

from __future__ import annotations

import copy
import json
import math
import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pystac
import pytest

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.rasters.raster import RasterInfo
from up42_pipelines.lake.stac import extensions, item, validation
from up42_pipelines.lake.stac.assets import (
    OUTLINE,
    PROFILE,
    QUICKLOOK_OF,
    VALID_FOOTPRINT,
    Quicklook,
    describe_asset,
    migrated,
)
from up42_pipelines.lake.stac.facts import DATETIME_FROM
from up42_pipelines.lake.stac.item import (
    LEFT_OUT,
    SENSOR_GEOMETRY,
    SOURCE_HREF,
    VERIFIED_BY,
    LandedAsset,
    item_from_archive,
    lake_item,
    source_item,
)

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
NIGHT = datetime(2024, 6, 2, tzinfo=UTC)


def box(west, south, east, north):
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


RASTER = RasterInfo(
    driver="GTiff",
    width=20,
    height=10,
    count=2,
    dtypes=("uint16", "uint16"),
    nodata=(0.0, 0.0),
    crs_code="EPSG:32633",
    crs_wkt=None,
    transform=(10.0, 0.0, 500_000.0, 0.0, -10.0, 5_800_000.0),
    bounds=(500_000.0, 5_799_900.0, 500_200.0, 5_800_000.0),
    gsd_m=10.0,
    descriptions=("first", None),
    units=(None, None),
    colorinterp=("gray", "undefined"),
    scales=(1.0, 1.0),
    offsets=(0.0, 0.0),
    has_mask=False,
    has_gcps=False,
    has_rpcs=False,
    is_cog=True,
    footprint_4326=box(15.0, 52.3, 15.1, 52.4),
    bbox=(15.0, 52.3, 15.1, 52.4),
)
LANDED = LandedAsset(
    file_name="ms.tif", size=10, sha256="ab" * 32, media_type=COG, source_href="https://h/ms", raster=RASTER
)
PICTURE = Quicklook(file_name="ms.png", size=7, sha256="cd" * 32)


@pytest.fixture
def source(up42_item):
    def make(fields: dict[str, Any] | None = None, properties: dict[str, Any] | None = None, **changes: Any):
        made = up42_item({"ms": ("https://h/ms", "image/tiff", ["data"])}, **changes)
        made.assets["ms"].extra_fields |= fields or {}
        made.properties |= properties or {}
        return made

    return make


def landed_as(source, file=LANDED, **options):
    document = lake_item(source, {"ms": file}, collection_id="phr", **options).to_dict(transform_hrefs=False)
    assert validation.problems(document) == ()
    json.dumps(document, allow_nan=False)
    return document


class TestAssets:
    def test_statistics_per_band(self, source):
        measured = (
            {"minimum": 1.0, "maximum": 9.0, "mean": 4.5, "stddev": math.nan, "valid_percent": 97.5},
            {"mean": 3},
        )
        asset = landed_as(source(), replace(LANDED, statistics=measured, valid_percent=50.0))["assets"]["ms"]
        assert [band["statistics"] for band in asset["bands"]] == [
            {"minimum": 1.0, "maximum": 9.0, "mean": 4.5, "valid_percent": 97.5},
            {"mean": 3, "valid_percent": 50.0},
        ]

    def test_no_statistics_are_none(self, source):
        assert all("statistics" not in band for band in landed_as(source())["assets"]["ms"]["bands"])

    def test_how_it_was_verified_and_written(self, source):
        file = replace(LANDED, kept=False, verified_by="crc32c", profile="analytic")
        asset = landed_as(source(), file)["assets"]["ms"]
        assert (asset[VERIFIED_BY], asset[PROFILE]) == ("crc32c", "analytic")
        assert not {VERIFIED_BY, PROFILE} & landed_as(source())["assets"]["ms"].keys()

    @pytest.mark.parametrize(("way", "marked"), [("has_gcps", True), ("has_rpcs", True), ("has_mask", False)])
    def test_sensor_geometry_is_said(self, source, way, marked):
        raster = replace(RASTER, transform=None, bounds=None, crs_code=None, **{way: True})
        asset = landed_as(source(), replace(LANDED, raster=raster))["assets"]["ms"]
        assert asset.get(SENSOR_GEOMETRY, False) is marked
        assert asset["proj:shape"] == [10, 20]
        assert "proj:transform" not in asset

    def test_what_was_announced_of_the_projection_gives_way(self, source):
        announced = {
            "proj:epsg": 4326,
            "proj:wkt2": "GEOGCS[...]",
            "proj:shape": [1, 1],
            "proj:centroid": {"lat": 0, "lon": 0},
        }
        asset = landed_as(source(announced))["assets"]["ms"]
        assert {name: value for name, value in asset.items() if name.startswith("proj:")} == {
            "proj:code": "EPSG:32633",
            "proj:shape": [10, 20],
            "proj:transform": [10.0, 0.0, 500_000.0, 0.0, -10.0, 5_800_000.0],
            "proj:bbox": [500_000.0, 5_799_900.0, 500_200.0, 5_800_000.0],
        }

    def test_a_document_keeps_what_was_announced(self):
        file = LandedAsset(file_name="a.xml", size=3, sha256="ab" * 32, media_type=None, source_href="https://h/a")
        assert describe_asset({"href": "https://h/a", "type": "text/xml", "proj:epsg": 32633, "title": "T"}, file) == {
            "href": "./a.xml",
            "type": "text/xml",
            "title": "T",
            "proj:code": "EPSG:32633",
            "file:size": 3,
            "file:checksum": "1220" + "ab" * 32,
            SOURCE_HREF: "https://h/a",
        }


OLD = {
    "eo:bands": [
        {"name": "B2", "common_name": "blue", "center_wavelength": 0.49, "full_width_half_max": 0.1, "gsd": 10},
        {"name": "B3", "solar_illumination": 1857.32, "sentinel:id": 3},
    ],
    "raster:bands": [
        {"data_type": "uint8", "nodata": 255, "sampling": "area", "scale": 0.1, "offset": 1, "unit": "1"},
        {"bits_per_sample": 12, "spatial_resolution": 20, "statistics": {"mean": 1}, "histogram": {"count": 1}},
    ],
}


class TestMigration:
    def test_bands_are_put_together_by_index(self):
        before = copy.deepcopy(OLD)
        assert migrated(OLD) == {
            "bands": [
                {
                    "name": "B2",
                    "eo:common_name": "blue",
                    "eo:center_wavelength": 0.49,
                    "eo:full_width_half_max": 0.1,
                    "gsd": 10,
                    "data_type": "uint8",
                    "nodata": 255,
                    "raster:sampling": "area",
                    "raster:scale": 0.1,
                    "raster:offset": 1,
                    "unit": "1",
                },
                {
                    "name": "B3",
                    "eo:solar_illumination": 1857.32,
                    "sentinel:id": 3,
                    "raster:bits_per_sample": 12,
                    "raster:spatial_resolution": 20,
                    "statistics": {"mean": 1},
                    "raster:histogram": {"count": 1},
                },
            ]
        }
        assert before == OLD

    @pytest.mark.parametrize(
        ("fields", "bands"),
        [
            ({"eo:bands": [1, 2]}, None),
            ({"eo:bands": None}, None),
            (
                {"eo:bands": [{"name": "a"}], "raster:bands": [{"unit": "m"}, {"unit": "s"}]},
                [{"name": "a", "unit": "m"}, {"unit": "s"}],
            ),
            ({"eo:bands": [{"name": "old"}], "bands": [{"name": "new"}]}, [{"name": "new"}]),
        ],
    )
    def test_odd_lists(self, fields, bands):
        assert migrated(fields).get("bands") == bands

    def test_a_code_wins_over_an_older_number(self):
        assert migrated({"proj:epsg": 1, "proj:code": "IAU_2015:30100"}) == {"proj:code": "IAU_2015:30100"}
        assert migrated({"proj:epsg": 32633, "proj:code": None}) == {"proj:code": "EPSG:32633"}

    def test_measured_wins_and_names_stay(self, source):
        first, second = landed_as(source(OLD))["assets"]["ms"]["bands"]
        assert (first["name"], first["eo:common_name"], first["data_type"], first["nodata"]) == (
            "B2",
            "blue",
            "uint16",
            0,
        )
        assert (second["name"], second["raster:spatial_resolution"]) == ("B3", 10.0)

    def test_bands_of_another_number_are_not_believed(self, source):
        bands = landed_as(source({"eo:bands": OLD["eo:bands"][:1]}))["assets"]["ms"]["bands"]
        assert [band["name"] for band in bands] == ["first", "b2"]

    def test_bands_of_the_whole_item(self, source):
        properties = landed_as(source(properties={"eo:bands": OLD["eo:bands"]}))["properties"]
        assert "eo:bands" not in properties
        assert properties["bands"][0]["eo:common_name"] == "blue"

    def test_bands_of_an_item_without_rasters_have_no_place(self, source):
        document = landed_as(source(properties={"eo:bands": OLD["eo:bands"]}), replace(LANDED, raster=None))
        assert document["properties"][extensions.SET_ASIDE] == {"eo:bands": OLD["eo:bands"]}
        assert document["properties"]["eo:cloud_cover"] == 2.3

    def test_common_names_that_eo_2_does_not_know_stay_outside_of_it(self):
        old = {"eo:bands": [{"common_name": "rededge1"}, {"common_name": "rededge"}, {"common_name": ["red"]}]}
        assert migrated(old)["bands"] == [
            {"common_name": "rededge1"},
            {"eo:common_name": "rededge"},
            {"common_name": ["red"]},
        ]


class TestExtensions:
    def test_declared_is_what_is_used(self, source):
        document = landed_as(source(properties={"view:off_nadir": 3, "up42-order:status": "FULFILLED"}))
        assert {uri.split("/")[3]: uri.split("/")[4] for uri in document["stac_extensions"]} == {
            "eo": "v2.0.0",
            "file": "v2.1.0",
            "order": "v1.1.0",
            "processing": "v1.2.0",
            "projection": "v2.0.0",
            "raster": "v2.0.0",
            "view": "v1.0.0",
        }

    @pytest.mark.parametrize("cover", [-1, 100.1, "none", None, True])
    def test_a_cloud_cover_that_cannot_be_is_set_aside(self, source, cover):
        properties = landed_as(source(properties={"eo:cloud_cover": cover}))["properties"]
        assert properties[extensions.SET_ASIDE] == {"eo:cloud_cover": cover}
        assert "eo:cloud_cover" not in properties

    def test_others_stay_and_unused_ones_go(self, source):
        made = source()
        up42 = "https://api.up42.com/stac-extensions/up42-system/v1.0.0/schema.json"
        made.stac_extensions = [
            up42,
            "short",
            *(f"https://stac-extensions.github.io/{name}/v1.0.0/schema.json" for name in ("sar", "view", "label")),
        ]
        declared = landed_as(made)["stac_extensions"]
        assert up42 in declared
        assert "https://stac-extensions.github.io/label/v1.0.0/schema.json" in declared
        assert "short" not in declared
        assert not [uri for uri in declared if "/sar/" in uri or "/view/" in uri]
        assert extensions.UNDECLARED not in landed_as(made)["properties"]

    def test_a_version_of_the_source_is_kept(self, source):
        made = source(properties={"view:off_nadir": 3})
        made.stac_extensions = ["https://stac-extensions.github.io/view/v1.1.0/schema.json"]
        assert [uri for uri in landed_as(made)["stac_extensions"] if "/view/" in uri] == made.stac_extensions

    def test_a_wrong_word_does_not_keep_a_delivery_out(self, source):
        document = landed_as(source(properties={"sat:orbit_state": "Ascending"}))
        assert document["properties"]["sat:orbit_state"] == "Ascending"
        assert document["properties"][extensions.UNDECLARED] == [
            "https://stac-extensions.github.io/sat/v1.0.0/schema.json"
        ]
        assert not [uri for uri in document["stac_extensions"] if "/sat/" in uri]

    def test_of_our_own_extensions_the_wrong_word_is_set_aside(self, source):
        document = landed_as(source(properties={"proj:epsg_code": 1, "proj:code": "EPSG:4326"}))
        assert document["properties"][extensions.SET_ASIDE] == {"proj:code": "EPSG:4326", "proj:epsg_code": 1}
        assert extensions.PROJECTION_EXTENSION in document["stac_extensions"]
        assert extensions.UNDECLARED not in document["properties"]


class TestOrder:
    @pytest.mark.parametrize(
        ("status", "said"), [("FULFILLED", "succeeded"), ("BEING_FULFILLED", "shipping"), ("CANCELED", "canceled")]
    )
    def test_status_and_id(self, source, status, said):
        document = landed_as(source(properties={"up42-order:status": status}))
        properties = document["properties"]
        assert (properties["order:status"], properties["order:id"]) == (said, "0rder000")
        assert properties["up42-order:status"] == status
        assert extensions.ORDER_EXTENSION in document["stac_extensions"]

    @pytest.mark.parametrize("status", [None, "NEW_AND_UNKNOWN", 7])
    def test_nothing_is_claimed_of_an_unknown_one(self, source, status):
        document = landed_as(source(properties={"up42-order:status": status}))
        assert not {"order:status", "order:id"} & document["properties"].keys()
        assert extensions.ORDER_EXTENSION not in document["stac_extensions"]


class TestPlace:
    def test_valid_pixels_say_where_it_is(self, source):
        document = landed_as(source(), replace(LANDED, valid_footprint=box(13.2, 52.3, 13.3, 52.4)))
        assert document["geometry"] == box(13.2, 52.3, 13.3, 52.4)
        assert document["bbox"] == [13.2, 52.3, 13.3, 52.4]

    def test_several_rasters_are_one_place_and_masks_none(self, up42_item):
        made = up42_item(
            {key: ("https://h/a", COG, [role]) for key, role in (("a", "data"), ("b", "data"), ("m", "data-mask"))}
        )
        west, east, mask = box(13, 52, 14, 53), box(14, 52, 15, 53), box(0, 0, 90, 80)
        files = {key: replace(LANDED, valid_footprint=place) for key, place in (("a", west), ("b", east), ("m", mask))}
        document = lake_item(made, files, collection_id="c").to_dict(transform_hrefs=False)
        assert document["bbox"] == [13, 52, 15, 53]
        assert document["geometry"]["type"] == "Polygon"
        assert validation.problems(document) == ()

    def test_across_the_antimeridian(self, source):
        both = {
            "type": "MultiPolygon",
            "coordinates": [box(179, 0, 180, 1)["coordinates"], box(-180, 0, -179, 1)["coordinates"]],
        }
        document = landed_as(source(), replace(LANDED, valid_footprint=both))
        assert document["bbox"] == [179, 0, -179, 1]

    def test_one_raster_without_footprint_and_the_source_is_believed(self, up42_item):
        made = up42_item({key: ("https://h/a", COG, ["data"]) for key in "ab"})
        files = {"a": replace(LANDED, valid_footprint=box(0, 0, 1, 1)), "b": LANDED}
        document = lake_item(made, files, collection_id="c").to_dict(transform_hrefs=False)
        assert (document["geometry"], document["bbox"]) == (made.geometry, made.bbox)

    def test_an_earlier_landing_counts(self, up42_item):
        made = up42_item({key: ("https://h/a", COG, ["data"]) for key in "ab"})
        first = lake_item(made, {"a": replace(LANDED, valid_footprint=box(0, 0, 1, 1))}, collection_id="c")
        known = {"a": first.to_dict(transform_hrefs=False)["assets"]["a"]}
        again = lake_item(
            made, {"b": replace(LANDED, valid_footprint=box(2, 0, 3, 1))}, collection_id="c", unchanged=known
        )
        assert again.bbox == [0, 0, 3, 1]
        assert again.assets["a"].extra_fields[VALID_FOOTPRINT] == box(0, 0, 1, 1)

    def test_a_bbox_that_misses_a_part_is_made_anew(self, source):
        document = landed_as(source(bbox=[13.1, 52.3, 13.15, 52.35]))
        assert document["bbox"] == [13.1, 52.3, 13.2, 52.4] or document["bbox"] == pytest.approx(
            [13.1, 52.3, 13.2, 52.4]
        )

    def test_a_bbox_elsewhere_is_refused(self, source):
        with pytest.raises(InvalidDelivery, match="bbox: does not contain the geometry"):
            lake_item(source(bbox=[10, 10, 11, 11]), {"ms": LANDED}, collection_id="c")

    def test_a_missing_bbox_is_that_of_the_geometry(self, source):
        document = landed_as(source(geometry=box(179, 0, 180, 1), bbox=None))
        assert document["bbox"] == [179, 0, 180, 1]

    def test_no_place_at_all(self, source):
        raster = replace(RASTER, footprint_4326=None, bbox=None)
        document = landed_as(source(geometry=None, bbox=None), replace(LANDED, raster=raster))
        assert document["geometry"] is None
        assert "bbox" not in document


class TestQuicklook:
    def test_it_lies_beside_its_raster(self, source):
        assets = landed_as(source(), replace(LANDED, quicklook=PICTURE))["assets"]
        assert assets["ms-quicklook"] == {
            "href": "./ms.png",
            "type": "image/png",
            "title": "Quicklook of ms",
            "roles": ["thumbnail"],
            "file:size": 7,
            "file:checksum": "1220" + "cd" * 32,
            QUICKLOOK_OF: "ms",
        }

    def test_it_stays_while_its_raster_does(self, up42_item):
        made = up42_item({key: ("https://h/a", COG, ["data"]) for key in ("ms", "pan")})
        first = lake_item(made, {"ms": replace(LANDED, quicklook=PICTURE)}, collection_id="c")
        known = first.to_dict(transform_hrefs=False)["assets"]
        both = lake_item(made, {"pan": LANDED}, collection_id="c", unchanged=known)
        assert list(both.assets) == ["ms", "pan", "ms-quicklook"]
        anew = lake_item(made, {"ms": LANDED, "pan": LANDED}, collection_id="c", unchanged=known)
        assert list(anew.assets) == ["ms", "pan"]
        gone = lake_item(made, {"pan": LANDED}, collection_id="c", unchanged={"ms-quicklook": known["ms-quicklook"]})
        assert list(gone.assets) == ["pan"]

    def test_a_delivered_asset_keeps_its_name(self, up42_item):
        made = up42_item({key: ("https://h/a", COG, ["data"]) for key in ("ms", "ms-quicklook")})
        files = {"ms": replace(LANDED, quicklook=PICTURE), "ms-quicklook": LANDED}
        assets = lake_item(made, files, collection_id="c").assets
        assert assets["ms-quicklook"].extra_fields["file:size"] == 10
        assert assets["ms-quicklook-of-lake"].extra_fields["file:size"] == 7

    def test_the_lineage_does_not_count_it(self, source):
        said = landed_as(source(), replace(LANDED, kept=False, quicklook=PICTURE))["properties"]["processing:lineage"]
        assert said == "Delivered by UP42. Converted without loss to a Cloud-Optimized GeoTIFF: ms."


def test_the_lineage_tells_resampled_pixels_from_lossless_ones(up42_item):
    made = up42_item({key: ("https://h/a", COG, ["data"]) for key in "abc"})
    files = {"a": replace(LANDED, kept=False, resampled_to="EPSG:32633"), "b": replace(LANDED, kept=False), "c": LANDED}
    landed = lake_item(made, files, collection_id="c")
    said = landed.assets["a"].extra_fields["processing:lineage"]
    assert said == "Resampled to EPSG:32633, and written as a Cloud-Optimized GeoTIFF."
    assert landed.properties["processing:lineage"] == (
        "Delivered by UP42. Converted without loss to a Cloud-Optimized GeoTIFF: b. Resampled: a. "
        "Everything else kept as delivered."
    )


def test_landing_the_same_twice_gives_the_same(source):
    made = source(properties={"created": "2024-05-02T00:00:00Z", "updated": "2024-05-03T00:00:00Z"})
    file = replace(LANDED, valid_footprint=box(13.2, 52.3, 13.3, 52.4), quicklook=PICTURE)
    assert landed_as(made, file) == landed_as(made, file)
    assert landed_as(made, file)["properties"]["updated"] == "2024-05-03T00:00:00Z"


def test_the_link_to_the_source_has_no_secret(source):
    made = source()
    made.set_self_href("https://user:word@api.invalid/items/1?token=SECRET#x")
    links = {link["rel"]: link["href"] for link in landed_as(made)["links"]}
    assert links["derived_from"] == "https://api.invalid/items/1"


@pytest.mark.parametrize("version", ["9.9.9", "0.7.0", "0.6.0", "2.0.0", "1.2.0", None, 1.1, "1.1.0\n", "x" * 90])
def test_versions_that_cannot_be_read(up42_item, version):
    document = up42_item({}).to_dict(transform_hrefs=False) | {"stac_version": version}
    with pytest.raises(InvalidDelivery, match=r"has STAC version .*; 0\.8 to 1\.1 can be read"):
        source_item(document)


@pytest.mark.parametrize("version", ["0.8.1", "0.9.0", "1.0.0-beta.2", "1.0.0", "1.1.0-beta.1", "1.1.0"])
def test_versions_that_can_be_read(up42_item, version):
    document = up42_item({}).to_dict(transform_hrefs=False) | {"stac_version": version}
    assert (
        lake_item(source_item(document), {}, collection_id="c").to_dict(transform_hrefs=False)["stac_version"]
        == "1.1.0"
    )


JUNK = (None, 1, -1.5, "x", "", [], {}, [1], ["x"], [None], [[]], [{}], {"a": 1}, True, math.nan, [1, 2, 3, 4])
JUNK += ({"type": "Polygon"}, {"type": "Point", "coordinates": [1]}, 10**400, "\ud800", "2020-01-01T00:00:00Z")


def test_junk_anywhere_is_refused_or_lands_valid(up42_item):
    """300 items with one to three values replaced by junk or removed, seeded."""

    def places(value, path=()):
        if path:
            yield path
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, below in inner:
            yield from places(below, (*path, key))

    good = up42_item({"ms": ("https://h/ms", COG, ["data"])}).to_dict(transform_hrefs=False)
    good["assets"]["ms"] |= OLD
    good["properties"] |= {"processing:software": {"a": "1"}, "processing:lineage": "x", "view:off_nadir": 1}
    luck, outcomes = random.Random(5), {"landed": 0, "refused": 0}
    for _ in range(300):
        document = copy.deepcopy(good)
        for _ in range(luck.choice([1, 1, 2, 3])):
            *folders, last = luck.choice(list(places(document)))
            place = document
            for part in folders:
                place = place[part]
            if luck.random() < 0.2:
                del place[last]
            else:
                place[last] = copy.deepcopy(luck.choice(JUNK))
        try:
            made = lake_item(source_item(document), {"ms": LANDED}, collection_id="c")
        except InvalidDelivery:
            outcomes["refused"] += 1
        else:
            outcomes["landed"] += 1
            assert validation.problems(made.to_dict(transform_hrefs=False)) == ()
    assert min(outcomes.values()) > 50


FACTS = {
    "datetime": datetime(2024, 5, 1, 10, 12, 13, tzinfo=UTC),
    "start_datetime": None,
    "end_datetime": None,
    "platform": "PHR1B",
    "constellation": "PHR",
    "instruments": ("phr",),
    "gsd_m": 0.5,
    "cloud_cover_percent": 0,
    "off_nadir_deg": 12.5,
    "incidence_angle_deg": None,
    "view_azimuth_deg": 361.0,
    "sun_azimuth_deg": 150.0,
    "sun_elevation_deg": math.nan,
    "processing_level": "ORTHO",
    "footprint_4326": box(13, 52, 14, 53),
    "bands": (),
}
UP42 = {"title": "a delivery", "up42-order:id": "0rder000", "up42-order:status": "FULFILLED", "gsd": 9}


class TestFromArchive:
    def made(self, landed=None, **changes):
        options = {"item_id": "a55e7", "collection_id": "phr", "properties": UP42, "facts": FACTS}
        options |= {"delivered_at": NIGHT, **changes}
        document = item_from_archive(landed or {"ms": LANDED}, **options).to_dict(transform_hrefs=False)
        assert validation.problems(document) == ()
        return document

    def test_what_the_metadata_say(self):
        document = self.made()
        said = {name: value for name, value in document["properties"].items() if not name.startswith("processing:")}
        assert said == {
            "title": "a delivery",
            "up42-order:id": "0rder000",
            "up42-order:status": "FULFILLED",
            "order:status": "succeeded",
            "order:id": "0rder000",
            "datetime": "2024-05-01T10:12:13Z",
            "platform": "PHR1B",
            "constellation": "PHR",
            "instruments": ["phr"],
            "gsd": 0.5,
            "eo:cloud_cover": 0,
            "view:off_nadir": 12.5,
            "view:sun_azimuth": 150.0,
        }
        assert document["properties"]["processing:level"] == "ORTHO"
        assert (document["id"], document["collection"]) == ("a55e7", "phr")
        assert document["bbox"] == [13, 52, 14, 53]

    def test_bands_and_roles_of_the_product(self):
        bands = [
            {"name": "B0", "common_name": "blue", "center_wavelength_um": 0.49, "full_width_half_max_um": None},
            {"name": "B1", "common_name": None},
        ]
        announced = {
            "ms": {"title": "Multispectral", "roles": ("data", "visual"), "gsd_m": 2.0, "bands": bands, "source": 1}
        }
        asset = self.made(announced=announced)["assets"]["ms"]
        assert (asset["title"], asset["roles"], asset["gsd"]) == ("Multispectral", ["data", "visual"], 2.0)
        first, second = asset["bands"]
        assert (first["name"], first["eo:common_name"], first["eo:center_wavelength"]) == ("B0", "blue", 0.49)
        assert second["name"] == "B1"
        assert not {"eo:full_width_half_max", "common_name"} & first.keys()
        assert asset["href"] == "./ms.tif"

    @pytest.mark.parametrize(
        ("times", "said"),
        [
            ({}, {"datetime": "2024-06-02T00:00:00Z", DATETIME_FROM: "the delivery; its metadata have no time"}),
            ({"start_datetime": NIGHT}, {"datetime": "2024-06-02T00:00:00Z"}),
            (
                {"start_datetime": datetime(2024, 6, 1, tzinfo=UTC), "end_datetime": NIGHT},
                {"datetime": None, "start_datetime": "2024-06-01T00:00:00Z", "end_datetime": "2024-06-02T00:00:00Z"},
            ),
            (
                {"start_datetime": NIGHT, "end_datetime": datetime(2024, 6, 1, tzinfo=UTC)},
                {"datetime": "2024-06-02T00:00:00Z"},
            ),
        ],
    )
    def test_times(self, times, said):
        properties = self.made(facts={**FACTS, "datetime": None, **times})["properties"]
        names = ("datetime", "start_datetime", "end_datetime", DATETIME_FROM)
        assert {name: properties[name] for name in names if name in properties} == said

    def test_place_of_the_pixels_then_the_metadata_then_the_order(self):
        pixels = replace(LANDED, valid_footprint=box(13.1, 52.1, 13.2, 52.2))
        assert self.made({"ms": pixels})["bbox"] == [13.1, 52.1, 13.2, 52.2]
        nowhere = {**FACTS, "footprint_4326": None}
        assert self.made(geometry=box(1, 2, 3, 4))["bbox"] == [13, 52, 14, 53]
        assert self.made(facts=nowhere, geometry=box(1, 2, 3, 4))["bbox"] == [1, 2, 3, 4]
        assert self.made(facts=nowhere)["bbox"] == [15.0, 52.3, 15.1, 52.4]

    def test_origin_left_out_and_what_is_there_already(self):
        first = self.made({"ms": replace(LANDED, quicklook=PICTURE)})
        again = self.made(
            {"pan": LANDED}, origin="https://h/a?t=SECRET", left_out={"x": "why"}, unchanged=first["assets"]
        )
        assert list(again["assets"]) == ["pan", "ms", "ms-quicklook"]
        assert again["assets"]["ms"] == first["assets"]["ms"]
        assert again["properties"][LEFT_OUT] == {"x": "why"}
        assert [link["href"] for link in again["links"] if link["rel"] == "derived_from"] == ["https://h/a"]

    def test_a_raster_that_landed_anew_has_no_older_quicklook(self):
        first = self.made({"ms": replace(LANDED, quicklook=PICTURE)})
        assert list(self.made({"ms": LANDED}, unchanged=first["assets"])["assets"]) == ["ms"]

    def test_impossible_numbers_are_passed_over(self):
        facts = {**FACTS, "gsd_m": math.inf, "cloud_cover_percent": -1, "off_nadir_deg": "12"}
        properties = self.made(facts=facts, properties={})["properties"]
        assert not {"gsd", "eo:cloud_cover", "view:off_nadir"} & properties.keys()

    def test_radar_that_lacks_a_required_field_lands_undeclared(self):
        facts = {**FACTS, "sar_polarizations": ("HH", "HV"), "sar_frequency_band": "L", "orbit_state": "ascending"}
        document = self.made(facts=facts)
        assert document["properties"]["sar:polarizations"] == ["HH", "HV"]
        assert document["properties"]["sat:orbit_state"] == "ascending"
        assert document["properties"][extensions.UNDECLARED] == [
            "https://stac-extensions.github.io/sar/v1.0.0/schema.json"
        ]

    def test_nothing_given_is_changed_or_shared(self):
        facts, properties = copy.deepcopy(FACTS), {**copy.deepcopy(UP42), "deep": {"a": [1]}}
        made = item_from_archive(
            {"ms": replace(LANDED, valid_footprint=facts["footprint_4326"])},
            item_id="a",
            collection_id="c",
            properties=properties,
            facts=facts,
            delivered_at=NIGHT,
        )
        made.properties["deep"]["a"].append(2)
        made.geometry["coordinates"].clear()
        assert facts == FACTS
        assert properties == {**UP42, "deep": {"a": [1]}}

    def test_an_id_that_cannot_be(self):
        with pytest.raises(InvalidDelivery, match="id: ''"):
            self.made(item_id="")


def test_pystac_is_given_nothing_to_migrate(source):
    made = lake_item(source(), {"ms": LANDED}, collection_id="c")
    assert isinstance(made, pystac.Item)
    assert made.to_dict(transform_hrefs=False)["stac_extensions"] == sorted(made.stac_extensions)
    assert item.SOURCE_HREF in made.assets["ms"].extra_fields


@pytest.mark.parametrize(
    ("geometry", "bbox"),
    [
        ({"type": "Point", "coordinates": [13.0, 52.0]}, [13.0, 52.0, 13.0, 52.0]),
        ({"type": "LineString", "coordinates": [[13.0, 52.0], [12.0, 53.0]]}, [12.0, 52.0, 13.0, 53.0]),
    ],
)
def test_features_that_cover_no_area_have_a_place(source, geometry, bbox):
    """The hull of one feature, or of a row of them; and what a source says without a bbox."""
    document = describe_asset({}, LANDED) | {OUTLINE: geometry}
    document = {name: value for name, value in document.items() if not name.startswith("proj:")}
    placed = lake_item(source(geometry=None, bbox=None), {}, collection_id="c", unchanged={"ms": document})
    assert (placed.geometry, placed.bbox) == (geometry, bbox)
    unboxed = source(geometry=None)
    unboxed.geometry, unboxed.bbox = geometry, None
    file = replace(LANDED, raster=None)
    assert lake_item(unboxed, {"ms": file}, collection_id="c").bbox == bbox
