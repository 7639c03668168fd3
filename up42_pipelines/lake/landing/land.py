"""Land one delivered STAC item: fetch its files, verify them, judge them, publish them, and commit the item last."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pystac

from up42_pipelines.errors import InvalidDelivery, Up42Error
from up42_pipelines.lake.content import Kind, check_announced, kind_by_content, kind_of, media_type_of
from up42_pipelines.lake.events import AssetLanded, AssetProgress, AssetSkipped, AssetStarted, LandingEvent
from up42_pipelines.lake.landing.archive import Unpacked, land_archive, together
from up42_pipelines.lake.landing.arrived import recall, remember
from up42_pipelines.lake.landing.describing import described
from up42_pipelines.lake.landing.earlier import Earlier, still_holds
from up42_pipelines.lake.landing.files import Files, Origin
from up42_pipelines.lake.landing.names import FileNames
from up42_pipelines.lake.landing.pictures import quicklook_of
from up42_pipelines.lake.landing.records import LandedItem, LandingOptions
from up42_pipelines.lake.landing.settling import Place, Settled
from up42_pipelines.lake.names import safe_name
from up42_pipelines.lake.rasters.source import RasterSource
from up42_pipelines.lake.rasters.worker import RasterWorker
from up42_pipelines.lake.scratch import fetching_folder, forget, staging_in
from up42_pipelines.lake.stac.assets import QUICKLOOK_OF
from up42_pipelines.lake.stac.item import ARCHIVE_OF_THE_SAME, without_query
from up42_pipelines.lake.store import Lake
from up42_pipelines.lake.transfer.download import fetch
from up42_pipelines.lake.transfer.file_transfer import Wanted
from up42_pipelines.lake.transfer.partial import Received
from up42_pipelines.lake.vectors.worker import VectorWorker


def land_item(
    lake: Lake,
    item: pystac.Item,
    *,
    collection_id: str,
    sign: Callable[[str], str],
    rasters: RasterWorker,
    vectors: VectorWorker | None = None,
    ordered: Mapping[str, Any] | None = None,
    options: LandingOptions | None = None,
    on_event: Callable[[LandingEvent], None] | None = None,
) -> LandedItem:
    """Bring every asset of a delivered item into the lake, rasters as COGs, features as GeoParquet; commit the item.

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
        vectors: the process that opens untrusted features; when None, one starts for this item if it has some.
        ordered: GeoJSON geometry (degrees, EPSG:4326) of the order; None when it is not known.
        options: how; the defaults when None.
        on_event: told about every asset.

    Raises:
        TransferError: a file did not arrive whole, or somebody else is landing the same item.
        InvalidDelivery: a data asset is no raster, no features and no archive, or is damaged, hostile, incomplete, or
            not what the item announces; or the item has no assets, or none that can be used.
        LakeError: the lake cannot be written.
    """
    tell = on_event or (lambda _: None)
    with ExitStack() as stack:
        vectors = vectors or stack.enter_context(VectorWorker())
        return _Landing(
            lake, item, collection_id, sign, rasters, vectors, ordered, options or LandingOptions(), tell
        ).run()


class _Landing:
    """The state of one call."""

    def __init__(
        self,
        lake: Lake,
        item: pystac.Item,
        collection_id: str,
        sign: Callable[[str], str],
        rasters: RasterWorker,
        vectors: VectorWorker,
        ordered: Mapping[str, Any] | None,
        options: LandingOptions,
        tell: Callable[[LandingEvent], None],
    ) -> None:
        self.lake, self.item, self.collection_id = lake, item, collection_id
        self.sign, self.rasters, self.vectors = sign, rasters, vectors
        self.ordered, self.options, self.tell = ordered, options, tell
        self.started = time.monotonic()
        self.unpacked: dict[str, Unpacked] = {}
        self.bytes_fetched = self.assets_fetched = 0
        self._look()

    def _look(self) -> None:
        """See what is in the lake, and what is to be fetched.

        Raises:
            InvalidDelivery: there is nothing in the item.
        """
        self.place = Place(self.lake, self.collection_id, self.item.id)
        self.earlier = self._earlier()
        self.left_out = dict(self.earlier.left_out)
        kinds = {key: kind_of(asset) for key, asset in self.item.assets.items()}
        if not kinds:
            raise InvalidDelivery(f"Item {self.item.id!r} has no assets; UP42 may still be preparing it. Try later.")
        if Kind.RASTER in kinds.values():
            self.left_out |= {key: ARCHIVE_OF_THE_SAME for key, kind in kinds.items() if kind is Kind.ARCHIVE}
        self.wanted = [key for key in kinds if key not in self.earlier.sources and key not in self.left_out]

    def _earlier(self) -> Earlier:
        """What need not be fetched again. What came out of an archive lands anew when anything beside it is new."""
        earlier = still_holds(self.lake, self.place.folder, self.place.known, self.item)
        held = earlier.sources | earlier.left_out.keys()
        archives = {key for key in earlier.sources if kind_of(self.item.assets[key]) is Kind.ARCHIVE}
        anew = archives and not self.item.assets.keys() <= held
        return Earlier(in_use=earlier.in_use) if anew else earlier

    def run(self) -> LandedItem:
        """Land what is missing, and commit or withhold the item."""
        if self.wanted or self.place.known is None:
            with fetching_folder(self.lake, self.place.folder) as fetched:
                self._look()  # again: another landing of the item may have ended just before
                if self.wanted or self.place.known is None:
                    return self._land(fetched)
        return self._judge(self.place.known)

    def _judge(self, known: pystac.Item) -> LandedItem:
        """Judge what is in the lake already."""
        self._tell_skipped()
        for asset in known.assets.values():
            asset.href = "./" + asset.href.rpartition("/")[2]
        return self._landed(self._settle(known, None), quicklook=None, files_kept=0)

    def _land(self, fetched: Path) -> LandedItem:
        """Fetch what is missing into a folder, and make the item of it."""
        self._tell_skipped()
        with staging_in(fetched) as staging:
            names = FileNames([*self.place.marks, *self.earlier.file_names], self.earlier.in_use)
            files = Files(staging, self.rasters, self.vectors, names, warp_to=self.options.warp_to)
            try:
                self._fetch(fetched, files)
                if not any(QUICKLOOK_OF in asset for asset in self.earlier.assets.values()):
                    files.add_quicklook()
                made = described(
                    self.item,
                    files.landed,
                    collection_id=self.collection_id,
                    earlier=self.earlier,
                    left_out=self.left_out,
                    unpacked=together([self.unpacked[key] for key in sorted(self.unpacked)]),
                )
            except InvalidDelivery:
                forget(fetched)  # what was delivered wrong is not worth resuming
                raise
            settled = self._settle(made, files)
            forget(fetched)
        kept = sum(file.kept for file in files.landed.values())
        return self._landed(settled, quicklook=files.quicklook, files_kept=kept)

    def _tell_skipped(self) -> None:
        reasons = dict.fromkeys(self.earlier.sources, "already in the lake") | self.left_out
        for key, reason in reasons.items():
            self.tell(AssetSkipped(item_id=self.item.id, asset_key=key, reason=reason))

    def _fetch(self, folder: Path, files: Files) -> None:
        """Fetch assets in parallel, and make files of each as it arrives.

        What has arrived stays in `folder` until the item is settled: a landing that fails or is killed half way fetches
        none of it again.
        """
        requests = []
        for key in self.wanted:
            self.tell(AssetStarted(item_id=self.item.id, asset_key=key))
            href = self.item.assets[key].href
            # The same name at every attempt, and another for every key.
            target = folder / f"{safe_name(key)}-{sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
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
        asset, started, before = self.item.assets[key], time.monotonic(), set(files.landed)
        origin = Origin(href=without_query(asset.href), verified_by=received.verified_by)
        try:
            check_announced(asset, received)
            match kind_by_content(asset, received.path):
                case Kind.ARCHIVE:
                    self._unpack(key, received.path, origin, files)
                case Kind.RASTER:
                    files.add_raster(key, RasterSource(path=received.path), origin, asset.roles or [])
                case Kind.VECTOR:
                    files.add_vectors(key, received.path, origin)
                case Kind.FILE:
                    media_type = media_type_of(asset) or received.content_type
                    files.add_document(key, received.path, media_type, origin)
        except InvalidDelivery as error:
            if kind_of(asset) is not Kind.FILE:
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

    def _settle(self, item: pystac.Item, files: Files | None) -> Settled:
        return self.place.settle(item, files, self.options.rules, announced=self.item.geometry, ordered=self.ordered)

    def _landed(self, settled: Settled, *, quicklook: bytes | None, files_kept: int) -> LandedItem:
        return LandedItem(
            item=settled.item,
            findings=settled.findings,
            withheld=settled.reasons,
            bytes_fetched=self.bytes_fetched,
            assets_fetched=self.assets_fetched,
            files_kept=files_kept,
            seconds=time.monotonic() - self.started,
            already_there=not self.wanted,
            quicklook=quicklook or quicklook_of(self.lake, self.place.folder, settled.item),
        )

    def _leave_out(self, key: str, reason: str) -> None:
        self.left_out[key] = reason
        self.tell(AssetSkipped(item_id=self.item.id, asset_key=key, reason=reason))

    def _progress(self, key: str, received: int, total: int | None) -> None:
        self.tell(AssetProgress(item_id=self.item.id, asset_key=key, received=received, total=total))

    def _unpack(self, key: str, archive: Path, origin: Origin, files: Files) -> None:
        """Make files of what an archive holds, under keys that neither the item nor another archive of it has."""
        assets = self.item.assets
        several = sum(kind_of(asset) is Kind.ARCHIVE for asset in assets.values()) > 1

        def key_of(inner: str) -> str:
            name = f"{key}/{inner}" if several else inner
            while name in files.landed or (name in assets and name != key):
                name += "-of-archive"
            return name

        def tell(made: str) -> None:
            self.tell(AssetStarted(item_id=self.item.id, asset_key=f"{key}/{made}"))

        unpacked = land_archive(archive, files, origin, key_of=key_of, limits=self.options.unpack, tell=tell)
        self.unpacked[key] = unpacked
        self.left_out |= {f"{key}/{name}" if several else name: why for name, why in unpacked.left_out.items()}
