"""What UP42's catalogue says about itself: collections, providers, data products (UP42 API, product glossary)."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from up42_pipelines.api.records import Record
from up42_pipelines.api.sorting import Sort
from up42_pipelines.errors import NotFound, UnexpectedAnswer


class CollectionType(StrEnum):
    """How a collection is bought."""

    ARCHIVE = "ARCHIVE"
    TASKING = "TASKING"


class Integration(StrEnum):
    """What can be done with a collection, and what it asks for first."""

    ACCESS_APPROVAL_REQUIRED = "ACCESS_APPROVAL_REQUIRED"
    SAMPLE_DATA_AVAILABLE = "SAMPLE_DATA_AVAILABLE"
    MANUAL_REQUEST_REQUIRED = "MANUAL_REQUEST_REQUIRED"
    FEASIBILITY_STUDY_REQUIRED = "FEASIBILITY_STUDY_REQUIRED"
    FEASIBILITY_STUDY_MAY_BE_REQUIRED = "FEASIBILITY_STUDY_MAY_BE_REQUIRED"
    QUOTATION_REQUIRED = "QUOTATION_REQUIRED"
    PRICE_ESTIMATION_AVAILABLE = "PRICE_ESTIMATION_AVAILABLE"
    SEARCH_AVAILABLE = "SEARCH_AVAILABLE"
    THUMBNAIL_AVAILABLE = "THUMBNAIL_AVAILABLE"
    QUICKLOOK_AVAILABLE = "QUICKLOOK_AVAILABLE"


class CollectionSort:
    """What collections can be sorted by."""

    name = Sort("name")
    title = Sort("title")
    description = Sort("description")
    type = Sort("type")


class Provider(Record):
    """Who produces or hosts a collection; a host's `name` goes into the search path."""

    name: str
    title: str | None = None
    description: str | None = None
    roles: tuple[str, ...] = ()

    @property
    def is_host(self) -> bool:
        """Whether this provider answers searches."""
        return "HOST" in self.roles

    @property
    def is_producer(self) -> bool:
        """Whether this provider takes the images."""
        return "PRODUCER" in self.roles


class DataProduct(Record):
    """What can be ordered from a collection; `id` is what an order names, `eula_id` what must be accepted before."""

    name: str | None = None
    title: str | None = None
    description: str | None = None
    id: str | None = None
    eula_id: str | None = None


class Resolution(Record):
    """Ground sampling distance of a collection, metres."""

    minimum: float | None = None
    maximum: float | None = None


class CollectionMetadata(Record):
    """Kind of sensor (OPTICAL, SAR, ELEVATION) and resolution (class VERY_HIGH to LOW, value in metres)."""

    product_type: str | None = None
    resolution_class: str | None = None
    resolution_value: Resolution | None = None


class Collection(Record):
    """A geospatial collection, for example `phr`."""

    name: str
    title: str | None = None
    description: str | None = None
    type: CollectionType | str | None = Field(default=None, union_mode="left_to_right")
    integrations: tuple[str, ...] = ()
    providers: tuple[Provider, ...] = ()
    data_products: tuple[DataProduct, ...] = ()
    metadata: CollectionMetadata | None = None

    @property
    def host(self) -> str:
        """Name of the provider that answers searches for this collection.

        Raises:
            UnexpectedAnswer: the collection lists no provider with the role HOST.
        """
        for provider in self.providers:
            if provider.is_host:
                return provider.name
        raise UnexpectedAnswer(f"Collection {self.name} lists no host; it cannot be searched.")

    def data_product(self, wanted: str) -> DataProduct:
        """The data product with this id or name.

        Raises:
            NotFound: the collection has none such; the message lists those it has.
        """
        for product in self.data_products:
            if wanted in (product.id, product.name):
                return product
        has = ", ".join(f"{product.name} ({product.id})" for product in self.data_products) or "none"
        raise NotFound(
            method="GET",
            url=f"collection {self.name}",
            status=404,
            title=f"no data product {wanted!r}",
            detail=f"It has: {has}",
        )
