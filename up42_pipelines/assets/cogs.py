"""`cogs`: delivered files in the lake, verified, as valid COGs with valid STAC, checked against what was ordered."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pystac

from up42_pipelines.assets.pipeline import Pipeline
from up42_pipelines.assets.previews import picture
from up42_pipelines.assets.stac_items import ORDERED_AREAS
from up42_pipelines.checks import check_results, check_specs
from up42_pipelines.errors import InvalidDelivery, TransferError
from up42_pipelines.failures import explained
from up42_pipelines.lake import COG_MEDIA_TYPE, LandedItem, RasterWorker, land_item
from up42_pipelines.lake.events import AssetLanded, AssetProgress, AssetSkipped, LandingEvent
from up42_pipelines.resources import LakeResource, Up42Resource

_ORDER_ID = "up42-order:id"
_BETWEEN_PROGRESS_S = 15.0


def cogs_asset(pipeline: Pipeline) -> dg.AssetsDefinition:
    """The asset that downloads, verifies, converts where needed, checks, and publishes a partition's items in the lake.

    What the lake already holds is not fetched again. An item that cannot be landed does not keep the others from
    landing; the partition then fails and names it. An item in which a check finds an error is withheld: its files are
    in the lake, but it is in neither catalogue nor index, and not in this asset's value, a STAC ItemCollection with
    hrefs into the lake. The partition fails when nothing else is left of it.
    """
    key = pipeline.key("cogs")

    @dg.asset(
        **pipeline.options("cogs"),
        ins={"stac_items": dg.AssetIn(key=pipeline.key("stac_items"))},
        kinds={"cog", "stac"},
        check_specs=check_specs(key),
        description=(
            "Cloud-Optimized GeoTIFFs with STAC in the lake, under "
            f"`collections/{pipeline.collection}/<item>/`. Every byte is verified before it is published; items that "
            "fail a check of severity error are kept out of catalogue and index."
        ),
    )
    def cogs(
        context: dg.AssetExecutionContext, stac_items: pystac.ItemCollection, up42: Up42Resource, lake: LakeResource
    ) -> Iterator[dg.MaterializeResult[pystac.ItemCollection] | dg.AssetCheckResult]:
        landed: list[LandedItem] = []
        unreadable: dict[str, str] = {}
        unfetched: dict[str, str] = {}
        areas: Mapping[str, Any] = stac_items.extra_fields.get(ORDERED_AREAS, {})
        with explained(f"Landing {context.partition_key}"), RasterWorker() as rasters:
            store = lake.lake
            sign = up42.client.storage.assets.download_url
            for number, item in enumerate(stac_items, start=1):
                here = f"item {number} of {len(stac_items)}, {item.id}"
                try:
                    one = land_item(
                        store,
                        item,
                        collection_id=pipeline.collection,
                        sign=sign,
                        rasters=rasters,
                        ordered=areas.get(item.properties.get(_ORDER_ID, "")),
                        options=pipeline.landing,
                        on_event=_Log(context.log, here),
                    )
                except (InvalidDelivery, TransferError) as error:
                    problems = unreadable if isinstance(error, InvalidDelivery) else unfetched
                    problems[item.id] = str(error)
                    context.log.error(f"{here}: {error}")
                    continue
                landed.append(one)
                how = "already in the lake" if one.already_there else f"{one.bytes_fetched / 1e6:.2f} MB fetched"
                context.log.info(f"{here}: {how} in {one.seconds:.1f} s")
                for check, reason in one.withheld.items():
                    context.log.error(f"{here}: withheld from catalogue and index, {check}: {reason}")
        findings = {one.item.id: one.findings for one in landed}
        yield from check_results(key, findings, unreadable, pipeline.landing.rules)
        if trouble := _trouble(landed, {**unreadable, **unfetched}, len(stac_items)):
            raise dg.Failure(f"Landing {context.partition_key}: {trouble}", metadata=_metadata(store.url, landed))
        ready = pystac.ItemCollection([one.item for one in landed if not one.withheld])
        yield dg.MaterializeResult(value=ready, metadata=_metadata(store.url, landed))

    return cogs


def _trouble(landed: list[LandedItem], problems: Mapping[str, str], total: int) -> str:
    """Why the partition fails; empty when it does not."""
    withheld = [one for one in landed if one.withheld]
    if problems:
        return (
            f"{len(problems)} of {total} items were not landed: {' '.join(problems.values())} "
            "The others are in the lake; run the partition again to retry these."
        )
    if withheld and len(withheld) == total:
        reasons = " ".join(f"{one.item.id}: {' '.join(one.withheld.values())}" for one in withheld)
        return (
            f"Every item fails a check and is withheld from catalogue and index. {reasons} The files are in the lake: "
            "look at them, then ask UP42's support for a new delivery, or change the pipeline's delivery rules and run "
            "the partition again."
        )
    return ""


class _Log:
    """Tells a run's log what happens to an item's files; progress now and then."""

    def __init__(self, log: dg.DagsterLogManager, here: str) -> None:
        self._log, self._here = log, here
        self._last = time.monotonic()

    def __call__(self, event: LandingEvent) -> None:
        here = f"{self._here}, {event.asset_key}"
        match event:
            case AssetProgress(received=received, total=total):
                if (now := time.monotonic()) - self._last >= _BETWEEN_PROGRESS_S:
                    self._last = now
                    of = f" of {total / 1e6:.1f}" if total else ""
                    self._log.info(f"{here}: {received / 1e6:.1f}{of} MB")
            case AssetLanded(size=size, kept=kept, seconds=seconds):
                how = "kept as delivered" if kept else "converted"
                self._log.debug(f"{here}: {how}, {size / 1e6:.2f} MB, {seconds:.1f} s")
            case AssetSkipped(reason=reason):
                self._log.debug(f"{here}: {reason}")


def _metadata(lake_url: str, landed: list[LandedItem]) -> dict[str, dg.MetadataValue]:
    cogs = [(one, key, asset) for one in landed for key, asset in one.item.assets.items() if _is_cog(asset)]
    quicklook = next((one.quicklook for one in landed if one.quicklook), None)
    metadata: dict[str, dg.MetadataValue] = {"quicklook": picture(quicklook)} if quicklook else {}
    seconds = sum((one.seconds for one in landed), 0.0)
    metadata |= {
        "lake": dg.MetadataValue.path(lake_url),
        "items": dg.MetadataValue.int(sum(not one.withheld for one in landed)),
        "items_withheld": dg.MetadataValue.int(sum(bool(one.withheld) for one in landed)),
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
