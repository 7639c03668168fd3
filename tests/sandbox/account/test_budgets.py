"""Budgets: who pays for what, and what is refused before anything is bought."""

import threading

import pytest
import requests
from shapely.geometry import mapping

from up42_pipelines.sandbox.core import tables

NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def till(start_sandbox):
    """A sandbox at the speed of life: an order placed here stays open."""
    return start_sandbox(speed=1)


@pytest.fixture
def new_budget(till):
    """Add a budget of one's own and return it."""

    def add(**known):
        answer = till.post("/sandbox/access", {"budgets": [{"name": "test", **known}]})
        assert answer.status_code == 200, answer.text
        return answer.json()["budgets"][-1]

    return add


@pytest.fixture
def enforcement(till):
    till.post("/sandbox/access", {"budgetEnforcement": True})
    yield
    till.post("/sandbox/access", {"budgetEnforcement": False})


def place(sandbox, scene, **extra):
    return sandbox.post(f"/v2/orders?workspaceId={sandbox.workspace_id}", sandbox.order_body(scene.id, **extra))


def patch(sandbox, order_id, **body):
    headers = {"Content-Type": "application/merge-patch+json"}
    return sandbox.http.patch(f"{sandbox.url}/v2/orders/{order_id}", json=body, headers=headers)


def count(sandbox):
    return len(sandbox.get("/sandbox/ledger").json()["orders"])


def test_a_new_state_has_three_budgets(sandbox):
    page = sandbox.get("/v2/budgets").json()
    assert (page["totalElements"], page["totalPages"], page["number"]) == (3, 1, 0)
    assert [one["updatedAt"] for one in page["content"]] == sorted(
        (one["updatedAt"] for one in page["content"]), reverse=True
    )
    upward = sandbox.get("/v2/budgets?sort=updatedAt,asc").json()["content"]
    assert upward == page["content"][::-1]
    limited, free, inactive = upward
    assert (limited["status"], limited["spendLimit"]) == ("ACTIVE", 50000)
    assert (free["status"], "spendLimit" in free) == ("ACTIVE", False)
    assert inactive["status"] == "INACTIVE"
    assert {"id", "name", "createdBy", "createdAt", "updatedAt"} <= set(limited)
    assert [one["id"] for one in upward] == [one["id"] for one in upward if one["id"] in tables.TABLES]


def test_budgets_are_filtered_and_paged(sandbox):
    def statuses(query):
        return [one["status"] for one in sandbox.get(f"/v2/budgets?{query}").json()["content"]]

    assert statuses("status=ACTIVE") == ["ACTIVE", "ACTIVE"]
    assert sorted(statuses("status=ACTIVE&status=INACTIVE")) == ["ACTIVE", "ACTIVE", "INACTIVE"]
    assert len(statuses("size=2&page=1")) == 1
    for query in ("status=CLOSED", "sort=name", "includeUsage=maybe"):
        assert sandbox.get(f"/v2/budgets?{query}").status_code == 400


def test_one_budget(sandbox):
    budget = sandbox.get("/v2/budgets").json()["content"][0]
    assert sandbox.get(f"/v2/budgets/{budget['id']}").json() == budget
    for path in (NOWHERE, "nonsense", f"{NOWHERE}/usage"):
        answer = sandbox.get(f"/v2/budgets/{path}")
        assert (answer.status_code, answer.json()["status"]) == (404, 404)
    settings = sandbox.get("/v2/budgets/settings").json()
    assert settings["enforcementEnabled"] is False
    assert settings["budgetSettingId"]


def test_what_an_order_costs_is_used_when_it_is_charged(till, take_scene, new_budget):
    budget = new_budget(
        spendLimit=1000,
        description="of a test",
        externalId="E-7",
        validityPeriod={"startDate": "2026-01-01", "endDate": "2026-12-31"},
    )
    till.post("/sandbox/fates", {"kind": "order", "fate": "fulfilled"})
    order_id = place(till, take_scene(), budgetId=budget["id"]).json()["results"][0]["id"]
    assert till.get(f"/v2/orders/{order_id}").json()["budgetId"] == budget["id"]
    usage = f"/v2/budgets/{budget['id']}/usage"
    assert till.get(usage).json() == {"budgetId": budget["id"], "consumedCredits": 0}
    till.post("/sandbox/clock", {"advance": 600})
    (price,) = {one["credits"] for one in till.get("/sandbox/ledger").json()["orders"] if one["id"] == order_id}
    assert till.get(usage).json() == {"budgetId": budget["id"], "consumedCredits": price}
    for text in ("True", "true"):
        shown = till.get(f"/v2/budgets/{budget['id']}?includeUsage={text}").json()
        assert (shown["consumedCredits"], shown["remainingCredits"]) == (price, 1000 - price)
        assert shown["usagePercentage"] == pytest.approx(price / 10)
        assert (shown["description"], shown["externalId"]) == ("of a test", "E-7")
        assert shown["validityPeriod"] == {"startDate": "2026-01-01", "endDate": "2026-12-31"}
    assert "consumedCredits" not in till.get(f"/v2/budgets/{budget['id']}?includeUsage=False").json()
    listed = till.get("/v2/budgets?includeUsage=True").json()["content"]
    assert [one["consumedCredits"] for one in listed if one["id"] == budget["id"]] == [price]


def test_orders_are_found_by_their_budgets(till, take_scene, new_budget):
    scene, one, two = take_scene(), new_budget(), new_budget()
    ids = [place(till, scene, budgetId=one_["id"]).json()["results"][0]["id"] for one_ in (one, one, two)]
    place(till, scene)

    def found(*budgets):
        query = ",".join(budget["id"] for budget in budgets)
        return [order["id"] for order in till.get(f"/v2/orders?sort=createdAt,asc&budgetIds={query}").json()["content"]]

    assert found(one) == ids[:2]
    assert found(one, two) == ids
    assert till.get("/v2/orders?budgetIds=a").status_code == 400


def test_a_budget_is_attached_and_detached(till, take_scene, new_budget):
    budget, order_id = new_budget(), till.place(take_scene().id, tags=["a"])
    attached = patch(till, order_id, budgetId=budget["id"].upper()).json()
    assert (attached["budgetId"], attached["tags"]) == (budget["id"], ["a"])
    assert patch(till, order_id, tags=["b"]).json()["budgetId"] == budget["id"]
    (cost,) = [one["credits"] for one in till.get("/sandbox/ledger").json()["orders"] if one["id"] == order_id]
    exact = new_budget(spendLimit=cost)
    assert [patch(till, order_id, budgetId=exact["id"]).status_code for _ in range(2)] == [200, 200]
    assert patch(till, order_id, budgetId=None).json()["budgetId"] is None
    assert patch(till, order_id, budgetId=NOWHERE).status_code == 404
    assert patch(till, order_id, budgetId="mine").status_code == 400
    closed = new_budget(status="INACTIVE")
    refused = patch(till, order_id, budgetId=closed["id"], tags=["c"])
    assert (refused.status_code, refused.json()["title"]) == (403, "Budget is not active")
    tight = new_budget(spendLimit=1)
    refused = patch(till, order_id, budgetId=tight["id"])
    assert (refused.status_code, refused.json()["title"]) == (403, "Budget exceeded")
    order = till.get(f"/v2/orders/{order_id}").json()
    assert (order["budgetId"], order["tags"]) == (None, ["b"])


def test_budgets_that_cannot_pay_are_refused_and_nothing_is_bought(till, take_scene, new_budget):
    scene, before = take_scene(), count(till)
    cases = (
        (NOWHERE, 404, f"Resource (Budget) not found with Id='{NOWHERE}'."),
        (new_budget(status="INACTIVE")["id"], 403, "Budget is not active"),
        (new_budget(spendLimit=1)["id"], 403, "Budget exceeded"),
        ("mine", 400, "Bad Request"),
    )
    for budget_id, status, title in cases:
        answer = place(till, scene, budgetId=budget_id)
        assert (answer.status_code, answer.json()["title"]) == (status, title)
    assert count(till) == before


def test_a_limit_holds_for_open_orders_too(till, take_scene, aoi, new_budget):
    scene = take_scene()
    price = till.post("/v2/orders/estimate", till.order_body(scene.id)).json()["summary"]["totalCredits"]
    budget = new_budget(spendLimit=3 * price - 1)
    assert place(till, scene, budgetId=budget["id"]).status_code == 201
    # Two features are one purchase: neither is bought.
    assert place(till, scene, budgetId=budget["id"], geometries=[aoi, aoi]).status_code == 403
    second = place(till, scene, budgetId=budget["id"])
    assert second.status_code == 201
    assert place(till, scene, budgetId=budget["id"]).status_code == 403
    # What is canceled is free again.
    till.post(f"/v2/orders/{second.json()['results'][0]['id']}/cancellation")
    assert place(till, scene, budgetId=budget["id"]).status_code == 201


@pytest.mark.usefixtures("enforcement")
def test_with_enforcement_every_order_needs_a_budget(till, take_scene, new_budget):
    assert till.get("/v2/budgets/settings").json()["enforcementEnabled"] is True
    scene, before, budget = take_scene(), count(till), new_budget()
    refused = place(till, scene)
    assert (refused.status_code, refused.json()["title"], count(till)) == (403, "Budget required", before)
    order_id = place(till, scene, budgetId=budget["id"]).json()["results"][0]["id"]
    detached = patch(till, order_id, budgetId=None)
    assert (detached.status_code, detached.json()["title"]) == (403, "Budget required")
    assert till.get(f"/v2/orders/{order_id}").json()["budgetId"] == budget["id"]


def test_orders_placed_at_the_same_moment_cannot_exceed_a_limit(till, take_scene, new_budget):
    scene = take_scene()
    price = till.post("/v2/orders/estimate", till.order_body(scene.id)).json()["summary"]["totalCredits"]
    budget = new_budget(spendLimit=3 * price)
    start, statuses = threading.Barrier(8), []
    body, headers = till.order_body(scene.id, budgetId=budget["id"]), dict(till.http.headers)

    def buy():
        start.wait()
        url = f"{till.url}/v2/orders?workspaceId={till.workspace_id}"
        statuses.append(requests.post(url, json=body, headers=headers, timeout=20).status_code)

    buyers = [threading.Thread(target=buy) for _ in range(8)]
    for buyer in buyers:
        buyer.start()
    for buyer in buyers:
        buyer.join()
    assert sorted(statuses) == [201] * 3 + [403] * 5
    assert till.get(f"/v2/orders?budgetIds={budget['id']}").json()["totalElements"] == 3


def test_credits_that_are_promised_are_not_promised_twice(start_sandbox, take_scene):
    scene = take_scene()
    poor = start_sandbox(speed=1)
    body = poor.order_body(scene.id, geometries=[mapping(scene.footprint)])
    price = poor.post("/v2/orders/estimate", body).json()["summary"]["totalCredits"]
    balance = poor.get("/sandbox/access").json()["credits"]["balance"]
    poor.post("/sandbox/access", {"credits": 2 * price - balance})
    path = f"/v2/orders?workspaceId={poor.workspace_id}"
    assert [poor.post(path, body).status_code for _ in range(3)] == [201, 201, 403]
    credits = poor.get("/sandbox/ledger").json()["balance"]
    assert credits == {
        "credited": 2 * price,
        "charged": 0,
        "reserved": 2 * price,
        "balance": 2 * price,
        "available": 0,
    }
    assert poor.get("/v2/payments/balances").json() == {"available": {"amount": 2 * price, "unit": "CREDIT"}}
