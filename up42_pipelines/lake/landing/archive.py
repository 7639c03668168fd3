"""An archive as delivered: unpacked, understood, and its rasters, features and papers made files of the item."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from up42_pipelines.errors import InvalidDelivery
from up42_pipelines.lake.archives.entries import FOLDER
from up42_pipelines.lake.archives.limits import UnpackLimits
from up42_pipelines.lake.archives.unpack import unpack
from up42_pipelines.lake.landing.files import Files, Origin
from up42_pipelines.lake.products.merging import merge_facts
from up42_pipelines.lake.products.recognise import recognise
from up42_pipelines.lake.products.records import SceneFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """What an archive said, once its files are made.

    Attributes:
        facts: about the scene.
        announced: by asset key, what its metadata say of a raster or a document, see `stac.item.item_from_archive`.
        left_out: reason by path inside the archive.
        warnings: what is odd, yet no reason to refuse it.
    """

    facts: SceneFacts
    announced: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def land_archive(
    archive: Path,
    files: Files,
    origin: Origin,
    *,
    key_of: Callable[[str], str],
    limits: UnpackLimits,
    tell: Callable[[str], None],
) -> Unpacked:
    """Unpack an archive beside it, and make files of what is in it.

    Args:
        archive: verified bytes.
        files: of the item.
        origin: of the archive, and so of all that is in it.
        key_of: the item's key for what has a key in the archive.
        limits: on what is unpacked.
        tell: is given the key of each raster, and of each file of features, before it is made.

    Raises:
        InvalidDelivery: it is hostile, damaged or incomplete, or holds neither rasters nor features.
        LakeError: there is no room for it.
    """
    folder = archive.with_name(f"{archive.name}.unpacked")
    shutil.rmtree(folder, ignore_errors=True)  # a landing that was killed has left half of it
    try:
        unpacked = unpack(archive, folder, limits=limits)
        contents = recognise(unpacked.files)
        contents.check()
        announced: dict[str, dict[str, Any]] = {}
        for product in contents.products:
            for raster in product.rasters:
                tell(key := key_of(raster.key))
                files.add_raster(key, raster.source, origin, raster.roles)
                announced[key] = {
                    "title": raster.title,
                    "roles": raster.roles,
                    "gsd_m": raster.gsd_m,
                    "bands": [asdict(band) for band in raster.bands],
                }
            for vectors in product.vectors:
                tell(key := key_of(vectors.key))
                files.add_vectors(key, vectors.member.path, origin)
                announced[key] = {"title": vectors.title, "roles": ("data",)}
        left_out = {str(name): reason for name, reason in unpacked.left_out.items() if reason != FOLDER}
        left_out |= contents.left_out
        for document in (*(paper for product in contents.products for paper in product.documents), *contents.documents):
            key = key_of(document.key)
            try:
                files.add_document(key, document.member.path, document.media_type, origin)
            except InvalidDelivery as error:
                left_out[str(document.member.name)] = str(error)
            else:
                announced[key] = {"roles": document.roles}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Unpacked(
        facts=merge_facts([product.facts for product in contents.products]),
        announced=announced,
        left_out=left_out,
        warnings=tuple(f"{one.subject}: {one.message}" for one in contents.all_problems),
    )


def together(unpacked: Sequence[Unpacked]) -> Unpacked | None:
    """What several archives of an item said; None of none."""
    if len(unpacked) < 2:
        return unpacked[0] if unpacked else None
    return Unpacked(
        facts=merge_facts([one.facts for one in unpacked]),
        announced={key: said for one in unpacked for key, said in one.announced.items()},
        warnings=tuple(warning for one in unpacked for warning in one.warnings),
    )
