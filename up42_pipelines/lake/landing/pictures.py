"""The picture of an item that is in the lake already."""

from __future__ import annotations

import pystac

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.stac.assets import QUICKLOOK_OF
from up42_pipelines.lake.store import Lake


def quicklook_of(lake: Lake, folder: tuple[str, ...], item: pystac.Item) -> bytes | None:
    """The PNG that lies beside an item's rasters; None when there is none.

    Args:
        lake: where.
        folder: of the item.
        item: as committed or withheld.
    """
    for asset in item.assets.values():
        if QUICKLOOK_OF in asset.extra_fields:
            try:
                return lake.read_bytes(*folder, asset.href.rpartition("/")[2])
            except LakeError:
                return None  # only a picture: whoever checks the lake will be told
    return None
