"""How items are landed, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pystac

from up42_pipelines.lake.archives.limits import UnpackLimits
from up42_pipelines.lake.quality import DeliveryRules, Finding
from up42_pipelines.lake.transfer.delivery import Limits
from up42_pipelines.lake.transfer.patience import Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class LandingOptions:
    """How items are landed.

    Attributes:
        rules: what an item must be like.
        connections: how many at once fetch an item's files.
        patience: time-outs and retries of fetching.
        unpack: limits on archives.
        warp_to: CRS (`EPSG:32633`, or `utm` for the zone of the scene) into which rasters in sensor geometry are
            warped; None keeps their pixels, with ground control points and RPCs.
    """

    rules: DeliveryRules = field(default_factory=DeliveryRules)
    connections: Limits = field(default_factory=Limits)
    patience: Patience = field(default_factory=Patience)
    unpack: UnpackLimits = field(default_factory=UnpackLimits)
    warp_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LandedItem:
    """An item whose files are in the lake.

    Attributes:
        item: as the lake has it, hrefs openable.
        findings: what was found about it.
        withheld: by check, why it is in neither catalogue nor index; empty when it is committed.
        bytes_fetched: downloaded by this call.
        assets_fetched: downloaded by this call.
        files_kept: files written by this call whose bytes are the delivered ones, as opposed to converted.
        seconds: duration of this call.
        already_there: True when all of it was in the lake before this call.
        quicklook: small PNG of the raster that shows most; None when the item has none at hand.
    """

    item: pystac.Item
    findings: tuple[Finding, ...]
    withheld: Mapping[str, str]
    bytes_fetched: int
    assets_fetched: int
    files_kept: int
    seconds: float
    already_there: bool
    quicklook: bytes | None
