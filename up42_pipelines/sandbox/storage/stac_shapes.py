"""STAC catalogue, collections and items as UP42's storage shows them (UP42 API reference, STAC over storage)."""

from __future__ import annotations

from collections.abc import Mapping
from sqlite3 import Row
from typing import Any

from up42_pipelines.sandbox.account import account
from up42_pipelines.sandbox.storage import stac_links
from up42_pipelines.sandbox.storage.deliveries import Delivery
from up42_pipelines.sandbox.storage.stac_links import GEOJSON, link

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
_COLORS = {"blue", "green", "red", "nir", "pan"}
_DATA_TITLES = {"multispectral": "Multispectral data", "panchromatic": "Panchromatic data", None: "Vector data"}


def landing_page(origin: str) -> dict[str, Any]:
    """Write the root catalogue. GET searches are answered too, but UP42 does not advertise them."""
    root = origin + ROOT
    return {
        "id": "up42-storage",
        "type": "Catalog",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "title": "UP42 Storage",
        "description": "What a local sandbox delivered; this is not UP42",
        "conformsTo": CONFORMANCE,
        "links": [
            link("self", f"{root}/"),
            link("root", f"{root}/"),
            link("data", f"{root}/collections"),
            link("search", f"{root}/search", GEOJSON, method="POST"),
            *stac_links.services(origin, root),
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


def collection(delivery: Delivery, origin: str) -> dict[str, Any]:
    """Write the collection of one delivery; it carries the original archive as an asset."""
    content, here = delivery.content, f"{origin}{ROOT}/collections/{delivery.collection_id}"
    acquired = content["datetime"].replace("+00:00", "Z")
    return {
        "type": "Collection",
        "id": delivery.collection_id,
        "stac_version": "1.0.0",
        "stac_extensions": _extensions(delivery),
        "title": content["title"],
        "description": _description(content),
        "keywords": ["sandbox", content["collection"]],
        "license": "proprietary",
        "providers": [
            {"name": content["producer"], "roles": [role], "url": "https://sandbox.example.com/"}
            for role in ("producer", "processor")
        ],
        "extent": {"spatial": {"bbox": [content["bbox"]]}, "temporal": {"interval": [[acquired, acquired]]}},
        "summaries": {},
        "links": [
            link("self", here),
            link("parent", f"{origin}{ROOT}/"),
            link("items", f"{here}/items", GEOJSON),
            link("root", f"{origin}{ROOT}/"),
        ],
        "assets": {
            delivery.name: {
                "href": f"{origin}/v2/assets/{delivery.asset_id}",
                "title": "Original Delivery",
                "type": "application/zip",
                "roles": ["data", "original"],
            }
        },
        **_up42_fields(delivery),
        **_user_fields(delivery),
    }


def item(delivery: Delivery, files: Mapping[str, Row], origin: str) -> dict[str, Any]:
    """Write the item of one delivery."""
    content, parent = delivery.content, f"{origin}{ROOT}/collections/{delivery.collection_id}"
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [*_common_extensions(content), *_extensions(delivery)],
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
            **_user_fields(delivery),
        },
        "assets": _assets(content, files, origin),
        "links": [
            link("self", f"{parent}/items/{delivery.item_id}", GEOJSON),
            link("parent", parent),
            link("collection", parent),
            link("root", f"{origin}{ROOT}/"),
        ],
    }


def view(delivery: Delivery) -> dict[str, Any]:
    """Return the item under the names of the queryables, for a search to look at."""
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
        "job_id": delivery.job_id,
        "data_product_id": content["product_id"],
        "collection_name": content["collection"],
        "source": delivery.source,
        "title": content["title"] if delivery.item_title is None else delivery.item_title,
        "tags": list(delivery.item_tags or ()),
    }


def _description(content: Mapping[str, Any]) -> str:
    if process := content.get("process"):
        return (
            f"Result of {process}, computed from {content['collection']} scene {content['scene_id']} by a toy algorithm"
            " of the sandbox"
        )
    return f"{content['collection']} scene {content['scene_id']}, delivered as {content['product']}"


def _common_extensions(content: Mapping[str, Any]) -> list[str]:
    used = ("eo", "projection", *(["view"] if content["view"] else []))
    return [f"https://stac-extensions.github.io/{name}/v1.0.0/schema.json" for name in used]


def _extensions(delivery: Delivery) -> list[str]:
    used = ["system", "product"]
    used += ["order"] if delivery.order_id is not None else []
    used += ["user"] if _user_fields(delivery) else []
    return [f"https://api.up42.com/stac-extensions/up42-{name}/v1.0.0/schema.json" for name in used]


def _assets(content: Mapping[str, Any], files: Mapping[str, Row], origin: str) -> dict[str, Any]:
    described = {
        **{file["kind"]: _data_asset(content, file) for file in content["data"]},
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


def _data_asset(content: Mapping[str, Any], file: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a raster, or the vectors that a process found."""
    role, title = file["role"], _DATA_TITLES[file["role"]]
    if role is None:
        return {"title": title, "description": f"What {content['process']} found", "roles": ["data"]}
    return {
        "title": title,
        "description": f"{content['product']} raster",
        "roles": ["data", role],
        "gsd": file["gsd"],
        "eo:bands": [{"name": name, **({"common_name": name} if name in _COLORS else {})} for name in file["bands"]],
    }


def _up42_fields(delivery: Delivery) -> dict[str, Any]:
    system = {
        "up42-system:asset_id": delivery.asset_id,
        "up42-system:account_id": account.ACCOUNT_ID,
        "up42-system:workspace_id": account.WORKSPACE_ID,
        "up42-system:job_id": delivery.job_id,
        "up42-system:source": delivery.source,
        "up42-system:metadata_version": "0.0.5",
    }
    product = {
        "up42-product:product_id": delivery.content["product_id"],
        "up42-product:collection_name": delivery.content["collection"],
        "up42-product:data_type": "vector" if delivery.content["modality"] is None else "raster",
        "up42-product:modality": delivery.content["modality"],
    }
    if delivery.content["modality"] is None:
        del product["up42-product:modality"]
    if delivery.job_id is None:
        del system["up42-system:job_id"]
    if delivery.order_id is None:
        return {**system, **product}
    order = {
        "up42-order:id": delivery.order_id,
        "up42-order:status": "FULFILLED",
        "up42-order:host_id": delivery.host_id,
    }
    return {**system, **product, **order}


def _user_fields(delivery: Delivery) -> dict[str, Any]:
    title = {} if delivery.item_title is None else {"up42-user:title": delivery.item_title}
    return {**title, **({"up42-user:tags": list(delivery.item_tags)} if delivery.item_tags else {})}
