"""The ways UP42 cuts long answers into pages: Spring pages, and STAC tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from up42_pipelines.sandbox.core.problems import bad_request

T = TypeVar("T")
MAX_PAGE_SIZE = 1000


@dataclass(frozen=True)
class PageRequest:
    """Which Spring page is asked for.

    Attributes:
        number: page index, from 0.
        size: entries per page.
        sort_field: name of the field on the wire.
        descending: newest, largest or last first.
    """

    number: int
    size: int
    sort_field: str
    descending: bool

    @property
    def offset(self) -> int:
        """Number of entries before the page."""
        return self.number * self.size


def page_request(query: Callable[[str], str | None], *, sorts: Iterable[str], default_sort: str) -> PageRequest:
    """Read `page`, `size` and `sort=<field>,<asc|desc>`; a size beyond the largest is cut down, as Spring does.

    Raises:
        Refused: 400, not numbers, negative, or a field that cannot be sorted by.
    """
    number, size = whole_number("page", query("page"), 0), whole_number("size", query("size"), 20)
    if size < 1:
        raise bad_request("size must be at least 1")
    field, _, direction = (query("sort") or default_sort).partition(",")
    if field not in set(sorts) or direction.lower() not in ("", "asc", "desc"):
        raise bad_request(f"sort must be one of {sorted(sorts)} followed by ,asc or ,desc")
    return PageRequest(number, min(size, MAX_PAGE_SIZE), field, direction.lower() == "desc")


def whole_number(name: str, text: str | None, default: int) -> int:
    """Read a number of 0 or more from the query.

    Raises:
        Refused: 400, it is not one.
    """
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise bad_request(f"{name} must be a whole number of 0 or more, got {text!r}")
    return int(text)


def spring_page(content: Sequence[Any], total: int, page: PageRequest) -> dict[str, Any]:
    """Wrap one page of entries the way Spring does."""
    total_pages = -(-total // page.size)
    order = {"sorted": True, "unsorted": False, "empty": False}
    return {
        "content": list(content),
        "pageable": {
            "sort": order,
            "pageNumber": page.number,
            "pageSize": page.size,
            "offset": page.offset,
            "paged": True,
            "unpaged": False,
        },
        "totalPages": total_pages,
        "totalElements": total,
        "last": page.number + 1 >= total_pages,
        "first": page.number == 0,
        "size": page.size,
        "number": page.number,
        "numberOfElements": len(content),
        "empty": not content,
        "sort": order,
    }


@dataclass(frozen=True)
class Window(Generic[T]):
    """Part of a list between two STAC tokens.

    Attributes:
        entries: what is on the page.
        next_token: token of the page after it, None at the end.
        prev_token: token of the page before it, None at the start.
    """

    entries: Sequence[T]
    next_token: str | None
    prev_token: str | None


def token_window(entries: Sequence[T], token: str | None, limit: int, identify: Callable[[T], str]) -> Window[T]:
    """Cut the page after `next:<id>` or before `prev:<id>` out of a sorted list.

    The token names an entry, not a position: entries that arrive between two requests move nothing off a page.

    Raises:
        Refused: 400, the token is not one of ours or its entry is gone.
    """
    start, stop = 0, limit
    if token is not None:
        direction, _, identifier = token.partition(":")
        position = next((index for index, entry in enumerate(entries) if identify(entry) == identifier), None)
        if direction not in ("next", "prev") or position is None:
            raise bad_request(f"unknown token {token!r}")
        start, stop = (position + 1, position + 1 + limit) if direction == "next" else (position - limit, position)
    start = max(start, 0)
    page = entries[start:stop]
    more_after, more_before = bool(page) and stop < len(entries), bool(page) and start > 0
    return Window(
        page,
        f"next:{identify(page[-1])}" if more_after else None,
        f"prev:{identify(page[0])}" if more_before else None,
    )
