"""STAC catalogue, collections and items as UP42's storage shows them (UP42 API reference, STAC over storage)."""

from __future__ import annotations

from collections.abc import Mapping
from sqlite3 import Row
from typing import Any

from up42_pipelines.sandbox import account
from up42_pipelines.sandbox.deliveries import Delivery

ROOT = "/v2/assets/stac"
_STAC, _OGC = "https://api.stacspec.org/v1.0.0-rc.1/", "http://www.opengis.net/spec/ogcapi-features-"
CONFORMANCE = [
    *(
        _STAC + name
        for name in (
            "core",
            "collections",
            "ogcapi-features",
            "item-search",
            "item-search#sort",
            "item-search#filter",
            "item-search#filter:basic-cql",
            "item-search#filter:cql-text",
            "ogcapi-features/extensions/transaction",
        )
    ),
    *(f"{_OGC}1/1.0/conf/{name}" for name in ("core", "geojson", "oas30")),
    *(f"{_OGC}3/1.0/conf/{name}" for name in ("filter", "features-filter")),
    f"{_OGC}4/1.0/conf/simpletx",
]
QUERYABLES = {
    "id": "string",
    "collection": "string",
    "geometry": "geometry",
    "datetime": "timestamp",
    "constellation": "string",
    "platform": "string",
    "gsd": "float",
    "eo:cloud_cover": "float",
    "cloud_cover": "float",
    "asset_id": "string",
    "workspace_id": "string",
    "account_id": "string",
    "order_id": "string",
    "job_id": "string",
    "data_product_id": "string",
    "collection_name": "string",
    "source": "string",
    "title": "string",
    "tags": "array",
}
_UP42 = [
    f"https://api.up42.com/stac-extensions/up42-{name}/v1.0.0/schema.json" for name in ("system", "product", "order")
]
_USER = "https://api.up42.com/stac-extensions/up42-user/v1.0.0/schema.json"
_COMMON = [f"https://stac-extensions.github.io/{name}/v1.0.0/schema.json" for name in ("eo", "view", "projection")]
_COLORS = {"blue", "green", "red", "nir"}


def landing_page(origin: str) -> dict[str, Any]:
    """Write the root catalogue."""
    root = origin + ROOT
    return {
        "id": "up42-storage",
        "type": "Catalog",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "title": "UP42 Storage",
        "description": "UP42 Storage STAC API",
        "conformsTo": CONFORMANCE,
        "links": [
            _link("self", f"{root}/"),
            _link("root", f"{root}/"),
            _link("data", f"{root}/collections"),
            {"rel": "search", "type": "application/geo+json", "href": f"{root}/search", "method": "POST"},
        ],
    }


def queryables(origin: str) -> dict[str, Any]:
    """List the names that a filter may use: shorter than those of the item's properties."""
    return {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$id": f"{origin}{ROOT}/queryables",
        "type": "object",
        "title": "STAC Storage Queryables",
        "properties": {name: {"title": name, "type": kind} for name, kind in QUERYABLES.items()},
    }


def collection(delivery: Delivery, original: Row, origin: str) -> dict[str, Any]:
    """Write the collection of one delivery; it carries the original archive as an asset."""
    content, here = delivery.content, f"{origin}{ROOT}/collections/{delivery.collection_id}"
    acquired = content["datetime"].replace("+00:00", "Z")
    user = _user_fields(delivery)
    return {
        "type": "Collection",
        "id": delivery.collection_id,
        "stac_version": "1.0.0",
        "stac_extensions": [*_UP42, *([_USER] if user else [])],
        "title": content["title"],
        "description": f"{content['collection']} scene {content['scene_id']}, delivered as {content['product']}",
        "keywords": ["sandbox", content["collection"]],
        "license": "proprietary",
        "providers": [
            {"name": content["producer"], "roles": [role], "url": "https://sandbox.example.com/"}
            for role in ("producer", "processor")
        ],
        "extent": {"spatial": {"bbox": [content["bbox"]]}, "temporal": {"interval": [[acquired, acquired]]}},
        "summaries": {},
        "links": [
            _link("self", here),
            _link("parent", f"{origin}{ROOT}/"),
            _link("items", f"{here}/items", "application/geo+json"),
            _link("root", f"{origin}{ROOT}/"),
        ],
        "assets": {
            original["name"]: {
                "href": f"{origin}/v2/assets/{original['id']}",
                "title": "Original Delivery",
                "type": original["media_type"],
                "roles": ["data", "original"],
            }
        },
        **_up42_fields(delivery),
        **user,
    }


def item(delivery: Delivery, files: Mapping[str, Row], origin: str) -> dict[str, Any]:
    """Write the item of one delivery."""
    content, parent = delivery.content, f"{origin}{ROOT}/collections/{delivery.collection_id}"
    user = _user_fields(delivery)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [*_COMMON, *_UP42, *([_USER] if user else [])],
        "id": delivery.item_id,
        "collection": delivery.collection_id,
        "geometry": content["geometry"],
        "bbox": content["bbox"],
        "properties": {
            "datetime": content["datetime"],
            "start_datetime": content["datetime"],
            "end_datetime": content["datetime"],
            "title": content["title"],
            "constellation": content["constellation"],
            "platform": content["platform"],
            "gsd": content["gsd"],
            "eo:cloud_cover": content["cloud_cover"],
            "proj:epsg": content["epsg"],
            **content["view"],
            **_up42_fields(delivery),
            **user,
        },
        "assets": _assets(content, files, origin),
        "links": [
            _link("self", f"{parent}/items/{delivery.item_id}", "application/geo+json"),
            _link("parent", parent),
            _link("collection", parent),
            _link("root", f"{origin}{ROOT}/"),
        ],
    }


def filter_view(delivery: Delivery) -> dict[str, Any]:
    """Return the item under the names of the queryables, for a filter to look at."""
    content = delivery.content
    return {
        "id": delivery.item_id,
        "collection": delivery.collection_id,
        "geometry": content["geometry"],
        "datetime": content["datetime"].replace("+00:00", "Z"),
        "constellation": content["constellation"],
        "platform": content["platform"],
        "gsd": content["gsd"],
        "eo:cloud_cover": content["cloud_cover"],
        "cloud_cover": content["cloud_cover"],
        "asset_id": delivery.asset_id,
        "workspace_id": account.WORKSPACE_ID,
        "account_id": account.ACCOUNT_ID,
        "order_id": delivery.order_id,
        "job_id": None,
        "data_product_id": content["product_id"],
        "collection_name": content["collection"],
        "source": "ARCHIVE",
        "title": content["title"],
        "tags": list(delivery.tags or ()),
    }


def _assets(content: Mapping[str, Any], files: Mapping[str, Row], origin: str) -> dict[str, Any]:
    bands = [{"name": name, **({"common_name": name} if name in _COLORS else {})} for name in content["bands"]]
    described: dict[str, dict[str, Any]] = {
        "data": {
            "title": "Multispectral data" if content["modality"] == "multispectral" else "Data",
            "description": f"{content['product']} raster",
            "roles": ["data", content["modality"]],
            "gsd": content["gsd"],
            "eo:bands": bands,
        },
        "thumbnail": {"title": "Preview", "description": "Preview", "roles": ["thumbnail", "overview"]},
        "metadata": {"title": "Metadata", "description": "Metadata of the delivery", "roles": ["metadata"]},
    }
    return {
        files[kind]["name"]: {
            "href": f"{origin}/v2/assets/{files[kind]['id']}",
            "type": files[kind]["media_type"],
            **description,
        }
        for kind, description in described.items()
    }


def _up42_fields(delivery: Delivery) -> dict[str, Any]:
    return {
        "up42-system:asset_id": delivery.asset_id,
        "up42-system:account_id": account.ACCOUNT_ID,
        "up42-system:workspace_id": account.WORKSPACE_ID,
        "up42-system:source": "ARCHIVE",
        "up42-system:metadata_version": "0.0.5",
        "up42-product:product_id": delivery.content["product_id"],
        "up42-product:collection_name": delivery.content["collection"],
        "up42-product:data_type": "raster",
        "up42-product:modality": delivery.content["modality"],
        "up42-order:id": delivery.order_id,
        "up42-order:status": "FULFILLED",
        "up42-order:host_id": delivery.host_id,
    }


def _user_fields(delivery: Delivery) -> dict[str, Any]:
    return {"up42-user:tags": list(delivery.tags)} if delivery.tags else {}


def _link(rel: str, href: str, media_type: str = "application/json") -> dict[str, Any]:
    return {"rel": rel, "type": media_type, "href": href}
