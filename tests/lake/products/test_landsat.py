from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from up42_pipelines.lake.products.landsat import parse_mtl, scene_facts
from up42_pipelines.lake.products.recognise import recognise

Unpacked = Callable[..., Any]
ID = "LC09_L2SP_008059_20231201_20231202_02_T1"
MTL = f"""GROUP = LANDSAT_METADATA_FILE
  GROUP = PRODUCT_CONTENTS
    LANDSAT_PRODUCT_ID = "{ID}"
    PROCESSING_LEVEL = "L2SP"
    FILE_NAME_BAND_4 = "{ID}_SR_B4.TIF"
    FILE_NAME_BAND_ST_B10 = "{ID}_ST_B10.TIF"
    FILE_NAME_QUALITY_L1_PIXEL = "{ID}_QA_PIXEL.TIF"
    FILE_NAME_METADATA_ODL = "{ID}_MTL.txt"
  END_GROUP = PRODUCT_CONTENTS
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "LANDSAT_9"
    SENSOR_ID = "OLI_TIRS"
    DATE_ACQUIRED = 2023-12-01
    SCENE_CENTER_TIME = "15:13:51.8610990Z"
    CLOUD_COVER = -1.00
    SUN_AZIMUTH = -136.5
    GRID_CELL_SIZE_REFLECTIVE = 30.00
    CORNER_UL_LAT_PRODUCT = 2.5
  END_GROUP = IMAGE_ATTRIBUTES
  GROUP = LEVEL1_PROCESSING_RECORD
    PROCESSING_LEVEL = "L1TP"
    FILE_NAME_BAND_8 = "{ID}_B8.TIF"
  END_GROUP = LEVEL1_PROCESSING_RECORD
  GROUP = LAST
    SUN_ELEVATION = 40.5
  END_GROUP = LAST
END_GROUP = LANDSAT_METADATA_FILE
END
"""


def test_a_raster_per_band_of_the_list(unpacked: Unpacked, tiff: bytes) -> None:
    names = [f"{ID}_SR_B4.TIF", f"{ID}_ST_B10.TIF", f"{ID}_QA_PIXEL.TIF"]
    contents = recognise(unpacked({f"{ID}_MTL.txt": MTL} | dict.fromkeys(names, tiff)))
    (product,) = contents.products
    assert (product.kind, product.name, contents.all_problems) == ("landsat", ID, ())
    assert [(raster.key, raster.roles, [band.common_name for band in raster.bands]) for raster in product.rasters] == [
        ("SR_B4", ("data",), ["red"]),
        ("ST_B10", ("data",), ["lwir11"]),
        ("QA_PIXEL", ("data-mask",), []),
    ]
    assert [document.media_type for document in product.documents] == ["text/plain"]


def test_facts() -> None:
    facts = scene_facts(parse_mtl(MTL))
    assert facts.datetime == datetime(2023, 12, 1, 15, 13, 51, 861_099, tzinfo=UTC)
    assert (facts.platform, facts.instruments, facts.processing_level) == ("landsat-9", ("oli", "tirs"), "L2SP")
    assert (facts.cloud_cover_percent, facts.sun_azimuth_deg, facts.footprint_4326) == (None, 223.5, None)
    assert facts.sun_elevation_deg == 40.5
    assert [band.name for band in facts.bands] == ["B4", "B10"]


def test_bands_of_the_thematic_mapper_are_other_colours() -> None:
    fields = parse_mtl(MTL.replace("OLI_TIRS", "TM").replace("_SR_B4", "_B4"))
    assert [(band.name, band.common_name) for band in scene_facts(fields).bands] == [("B4", "nir08")]
    assert scene_facts(parse_mtl(MTL.replace("OLI_TIRS", "MSS"))).bands == ()


def test_a_band_of_the_scene_that_is_not_delivered_is_a_warning(unpacked: Unpacked, tiff: bytes) -> None:
    contents = recognise(unpacked({f"{ID}_MTL.txt": MTL, f"{ID}_SR_B4.TIF": tiff}))
    (problem,) = contents.all_problems
    assert (problem.severity, problem.message[:2]) == ("warning", "2 ")


def test_a_band_that_is_none_and_one_out_of_the_delivery(unpacked: Unpacked, tiff: bytes) -> None:
    listing = MTL.replace(f"{ID}_QA_PIXEL.TIF", "../../QA.TIF")
    members = {f"{ID}_MTL.txt": listing, f"{ID}_SR_B4.TIF": "<VRTDataset/>", f"{ID}_ST_B10.TIF": tiff}
    severities = [problem.severity for problem in recognise(unpacked(members)).all_problems]
    assert sorted(severities) == ["corrupt", "hostile", "hostile"]  # the VRT also as an impostor


@given(text=st.text(max_size=200) | st.text(alphabet='AB_=" \n', max_size=80))
def test_no_text_of_a_stranger_raises(text: str) -> None:
    assert scene_facts(parse_mtl(text)).constellation == "landsat"
