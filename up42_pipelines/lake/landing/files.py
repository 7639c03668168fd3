"""From verified bytes to files that only have to be published: COGs, GeoParquet, and everything else as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.archives.unpack import Member
from up42_pipelines.lake.content import COG_MEDIA_TYPE, PARQUET_MEDIA_TYPE, check_content, suffix_of
from up42_pipelines.lake.landing.names import FileNames
from up42_pipelines.lake.products.documents import media_type as type_by_content
from up42_pipelines.lake.rasters.source import RasterSource
from up42_pipelines.lake.rasters.worker import RasterWorker
from up42_pipelines.lake.stac.assets import LandedAsset, Quicklook
from up42_pipelines.lake.transfer.checksums import sha256_of
from up42_pipelines.lake.vectors.worker import VectorWorker


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where bytes came from.

    Attributes:
        href: of the asset at UP42, without query.
        verified_by: what the download was compared with, see `transfer.Received`.
    """

    href: str
    verified_by: str


class Files:
    """The files of one item, made one by one in a staging directory.

    Args:
        staging: where they are made.
        rasters: what opens untrusted rasters.
        vectors: what opens untrusted features.
        names: of the item's files.
        warp_to: CRS for rasters in sensor geometry; None keeps them as they are.

    Attributes:
        landed: what was made, by asset key.
        quicklook: PNG of the raster that shows most.
    """

    def __init__(
        self, staging: Path, rasters: RasterWorker, vectors: VectorWorker, names: FileNames, *, warp_to: str | None
    ) -> None:
        self.staging, self._rasters, self._vectors, self._names = staging, rasters, vectors, names
        self._warp_to = warp_to
        self.landed: dict[str, LandedAsset] = {}
        self.quicklook: bytes | None = None
        self._shown: tuple[int, int, str] | None = None

    def add_raster(self, key: str, source: RasterSource, origin: Origin, roles: Sequence[str]) -> LandedAsset:
        """Make a COG of a raster, or keep it when it is one.

        Raises:
            InvalidDelivery: it is no raster, or damaged.
            LakeError: it cannot be written.
        """
        target = self.staging / ".made.tif"
        made = self._rasters.land(source, target, roles=roles, warp_to=self._warp_to)
        self._show(key, made.quicklook, roles, made.info.count)
        file = LandedAsset(
            **self._named(key, ".tif", target),
            media_type=COG_MEDIA_TYPE,
            source_href=origin.href,
            raster=made.info,
            kept=made.kept,
            verified_by=origin.verified_by,
            statistics=tuple(asdict(band) for band in made.statistics),
            valid_percent=made.valid_percent,
            valid_footprint=made.valid_footprint,
            profile=None if made.kept else made.profile,
            encoding=asdict(made.encoding),
            resampled_to=made.resampled_to,
            notes=made.notes,
        )
        self.landed[key] = file
        return file

    def add_vectors(self, key: str, path: Path, origin: Origin) -> LandedAsset:
        """Make GeoParquet of features.

        Raises:
            InvalidDelivery: it holds none, or not all of them can be read.
            LakeError: it cannot be written.
        """
        target = self.staging / ".made.parquet"
        made = self._vectors.land(path, target)
        file = LandedAsset(
            **self._named(key, ".parquet", target),
            media_type=PARQUET_MEDIA_TYPE,
            source_href=origin.href,
            vectors=made,
            kept=False,
            verified_by=origin.verified_by,
        )
        self.landed[key] = file
        return file

    def add_document(self, key: str, path: Path, media_type: str | None, origin: Origin) -> LandedAsset:
        """Take a file as it is; `path` is moved.

        Raises:
            InvalidDelivery: it does not begin like its media type, or claims to be huge.
        """
        check_content(path, media_type)
        if media_type == "image/png" and type_by_content(_member(path)) is None:
            raise InvalidDelivery("It claims more pixels than a picture has; whoever opens it runs out of memory.")
        file = LandedAsset(
            **self._named(key, suffix_of(media_type), path),
            media_type=media_type,
            source_href=origin.href,
            verified_by=origin.verified_by,
        )
        self.landed[key] = file
        return file

    def add_quicklook(self) -> None:
        """Put the picture of the raster that shows most beside it, if there is one."""
        if self._shown is None or self.quicklook is None:
            return
        key = self._shown[2]
        target = self.staging / ".made.png"
        target.write_bytes(self.quicklook)
        stem = Path(self.landed[key].file_name).stem
        quicklook = Quicklook(**self._named(f"{stem}-quicklook.png", "", target))
        self.landed[key] = replace(self.landed[key], quicklook=quicklook)

    def _named(self, key: str, suffix: str, made: Path) -> dict[str, Any]:
        """Move a file into the staging directory, under a name of its own; name, size and checksum."""
        size, sha256 = made.stat().st_size, sha256_of(made)
        name = self._names.new(key, suffix, sha256)
        made.replace(self.staging / name)
        return {"file_name": name, "size": size, "sha256": sha256}

    def _show(self, key: str, png: bytes | None, roles: Sequence[str], bands: int) -> None:
        """Remember the picture that shows most: what is meant to be looked at, then what has colours.

        Files arrive in any order, so of equals the first by name is taken.
        """
        rank = (int("visual" not in roles), -min(bands, 3), key)
        if png is not None and (self._shown is None or rank < self._shown):
            self._shown, self.quicklook = rank, png


def _member(path: Path) -> Member:
    return Member(name=PurePosixPath(path.name), path=path, size=path.stat().st_size)
