"""What the sandbox sells: geospatial collections, their data products and prices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from up42_pipelines.sandbox.core import chance

HOST = "sandbox-host"


@dataclass(frozen=True)
class ProductFile:
    """A raster among those that a synthetic scene is delivered as.

    Attributes:
        kind: key inside the delivery.
        suffix: end of the file's name.
        role: `multispectral` or `panchromatic`.
        bands: names of its bands.
        dtype: `uint16` for analysis, `uint8` for the eye.
        times_gsd: side of its pixels, in pixels of the scene.
    """

    kind: str
    suffix: str
    role: Literal["multispectral", "panchromatic"]
    bands: tuple[str, ...]
    dtype: Literal["uint16", "uint8"] = "uint16"
    times_gsd: int = 1


@dataclass(frozen=True)
class DataProduct:
    """One way to buy a collection.

    Attributes:
        name: key inside the collection.
        credits_per_unit: price per km² or per scene.
        unit: SQ_KM when the scene is clipped to an AOI, SCENE when it is delivered whole.
        files: the rasters that are delivered; empty when the scene decides.
    """

    collection: str
    name: str
    title: str
    description: str
    credits_per_unit: float
    unit: Literal["SQ_KM", "SCENE"]
    files: tuple[ProductFile, ...] = ()

    @property
    def id(self) -> str:
        """The UUID that orders name."""
        return chance.name_uuid("data-product", self.collection, self.name)

    @property
    def eula_id(self) -> str:
        """The UUID of the licence."""
        return chance.name_uuid("eula", self.collection, self.name)

    def price(self, area_km2: float) -> tuple[int, float]:
        """Return credits (whole, at least 1) and size (km² or scenes)."""
        size = round(area_km2, 4) if self.unit == "SQ_KM" else 1
        return max(1, math.ceil(round(size * self.credits_per_unit, 6))), size


@dataclass(frozen=True)
class Collection:
    """A geospatial collection of the catalogue.

    Attributes:
        resolution_m: metres; None where it differs from scene to scene.
        type: whether its scenes exist, or are taken when somebody orders them.
        integrations: what can be done with it.
    """

    name: str
    title: str
    description: str
    resolution_m: float | None
    products: tuple[DataProduct, ...]
    type: Literal["ARCHIVE", "TASKING"] = "ARCHIVE"
    integrations: tuple[str, ...] = (
        "SEARCH_AVAILABLE",
        "QUICKLOOK_AVAILABLE",
        "THUMBNAIL_AVAILABLE",
        "PRICE_ESTIMATION_AVAILABLE",
    )

    def as_json(self) -> dict[str, Any]:
        """Write the collection as `GET /v2/collections` shows it."""
        resolution = None if self.resolution_m is None else {"minimum": self.resolution_m}
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "type": self.type,
            "integrations": list(self.integrations),
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


_COLORS = ("blue", "green", "red", "nir")


def _synthetic(collection: str, *, analytic: int, display: int, bundle: int) -> tuple[DataProduct, ...]:
    """Return the data products of a synthetic collection, at prices in credits per km²."""
    return (
        DataProduct(
            collection=collection,
            name="analytic",
            title="Analytic",
            description="Blue, green, red and near infrared reflectance times 10000, 16 bit",
            credits_per_unit=analytic,
            unit="SQ_KM",
            files=(ProductFile("data", "ms.tiff", "multispectral", _COLORS),),
        ),
        DataProduct(
            collection=collection,
            name="display",
            title="Display",
            description="Red, green and blue for the eye, 8 bit",
            credits_per_unit=display,
            unit="SQ_KM",
            files=(ProductFile("data", "ms.tiff", "multispectral", ("red", "green", "blue"), "uint8"),),
        ),
        DataProduct(
            collection=collection,
            name="bundle",
            title="Bundle",
            description="A panchromatic raster, and blue, green, red and near infrared at a quarter of its resolution;"
            " reflectance times 10000, 16 bit",
            credits_per_unit=bundle,
            unit="SQ_KM",
            files=(
                ProductFile("pan", "pan.tiff", "panchromatic", ("pan",)),
                ProductFile("ms", "ms.tiff", "multispectral", _COLORS, times_gsd=4),
            ),
        ),
    )


OPTICAL = Collection(
    name="sandbox-optical",
    title="Sandbox Optical",
    description="Synthetic 3 m optical scenes: the same ground every day, but for a few building sites, under other"
    " clouds.",
    resolution_m=3.0,
    products=_synthetic("sandbox-optical", analytic=10, display=8, bundle=15),
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

TASKING = Collection(
    name="sandbox-tasking",
    title="Sandbox Tasking",
    description="Synthetic 1.5 m optical scenes, taken for whoever orders them.",
    resolution_m=1.5,
    type="TASKING",
    integrations=("FEASIBILITY_STUDY_REQUIRED", "QUOTATION_REQUIRED"),
    products=_synthetic("sandbox-tasking", analytic=100, display=80, bundle=130),
)
