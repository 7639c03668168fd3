"""`cogs`: delivered files in the lake, verified, as valid COGs with valid STAC, checked against what was ordered."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pystac

from up42_pipelines.assets.landing_log import LandingLog
from up42_pipelines.assets.pipeline import Pipeline
from up42_pipelines.assets.previews import picture
from up42_pipelines.assets.stac_items import ORDERED_AREAS
from up42_pipelines.checks import check_results, check_specs
from up42_pipelines.errors import ApiError, InvalidDelivery, TransferError
from up42_pipelines.failures import explained
from up42_pipelines.lake import COG_MEDIA_TYPE, LandedItem, RasterWorker, land_item
from up42_pipelines.ordering.archives import ORDER_ID
from up42_pipelines.resources import LakeResource, Up42Resource

_MOST_NAMED = 5
"""Items whose trouble a failure tells in full; the checks have them all."""


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
        outcome = _Outcome()
        with explained(f"Landing {context.partition_key}"), RasterWorker() as rasters:
            store = lake.lake
            log = LandingLog(context.log, len(stac_items))
            for item in stac_items:
                log.begin(item.id)
                try:
                    landed = land_item(
                        store,
                        item,
                        collection_id=pipeline.collection,
                        sign=up42.client.storage.assets.download_url,
                        rasters=rasters,
                        ordered=_ordered(item, stac_items),
                        options=pipeline.landing,
                        on_event=log,
                    )
                except InvalidDelivery as error:
                    outcome.unreadable[item.id] = str(error)
                    log.failed(str(error))
                except (TransferError, ApiError) as error:
                    outcome.unfetched[item.id] = str(error)
                    log.failed(str(error))
                else:
                    outcome.landed.append(landed)
                    log.landed(landed)
        findings = {one.item.id: one.findings for one in outcome.landed}
        checks = check_results(key, findings, outcome.unreadable, outcome.unfetched, pipeline.landing.rules)
        metadata = _metadata(store.url, outcome)
        if trouble := outcome.trouble:
            yield from checks
            raise dg.Failure(f"Landing {context.partition_key}: {trouble}", metadata=metadata)
        ready = pystac.ItemCollection([one.item for one in outcome.landed if not one.withheld])
        yield dg.MaterializeResult(value=ready, metadata=metadata, check_results=checks)

    return cogs


def _ordered(item: pystac.Item, stac_items: pystac.ItemCollection) -> Mapping[str, Any] | None:
    """The area of an item's order; None when nobody says which part of it the item is."""
    areas: Mapping[str, Any] = stac_items.extra_fields.get(ORDERED_AREAS, {})
    return areas.get(item.properties.get(ORDER_ID, "")) if item.geometry else None


@dataclass(slots=True)
class _Outcome:
    """What became of a partition's items.

    Attributes:
        landed: those in the lake, withheld ones too.
        unreadable: the reason by item id, of those that are not what they claim to be.
        unfetched: the reason by item id, of those that did not arrive.
    """

    landed: list[LandedItem] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    unfetched: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> dict[str, str]:
        """Why items are not in the lake."""
        return {**self.unreadable, **self.unfetched}

    @property
    def trouble(self) -> str:
        """Why the partition fails; empty when it does not."""
        withheld = {one.item.id: " ".join(one.withheld.values()) for one in self.landed if one.withheld}
        if self.failed:
            total = len(self.landed) + len(self.failed)
            return (
                f"{len(self.failed)} of {total} items were not landed: {_told(self.failed)} The others are in the "
                "lake; run the partition again to retry these."
            )
        if withheld and len(withheld) == len(self.landed):
            return (
                f"Every item fails a check and is withheld from catalogue and index. {_told(withheld)} The files are "
                "in the lake: look at them, then ask UP42's support for a new delivery, or change the pipeline's "
                "delivery rules and run the partition again."
            )
        return ""


def _told(reasons: Mapping[str, str]) -> str:
    told = [f"{item_id}: {reason}" for item_id, reason in reasons.items()]
    more = [f"And {len(told) - _MOST_NAMED} more, see the checks."] if len(told) > _MOST_NAMED else []
    return " ".join(told[:_MOST_NAMED] + more)


def _metadata(lake_url: str, outcome: _Outcome) -> dict[str, dg.MetadataValue]:
    landed = outcome.landed
    cogs = [(one, key, asset) for one in landed for key, asset in one.item.assets.items() if _is_cog(asset)]
    quicklook = next((one.quicklook for one in landed if one.quicklook), None)
    metadata: dict[str, dg.MetadataValue] = {"quicklook": picture(quicklook)} if quicklook else {}
    seconds = sum((one.seconds for one in landed), 0.0)
    metadata |= {
        "lake": dg.MetadataValue.path(lake_url),
        "items": dg.MetadataValue.int(sum(not one.withheld for one in landed)),
        "items_withheld": dg.MetadataValue.int(sum(bool(one.withheld) for one in landed)),
        "items_failed": dg.MetadataValue.int(len(outcome.failed)),
        "cogs": dg.MetadataValue.int(len(cogs)),
        "size_bytes": dg.MetadataValue.int(
            sum(int(asset.extra_fields.get("file:size", 0)) for one in landed for asset in one.item.assets.values())
        ),
        "bytes_fetched": dg.MetadataValue.int(sum(one.bytes_fetched for one in landed)),
        "landing_seconds": dg.MetadataValue.float(round(seconds, 3)),
    }
    if cogs:
        metadata["table"] = dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "item": one.item.id,
                        "asset": key,
                        "state": "withheld" if one.withheld else "in the catalogue",
                        "MB": round(int(asset.extra_fields.get("file:size", 0)) / 1e6, 3),
                        "href": asset.get_absolute_href() or asset.href,
                    }
                )
                for one, key, asset in cogs[:100]
            ]
        )
    clouds = [cover for one in landed if (cover := one.item.properties.get("eo:cloud_cover")) is not None]
    if clouds:
        metadata["cloud_cover_percent"] = dg.MetadataValue.float(float(max(clouds)))
    return metadata


def _is_cog(asset: pystac.Asset) -> bool:
    return asset.media_type == COG_MEDIA_TYPE
