"""STAC catalogue, collections and items of the scenes on sale (UP42 API reference, new STAC catalogue)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from up42_pipelines.sandbox.catalog.products import HOST, Collection
from up42_pipelines.sandbox.core import clock, geometry
from up42_pipelines.sandbox.imagery import placement
from up42_pipelines.sandbox.imagery.scene_grid import FIRST_DAY
from up42_pipelines.sandbox.imagery.scenes import Scene
from up42_pipelines.sandbox.storage import stac_links
from up42_pipelines.sandbox.storage.stac_links import GEOJSON, link

ROOT = "/v2/catalog"
_STAC, _OGC, _CQL2 = (
    "https://api.stacspec.org/v1.0.0",
    "http://www.opengis.net/spec/ogcapi-features",
    "http://www.opengis.net/spec/cql2/1.0/conf",
)
CONFORMANCE = [
    *(f"{_STAC}/{name}" for name in ("core", "collections", "ogcapi-features", "item-search", "item-search#sort")),
    f"{_STAC}-rc.3/item-search#filter",
    *(f"{_OGC}-1/1.0/conf/{name}" for name in ("core", "geojson", "oas30")),
    f"{_OGC}-3/1.0/conf/filter",
    *(f"{_CQL2}/{name}" for name in ("basic-cql2", "cql2-json", "cql2-text")),
]
_NUMBER, _TEXT = {"type": "number"}, {"type": "string"}
_VIEW = {
    "view:incidence_angle": "incidenceAngle",
    "view:azimuth": "azimuthAngle",
    "view:sun_azimuth": "illuminationAzimuthAngle",
    "view:sun_elevation": "illuminationElevationAngle",
}
QUERYABLES: dict[str, dict[str, Any]] = {
    "id": _TEXT,
    "collection": _TEXT,
    "geometry": {"$ref": "https://geojson.org/schema/Geometry.json"},
    "datetime": {"type": "string", "format": "date-time"},
    "constellation": _TEXT,
    "platform": _TEXT,
    "gsd": {"type": "number", "exclusiveMinimum": 0},
    "eo:cloud_cover": {"type": "number", "minimum": 0, "maximum": 100},
    **dict.fromkeys(_VIEW, _NUMBER),
}
_EO, _VIEW_ANGLES = (f"https://stac-extensions.github.io/{name}/v1.0.0/schema.json" for name in ("eo", "view"))


def landing_page(origin: str, collections: Sequence[Collection]) -> dict[str, Any]:
    """Write the root catalogue."""
    root = origin + ROOT
    return {
        "id": "up42-catalog",
        "type": "Catalog",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "title": "Sandbox catalogue",
        "description": "The scenes that can be ordered from a local sandbox; this is not UP42",
        "conformsTo": CONFORMANCE,
        "links": [
            link("self", f"{root}/"),
            link("root", f"{root}/"),
            link("data", f"{root}/collections"),
            link("search", f"{root}/search", GEOJSON, method="GET"),
            link("search", f"{root}/search", GEOJSON, method="POST"),
            *stac_links.services(origin, root),
            *(link("child", f"{root}/collections/{one.name}", title=one.title) for one in collections),
        ],
    }


def queryables(here: str, title: str) -> dict[str, Any]:
    """List the names that a filter may use, as JSON schema."""
    properties = {name: {"title": name, **schema} for name, schema in QUERYABLES.items()}
    return {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$id": here,
        "type": "object",
        "title": title,
        "properties": properties,
        "additionalProperties": False,
    }


def collection(about: Collection, origin: str) -> dict[str, Any]:
    """Write one of the collections on sale; its extent is that of all there may ever be."""
    root = origin + ROOT
    here = f"{root}/collections/{about.name}"
    return {
        "type": "Collection",
        "id": about.name,
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "title": about.title,
        "description": about.description,
        "keywords": ["sandbox"],
        "license": "proprietary",
        "providers": [{"name": HOST, "roles": ["producer", "host"], "url": "https://sandbox.example.com/"}],
        "extent": {
            "spatial": {"bbox": [[-180.0, -90.0, 180.0, 90.0]]},
            "temporal": {"interval": [[f"{FIRST_DAY}T00:00:00Z", None]]},
        },
        "summaries": {} if about.resolution_m is None else {"gsd": [about.resolution_m]},
        "links": [
            *stac_links.trail(root, f"{root}/", here),
            link("items", f"{here}/items", GEOJSON),
            stac_links.queryables(here),
        ],
    }


def view(scene: Scene) -> dict[str, Any]:
    """Return a scene under the names of the queryables, for a search to look at."""
    return {
        "id": scene.id,
        "collection": scene.collection,
        "geometry": geometry.as_geojson(scene.footprint),
        "datetime": clock.seconds_text(scene.acquired_at),
        "constellation": scene.constellation,
        "platform": scene.platform,
        "gsd": scene.gsd_m,
        "eo:cloud_cover": scene.cloud_cover_percent,
        **{name: scene.provider_properties.get(key) for name, key in _VIEW.items()},
    }


def item(scene: Scene, origin: str) -> dict[str, Any]:
    """Write a scene as an item; its pictures are those of the catalogue."""
    root = origin + ROOT
    parent = f"{root}/collections/{scene.collection}"
    pictures = f"{origin}/catalog/{HOST}/image/{scene.id}"
    properties = {name: value for name, value in view(scene).items() if value is not None}
    footprint = properties.pop("geometry")
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [_EO, *([_VIEW_ANGLES] if set(_VIEW) & set(properties) else [])],
        "id": properties.pop("id"),
        "collection": properties.pop("collection"),
        "geometry": footprint,
        "bbox": placement.bbox(scene.footprint),
        "properties": {**properties, "title": scene.id},
        "assets": {
            name: {
                "href": f"{pictures}/{path}",
                "title": title,
                "type": "image/jpeg",
                "roles": [name],
            }
            for name, path, title in (
                ("thumbnail", "thumbnail", "Thumbnail"),
                ("overview", "quicklook", "Quicklook of the full scene"),
            )
        },
        "links": [
            *stac_links.trail(root, parent, f"{parent}/items/{scene.id}", GEOJSON),
            link("collection", parent),
        ],
    }
