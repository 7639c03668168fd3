"""Which STAC extensions a lake item declares: those whose fields it has. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from up42_pipelines.lake.stac.validation import nonconforming

# pystac 1.15 still writes eo v1 and raster v1 (`eo:bands`, `raster:bands`); with STAC 1.1's common `bands` belongs v2.
EO_EXTENSION = "https://stac-extensions.github.io/eo/v2.0.0/schema.json"
FILE_EXTENSION = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
ORDER_EXTENSION = "https://stac-extensions.github.io/order/v1.1.0/schema.json"
PROCESSING_EXTENSION = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
PROJECTION_EXTENSION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
RASTER_EXTENSION = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
# The source's extensions that its own fields violate; the fields stay.
UNDECLARED = "up42-pipelines:undeclared_extensions"

_EO_WITH_OLD_BANDS = "https://stac-extensions.github.io/eo/v1.1.0/schema.json"
# By the prefix of the fields. Written by us, so in one version, whichever the source has.
_WRITTEN = {
    "eo": EO_EXTENSION,
    "file": FILE_EXTENSION,
    "order": ORDER_EXTENSION,
    "processing": PROCESSING_EXTENSION,
    "proj": PROJECTION_EXTENSION,
    "raster": RASTER_EXTENSION,
}
# Passed on from the source, in its version.
_PASSED_ON = {
    "sar": "https://stac-extensions.github.io/sar/v1.0.0/schema.json",
    "sat": "https://stac-extensions.github.io/sat/v1.0.0/schema.json",
    "view": "https://stac-extensions.github.io/view/v1.0.0/schema.json",
}
_URI = re.compile(r"https://stac-extensions\.github\.io/([a-z0-9-]+)/v[^/]+/schema\.json#?")


def declare_extensions(document: dict[str, Any]) -> None:
    """Set `stac_extensions` of an item, in place, to what its fields follow.

    An extension that the source declares and its own fields violate is not declared, or an item with one wrong word in
    it could not land; `up42-pipelines:undeclared_extensions` lists those. What we write is always declared.
    """
    used = _prefixes(document)
    written = {uri for prefix, uri in _WRITTEN.items() if prefix in used}
    if "eo:bands" in document["properties"]:
        written = written - {EO_EXTENSION} | {_EO_WITH_OLD_BANDS}
    declared, passed_on = set(written), set()
    for uri in document.get("stac_extensions") or ():
        prefix = _prefix_of(uri)
        if prefix in _PASSED_ON and prefix in used:
            passed_on.add(prefix)
        # Before STAC 1.0, extensions had short names, which are no references.
        if "://" in uri and (prefix not in {*_WRITTEN, *_PASSED_ON} or prefix in passed_on):
            declared.add(uri)
    declared |= {uri for prefix, uri in _PASSED_ON.items() if prefix in used - passed_on}
    document["stac_extensions"] = sorted(declared)
    violated = nonconforming(document)
    if violated:
        document["stac_extensions"] = sorted(declared - set(violated))
        document["properties"][UNDECLARED] = list(violated)


def _prefix_of(uri: str) -> str | None:
    match = _URI.fullmatch(uri)
    name = match[1] if match else None
    return "proj" if name == "projection" else name


def _prefixes(document: Mapping[str, Any]) -> set[str]:
    """Prefixes of the fields of an item: in its properties, its assets and their bands."""
    assets = [asset for asset in document["assets"].values() if isinstance(asset, dict)]
    places: list[Iterable[str]] = [document["properties"], *assets]
    places += [band for place in (document["properties"], *assets) for band in place.get("bands") or ()]
    return {name.partition(":")[0] for place in places for name in place if ":" in name}
