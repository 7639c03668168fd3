"""Orders: estimate, place, look at, change, cancel (UP42 API, orders). Placing spends money; nothing else here does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from up42_pipelines.api.following import INTERVAL_S, PATIENCE_S, follow
from up42_pipelines.api.order_status import OrderStatus, OrderSubStatus
from up42_pipelines.api.paging import PAGE_SIZE, listing, several
from up42_pipelines.api.records import Record, Timestamp
from up42_pipelines.api.sorting import Sort
from up42_pipelines.api.transport import Transport
from up42_pipelines.errors import UnexpectedAnswer

UNCHANGED: Any = object()
"""Given to an update: leave this as it is."""

_MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


class OrderSort:
    """What orders can be sorted by."""

    created_at = Sort("createdAt")
    updated_at = Sort("updatedAt")
    type = Sort("type")
    status = Sort("status")


class Order(Record):
    """An order as UP42 keeps it."""

    id: str
    status: OrderStatus | str = Field(union_mode="left_to_right")
    workspace_id: str | None = None
    account_id: str | None = None
    display_name: str | None = None
    type: str | None = None
    data_product_id: str | None = None
    tags: tuple[str, ...] | None = None
    budget_id: str | None = None
    order_details: dict[str, Any] | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None

    @property
    def is_failed(self) -> bool:
        """True when UP42 will not deliver (any more of) it."""
        return isinstance(self.status, OrderStatus) and self.status.is_failure

    @property
    def is_fulfilled(self) -> bool:
        """True when UP42 has delivered everything; its STAC items may still be missing."""
        return self.status == OrderStatus.FULFILLED

    @property
    def is_final(self) -> bool:
        """True when the status will not change any more. An unknown status is not final."""
        return isinstance(self.status, OrderStatus) and self.status.is_terminal

    @property
    def sub_status(self) -> OrderSubStatus | str | None:
        """Where a tasking order stands before it is activated; None for archive orders."""
        value = (self.order_details or {}).get("subStatus")
        return OrderSubStatus(value) if value in tuple(OrderSubStatus) else value

    @property
    def waits_for_user(self) -> bool:
        """True when nothing happens until somebody chooses an option or decides on a quotation."""
        sub_status = self.sub_status
        return not self.is_final and isinstance(sub_status, OrderSubStatus) and sub_status.waits_for_user

    @property
    def scene_id(self) -> str | None:
        """The archive scene that was ordered; None for tasking."""
        return (self.order_details or {}).get("imageId")

    @property
    def aoi(self) -> dict[str, Any] | None:
        """The ordered geometry as GeoJSON; None for a full scene."""
        details = self.order_details or {}
        return details.get("aoi") or details.get("geometry")


class OrderInput(BaseModel):
    """What estimate and placing are given; serialised with `to_json`.

    Attributes:
        data_product: id of the data product.
        display_name: 1 to 200 characters.
        params: the product's parameters without geometry; an archive order has `id`, the scene.
        feature_collection: one order per feature; a full-scene product takes one feature with a null geometry.
        tags: at most 30, of letters, digits, space and `. - _ / :`. Must be absent, not null, when unused.
        budget_id: the budget that pays.

    Raises:
        ValidationError: of pydantic; also for a name that is none of these, for what is misspelt here is not what pays.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    data_product: str
    display_name: str = Field(min_length=1, max_length=200)
    params: dict[str, Any]
    feature_collection: dict[str, Any]
    tags: tuple[str, ...] | None = Field(default=None, max_length=30)
    budget_id: str | None = None

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

    @model_validator(mode="before")
    @classmethod
    def _any_text_will_do(cls, error: Any) -> Any:
        return error if isinstance(error, Mapping) else {"message": str(error)}  # never lose the ids beside it


class LineCost(Record):
    """What one feature of an order would cost; `size` is in `unit` (SQ_KM or SCENE)."""

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
        """Credits of all features together.

        Raises:
            UnexpectedAnswer: there is neither a price nor an error.
        """
        total = self.summary.get("totalCredits")
        if total is None and not self.results and not self.errors:
            raise UnexpectedAnswer(f"The estimate names no price: {self.raw!r:.200}.")
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
        self._transport, self._workspace_id = transport, workspace_id

    def estimate(self, order: OrderInput) -> Estimate:
        """What placing would cost; free, and safe to repeat."""
        return Estimate.parse(self._transport.json("POST", "/v2/orders/estimate", json=order.to_json()))

    def place(self, order: OrderInput, *, not_after: float | None = None) -> Placement:
        """Place one order per feature: spends credits. Sent once; never to be repeated blindly.

        Args:
            order: what to buy.
            not_after: the last instant of `uptime_s` at which the request may leave; see `Transport.send`.

        Raises:
            LegalBlock: a EULA is not accepted, or the collection is restricted.
            ApiError: UP42 refused; nothing was bought, unless it is a `ServerProblem`: then nobody knows.
            Unreachable: nothing was sent.
            TooLate: it is later than `not_after`; nothing was bought.
            AnswerLost: nobody knows whether the order exists.
        """
        query, body = {"workspaceId": self._workspace_id()}, order.to_json()
        return Placement.parse(
            self._transport.json("POST", "/v2/orders", params=query, json=body, once=True, not_after=not_after)
        )

    def get(self, order_id: str) -> Order:
        """One order.

        Raises:
            NotFound: UP42 does not know the id.
        """
        return Order.parse(self._transport.json("GET", _path(order_id)))

    def list(
        self,
        *,
        tags: Sequence[str] = (),
        status: Sequence[OrderStatus | str] = (),
        sub_status: Sequence[OrderSubStatus | str] = (),
        type: str | None = None,
        display_name: str | None = None,
        order_ids: Sequence[str] = (),
        budget_ids: Sequence[str] = (),
        sort: Sort = OrderSort.created_at.desc,
        page_size: int = PAGE_SIZE,
    ) -> Iterator[Order]:
        """Orders of the workspace, fetched page by page as they are consumed.

        Args:
            tags: orders that carry any of these.
            status: orders in any of these statuses.
            sub_status: tasking orders in any of these sub-statuses.
            type: `ARCHIVE` or `TASKING`.
            display_name: orders whose name contains this.
            order_ids: only these.
            budget_ids: orders paid by any of these budgets.
            sort: a field of `OrderSort`.
            page_size: orders per request.
        """
        filters = {
            "workspaceId": self._workspace_id(),
            "type": type,
            "status": several(status),
            "subStatus": several(sub_status),
            "displayName": display_name,
            "tags": several(tags),
            "budgetIds": ",".join(several(budget_ids)),
            "orderIds": ",".join(several(order_ids)),
            "sort": sort,
        }
        for row in listing(self._transport, "/v2/orders", filters, page_size=page_size):
            yield Order.parse(row)

    def follow(
        self, order_ids: Sequence[str], *, interval_s: float = INTERVAL_S, patience_s: float = PATIENCE_S
    ) -> Iterator[Order]:
        """Wait for orders: each is given when it is first seen and whenever its status changed, until all are final.

        Args:
            order_ids: which.
            interval_s: seconds between two looks.
            patience_s: seconds after which it is given up.

        Raises:
            NotFound: UP42 does not know an id.
            StillUnderWay: some are not final after `patience_s`; a tasking order may wait for a decision.
        """
        return follow(
            order_ids,
            look_many=lambda ids: self.list(order_ids=ids),
            look_one=self.get,
            interval_s=interval_s,
            patience_s=patience_s,
        )

    def update(self, order_id: str, *, tags: Sequence[str] = UNCHANGED, budget_id: str | None = UNCHANGED) -> Order:
        """Change an order's tags or budget (JSON merge patch, RFC 7396); what is not given stays as it is.

        Args:
            order_id: which order.
            tags: all tags it has from now on; an empty list removes them.
            budget_id: the budget that pays; None detaches it.
        """
        changes: dict[str, Any] = {} if tags is UNCHANGED else {"tags": several(tags)}
        changes |= {} if budget_id is UNCHANGED else {"budgetId": budget_id}
        return Order.parse(self._transport.json("PATCH", _path(order_id), json=changes, headers=_MERGE_PATCH))

    def cancel(self, order_id: str) -> OrderStatus | str:
        """Cancel an order that has not reached the provider; sent once. Returns the status it has then.

        Raises:
            ApiError: UP42 refused, mostly because it is too late.
            AnswerLost: it may have been cancelled; `get` tells.
            Unreachable: nothing was sent.
        """
        answer = Cancellation.parse(self._transport.json("POST", f"{_path(order_id)}/cancellation", once=True))
        return answer.status


class Cancellation(Record):
    """What cancelling an order brought."""

    order_id: str | None = None
    status: OrderStatus | str = Field(default=OrderStatus.CANCELED, union_mode="left_to_right")


def _path(order_id: str) -> str:
    return f"/v2/orders/{quote(order_id, safe='')}"
