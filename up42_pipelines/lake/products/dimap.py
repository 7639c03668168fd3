"""DIMAP V1 (SPOT 1-5) and V2 (Pléiades, Pléiades Neo, SPOT 6/7): an XML document is the dataset, image files its tiles.

GDAL opens whatever the XML refers to, with any driver it has, so every reference is checked here before it may see it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

from up42_pipelines.lake.products.delivery import Delivery, Recognised, asset_key, problem, resolve
from up42_pipelines.lake.products.dimap_facts import bands_in_file_order, scene_facts
from up42_pipelines.lake.products.dimap_tiles import (
    Tile,
    expected_size,
    grid_problems,
    hostile_references,
    hrefs,
    listed_tiles,
    parts_are_adjacent,
)
from up42_pipelines.lake.products.documents import local_name, read_bytes, read_head, read_xml, text_of
from up42_pipelines.lake.products.image_size import image_size
from up42_pipelines.lake.products.merging import merge_facts
from up42_pipelines.lake.products.records import Member, Problem, Product, ProductRaster
from up42_pipelines.lake.rasters.members import DIMAP_ROOTS, references
from up42_pipelines.lake.rasters.source import RasterSource

_SIGNS = tuple(f"<{root}".encode() for root in DIMAP_ROOTS)
_TILE_FORMATS = ("GTiff", "JP2OpenJPEG")
# SPECTRAL_PROCESSING, in the words of the user guides of Pléiades, SPOT 6/7 and Pléiades Neo.
_KEYS = {"P": "pan", "PAN": "pan", "MS": "ms", "PMS": "pms", "MS-FS": "ms-fs", "PMS-FS": "pms-fs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dataset:
    """A DIMAP document with image files, checked."""

    member: Member
    root: Element
    raster: ProductRaster | None
    problems: tuple[Problem, ...]
    claimed: frozenset[PurePosixPath]


def recognise_dimap(delivery: Delivery, free: frozenset[PurePosixPath]) -> list[Recognised]:
    """A product per volume (VOL_*.XML), and one per DIMAP document of no volume.

    Raises:
        InvalidDelivery: a DIMAP document is damaged or hostile XML.
    """
    roots = {member.name: read_xml(member) for member in delivery.members if member.name in free and _is_dimap(member)}
    roots = {name: root for name, root in roots.items() if root.tag in DIMAP_ROOTS}
    datasets = {
        name: _dataset(delivery, member, root)
        for name, root in roots.items()
        if _has_images(root) and (member := delivery.get(name)) is not None
    }
    found = []
    for name, root in roots.items():
        if not _is_volume(root) or (member := delivery.get(name)) is None:
            continue
        components, problems = _components(delivery, member, root)
        mine = [datasets.pop(component) for component in components if component in datasets]
        if mine or problems:
            title = text_of(root, "Dataset_Identification/DATASET_NAME") or name.stem
            found.append(_product(title, name, mine, problems))
    for name, dataset in datasets.items():
        title = dataset.raster.title if dataset.raster and dataset.raster.title else name.stem
        found.append(_product(title, name, [dataset], []))
    return found


def _product(title: str, name: PurePosixPath, datasets: list[_Dataset], problems: list[Problem]) -> Recognised:
    facts = merge_facts([scene_facts(dataset.root) for dataset in datasets])
    return Recognised(
        product=Product(
            kind="dimap",
            name=title,
            rasters=tuple(dataset.raster for dataset in datasets if dataset.raster is not None),
            facts=facts,
            problems=tuple(problems) + tuple(one for dataset in datasets for one in dataset.problems),
        ),
        folder=name.parent,
        claimed=frozenset().union(*(dataset.claimed for dataset in datasets)),
    )


def _is_dimap(member: Member) -> bool:
    """By content; a file that is named like one and hides it is one too, to be refused by the XML parser."""
    name = member.name.name.upper()
    if not name.endswith((".XML", ".DIM")):
        return False
    named_so = name == "METADATA.DIM" or name.startswith(("DIM_", "VOL_"))
    return named_so or any(sign in read_head(member) for sign in _SIGNS)


def _is_volume(root: Element) -> bool:
    return text_of(root, "Metadata_Identification/METADATA_PROFILE") == "VOLUME"


def _has_images(root: Element) -> bool:
    return not _is_volume(root) and any(local_name(element.tag).upper() == "DATA_ACCESS" for element in root.iter())


def _components(delivery: Delivery, volume: Member, root: Element) -> tuple[list[PurePosixPath], list[Problem]]:
    """The DIMAP documents that a volume lists and are here, and what is wrong with the others.

    The volume of an order (ORDER_VOLUME) lists all that was ordered, of which this delivery may be a part: a component
    whose folder is not here at all is somebody else's delivery, and only worth a warning. One whose folder is here, or
    any of a SINGLE_VOLUME, is missing.
    """
    found, problems = [], hostile_references(volume, root)
    whole_order = text_of(root, "Metadata_Identification/METADATA_SUBPROFILE") == "ORDER_VOLUME"
    for component in root.iter("Component"):
        if text_of(component, "COMPONENT_TYPE") != "DIMAP":
            continue
        for href in hrefs(component.find("COMPONENT_PATH")):
            path = resolve(volume.name.parent, href)
            if path is None:
                continue  # reported as hostile already
            if delivery.get(path) is not None:
                found.append(path)
                continue
            elsewhere = whole_order and path.parent not in delivery.folders
            problems.append(
                problem("warning", volume, f"it lists {href}, which is not in this delivery")
                if elsewhere
                else problem("incomplete", path, f"{volume.name.name} lists it, and it was not delivered")
            )
    if not found and not problems:
        problems.append(problem("incomplete", volume, "it lists no product"))
    if not found and all(one.severity == "warning" for one in problems):
        problems.append(problem("incomplete", volume, "none of the products it lists was delivered"))
    return found, problems


def _dataset(delivery: Delivery, member: Member, root: Element) -> _Dataset:
    tiles, problems = listed_tiles(root), hostile_references(member, root)
    if not tiles:
        problems.append(problem("incomplete", member, "it names no image file"))
    problems += [problem("corrupt", member, words) for words in grid_problems(tiles, root)]
    parts = len({tile.part for tile in tiles})
    if parts > 1 and not parts_are_adjacent(read_bytes(member), parts):
        problems.append(problem("corrupt", member, "something stands between its lists of files, which misleads GDAL"))
    images, claimed = [], set()
    for tile in tiles:
        path = resolve(member.name.parent, tile.href)
        image = None if path is None else delivery.get(path)
        if path is None:
            continue  # reported as hostile already
        claimed.add(path)
        if image is None or image.size == 0:
            state = "was not delivered" if image is None else "has 0 bytes"
            problems.append(problem("incomplete", path, f"{tile.name} of {member.name.name} {state}"))
        elif delivery.raster_format(image) not in _TILE_FORMATS:
            problems.append(problem("hostile", path, f"{tile.name} is none of TIFF and JPEG 2000"))
        elif not _is_beside(member, tile.href, image):
            problems.append(problem("incomplete", path, f"{tile.name} is not where {member.name.name} says"))
        else:
            images.append(image)
            problems += _size_problems(tile, image, root)
    side_cars = [side_car for image in images for side_car in delivery.side_cars(image)]
    sound = all(one.severity == "warning" for one in problems)
    members = [*images, *side_cars, *_companions(delivery, member, root)]
    return _Dataset(
        member=member,
        root=root,
        raster=_raster(member, root, members) if sound else None,
        problems=tuple(problems),
        claimed=frozenset(claimed | {side_car.name for side_car in side_cars}),
    )


def _size_problems(tile: Tile, image: Member, root: Element) -> list[Problem]:
    wanted, found = expected_size(tile, root), image_size(image.path)
    if wanted is None or found is None or (found[0] >= wanted[0] and found[1] >= wanted[1]):
        return []
    shapes = f"{found[0]} x {found[1]} pixels, and {wanted[0]} x {wanted[1]} are declared"
    return [problem("corrupt", image, f"{tile.name} has {shapes}")]


def _raster(member: Member, root: Element, members: list[Member]) -> ProductRaster:
    processing = text_of(root, "Processing_Information/Product_Settings/SPECTRAL_PROCESSING") or ""
    bands = bands_in_file_order(root)
    panchromatic = [band.common_name for band in bands] == ["pan"]
    key = _KEYS.get(processing.upper()) or processing.lower() or ("pan" if panchromatic else member.name.stem)
    names = ("Dataset_Identification/DATASET_NAME", "Dataset_Id/DATASET_NAME")
    return ProductRaster(
        key=asset_key(key),
        source=RasterSource(
            path=member.path, driver="DIMAP", members=tuple(dict.fromkeys(one.path for one in members))
        ),
        bands=bands,
        gsd_m=scene_facts(root).gsd_m,
        title=next((name for path in names if (name := text_of(root, path))), None),
    )


def _companions(delivery: Delivery, member: Member, root: Element) -> list[Member]:
    """The RPC and strip documents, which GDAL reads for metadata."""
    paths = (resolve(member.name.parent, href) for owner, href in references(root) if owner == "COMPONENT_PATH")
    found = (delivery.get(path) for path in paths if path is not None)
    return [one for one in found if one is not None and one.name.suffix.lower() == ".xml"]


def _is_beside(member: Member, href: str, image: Member) -> bool:
    """Whether GDAL, starting from the XML's place on disk, comes to the very file that was checked."""
    return os.path.normpath(member.path.parent / href) == os.path.normpath(image.path)
