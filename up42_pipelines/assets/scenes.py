"""`scenes`: what the archive has for a partition, and which of it is worth buying. Free."""

from collections.abc import Sequence

import dagster as dg
import pystac
from shapely.geometry import shape

from up42_pipelines.api import Scene
from up42_pipelines.assets.pipeline import Pipeline
from up42_pipelines.assets.planning import find_scenes
from up42_pipelines.assets.previews import map_picture, picture, thumbnail
from up42_pipelines.errors import Up42Error
from up42_pipelines.failures import explained
from up42_pipelines.ordering.aoi import Aoi
from up42_pipelines.ordering.selection import Selection
from up42_pipelines.resources import Up42Resource

_MAX_ROWS = 100


def scenes_asset(pipeline: Pipeline) -> dg.AssetsDefinition:
    """The asset that searches the archive for a partition's day and AOI and selects scenes.

    Its value is a STAC ItemCollection of the scenes chosen, in order of preference; possibly empty.
    """

    @dg.asset(
        **pipeline.options("scenes"),
        kinds={"up42", "stac"},
        description=f"Archive scenes of `{pipeline.collection}` chosen for a day and an AOI. Searching is free.",
    )
    def scenes(context: dg.AssetExecutionContext, up42: Up42Resource) -> dg.MaterializeResult[pystac.ItemCollection]:
        with explained(f"Searching scenes for {context.partition_key}"):
            client = up42.client
            host = client.catalog.collection(pipeline.collection).host
            findings = find_scenes(pipeline, client, host, context.partition_key, context.partition_time_window)
            aoi, found, selection = findings.aoi, findings.found, findings.selection
            context.log.info(f"{len(found)} scenes found, {len(selection.chosen)} chosen")
            metadata = _metadata(aoi, found, selection)
            if selection.chosen:
                metadata = {"quicklook": _quicklook(context, up42, host, selection.chosen[0].scene)} | metadata
            return dg.MaterializeResult(value=pystac.ItemCollection(findings.items), metadata=metadata)

    return scenes


def _metadata(aoi: Aoi, found: Sequence[Scene], selection: Selection[Scene]) -> dict[str, dg.MetadataValue]:
    footprints = {scene.id: shape(scene.geometry) for scene in _drawable(selection)}
    faded = [rejection.scene.id for rejection in selection.rejected]
    metadata: dict[str, dg.MetadataValue] = {
        "map": map_picture(aoi.geometry, footprints, faded=faded),
        "scenes_found": dg.MetadataValue.int(len(found)),
        "scenes_chosen": dg.MetadataValue.int(len(selection.chosen)),
        "aoi_km2": dg.MetadataValue.float(round(aoi.area_km2, 4)),
    }
    if selection.chosen:
        best = selection.chosen[0]
        metadata["coverage_percent"] = dg.MetadataValue.float(round(best.coverage_percent, 2))
        if best.scene.cloud_cover_percent is not None:
            metadata["cloud_cover_percent"] = dg.MetadataValue.float(best.scene.cloud_cover_percent)
        metadata["chosen"] = dg.MetadataValue.table(_chosen_rows(selection))
    if selection.rejected:
        metadata["rejected"] = dg.MetadataValue.table(_rejected_rows(selection))
    return metadata


def _drawable(selection: Selection[Scene]) -> list[Scene]:
    scenes = [choice.scene for choice in selection.chosen] + [rejection.scene for rejection in selection.rejected]
    return [scene for scene in scenes if scene.geometry.get("type") in ("Polygon", "MultiPolygon")]


def _quicklook(context: dg.AssetExecutionContext, up42: Up42Resource, host: str, scene: Scene) -> dg.MetadataValue:
    try:
        image = up42.client.catalog.quicklook(host, scene.id)
    except Up42Error as error:  # a picture is not worth a failed partition
        context.log.warning(f"No quicklook of {scene.id}: {error}")
        return dg.MetadataValue.text("not available")
    small = thumbnail(image) if image else None
    return picture(small) if small else dg.MetadataValue.text("the scene has none")


def _chosen_rows(selection: Selection[Scene]) -> list[dg.TableRecord]:
    return [
        dg.TableRecord(
            {
                "scene": choice.scene.id,
                "acquired": choice.scene.acquired.isoformat(timespec="seconds"),
                "cloud cover %": _number(choice.scene.cloud_cover_percent),
                "AOI covered %": round(choice.coverage_percent, 1),
                "resolution m": _number(choice.scene.resolution),
            }
        )
        for choice in selection.chosen[:_MAX_ROWS]
    ]


def _rejected_rows(selection: Selection[Scene]) -> list[dg.TableRecord]:
    return [
        dg.TableRecord({"scene": rejection.scene.id, "reason": rejection.reason})
        for rejection in selection.rejected[:_MAX_ROWS]
    ]


def _number(value: float | None) -> float | str:
    return "unknown" if value is None else value
