"""From the files of an unpacked delivery to what there is to land."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import PurePath, PurePosixPath

from up42_pipelines.lake.products.delivery import Delivery, Recognised, asset_key, problem
from up42_pipelines.lake.products.dimap import recognise_dimap
from up42_pipelines.lake.products.documents import media_type, read_head
from up42_pipelines.lake.products.job_result import recognise_job_result
from up42_pipelines.lake.products.landsat import recognise_landsat
from up42_pipelines.lake.products.palsar import recognise_palsar
from up42_pipelines.lake.products.planet import recognise_planet
from up42_pipelines.lake.products.records import (
    Contents,
    Document,
    Member,
    Problem,
    Product,
    ProductRaster,
    ProductVectors,
)
from up42_pipelines.lake.products.safe import recognise_safe
from up42_pipelines.lake.vectors.formats import vector_format

# In this order: a file that one has claimed is not shown to the next. Planet's manifest comes first, because it vouches
# for each byte; what is left is taken for plain rasters.
_RECOGNISERS: tuple[Callable[[Delivery, frozenset[PurePosixPath]], list[Recognised]], ...] = (
    recognise_planet,
    recognise_dimap,
    recognise_safe,
    recognise_landsat,
    recognise_palsar,
    recognise_job_result,
)
_RASTER_SUFFIXES = (".tif", ".tiff", ".jp2", ".ntf", ".nitf")
AUXILIARY = "belongs to a product as an auxiliary file"
_THUMBNAILS = ("icon", "thumb", "small", "browse")
_LICENSES = ("license", "licence", "eula", "copyright")


def recognise(members: Iterable[Member]) -> Contents:
    """Find the products in an unpacked delivery. Reads metadata and first bytes; opens no raster, writes nothing.

    What is found is the same in whatever order the members come.

    Returns:
        What to land. `Contents.check` refuses a delivery with problems that are more than warnings.

    Raises:
        InvalidDelivery: metadata without which a product cannot be understood are damaged or hostile.
    """
    delivery = Delivery(members)
    free = frozenset(member.name for member in delivery.members)
    found: list[Recognised] = []
    for recogniser in _RECOGNISERS:
        recognised = recogniser(delivery, free)
        found += recognised
        free = free.difference(*(one.claimed for one in recognised))
    plain = _plain(delivery, free)
    if plain is None and not any(one.product.rasters for one in found):
        plain = _features(delivery, free)
    if plain is not None:
        found.append(plain)
        free -= plain.claimed
    papers, loose, left_out = _papers(delivery, found, free)
    products = _with_unique_keys(
        [
            replace(one.product, documents=one.product.documents + tuple(papers.get(index, ())))
            for index, one in enumerate(found)
        ]
    )
    contents = Contents(
        products=products, documents=_unique(loose, products), problems=_impostors(delivery, free), left_out=left_out
    )
    return replace(contents, problems=contents.problems + _no_imagery(contents, len(delivery.members)))


def _plain(delivery: Delivery, free: frozenset[PurePosixPath]) -> Recognised | None:
    """Every raster that no format explains, told by its content."""
    members = [member for member in delivery.members if member.name in free and delivery.raster_format(member)]
    if not members:
        return None
    folder = _common_folder([member.name for member in members])
    return Recognised(
        product=Product(
            kind="plain",
            name=members[0].name.stem if len(members) == 1 else folder.name or "rasters",
            rasters=tuple(
                ProductRaster(key=asset_key(member.name.stem), source=delivery.source(member), title=member.name.name)
                for member in members
            ),
        ),
        folder=folder,
        claimed=frozenset(
            {member.name for member in members}
            | {side_car.name for member in members for side_car in delivery.side_cars(member)}
        ),
    )


def _features(delivery: Delivery, free: frozenset[PurePosixPath]) -> Recognised | None:
    """Every file of features, told by its content: what a delivery without a raster is about."""
    members = [member for member in delivery.members if member.name in free and vector_format(member.path)]
    if not members:
        return None
    folder = _common_folder([member.name for member in members])
    return Recognised(
        product=Product(
            kind="plain",
            name=members[0].name.stem if len(members) == 1 else folder.name or "features",
            vectors=tuple(
                ProductVectors(key=asset_key(member.name.stem), member=member, title=member.name.name)
                for member in members
            ),
        ),
        folder=folder,
        claimed=frozenset(member.name for member in members),
    )


def _impostors(delivery: Delivery, free: frozenset[PurePosixPath]) -> tuple[Problem, ...]:
    """Files of no format's metadata that are named like rasters and are none."""
    problems = []
    for member in delivery.members:
        if member.name not in free or member.name.suffix.lower() not in _RASTER_SUFFIXES:
            continue
        if member.size == 0:
            problems.append(problem("incomplete", member, "it has 0 bytes"))
        elif read_head(member).lstrip().startswith((b"<", b"{")):
            problems.append(
                problem("hostile", member, "it is named like a raster, and is a text that refers to others")
            )
        else:
            problems.append(
                problem("corrupt", member, "it is named like a raster, and is none of TIFF, JPEG 2000, NITF")
            )
    return tuple(problems)


def _common_folder(names: list[PurePosixPath]) -> PurePosixPath:
    folder = names[0].parent
    while not all(name.is_relative_to(folder) for name in names):
        folder = folder.parent
    return folder


def _papers(
    delivery: Delivery, found: list[Recognised], free: frozenset[PurePosixPath]
) -> tuple[dict[int, list[Document]], list[Document], dict[str, str]]:
    """Files beside the rasters: by product (its index), of no product, and what is left out with the reason.

    A file belongs to the product with the deepest folder that holds it.
    """
    papers: dict[int, list[Document]] = {}
    loose, left_out = [], {}
    placed = {document.member.name for one in found for document in one.product.documents}
    placed |= {vectors.member.name for one in found for vectors in one.product.vectors}
    for member in delivery.members:
        if member.name not in free:
            if member.name not in placed and delivery.raster_format(member) is None:
                left_out[str(member.name)] = AUXILIARY
            continue
        kind = media_type(member)
        if kind is None:
            left_out[str(member.name)] = "neither a raster nor a document that is safe to show"
            continue
        document = Document(key=asset_key(member.name.stem), member=member, media_type=kind, roles=_roles(member, kind))
        homes = [index for index, one in enumerate(found) if member.name.is_relative_to(one.folder)]
        if homes:
            home = max(homes, key=lambda index: (len(found[index].folder.parts), -index))
            papers.setdefault(home, []).append(document)
        else:
            loose.append(document)
    return papers, loose, left_out


def _roles(member: Member, kind: str) -> tuple[str, ...]:
    name = member.name.name.lower()
    if kind.startswith("image/"):
        return ("thumbnail",) if any(word in name for word in _THUMBNAILS) else ("overview",)
    return ("license",) if any(word in name for word in _LICENSES) else ("metadata",)


def _with_unique_keys(products: list[Product]) -> tuple[Product, ...]:
    """No two assets of a delivery with one key: those that would have get the name of their file, or else a number."""
    counts = Counter(raster.key for one in products for raster in one.rasters)
    counts.update(vectors.key for one in products for vectors in one.vectors)
    counts.update(document.key for one in products for document in one.documents)
    taken: set[str] = set()

    def unique(key: str, file: PurePath) -> str:
        if counts[key] == 1:
            return _free_key(key, taken)
        longer = f"{key}_{file.suffix.lstrip('.')}" if key == file.stem else f"{key}_{file.stem}"
        return _free_key(asset_key(longer), taken)

    return tuple(
        replace(
            one,
            rasters=tuple(replace(raster, key=unique(raster.key, raster.source.path)) for raster in one.rasters),
            vectors=tuple(replace(vectors, key=unique(vectors.key, vectors.member.name)) for vectors in one.vectors),
            documents=tuple(
                replace(document, key=unique(document.key, document.member.name)) for document in one.documents
            ),
        )
        for one in products
    )


def _unique(documents: list[Document], products: tuple[Product, ...]) -> tuple[Document, ...]:
    """Keys of loose documents, apart from those of the products."""
    taken = {raster.key.lower() for one in products for raster in one.rasters}
    taken |= {vectors.key.lower() for one in products for vectors in one.vectors}
    taken |= {document.key.lower() for one in products for document in one.documents}
    return tuple(replace(document, key=_free_key(document.key, taken)) for document in documents)


def _free_key(wanted: str, taken: set[str]) -> str:
    """Also of keys that differ in case only: they become file names, and not every file system tells those apart."""
    key, count = wanted, 1
    while key.lower() in taken:
        count += 1
        key = f"{wanted}-{count}"
    taken.add(key.lower())
    return key


def _no_imagery(contents: Contents, members: int) -> tuple[Problem, ...]:
    there = any(one.rasters or one.vectors for one in contents.products)
    blamed = any(one.severity != "warning" for one in contents.all_problems)
    if there or blamed:
        return ()
    return (Problem(severity="incomplete", subject="the delivery", message=f"no imagery found in {members} files"),)
