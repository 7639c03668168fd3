from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.products.recognise import recognise

Make = Callable[..., str]
Unpacked = Callable[..., Any]
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)


def test_rasters_are_told_by_content(unpacked: Unpacked, tiff: bytes, jp2: bytes) -> None:
    members = {"o/a.dat": tiff, "o/b.jp2": jp2, "o/c": b"NITF02.10" + bytes(50), "o/d.txt": "words"}
    contents = recognise(unpacked(members))
    (product,) = contents.products
    assert (product.kind, product.name, contents.all_problems) == ("plain", "o", ())
    assert [(raster.key, raster.source.driver) for raster in product.rasters] == [
        ("a", "GTiff"),
        ("b", "JP2OpenJPEG"),
        ("c", "NITF"),
    ]


@pytest.mark.parametrize("members", [{}, {"a/readme.txt": "words", "b.json": "{}"}])
def test_a_delivery_without_imagery_is_told(unpacked: Unpacked, members: dict[str, Any]) -> None:
    contents = recognise(unpacked(members))
    assert contents.products == ()
    with pytest.raises(InvalidDelivery, match="no imagery found"):
        contents.check()


@pytest.mark.parametrize(
    ("content", "severity"),
    [
        (b"", "incomplete"),
        (b'<VRTDataset rasterXSize="1"/>', "hostile"),
        (b'  {"type": "gdal_virtual"}', "hostile"),
        (JPEG, "corrupt"),
        (b"MZ", "corrupt"),
    ],
)
def test_what_is_named_like_a_raster_must_be_one(
    unpacked: Unpacked, tiff: bytes, content: bytes, severity: str
) -> None:
    contents = recognise(unpacked({"good.tif": tiff, "bad.TIFF": content}))
    assert [(problem.severity, problem.subject) for problem in contents.all_problems] == [(severity, "bad.TIFF")]
    with pytest.raises(InvalidDelivery, match=r"bad\.TIFF"):
        contents.check()


FEATURES = '{"type": "FeatureCollection", "features": []}'


def test_features_are_the_data_where_no_raster_is(unpacked: Unpacked) -> None:
    """Keys differ, also from that of a document outside of their folder."""
    members = {
        "o/ships.dat": FEATURES,
        "o/x/ships.json": FEATURES,
        "o/log.txt": "words",
        "o/x/meta.json": "{}",
        "ships_dat.txt": "a",
    }
    contents = recognise(unpacked(members))
    (product,) = contents.products
    assert (product.kind, product.name, product.rasters, contents.all_problems) == ("plain", "o", (), ())
    assert [vectors.key for vectors in product.vectors] == ["ships_dat", "ships_json"]
    assert [document.key for document in product.documents] == ["log", "meta"]
    assert [document.key for document in contents.documents] == ["ships_dat-2"]


def test_features_beside_rasters_are_documents(unpacked: Unpacked, tiff: bytes) -> None:
    beside = recognise(unpacked({"a.tif": tiff, "a.geojson": FEATURES})).products[0]
    assert (beside.vectors, [document.media_type for document in beside.documents]) == ((), ["application/geo+json"])


def test_features_do_not_excuse_what_is_missing(unpacked: Unpacked) -> None:
    members = {"data.json": '{"type": "FeatureCollection", "features": [{"properties": {"up42.data_path": "a.tif"}}]}'}
    with pytest.raises(InvalidDelivery, match=r"a\.tif: data\.json lists it, and it was not delivered"):
        recognise(unpacked(members)).check()


def test_side_cars_and_overviews_are_no_rasters_of_their_own(unpacked: Unpacked, tiff: bytes) -> None:
    contents = recognise(unpacked({"a.tif": tiff, "a.tif.msk": tiff, "a.tif.ovr": tiff, "a.tfw": "1"}))
    assert [raster.key for raster in contents.products[0].rasters] == ["a"]
    assert set(contents.left_out) == {"a.tif.msk", "a.tif.ovr", "a.tfw"}


def test_papers_belong_to_the_deepest_folder_with_a_product(dimap: Make, unpacked: Unpacked, tiff: bytes) -> None:
    members = {
        "o/A/DIM_A.XML": dimap(1, 1, processing="MS"),
        "o/A/IMG_R1C1.TIF": tiff,
        "o/A/ICON_A.JPG": JPEG,
        "o/A/PREVIEW_A.JPG": JPEG,
        "o/B/DIM_B.XML": dimap(1, 1, processing="P"),
        "o/B/IMG_R1C1.TIF": tiff,
        "o/B/LICENSE.PDF": b"%PDF-1.7",
        "o/INDEX.HTM": "<html/>",
        "o/DELIVERY.PDF": b"%PDF-1.7",
    }
    contents = recognise(unpacked(members))
    first, second = contents.products
    assert {document.key: document.roles[0] for document in first.documents} == {
        "DIM_A": "metadata",
        "ICON_A": "thumbnail",
        "PREVIEW_A": "overview",
    }
    assert {document.key: document.roles[0] for document in second.documents} == {
        "DIM_B": "metadata",
        "LICENSE": "license",
    }
    assert [document.key for document in contents.documents] == ["DELIVERY"]
    assert set(contents.left_out) == {"o/INDEX.HTM"}


def test_papers_in_a_folder_of_a_product_in_the_folder_of_another(dimap: Make, unpacked: Unpacked, tiff: bytes) -> None:
    members = {
        "DIM_A.XML": dimap(1, 1),
        "IMG_R1C1.TIF": tiff,
        "z/DIM_Z.XML": dimap(1, 1),
        "z/IMG_R1C1.TIF": tiff,
        "z/ICON.JPG": JPEG,
    }
    outer, inner = recognise(unpacked(members)).products
    assert [document.key for document in outer.documents] == ["DIM_A"]
    assert sorted(document.key for document in inner.documents) == ["DIM_Z", "ICON"]


def test_every_file_is_landed_or_left_out_with_a_reason(dimap: Make, unpacked: Unpacked, tiff: bytes) -> None:
    members = {
        "A/DIM_A.XML": dimap(1, 1),
        "A/IMG_R1C1.TIF": tiff,
        "A/IMG_R1C1.TFW": "1",
        "A/x.bin": b"\0",
        "y.tif": tiff,
        "z.pdf": b"%PDF-1.7",
    }
    contents = recognise(unpacked(members))
    rasters = {
        path.name for product in contents.products for raster in product.rasters for path in raster.source.members
    }
    rasters |= {raster.source.path.name for product in contents.products for raster in product.rasters}
    papers = {document.member.name.name for product in contents.products for document in product.documents}
    papers |= {document.member.name.name for document in contents.documents}
    left_out = {name.rpartition("/")[2] for name in contents.left_out}
    assert rasters | papers | left_out == {name.rpartition("/")[2] for name in members}


def keys(contents: Any) -> list[str]:
    assets = [asset for product in contents.products for asset in (*product.rasters, *product.documents)]
    return [asset.key for asset in (*assets, *contents.documents)]


def test_no_two_assets_of_a_delivery_have_one_key(dimap: Make, unpacked: Unpacked, tiff: bytes) -> None:
    members = {
        "A/DIM_A.XML": dimap(1, 1),
        "A/IMG_R1C1.TIF": tiff,
        "B/DIM_B.XML": dimap(1, 1),
        "B/IMG_R1C1.TIF": tiff,
        "A/META.txt": "words",
        "A/META.json": "{}",
        "A/readme.txt": "words",
        "B/README.txt": "words",
        "c/same.tif": tiff,
        "d/same.tif": tiff,
        "e/SAME.tif": tiff,
    }
    found = keys(recognise(unpacked(members)))
    assert {"pms_DIM_A", "pms_DIM_B", "META_txt", "META_json", "same_tif", "same_tif-2"} <= set(found)
    assert len({key.lower() for key in found}) == len(found) == 11


@pytest.mark.parametrize(
    "name", ["-rf.tif", "a b.tif", "größe.tif", "..x.tif", "x" * 200 + ".tif", "a;rm -rf $HOME.tif"]
)
def test_a_key_is_fit_to_be_a_file_name(unpacked: Unpacked, tiff: bytes, name: str) -> None:
    (key,) = keys(recognise(unpacked({name: tiff})))
    assert key.isascii()
    assert 0 < len(key) <= 130
    assert key[0] not in "-."
    assert not set(key) & set(" /\\;$:")


def test_the_order_of_members_does_not_matter(dimap: Make, volume: Make, unpacked: Unpacked, tiff: bytes) -> None:
    members = unpacked(
        {
            "VOL_X.XML": volume("A/DIM_A.XML", "B/DIM_B.XML"),
            "A/DIM_A.XML": dimap(1, 1),
            "A/IMG_R1C1.TIF": tiff,
            "B/DIM_B.XML": dimap(1, 1),
            "B/IMG_R1C1.TIF": tiff,
            "x/same.tif": tiff,
            "y/same.tif": tiff,
            "readme.txt": "words",
        }
    )
    first = recognise(members)
    shuffled = list(members)
    for seed in range(5):
        random.Random(seed).shuffle(shuffled)
        assert recognise(shuffled) == first


def test_a_file_of_one_format_is_not_shown_to_the_next(dimap: Make, unpacked: Unpacked, tiff: bytes) -> None:
    contents = recognise(unpacked({"DIM_1.XML": dimap(1, 1), "IMG_R1C1.TIF": tiff, "extra.tif": tiff}))
    assert [(product.kind, [raster.key for raster in product.rasters]) for product in contents.products] == [
        ("dimap", ["pms"]),
        ("plain", ["extra"]),
    ]


def test_the_first_faults_are_in_the_message_and_all_in_the_record(unpacked: Unpacked) -> None:
    contents = recognise(unpacked({f"{number}.tif": b"" for number in range(7)}))
    assert len(contents.all_problems) == 7
    with pytest.raises(InvalidDelivery, match=r"0\.tif: it has 0 bytes \(incomplete\).* and 2 more"):
        contents.check()
