"""Which STAC extensions a lake item declares: those whose fields it has. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from up42_pipelines.lake.stac.validation import nonconforming

# pystac 1.15 still writes eo v1 and raster v1 (`eo:bands`, `raster:bands`); with STAC 1.1's common `bands` belongs v2.
EO_EXTENSION = "https://stac-extensions.github.io/eo/v2.0.0/schema.json"
FILE_EXTENSION = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
ORDER_EXTENSION = "https://stac-extensions.github.io/order/v1.1.0/schema.json"
PROCESSING_EXTENSION = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
PROJECTION_EXTENSION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
RASTER_EXTENSION = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
TABLE_EXTENSION = "https://stac-extensions.github.io/table/v1.2.0/schema.json"
# The source's extensions that its own fields violate; the fields stay.
UNDECLARED = "up42-pipelines:undeclared_extensions"
# Properties of the source that violate an extension which the lake writes itself.
SET_ASIDE = "up42-pipelines:set_aside"

# By the prefix of the fields. Written by us, so in one version, whichever the source has.
_WRITTEN = {
    "eo": EO_EXTENSION,
    "file": FILE_EXTENSION,
    "order": ORDER_EXTENSION,
    "processing": PROCESSING_EXTENSION,
    "proj": PROJECTION_EXTENSION,
    "raster": RASTER_EXTENSION,
    "table": TABLE_EXTENSION,
}
# eo 2.0 has no `eo:bands`, and a range for these; its schema is not vendored.
_PERCENT = ("eo:cloud_cover", "eo:snow_cover")
# Passed on from the source, in its version.
_PASSED_ON = {
    "sar": "https://stac-extensions.github.io/sar/v1.0.0/schema.json",
    "sat": "https://stac-extensions.github.io/sat/v1.0.0/schema.json",
    "view": "https://stac-extensions.github.io/view/v1.0.0/schema.json",
}
_URI = re.compile(r"https://stac-extensions\.github\.io/([a-z0-9-]+)/v[^/]+/schema\.json#?")


def declare_extensions(document: dict[str, Any]) -> None:
    """Set `stac_extensions` of an item, in place, to what its fields follow.

    A delivery does not stay out of the lake for a wrong word in a field that no reader needs. An extension passed on
    from the source that the source's fields violate is not declared (`up42-pipelines:undeclared_extensions`); of one
    that we write, the source's properties are set aside (`up42-pipelines:set_aside`).
    """
    properties = document["properties"]
    aside = {
        name for name in properties if name == "eo:bands" or (name in _PERCENT and not _is_percent(properties[name]))
    }
    declared = _declared(document)
    document["stac_extensions"] = sorted(declared)
    prefixes = tuple(f"{_prefix_of(uri)}:" for uri in nonconforming(document) if _prefix_of(uri) in _WRITTEN)
    aside |= {name for name in properties if name.startswith(prefixes)}
    if aside:
        properties[SET_ASIDE] = {name: properties.pop(name) for name in sorted(aside)}
    if violated := nonconforming(document):
        document["stac_extensions"] = sorted(declared - set(violated))
        properties[UNDECLARED] = list(violated)


def _declared(document: Mapping[str, Any]) -> set[str]:
    used = _prefixes(document)
    declared, passed_on = {uri for prefix, uri in _WRITTEN.items() if prefix in used}, set()
    for uri in map(str, document.get("stac_extensions") or ()):
        prefix = _prefix_of(uri)
        if prefix in _PASSED_ON and prefix in used:
            passed_on.add(prefix)
        # Before STAC 1.0, extensions had short names, which are no references.
        if "://" in uri and (prefix not in {*_WRITTEN, *_PASSED_ON} or prefix in passed_on):
            declared.add(uri)
    return declared | {uri for prefix, uri in _PASSED_ON.items() if prefix in used - passed_on}


def _is_percent(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 100


def _prefix_of(uri: str) -> str | None:
    match = _URI.fullmatch(uri)
    name = match[1] if match else None
    return "proj" if name == "projection" else name


def _prefixes(document: Mapping[str, Any]) -> set[str]:
    """Prefixes of the fields of an item: in its properties, its assets and their bands."""
    assets = list(document["assets"].values())
    places: list[Mapping[str, Any]] = [document["properties"], *assets]
    bands = [band for place in (document["properties"], *assets) for band in place.get("bands") or ()]
    places += [band for band in bands if isinstance(band, dict)]
    return {name.partition(":")[0] for place in places for name in place if ":" in name}
