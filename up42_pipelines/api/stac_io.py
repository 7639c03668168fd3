"""pystac-client over our transport: same token, time-outs, retries and errors as every other call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pystac_client
from pystac import Link
from pystac_client.stac_api_io import StacApiIO

from up42_pipelines.api.paging import next_link, rows_of
from up42_pipelines.api.transport import Transport
from up42_pipelines.errors import UnexpectedAnswer, Up42Error


class TransportStacIO(StacApiIO):
    """pystac-client's input and output through our transport."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(max_retries=None)
        self._transport = transport

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """The JSON body of one request, as pystac-client asks for it.

        Raises:
            UnexpectedAnswer: the body is no JSON object.
        """
        verb = (method or "GET").upper()
        query, body = (parameters, None) if verb == "GET" else (None, parameters)
        answer = self._transport.json(verb, href, params=query, json=body, headers=headers)
        if not isinstance(answer, dict):
            raise UnexpectedAnswer(f"{verb} {href}: no JSON object: {answer!r:.200}.")
        return json.dumps(answer)

    def get_pages(
        self, url: str, method: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Pages of a search or a list of collections; a link that was followed before ends it.

        pystac-client itself would follow it for ever, and take a page without a list for the empty end.

        Raises:
            UnexpectedAnswer: a page holds no list of features or collections.
        """
        followed: set[str] = set()
        page = self.read_json(url, method=method, parameters=parameters)
        while True:
            if rows_of(page, "collections" if "collections" in page else "features"):
                yield page
            link = next_link(page)
            if link is None or (target := json.dumps(link, sort_keys=True)) in followed:
                return
            followed.add(target)
            page = self.read_json(Link.from_dict(dict(link)), parameters=parameters)


def open_stac(transport: Transport, path: str) -> pystac_client.Client:
    """Open a STAC API below the API's base URL; reads its landing page.

    Raises:
        UnexpectedAnswer: that page is none of a STAC API.
    """
    url = f"{transport.hosts.api}{path}"
    try:
        return pystac_client.Client.open(url, stac_io=TransportStacIO(transport))
    except Up42Error:
        raise
    except Exception as error:  # pystac trips over it in many ways
        raise UnexpectedAnswer(f"{url} is not the landing page of a STAC API: {error!r}.") from error
