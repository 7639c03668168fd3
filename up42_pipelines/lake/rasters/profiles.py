"""How a kind of raster is stored. Pure; figures: `benchmarks/cog.py` and its table in docs/performance.md."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from up42_pipelines.lake.rasters.records import ProfileName, RasterInfo

# Roles of STAC assets whose pixels are classes or flags (STAC best practices, "Asset roles").
_CLASS_ROLES = frozenset(
    {
        "data-mask",
        "cloud",
        "cloud-shadow",
        "cirrus",
        "snow-ice",
        "land-water",
        "water-mask",
        "saturation",
        "classification",
    }
)
# In band descriptions, by word: Landsat QA_PIXEL, Sentinel-2 SCL, Planet UDM2.
_CLASS_WORDS = frozenset({"qa", "scl", "udm", "udm2", "mask", "class", "classification", "landcover"})
_DEM_WORDS = frozenset({"dem", "dsm", "dtm", "dhm", "elevation", "height"})
# Land cover legends have up to some 40 entries; measured signals take more values in any sample worth the name.
MAX_CLASSES = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How to store a raster.

    Pixels of all bands are always interleaved: most readers take all bands of a place, and GDAL's COG driver can only
    keep bands apart from 3.11 on (the wheels of rasterio 1.4 hold 3.10, which ignores the option).

    Attributes:
        name: what kind of raster it is taken for.
        reason: why, in words.
        level: of ZSTD. 1 is as small as 3 for 8-bit imagery, at 1.4 times the speed; for 16 bits 3 is 10 % smaller, and
            as fast to read.
        predictor: of TIFF; without one integer imagery takes 20 to 25 % more. None for complex numbers (TIFF
            Technical Note 3) and for classes, whose runs are shorter as differences.
        overviews: GDAL's resampling. AVERAGE for measurements, at a quarter of the CPU time of the default CUBIC;
            NEAREST for classes, which must not be mixed to new ones: MODE would lose what is thin, and costs more.
    """

    name: ProfileName
    reason: str
    level: int
    predictor: Literal["NO", "STANDARD", "FLOATING_POINT"]
    overviews: Literal["AVERAGE", "NEAREST"]


def profile_of(info: RasterInfo, *, roles: Collection[str] = (), values: int | None = None) -> Profile:
    """What kind of raster it is, and how that is stored.

    Args:
        info: its description.
        roles: of its STAC asset.
        values: how many different values a sample of its first band has; None when that was not counted.
    """
    floating = any(dtype.startswith("float") for dtype in info.dtypes)
    words = {word for text in info.descriptions if text for word in text.lower().replace("-", "_").split("_")}
    words |= {word for text in info.descriptions if text for word in text.lower().split()}
    if any(dtype.startswith("complex") for dtype in info.dtypes):
        return Profile(
            name="sar", reason="complex numbers", level=3, predictor="NO", overviews="NEAREST"
        )  # averages of phases mean nothing
    classes = _why_classes(info, roles, words, values, floating=floating)
    if classes is not None:
        return Profile(name="classes", reason=classes, level=3, predictor="NO", overviews="NEAREST")
    predictor: Literal["STANDARD", "FLOATING_POINT"] = "FLOATING_POINT" if floating else "STANDARD"
    if info.count == 1 and (words & _DEM_WORDS or _is_signed_height(info)):
        return Profile(name="dem", reason="one band of heights", level=3, predictor=predictor, overviews="AVERAGE")
    if "sar" in {role.lower() for role in roles} or (floating and info.has_gcps):
        return Profile(name="sar", reason="radar", level=3, predictor=predictor, overviews="AVERAGE")
    if all(dtype in {"uint8", "int8"} for dtype in info.dtypes):
        visual = "visual" in roles or {"red", "green", "blue"} <= set(info.colorinterp)
        reason = "8 bits for the eye" if visual else "8-bit samples"
        return Profile(name="visual", reason=reason, level=1, predictor="STANDARD", overviews="AVERAGE")
    return Profile(
        name="analytic", reason=f"{info.dtypes[0]} measurements", level=3, predictor=predictor, overviews="AVERAGE"
    )


def _why_classes(
    info: RasterInfo, roles: Collection[str], words: set[str], values: int | None, *, floating: bool
) -> str | None:
    if "palette" in info.colorinterp:
        return "a colour table"
    if floating:
        return None
    if found := sorted(_CLASS_ROLES & {role.lower() for role in roles}):
        return f"the role {found[0]}"
    if found := sorted(_CLASS_WORDS & words):
        return f"a band called {found[0]}"
    if info.count == 1 and values is not None and values <= MAX_CLASSES:
        return f"few values ({values} in a sample)"
    return None


def _is_signed_height(info: RasterInfo) -> bool:
    return info.dtypes[0] in {"int16", "float32"} and info.units[0] in {"m", "metre", "meter", "metres", "meters"}
