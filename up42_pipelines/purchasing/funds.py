"""Whether UP42 would let the account pay: its balance, and the UP42 budget that a purchase names."""

from __future__ import annotations

import math
from typing import Protocol

from up42_pipelines.errors import BudgetExceeded, NotFound


class Balance(Protocol):
    """What is left on the account."""

    @property
    def credits(self) -> float: ...  # noqa: D102


class Budget(Protocol):
    """A budget that UP42 keeps."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str | None: ...  # noqa: D102
    @property
    def status(self) -> str | None: ...  # noqa: D102
    @property
    def is_active(self) -> bool: ...  # noqa: D102
    @property
    def remaining_credits(self) -> float | None: ...  # noqa: D102


class Account(Protocol):
    """Who pays."""

    def balance(self) -> Balance:
        """The credits that are left."""

    def budget(self, budget_id: str, *, include_usage: bool = False) -> Budget:
        """One budget."""


def check_funds(account: Account, label: str, credits: int, *, budget_id: str | None) -> None:
    """Ask for the balance, and for the UP42 budget when there is one.

    Args:
        account: that pays.
        label: what is to be bought: the start of a sentence.
        credits: its price.
        budget_id: the UP42 budget that pays.

    Raises:
        BudgetExceeded: one of them would not cover the price.
    """
    try:
        balance = account.balance().credits
    except NotFound:  # UP42's own client has dropped this call; where UP42 has too, nothing could be bought any more
        balance = math.inf
    if credits > balance:
        raise BudgetExceeded(
            f"{label} would cost {credits} credits; the account has {balance:g}. Nothing was placed. "
            "Buy credits in the UP42 console."
        )
    if budget_id is None:
        return
    budget = account.budget(budget_id, include_usage=True)
    name = budget.name or budget.id
    if not budget.is_active:
        raise BudgetExceeded(f"{label}: UP42 budget {name} is {budget.status}. Nothing was placed.")
    if budget.remaining_credits is not None and credits > budget.remaining_credits:
        raise BudgetExceeded(
            f"{label} would cost {credits} credits; UP42 budget {name} has {budget.remaining_credits:g} left. "
            "Nothing was placed. Raise its limit in the UP42 console, or choose another budget_id."
        )
