"""`cogs`: delivered files in the lake, verified, as valid COGs with valid STAC, checked against what was ordered."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pystac

from up42_pipelines.assets.landing import land_items
from up42_pipelines.assets.pipeline import Pipeline
from up42_pipelines.assets.stac_items import ORDERED_AREAS
from up42_pipelines.checks import check_specs
from up42_pipelines.failures import explained
from up42_pipelines.ordering.archives import ORDER_ID
from up42_pipelines.resources import LakeResource, Up42Resource


def cogs_asset(pipeline: Pipeline) -> dg.AssetsDefinition:
    """The asset that downloads, verifies, converts where needed, checks, and publishes a partition's items in the lake.

    What the lake already holds is not fetched again. An item that cannot be landed does not keep the others from
    landing; the partition then fails and names it. An item in which a check finds an error is withheld: its files are
    in the lake, but it is in neither catalogue nor index, and not in this asset's value, a STAC ItemCollection with
    hrefs into the lake. The partition fails when nothing else is left of it; like after any failed run, its value is
    then still that of the run before.
    """
    key = pipeline.key("cogs")

    @dg.asset(
        **pipeline.options("cogs"),
        ins={"stac_items": dg.AssetIn(key=pipeline.key("stac_items"))},
        kinds={"cog", "stac"},
        check_specs=check_specs(key, pipeline.partitions),
        description=(
            "Cloud-Optimized GeoTIFFs with STAC in the lake, under "
            f"`collections/{pipeline.collection}/<item>/`. Every byte is verified before it is published; items that "
            "fail a check of severity error are kept out of catalogue and index."
        ),
    )
    def cogs(
        context: dg.AssetExecutionContext, stac_items: pystac.ItemCollection, up42: Up42Resource, lake: LakeResource
    ) -> Iterator[dg.MaterializeResult[pystac.ItemCollection] | dg.AssetCheckResult]:
        areas: Mapping[str, Any] = stac_items.extra_fields.get(ORDERED_AREAS, {})
        with explained(f"Landing {context.partition_key}"):
            store = lake.lake
            outcome = land_items(
                stac_items,
                client=up42.client,
                lake=store,
                collection_id=pipeline.collection,
                options=pipeline.landing,
                log=context.log,
                area_of=lambda item: _ordered(item, areas),
            )
        checks = outcome.checks(key, pipeline.landing)
        metadata = outcome.quicklook() | outcome.metadata(store.url)
        if trouble := outcome.trouble:
            yield from checks
            raise dg.Failure(f"Landing {context.partition_key}: {trouble}", metadata=metadata)
        yield dg.MaterializeResult(
            value=pystac.ItemCollection(outcome.ready),
            metadata=metadata,
            check_results=checks,
            data_version=outcome.data_version,
        )

    return cogs


def _ordered(item: pystac.Item, areas: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The area of an item's order; None when nobody says which part of it the item is."""
    return areas.get(item.properties.get(ORDER_ID, "")) if item.geometry else None
