"""The source of `sandbox-optical`: scenes out of nothing, clipped to the AOI and rendered when somebody wants them.

Tasked scenes (see `acquisitions`) are rendered here, too; they are in no archive: their deliveries describe them whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon, shape
from shapely.geometry.base import BaseGeometry

from up42_pipelines.sandbox.catalog.products import OPTICAL, Collection, DataProduct
from up42_pipelines.sandbox.core import geometry
from up42_pipelines.sandbox.imagery import encoding, layers, raster_files, rendering, scenes
from up42_pipelines.sandbox.imagery.ground import BANDS
from up42_pipelines.sandbox.imagery.layers import Layer
from up42_pipelines.sandbox.imagery.scenes import Scene

_TAGS = {"SCENE_ID": "scene_id", "ACQUISITION_DATE": "datetime", "PRODUCER": "producer"}


@dataclass(frozen=True)
class SyntheticScenes:
    """Scenes that follow from a seed."""

    seed: int
    collection: Collection = OPTICAL

    def find(self, area: BaseGeometry, first: datetime, last: datetime) -> Iterator[Scene]:
        """Yield the scenes that touch an area (degrees) between two times, newest first."""
        return scenes.find_scenes(self.seed, area, first, last)

    def scene(self, scene_id: str) -> Scene | None:
        """Find a scene."""
        return scenes.scene_by_id(self.seed, scene_id)

    def preview(self, scene: Scene, max_side: int) -> bytes:
        """Draw the full scene as JPEG."""
        grid, inside = rendering.scene_grid(scene, max_side)
        return raster_files.jpeg(rendering.display(scene, self.seed, grid, inside))

    def content(self, scene: Scene, product: DataProduct, aoi: Polygon | None, part: int) -> dict[str, Any]:
        """Describe a delivery: the scene inside the AOI, or the western (1) or eastern (2) half of that."""
        suffix = "" if part == 0 else f"_R1C{part}"
        title = f"{scene.id}_{product.name.upper()}{suffix}"
        return describe(scene, self.seed, product, _part(clip_to(scene, aoi), part), title)


def describe(scene: Scene, seed: int, product: DataProduct, clip: Polygon | MultiPolygon, title: str) -> dict[str, Any]:
    """Describe the delivery of a part of a scene (degrees), see `Source.content`."""
    coarsest = max(file.times_gsd for file in product.files)
    grid = _grid(clip, scene, coarsest)
    angles = scene.provider_properties
    return {
        "kind": "synthetic",
        "seed": seed,
        "scene_id": scene.id,
        "product": product.name,
        "product_id": product.id,
        "collection": scene.collection,
        "title": title,
        "datetime": scene.acquired_at.isoformat(timespec="microseconds"),
        "cloud_cover": scene.cloud_cover_percent,
        "constellation": scene.constellation,
        "platform": scene.platform,
        "producer": scene.producer,
        "view": {
            "view:incidence_angle": angles["incidenceAngle"],
            "view:azimuth": angles["azimuthAngle"],
            "view:sun_azimuth": angles["illuminationAzimuthAngle"],
            "view:sun_elevation": angles["illuminationElevationAngle"],
        },
        "geometry": geometry.as_geojson(clip),
        "bbox": list(clip.bounds),
        "epsg": grid.epsg,
        "gsd": grid.gsd_m,
        "modality": "multispectral",
        "data": [
            layers.describe_raster(
                file.kind, file.suffix, file.role, file.bands, file.dtype, grid.coarser(file.times_gsd)
            )
            for file in product.files
        ],
    }


def clip_to(scene: Scene, aoi: BaseGeometry | None) -> Polygon | MultiPolygon:
    """Return what an AOI gets of a scene, degrees; empty when they do not meet."""
    return scene.footprint if aoi is None else geometry.polygons(scene.footprint.intersection(aoi))


def layer(content: Mapping[str, Any], file: Mapping[str, Any]) -> Layer:
    """Render one of the rasters of a delivery."""
    own, scene, clip = layers.grid_of(file), _scene(content), shape(content["geometry"])
    times = round(own.gsd_m / content["gsd"])
    fine = own.finer(times)
    inside = rendering.valid_pixels(geometry.project(clip, own.epsg), fine)
    pixels = rendering.reflectance(scene, content["seed"], fine)
    if file["role"] == "panchromatic":
        weights = np.array([rendering.PAN_WEIGHTS[band] for band in BANDS], np.float32)
        pixels = np.tensordot(weights, pixels, 1)[None]
    else:
        pixels = pixels[[BANDS.index(band) for band in file["bands"]]]
    if times > 1:
        # The sum of what the finer pixels see; a pixel that is partly outside shows what it sees there, too.
        blocks = (own.height, times, own.width, times)
        pixels = pixels.reshape(len(pixels), *blocks).mean(axis=(2, 4), dtype=np.float32)
        inside = np.asarray(inside.reshape(blocks).any(axis=(1, 3)))
    return Layer(own, tuple(file["bands"]), pixels, inside)


def write_data(content: Mapping[str, Any], file: Mapping[str, Any], path: Path) -> None:
    """Write one of the rasters of a delivery."""
    rendered = layer(content, file)
    tags = {key: content[name] for key, name in _TAGS.items()}
    pixels = encoding.encode(rendered.reflectance, rendered.valid, file["dtype"])
    raster_files.write_cog(path, pixels, rendered.grid, rendered.bands, tags)


def write_preview(content: Mapping[str, Any], path: Path) -> None:
    """Draw the raster of a delivery as a small JPEG."""
    scene, clip = _scene(content), shape(content["geometry"])
    grid = _grid(clip, scene, max_side=256)
    inside = rendering.valid_pixels(geometry.project(clip, grid.epsg), grid)
    path.write_bytes(raster_files.jpeg(rendering.display(scene, content["seed"], grid, inside)))


def _scene(content: Mapping[str, Any]) -> Scene:
    scene = _tasked(content) if "footprint" in content else scenes.scene_by_id(content["seed"], content["scene_id"])
    if scene is None:
        raise LookupError(f"Scene {content['scene_id']} does not follow from seed {content['seed']}.")
    return scene


def _tasked(content: Mapping[str, Any]) -> Scene:
    return Scene(
        id=content["scene_id"],
        collection=content["collection"],
        acquired_at=datetime.fromisoformat(content["datetime"]),
        footprint=geometry.polygons(shape(content["footprint"])),
        cloud_cover_percent=content["cloud_cover"],
        gsd_m=content["gsd"],
        epsg=content["epsg"],
        constellation=content["constellation"],
        platform=content["platform"],
        producer=content["producer"],
        provider_properties={},
    )


def _grid(clip: BaseGeometry, scene: Scene, coarsest: int = 1, max_side: int = rendering.MAX_SIDE) -> rendering.Grid:
    """Lay the scene's grid over a clip (degrees), so that blocks of `coarsest` by `coarsest` pixels fill it."""
    epsg = scene.epsg
    if epsg is None:
        raise ValueError(f"{scene.id} has no projected CRS")
    bounds = geometry.project(clip, epsg).bounds
    return rendering.grid_over(bounds, epsg, scene.gsd_m * coarsest, max_side // coarsest).finer(coarsest)


def _part(clip: Polygon | MultiPolygon, part: int) -> Polygon | MultiPolygon:
    if part == 0:
        return clip
    west, south, east, north = clip.bounds
    middle = (west + east) / 2
    half = shapely.box(west, south, middle, north) if part == 1 else shapely.box(middle, south, east, north)
    return geometry.polygons(clip.intersection(half))
