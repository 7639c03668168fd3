"""`cogs`: the delivered files in the lake, verified, as valid COGs with valid STAC."""

import dagster as dg
import pystac

from up42_pipelines.assets.pipeline import Pipeline
from up42_pipelines.assets.previews import picture
from up42_pipelines.errors import InvalidDelivery, TransferError, Up42Error
from up42_pipelines.failures import explained
from up42_pipelines.lake import LandedItem, land_item
from up42_pipelines.resources import LakeResource, Up42Resource


def cogs_asset(pipeline: Pipeline) -> dg.AssetsDefinition:
    """The asset that downloads, verifies, converts where needed, and publishes a partition's items in the lake.

    What the lake already holds is not fetched again. An item that cannot be landed does not keep the others from
    landing; the partition then fails and names it. Its value is a STAC ItemCollection with hrefs into the lake.
    """

    @dg.asset(
        **pipeline.options("cogs"),
        ins={"stac_items": dg.AssetIn(key=pipeline.key("stac_items"))},
        kinds={"cog", "stac"},
        description=(
            "Cloud-Optimized GeoTIFFs with STAC in the lake, under "
            f"`collections/{pipeline.collection}/<item>/`. Every byte is verified before it is published."
        ),
    )
    def cogs(
        context: dg.AssetExecutionContext, stac_items: pystac.ItemCollection, up42: Up42Resource, lake: LakeResource
    ) -> dg.MaterializeResult[pystac.ItemCollection]:
        what = f"Landing {context.partition_key}"
        landed: list[LandedItem] = []
        problems: list[str] = []
        with explained(what):
            store = lake.lake
            sign = up42.client.storage.assets.download_url
            for number, item in enumerate(stac_items, start=1):
                try:
                    one = land_item(store, item, collection_id=pipeline.collection, sign=sign)
                except (InvalidDelivery, TransferError) as error:
                    problems.append(str(error))
                    context.log.error(f"item {number} of {len(stac_items)}, {item.id}: {error}")
                    continue
                landed.append(one)
                how = "already in the lake" if one.already_there else f"{one.bytes_fetched / 1e6:.2f} MB fetched"
                context.log.info(f"item {number} of {len(stac_items)}, {item.id}: {how}")
            if problems:
                raise Up42Error(
                    f"{len(problems)} of {len(stac_items)} items were not landed: {' '.join(problems)} "
                    "The others are in the lake; run the partition again to retry these."
                )
        return dg.MaterializeResult(
            value=pystac.ItemCollection([one.item for one in landed]), metadata=_metadata(store.url, landed)
        )

    return cogs


def _metadata(lake_url: str, landed: list[LandedItem]) -> dict[str, dg.MetadataValue]:
    cogs = [(one, key, asset) for one in landed for key, asset in one.item.assets.items() if _is_cog(asset)]
    quicklook = next((one.quicklook for one in landed if one.quicklook), None)
    metadata: dict[str, dg.MetadataValue] = {"quicklook": picture(quicklook)} if quicklook else {}
    metadata |= {
        "lake": dg.MetadataValue.path(lake_url),
        "items": dg.MetadataValue.int(len(landed)),
        "cogs": dg.MetadataValue.int(len(cogs)),
        "size_bytes": dg.MetadataValue.int(
            sum(int(asset.extra_fields.get("file:size", 0)) for one in landed for asset in one.item.assets.values())
        ),
        "bytes_fetched": dg.MetadataValue.int(sum(one.bytes_fetched for one in landed)),
        "download_seconds": dg.MetadataValue.float(round(sum((one.seconds for one in landed), 0.0), 3)),
    }
    if cogs:
        metadata["table"] = dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "item": one.item.id,
                        "asset": key,
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
    return asset.media_type == pystac.MediaType.COG
