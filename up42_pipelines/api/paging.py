"""The paging styles of the API as lazy iterators that neither repeat nor end early."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin

from up42_pipelines.api.transport import Transport
from up42_pipelines.errors import UnexpectedAnswer

PAGE_SIZE = 100
_MOST_PASSES = 5


def listing(
    transport: Transport, path: str, filters: Mapping[str, Any], *, page_size: int = PAGE_SIZE
) -> Iterator[Mapping[str, Any]]:
    """Rows of a Spring page listing of the API, fetched page by page as they are consumed.

    Args:
        transport: the way to UP42.
        path: of the listing.
        filters: query parameters; None and empty ones are left out, lists become repeated keys.
        page_size: rows per request.
    """
    query = given(filters)

    def fetch(page: Mapping[str, Any]) -> Mapping[str, Any]:
        body: Mapping[str, Any] = transport.json("GET", path, params={**query, **page})
        return body

    return spring_pages(fetch, size=page_size)


def given(filters: Mapping[str, Any]) -> dict[str, Any]:
    """The query parameters that say something, as they are written."""
    return {name: _written(value) for name, value in filters.items() if value is not None and value not in ((), [], "")}


def several(values: Sequence[str]) -> list[str]:
    """The values of a filter as a list; a lone string is one value, not one per letter."""
    return [str(value) for value in ([values] if isinstance(values, str) else values)]


def _written(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return [str(part) for part in value]
    return value if isinstance(value, int | float) else str(value)


def spring_pages(
    fetch: Callable[[Mapping[str, Any]], Mapping[str, Any]], *, size: int = PAGE_SIZE
) -> Iterator[Mapping[str, Any]]:
    """Rows of a Spring page listing (`content`, `totalPages`): orders, assets, collections.

    Rows that appear while paging push others onto later pages: a row that was already handed out is not repeated
    (rows without an `id` or `name` are never taken for repeated). Rows that disappear pull others onto pages that
    were already read: when the total shrinks on the way, the list is read again for what was missed.

    Args:
        fetch: asks for one page, given `page` (0-based) and `size`.
        size: rows per page.
    """
    seen: set[str] = set()
    for _ in range(_MOST_PASSES):
        shrunk = yield from _one_pass(fetch, size, seen)
        if not shrunk:
            return


def _one_pass(
    fetch: Callable[[Mapping[str, Any]], Mapping[str, Any]], size: int, seen: set[str]
) -> Generator[Mapping[str, Any], None, bool]:
    page, total_rows, shrunk = 0, 0, False
    while True:
        body = fetch({"page": page, "size": size})
        if not isinstance(body, Mapping):
            raise UnexpectedAnswer(f"UP42 sent a listing that is no page: {body!r:.200}.")
        rows = rows_of(body, "content")
        before = len(seen)
        for row in rows:
            identity = _identity(row)
            if identity is not None and identity in seen:
                continue
            if identity is not None:
                seen.add(identity)
            yield row
        page += 1
        elements, pages = body.get("totalElements"), body.get("totalPages")
        if elements is not None:
            shrunk = shrunk or int(elements) < total_rows
            total_rows = int(elements)
        if not rows or (page >= int(pages) if pages is not None else len(seen) == before):
            return shrunk


def rows_of(page: Mapping[str, Any], name: str) -> list[Any]:
    """The rows of a page. One that holds no list of them is not empty: it says nothing of what is there.

    Raises:
        UnexpectedAnswer: it holds none.
    """
    rows = page.get(name)
    if not isinstance(rows, list):
        raise UnexpectedAnswer(f"UP42 sent a page that holds no list of {name}: {page!r:.200}.")
    return rows


def _identity(row: Any) -> str | None:
    identity = (row.get("id") or row.get("name")) if isinstance(row, Mapping) else None
    return None if identity is None else str(identity)


def linked_pages(fetch: Callable[[str], Any], first: str) -> Iterator[Mapping[str, Any]]:
    """Pages of a listing that names the next one in its `links`; a link that was followed before ends it.

    Args:
        fetch: asks for one page by its URL.
        first: URL of the first page; relative links are resolved against it.
    """
    url: str | None = first
    asked: set[str] = set()
    while url and url not in asked:
        asked.add(url)
        page = fetch(url)
        if not isinstance(page, Mapping):
            raise UnexpectedAnswer(f"{url}: an answer that is no page: {page!r:.200}.")
        yield page
        link = next_link(page)
        url = urljoin(url, str(link["href"])) if link else None


def next_link(page: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The link with `rel: next`, or None on the last page."""
    for link in page.get("links") or []:
        if isinstance(link, Mapping) and link.get("rel") == "next" and link.get("href"):
            return link
    return None
