"""Links in the answers of both STAC APIs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from up42_pipelines.sandbox.routing import Call

GEOJSON, SCHEMA = "application/geo+json", "application/schema+json"
_QUERYABLES = "http://www.opengis.net/def/rel/ogc/1.0/queryables"


def link(rel: str, href: str, media_type: str = "application/json", **more: Any) -> dict[str, Any]:
    """Write a link."""
    return {"rel": rel, "type": media_type, "href": href, **more}


def trail(root: str, parent: str, here: str, media_type: str = "application/json") -> list[dict[str, Any]]:
    """Write the links to the root catalogue, the parent and the answer itself."""
    return [link("root", f"{root}/"), link("parent", parent), link("self", here, media_type)]


def services(origin: str, root: str) -> list[dict[str, Any]]:
    """Write the links of a landing page to what describes the API."""
    return [
        link("conformance", f"{root}/conformance"),
        queryables(root),
        link("service-desc", f"{origin}/sandbox/openapi.json"),
        link("service-doc", f"{origin}/sandbox/docs/", "text/html"),
    ]


def queryables(parent: str) -> dict[str, Any]:
    """Write the link to the queryables of an API or a collection."""
    return link(_QUERYABLES, f"{parent}/queryables", SCHEMA)


def pages(
    call: Call, here: str, tokens: Mapping[str, str | None], media_type: str = "application/json"
) -> list[dict[str, Any]]:
    """Write the links to other pages: the same request again, with a token in its query or in its body.

    Args:
        call: the request.
        here: its URL, without a query.
        tokens: by relation, `next` or `prev`; None when there is no such page.
        media_type: of the pages.
    """
    links = []
    for rel, token in tokens.items():
        if token is None:
            continue
        if call.request.method == "POST":
            again = {**call.json_object(), "token": token}
            links.append(link(rel, here, method="POST", body=again))
        else:
            query = [(name, value) for name, value in call.request.query_params.multi_items() if name != "token"]
            links.append(link(rel, f"{here}?{urlencode([*query, ('token', token)])}", media_type, method="GET"))
    return links
