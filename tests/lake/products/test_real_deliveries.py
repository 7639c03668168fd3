"""Every delivery and every hostile DIMAP of ../shared/data, with what its PROVENANCE.md says there is to find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rasterio
from shapely.geometry import shape

from up42_pipelines.lake.products.recognise import recognise
from up42_pipelines.lake.products.records import SceneFacts
from up42_pipelines.lake.rasters.raster import closed_world

Unpacked = Callable[..., Any]


@dataclass(frozen=True)
class Expected:
    kinds: list[str]
    keys: list[str]
    time: datetime | None = None
    platform: str | None = None
    cloud: float | None = None
    bounds: tuple[float, float, float, float] | None = None
    problems: list[tuple[str, str]] = field(default_factory=list)  # severity, and a word of subject or message


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


OLI = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10", "B11", "BQA"]
MSI = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12", "B8A", "TCI"]
PHR_ORTHO = Expected(
    ["dimap"], ["pms"], utc(2024, 4, 30, 15, 34, 21, 500_000), "PHR1B", 3.5, (-75.871, 0.623, -74.271, 2.264)
)
PNEO = Expected(
    ["dimap"],
    ["ms-fs"],
    utc(2017, 4, 12, 11, 6, 2, 94_000),
    "PNEO4",
    77.981,
    (4.919, 45.753, 4.937, 45.768),
    # A component of the order that is not in this archive: another delivery's, and no reason to refuse this one.
    [("warning", "PAN/DIM_PAN.XML")],
)
JOB = Expected(
    ["up42-job"],
    ["7e17f023-a8e3-43bd-aaac-5bbef749c7f4_0-0"],
    utc(2019, 12, 20, 10, 14, 31, 24_000),
    "sentinel-2a",
    1.007,
    (13.359, 52.483, 13.425, 52.523),
)
DELIVERIES = {
    "up42_job_result_s2_berlin.zip": JOB,
    "up42_job_result_s2_berlin.tgz": JOB,
    "S2A_MSIL1C_20180629T000241_N0206_R030_T56JMM_20180629T012042.zip": Expected(
        ["safe"],
        MSI,
        utc(2018, 6, 29, 0, 2, 41, 24_000),
        "sentinel-2a",
        0,
        (151.954, -30.82, 152.916, -29.826),
        [("warning", "15 files differ in checksum")],  # the images were made smaller
    ),
    "LC08_L1TP_090084_20160121_20170405_01_T1.tar.gz": Expected(
        ["landsat"], OLI, utc(2016, 1, 21, 23, 50, 23, 54_435), "landsat-8", 93.22, (148.53, -35.712, 151.189, -33.504)
    ),
    "LT05_L1TP_090085_19970406_20161231_01_T1.tar.gz": Expected(
        ["landsat"],
        [*OLI[:7], "BQA"],
        utc(1997, 4, 6, 23, 17, 43, 102_000),
        "landsat-5",
        27,
        (148.024, -37.051, 150.773, -35.022),
    ),
    "PALSAR2_N23W161_20_MOS_F02DAR.tar.gz": Expected(
        ["palsar"],
        ["mask", "local_incidence_angle", "date", "HH", "HV"],
        utc(2020, 9, 9, 10, 44, 12, 406_000),
        "ALOS-2",
        None,
        (-161, 22, -160, 23),
    ),
    "landsat8_c2_l2sp_scene": Expected(
        ["landsat"],
        ["SR_B2", "SR_B3", "SR_B4", "SR_B5", "ST_B10", "QA_PIXEL"],
        utc(2019, 12, 1, 15, 13, 51, 861_099),
        "landsat-8",
        81.02,
        (-76.095, 0.393, -74.047, 2.494),
        [("warning", "13 bands of the scene are not delivered")],
    ),
    "dimap1_spot_gdal": Expected(
        ["dimap"],
        [],
        utc(2001, 11, 29, 10, 30, 43),
        "SPOT4",
        None,
        (4.205, 43.579, 5.194, 44.208),
        [("hostile", "IMAGERY.TIF")],  # a VRT
    ),
    "dimap2_phr_single_component_gdal": Expected(["dimap"], ["pms"], utc(2022, 5, 19, 5, 55, 43, 122_330), "PHR1A"),
    "dimap2_phr_bundle_gdal": Expected(
        ["dimap"], ["pms_DIM_foo", "pms_DIM_foo2"], utc(2016, 6, 17, 12, 34, 56), "PHR1A"
    ),
    "dimap2_pneo_primary_jp2_gdal": Expected(["dimap"], ["pan"]),
    "dimap2_pneo_vhr2020_ms_fs_gdal": PNEO,
    "made_zip_pneo_000123456_1_1_STD_A.zip": PNEO,
    "made_dimap2_phr_ortho": PHR_ORTHO,
    "made_dimap2_phr_ortho_7654321101.zip": PHR_ORTHO,
    "made_planet_order_psscene4band.zip": Expected(
        ["planet"],
        ["analytic", "udm", "visual"],
        utc(2017, 8, 31, 17, 27, 54, 960_530),
        "101c",
        2,
        (-96.04, 29.512, -95.782, 29.623),
    ),
    "made_nested_order_macos.zip": replace(PNEO, kinds=["dimap", "landsat"], keys=["ms-fs", *OLI]),
    "../hostile/dimap_missing_tile_R2C1.zip": Expected(
        ["dimap"], [], PHR_ORTHO.time, "PHR1B", 3.5, PHR_ORTHO.bounds, [("incomplete", "tile R2C1")]
    ),
    "../hostile/dimap_zero_byte_tile.zip": Expected(
        ["dimap"], [], PHR_ORTHO.time, "PHR1B", 3.5, PHR_ORTHO.bounds, [("incomplete", "tile R1C2")]
    ),
    "../hostile/zip_only_metadata.zip": Expected([], [], problems=[("incomplete", "no imagery found")]),
    "../hostile/zip_empty.zip": Expected([], [], problems=[("incomplete", "no imagery found in 0 files")]),
}


@pytest.mark.parametrize("name", DELIVERIES)
def test_delivery(real_data: Path, unpacked: Unpacked, name: str) -> None:
    expected, source = DELIVERIES[name], real_data / "deliveries" / name
    contents = recognise(unpacked(source))
    assert [product.kind for product in contents.products] == expected.kinds
    assert [raster.key for product in contents.products for raster in product.rasters] == expected.keys
    facts = contents.products[0].facts if contents.products else SceneFacts()
    assert (facts.datetime, facts.platform) == (expected.time, expected.platform)
    assert facts.cloud_cover_percent == pytest.approx(expected.cloud, abs=1e-3)
    bounds = None if facts.footprint_4326 is None else shape(facts.footprint_4326).bounds
    assert bounds == pytest.approx(expected.bounds, abs=1e-3)
    problems = contents.all_problems
    assert [problem.severity for problem in problems] == [severity for severity, _ in expected.problems]
    for problem, (_, words) in zip(problems, expected.problems, strict=True):
        assert words in f"{problem.subject} {problem.message}"


def test_every_delivery_is_in_the_table(real_data: Path) -> None:
    assert {path.name for path in (real_data / "deliveries").iterdir()} == {
        name for name in DELIVERIES if not name.startswith("../")
    }


@pytest.mark.parametrize("name", ["made_dimap2_phr_ortho", "dimap2_pneo_vhr2020_ms_fs_gdal", "dimap2_phr_bundle_gdal"])
def test_gdal_opens_no_file_that_was_not_checked(real_data: Path, unpacked: Unpacked, name: str) -> None:
    for product in recognise(unpacked(real_data / "deliveries" / name)).products:
        for raster in product.rasters:
            with closed_world(), rasterio.open(raster.source.path, driver="DIMAP") as dataset:
                opened = {Path(path) for path in dataset.files}
                assert opened <= {raster.source.path, *raster.source.members}
                assert len(opened) > 1
                assert len(raster.bands) in {0, dataset.count}


def test_bands_are_in_the_order_in_which_gdal_has_them(real_data: Path, unpacked: Unpacked) -> None:
    (product,) = recognise(unpacked(real_data / "deliveries" / "dimap2_pneo_vhr2020_ms_fs_gdal")).products
    (raster,) = product.rasters
    with closed_world(), rasterio.open(raster.source.path, driver="DIMAP") as dataset:
        assert [band.common_name for band in raster.bands] == [band.name for band in dataset.colorinterp]
