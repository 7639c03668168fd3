"""Is everything in the lake as its items say: files, items, collections, catalogue, index."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.names import safe_name
from up42_pipelines.lake.stac import index
from up42_pipelines.lake.stac.catalog import (
    is_item_folder,
    item_folder,
    mark_of,
    placed,
    withheld_mark_of,
)
from up42_pipelines.lake.stac.links import CATALOG, COLLECTION, COLLECTIONS, add_items, is_index, is_item, linked_in
from up42_pipelines.lake.stac.table import Placed
from up42_pipelines.lake.stac.validation import problems
from up42_pipelines.lake.store import Lake
from up42_pipelines.lake.upkeep.files import StoredFile, by_item, collection_names, files_below

_CHUNK = 4 * 1024 * 1024
# Multihash: 0x12 says SHA-256, 0x20 that 32 bytes follow (https://github.com/multiformats/multicodec).
_SHA256 = "1220"
_SAME_DEGREES = 1e-9
_REPAIR = "`lake repair` mends it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something in the lake that is not as it should be.

    Attributes:
        kind: in one word or two, for programs: `missing file`, `wrong size`, `wrong checksum`, `not described`,
            `extra file`, `damaged`, `invalid`, `wrong place`, `both marks`, `not linked`, `dangling link`, `extent`,
            `not indexed`, `index row`.
        path: the object in the lake.
        what: one sentence.
    """

    kind: str
    path: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a verification is.

    Attributes:
        items: verified so far.
        of_items: found so far; collections that come later are not counted yet.
        bytes_read: of files.
    """

    items: int = 0
    of_items: int = 0
    bytes_read: int = 0


def verify(
    lake: Lake,
    collection: str | None = None,
    *,
    fast: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Iterator[Finding]:
    """Compare everything in the lake with what its items say; findings come as they are found.

    Items that were withheld are verified as committed ones are. Folders without either mark are not: they belong to
    work that goes on, or are debris, which `gc` removes.

    Args:
        lake: which.
        collection: folder name of one collection; None for all, and then the catalogue too.
        fast: compare sizes, and read no file.
        on_progress: told after every item.

    Raises:
        LakeError: the lake cannot be read, or has no such collection.
    """
    state = _State(on_progress or (lambda _: None))
    names = collection_names(lake, collection)
    for name in names:
        yield from _verify_collection(lake, name, fast, state)
    if collection is None:
        yield from _verify_catalog(lake, names)


class _State:
    def __init__(self, tell: Callable[[Progress], None]) -> None:
        self._tell, self._progress = tell, Progress()

    def found(self, items: int) -> None:
        self._progress = replace(self._progress, of_items=self._progress.of_items + items)

    def read(self, size: int) -> None:
        self._progress = replace(self._progress, bytes_read=self._progress.bytes_read + size)

    def done(self) -> None:
        self._progress = replace(self._progress, items=self._progress.items + 1)
        self._tell(self._progress)


def _verify_collection(lake: Lake, collection: str, fast: bool, state: _State) -> Iterator[Finding]:
    folders = by_item(files_below(lake, COLLECTIONS, collection))
    folders = {name: files for name, files in folders.items() if is_item_folder(name)}
    marked = {name: files for name, files in folders.items() if _marks(name, files)}
    state.found(len(marked))
    committed: dict[str, dict[str, Any]] = {}
    for name, files in marked.items():
        marks = _marks(name, files)
        if len(marks) > 1:
            what = "The item is committed and withheld. The commit counts; `lake gc` removes the other one."
            yield Finding(kind="both marks", path=marks[1].path, what=what)
        document = _read(lake, marks[0])
        if isinstance(document, Finding):
            yield document
        else:
            yield from _verify_item(collection, name, marks[0], document)
            yield from _verify_files(lake, name, marks[0], document, files, fast, state)
            if marks[0].parts[-1] == mark_of(name):
                committed[name] = _facts(placed(lake, (COLLECTIONS, collection), name, dict(document)))
        state.done()
    yield from _verify_links(lake, collection, committed)
    yield from _verify_rows(lake, collection, committed)


def _facts(item: Placed) -> dict[str, Any]:
    """What is needed of an item once it was verified: a collection may have more of them than fit in memory."""
    properties = item.document["properties"]
    times = {name: properties.get(name) for name in ("start_datetime", "datetime", "end_datetime")}
    return {
        "id": item.document["id"],
        "bbox": item.document.get("bbox"),
        "properties": times,
        "digest": item.digest(),
    }


def _marks(name: str, files: list[StoredFile]) -> list[StoredFile]:
    """Commit mark and withheld mark of an item folder, as far as they are there."""
    direct = {file.parts[-1]: file for file in files if len(file.parts) == 4}
    return [direct[mark] for mark in (mark_of(name), withheld_mark_of(name)) if mark in direct]


def _read(lake: Lake, mark: StoredFile) -> Mapping[str, Any] | Finding:
    try:
        document = lake.read_json(*mark.parts)
    except LakeError as error:
        if not isinstance(error.__cause__, ValueError | RecursionError):
            raise
        return Finding(kind="damaged", path=mark.path, what="It is no JSON. Remove it, and land the item again.")
    if not is_item(document):
        return Finding(kind="damaged", path=mark.path, what="It is no STAC item. Remove it, and land the item again.")
    item: Mapping[str, Any] = document
    return item


def _verify_item(collection: str, name: str, mark: StoredFile, document: Mapping[str, Any]) -> Iterator[Finding]:
    for problem in problems(document):
        yield Finding(kind="invalid", path=mark.path, what=f"{problem}.")
    wanted = item_folder(collection, document["id"])[-1]
    if wanted != name:
        what = f"Its id {document['id']!r} belongs into the folder {wanted}."
        yield Finding(kind="wrong place", path=mark.path, what=what)
    said = document.get("collection")
    if isinstance(said, str) and safe_name(said) != collection:
        yield Finding(kind="wrong place", path=mark.path, what=f"It says that its collection is {said!r}.")


def _verify_files(
    lake: Lake,
    name: str,
    mark: StoredFile,
    document: Mapping[str, Any],
    files: list[StoredFile],
    fast: bool,
    state: _State,
) -> Iterator[Finding]:
    there = {"/".join(file.parts[3:]): file for file in files}
    mine = {mark_of(name), withheld_mark_of(name)}
    for key, asset in document["assets"].items():
        href = asset.get("href") if isinstance(asset, Mapping) else None
        if not isinstance(href, str) or not href.startswith("./"):
            yield Finding(kind="not described", path=mark.path, what=f"Asset {key!r} is not in the item's folder.")
            continue
        mine.add(href.removeprefix("./"))
        file = there.get(href.removeprefix("./"))
        if file is None:
            yield Finding(kind="missing file", path=_beside(mark, href), what=f"Asset {key!r} is not there.")
        else:
            yield from _verify_file(lake, key, asset, file, fast, state)
    for path, file in there.items():
        if path not in mine and not file.is_temporary:
            what = "No asset of the item is this file. `lake gc` removes it when it is old enough."
            yield Finding(kind="extra file", path=file.path, what=what)


def _beside(mark: StoredFile, href: str) -> str:
    return "/".join([*mark.parts[:-1], href.removeprefix("./")])


def _verify_file(
    lake: Lake, key: str, asset: Mapping[str, Any], file: StoredFile, fast: bool, state: _State
) -> Iterator[Finding]:
    size, checksum = asset.get("file:size"), asset.get("file:checksum")
    if size is None or not (isinstance(checksum, str) and checksum.startswith(_SHA256)):
        what = f"Asset {key!r} has no file:size, or no file:checksum that is a SHA-256."
        yield Finding(kind="not described", path=file.path, what=what)
    if size is not None and size != file.size:
        yield Finding(kind="wrong size", path=file.path, what=f"It has {file.size} bytes instead of {size}.")
    elif not fast and isinstance(checksum, str) and checksum.startswith(_SHA256):
        digest = _sha256(lake, file)
        state.read(file.size)
        if digest != checksum.removeprefix(_SHA256):
            yield Finding(kind="wrong checksum", path=file.path, what=f"Its SHA-256 is {digest}, not the item's.")


def _sha256(lake: Lake, file: StoredFile) -> str:
    digest = hashlib.sha256()
    path = lake.path(*file.parts)
    try:
        with lake.fs.open(path, "rb", block_size=_CHUNK) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except Exception as error:  # each backend has its own
        raise LakeError(f"Lake {lake.url}: cannot read {path}: {type(error).__name__}: {error}.") from error
    return digest.hexdigest()


def _verify_links(lake: Lake, collection: str, committed: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    path = (COLLECTIONS, collection, COLLECTION)
    document, finding = _read_index(lake, path)
    if finding is not None:
        if committed or finding.kind != "missing file":  # a collection of withheld items only has none
            yield finding
        return
    for problem in problems(document):
        yield Finding(kind="invalid", path="/".join(path), what=f"{problem}.")
    linked = linked_in(document, "item")
    for name in sorted(committed.keys() - linked):
        yield Finding(kind="not linked", path="/".join(path), what=f"It does not link the item in {name}. {_REPAIR}")
    for name in sorted(linked - committed.keys()):
        yield Finding(kind="dangling link", path="/".join(path), what=f"It links {name}, which is no item. {_REPAIR}")
    if committed and linked and not _covers(document, committed):
        yield Finding(kind="extent", path="/".join(path), what=f"Its extent does not cover all items. {_REPAIR}")


def _covers(collection: dict[str, Any], committed: Mapping[str, dict[str, Any]]) -> bool:
    """Whether adding the items once more would leave the extent as it is."""
    widened = copy.deepcopy(collection)
    add_items(widened, committed)
    before, after = collection["extent"], widened["extent"]
    boxes = zip(before["spatial"]["bbox"][0], after["spatial"]["bbox"][0], strict=True)
    return bool(before["temporal"] == after["temporal"]) and all(
        abs(one - other) < _SAME_DEGREES for one, other in boxes
    )


def _read_index(lake: Lake, path: tuple[str, ...]) -> tuple[dict[str, Any], Finding | None]:
    if not lake.exists(*path):
        return {}, Finding(kind="missing file", path="/".join(path), what=f"It is not there. {_REPAIR}")
    try:
        document = lake.read_json(*path)
    except LakeError as error:
        if not isinstance(error.__cause__, ValueError | RecursionError):
            raise
        document = None
    if not is_index(document):
        return {}, Finding(kind="damaged", path="/".join(path), what=f"It is damaged. {_REPAIR}")
    return document, None


def _verify_rows(lake: Lake, collection: str, committed: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    path = f"{COLLECTIONS}/{collection}/{index.INDEX}"
    try:
        rows = index.digests(lake, collection)
    except LakeError as error:
        yield Finding(kind="damaged", path=path, what=str(error))
        return
    items = {facts["id"]: facts["digest"] for facts in committed.values()}
    for item_id, digest in items.items():
        if item_id not in rows:
            yield Finding(kind="not indexed", path=path, what=f"It has no row for the item {item_id!r}. {_REPAIR}")
        elif rows[item_id] != digest:
            what = f"Its row for the item {item_id!r} is not of the item as it is now, or of another lake. {_REPAIR}"
            yield Finding(kind="index row", path=path, what=what)
    for item_id in sorted(rows.keys() - items.keys()):
        yield Finding(kind="index row", path=path, what=f"It has a row for {item_id!r}, which is no item. {_REPAIR}")


def _verify_catalog(lake: Lake, names: list[str]) -> Iterator[Finding]:
    collections = {name for name in names if lake.exists(COLLECTIONS, name, COLLECTION)}
    document, finding = _read_index(lake, (CATALOG,))
    if finding is not None:
        if collections or finding.kind != "missing file":  # an empty lake has none
            yield finding
        return
    for problem in problems(document):
        yield Finding(kind="invalid", path=CATALOG, what=f"{problem}.")
    linked = linked_in(document, "child")
    for name in sorted(collections - linked):
        yield Finding(kind="not linked", path=CATALOG, what=f"It does not link the collection {name}. {_REPAIR}")
    for name in sorted(linked - collections):
        yield Finding(kind="dangling link", path=CATALOG, what=f"It links {name}, which is no collection. {_REPAIR}")
