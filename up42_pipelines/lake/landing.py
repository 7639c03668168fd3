"""Land one delivered STAC item: fetch its files, verify them, publish them, and commit the item last."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pystac

from up42_pipelines.errors import InvalidDelivery, LakeError
from up42_pipelines.lake.content import (
    COG_MEDIA_TYPE,
    Kind,
    check_announced,
    check_content,
    is_raster,
    kind_of,
    media_type_of,
    sha256_of,
    suffix_of,
)
from up42_pipelines.lake.events import AssetLanded, AssetProgress, AssetSkipped, AssetStarted, LandingEvent
from up42_pipelines.lake.names import safe_name
from up42_pipelines.lake.rasters.cog import ensure_cog
from up42_pipelines.lake.rasters.quicklook import quicklook_png
from up42_pipelines.lake.stac.catalog import index_collection, item_folder, read_item, write_item
from up42_pipelines.lake.stac.item import LEFT_OUT, SOURCE_HREF, LandedAsset, lake_item, without_query
from up42_pipelines.lake.store import Lake
from up42_pipelines.lake.transfer.download import download
from up42_pipelines.lake.transfer.partial import Received


@dataclass(frozen=True, slots=True, kw_only=True)
class LandedItem:
    """An item that is committed in the lake.

    Attributes:
        item: as `read_item` gives it, hrefs openable.
        bytes_fetched: downloaded by this call.
        assets_fetched: downloaded by this call.
        assets_kept: of the fetched ones, those whose delivered bytes were kept, as opposed to converted.
        seconds: duration of this call.
        already_there: True when nothing had to be fetched.
        quicklook: small PNG of the most colourful raster; None when the item has none at hand.
    """

    item: pystac.Item
    bytes_fetched: int
    assets_fetched: int
    assets_kept: int
    seconds: float
    already_there: bool
    quicklook: bytes | None


def land_item(
    lake: Lake,
    item: pystac.Item,
    *,
    collection_id: str,
    sign: Callable[[str], str],
    on_event: Callable[[LandingEvent], None] | None = None,
) -> LandedItem:
    """Bring every asset of a delivered item into the lake, rasters as COGs, and commit the item.

    Safe to repeat: a committed asset from the same href, whose file has its size, costs no request; an item that gained
    assets since only fetches those. After a failure or a kill nothing new is committed, and the next call overwrites
    what lies around. Files are downloaded, verified and converted one by one in a staging directory, and published by
    a rename (local) or one upload (object stores) when all of them are good; the item comes last.

    An archive beside raster assets is left out, as is a preview or metadata file that is not what its media type says;
    the item's property `up42-pipelines:left_out` records the reasons.

    Args:
        lake: where to.
        item: as UP42 serves it; not changed.
        collection_id: the lake's collection.
        sign: gives a fresh signed URL for an asset href; what it raises is passed on.
        on_event: told about every asset.

    Raises:
        TransferError: a file did not arrive whole.
        InvalidDelivery: a data asset is no raster, or is damaged, or is not what the item announces; or the item only
            has an archive, which cannot be unpacked yet; or has no assets at all.
        LakeError: the lake cannot be written.
    """
    started = time.monotonic()
    tell = on_event or (lambda _: None)
    committed = read_item(lake, collection_id, item.id)
    landing = _Landing(lake, item, collection_id, sign, tell)
    landing.keep_unchanged(committed)
    if committed is not None and landing.nothing_to_fetch():
        # An earlier call may have been killed after it committed the item, and before it linked it.
        index_collection(lake, collection_id)
        return LandedItem(
            item=committed,
            bytes_fetched=0,
            assets_fetched=0,
            assets_kept=0,
            seconds=time.monotonic() - started,
            already_there=True,
            quicklook=_quicklook_of_committed(lake, committed),
        )
    landing.check()
    with lake.staging(*landing.folder) as staging:
        for key in item.assets:
            landing.land(key, staging)
        landing.commit(committed, staging)
    written = read_item(lake, collection_id, item.id)
    if written is None:
        raise LakeError(f"Lake {lake.url}: item {item.id!r} was removed while it landed; run again.")
    return LandedItem(
        item=written,
        bytes_fetched=landing.bytes_fetched,
        assets_fetched=landing.assets_fetched,
        assets_kept=sum(file.kept for file in landing.landed.values()),
        seconds=time.monotonic() - started,
        already_there=False,
        quicklook=landing.quicklook or _quicklook_of_committed(lake, written),
    )


def _same_source(committed: pystac.Asset, source: pystac.Asset | None) -> bool:
    """Whether a committed asset came from this one.

    Paths are compared, not hosts: UP42 names an asset by a UUID in its path, and a sandbox that was started again
    serves the same assets on another port.
    """
    recorded = committed.extra_fields.get(SOURCE_HREF)
    return source is not None and isinstance(recorded, str) and urlsplit(recorded).path == urlsplit(source.href).path


class _Landing:
    """The state of one call: what has landed so far, what is left out, the best picture yet."""

    def __init__(
        self,
        lake: Lake,
        item: pystac.Item,
        collection_id: str,
        sign: Callable[[str], str],
        tell: Callable[[LandingEvent], None],
    ) -> None:
        self.lake, self.item, self.collection_id, self.sign, self.tell = lake, item, collection_id, sign, tell
        self.folder = item_folder(collection_id, item.id)
        self.unchanged: dict[str, dict[str, Any]] = {}
        self.landed: dict[str, LandedAsset] = {}
        self.left_out: dict[str, str] = {}
        self.bytes_fetched = self.assets_fetched = 0
        self.quicklook: bytes | None = None
        self._quicklook_rank = (-1, -1)
        self._names = {self._mark.casefold()}

    @property
    def _mark(self) -> str:
        return f"{self.folder[-1]}.json"

    def keep_unchanged(self, committed: pystac.Item | None) -> None:
        """Take over what an earlier landing committed: the same source, and a file of the size it had then."""
        if committed is None:
            return
        self.left_out = {
            key: reason for key, reason in committed.properties.get(LEFT_OUT, {}).items() if key in self.item.assets
        }
        for key, asset in committed.assets.items():
            source = self.item.assets.get(key)
            name = asset.href.rpartition("/")[2]
            if not _same_source(asset, source):
                continue
            if self.lake.size(*self.folder, name) == asset.extra_fields.get("file:size"):
                self.unchanged[key] = {**asset.to_dict(), "href": f"./{name}"}
                self._names.add(name.casefold())
                self.tell(AssetSkipped(item_id=self.item.id, asset_key=key, reason="already in the lake"))

    def nothing_to_fetch(self) -> bool:
        return set(self.item.assets) <= self.unchanged.keys() | self.left_out.keys()

    def check(self) -> None:
        """Refuse what cannot land, before anything is fetched."""
        kinds = {key: kind_of(asset) for key, asset in self.item.assets.items()}
        if not kinds:
            raise InvalidDelivery(f"Item {self.item.id!r} has no assets; UP42 may still be preparing it. Try later.")
        archives = [key for key, kind in kinds.items() if kind is Kind.ARCHIVE]
        if archives and Kind.RASTER not in kinds.values():
            raise InvalidDelivery(
                f"Item {self.item.id!r} was delivered as an archive (asset {archives[0]!r}), and archive deliveries "
                "are not unpacked yet; wait for UP42 to convert it to rasters. Nothing was published."
            )

    def land(self, key: str, staging: Path) -> None:
        """Fetch and verify one asset, up to a file in `staging` that only has to be published."""
        if key in self.unchanged:
            return
        asset = self.item.assets[key]
        kind = kind_of(asset)
        if kind is Kind.ARCHIVE:
            self._leave_out(key, "An archive, beside rasters: archive deliveries are not unpacked yet.")
            return
        started = time.monotonic()
        self.tell(AssetStarted(item_id=self.item.id, asset_key=key))
        received = download(lambda: self.sign(asset.href), staging / ".fetched", on_progress=self._progress(key))
        self.bytes_fetched += received.size
        self.assets_fetched += 1
        try:
            check_announced(asset, received)
            if kind is Kind.RASTER or (media_type_of(asset) is None and is_raster(received.path)):
                file = self._as_cog(key, received)
            else:
                file = self._as_it_is(key, received)
        except InvalidDelivery as error:
            if kind is Kind.RASTER:
                raise InvalidDelivery(
                    f"Item {self.item.id!r}, asset {key!r}: {error} Nothing of the item was published; "
                    "ask UP42's support for a new delivery if running again gives the same."
                ) from error
            self._leave_out(key, str(error))
            return
        finally:
            received.path.unlink(missing_ok=True)
        self.landed[key] = file
        self.left_out.pop(key, None)
        taken = time.monotonic() - started
        self.tell(AssetLanded(item_id=self.item.id, asset_key=key, size=file.size, kept=file.kept, seconds=taken))

    def commit(self, committed: pystac.Item | None, staging: Path) -> None:
        """Publish the files, then the item."""
        result = lake_item(
            self.item,
            self.landed,
            collection_id=self.collection_id,
            unchanged=self.unchanged,
            left_out=self.left_out,
        )
        if committed is not None:
            in_use = {asset.href.rpartition("/")[2] for asset in committed.assets.values()}
            if in_use & {file.file_name for file in self.landed.values()}:
                # A committed item never describes other bytes than there are: it is away while they are replaced.
                self.lake.remove(*self.folder, self._mark)
        for file in self.landed.values():
            self.lake.publish(staging / file.file_name, *self.folder, file.file_name)
        write_item(self.lake, self.collection_id, result)

    def _as_cog(self, key: str, received: Received) -> LandedAsset:
        name = self._name(key, ".tif")
        target = received.path.with_name(name)
        cog = ensure_cog(received.path, target)
        rank = _quicklook_rank(self.item.assets[key].roles, cog.info.count)
        if rank > self._quicklook_rank:
            self._quicklook_rank, self.quicklook = rank, quicklook_png(target)
        return LandedAsset(
            file_name=name,
            size=target.stat().st_size,
            sha256=received.sha256() if cog.kept else sha256_of(target),
            media_type=COG_MEDIA_TYPE,
            source_href=without_query(self.item.assets[key].href),
            raster=cog.info,
            kept=cog.kept,
        )

    def _as_it_is(self, key: str, received: Received) -> LandedAsset:
        media_type = media_type_of(self.item.assets[key]) or received.content_type
        check_content(received.path, media_type)
        name = self._name(key, suffix_of(media_type))
        received.path.replace(received.path.with_name(name))
        return LandedAsset(
            file_name=name,
            size=received.size,
            sha256=sha256_of(received.path.with_name(name)),
            media_type=self.item.assets[key].media_type or received.content_type,
            source_href=without_query(self.item.assets[key].href),
        )

    def _name(self, key: str, suffix: str) -> str:
        """A file name for an asset key: safe, with the suffix of its format, used by no other asset of the item."""
        name = safe_name(key)
        stem, dot, ending = name.rpartition(".")
        if suffix == ".tif":
            name = f"{stem if dot and ending.lower() in {'tif', 'tiff', 'jp2'} else name}{suffix}"
        elif suffix and not dot:
            name += suffix
        # Compared without case: on macOS and Windows `A.tif` and `a.tif` are one file.
        if name.casefold() in self._names:
            stem, dot, ending = name.rpartition(".")
            digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8]
            name = f"{stem}-{digest}.{ending}" if dot else f"{name}-{digest}"
        self._names.add(name.casefold())
        return name

    def _leave_out(self, key: str, reason: str) -> None:
        self.left_out[key] = reason
        self.tell(AssetSkipped(item_id=self.item.id, asset_key=key, reason=reason))

    def _progress(self, key: str) -> Callable[[int, int | None], None]:
        def report(received: int, total: int | None) -> None:
            self.tell(AssetProgress(item_id=self.item.id, asset_key=key, received=received, total=total))

        return report


def _quicklook_of_committed(lake: Lake, item: pystac.Item) -> bytes | None:
    """A picture from a local lake; None for object stores, where it would cost a download, and for unreadable files."""
    rasters = [asset for asset in item.assets.values() if asset.media_type == COG_MEDIA_TYPE]
    if not lake.local or not rasters:
        return None
    best = max(rasters, key=lambda asset: _quicklook_rank(asset.roles, len(asset.extra_fields.get("bands", []))))
    with suppress(InvalidDelivery, OSError):
        return quicklook_png(Path(best.href))
    return None


def _quicklook_rank(roles: list[str] | None, bands: int) -> tuple[int, int]:
    """The larger, the better for people: what is meant to be looked at, then what has colours."""
    return int("visual" in (roles or [])), min(bands, 3)
