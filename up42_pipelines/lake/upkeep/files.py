"""What lies in a lake: every file with its size and age, collection by collection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from up42_pipelines.errors import LakeError
from up42_pipelines.lake.local_files import TEMPORARY
from up42_pipelines.lake.stac.links import COLLECTIONS
from up42_pipelines.lake.store import Lake


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file or object of a lake.

    Attributes:
        parts: its path in the lake, as segments.
        size: bytes.
        changed: when it was written, or given its name; UTC.
    """

    parts: tuple[str, ...]
    size: int
    changed: datetime

    @property
    def path(self) -> str:
        """Its path in the lake."""
        return "/".join(self.parts)

    @property
    def is_temporary(self) -> bool:
        """Whether it, or a folder that it is in, has a name that is given to what is not finished."""
        return any(part.startswith(".") and part.endswith(TEMPORARY) for part in self.parts)


def files_below(lake: Lake, *folder: str) -> list[StoredFile]:
    """Every file below a folder, temporary ones too, sorted by path.

    Raises:
        LakeError: the lake cannot be listed.
    """
    root = lake.path(*folder)
    try:
        lake.fs.invalidate_cache()
        found = lake.fs.find(root, detail=True)
    except FileNotFoundError:
        return []
    except Exception as error:  # each backend has its own
        raise LakeError(f"Lake {lake.url}: cannot list {root}: {type(error).__name__}: {error}.") from error
    return _stored(lake, found.values())


def files_in(lake: Lake, *folder: str) -> list[StoredFile]:
    """Every file directly in a folder, temporary ones too, sorted by path.

    Raises:
        LakeError: the lake cannot be listed.
    """
    root = lake.path(*folder)
    try:
        lake.fs.invalidate_cache()
        found = lake.fs.ls(root, detail=True)
    except FileNotFoundError:
        return []
    except Exception as error:  # each backend has its own
        raise LakeError(f"Lake {lake.url}: cannot list {root}: {type(error).__name__}: {error}.") from error
    return _stored(lake, found)


def _stored(lake: Lake, found: Iterable[Mapping[str, Any]]) -> list[StoredFile]:
    begin = len(lake.root) + 1
    files = [
        StoredFile(parts=tuple(info["name"][begin:].split("/")), size=int(info["size"] or 0), changed=_changed(info))
        for info in found
        # An object whose name ends in a slash is how some tools mark an empty folder.
        if info["type"] != "directory" and not info["name"].endswith("/")
    ]
    return sorted(files, key=lambda file: file.parts)


def by_item(files: Sequence[StoredFile], depth: int = 3) -> dict[str, list[StoredFile]]:
    """Files of one collection by the name of the item folder that they are in, without those beside the folders."""
    folders: dict[str, list[StoredFile]] = defaultdict(list)
    for file in files:
        if len(file.parts) > depth:
            folders[file.parts[depth - 1]].append(file)
    return dict(folders)


def collection_names(lake: Lake, collection: str | None = None) -> list[str]:
    """The folder names of the collections; only that of `collection`, when it is given.

    Raises:
        LakeError: there is no such collection.
    """
    names = lake.list(COLLECTIONS)
    if collection is None:
        return names
    if collection not in names:
        known = f"It has {', '.join(names)}." if names else "It has none."
        raise LakeError(f"Lake {lake.url} has no collection {collection!r}. {known}")
    return [collection]


def _changed(info: Mapping[str, Any]) -> datetime:
    """The latest moment that a backend tells; a rename changes `created` (ctime) of a local file and not its mtime."""
    moments = [_moment(info.get(name)) for name in ("mtime", "created", "LastModified", "updated", "modified")]
    # A file of unknown age is young: nothing is done to it.
    return max((moment for moment in moments if moment is not None), default=datetime.max.replace(tzinfo=UTC))


def _moment(value: Any) -> datetime | None:
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return None
