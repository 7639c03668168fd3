"""Runs stac-api-validator without a network; for the validator's own interpreter, with the validator's own arguments.

The validator fetches JSON schemas, and nothing else, over https. Those of STAC's core are answered here: pystac brings
them for STAC 1.1.0, which only adds to 1.0.0, so that they judge 1.0.0 once its number is put in. All others accept
everything; the last line of the output lists them, as JSON.
"""

import json
import sys
from importlib import resources
from io import BytesIO
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from stac_api_validator.__main__ import main

BUNDLED = resources.files("pystac.validation") / "jsonschemas"
FOLDERS = {"schemas.stacspec.org": BUNDLED / "stac-spec" / "v1.1.0", "geojson.org": BUNDLED / "geojson"}
accepted_unseen = set()


def schema(url):
    """The schema at a URL, as bytes."""
    parts = urlsplit(url)
    file = FOLDERS.get(parts.hostname, BUNDLED) / parts.path.rsplit("/", 1)[-1]
    if not file.is_file():
        accepted_unseen.add(url)
        return b"{}"
    version = "1.0.0" if "/v1.0.0/" in parts.path else "1.1.0"
    return file.read_bytes().replace(b'"const": "1.1.0"', f'"const": "{version}"'.encode())


class Schemas(BaseAdapter):
    """Answers every https request."""

    def send(self, request, **_):
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = 200, request.url, request
        answer.raw = BytesIO(schema(request.url))
        return answer

    def close(self):
        """Nothing is open."""


real_adapter = requests.Session.get_adapter
requests.Session.get_adapter = lambda session, url: (
    Schemas() if url.startswith("https://") else real_adapter(session, url)
)
try:
    main(standalone_mode=True)
finally:
    sys.stdout.write(json.dumps(sorted(accepted_unseen)) + "\n")
