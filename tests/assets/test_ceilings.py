"""What may be spent: ceilings, the balance, UP42's budgets, a person's approval; and what a person sees of it."""

import pytest
import requests

from up42_pipelines.lake import Lake
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.intents import IntentBook

DAYS = [f"berlin|2026-06-{day:02d}" for day in (1, 4, 8, 9)]
PRICE = 23
"""Credits for the AOI, which one scene of each of these days covers."""

SPENDS = ("POST", "/v2/orders")


@pytest.fixture(scope="module")
def own_sandbox(start_sandbox):
    return start_sandbox("--speed", "0.01")


def intents(graph) -> IntentBook:
    return IntentBook(Lake(str(graph.lake)))


class TestMonth:
    def test_what_does_not_fit_is_refused_and_bought_once_the_ceiling_is_raised(
        self, make_graph, slow_sandbox, explain, check, shown
    ):
        graph = make_graph(slow_sandbox, ceilings=Ceilings(month=2 * PRICE + 1))
        results = {day: graph.run(day, "scenes", "orders") for day in DAYS[:3]}
        assert [result.success for result in results.values()] == [True, True, False]
        said = explain(results[DAYS[2]], "orders")
        assert f"would cost {PRICE} credits" in said
        assert "47 credits) has 1 left" in said
        assert "wait for next month" in said
        assert len(graph.orders()) == 2

        for day in DAYS[:2]:
            passed, _ = check(results[day], "spend_within_ceilings")
            assert passed
        passed, told = check(results[DAYS[2]], "spend_within_ceilings")
        assert not passed
        assert told["ceilings_that_refused"] == "month"
        assert told["ceilings_exceeded"] == "none"
        figures = shown(graph.metadata("orders", DAYS[1]))
        assert figures["credits_committed_now"] == figures["credits_committed_run"] == PRICE
        assert figures["credits_committed_partition"] == PRICE
        assert figures["credits_committed_month"] == figures["credits_committed_pipeline"] == 2 * PRICE
        assert figures["credits_left_month"] == 1
        assert "credits_left_pipeline" not in figures

        raised = make_graph(slow_sandbox, name=graph.pipeline.name, ceilings=Ceilings(month=3 * PRICE))
        assert raised.run(DAYS[2], "orders").success
        assert raised.run(DAYS[0], "orders").success  # what was bought is no question of ceilings any more
        assert len(raised.orders()) == 3

    def test_a_ceiling_below_what_is_committed_shows(self, make_graph, slow_sandbox, check):
        graph = make_graph(slow_sandbox)
        assert graph.run(DAYS[0], "scenes", "orders").success
        lowered = make_graph(slow_sandbox, name=graph.pipeline.name, ceilings=Ceilings(month=PRICE - 1))
        result = lowered.run(DAYS[0], "orders")
        assert result.success
        passed, told = check(result, "spend_within_ceilings")
        assert not passed
        assert told["ceilings_exceeded"] == "month"
        assert told["credits_left_month"] == 0


def test_the_ceiling_of_a_partition_holds_for_its_generations(make_graph, slow_sandbox, explain):
    graph = make_graph(slow_sandbox, ceilings=Ceilings(partition=2 * PRICE))
    for generation in (1, 2):
        assert graph.run(DAYS[0], "scenes", "orders", config={"generation": generation}).success
    result = graph.run(DAYS[0], "orders", config={"generation": 3})
    assert "the ceiling per partition" in explain(result, "orders")
    assert len(graph.orders()) == 2


class TestApproval:
    @pytest.fixture
    def waiting(self, make_graph, slow_sandbox):
        graph = make_graph(slow_sandbox, approvals=Approvals(above=PRICE - 1, tolerance=0.05))
        graph.waited = graph.run(DAYS[0], "scenes", "orders")
        return graph

    def approve(self, graph, **config):
        ops = {"orders": {"config": config}} if config else {}
        return graph.job(graph.pipeline.approve_job, partition_key=DAYS[0], run_config={"ops": ops} if ops else None)

    def test_the_run_fails_and_says_how_to_approve(self, waiting, explain, shown_by_failure, check):
        assert not waiting.waited.success
        said = explain(waiting.waited, "orders")
        assert f"launch {waiting.pipeline.approve_job} for {DAYS[0]} with approve_up_to and approved_by" in said
        [row] = shown_by_failure(waiting.waited, "orders")["table"]
        assert (row["what"], row["credits"]) == ("waits for approval", PRICE)
        assert f"orders approve {row['key']}" in said
        passed, _ = check(waiting.waited, "spend_within_ceilings")
        assert passed  # no ceiling refused it
        assert waiting.orders() == []

    def test_a_person_approves_and_it_is_bought(self, waiting):
        assert self.approve(waiting, approve_up_to=PRICE, approved_by="Ada").success
        [order] = waiting.orders()
        [intent] = intents(waiting).all()
        assert intent.purchase_ids == (order["id"],)
        assert (intent.approval.credits, intent.approval.by) == (PRICE, "Ada")

    def test_less_than_the_price_approves_nothing(self, waiting, explain):
        result = self.approve(waiting, approve_up_to=PRICE - 0.5, approved_by="Ada")
        assert "1 of 1 orders were not placed" in explain(result, "orders")
        assert waiting.orders() == []

    @pytest.mark.parametrize("config", [{}, {"approve_up_to": PRICE, "approved_by": " "}], ids=["launchpad", "blank"])
    def test_somebody_must_stand_for_it(self, waiting, explain, config):
        assert "say who approves" in explain(self.approve(waiting, **config), "orders")
        assert waiting.orders() == []

    def test_another_price_than_the_approved_one_waits_again(self, waiting, explain):
        [intent] = intents(waiting).all()
        intents(waiting).approve(intent.key, credits=PRICE - 2, by="Ada", at=intent.at)
        result = waiting.run(DAYS[0], "orders")
        assert "Ada approved 21, which is more than 5% off" in explain(result, "orders")
        assert waiting.orders() == []
        assert self.approve(waiting, approve_up_to=100, approved_by="Ada").success
        assert len(waiting.orders()) == 1

    def test_what_is_cheap_enough_needs_nobody(self, make_graph, slow_sandbox):
        assert make_graph(slow_sandbox, approvals=Approvals(above=PRICE)).run(DAYS[0], "scenes", "orders").success


class TestAccount:
    """What UP42 itself would have."""

    @pytest.fixture
    def access(self, own_sandbox):
        def change(**body):
            answer = requests.post(f"{own_sandbox.url}/sandbox/access", json=body, timeout=10)
            answer.raise_for_status()
            return answer.json()

        return change

    @pytest.fixture
    def budget(self, access):
        period = {"startDate": "2026-01-01", "endDate": "2036-12-31"}

        def make(**fields):
            form = {"name": "Imagery", "status": "ACTIVE", "spendLimit": 500, "validityPeriod": period, **fields}
            return access(budgets=[form])["budgets"][-1]["id"]

        return make

    def test_a_budget_pays(self, make_graph, own_sandbox, budget):
        budget_id = budget()
        assert make_graph(own_sandbox, budget_id=budget_id).run(DAYS[0], "scenes", "orders").success
        [order] = own_sandbox.client().orders.list(budget_ids=[budget_id])
        assert order.budget_id == budget_id

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [({"spendLimit": PRICE - 1}, "Imagery has 22 left"), ({"status": "INACTIVE"}, "Imagery is INACTIVE")],
        ids=["too small", "inactive"],
    )
    def test_a_budget_that_does_not_pay_refuses_before_anything_is_sent(
        self, make_graph, own_sandbox, budget, sent, explain, fields, reason
    ):
        graph = make_graph(own_sandbox, budget_id=budget(**fields))
        result = graph.run(DAYS[0], "scenes", "orders")
        assert reason in explain(result, "orders")
        assert SPENDS not in sent

    def test_a_balance_that_is_too_small_refuses_before_anything_is_sent(
        self, make_graph, start_sandbox, sent, explain, check
    ):
        sandbox = start_sandbox("--speed", "0.01")  # its own: what other tests have open belongs to the balance, too

        def change(credits):
            requests.post(f"{sandbox.url}/sandbox/access", json={"credits": credits}, timeout=10).raise_for_status()

        change(PRICE - 1 - int(sandbox.client().account.balance().credits))
        graph = make_graph(sandbox)
        result = graph.run(DAYS[0], "scenes", "orders")
        assert f"would cost {PRICE} credits; the account has 22" in explain(result, "orders")
        assert SPENDS not in sent
        _, told = check(result, "spend_within_ceilings")
        assert told["credits_committed_pipeline"] == 0
        change(1)
        assert graph.run(DAYS[0], "orders").success
