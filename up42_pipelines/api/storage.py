"""Storage: what was delivered, as STAC through pystac-client, and as files (UP42 API, STAC over storage)."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

import pystac
import pystac_client

from up42_pipelines.api.assets import Assets
from up42_pipelines.api.orders import UNCHANGED
from up42_pipelines.api.paging import several
from up42_pipelines.api.stac_io import open_stac
from up42_pipelines.api.transport import Transport
from up42_pipelines.errors import IncompleteDeletion, NotFound, UnexpectedAnswer

STAC_PATH = "/v2/assets/stac/"
_PAGE_SIZE = 100


class Storage:
    """The delivered data of one workspace.

    Attributes:
        assets: the same data as files.

    Args:
        transport: the way to UP42.
        workspace_id: asked for when first needed.
    """

    def __init__(self, transport: Transport, workspace_id: Callable[[], str]) -> None:
        self._transport = transport
        self.assets = Assets(transport, workspace_id)
        self._lock = threading.Lock()
        self._client: pystac_client.Client | None = None

    @property
    def stac(self) -> pystac_client.Client:
        """The STAC API over storage; the landing page is read once."""
        with self._lock:
            if self._client is None:
                self._client = open_stac(self._transport, STAC_PATH)
            return self._client

    def queryables(self) -> dict[str, Any]:
        """The names that a filter of `search` may use, with their types; shorter than the item's property names."""
        body = self._transport.json("GET", f"{STAC_PATH}queryables")
        properties = body.get("properties") if isinstance(body, dict) else None
        if not isinstance(properties, dict):
            raise UnexpectedAnswer(f"UP42 sent queryables without `properties`: {body!r:.200}.")
        return properties

    def search(
        self, filter: dict[str, Any] | None = None, *, limit: int = _PAGE_SIZE, **conditions: Any
    ) -> Iterator[pystac.Item]:
        """Items in storage, page by page, each once.

        Args:
            filter: CQL2-JSON over the queryables, for example `equals("order_id", ...)`.
            limit: items per page.
            conditions: `ids`, `collections`, `bbox`, `intersects`, `datetime`, `sortby` as pystac-client takes them.
        """
        found = self.stac.search(method="POST", filter=filter, limit=limit, **conditions)
        seen: set[str] = set()
        for body in found.items_as_dicts():
            item = self._item(body)
            if item.id not in seen:
                seen.add(item.id)
                yield item

    def items_of_order(self, order_id: str) -> list[pystac.Item]:
        """The STAC items delivered for an order so far, sorted by id; empty while UP42 transforms the delivery."""
        return sorted(self.search(equals("order_id", order_id)), key=lambda item: item.id)

    def items_of_job(self, job_id: str) -> list[pystac.Item]:
        """The STAC items that a processing job made, sorted by id."""
        return sorted(self.search(equals("job_id", job_id)), key=lambda item: item.id)

    def items_of_collection(self, collection_id: str) -> list[pystac.Item]:
        """The STAC items of a collection, sorted by id; empty when there is none."""
        return sorted(self.search(collections=[collection_id]), key=lambda item: item.id)

    def item(self, href: str) -> pystac.Item:
        """One item by its self href.

        Raises:
            NotFound: there is no such item.
        """
        return self._item(self._transport.json("GET", href))

    def update_item(
        self, item: pystac.Item, *, title: str | None = UNCHANGED, tags: Sequence[str] | None = UNCHANGED
    ) -> pystac.Item:
        """Change an item's title or tags; None clears, what is not given stays as it is. The new item is returned."""
        changes: dict[str, Any] = {} if title is UNCHANGED else {"up42-user:title": title}
        changes |= {} if tags is UNCHANGED else {"up42-user:tags": None if tags is None else several(tags)}
        path = f"{_collection_path(item.collection_id)}/items/{quote(item.id, safe='')}"
        return self._item(self._transport.json("PATCH", path, json=changes))

    def delete_items(self, item_ids: Iterable[str], *, dry_run: bool = False) -> list[str]:
        """Delete items for good, with their files. UP42 deletes whole collections only.

        Nothing is deleted unless every id exists and every touched collection is named completely.

        Args:
            item_ids: all items of one or more collections.
            dry_run: only check, and tell which collections would go.

        Returns:
            The ids of the collections, deleted or to be deleted.

        Raises:
            IncompleteDeletion: ids are unknown, or items of a touched collection are not among them.
        """
        wanted = set(item_ids)
        collections: defaultdict[str, set[str]] = defaultdict(set)
        for item in self.search(ids=sorted(wanted)) if wanted else ():
            collections[str(item.collection_id)].add(item.id)
        unknown = wanted.difference(*collections.values()) if collections else wanted
        left_over = {
            collection_id: missing
            for collection_id in collections
            if (missing := {item.id for item in self.search(collections=[collection_id])} - wanted)
        }
        if unknown or left_over:
            raise IncompleteDeletion(unknown=sorted(unknown), left_over=left_over)
        for collection_id in sorted(collections) if not dry_run else ():
            with contextlib.suppress(NotFound):  # a repeated request, or somebody else was faster
                self._transport.send("DELETE", _collection_path(collection_id))
        return sorted(collections)

    def _item(self, body: Any) -> pystac.Item:
        root = self.stac
        try:
            return pystac.Item.from_dict(body, root=root)
        except Exception as error:  # pystac trips over a broken item in many ways
            raise UnexpectedAnswer(
                f"UP42 sent a STAC item that cannot be read: {error!r}. Body: {body!r:.500}"
            ) from error


def equals(name: str, value: Any) -> dict[str, Any]:
    """A CQL2-JSON filter: a queryable has this value."""
    return {"op": "=", "args": [{"property": name}, value]}


def _collection_path(collection_id: str | None) -> str:
    if not collection_id:
        raise UnexpectedAnswer("The item names no collection; items of UP42's storage do.")
    return f"{STAC_PATH}collections/{quote(collection_id, safe='')}"
