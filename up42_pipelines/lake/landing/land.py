"""Land one delivered STAC item: fetch its files, verify them, judge them, publish them, and commit the item last."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pystac

from up42_pipelines.errors import InvalidDelivery, LakeError, Up42Error
from up42_pipelines.lake.archives.limits import UnpackLimits
from up42_pipelines.lake.content import Kind, check_announced, is_raster, kind_of, media_type_of
from up42_pipelines.lake.events import AssetLanded, AssetProgress, AssetSkipped, AssetStarted, LandingEvent
from up42_pipelines.lake.landing.archive import Unpacked, land_archive
from up42_pipelines.lake.landing.arrived import recall, remember
from up42_pipelines.lake.landing.earlier import Earlier, still_holds
from up42_pipelines.lake.landing.files import Files, Origin
from up42_pipelines.lake.landing.names import FileNames
from up42_pipelines.lake.landing.pictures import quicklook_of
from up42_pipelines.lake.landing.scratch import fetching_folder, forget
from up42_pipelines.lake.names import safe_name
from up42_pipelines.lake.quality import DeliveryRules, Finding, judge, withheld_reasons
from up42_pipelines.lake.rasters.source import RasterSource
from up42_pipelines.lake.rasters.worker import RasterWorker
from up42_pipelines.lake.stac.assets import QUICKLOOK_OF
from up42_pipelines.lake.stac.catalog import (
    WITHHELD,
    index_collection,
    item_folder,
    mark_of,
    read_item,
    read_withheld,
    withheld_mark_of,
    write_item,
    write_withheld,
)
from up42_pipelines.lake.stac.facts import DATETIME_FROM
from up42_pipelines.lake.stac.item import ARCHIVE_OF_THE_SAME, item_from_archive, lake_item, without_query
from up42_pipelines.lake.store import Lake
from up42_pipelines.lake.transfer.delivery import Limits
from up42_pipelines.lake.transfer.download import fetch
from up42_pipelines.lake.transfer.file_transfer import Wanted
from up42_pipelines.lake.transfer.partial import Received
from up42_pipelines.lake.transfer.patience import Patience

WARNINGS = "up42-pipelines:warnings"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


def land_item(
    lake: Lake,
    item: pystac.Item,
    *,
    collection_id: str,
    sign: Callable[[str], str],
    rasters: RasterWorker,
    ordered: Mapping[str, Any] | None = None,
    options: LandingOptions | None = None,
    on_event: Callable[[LandingEvent], None] | None = None,
) -> LandedItem:
    """Bring every asset of a delivered item into the lake, rasters as COGs, and commit the item.

    Safe to repeat: a committed asset from the same href, whose file has its size, costs no request; an item that gained
    assets since only fetches those. After a failure or a kill nothing new is committed, and the next call resumes what
    had arrived. Files are fetched in parallel, verified, converted in a process of their own with limits, and published
    by a rename (local) or an upload (object stores) when all of them are good; the item comes last.

    An item whose only data is an archive is unpacked. An archive beside rasters is left out, as is a preview or
    metadata file that is not what its media type says; the item's property `up42-pipelines:left_out` records the
    reasons. An item in which a check finds an error is withheld: its files are in the lake, but neither catalogue nor
    index shows it.

    Args:
        lake: where to.
        item: as UP42 serves it; not changed.
        collection_id: the lake's collection.
        sign: gives a fresh signed URL for an asset href; what it raises is passed on.
        rasters: the process that opens untrusted rasters.
        ordered: GeoJSON geometry (degrees, EPSG:4326) of the order; None when it is not known.
        options: how; the defaults when None.
        on_event: told about every asset.

    Raises:
        TransferError: a file did not arrive whole, or somebody else is landing the same item.
        InvalidDelivery: a data asset is no raster or archive, or is damaged, hostile, incomplete, or not what the item
            announces; or the item has no assets, or none that can be used.
        LakeError: the lake cannot be written.
    """
    return _Landing(
        lake, item, collection_id, sign, rasters, ordered, options or LandingOptions(), on_event or (lambda _: None)
    ).run()


@dataclass(frozen=True, slots=True)
class _Settled:
    """The item as it is in the lake now, what was found, and why it is withheld."""

    item: pystac.Item
    findings: tuple[Finding, ...]
    reasons: Mapping[str, str]


class _Landing:
    """The state of one call."""

    def __init__(
        self,
        lake: Lake,
        item: pystac.Item,
        collection_id: str,
        sign: Callable[[str], str],
        rasters: RasterWorker,
        ordered: Mapping[str, Any] | None,
        options: LandingOptions,
        tell: Callable[[LandingEvent], None],
    ) -> None:
        self.lake, self.item, self.collection_id = lake, item, collection_id
        self.sign, self.rasters, self.ordered, self.options, self.tell = sign, rasters, ordered, options, tell
        self.started = time.monotonic()
        self.folder = item_folder(collection_id, item.id)
        self.committed = read_item(lake, collection_id, item.id)
        self.known = self.committed or read_withheld(lake, collection_id, item.id)
        self.earlier = self._earlier()
        self.left_out = dict(self.earlier.left_out)
        self.unpacked: Unpacked | None = None
        self.wanted: list[str] = []
        self.bytes_fetched = self.assets_fetched = 0

    def _earlier(self) -> Earlier:
        """What need not be fetched again. What came out of an archive lands anew when anything beside it is new."""
        earlier = still_holds(self.lake, self.folder, self.known, self.item)
        held = earlier.sources | earlier.left_out.keys()
        archives = {key for key in earlier.sources if kind_of(self.item.assets[key]) is Kind.ARCHIVE}
        return Earlier() if archives and not self.item.assets.keys() <= held else earlier

    def run(self) -> LandedItem:
        """Land what is missing, and commit or withhold the item."""
        for key in self.earlier.sources:
            self.tell(AssetSkipped(item_id=self.item.id, asset_key=key, reason="already in the lake"))
        wanted = self.wanted = self._wanted()
        if not wanted and self.known is not None:
            for asset in self.known.assets.values():
                asset.href = "./" + asset.href.rpartition("/")[2]
            return self._landed(self._settle(self.known, None), quicklook=None, files_kept=0)
        name = self.folder[-1]
        with fetching_folder(self.lake, self.folder) as place, self.lake.staging(*self.folder) as staging:
            names = FileNames([mark_of(name), withheld_mark_of(name), *self.earlier.file_names])
            files = Files(staging, self.rasters, names, warp_to=self.options.warp_to)
            try:
                self._fetch(wanted, place, files)
                if not any(QUICKLOOK_OF in asset for asset in self.earlier.assets.values()):
                    files.add_quicklook()
                described = self._described(files)
            except InvalidDelivery:
                forget(place)  # what was delivered wrong is not worth resuming
                raise
            settled = self._settle(described, files)
            forget(place)
        kept = sum(file.kept for file in files.landed.values())
        return self._landed(settled, quicklook=files.quicklook, files_kept=kept)

    def _wanted(self) -> list[str]:
        """Keys to fetch.

        Raises:
            InvalidDelivery: there is nothing in the item.
        """
        kinds = {key: kind_of(asset) for key, asset in self.item.assets.items()}
        if not kinds:
            raise InvalidDelivery(f"Item {self.item.id!r} has no assets; UP42 may still be preparing it. Try later.")
        if Kind.RASTER in kinds.values():
            for key in [key for key, kind in kinds.items() if kind is Kind.ARCHIVE]:
                self._leave_out(key, ARCHIVE_OF_THE_SAME)
        return [key for key in kinds if key not in self.earlier.sources and key not in self.left_out]

    def _fetch(self, wanted: Sequence[str], place: Path, files: Files) -> None:
        """Fetch assets in parallel, and make files of each as it arrives.

        What has arrived stays in `place` until the item is settled: a landing that fails or is killed half way fetches
        none of it again.
        """
        requests = []
        for key in wanted:
            self.tell(AssetStarted(item_id=self.item.id, asset_key=key))
            href = self.item.assets[key].href
            # The same name at every attempt, and another for every key.
            target = place / f"{safe_name(key)}-{sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
            if (received := recall(target, href)) is not None:
                self._take(key, received, files)
            else:
                note = partial(remember, href=href)
                requests.append(Wanted(name=key, sign=partial(self.sign, href), target=target, on_arrival=note))
        failures: list[Up42Error] = []
        outcomes = fetch(
            requests, limits=self.options.connections, patience=self.options.patience, on_progress=self._progress
        )
        with closing(outcomes):
            for key, outcome in outcomes:
                if isinstance(outcome, Received):
                    self.bytes_fetched += outcome.size
                    self.assets_fetched += 1
                    self._take(key, outcome, files)
                else:
                    failures.append(outcome)
        if failures:
            raise failures[0]

    def _take(self, key: str, received: Received, files: Files) -> None:
        """Make files of one asset that has arrived."""
        asset, started = self.item.assets[key], time.monotonic()
        kind, roles = kind_of(asset), asset.roles or []
        origin = Origin(href=without_query(asset.href), verified_by=received.verified_by)
        before = set(files.landed)
        try:
            check_announced(asset, received)
            if kind is Kind.ARCHIVE:
                self.unpacked = land_archive(
                    received.path, files, origin, limits=self.options.unpack, tell=self._unpacking(key)
                )
                self.left_out |= self.unpacked.left_out
            elif kind is Kind.RASTER or (media_type_of(asset) is None and is_raster(received.path)):
                files.add_raster(key, RasterSource(path=received.path), origin, roles)
            else:
                files.add_document(key, received.path, media_type_of(asset) or received.content_type, origin)
        except InvalidDelivery as error:
            if kind is not Kind.FILE:
                raise InvalidDelivery(
                    f"Item {self.item.id!r}, asset {key!r}: {error} Nothing of the item was published; "
                    "ask UP42's support for a new delivery if running again gives the same."
                ) from error
            self._leave_out(key, str(error))
            return
        self.left_out.pop(key, None)
        made = [files.landed[name] for name in files.landed.keys() - before]
        self.tell(
            AssetLanded(
                item_id=self.item.id,
                asset_key=key,
                size=sum(file.size for file in made),
                kept=all(file.kept for file in made),
                seconds=time.monotonic() - started,
            )
        )

    def _described(self, files: Files) -> pystac.Item:
        """The item as the lake will have it.

        Raises:
            InvalidDelivery: that is no valid STAC, or would have no assets.
        """
        if not files.landed and not self.earlier.assets:
            reasons = " ".join(f"{key}: {reason}" for key, reason in sorted(self.left_out.items()))
            raise InvalidDelivery(f"Item {self.item.id!r}: none of its assets can be used. {reasons}")
        if self.unpacked is None:
            return lake_item(
                self.item,
                files.landed,
                collection_id=self.collection_id,
                unchanged=self.earlier.assets,
                left_out=self.left_out,
            )
        properties, facts = dict(self.item.properties), dict(self.unpacked.facts)
        is_acquisition = properties.pop(DATETIME_FROM, None) is None
        moment = self.item.datetime
        if is_acquisition and not any(facts.get(name) for name in ("datetime", "start_datetime", "end_datetime")):
            facts["datetime"] = moment
        if self.unpacked.warnings:
            properties[WARNINGS] = list(self.unpacked.warnings)
        return item_from_archive(
            files.landed,
            item_id=self.item.id,
            collection_id=self.collection_id,
            properties=properties,
            facts=facts,
            delivered_at=moment or self.item.common_metadata.start_datetime or _EPOCH,
            announced={
                **{key: {"title": one.title, "roles": one.roles} for key, one in self.item.assets.items()},
                **self.unpacked.announced,
            },
            geometry=self.item.geometry,
            origin=self.item.get_self_href() or next(iter(self.item.assets.values())).href,
            unchanged=self.earlier.assets,
            left_out=self.left_out,
        )

    def _settle(self, described: pystac.Item, files: Files | None) -> _Settled:
        """Judge the item; publish its files; commit it, or withhold it."""
        document = described.to_dict(transform_hrefs=False)
        findings = judge(document, self.options.rules, announced=self.item.geometry, ordered=self.ordered)
        reasons = withheld_reasons(findings)
        if files is not None:
            self._publish(files)
        if reasons:
            write_withheld(self.lake, self.collection_id, described, reasons)
        elif files is None and self.committed is not None:
            # An earlier call may have been killed after it committed the item, and before it linked it.
            index_collection(self.lake, self.collection_id, self.item.id)
        else:
            described.properties.pop(WITHHELD, None)
            write_item(self.lake, self.collection_id, described)
        read = read_withheld if reasons else read_item
        item = read(self.lake, self.collection_id, self.item.id)
        if item is None:
            raise LakeError(f"Lake {self.lake.url}: item {self.item.id!r} was removed while it landed; run again.")
        return _Settled(item, findings, reasons)

    def _publish(self, files: Files) -> None:
        names = [file.file_name for file in files.landed.values()]
        names += [file.quicklook.file_name for file in files.landed.values() if file.quicklook is not None]
        if self.known is not None:
            in_use = {asset.href.rpartition("/")[2] for asset in self.known.assets.values()}
            if in_use & set(names):
                # An item never describes other bytes than there are: it is away while they are replaced.
                for mark in (mark_of, withheld_mark_of):
                    self.lake.remove(*self.folder, mark(self.folder[-1]))
        for name in names:
            self.lake.publish(files.staging / name, *self.folder, name)

    def _landed(self, settled: _Settled, *, quicklook: bytes | None, files_kept: int) -> LandedItem:
        return LandedItem(
            item=settled.item,
            findings=settled.findings,
            withheld=settled.reasons,
            bytes_fetched=self.bytes_fetched,
            assets_fetched=self.assets_fetched,
            files_kept=files_kept,
            seconds=time.monotonic() - self.started,
            already_there=not self.wanted,
            quicklook=quicklook or quicklook_of(self.lake, self.folder, settled.item),
        )

    def _leave_out(self, key: str, reason: str) -> None:
        self.left_out[key] = reason
        self.tell(AssetSkipped(item_id=self.item.id, asset_key=key, reason=reason))

    def _progress(self, key: str, received: int, total: int | None) -> None:
        self.tell(AssetProgress(item_id=self.item.id, asset_key=key, received=received, total=total))

    def _unpacking(self, key: str) -> Callable[[str], None]:
        return lambda made: self.tell(AssetStarted(item_id=self.item.id, asset_key=f"{key}/{made}"))
