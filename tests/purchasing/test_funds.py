"""Whether the account can pay: to the last credit and not beyond."""

import pytest

from up42_pipelines.api.account import Amount, Balance, Budget
from up42_pipelines.errors import BudgetExceeded
from up42_pipelines.purchasing.funds import check_funds


class Account:
    def __init__(self, credits: float, **budget) -> None:
        self.credits, self.fields = credits, {"id": "b", "name": "Imagery", "status": "ACTIVE", **budget}

    def balance(self) -> Balance:
        return Balance(available=Amount(amount=self.credits))

    def budget(self, budget_id: str, *, include_usage: bool = False) -> Budget:
        assert (budget_id, include_usage) == ("b", True)
        return Budget(**self.fields)


@pytest.mark.parametrize(
    ("account", "budget_id"),
    [
        (Account(10), None),
        (Account(10.5, remaining_credits=10), "b"),
        (Account(10, remaining_credits=None), "b"),
        (Account(10, remaining_credits=0), None),
    ],
)
def test_it_can(account, budget_id):
    check_funds(account, "Scene S", 10, budget_id=budget_id)


@pytest.mark.parametrize(
    ("account", "why"),
    [
        (Account(9.9, remaining_credits=10), r"would cost 10 credits; the account has 9\.9\."),
        (Account(10, remaining_credits=9.9), r"UP42 budget Imagery has 9\.9 left"),
        (Account(10, remaining_credits=0), "UP42 budget Imagery has 0 left"),
        (Account(10, status="INACTIVE"), "UP42 budget Imagery is INACTIVE"),
        (Account(10, status="ARCHIVED", name=None), "UP42 budget b is ARCHIVED"),
    ],
)
def test_it_cannot(account, why):
    with pytest.raises(BudgetExceeded, match=f"Scene S.*{why}.*Nothing was placed"):
        check_funds(account, "Scene S", 10, budget_id="b")
