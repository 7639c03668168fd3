"""What the sandbox sells: geospatial collections, their data products, prices and order forms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from up42_pipelines.sandbox import chance

HOST = "sandbox-host"


@dataclass(frozen=True)
class DataProduct:
    """One way to buy a collection.

    Attributes:
        name: key inside the collection.
        credits_per_unit: price per km² or per scene.
        unit: SQ_KM when the scene is clipped to an AOI, SCENE when it is delivered whole.
        bands: band names of what is delivered; empty when the scene decides.
    """

    collection: str
    name: str
    title: str
    description: str
    credits_per_unit: float
    unit: Literal["SQ_KM", "SCENE"]
    bands: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The UUID that orders name."""
        return chance.name_uuid("data-product", self.collection, self.name)

    @property
    def eula_id(self) -> str:
        """The UUID of the licence; accepted from the start."""
        return chance.name_uuid("eula", self.collection, self.name)

    def price(self, area_km2: float) -> tuple[int, float]:
        """Return credits (whole, at least 1) and size (km² or scenes)."""
        size = round(area_km2, 4) if self.unit == "SQ_KM" else 1
        return max(1, math.ceil(round(size * self.credits_per_unit, 6))), size


@dataclass(frozen=True)
class Collection:
    """A geospatial collection of the catalogue. Resolution in metres; None where it differs from scene to scene."""

    name: str
    title: str
    description: str
    resolution_m: float | None
    products: tuple[DataProduct, ...]

    def as_json(self) -> dict[str, Any]:
        """Write the collection as `GET /v2/collections` shows it."""
        resolution = None if self.resolution_m is None else {"minimum": self.resolution_m}
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "type": "ARCHIVE",
            "integrations": [
                "SEARCH_AVAILABLE",
                "QUICKLOOK_AVAILABLE",
                "THUMBNAIL_AVAILABLE",
                "PRICE_ESTIMATION_AVAILABLE",
            ],
            "providers": [
                {
                    "name": HOST,
                    "title": "Sandbox host",
                    "description": "Imagery that was never taken from space",
                    "roles": ["PRODUCER", "HOST"],
                }
            ],
            "dataProducts": [
                {
                    "name": product.name,
                    "title": product.title,
                    "description": product.description,
                    "id": product.id,
                    "eulaId": product.eula_id,
                }
                for product in self.products
            ],
            "metadata": {
                "productType": "OPTICAL",
                "resolutionClass": None if resolution is None else "HIGH",
                "resolutionValue": resolution,
            },
        }


OPTICAL = Collection(
    name="sandbox-optical",
    title="Sandbox Optical",
    description="Synthetic 3 m optical scenes: the same ground every day, under other clouds.",
    resolution_m=3.0,
    products=(
        DataProduct(
            collection="sandbox-optical",
            name="analytic",
            title="Analytic",
            description="Blue, green, red and near infrared reflectance times 10000, 16 bit",
            credits_per_unit=10,
            unit="SQ_KM",
            bands=("blue", "green", "red", "nir"),
        ),
        DataProduct(
            collection="sandbox-optical",
            name="display",
            title="Display",
            description="Red, green and blue for the eye, 8 bit",
            credits_per_unit=8,
            unit="SQ_KM",
            bands=("red", "green", "blue"),
        ),
    ),
)

IMAGERY = Collection(
    name="sandbox-imagery",
    title="Sandbox Imagery",
    description="The rasters of a local folder, sold as whole scenes and delivered as they are.",
    resolution_m=None,
    products=(
        DataProduct(
            collection="sandbox-imagery",
            name="full-scene",
            title="Full scene",
            description="The raster itself, byte for byte",
            credits_per_unit=500,
            unit="SCENE",
        ),
    ),
)


def order_schema(product: DataProduct) -> Mapping[str, Any]:
    """Write the order form of a data product as JSON schema (draft 7).

    It still lists the geometry, which orders of the v2 API carry in `featureCollection` instead.
    """
    properties: dict[str, Any] = {
        "id": {"title": "Id", "description": "The scene to order", "type": "string", "minLength": 1, "maxLength": 200}
    }
    required = ["id"]
    if product.unit == "SQ_KM":
        properties["aoi"] = {
            "title": "Aoi",
            "description": "The area to deliver: a GeoJSON polygon",
            "allOf": [{"$ref": "#/definitions/Polygon"}],
        }
        required.append("aoi")
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"{product.title} ({product.collection})",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        "definitions": {
            "Polygon": {
                "title": "Polygon",
                "type": "object",
                "properties": {
                    "type": {"const": "Polygon"},
                    "coordinates": {
                        "type": "array",
                        "items": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
                    },
                },
                "required": ["type", "coordinates"],
            }
        },
    }


def params_schema(product: DataProduct) -> dict[str, Any]:
    """Return the order form without its geometry: what the `params` of a v2 order must match."""
    schema = dict(order_schema(product))
    geometry_keys = {"aoi", "geometry"}
    schema["properties"] = {key: value for key, value in schema["properties"].items() if key not in geometry_keys}
    schema["required"] = [key for key in schema["required"] if key not in geometry_keys]
    return schema
