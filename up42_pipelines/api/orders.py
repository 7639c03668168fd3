"""Orders: estimate, place, look at. Placing is the one call here that spends money."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from pydantic import AwareDatetime, Field

from up42_pipelines.api.paging import PAGE_SIZE, spring_pages
from up42_pipelines.api.records import Record
from up42_pipelines.api.transport import Transport


class OrderStatus(StrEnum):
    """Where an order stands (UP42 API, orders). The older values still occur in old orders."""

    CREATED = "CREATED"
    BEING_PLACED = "BEING_PLACED"
    PLACED = "PLACED"
    PLACEMENT_FAILED = "PLACEMENT_FAILED"
    BEING_FULFILLED = "BEING_FULFILLED"
    DELIVERY_INITIALIZATION_FAILED = "DELIVERY_INITIALIZATION_FAILED"
    DOWNLOAD_FAILED = "DOWNLOAD_FAILED"
    DOWNLOADED = "DOWNLOADED"
    FULFILLED = "FULFILLED"
    FAILED_PERMANENTLY = "FAILED_PERMANENTLY"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


FAILED_STATUSES = frozenset({OrderStatus.FAILED_PERMANENTLY, OrderStatus.FAILED, OrderStatus.CANCELED})
"""Nothing more will be delivered. PLACEMENT_FAILED is not among them: UP42 works on it and it may recover."""

DELIVERING_STATUSES = frozenset({OrderStatus.BEING_FULFILLED, OrderStatus.DOWNLOADED, OrderStatus.FULFILLED})
"""Some or all of the data may be in storage."""


class Order(Record):
    """An order as UP42 keeps it."""

    id: str
    status: OrderStatus | str = Field(union_mode="left_to_right")
    workspace_id: str | None = None
    display_name: str | None = None
    type: str | None = None
    data_product_id: str | None = None
    tags: tuple[str, ...] | None = None
    order_details: dict[str, Any] | None = None
    created_at: AwareDatetime | None = None
    updated_at: AwareDatetime | None = None

    @property
    def is_failed(self) -> bool:
        """True when UP42 will not deliver (any more of) it."""
        return self.status in FAILED_STATUSES

    @property
    def is_fulfilled(self) -> bool:
        """True when UP42 has delivered everything; its STAC items may still be missing."""
        return self.status == OrderStatus.FULFILLED

    @property
    def is_final(self) -> bool:
        """True when the status will not change any more. An unknown status is not final."""
        return self.is_failed or self.is_fulfilled

    @property
    def scene_id(self) -> str | None:
        """The archive scene that was ordered; None for tasking."""
        return (self.order_details or {}).get("imageId")

    @property
    def aoi(self) -> dict[str, Any] | None:
        """The ordered geometry as GeoJSON; None for a full scene."""
        details = self.order_details or {}
        return details.get("aoi") or details.get("geometry")


class OrderInput(Record):
    """What estimate and placing are given; serialised with `to_json`.

    Attributes:
        data_product: id of the data product.
        display_name: 1 to 200 characters.
        params: the product's parameters without geometry; an archive order has `id`, the scene.
        feature_collection: one order per feature; a full-scene product takes one feature with a null geometry.
        tags: at most 30, of letters, digits, space and `. - _ / :`. Must be absent, not null, when unused.
    """

    data_product: str
    display_name: str = Field(min_length=1, max_length=200)
    params: dict[str, Any]
    feature_collection: dict[str, Any]
    tags: tuple[str, ...] | None = Field(default=None, max_length=30)

    def to_json(self) -> dict[str, Any]:
        """The request body."""
        return self.model_dump(by_alias=True, mode="json", exclude_none=True) | {
            "featureCollection": self.feature_collection
        }


class LineError(Record):
    """Why one feature of an order was not estimated or placed."""

    index: int | None = None
    message: str | None = None
    details: Any = None


class LineCost(Record):
    """What one feature of an order would cost."""

    index: int
    credits: float
    size: float | None = None
    unit: str | None = None


class Estimate(Record):
    """The price of an order before it is placed, in credits (100 credits are 1 EUR)."""

    summary: dict[str, Any] = Field(default_factory=dict)
    results: tuple[LineCost, ...] = ()
    errors: tuple[LineError, ...] = ()

    @property
    def credits(self) -> float:
        """Credits of all features together."""
        total = self.summary.get("totalCredits")
        return float(total) if total is not None else sum(line.credits for line in self.results)


class PlacedLine(Record):
    """The id of the order made for one feature."""

    index: int | None = None
    id: str


class Placement(Record):
    """What placing brought: ids and errors apart, by feature index."""

    results: tuple[PlacedLine, ...] = ()
    errors: tuple[LineError, ...] = ()


class Orders:
    """The orders of one workspace.

    Args:
        transport: the way to UP42.
        workspace_id: asked for when first needed.
    """

    def __init__(self, transport: Transport, workspace_id: Callable[[], str]) -> None:
        self._transport = transport
        self._workspace_id = workspace_id

    def estimate(self, order: OrderInput) -> Estimate:
        """What `order` would cost. Free."""
        return Estimate.parse(self._transport.json("POST", "/v2/orders/estimate", json=order.to_json()))

    def place(self, order: OrderInput) -> Placement:
        """Place an order. Spends money, so it is sent once, whatever happens.

        Raises:
            AnswerLost: no answer came; the order may exist. Look it up before anything else.
            ServerProblem: as above: a 5xx does not say that nothing was placed.
            LegalBlock: a EULA is not accepted or the collection is restricted.
            ApiError: any other refusal; nothing was placed.
        """
        params = {"workspaceId": self._workspace_id()}
        return Placement.parse(
            self._transport.json("POST", "/v2/orders", params=params, json=order.to_json(), once=True)
        )

    def get(self, order_id: str) -> Order:
        """One order as it stands now."""
        return Order.parse(self._transport.json("GET", f"/v2/orders/{quote(order_id, safe='')}"))

    def list(
        self,
        *,
        tags: Sequence[str] = (),
        status: Sequence[str] = (),
        display_name: str | None = None,
        order_ids: Sequence[str] = (),
        sort: str = "createdAt,desc",
        page_size: int = PAGE_SIZE,
    ) -> Iterator[Order]:
        """Orders of the workspace, fetched page by page as they are consumed.

        Args:
            tags: orders that carry any of these.
            status: orders in any of these statuses.
            display_name: orders whose name contains this.
            order_ids: only these.
            sort: `createdAt`, `updatedAt`, `type` or `status`, then `,asc` or `,desc`.
            page_size: orders per request.
        """
        filters: dict[str, Any] = {"workspaceId": self._workspace_id(), "sort": sort}
        filters |= {"tags": list(tags)} if tags else {}
        filters |= {"status": list(status)} if status else {}
        filters |= {"displayName": display_name} if display_name else {}
        filters |= {"orderIds": ",".join(order_ids)} if order_ids else {}

        def fetch(page: Mapping[str, Any]) -> Mapping[str, Any]:
            body: Mapping[str, Any] = self._transport.json("GET", "/v2/orders", params={**filters, **page})
            return body

        for row in spring_pages(fetch, size=page_size):
            yield Order.parse(row)
