"""Credits and budgets: what is asked on the wire, and what the sandbox's account holds."""

import re
import uuid
from datetime import UTC, date, datetime

import pytest

from up42_pipelines.api import Account, Balance, Budget, BudgetSort, BudgetStatus, Sort
from up42_pipelines.errors import InvalidRequest, NotFound, UnexpectedAnswer

NOBODY = str(uuid.UUID(int=1))
EMPTY = (200, {"content": [], "totalPages": 0}, {})
BUDGET = {
    "id": "b-1",
    "name": "Monitoring",
    "status": "ACTIVE",
    "createdBy": "w",
    "createdAt": "2026-01-01T00:00:00.000000Z",
    "updatedAt": "2026-01-02T00:00:00.000000Z",
}


@pytest.fixture
def account(transport):
    return Account(transport)


@pytest.fixture(scope="module")
def sandbox_account(slow_sandbox):
    client = slow_sandbox.client()
    yield client.account
    client.transport.close()


class TestBalance:
    def test_on_the_wire(self, script, account):
        script.on("/v2/payments/balances", (200, {"available": {"amount": 10693, "unit": "CREDIT"}}, {}))
        balance = account.balance()
        assert (balance.credits, balance.available.unit) == (10693, "CREDIT")
        assert [one["method"] for one in script.requests("/v2/payments/balances")] == ["GET"]

    def test_fractions_and_debts(self):
        assert Balance.parse({"available": {"amount": -0.5}}).credits == -0.5

    @pytest.mark.parametrize("body", [{}, {"available": None}, {"available": {"unit": "CREDIT"}}, []])
    def test_no_balance_is_not_zero(self, script, account, body):
        script.on("/v2/payments/balances", (200, body, {}))
        with pytest.raises(UnexpectedAnswer, match="Balance"):
            account.balance()


class TestBudgetsOnTheWire:
    @pytest.mark.parametrize(
        ("options", "asked"),
        [
            ({}, ["sort=updatedAt%2Cdesc", "includeUsage=false"]),
            ({"include_usage": True}, ["sort=updatedAt%2Cdesc", "includeUsage=true"]),
            (
                {"status": ["ACTIVE", BudgetStatus.INACTIVE], "sort": BudgetSort.updated_at.asc},
                ["status=ACTIVE", "status=INACTIVE", "sort=updatedAt%2Casc", "includeUsage=false"],
            ),
            (
                {"status": ["ARCHIVED"], "sort": Sort("name")},
                ["status=ARCHIVED", "sort=name%2Casc", "includeUsage=false"],
            ),
        ],
    )
    def test_filters(self, script, account, options, asked):
        script.on("/v2/budgets", EMPTY)
        assert list(account.budgets(**options)) == []
        [request] = script.requests("/v2/budgets")
        assert sorted(request["query"].split("&")) == sorted([*asked, "page=0", "size=100"])

    def test_pages_are_fetched_as_they_are_consumed(self, script, account):
        first = (200, {"content": [BUDGET], "totalPages": 2}, {})
        script.on("/v2/budgets", first, (200, {"content": [{**BUDGET, "id": "b-2"}], "totalPages": 2}, {}))
        found = account.budgets()
        assert script.requests("/v2/budgets") == []
        assert next(found).id == "b-1"
        assert len(script.requests("/v2/budgets")) == 1
        assert [budget.id for budget in found] == ["b-2"]

    @pytest.mark.parametrize(("include_usage", "query"), [(False, "includeUsage=false"), (True, "includeUsage=true")])
    def test_one(self, script, account, include_usage, query):
        script.on("/v2/budgets/b-1", (200, BUDGET, {}))
        assert account.budget("b-1", include_usage=include_usage).id == "b-1"
        assert [one["query"] for one in script.requests("/v2/budgets/b-1")] == [query]

    def test_ids_cannot_leave_their_place_in_the_path(self, script, account):
        for ask in (account.budget, account.budget_usage):
            with pytest.raises(NotFound):
                ask("../x?y")
        paths = [one["path"] for one in script.asked if "/realms/" not in one["path"]]
        assert paths == ["/v2/budgets/..%2Fx%3Fy", "/v2/budgets/..%2Fx%3Fy/usage"]

    def test_settings(self, script, account):
        script.on("/v2/budgets/settings", (200, {"enforcementEnabled": True}, {}))
        settings = account.budget_settings()
        assert (settings.enforcement_enabled, settings.budget_setting_id) == (True, None)

    def test_settings_that_say_nothing_do_not_mean_free(self, script, account):
        script.on("/v2/budgets/settings", (200, {}, {}))
        with pytest.raises(UnexpectedAnswer, match="enforcementEnabled"):
            account.budget_settings()


class TestBudget:
    def test_all_that_is_documented(self):
        period = {"startDate": "2026-01-01", "endDate": "2026-12-31"}
        used = {"consumedCredits": 25, "remainingCredits": 75, "usagePercentage": 25.0}
        more = {"description": "D", "externalId": "E-1", "spendLimit": 100, "validityPeriod": period}
        budget = Budget.parse(BUDGET | used | more)
        assert (budget.name, budget.status, budget.is_active) == ("Monitoring", BudgetStatus.ACTIVE, True)
        assert (budget.description, budget.external_id, budget.created_by) == ("D", "E-1", "w")
        assert budget.created_at == datetime(2026, 1, 1, tzinfo=UTC)
        assert budget.updated_at == datetime(2026, 1, 2, tzinfo=UTC)
        assert (budget.spend_limit, budget.consumed_credits, budget.remaining_credits) == (100, 25, 75)
        assert budget.usage_percentage == 25
        assert (budget.validity_period.start_date, budget.validity_period.end_date) == (
            date(2026, 1, 1),
            date(2026, 12, 31),
        )

    def test_only_what_must_be(self):
        budget = Budget.parse({"id": "b"})
        assert (budget.status, budget.is_active, budget.spend_limit, budget.consumed_credits) == (
            None,
            False,
            None,
            None,
        )

    @pytest.mark.parametrize(("status", "active"), [("ACTIVE", True), ("INACTIVE", False), ("FROZEN", False)])
    def test_status(self, status, active):
        budget = Budget.parse(BUDGET | {"status": status})
        assert (budget.status, budget.is_active) == (status, active)
        assert isinstance(budget.status, BudgetStatus) == (status != "FROZEN")

    @pytest.mark.parametrize("end", ["2026-12-31", "2026-12-31T00:00:00Z", "2026-12-31T23:59:59.999Z"])
    def test_days_stay_days_when_a_time_follows(self, end):
        budget = Budget.parse(BUDGET | {"validityPeriod": {"startDate": None, "endDate": end}})
        assert (budget.validity_period.start_date, budget.validity_period.end_date) == (None, date(2026, 12, 31))
        assert type(budget.validity_period.end_date) is date

    def test_who_made_it_in_the_manner_of_orders(self):
        who = {"id": "w", "type": "USER", "name": None}
        assert Budget.parse(BUDGET | {"createdBy": who}).created_by == who


class TestSandbox:
    """The sandbox has three budgets from the start. None of these tests changes anything."""

    def test_balance(self, sandbox_account):
        assert sandbox_account.balance().credits > 0

    def test_budgets(self, sandbox_account):
        newest_first = [budget.name for budget in sandbox_account.budgets()]
        assert newest_first == ["Last year", "Research", "Monitoring"]
        assert [budget.name for budget in sandbox_account.budgets(sort=BudgetSort.updated_at.asc)] == newest_first[::-1]

    @pytest.mark.parametrize(
        ("status", "names"),
        [
            (["ACTIVE"], {"Monitoring", "Research"}),
            ([BudgetStatus.INACTIVE], {"Last year"}),
            (["ACTIVE", "INACTIVE"], {"Monitoring", "Research", "Last year"}),
        ],
    )
    def test_in_any_of_the_statuses(self, sandbox_account, status, names):
        found = list(sandbox_account.budgets(status=status))
        assert {budget.name for budget in found} == names
        assert all(budget.is_active == (budget.name != "Last year") for budget in found)

    def test_usage_only_when_asked_for(self, sandbox_account):
        without = {budget.name: budget.consumed_credits for budget in sandbox_account.budgets()}
        assert set(without.values()) == {None}
        for budget in sandbox_account.budgets(include_usage=True):
            assert budget.consumed_credits == sandbox_account.budget_usage(budget.id).consumed_credits
            assert sandbox_account.budget(budget.id).consumed_credits is None
            alone = sandbox_account.budget(budget.id, include_usage=True)
            assert (alone.name, alone.consumed_credits) == (budget.name, budget.consumed_credits)
            if budget.spend_limit is not None:
                assert budget.remaining_credits == budget.spend_limit - budget.consumed_credits

    def test_settings(self, sandbox_account):
        assert sandbox_account.budget_settings().enforcement_enabled is False

    def test_refused(self, sandbox_account):
        with pytest.raises(InvalidRequest, match="sort must be one of"):
            list(sandbox_account.budgets(sort=Sort("name")))
        with pytest.raises(InvalidRequest, match="status"):
            list(sandbox_account.budgets(status=["OPEN"]))

    def test_unknown(self, sandbox_account):
        for ask in (sandbox_account.budget, sandbox_account.budget_usage):
            with pytest.raises(NotFound, match=re.escape(NOBODY)):
                ask(NOBODY)
