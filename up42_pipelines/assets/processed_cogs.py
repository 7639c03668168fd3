"""`processed_cogs`: the results of a step in the lake, verified: rasters as COGs, detections as GeoParquet."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pystac

from up42_pipelines.assets.landing import Outcome, is_vector, land_items
from up42_pipelines.assets.previews import before_after, features_picture, picture
from up42_pipelines.assets.processed_items import JOBS
from up42_pipelines.assets.workflow import ProcessingPipeline
from up42_pipelines.checks import check_specs
from up42_pipelines.failures import explained
from up42_pipelines.lake import Lake, LandedItem, item_folder, read_features, read_item
from up42_pipelines.lake.landing.pictures import quicklook_of
from up42_pipelines.processing.provenance import inputs_of, linked_to_sources, source_ids
from up42_pipelines.processing.templates import Template
from up42_pipelines.processing.workflow import Step
from up42_pipelines.resources import LakeResource, Up42Resource

_MOST_FEATURES = 2000
_FLAT = 4
"""Numbers of a bbox without heights."""


def processed_cogs_asset(processing: ProcessingPipeline, step: Step) -> dg.AssetsDefinition:
    """The asset that downloads, verifies, converts where needed, checks, and publishes the results of a step.

    It lands them as `cogs` lands deliveries, with the same checks and the same consequences, in a collection of the
    step's own. Each item is linked (`derived_from`) to those of the lake that it was made of.
    """
    key, collection_id = processing.key(step.name, "processed_cogs"), processing.collection_id(step.name)
    finds_features = isinstance(step.template, Template) and step.template.finds_features

    @dg.asset(
        **processing.options(step.name, "processed_cogs"),
        ins={"processed_items": dg.AssetIn(key=processing.key(step.name, "processed_items"))},
        kinds={"parquet" if finds_features else "cog", "stac"},
        check_specs=check_specs(key, processing.partitions),
        description=(
            f"Results of step `{step.name}` in the lake, under `collections/{collection_id}/<item>/`: Cloud-Optimized "
            "GeoTIFFs, or GeoParquet for detections, with STAC. Items that fail a check of severity error are kept "
            "out of catalogue and index, and are not worked on further."
        ),
    )
    def processed_cogs(
        context: dg.AssetExecutionContext,
        processed_items: pystac.ItemCollection,
        up42: Up42Resource,
        lake: LakeResource,
    ) -> Iterator[dg.MaterializeResult[pystac.ItemCollection] | dg.AssetCheckResult]:
        before = processing.collection_before(step.name)
        with explained(f"Landing the results of {step.name} for {context.partition_key}"):
            store = lake.lake
            sources = {item.id: _sources(store, before, item) for item in processed_items}
            outcome = land_items(
                [linked_to_sources(item, sources[item.id]) for item in processed_items],
                client=up42.client,
                lake=store,
                collection_id=collection_id,
                options=processing.landing,
                log=context.log,
            )
            metadata = _pictures(store, outcome, sources) | outcome.metadata(store.url)
        metadata |= _costs(processed_items.extra_fields.get(JOBS, []))
        checks = outcome.checks(key, processing.landing)
        if trouble := outcome.trouble:
            yield from checks
            raise dg.Failure(f"Landing {step.name} for {context.partition_key}: {trouble}", metadata=metadata)
        yield dg.MaterializeResult(
            value=pystac.ItemCollection(outcome.ready),
            metadata=metadata,
            check_results=checks,
            data_version=outcome.data_version,
        )

    return processed_cogs


def _sources(lake: Lake, collection_id: str, item: pystac.Item) -> list[pystac.Item]:
    """The items of the lake that a result was made of."""
    found = (read_item(lake, collection_id, source_id) for source_id in source_ids(inputs_of(item)))
    return [source for source in found if source is not None]


def _costs(jobs: Sequence[dict[str, Any]]) -> dict[str, dg.MetadataValue]:
    """What the jobs have cost, and how long the longest of them took."""
    seconds = [job["seconds"] for job in jobs if job["seconds"] is not None]
    return {
        "credits": dg.MetadataValue.float(float(sum(job["credits"] or 0 for job in jobs))),
        **({"job_seconds": dg.MetadataValue.float(float(max(seconds)))} if seconds else {}),
    }


def _pictures(lake: Lake, outcome: Outcome, sources: dict[str, list[pystac.Item]]) -> dict[str, dg.MetadataValue]:
    """What one of the results looks like beside what it was made of."""
    for one in outcome.landed:
        source = next(iter(sources[one.item.id]), None)
        background = None if source is None else _quicklook(lake, source)
        if one.quicklook is not None:
            return {"before_after": before_after(background, one.quicklook)}
        if (drawn := _features_picture(lake, one, source, background)) is not None:
            return {"features": drawn}
    return {}


def _quicklook(lake: Lake, item: pystac.Item) -> bytes | None:
    return quicklook_of(lake, item_folder(str(item.collection_id), item.id), item)


def _features_picture(
    lake: Lake, one: LandedItem, source: pystac.Item | None, background: bytes | None
) -> dg.MetadataValue | None:
    """Detections over the picture of the image in which they were found."""
    vectors = next((asset for asset in one.item.assets.values() if is_vector(asset)), None)
    bounds = (source or one.item).bbox
    if vectors is None or bounds is None:
        return None
    west, south, east, north = bounds if len(bounds) == _FLAT else (*bounds[:2], *bounds[3:5])
    features = read_features(lake, vectors.href, _MOST_FEATURES)
    drawn = features_picture(features, (west, south, east, north), background)
    return picture(drawn, alt="features")
