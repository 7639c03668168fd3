"""Titles and tags that users give to assets and items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from up42_pipelines.sandbox.core.problems import bad_request
from up42_pipelines.sandbox.ordering import order_input

MAX_TITLE = 200


def read(body: Mapping[str, Any], *, title: str, tags: str) -> dict[str, Any]:
    """Read a change of title and tags; null clears, what is absent stays.

    Args:
        body: the request.
        title: name of the title on the wire.
        tags: name of the tags on the wire.

    Returns:
        `title` and `tags`, each None to clear it, as far as they are given.

    Raises:
        Refused: 400, unknown keys or wrong values; the same tags are allowed as for orders.
    """
    if unknown := sorted(set(body) - {title, tags}):
        raise bad_request(f"only {title} and {tags} can be changed, got {unknown}")
    changes: dict[str, Any] = {}
    if title in body:
        text = body[title]
        if text is not None and not (isinstance(text, str) and 1 <= len(text) <= MAX_TITLE and text.isprintable()):
            raise bad_request(f"{title} must be null or a text of 1 to {MAX_TITLE} printable characters")
        changes["title"] = text
    if tags in body:
        changes["tags"] = None if body[tags] is None else order_input.read_tags({"tags": body[tags]})
    return changes
