"""What a conversion must preserve, besides pixels."""

from __future__ import annotations

from typing import Any

from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.rasters.raster import has_mask, rpcs_of


def check_facts(before: Any, after: Any, *, name: str) -> None:
    """Refuse a conversion that says something other than its source. Both are rasterio datasets."""
    expected = _facts(before)
    for fact, ours in _facts(after).items():
        theirs = expected[fact]
        # A CRS may get a name: NITF gives a UTM zone without one.
        named = isinstance(ours, CRS) and isinstance(theirs, CRS) and ours == theirs
        if repr(ours) != repr(theirs) and not named:
            raise InvalidDelivery(f"{name}: converting it changed {fact} from {theirs!r:.200} to {ours!r:.200}.")


def _facts(dataset: Any) -> dict[str, Any]:
    """What a conversion must preserve, each comparable by its repr (NaN included)."""
    gcps, gcps_crs = dataset.gcps
    rpcs = rpcs_of(dataset)
    # JPEG 2000 leaves out the default of AREA_OR_POINT; GeoTIFF has no room for a tag without a value.
    tags = sorted((name, value) for name, value in dataset.tags().items() if value and name != "AREA_OR_POINT")
    colorinterp = [interpretation.name for interpretation in dataset.colorinterp]
    if "palette" not in colorinterp and "alpha" not in colorinterp:
        # GDAL's first guess at bands that declare nothing is format-specific: it carries no information.
        colorinterp = [name for name in colorinterp if name not in {"undefined", "gray"}]
    # A table of 2 or 16 colours is filled up with opaque black when its samples become whole bytes.
    palettes = [
        {value: colour for value, colour in dataset.colormap(band).items() if colour != (0, 0, 0, 255)}
        for band, meaning in zip(dataset.indexes, dataset.colorinterp, strict=True)
        if meaning is ColorInterp.palette
    ]
    return {
        "the size": dataset.shape,
        "the data types": dataset.dtypes,
        "nodata": dataset.nodatavals,
        "the CRS": dataset.crs or None,
        "the geotransform": tuple(dataset.transform),
        "band descriptions": dataset.descriptions,
        "units": [unit or None for unit in dataset.units],
        "scales": dataset.scales,
        "offsets": dataset.offsets,
        "colour interpretation": colorinterp,
        "colour tables": palettes,
        "the mask": has_mask(dataset),
        "masks of single bands": [band for band, flags in enumerate(dataset.mask_flag_enums, 1) if not flags],
        "ground control points": [(point.row, point.col, point.x, point.y, point.z) for point in gcps],
        "the CRS of ground control points": gcps_crs if gcps and gcps_crs else None,
        "RPCs": None if rpcs is None else rpcs.to_dict(),
        "tags": tags,
        "band tags": [sorted(dataset.tags(band).items()) for band in dataset.indexes],
    }
