"""What happens while an item lands, for others to render: a log line, a progress bar, metadata."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LandingEvent:
    """Something that happened to one asset while an item lands.

    Attributes:
        item_id: the item.
        asset_key: the asset.
    """

    item_id: str
    asset_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetStarted(LandingEvent):
    """A download begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetProgress(LandingEvent):
    """Bytes arrived.

    Attributes:
        received: bytes so far; falls back when a download starts again.
        total: bytes in all, when the server says so.
    """

    received: int
    total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetLanded(LandingEvent):
    """A file is verified and lies at its place.

    Attributes:
        size: bytes in the lake.
        kept: True when these are the delivered bytes, False when they were converted.
        seconds: from the start of the download.
    """

    size: int
    kept: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetSkipped(LandingEvent):
    """Nothing was stored for an asset.

    Attributes:
        reason: it is there already, or why it is left out.
    """

    reason: str
