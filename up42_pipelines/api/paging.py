"""The paging styles of the API as lazy iterators that neither repeat nor end early."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

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
        rows = body.get("content") or []
        for row in rows:
            identity = row.get("id") or row.get("name")
            if identity is not None and identity in seen:
                continue
            if identity is not None:
                seen.add(identity)
            yield row
        page += 1
        if not rows or page >= int(body.get("totalPages") or 0):
            return


def next_link(body: Mapping[str, Any], *, base: str) -> str | None:
    """The absolute URL of the link with `rel: next`, or None on the last page."""
    for link in body.get("links") or []:
        if link.get("rel") == "next" and link.get("href"):
            return urljoin(base, str(link["href"]))
    return None
