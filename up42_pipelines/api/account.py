"""The account: credits and budgets (UP42 API, credits and budgets)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BeforeValidator, Field

from up42_pipelines.api.paging import listing, several
from up42_pipelines.api.records import Record, Timestamp
from up42_pipelines.api.sorting import Sort
from up42_pipelines.api.transport import Transport

_BUDGETS = "/v2/budgets"


class BudgetStatus(StrEnum):
    """Whether orders and jobs can be put on a budget."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"


class BudgetSort:
    """What budgets can be sorted by."""

    updated_at = Sort("updatedAt")


class Amount(Record):
    """An amount of money; the unit is CREDIT (100 credits are 1 EUR)."""

    amount: float
    unit: str | None = None


class Balance(Record):
    """What the account can spend; all its workspaces share it."""

    available: Amount

    @property
    def credits(self) -> float:
        """Credits available."""
        return self.available.amount


def _without_time(value: Any) -> Any:
    return value.partition("T")[0] if isinstance(value, str) else value


Day = Annotated[date, BeforeValidator(_without_time)]
"""A date. UP42 does not document whether a time follows; it would be left out."""


class ValidityPeriod(Record):
    """First and last day of a budget."""

    start_date: Day | None = None
    end_date: Day | None = None


class Budget(Record):
    """A budget that orders and jobs can be put on. The figures of its use are there only when asked for."""

    id: str
    name: str | None = None
    status: BudgetStatus | str | None = Field(default=None, union_mode="left_to_right")
    description: str | None = None
    external_id: str | None = None
    spend_limit: float | None = None
    validity_period: ValidityPeriod | None = None
    created_by: str | dict[str, Any] | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    consumed_credits: float | None = None
    remaining_credits: float | None = None
    usage_percentage: float | None = None

    @property
    def is_active(self) -> bool:
        """Whether orders and jobs can be put on it."""
        return self.status == BudgetStatus.ACTIVE


class BudgetUsage(Record):
    """What was spent on a budget, credits."""

    budget_id: str
    consumed_credits: float


class BudgetSettings(Record):
    """How the account uses budgets; with enforcement, nothing is bought without one."""

    enforcement_enabled: bool
    budget_setting_id: str | None = None


class Account:
    """Credits and budgets of the account behind the credentials."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def balance(self) -> Balance:
        """The credits that are left."""
        return Balance.parse(self._transport.json("GET", "/v2/payments/balances"))

    def budgets(
        self,
        *,
        status: Sequence[BudgetStatus | str] = (),
        include_usage: bool = False,
        sort: Sort = BudgetSort.updated_at.desc,
    ) -> Iterator[Budget]:
        """The budgets, fetched page by page as they are consumed.

        Args:
            status: in any of these statuses.
            include_usage: with what was spent and what is left.
            sort: a field of `BudgetSort`.
        """
        filters = {"status": several(status), "sort": sort, "includeUsage": include_usage}
        for row in listing(self._transport, _BUDGETS, filters):
            yield Budget.parse(row)

    def budget(self, budget_id: str, *, include_usage: bool = False) -> Budget:
        """One budget.

        Raises:
            NotFound: UP42 does not know the id.
        """
        query = {"includeUsage": str(include_usage).lower()}
        return Budget.parse(self._transport.json("GET", f"{_BUDGETS}/{quote(budget_id, safe='')}", params=query))

    def budget_usage(self, budget_id: str) -> BudgetUsage:
        """What was spent on a budget.

        Raises:
            NotFound: UP42 does not know the id.
        """
        return BudgetUsage.parse(self._transport.json("GET", f"{_BUDGETS}/{quote(budget_id, safe='')}/usage"))

    def budget_settings(self) -> BudgetSettings:
        """Whether budgets are enforced."""
        return BudgetSettings.parse(self._transport.json("GET", f"{_BUDGETS}/settings"))
