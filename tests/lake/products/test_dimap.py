from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.products.recognise import recognise
from up42_pipelines.lake.products.records import Contents, Problem

Make = Callable[..., str]
Unpacked = Callable[..., Any]


def tiles(content: bytes, rows: int = 2, columns: int = 2, folder: str = "") -> dict[str, bytes | str]:
    return {f"{folder}IMG_R{r}C{c}.TIF": content for r in range(1, rows + 1) for c in range(1, columns + 1)}


def problems(contents: Contents) -> list[tuple[str, str]]:
    return [(problem.severity, problem.subject) for problem in contents.all_problems]


def test_the_document_is_the_raster_and_its_tiles_are_members(dimap: Make, unpacked: Unpacked, tiff: bytes) -> None:
    files = unpacked({"P/DIM_1.XML": dimap(), "P/IMG_R1C1.TFW": "1", **tiles(tiff, folder="P/")})
    contents = recognise(files)
    (product,) = contents.products
    (raster,) = product.rasters
    assert (product.kind, raster.key, raster.source.driver) == ("dimap", "pms", "DIMAP")
    assert raster.source.path.name == "DIM_1.XML"
    assert {path.name for path in raster.source.members} == {*tiles(tiff), "IMG_R1C1.TFW"}
    assert contents.all_problems == ()


def test_a_tile_that_is_not_there_is_named(dimap: Make, unpacked: Unpacked, tiff: bytes) -> None:
    files = tiles(tiff)
    del files["IMG_R2C1.TIF"]
    contents = recognise(unpacked({"DIM_1.XML": dimap(), **files}))
    assert contents.all_problems == (
        Problem(severity="incomplete", subject="IMG_R2C1.TIF", message="tile R2C1 of DIM_1.XML was not delivered"),
    )
    assert contents.products[0].rasters == ()
    with pytest.raises(InvalidDelivery, match="tile R2C1"):
        contents.check()


def test_a_tile_without_bytes_is_incomplete(dimap: Make, unpacked: Unpacked, tiff: bytes) -> None:
    contents = recognise(unpacked({"DIM_1.XML": dimap(), **tiles(tiff), "IMG_R1C2.TIF": b""}))
    assert problems(contents) == [("incomplete", "IMG_R1C2.TIF")]
    assert "tile R1C2" in contents.all_problems[0].message


@pytest.mark.parametrize(
    "content",
    [
        b'<VRTDataset rasterXSize="1" rasterYSize="1"/>',
        b"<GDAL_WMS></GDAL_WMS>",
        b"NITF02.10" + bytes(50),
        b"\xff\xd8\xff" + bytes(50),
        b"\0",
    ],
)
def test_a_tile_is_a_tiff_or_jpeg_2000_by_content(dimap: Make, unpacked: Unpacked, tiff: bytes, content: bytes) -> None:
    contents = recognise(unpacked({"DIM_1.XML": dimap(), **tiles(tiff), "IMG_R1C2.TIF": content}))
    assert problems(contents) == [("hostile", "IMG_R1C2.TIF")]
    assert contents.products[0].rasters == ()


def test_tiles_may_be_jpeg_2000_and_big_tiff(dimap: Make, unpacked: Unpacked, jp2: bytes) -> None:
    files = {"DIM_1.XML": dimap(1, 2), "IMG_R1C1.TIF": jp2, "IMG_R1C2.TIF": b"MM\0+" + bytes(60)}
    contents = recognise(unpacked(files))
    assert contents.all_problems == ()
    assert len(contents.products[0].rasters) == 1


ESCAPES = [
    "../../../../etc/hostname",
    "/etc/hostname",
    "/vsicurl/http://127.0.0.1:9/x.tif",
    "http://127.0.0.1:9/x.tif",
    "C:\\x.tif",
    "<VRTDataset/>",
    "gr\u00fcn.TIF",
]


def escaped(text: str) -> str:
    return text.replace("<", "&lt;")


@pytest.mark.parametrize("href", ESCAPES)
@pytest.mark.parametrize(
    "form",
    [
        '<DATA_FILE_PATH href="{}"/>',
        "<DATA_FILE_PATH><href>{}</href></DATA_FILE_PATH>",
        '<data_file_path HREF="{}"/>',
        '<DATA_FILE_PATH xmlns:x="urn:x" x:href="{}"/>',
    ],
)
def test_no_reference_to_an_image_leaves_the_delivery(
    dimap: Make, unpacked: Unpacked, tiff: bytes, href: str, form: str
) -> None:
    # GDAL's XML parser does not mind the case of names, and takes a child for an attribute.
    groups = f'<Data_Files><Data_File tile_R="1" tile_C="1">{form.format(escaped(href))}</Data_File></Data_Files>'
    contents = recognise(unpacked({"P/DIM_1.XML": dimap(1, 1, groups=groups), "P/IMG_R1C1.TIF": tiff}))
    assert ("hostile", "P/DIM_1.XML") in problems(contents)
    assert contents.products[0].rasters == ()


def test_a_reference_outside_of_the_list_of_files_is_checked_too(dimap: Make, unpacked: Unpacked, tiff: bytes) -> None:
    extra = '<Elsewhere><Data_File><DATA_FILE_PATH href="EVIL.BIN"/></Data_File></Elsewhere>'
    files = {"DIM_1.XML": dimap(extra=extra), **tiles(tiff), "EVIL.BIN": "<VRTDataset/>"}
    contents = recognise(unpacked(files))
    assert ("hostile", "EVIL.BIN") in problems(contents)
    assert contents.products[0].rasters == ()


@pytest.mark.parametrize(
    ("extra", "hostile"),
    [
        ('<PRODUCER_URL href="http://www.example.com/"/>', False),
        (
            '<Component><COMPONENT_TYPE>ENCAPSULATED</COMPONENT_TYPE><COMPONENT_PATH href="http://x.com"/></Component>',
            False,
        ),
        (
            '<Component><COMPONENT_TYPE>ENCAPSULATED</COMPONENT_TYPE><COMPONENT_PATH href="GONE.GML"/></Component>',
            False,
        ),
        ('<Component><COMPONENT_TYPE>DIMAP</COMPONENT_TYPE><COMPONENT_PATH href="http://x.com"/></Component>', True),
        ('<Component><COMPONENT_TYPE>DIMAP</COMPONENT_TYPE><COMPONENT_PATH href="../../RPC.XML"/></Component>', True),
        ('<DATASET_QL_PATH href="/etc/hostname"/>', True),
        (
            '<Component><COMPONENT_TYPE>ENCAPSULATED</COMPONENT_TYPE><DATA_FILE_PATH href="http://x.com"/></Component>',
            True,
        ),
        ('<PRODUCER_URL href="file:///etc/hostname"/>', True),
    ],
)
def test_other_references_may_be_addresses_of_people_only(
    dimap: Make, unpacked: Unpacked, tiff: bytes, extra: str, hostile: bool
) -> None:
    contents = recognise(unpacked({"DIM_1.XML": dimap(extra=extra), **tiles(tiff)}))
    assert (("hostile", "DIM_1.XML") in problems(contents)) is hostile
    assert bool(contents.all_problems) is hostile


HREFS = st.lists(st.sampled_from(["..", ".", "a", "secret.tif", "", "IMG_R1C1.TIF"]), min_size=1, max_size=6).map(
    "/".join
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(href=HREFS)
def test_whatever_it_refers_to_only_checked_files_of_the_delivery_are_members(
    href: str, tmp_path: Path, dimap: Make, unpacked: Unpacked, tiff: bytes
) -> None:
    folder = tmp_path / "made"
    (folder / "a").mkdir(parents=True, exist_ok=True)
    (tmp_path / "secret.tif").write_bytes(tiff)
    (folder / "IMG_R1C1.TIF").write_bytes(tiff)
    (folder / "a" / "DIM_1.XML").write_text(dimap(1, 1, hrefs={(1, 1): href}))
    contents = recognise(unpacked(folder))
    for product in contents.products:
        for raster in product.rasters:
            assert all(path.resolve().is_relative_to(folder) for path in (raster.source.path, *raster.source.members))
    if not any(product.rasters for product in contents.products if product.kind == "dimap"):
        assert contents.all_problems


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hrefs": {(1, 1): "IMG_R1C1.TIF", (1, 2): "IMG_R1C2.TIF", (2, 2): "IMG_R2C2.TIF"}}, "does not list R2C1"),
        ({"rows": 301}, "2 rows of tiles of 100 pixels do not make 301"),
        ({"tiling": ""}, "does not say how they are tiled"),
        ({"overlap": 16}, "overlap"),
        ({"tiling": "<Tile_Set><Regular_Tiling/></Tile_Set>"}, "how many tiles"),
    ],
)
def test_a_grid_with_holes_is_told(
    dimap: Make, unpacked: Unpacked, tiff: bytes, change: dict[str, Any], words: str
) -> None:
    rows = change.pop("rows", None)
    document = dimap(**change)
    if rows is not None:
        document = document.replace("<NROWS>200<", f"<NROWS>{rows}<")
    contents = recognise(unpacked({"DIM_1.XML": document, **tiles(tiff)}))
    assert [problem.severity for problem in contents.all_problems] == ["corrupt"]
    assert words in contents.all_problems[0].message
    assert all(raster.source.driver != "DIMAP" for product in contents.products for raster in product.rasters)


def test_a_tile_listed_twice_is_told(dimap: Make, unpacked: Unpacked, tiff: bytes) -> None:
    twice = '<Data_File tile_R="1" tile_C="1"><DATA_FILE_PATH href="{}"/></Data_File>'
    groups = f"<Data_Files>{twice.format('IMG_R1C1.TIF')}{twice.format('IMG_R1C2.TIF')}</Data_Files>"
    contents = recognise(unpacked({"DIM_1.XML": dimap(1, 1, groups=groups), **tiles(tiff, 1, 2)}))
    assert "twice" in contents.all_problems[0].message


GROUP = '<Data_Files><Data_File tile_R="1" tile_C="1"><DATA_FILE_PATH href="{}"/></Data_File></Data_Files>'


@pytest.mark.parametrize(("processing", "sound"), [("MS-FS", True), ("PMS-FS", True), ("PMS", False), ("", False)])
def test_two_files_per_tile_are_for_six_bands(
    dimap: Make, unpacked: Unpacked, tiff: bytes, processing: str, sound: bool
) -> None:
    # GDAL drops the second file, or puts it in place of the first, unless the processing is one of those two.
    document = dimap(1, 1, processing=processing, groups=GROUP.format("RGB.TIF") + GROUP.format("NED.TIF"))
    contents = recognise(unpacked({"DIM_1.XML": document, "RGB.TIF": tiff, "NED.TIF": tiff}))
    if sound:
        (raster,) = contents.products[0].rasters
        assert raster.key == processing.lower()
        assert {path.name for path in raster.source.members} == {"RGB.TIF", "NED.TIF"}
    else:
        assert [problem.severity for problem in contents.all_problems] == ["corrupt"]


def test_a_volume_is_one_product(dimap: Make, volume: Make, unpacked: Unpacked, tiff: bytes) -> None:
    files = {
        "VOL_PHR.XML": volume("MS/DIM_MS.XML", "P/DIM_P.XML"),
        "MS/DIM_MS.XML": dimap(processing="MS"),
        "P/DIM_P.XML": dimap(processing="P"),
        **tiles(tiff, folder="MS/"),
        **tiles(tiff, folder="P/"),
    }
    (product,) = recognise(unpacked(files)).products
    assert product.name == "Order 7"
    assert [raster.key for raster in product.rasters] == ["ms", "pan"]
    assert product.problems == ()


@pytest.mark.parametrize(
    ("profile", "missing", "also", "severities"),
    [
        # Another part of the order, in a delivery of its own.
        ("ORDER_VOLUME", "PAN/DIM_PAN.XML", {}, ["warning"]),
        ("ORDER_VOLUME", "PAN/DIM_PAN.XML", {"PAN/PREVIEW.JPG": b"\xff\xd8\xff"}, ["incomplete"]),
        ("ORDER_VOLUME", "DIM_PAN.XML", {}, ["incomplete"]),
        ("SINGLE_VOLUME", "PAN/DIM_PAN.XML", {}, ["incomplete"]),
    ],
)
def test_what_a_volume_lists_is_missing_when_it_was_part_of_this_delivery(
    dimap: Make,
    volume: Make,
    unpacked: Unpacked,
    tiff: bytes,
    profile: str,
    missing: str,
    also: dict[str, bytes],
    severities: list[str],
) -> None:
    listing = volume("MS/DIM_MS.XML", missing, profile=profile)
    files = {"VOL_PNEO.XML": listing, "MS/DIM_MS.XML": dimap(), **tiles(tiff, folder="MS/"), **also}
    contents = recognise(unpacked(files))
    assert [problem.severity for problem in contents.all_problems] == severities
    assert [raster.key for raster in contents.products[0].rasters] == ["pms"]


def test_a_volume_without_any_of_its_products_is_incomplete(volume: Make, unpacked: Unpacked) -> None:
    contents = recognise(unpacked({"VOL_PNEO.XML": volume("MS/DIM_MS.XML")}))
    with pytest.raises(InvalidDelivery, match="none of the products it lists"):
        contents.check()


def test_documents_of_the_product_that_gdal_reads_are_members(dimap: Make, unpacked: Unpacked, tiff: bytes) -> None:
    extra = '<Component><COMPONENT_TYPE>DIMAP</COMPONENT_TYPE><COMPONENT_PATH href="RPC_1.XML"/></Component>'
    files = {"DIM_1.XML": dimap(1, 1, extra=extra), "RPC_1.XML": "<Dimap_Document/>", "IMG_R1C1.TIF": tiff}
    contents = recognise(unpacked(files))
    assert {path.name for path in contents.products[0].rasters[0].source.members} == {"IMG_R1C1.TIF", "RPC_1.XML"}


def test_a_tile_that_was_renamed_on_disk_is_not_where_gdal_looks(dimap: Make, unpacked: Unpacked, tiff: bytes) -> None:
    files = unpacked({"DIM_1.XML": dimap(1, 1), "IMG_R1C1.TIF": tiff})
    dim, image = files
    moved = image.path.rename(image.path.with_name("renamed.TIF"))
    contents = recognise([dim, replace(image, path=moved)])
    assert problems(contents) == [("incomplete", "IMG_R1C1.TIF")]


@pytest.mark.parametrize("name", ["DIM_1.XML", "METADATA.DIM", "VOL_PHR.XML"])
def test_a_document_with_a_name_of_dimap_must_be_readable(unpacked: Unpacked, tiff: bytes, name: str) -> None:
    files = {name: "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "IMG.TIF": tiff}
    with pytest.raises(InvalidDelivery, match=name):
        recognise(unpacked(files))


def test_a_document_without_a_name_of_dimap_is_found_by_content(dimap: Make, unpacked: Unpacked, tiff: bytes) -> None:
    contents = recognise(unpacked({"scene.xml": dimap(), **tiles(tiff)}))
    assert [product.kind for product in contents.products] == ["dimap"]


def test_dimap_version_1(unpacked: Unpacked, tiff: bytes) -> None:
    document = """<Dimap_Document><Dataset_Id><DATASET_NAME>SCENE 5</DATASET_NAME></Dataset_Id>
    <Raster_Dimensions><NCOLS>10</NCOLS><NROWS>10</NROWS><NBANDS>{bands}</NBANDS></Raster_Dimensions>
    <Data_Access>{files}</Data_Access>
    <Image_Interpretation><Spectral_Band_Info><BAND_INDEX>2</BAND_INDEX><BAND_DESCRIPTION>XS2</BAND_DESCRIPTION>
    </Spectral_Band_Info><Spectral_Band_Info><BAND_INDEX>1</BAND_INDEX><BAND_DESCRIPTION>XS1</BAND_DESCRIPTION>
    </Spectral_Band_Info></Image_Interpretation></Dimap_Document>"""
    one = '<Data_File><DATA_FILE_PATH href="IMAGERY.TIF"/></Data_File>'
    two = one + '<Data_File><DATA_FILE_PATH href="SECOND.TIF"/></Data_File>'
    (product,) = recognise(
        unpacked(
            {
                "a/METADATA.DIM": document.format(bands=2, files=one),
                "a/IMAGERY.TIF": tiff,
            }
        )
    ).products
    assert [band.common_name for band in product.rasters[0].bands] == ["green", "red"]
    assert product.rasters[0].title == "SCENE 5"
    # GDAL reads the first of several files only.
    path = product.rasters[0].source.path
    path.write_text(document.format(bands=2, files=two))
    (path.parent / "SECOND.TIF").write_bytes(tiff)
    again = recognise(unpacked(path.parent.parent))
    assert [problem.severity for problem in again.all_problems] == ["corrupt"]


def tiff_of(width: int, height: int) -> bytes:
    """The header of a little-endian TIFF with its two first entries (TIFF 6.0, section 2)."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in ((256, width), (257, height)))
    return b"II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)


@pytest.mark.parametrize(
    ("tile", "size", "sound"),
    [
        ("IMG_R1C1.TIF", (100, 100), True),
        ("IMG_R1C1.TIF", (99, 100), False),
        ("IMG_R1C1.TIF", (100, 99), False),
        ("IMG_R2C2.TIF", (99, 100), True),  # the last column is narrower
        ("IMG_R2C2.TIF", (98, 100), False),
        ("IMG_R2C2.TIF", (100, 100), True),  # padded
    ],
)
def test_a_tile_has_at_least_the_declared_pixels(
    dimap: Make, unpacked: Unpacked, tile: str, size: tuple[int, int], sound: bool
) -> None:
    # GDAL fills the rest with zeros, and reports success.
    contents = recognise(unpacked({"DIM_1.XML": dimap(), **tiles(tiff_of(100, 100)), tile: tiff_of(*size)}))
    assert problems(contents) == ([] if sound else [("corrupt", tile)])


def test_a_single_image_has_at_least_the_declared_pixels(dimap: Make, unpacked: Unpacked) -> None:
    document = dimap(1, 1, tiling="")
    contents = recognise(unpacked({"DIM_1.XML": document, "IMG_R1C1.TIF": tiff_of(98, 100)}))
    assert "98 x 100 pixels, and 99 x 100 are declared" in contents.all_problems[0].message


@pytest.mark.parametrize("between", ["<!-- -->", "<Other/>", "words"])
def test_nothing_stands_between_the_two_lists_of_files(
    dimap: Make, unpacked: Unpacked, tiff: bytes, between: str
) -> None:
    # GDAL 3.10 then reads zeros for the bands of the second.
    document = dimap(1, 1, processing="MS-FS", groups=GROUP.format("RGB.TIF") + between + GROUP.format("NED.TIF"))
    contents = recognise(unpacked({"DIM_1.XML": document, "RGB.TIF": tiff, "NED.TIF": tiff}))
    assert [problem.severity for problem in contents.all_problems] == ["corrupt"]


def test_an_untiled_image_is_at_the_first_place(dimap: Make, unpacked: Unpacked, tiff: bytes) -> None:
    second = GROUP.format("NED.TIF").replace('tile_C="1"', 'tile_C="2"')
    document = dimap(1, 1, processing="MS-FS", groups=GROUP.format("RGB.TIF") + second, tiling="")
    contents = recognise(unpacked({"DIM_1.XML": document, "RGB.TIF": tiff, "NED.TIF": tiff}))
    assert [problem.severity for problem in contents.all_problems] == ["corrupt"]
