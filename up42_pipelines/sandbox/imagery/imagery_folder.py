"""The source of `sandbox-imagery`: the rasters of a folder, sold as whole scenes and delivered as they are.

Only what the file itself says counts: side-car files are neither read nor delivered. The driver is chosen by the file's
first bytes and named when it is opened, so that a VRT in disguise is never followed to other files.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from up42_pipelines.sandbox.catalog.products import IMAGERY, Collection, DataProduct
from up42_pipelines.sandbox.core import chance, geometry
from up42_pipelines.sandbox.imagery import encoding, layers, placement, previews, raster_files, rendering
from up42_pipelines.sandbox.imagery.layers import COG_TYPE, Layer
from up42_pipelines.sandbox.imagery.scenes import Scene

logger = logging.getLogger(__name__)

# Only the file itself, and no other driver's idea of it.
GDAL_OPTIONS = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO", "GDAL_NUM_THREADS": "1"}
_FIRST_DAY, _DAYS = date(2026, 6, 1), 3
_WIDEST_DEGREES, _FURTHEST_DEGREES = 8, 84
_MAX_SIDE, _MAX_BANDS = 500_000, 1_000
_HASHED_WHOLE = 64_000_000
_SIGNATURES = (
    (b"II*\x00", "GTiff"),
    (b"MM\x00*", "GTiff"),
    (b"II+\x00", "GTiff"),
    (b"MM\x00+", "GTiff"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JP2OpenJPEG"),
    (b"\xff\x4f\xff\x51", "JP2OpenJPEG"),
    (b"NITF", "NITF"),
    (b"NSIF", "NITF"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
)
_MEDIA_TYPES = {
    "GTiff": "image/tiff; application=geotiff",
    "JP2OpenJPEG": "image/jp2",
    "NITF": "application/vnd.nitf",
    "PNG": "image/png",
    "JPEG": "image/jpeg",
}
_SIDECARS = (".msk", ".ovr", ".aux.xml")


class Unusable(ValueError):
    """A file of the folder cannot become a scene; the message says why."""


@dataclass(frozen=True)
class Raster:
    """A raster of the folder that lies somewhere on Earth, and the scene it is sold as.

    Attributes:
        dtype: of what is computed from it: `uint8` if it has 8 bit, else `uint16`.
    """

    path: Path
    driver: str
    bands: tuple[str, ...]
    dtype: str
    scene: Scene


@dataclass(frozen=True)
class ImageryFolder:
    """Scenes that are files.

    Attributes:
        rasters: what the folder holds, by scene id.
        keep: folder to which a raster is copied when it is ordered, so that it can be delivered whatever happens to the
            original.
    """

    rasters: MappingProxyType[str, Raster]
    keep: Path
    collection: Collection = IMAGERY

    def find(self, area: BaseGeometry, first: datetime, last: datetime) -> Iterator[Scene]:
        """Yield the scenes that touch an area (degrees) between two times, newest first."""
        scenes = (raster.scene for raster in self.rasters.values())
        for scene in sorted(scenes, key=lambda scene: (scene.acquired_at, scene.id), reverse=True):
            if first <= scene.acquired_at <= last and area.intersects(scene.footprint):
                yield scene

    def scene(self, scene_id: str) -> Scene | None:
        """Find a scene."""
        raster = self.rasters.get(scene_id)
        return None if raster is None else raster.scene

    def preview(self, scene: Scene, max_side: int) -> bytes | None:
        """Draw the raster as JPEG; None when its pixels cannot be read."""
        raster = self.rasters[scene.id]
        return previews.draw(raster.path, raster.driver, max_side)

    def content(self, scene: Scene, product: DataProduct, aoi: Polygon | None, part: int) -> dict[str, Any]:  # noqa: ARG002
        """Describe the delivery: always all of it. The file is put aside first."""
        raster = self.rasters[scene.id]
        kept, grid = self._kept(raster), _processing_grid(scene)
        role = "multispectral" if len(raster.bands) > 1 else "panchromatic"
        return {
            "kind": "imagery",
            "source": kept.name,
            "driver": raster.driver,
            "scene_id": scene.id,
            "product": product.name,
            "product_id": product.id,
            "collection": scene.collection,
            "title": scene.id,
            "datetime": scene.acquired_at.isoformat(timespec="microseconds"),
            "cloud_cover": scene.cloud_cover_percent,
            "constellation": scene.constellation,
            "platform": scene.platform,
            "producer": scene.producer,
            "view": {},
            "geometry": geometry.as_geojson(scene.footprint),
            "bbox": placement.bbox(scene.footprint),
            "epsg": scene.epsg,
            "gsd": scene.gsd_m,
            "modality": role,
            "data": [
                {
                    "kind": "data",
                    "suffix": _safe(raster.path.name).lower(),
                    "type": COG_TYPE if raster.driver == "GTiff" and is_cog(kept) else _MEDIA_TYPES[raster.driver],
                    "role": role,
                    "gsd": scene.gsd_m,
                    "bands": list(raster.bands),
                    "dtype": raster.dtype,
                    "grid": None if grid is None else asdict(grid),
                }
            ],
        }

    def _kept(self, raster: Raster) -> Path:
        kept = self.keep / f"{raster.scene.id}{raster.path.suffix.lower()}"
        if not kept.exists():
            self.keep.mkdir(parents=True, exist_ok=True)
            temporary = kept.with_name(f".{kept.name}.part")
            shutil.copyfile(raster.path, temporary)
            temporary.replace(kept)
        return kept


def layer(content: Mapping[str, Any], file: Mapping[str, Any], sources: Path) -> Layer:
    """Read the raster of a delivery onto its grid.

    Args:
        content: what was delivered, see `Source.content`.
        file: its raster.
        sources: the folder of `ImageryFolder.keep`.
    """
    grid = layers.grid_of(file)
    with (
        rasterio.Env(**GDAL_OPTIONS),
        rasterio.open(sources / content["source"], driver=content["driver"]) as dataset,
        WarpedVRT(
            dataset,
            crs=f"EPSG:{grid.epsg}",
            transform=grid.transform,
            width=grid.width,
            height=grid.height,
            src_nodata=0 if dataset.nodata is None else dataset.nodata,
            nodata=0 if dataset.nodata is None else dataset.nodata,
            resampling=Resampling.bilinear,
        ) as warped,
    ):
        pixels, valid = warped.read(), warped.dataset_mask() > 0
    reflectance = encoding.decode(np.abs(pixels) if np.iscomplexobj(pixels) else pixels, valid)
    return Layer(grid, tuple(file["bands"]), reflectance, valid)


def write_data(content: Mapping[str, Any], sources: Path, path: Path) -> None:
    """Write the raster of a delivery: the file of the folder, byte for byte."""
    shutil.copyfile(sources / content["source"], path)


def write_preview(content: Mapping[str, Any], sources: Path, path: Path) -> None:
    """Draw the raster of a delivery as a small JPEG; black when its pixels cannot be read."""
    picture = previews.draw(sources / content["source"], content["driver"], 256)
    path.write_bytes(picture if picture is not None else raster_files.jpeg(np.zeros((3, 64, 64), np.uint8)))


def read_folder(folder: Path, keep: Path) -> ImageryFolder:
    """Look at every file of a folder, recursively; say in the log which ones are left out, and why."""
    rasters: dict[str, Raster] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.startswith(".") or path.name.lower().endswith(_SIDECARS):
            continue
        try:
            raster = inspect(path)
        except (Unusable, placement.NotPlaced, RasterioError, OSError, ValueError) as problem:
            logger.warning("imagery: %s is left out: %s", path, " ".join(str(problem).split()))
            continue
        rasters[raster.scene.id] = raster
    logger.info("imagery: %d scenes in %s", len(rasters), folder)
    return ImageryFolder(MappingProxyType(rasters), keep)


def inspect(path: Path) -> Raster:
    """Turn a raster file into a scene.

    Raises:
        Unusable: not a raster of a known format, or of an absurd size.
        placement.NotPlaced: it lies nowhere on Earth.
        RasterioError: GDAL cannot open it.
    """
    with path.open("rb") as file:
        head = file.read(16)
    driver = next((name for signature, name in _SIGNATURES if head.startswith(signature)), None)
    if driver is None:
        raise Unusable("not a GeoTIFF, JPEG 2000, NITF, PNG or JPEG file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.Env(**GDAL_OPTIONS), rasterio.open(path, driver=driver) as dataset:
            if max(dataset.width, dataset.height) > _MAX_SIDE or dataset.count > _MAX_BANDS:
                raise Unusable(f"absurd size: {dataset.width} x {dataset.height} pixels, {dataset.count} bands")
            placed = placement.place(dataset)
            bands = _band_names(dataset)
            dtype = "uint8" if set(dataset.dtypes) == {"uint8"} else "uint16"
    stem = _safe(path.stem)[:80]
    scene_id = f"SBI_{stem}_{_content_hash(path)}"
    day = _FIRST_DAY + timedelta(days=chance.integer("day", path.name) % _DAYS)
    second = int(chance.between(8 * 3600, 16 * 3600, "second", path.name))
    return Raster(
        path=path,
        driver=driver,
        bands=bands,
        dtype=dtype,
        scene=Scene(
            id=scene_id,
            collection=IMAGERY.name,
            acquired_at=datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second),
            footprint=placed.footprint,
            cloud_cover_percent=0.0,
            gsd_m=placed.gsd_m,
            epsg=placed.epsg,
            constellation="SANDBOX-FILES",
            platform="SANDBOX-FILES",
            producer="Sandbox",
            provider_properties=MappingProxyType(
                {"fileName": path.name, "driver": driver, "placedBy": placed.method, "bands": list(bands)}
            ),
        ),
    )


def is_cog(path: Path) -> bool:
    """Tell whether a GeoTIFF is cloud-optimized."""
    from rio_cogeo.cogeo import cog_validate  # without a folder of imagery nobody needs it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            valid, _, _ = cog_validate(str(path), quiet=True, config=dict(GDAL_OPTIONS))
        except Exception:  # noqa: BLE001 - whatever a damaged file provokes, it is not a COG
            return False
    return bool(valid)


def _band_names(dataset: DatasetReader) -> tuple[str, ...]:
    """Return the bands' descriptions, else the colours that they are shown in, else their numbers."""
    colors = {ColorInterp.red: "red", ColorInterp.green: "green", ColorInterp.blue: "blue"}
    bands = enumerate(zip(dataset.descriptions, dataset.colorinterp, strict=True), start=1)
    return tuple(text or colors.get(color, f"band_{index}") for index, (text, color) in bands)


def _processing_grid(scene: Scene) -> rendering.Grid | None:
    """Lay a grid over a scene for the processes to work on, in its UTM zone.

    None where that is no good place to compute: too large for a zone, or found by RPCs only.
    """
    middle = scene.footprint.centroid
    west, south, east, north = scene.footprint.bounds
    if max(east - west, north - south) > _WIDEST_DEGREES or abs(middle.y) > _FURTHEST_DEGREES:
        return None
    if scene.provider_properties["placedBy"] == "rpcs":
        return None
    epsg = geometry.utm_epsg(middle.x, middle.y)
    return rendering.grid_over(geometry.project(scene.footprint, epsg).bounds, epsg, scene.gsd_m)


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "raster"


def _content_hash(path: Path) -> str:
    """Hash a file; of a large one the size, the beginning and the end, so that the start stays quick."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _HASHED_WHOLE:
            digest.update(file.read())
        else:
            digest.update(file.read(_HASHED_WHOLE // 2))
            file.seek(-_HASHED_WHOLE // 2, 2)
            digest.update(file.read())
    return digest.hexdigest()[:12]
