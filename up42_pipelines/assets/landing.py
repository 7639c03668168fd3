"""How the items of a partition land, whoever has made them: one after the other, checked, with figures and pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pystac

from up42_pipelines.api import Up42Client
from up42_pipelines.assets.landing_log import LandingLog
from up42_pipelines.assets.previews import picture
from up42_pipelines.checks import check_results
from up42_pipelines.errors import ApiError, InvalidDelivery, TransferError
from up42_pipelines.lake import COG_MEDIA_TYPE, Lake, LandedItem, LandingOptions, RasterWorker, VectorWorker, land_item
from up42_pipelines.lake.content import PARQUET_MEDIA_TYPE
from up42_pipelines.ordering.delivery import digest

_MOST_NAMED = 5
"""Items whose trouble a failure tells in full; the checks have them all."""
_MOST_ROWS = 100
_CHECKSUM, _SIZE = "file:checksum", "file:size"


@dataclass(slots=True)
class Outcome:
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
    def ready(self) -> list[pystac.Item]:
        """The items that catalogue and index show."""
        return [one.item for one in self.landed if not one.withheld]

    @property
    def data_version(self) -> dg.DataVersion:
        """Changes when, and only when, other files are ready: landing the same again sets nothing in motion."""
        files = (
            f"{item.id} {key} {asset.extra_fields.get(_CHECKSUM) or asset.extra_fields.get(_SIZE)}"
            for item in self.ready
            for key, asset in item.assets.items()
        )
        return dg.DataVersion(digest(files) if self.ready else "none")

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

    def checks(self, key: dg.AssetKey, options: LandingOptions) -> list[dg.AssetCheckResult]:
        """The results of all checks."""
        findings = {one.item.id: one.findings for one in self.landed}
        return check_results(key, findings, self.unreadable, self.unfetched, options.rules)

    def metadata(self, lake_url: str) -> dict[str, dg.MetadataValue]:
        """Figures and a table of the files."""
        landed = self.landed
        data = [(one, key, asset) for one in landed for key, asset in one.item.assets.items() if is_data(asset)]
        metadata: dict[str, dg.MetadataValue] = {
            "lake": dg.MetadataValue.path(lake_url),
            "items": dg.MetadataValue.int(len(self.ready)),
            "items_withheld": dg.MetadataValue.int(len(landed) - len(self.ready)),
            "items_failed": dg.MetadataValue.int(len(self.failed)),
            "cogs": dg.MetadataValue.int(sum(asset.media_type == COG_MEDIA_TYPE for _, _, asset in data)),
            "size_bytes": dg.MetadataValue.int(
                sum(_size(asset) for one in landed for asset in one.item.assets.values())
            ),
            "bytes_fetched": dg.MetadataValue.int(sum(one.bytes_fetched for one in landed)),
            "landing_seconds": dg.MetadataValue.float(round(sum((one.seconds for one in landed), 0.0), 3)),
        }
        if data:
            rows = [_row(one, key, asset) for one, key, asset in data[:_MOST_ROWS]]
            metadata["table"] = dg.MetadataValue.table(rows)
        clouds = [cover for one in landed if (cover := one.item.properties.get("eo:cloud_cover")) is not None]
        if clouds:
            metadata["cloud_cover_percent"] = dg.MetadataValue.float(float(max(clouds)))
        return metadata

    def quicklook(self) -> dict[str, dg.MetadataValue]:
        """The picture of one of the items, when there is any."""
        quicklook = next((one.quicklook for one in self.landed if one.quicklook), None)
        return {"quicklook": picture(quicklook)} if quicklook else {}


def land_items(
    items: Iterable[pystac.Item],
    *,
    client: Up42Client,
    lake: Lake,
    collection_id: str,
    options: LandingOptions,
    log: dg.DagsterLogManager,
    area_of: Callable[[pystac.Item], Mapping[str, Any] | None] = lambda _: None,
) -> Outcome:
    """Land items; one that cannot be landed does not keep the others from it.

    Args:
        items: with UP42's hrefs.
        client: signs the downloads.
        lake: where to.
        collection_id: the lake's collection.
        options: what items must be like.
        log: of the run.
        area_of: GeoJSON geometry (degrees, EPSG:4326) of what was ordered, by item; None when it is not known.

    Raises:
        LakeError: the lake cannot be written.
    """
    outcome, wanted = Outcome(), list(items)
    told = LandingLog(log, len(wanted))
    with RasterWorker() as rasters, VectorWorker() as vectors:
        for item in wanted:
            told.begin(item.id)
            try:
                landed = land_item(
                    lake,
                    item,
                    collection_id=collection_id,
                    sign=client.storage.assets.download_url,
                    rasters=rasters,
                    vectors=vectors,
                    ordered=area_of(item),
                    options=options,
                    on_event=told,
                )
            except InvalidDelivery as error:
                outcome.unreadable[item.id] = str(error)
                told.failed(str(error))
            except (TransferError, ApiError) as error:
                outcome.unfetched[item.id] = str(error)
                told.failed(str(error))
            else:
                outcome.landed.append(landed)
                told.landed(landed)
    return outcome


def is_vector(asset: pystac.Asset) -> bool:
    """Whether an asset of the lake holds features."""
    return asset.media_type == PARQUET_MEDIA_TYPE


def is_data(asset: pystac.Asset) -> bool:
    """Whether an asset of the lake holds pixels or features, as opposed to pictures and documents."""
    return asset.media_type == COG_MEDIA_TYPE or is_vector(asset)


def _row(one: LandedItem, key: str, asset: pystac.Asset) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "item": one.item.id,
            "asset": key,
            "state": "withheld" if one.withheld else "in the catalogue",
            "MB": round(_size(asset) / 1e6, 3),
            "href": asset.get_absolute_href() or asset.href,
        }
    )


def _size(asset: pystac.Asset) -> int:
    return int(asset.extra_fields.get(_SIZE, 0))


def _told(reasons: Mapping[str, str]) -> str:
    told = [f"{item_id}: {reason}" for item_id, reason in reasons.items()]
    more = [f"And {len(told) - _MOST_NAMED} more, see the checks."] if len(told) > _MOST_NAMED else []
    return " ".join(told[:_MOST_NAMED] + more)
