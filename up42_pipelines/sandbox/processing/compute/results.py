"""The results of processes: described when a job is executed, computed when somebody wants their bytes.

A result follows from the description of its inputs alone, so that it can be computed although they were deleted, by
another process, and again.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.features
from rasterio.enums import Resampling
from shapely.geometry import MultiPolygon, Polygon, shape

from up42_pipelines.sandbox.core import geometry
from up42_pipelines.sandbox.imagery import encoding, imagery_folder, layers, raster_files, rendering, synthetic
from up42_pipelines.sandbox.imagery.layers import Layer
from up42_pipelines.sandbox.imagery.rendering import Grid
from up42_pipelines.sandbox.processing.compute import change, colour, detection

Content = Mapping[str, Any]
File = Mapping[str, Any]
Choice = Callable[[Content], File]
GEOJSON_TYPE = "application/geo+json"
MAX_SIDE = 2 * rendering.MAX_SIDE
_PREVIEW_SIDE = 256


def rasters(content: Content) -> list[File]:
    """List the rasters of a delivery that have a grid to work on."""
    return [file for file in content["data"] if file["bands"] and file["grid"] is not None]


def raster_with(content: Content, bands: Sequence[str] = ()) -> File | None:
    """Choose the raster with most bands among those that have the wanted ones."""
    fit = [file for file in rasters(content) if set(bands) <= set(file["bands"])]
    return max(fit, key=lambda file: len(file["bands"]), default=None)


def raster_of_role(content: Content, role: str) -> File | None:
    """Choose the raster of a role."""
    return next((file for file in rasters(content) if file["role"] == role), None)


def common_ground(contents: Sequence[Content]) -> Polygon | MultiPolygon:
    """Return the area that all deliveries cover, degrees; may be empty."""
    shapes = [shape(content["geometry"]) for content in contents]
    return geometry.polygons(functools.reduce(lambda one, other: one.intersection(other), shapes))


@dataclass(frozen=True)
class _RasterProcess:
    """Makes a raster of rasters: which ones it reads, the grid, bands and type of its result, and how it computes."""

    run: Callable[[Sequence[Layer], Mapping[str, Any], Grid], Layer]
    grid: Callable[[Sequence[File], Polygon | MultiPolygon], Grid]
    reads: tuple[tuple[str, Choice], ...]
    bands: Callable[[Sequence[File]], Sequence[str]] = lambda files: files[0]["bands"]
    dtype: Callable[[Sequence[File]], str] = lambda files: str(files[0]["dtype"])


@dataclass(frozen=True)
class _VectorProcess:
    """Makes features of rasters."""

    run: Callable[[Sequence[Layer], Mapping[str, Any]], dict[str, Any]]
    reads: tuple[tuple[str, Choice], ...] = field(default_factory=lambda: (("item", _raster),))


def describe(process_id: str, contents: Mapping[str, Content], options: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the result of a job, see `Source.content`.

    Args:
        process_id: the process.
        contents: what its input items hold, by the name of the input; they were found fit.
        options: its other inputs.
    """
    process, first = _PROCESSES[process_id], next(iter(contents.values()))
    files = [choose(contents[name]) for name, choose in process.reads]
    clip = common_ground(list(contents.values()))
    if isinstance(process, _VectorProcess):
        data: dict[str, Any] = {
            "kind": "data",
            "suffix": "vectors.geojson",
            "type": GEOJSON_TYPE,
            "role": None,
            "gsd": files[0]["gsd"],
            "bands": [],
        }
        epsg = 4326
    else:
        grid, bands, dtype = process.grid(files, clip), process.bands(files), process.dtype(files)
        role = "panchromatic" if len(bands) == 1 else "multispectral"
        suffix = "pan.tiff" if len(bands) == 1 else "ms.tiff"
        data, epsg = layers.describe_raster("data", suffix, role, bands, dtype, grid), grid.epsg
    scene_title = first.get("scene_title", first["title"])
    return {
        **{name: first[name] for name in _KEPT},
        "kind": "result",
        "process": process_id,
        "options": dict(options),
        "inputs": dict(contents),
        "scene_title": scene_title,
        "title": f"{scene_title}_{process_id.upper()}",
        "geometry": first["geometry"] if len(contents) == 1 else geometry.as_geojson(clip),
        "bbox": first["bbox"] if len(contents) == 1 else list(clip.bounds),
        "epsg": epsg,
        "gsd": data["gsd"],
        "modality": data["role"],
        "data": [data],
    }


def write_data(content: Content, sources: Path, path: Path) -> None:
    """Compute a result and write it.

    Args:
        content: the result.
        sources: folder of the rasters that were sold as files.
        path: the file to write.
    """
    result, (file,) = _compute(content, sources), content["data"]
    if not isinstance(result, Layer):
        path.write_text(json.dumps(result), encoding="utf-8")
        return
    tags = {"SCENE_ID": content["scene_id"], "ACQUISITION_DATE": content["datetime"], "PROCESS": content["process"]}
    pixels = encoding.encode(result.reflectance, result.valid, file["dtype"])
    raster_files.write_cog(path, pixels, result.grid, result.bands, tags)


def write_preview(file: File, data: Path, path: Path) -> None:
    """Draw a result as a small JPEG, from its file: a raster, or what was found, white on black."""
    if not file["bands"]:
        path.write_bytes(raster_files.jpeg(_drawn(json.loads(data.read_text(encoding="utf-8")))))
        return
    with rasterio.open(data) as dataset:
        shrink = max(1.0, max(dataset.shape) / _PREVIEW_SIDE)
        small = tuple(max(1, round(side / shrink)) for side in dataset.shape)
        bands = colour.RGB if set(colour.RGB) <= set(file["bands"]) else (file["bands"][0],) * 3
        indexes = [file["bands"].index(band) + 1 for band in bands]
        numbers = dataset.read(indexes, out_shape=(3, *small), resampling=Resampling.average)
    path.write_bytes(raster_files.jpeg(encoding.encode(encoding.decode(numbers), numbers.any(axis=0), "uint8")))


def _compute(content: Content, sources: Path) -> Layer | dict[str, Any]:
    process, inputs = _PROCESSES[content["process"]], content["inputs"]
    read = [_layer(inputs[name], choose(inputs[name]), sources) for name, choose in process.reads]
    if isinstance(process, _VectorProcess):
        return process.run(read, content["options"])
    return process.run(read, content["options"], layers.grid_of(content["data"][0]))


def _layer(content: Content, file: File, sources: Path) -> Layer:
    """Return a raster of a delivery as whoever downloads it would read it."""
    if content["kind"] == "imagery":
        return imagery_folder.layer(content, file, sources)
    made = synthetic.layer(content, file) if content["kind"] == "synthetic" else _compute(content, sources)
    if not isinstance(made, Layer):
        raise TypeError(f"{content['title']} holds vectors")
    numbers = encoding.encode(made.reflectance, made.valid, file["dtype"])
    return Layer(made.grid, made.bands, encoding.decode(numbers), made.valid)


def _drawn(collection: Mapping[str, Any]) -> np.ndarray:
    """Draw the features of a GeoJSON FeatureCollection, (3, y, x)."""
    picture = np.zeros((_PREVIEW_SIDE, _PREVIEW_SIDE), np.uint8)
    shapes = [shape(feature["geometry"]) for feature in collection["features"]]
    if shapes:
        bounds = np.array([one.bounds for one in shapes])
        west, south = bounds[:, :2].min(axis=0)
        east, north = bounds[:, 2:].max(axis=0)
        transform = rasterio.transform.from_bounds(
            west - 1e-5, south - 1e-5, east + 1e-5, north + 1e-5, _PREVIEW_SIDE, _PREVIEW_SIDE
        )
        rasterio.features.rasterize(shapes, out=picture, transform=transform, all_touched=True, default_value=255)
    return np.stack([picture] * 3)


def _chosen(file: File | None) -> File:
    if file is None:
        raise LookupError("no raster of this delivery fits the process")
    return file


def _raster(content: Content) -> File:
    return _chosen(raster_with(content))


def _rgb(content: Content) -> File:
    return _chosen(raster_with(content, colour.RGB))


def _pan(content: Content) -> File:
    return _chosen(raster_of_role(content, "panchromatic"))


def _multispectral(content: Content) -> File:
    return _chosen(raster_of_role(content, "multispectral"))


def _own_grid(files: Sequence[File], clip: Polygon | MultiPolygon) -> Grid:  # noqa: ARG001
    return layers.grid_of(files[0])


def _reference_grid(files: Sequence[File], clip: Polygon | MultiPolygon) -> Grid:  # noqa: ARG001
    return layers.grid_of(files[1])


def _half_pixels(files: Sequence[File], clip: Polygon | MultiPolygon) -> Grid:  # noqa: ARG001
    return layers.grid_of(files[0]).finer(2)


def _upright_grid(files: Sequence[File], clip: Polygon | MultiPolygon) -> Grid:
    epsg = geometry.utm_epsg(clip.centroid.x, clip.centroid.y)
    return rendering.grid_over(geometry.project(clip, epsg).bounds, epsg, files[0]["gsd"], MAX_SIDE)


_PAIR = (("sourceItem", _raster), ("referenceItem", _raster))
_UPSAMPLING = _RasterProcess(colour.upsample, _half_pixels, (("item", _raster),))
_PROCESSES: Mapping[str, _RasterProcess | _VectorProcess] = {
    "pansharpening": _RasterProcess(
        colour.pansharpen,
        _own_grid,
        (("item", _pan), ("item", _multispectral)),
        bands=lambda files: files[1]["bands"],
        dtype=lambda files: str(files[1]["dtype"]),
    ),
    "true-color-conversion": _RasterProcess(
        colour.true_color,
        _own_grid,
        (("item", _rgb),),
        bands=lambda files: colour.RGB,  # noqa: ARG005
        dtype=lambda files: "uint8",  # noqa: ARG005
    ),
    "upsampling-ns": _UPSAMPLING,
    "upsampling-ns-sentinel": _UPSAMPLING,
    "orthorectification-intermap": _RasterProcess(colour.move, _upright_grid, (("item", _raster),)),
    "coregistration-simularity": _RasterProcess(colour.coregister, _reference_grid, _PAIR),
    "detection-change-simularity": _VectorProcess(change.detect_change, _PAIR),
    **{name: _VectorProcess(functools.partial(detection.detect, target)) for name, target in detection.TARGETS.items()},
}
_KEPT = (
    *("scene_id", "product", "product_id", "collection", "producer", "constellation", "platform"),
    *("datetime", "cloud_cover", "view"),
)
