"""What is in a lake, in a few figures per collection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from up42_pipelines.lake.stac.catalog import is_item_folder, read_index, withheld_mark_of
from up42_pipelines.lake.stac.links import COLLECTION, COLLECTIONS, linked_in, new_collection
from up42_pipelines.lake.store import Lake
from up42_pipelines.lake.upkeep.files import collection_names


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionSummary:
    """A collection at a glance.

    Attributes:
        collection: folder name.
        items: committed.
        withheld: kept out by a check.
        first: start of the temporal extent, RFC 3339; None without items.
        last: its end.
    """

    collection: str
    items: int
    withheld: int
    first: str | None
    last: str | None


def summaries(lake: Lake) -> Iterator[CollectionSummary]:
    """Summarise the collections, from `collection.json` and one look per folder that it does not link.

    Raises:
        LakeError: the lake cannot be read, or a collection is damaged.
    """
    for name in collection_names(lake):
        document = read_index(lake, COLLECTIONS, name, COLLECTION) or new_collection(name)
        linked = linked_in(document, "item")
        others = (other for other in lake.list(COLLECTIONS, name) if is_item_folder(other) and other not in linked)
        withheld = sum(lake.exists(COLLECTIONS, name, other, withheld_mark_of(other)) for other in others)
        first, last = document["extent"]["temporal"]["interval"][0]
        yield CollectionSummary(collection=name, items=len(linked), withheld=withheld, first=first, last=last)
