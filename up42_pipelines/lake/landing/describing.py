"""A delivered item as the lake will have it: UP42's with what was measured, or made of what an archive says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

import pystac

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.landing.archive import Unpacked
from up42_pipelines.lake.landing.earlier import Earlier
from up42_pipelines.lake.stac.assets import LandedAsset
from up42_pipelines.lake.stac.facts import DATETIME_FROM
from up42_pipelines.lake.stac.item import item_from_archive, lake_item

WARNINGS = "up42-pipelines:warnings"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def described(
    item: pystac.Item,
    landed: Mapping[str, LandedAsset],
    *,
    collection_id: str,
    earlier: Earlier,
    left_out: Mapping[str, str],
    unpacked: Unpacked | None,
) -> pystac.Item:
    """The item of landed files.

    Args:
        item: as UP42 serves it.
        landed: by asset key.
        collection_id: the lake's collection.
        earlier: what an earlier landing left, which still holds.
        left_out: reason by asset key.
        unpacked: what its archive said, when it was one.

    Raises:
        InvalidDelivery: that is no valid STAC, or would have no assets.
    """
    if not landed and not earlier.assets:
        reasons = " ".join(f"{key}: {reason}" for key, reason in sorted(left_out.items()))
        raise InvalidDelivery(f"Item {item.id!r}: none of its assets can be used. {reasons}")
    if unpacked is None:
        return lake_item(item, landed, collection_id=collection_id, unchanged=earlier.assets, left_out=left_out)
    properties, facts = dict(item.properties), asdict(unpacked.facts)
    is_acquisition = properties.pop(DATETIME_FROM, None) is None
    announced = item.common_metadata
    times = {
        "datetime": item.datetime,
        "start_datetime": announced.start_datetime,
        "end_datetime": announced.end_datetime,
    }
    if is_acquisition and not any(facts[name] for name in times):
        facts |= times
    if unpacked.warnings:
        properties[WARNINGS] = list(unpacked.warnings)
    return item_from_archive(
        landed,
        item_id=item.id,
        collection_id=collection_id,
        properties=properties,
        facts=facts,
        delivered_at=item.datetime or announced.start_datetime or _EPOCH,
        announced={
            **{key: {"title": one.title, "roles": one.roles} for key, one in item.assets.items()},
            **unpacked.announced,
        },
        geometry=item.geometry,
        origin=item.get_self_href() or next(iter(item.assets.values())).href,
        unchanged=earlier.assets,
        left_out=left_out,
    )
