"""The paging styles of the API as lazy iterators that neither repeat nor end early."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

from up42_pipelines.errors import UnexpectedAnswer

PAGE_SIZE = 100


def spring_pages(
    fetch: Callable[[Mapping[str, Any]], Mapping[str, Any]], *, size: int = PAGE_SIZE
) -> Iterator[Mapping[str, Any]]:
    """Rows of a Spring page listing (`content`, `totalPages`): orders, assets, collections.

    Rows created while paging shift the later pages; a row that was already handed out is not repeated (rows
    without an `id` or `name` are never taken for repeated).

    Args:
        fetch: asks for one page, given `page` (0-based) and `size`.
        size: rows per page.
    """
    seen: set[str] = set()
    page = 0
    while True:
        body = fetch({"page": page, "size": size})
        if not isinstance(body, Mapping):
            raise UnexpectedAnswer(f"UP42 sent a listing that is no page: {body!r:.200}.")
        rows = body.get("content") or []
        before = len(seen)
        for row in rows:
            identity = row.get("id") or row.get("name")
            if identity is not None and identity in seen:
                continue
            if identity is not None:
                seen.add(identity)
            yield row
        page += 1
        total = body.get("totalPages")
        if not rows or (page >= int(total) if total is not None else len(seen) == before):
            return


def next_link(body: Mapping[str, Any], *, base: str) -> str | None:
    """The absolute URL of the link with `rel: next`, or None on the last page."""
    for link in body.get("links") or []:
        if link.get("rel") == "next" and link.get("href"):
            return urljoin(base, str(link["href"]))
    return None
