"""What kind of raster something is taken for. Pure."""

from __future__ import annotations

import dataclasses

import pytest

from up42_pipelines.lake.rasters.profiles import MAX_CLASSES, profile_of
from up42_pipelines.lake.rasters.records import RasterInfo


def info(dtype="uint16", count=1, **changes):
    plain = RasterInfo(
        driver="GTiff", width=100, height=100, count=count, dtypes=(dtype,) * count, nodata=(None,) * count,
        crs_code=None, crs_wkt=None, transform=None, bounds=None, gsd_m=None, descriptions=(None,) * count,
        units=(None,) * count, colorinterp=("gray",) * count, scales=(1.0,) * count, offsets=(0.0,) * count,
        has_mask=False, has_gcps=False, has_rpcs=False, is_cog=False, footprint_4326=None, bbox=None,
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


@pytest.mark.parametrize(
    ("raster", "roles", "values", "name", "stored"),
    [
        (info("uint8", 3), ["visual"], None, "visual", (1, "STANDARD", "AVERAGE")),
        (info("uint8", 4), ["data"], None, "visual", (1, "STANDARD", "AVERAGE")),
        (info("uint16", 4), ["data"], None, "analytic", (3, "STANDARD", "AVERAGE")),
        (info("uint16"), [], 5000, "analytic", (3, "STANDARD", "AVERAGE")),
        (info("float32", 2), ["data"], None, "analytic", (3, "FLOATING_POINT", "AVERAGE")),
        (info("complex64"), ["data"], None, "sar", (3, "NO", "NEAREST")),
        (info("complex_int16"), ["visual"], None, "sar", (3, "NO", "NEAREST")),
        (info("uint16", 2), ["sar"], None, "sar", (3, "STANDARD", "AVERAGE")),
        (info("float32", has_gcps=True), [], None, "sar", (3, "FLOATING_POINT", "AVERAGE")),
        (info("float32", descriptions=("DEM",)), [], None, "dem", (3, "FLOATING_POINT", "AVERAGE")),
        (info("int16", units=("metre",)), [], None, "dem", (3, "STANDARD", "AVERAGE")),
        (info("uint8", colorinterp=("palette",)), ["visual"], None, "classes", (3, "NO", "NEAREST")),
        (info("uint16", descriptions=("QA_PIXEL",)), [], None, "classes", (3, "NO", "NEAREST")),
        (info("uint8", 8), ["data-mask"], None, "classes", (3, "NO", "NEAREST")),
        (info("uint8"), ["data"], MAX_CLASSES, "classes", (3, "NO", "NEAREST")),
        (info("uint8"), ["data"], MAX_CLASSES + 1, "visual", (1, "STANDARD", "AVERAGE")),
        (info("float32"), ["cloud"], None, "analytic", (3, "FLOATING_POINT", "AVERAGE")),
        (info("uint16", descriptions=("quantities of masks",)), [], None, "analytic", (3, "STANDARD", "AVERAGE")),
    ],
)
def test_profiles(raster, roles, values, name, stored):
    profile = profile_of(raster, roles=roles, values=values)
    assert profile.name == name, profile.reason
    assert (profile.level, profile.predictor, profile.overviews) == stored
    assert profile.reason
