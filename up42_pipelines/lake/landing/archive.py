"""An archive as delivered: unpacked, understood, and its rasters, features and papers made files of the item."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """What an archive said, once its files are made.

    Attributes:
        facts: about the scene, by the names of `products.SceneFacts`.
        announced: by asset key, what its metadata say of a raster or a document, see `stac.item.item_from_archive`.
        left_out: reason by path inside the archive.
        warnings: what is odd, yet no reason to refuse it.
    """

    facts: Mapping[str, Any]
    announced: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def land_archive(
    archive: Path, files: Files, origin: Origin, *, limits: UnpackLimits, tell: Callable[[str], None]
) -> Unpacked:
    """Unpack an archive beside it, and make files of what is in it.

    Args:
        archive: verified bytes.
        files: of the item.
        origin: of the archive, and so of all that is in it.
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
                tell(raster.key)
                files.add_raster(raster.key, raster.source, origin, raster.roles)
                announced[raster.key] = {
                    "title": raster.title,
                    "roles": raster.roles,
                    "gsd_m": raster.gsd_m,
                    "bands": [asdict(band) for band in raster.bands],
                }
            for vectors in product.vectors:
                tell(vectors.key)
                files.add_vectors(vectors.key, vectors.member.path, origin)
                announced[vectors.key] = {"title": vectors.title, "roles": ("data",)}
        left_out = {str(name): reason for name, reason in unpacked.left_out.items() if reason != FOLDER}
        left_out |= contents.left_out
        for document in (*(paper for product in contents.products for paper in product.documents), *contents.documents):
            try:
                files.add_document(document.key, document.member.path, document.media_type, origin)
            except InvalidDelivery as error:
                left_out[str(document.member.name)] = str(error)
            else:
                announced[document.key] = {"roles": document.roles}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Unpacked(
        facts=asdict(merge_facts([product.facts for product in contents.products])),
        announced=announced,
        left_out=left_out,
        warnings=tuple(f"{one.subject}: {one.message}" for one in contents.all_problems),
    )
