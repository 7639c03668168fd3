from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.products.recognise import recognise
from up42_pipelines.lake.products.records import SceneFacts
from up42_pipelines.lake.products.safe import scene_facts

Unpacked = Callable[..., Any]
MTD = """<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">
<n1:General_Info><Product_Info><PRODUCT_START_TIME>2022-03-01T10:00:00Z</PRODUCT_START_TIME>
<PRODUCT_STOP_TIME>2022-03-01T10:00:09Z</PRODUCT_STOP_TIME><PROCESSING_LEVEL>Level-2A</PROCESSING_LEVEL>
<Datatake><SPACECRAFT_NAME>Sentinel-2B</SPACECRAFT_NAME><SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
</Datatake><Granule_List><Granule>{files}</Granule></Granule_List></Product_Info>
<Product_Image_Characteristics><Spectral_Information_List><Spectral_Information physicalBand="B2"><Wavelength>
<MIN unit="nm">456</MIN><MAX unit="nm">533</MAX><CENTRAL unit="nm">492.1</CENTRAL></Wavelength></Spectral_Information>
</Spectral_Information_List></Product_Image_Characteristics></n1:General_Info>
<n1:Geometric_Info><Product_Footprint><Product_Footprint><Global_Footprint>
<EXT_POS_LIST>50 10 50 11 49 11 49 10 50 10</EXT_POS_LIST></Global_Footprint></Product_Footprint></Product_Footprint>
</n1:Geometric_Info><n1:Quality_Indicators_Info><Cloud_Coverage_Assessment>12.5</Cloud_Coverage_Assessment>
</n1:Quality_Indicators_Info></n1:Level-2A_User_Product>"""
ROOT = "S2B_MSIL2A_X.SAFE"
GRANULE = "GRANULE/L2A_T33UUU/IMG_DATA"
IMAGES = (
    "R10m/T33UUU_B02_10m",
    "R20m/T33UUU_B02_20m",
    "R20m/T33UUU_B8A_20m",
    "R20m/T33UUU_SCL_20m",
    "R10m/T33UUU_TCI_10m",
)


def scene(jp2: bytes, **changes: str | bytes) -> dict[str, str | bytes]:
    files = "".join(f"<IMAGE_FILE>{GRANULE}/{name}</IMAGE_FILE>" for name in IMAGES)
    members: dict[str, str | bytes] = {f"{ROOT}/MTD_MSIL2A.xml": MTD.format(files=files)}
    members |= {f"{ROOT}/{GRANULE}/{name}.jp2": jp2 for name in IMAGES}
    members[f"{ROOT}/GRANULE/L2A_T33UUU/QI_DATA/T33UUU_PVI.jp2"] = jp2
    members[f"{ROOT}/GRANULE/L2A_T33UUU/QI_DATA/MSK_CLDPRB_20m.jp2"] = jp2
    return members | {f"{ROOT}/{name}": content for name, content in changes.items()}


def test_one_raster_per_band_and_resolution(unpacked: Unpacked, jp2: bytes) -> None:
    contents = recognise(unpacked(scene(jp2)))
    (product,) = contents.products
    rasters = {raster.key: raster for raster in product.rasters}
    assert (product.kind, product.name, contents.all_problems) == ("safe", ROOT, ())
    assert set(rasters) == {"B02_10m", "B02_20m", "B8A", "SCL", "TCI", "MSK_CLDPRB_20m"}
    assert {key: raster.roles[0] for key, raster in rasters.items() if raster.roles != ("data",)} == {
        "TCI": "visual",
        "SCL": "data-mask",
        "MSK_CLDPRB_20m": "data-mask",
    }
    assert [band.common_name for band in rasters["TCI"].bands] == ["red", "green", "blue"]
    assert rasters["B02_20m"].bands[0].center_wavelength_um == 0.4921
    assert (rasters["B02_10m"].gsd_m, rasters["B02_20m"].gsd_m) == (10, 20)
    assert [(document.key, document.roles) for document in product.documents] == [
        ("preview", ("thumbnail",)),
        ("product_metadata", ("metadata",)),
    ]


def test_facts_of_the_product_and_its_tile() -> None:
    tile = fromstring(
        "<T><Geometric_Info><Tile_Angles><Mean_Sun_Angle><ZENITH_ANGLE>59.5</ZENITH_ANGLE><AZIMUTH_ANGLE>29</AZIMUTH_ANGLE>"
        "</Mean_Sun_Angle></Tile_Angles></Geometric_Info></T>"
    )
    root = fromstring(MTD.replace("n1:", "").format(files=""))
    facts = scene_facts(root, tile)
    assert facts.datetime == facts.start_datetime == datetime(2022, 3, 1, 10, tzinfo=UTC)
    assert facts.end_datetime == datetime(2022, 3, 1, 10, 0, 9, tzinfo=UTC)
    assert (facts.platform, facts.orbit_state, facts.cloud_cover_percent) == ("sentinel-2b", "descending", 12.5)
    assert (facts.sun_elevation_deg, facts.sun_azimuth_deg, facts.processing_level) == (30.5, 29, "Level-2A")
    assert facts.footprint_4326 is not None
    assert scene_facts(fromstring("<a/>"), None) == SceneFacts(
        constellation="sentinel-2", instruments=("msi",), gsd_m=10
    )


def test_a_listed_image_that_is_missing_or_something_else(unpacked: Unpacked, jp2: bytes) -> None:
    members = scene(jp2, **{f"{GRANULE}/{IMAGES[1]}.jp2": "<VRTDataset/>"})
    del members[f"{ROOT}/{GRANULE}/{IMAGES[0]}.jp2"]
    contents = recognise(unpacked(members))
    assert [(problem.severity, problem.subject.rpartition("/")[2]) for problem in contents.all_problems] == [
        ("incomplete", "T33UUU_B02_10m.jp2"),
        ("corrupt", "T33UUU_B02_20m.jp2"),
    ]


def manifest(*files: tuple[str, str, str]) -> str:
    streams = "".join(
        f'<dataObject><byteStream><fileLocation href="{href}"/><checksum checksumName="{name}">{digest}</checksum>'
        "</byteStream></dataObject>"
        for href, name, digest in files
    )
    return f"<xfdu:XFDU xmlns:xfdu='urn:x'><dataObjectSection>{streams}</dataObjectSection></xfdu:XFDU>"


def test_checksums_of_the_manifest(unpacked: Unpacked, jp2: bytes) -> None:
    good, bad = (f"./{GRANULE}/{name}.jp2" for name in IMAGES[:2])
    listing = manifest(
        (good, "MD5", hashlib.md5(jp2).hexdigest()),
        (good, "SHA3-256", hashlib.sha3_256(jp2).hexdigest().upper()),
        (good, "CRC-99", "unknown"),
        (bad, "SHA3-256", "0" * 64),
        ("./GONE.xml", "MD5", "0" * 32),
    )
    contents = recognise(unpacked(scene(jp2, **{"manifest.safe": listing})))
    assert [(problem.severity, problem.message) for problem in contents.all_problems] == [
        ("warning", "1 files are not delivered: GONE.xml"),
        ("warning", "1 files differ in checksum: T33UUU_B02_20m.jp2"),
    ]
    contents.check()


def test_a_manifest_that_points_out_of_the_delivery(unpacked: Unpacked, jp2: bytes) -> None:
    listing = manifest(("../../../etc/hostname", "MD5", "0"), ("/etc/hostname", "MD5", "0"))
    contents = recognise(unpacked(scene(jp2, **{"manifest.safe": listing})))
    with pytest.raises(InvalidDelivery, match="etc/hostname"):
        contents.check()


def test_metadata_that_point_out_of_the_delivery(unpacked: Unpacked, jp2: bytes) -> None:
    members = scene(jp2, **{"MTD_MSIL2A.xml": MTD.format(files="<IMAGE_FILE>../../../x</IMAGE_FILE>")})
    assert [problem.severity for problem in recognise(unpacked(members)).all_problems] == ["hostile"]


def test_metadata_that_a_browser_would_run_are_read_and_not_landed(unpacked: Unpacked, jp2: bytes) -> None:
    script = "<h:script xmlns:h='http://www.w3.org/1999/xhtml'>alert(1)</h:script></n1:General_Info>"
    hostile = MTD.format(files="").replace("</n1:General_Info>", script)
    (product,) = recognise(unpacked(scene(jp2, **{"MTD_MSIL2A.xml": hostile}))).products
    assert [document.key for document in product.documents] == ["preview"]
    assert product.facts.platform == "sentinel-2b"
