"""Tasking: feasibility studies, quotations, what has been covered (UP42 API, tasking).

A tasking order is placed like any other; then UP42 may offer options, and a price, for a person to decide on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from pydantic import Field

from up42_pipelines.api.paging import listing, several
from up42_pipelines.api.records import Record, Timestamp
from up42_pipelines.api.sorting import Sort
from up42_pipelines.api.transport import Transport

_STUDIES = "/v2/tasking/feasibility-studies"
_QUOTATIONS = "/v2/tasking/quotation"


class Decision(StrEnum):
    """What was decided. A feasibility study cannot be rejected."""

    NOT_DECIDED = "NOT_DECIDED"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"


class StudySort:
    """What feasibility studies can be sorted by."""

    created_at = Sort("createdAt")
    updated_at = Sort("updatedAt")
    decided_at = Sort("decisionAt")


class QuotationSort:
    """What quotations can be sorted by."""

    created_at = Sort("createdAt")
    updated_at = Sort("updatedAt")
    decided_at = Sort("decisionAt")
    credits_price = Sort("creditsPrice")


class _Decided(Record):
    id: str
    order_id: str
    workspace_id: str | None = None
    account_id: str | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    decision: Decision | str = Field(default=Decision.NOT_DECIDED, union_mode="left_to_right")
    decision_by_id: str | None = None
    decision_by_type: str | None = None
    decision_at: Timestamp | None = None

    @property
    def is_open(self) -> bool:
        """True while it waits for a decision."""
        return self.decision == Decision.NOT_DECIDED


class StudyOption(Record):
    """One way to carry out a tasking order, in the words of the operator."""

    id: str
    description: str | None = None
    study_id: str | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


class FeasibilityStudy(_Decided):
    """What an operator offers for a tasking order; one option must be accepted before there is a quotation."""

    type: str | None = None
    options: tuple[StudyOption, ...] = ()
    decision_option: StudyOption | None = None


class Quotation(_Decided):
    """The price of a tasking order, credits."""

    credits_price: float


class Area(Record):
    """Part of an order's area: square kilometres, percent of the whole, and where (any GeoJSON, degrees)."""

    sq_km_area: float
    percentage: float
    geometry: dict[str, Any] | None = None


class Coverage(Record):
    """How much of an order's area has been delivered, and what is left."""

    covered: Area
    remainder: Area


class Tasking:
    """Decisions on the tasking orders of one workspace.

    Args:
        transport: the way to UP42.
        workspace_id: asked for when first needed.
    """

    def __init__(self, transport: Transport, workspace_id: Callable[[], str]) -> None:
        self._transport, self._workspace_id = transport, workspace_id

    def studies(
        self,
        *,
        study_id: str | None = None,
        order_id: str | None = None,
        decision: Sequence[Decision | str] = (),
        sort: Sort = StudySort.created_at.desc,
    ) -> Iterator[FeasibilityStudy]:
        """Feasibility studies of the workspace, fetched page by page as they are consumed.

        Args:
            study_id: only this one.
            order_id: only those of this order.
            decision: decided in any of these ways.
            sort: a field of `StudySort`.
        """
        for row in listing(self._transport, _STUDIES, self._filters(study_id, order_id, decision, sort)):
            yield FeasibilityStudy.parse(row)

    def quotations(
        self,
        *,
        quotation_id: str | None = None,
        order_id: str | None = None,
        decision: Sequence[Decision | str] = (),
        sort: Sort = QuotationSort.created_at.desc,
    ) -> Iterator[Quotation]:
        """Quotations of the workspace, fetched page by page as they are consumed.

        Args:
            quotation_id: only this one.
            order_id: only those of this order.
            decision: decided in any of these ways.
            sort: a field of `QuotationSort`.
        """
        for row in listing(self._transport, _QUOTATIONS, self._filters(quotation_id, order_id, decision, sort)):
            yield Quotation.parse(row)

    def choose_option(self, study_id: str, option_id: str) -> FeasibilityStudy:
        """Accept an option of a feasibility study; sent once. The order cannot be changed afterwards.

        Raises:
            AlreadyDecided: an option was accepted before.
            NotFound: UP42 does not know the study.
            ApiError: UP42 refused; nothing was accepted, unless it is a `ServerProblem`: then nobody knows.
            Unreachable: nothing was sent.
            AnswerLost: it may have been accepted; `studies(study_id=...)` tells.
        """
        body = {"acceptedOptionId": option_id}
        path = f"{_STUDIES}/{quote(study_id, safe='')}"
        return FeasibilityStudy.parse(self._transport.json("PATCH", path, json=body, once=True))

    def accept_quotation(self, quotation_id: str) -> Quotation:
        """Accept a quotation: spends its credits. Sent once; never to be repeated blindly.

        Raises:
            AlreadyDecided: it was accepted or rejected before.
            NotFound: UP42 does not know the quotation.
            ApiError: UP42 refused; nothing was accepted, unless it is a `ServerProblem`: then nobody knows.
            Unreachable: nothing was sent.
            AnswerLost: it may have been accepted; `quotations(quotation_id=...)` tells.
        """
        return self._decide(quotation_id, Decision.ACCEPTED)

    def reject_quotation(self, quotation_id: str) -> Quotation:
        """Reject a quotation; sent once. Nothing will be taken or charged.

        Raises:
            AlreadyDecided, NotFound, ApiError, Unreachable, AnswerLost: as for `accept_quotation`.
        """
        return self._decide(quotation_id, Decision.REJECTED)

    def coverage(self, order_id: str) -> Coverage:
        """How much of an order's area has been delivered.

        Raises:
            NotFound: UP42 does not know the order.
        """
        return Coverage.parse(self._transport.json("GET", f"/v2/coverage/orders/{quote(order_id, safe='')}"))

    def _decide(self, quotation_id: str, decision: Decision) -> Quotation:
        path = f"{_QUOTATIONS}/{quote(quotation_id, safe='')}"
        return Quotation.parse(self._transport.json("PATCH", path, json={"decision": decision}, once=True))

    def _filters(
        self, own_id: str | None, order_id: str | None, decision: Sequence[Decision | str], sort: Sort
    ) -> dict[str, Any]:
        return {
            "workspaceId": self._workspace_id(),
            "id": own_id,
            "orderId": order_id,
            "decision": several(decision),
            "sort": sort,
        }
