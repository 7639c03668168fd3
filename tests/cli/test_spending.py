"""`credits` and `budgets`."""

import re

import pytest

BUDGET = {
    "name": "Command line",
    "status": "ACTIVE",
    "spendLimit": 500,
    "validityPeriod": {"startDate": "2026-01-01", "endDate": "2026-12-31"},
}


@pytest.fixture(scope="module")
def budget(shop, wait_for):
    budgets = shop.control("access", {"budgets": [BUDGET]})["budgets"]
    (budget_id,) = [one["id"] for one in budgets if one["name"] == BUDGET["name"]]
    (order_id,) = shop.order("paid by a budget", budget_id=budget_id)
    wait_for(lambda: shop.client.orders.get(order_id).is_fulfilled)
    return budget_id


def test_credits(cli, shop):
    before = shop.client.account.balance().credits
    said = re.fullmatch(r"available  (\d+) credits \((\d+\.\d\d) EUR\)\n", cli("credits").stdout)
    told = cli("credits --json").json["available"]
    # Orders of other tests may be charged meanwhile.
    assert before >= float(said[1]) >= told["amount"] >= shop.client.account.balance().credits
    assert float(said[2]) == float(said[1]) / 100
    assert told["unit"] == "CREDIT"


def test_the_list(cli, budget):
    said = cli("budgets list")
    assert said.lines[0].split() == ["budget", "status", "limit", "used", "left", "name"]
    assert [budget, "ACTIVE", "500", "76", "424", "Command", "line"] in [line.split() for line in said.lines]
    assert cli("budgets list --status inactive --json").json
    assert all(one["status"] == "INACTIVE" for one in cli("budgets list --status inactive --json").json)
    assert len(cli("budgets list --limit 1 --json").json) == 1


def test_one(cli, budget):
    said = cli(f"budgets show {budget}")
    assert "used     76 credits (0.76 EUR)" in said.lines
    assert "valid    2026-01-01 to 2026-12-31" in said.lines
    assert cli(f"budgets show {budget} --json").json["consumedCredits"] == 76


def test_orders_by_budget(cli, budget):
    assert [one["budgetId"] for one in cli(f"orders list --budget {budget} --json").json] == [budget]


def test_settings(cli):
    assert cli("budgets settings").lines[0] == "enforced  no"
    assert cli("budgets settings --json").json["enforcementEnabled"] is False
