"""Every archive of the test data, and everything beside it that is none, with what is to come of it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.archives.formats import archive_format
from up42_pipelines.lake.archives.limits import UnpackLimits
from up42_pipelines.lake.archives.unpack import unpack

LIMITS = UnpackLimits()

# Files, their bytes, and entries left out.
UNPACKED = {
    "deliveries/LC08_L1TP_090084_20160121_20170405_01_T1.tar.gz": (14, 216745, 0),
    "deliveries/LT05_L1TP_090085_19970406_20161231_01_T1.tar.gz": (14, 589039, 0),
    "deliveries/PALSAR2_N23W161_20_MOS_F02DAR.tar.gz": (6, 27158360, 0),
    "deliveries/S2A_MSIL1C_20180629T000241_N0206_R030_T56JMM_20180629T012042.zip": (103, 14304373, 12),
    "deliveries/made_dimap2_phr_ortho_7654321101.zip": (20, 1079244, 0),
    "deliveries/made_nested_order_macos.zip": (19, 296988, 2),
    "deliveries/made_planet_order_psscene4band.zip": (7, 1565041, 0),
    "deliveries/made_zip_pneo_000123456_1_1_STD_A.zip": (4, 80221, 0),
    "deliveries/up42_job_result_s2_berlin.tgz": (2, 2365178, 2),
    "deliveries/up42_job_result_s2_berlin.zip": (2, 2365178, 2),
    "hostile/dimap_missing_tile_R2C1.zip": (19, 820875, 0),  # incomplete: not for the archive to tell
    "hostile/dimap_zero_byte_tile.zip": (20, 826761, 0),
    "hostile/zip_5000_empty_entries.zip": (5000, 0, 0),
    "hostile/zip_empty.zip": (0, 0, 0),
    "hostile/zip_nested_bomb_3levels_100MB.zip": (10, 98460, 10),  # the third level stays packed
    "hostile/zip_odd_names.zip": (8, 2646, 0),
    "hostile/zip_only_metadata.zip": (2, 21, 0),
}
REFUSED = {
    "hostile/tar_path_traversal.tgz": "`..`",
    "hostile/zip_bad_crc.zip": r"_0-0\.tif'",
    "hostile/zip_bomb_190MB.zip": "would become 190000000",
    "hostile/zip_duplicate_and_case_names.zip": "the same name",
    "hostile/zip_encrypted_password_test.zip": "is encrypted",
    "hostile/zip_lying_size.zip": "more than the 1000 bytes",
    "hostile/zip_path_traversal.zip": "`..`",
    "hostile/zip_symlink_escape.zip": "'data' is a symbolic link",
    "hostile/zip_truncated_no_central_directory.zip": "is damaged",
}


@pytest.mark.parametrize("name", UNPACKED)
def test_unpacked(real_data: Path, tmp_path: Path, name: str):
    unpacked = unpack(real_data / name, tmp_path / "out", limits=LIMITS)
    found = len(unpacked.files), sum(file.path.stat().st_size for file in unpacked.files), len(unpacked.left_out)
    assert found == UNPACKED[name]
    assert {file.path for file in unpacked.files} == {path for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(real_data: Path, tmp_path: Path, name: str):
    with pytest.raises(InvalidDelivery, match=REFUSED[name]):
        unpack(real_data / name, tmp_path / "out", limits=LIMITS)
    assert not list(tmp_path.iterdir())


def test_everything_else_is_no_archive(real_data: Path):
    others = [
        path
        for folder in ("deliveries", "hostile")
        for path in (real_data / folder).rglob("*")
        if path.is_file() and str(path.relative_to(real_data)) not in UNPACKED | REFUSED
    ]
    assert len(others) > 60
    assert {path.name: archive_format(path) for path in others} == dict.fromkeys(path.name for path in others)


def test_folders_of_a_nested_order_are_kept(real_data: Path, tmp_path: Path):
    unpacked = unpack(real_data / "deliveries/made_nested_order_macos.zip", tmp_path / "out", limits=LIMITS)
    names = {str(file.name) for file in unpacked.files}
    assert {
        "Order 42/000123456_1_1_STD_A.zip/000123456_1_1_STD_A/MS-FS/DIM_MS-FS.XML",
        "Order 42/DELIVERY.PDF",
    } < names
    assert sum(name.startswith("Order 42/LC08_L1TP_090084.tar.gz/LC08_") for name in names) == 14
    assert {str(name) for name in unpacked.left_out} == {
        "Order 42/.DS_Store",
        "__MACOSX/Order 42/._000123456_1_1_STD_A.zip",
    }


def test_the_bomb_takes_no_memory_even_where_it_is_allowed(real_data: Path, tmp_path: Path):
    tracemalloc.start()
    try:
        (file,) = unpack(
            real_data / "hostile/zip_bomb_190MB.zip", tmp_path / "out", limits=UnpackLimits(ratio=2000)
        ).files
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert file.path.stat().st_size == 190_000_000
    assert peak < 6_000_000
    file.path.unlink()
