"""Order forms: what may be asked of a data product, as JSON schema (UP42 API reference, order form)."""

from __future__ import annotations

from typing import Any

from up42_pipelines.sandbox.catalog.offers import Offer

GEOMETRY_KEYS = frozenset({"aoi", "geometry"})
DEFAULTS = {"acquisitionMode": "mono", "cloudCoverage": 20, "incidenceAngle": 30, "geometricProcessing": "ortho"}
"""What a tasking order gets where its params say nothing."""
_POLYGON = {
    "title": "Polygon",
    "type": "object",
    "properties": {
        "type": {"const": "Polygon"},
        "coordinates": {
            "type": "array",
            "items": {
                "type": "array",
                "minItems": 4,
                "items": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}},
            },
        },
    },
    "required": ["type", "coordinates"],
}
_ID = {"title": "Id", "description": "The scene to order", "type": "string", "minLength": 1, "maxLength": 200}
_RATIO = {"type": "number", "minimum": 0.2, "maximum": 0.8}


def order_schema(offer: Offer) -> dict[str, Any]:
    """Write the order form of a data product as JSON schema (draft 7).

    It still lists the geometry, which orders of the v2 API carry in `featureCollection` instead, and the name of a
    tasking order, which they carry beside the params.
    """
    product = offer.product
    form = _tasking_form() if offer.source is None else _archive_form(clipped=product.unit == "SQ_KM")
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"{product.title} ({product.collection})",
        "type": "object",
        "additionalProperties": False,
        **form,
    }


def params_schema(offer: Offer) -> dict[str, Any]:
    """Return the order form without geometry, its name optional: what the `params` of a v2 order must match."""
    schema = order_schema(offer)
    schema["properties"] = {key: value for key, value in schema["properties"].items() if key not in GEOMETRY_KEYS}
    schema["required"] = [key for key in schema["required"] if key not in {*GEOMETRY_KEYS, "displayName"}]
    return schema


def _archive_form(*, clipped: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {"id": _ID}
    if clipped:
        properties["aoi"] = _reference("Polygon", title="Aoi", description="The area to deliver: a GeoJSON polygon")
    return {"properties": properties, "required": list(properties), "definitions": {"Polygon": _POLYGON}}


def _tasking_form() -> dict[str, Any]:
    properties: dict[str, Any] = {
        "displayName": {"title": "Order name", "type": "string", "minLength": 1, "maxLength": 200},
        "extraDescription": {"title": "Extra description", "type": "string", "maxLength": 1000},
        "geometry": _reference("Polygon", title="Geometry", description="The area to take: a GeoJSON polygon"),
        "acquisitionStart": {"title": "Acquisition start", "type": "string", "format": "date-time"},
        "acquisitionEnd": {"title": "Acquisition end", "type": "string", "format": "date-time"},
        "acquisitionMode": _reference("acquisitionMode", title="Acquisition mode"),
        "minBH": {"title": "Minimum B/H ratio", **_RATIO},
        "maxBH": {"title": "Maximum B/H ratio", **_RATIO},
        "cloudCoverage": _whole("Maximum cloud coverage (%)", 5, 20, DEFAULTS["cloudCoverage"]),
        "incidenceAngle": _whole("Maximum incidence angle (degrees)", 5, 50, DEFAULTS["incidenceAngle"]),
        "geometricProcessing": _reference("geometricProcessing", title="Geometric processing"),
    }
    only_of_pairs = {
        "if": {"properties": {"acquisitionMode": {"const": "stereo"}}, "required": ["acquisitionMode"]},
        "then": {"properties": {"minBH": _RATIO, "maxBH": _RATIO}},
        "else": {"properties": {"minBH": False, "maxBH": False}},
    }
    return {
        "properties": properties,
        "required": ["displayName", "geometry", "acquisitionStart", "acquisitionEnd"],
        "definitions": {
            "Polygon": _POLYGON,
            "acquisitionMode": _choice("Acquisition mode", DEFAULTS["acquisitionMode"], mono="Mono", stereo="Stereo"),
            "geometricProcessing": _choice(
                "Geometric processing", DEFAULTS["geometricProcessing"], ortho="Ortho", primary="Primary"
            ),
        },
        "allOf": [only_of_pairs],
    }


def _reference(definition: str, **texts: str) -> dict[str, Any]:
    return {**texts, "allOf": [{"$ref": f"#/definitions/{definition}"}]}


def _whole(title: str, minimum: int, maximum: int, default: object) -> dict[str, Any]:
    return {"title": title, "type": "integer", "minimum": minimum, "maximum": maximum, "default": default}


def _choice(title: str, default: object, **labels: str) -> dict[str, Any]:
    """Write an enumeration the way UP42's forms do."""
    options = [{"const": value, "title": label} for value, label in labels.items()]
    return {"title": title, "anyOf": options, "default": default}
