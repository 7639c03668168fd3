"""The items that jobs work on: how UP42 knows them, and which of them no process could use. Pure."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import pystac

from up42_pipelines.api.storage import STAC_PATH
from up42_pipelines.errors import OrderRefused

_FEATURES = frozenset(
    {
        "application/geo+json",
        "application/geopackage+sqlite3",
        "application/vnd.apache.parquet",
        "application/x-parquet",
        "application/flatgeobuf",
    }
)


def up42_href(item: pystac.Item) -> str:
    """The self href of an item in UP42's storage, which is what a job's input names.

    An item of the lake has it as a link `derived_from` (`lake.lake_item`), an item straight from UP42 as its self link.
    A link to another item, which this one was computed from, does not count.

    Raises:
        OrderRefused: UP42 has no such item.
    """
    for link in item.links:
        if link.rel not in ("derived_from", "self") or not isinstance(link.target, str):
            continue
        parts = urlsplit(link.target)
        path = parts.path.rstrip("/")
        if STAC_PATH in path and path.endswith(f"/items/{quote(item.id, safe='')}"):
            return f"{parts.scheme}://{parts.netloc}{path}"
    raise OrderRefused(
        f"Item {item.id}: no link of it names an item in UP42's storage, so no job can work on it. UP42 makes no STAC "
        "items of some deliveries; order a data product that it transforms, or process the files of the lake yourself."
    )


def is_features_only(item: pystac.Item) -> bool:
    """Whether all data of an item are features, as those of a detection are: no process that wants pixels takes it."""
    types = [_media_type(asset) for asset in item.assets.values() if "data" in (asset.roles or ())]
    return bool(types) and all(one in _FEATURES for one in types)


def _media_type(asset: pystac.Asset) -> str:
    return (asset.media_type or "").partition(";")[0].strip().lower()
