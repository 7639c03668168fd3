"""pystac-client over our transport: same token, time-outs, retries and errors as every other call."""

from __future__ import annotations

import json
from typing import Any

import pystac_client
from pystac_client.stac_api_io import StacApiIO

from up42_pipelines.api.transport import Transport


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
            UnexpectedAnswer: the body is not JSON.
        """
        verb = (method or "GET").upper()
        query, body = (parameters, None) if verb == "GET" else (None, parameters)
        return json.dumps(self._transport.json(verb, href, params=query, json=body, headers=headers))


def open_stac(transport: Transport, path: str) -> pystac_client.Client:
    """Open a STAC API below the API's base URL; reads its landing page."""
    return pystac_client.Client.open(f"{transport.hosts.api}{path}", stac_io=TransportStacIO(transport))
