"""Credits of orders and jobs, from their rows alone: jobs are written into the state by hand."""

import contextlib
import json
import sqlite3
import time

import pytest

SECOND = 1_000_000
BUDGET = "b0d9e700-0000-4000-8000-000000000002"
# What each life costs 100 credits for: statuses with the seconds from now at which they begin.
LIVES = {
    "created": {"created": -9, "licensed": 900, "valid": 901, "accepted": 902, "successful": 990},
    "accepted": {"created": -9, "accepted": -5, "running": 900, "successful": 990},
    "running": {"created": -9, "accepted": -7, "running": -5, "failed": 990, "released": 991},
    "successful": {"created": -9, "accepted": -7, "running": -6, "successful": -5},
    "captured": {"created": -9, "accepted": -7, "successful": -6, "captured": -5},
    "failed": {"created": -9, "accepted": -7, "running": -6, "failed": -5, "released": 900},
    "released": {"created": -9, "accepted": -7, "running": -6, "failed": -5, "released": -4},
    "rejected": {"created": -9, "valid": -8, "rejected": -7},
    "unlicensed": {"created": -9, "unlicensed": -8},
}
RESERVED, CHARGED = {"created", "accepted", "running", "failed"}, {"successful", "captured"}


@pytest.fixture(scope="module")
def office(start_sandbox):
    """A sandbox that finds the jobs of another process in its state."""
    before = start_sandbox(speed=1)
    before.stop()
    now = time.time_ns() // 1000
    with contextlib.closing(sqlite3.connect(before.state / "sandbox.sqlite")) as database, database:
        for name, life in LIVES.items():
            job = (name, "upsampling-ns", json.dumps({"title": f"a {name} job"}), 100, BUDGET, now - 9 * SECOND)
            database.execute(
                "INSERT INTO jobs (id, process_id, inputs, items, credits, budget_id, created_at)"
                " VALUES (?, ?, ?, '', ?, ?, ?)",
                job,
            )
            for step, (status, at) in enumerate(life.items()):
                database.execute("INSERT INTO job_events VALUES (?, ?, ?, ?)", (name, now + at * SECOND, step, status))
    return start_sandbox(before.state, speed=1)


def test_the_ledger_shows_jobs_with_their_charges(office):
    jobs = {job["id"]: job for job in office.get("/sandbox/ledger").json()["jobs"]}
    assert {name: job["status"] for name, job in jobs.items()} == {name: name for name in LIVES}
    assert {name for name, job in jobs.items() if job["charges"]} == CHARGED
    assert {name: [charge["credits"] for charge in jobs[name]["charges"]] for name in CHARGED} == {
        name: [100] for name in CHARGED
    }
    one = jobs["running"]
    assert (one["processId"], one["title"]) == ("upsampling-ns", "a running job")
    assert (one["credits"], one["budgetId"], one["createdAt"][-1]) == (100, BUDGET, "Z")


def test_credits_are_set_aside_for_jobs_that_will_be_accepted(office):
    balance = office.get("/sandbox/ledger").json()["balance"]
    assert balance["charged"] == 100 * len(CHARGED)
    assert balance["reserved"] == 100 * len(RESERVED)
    assert balance["balance"] == balance["credited"] - balance["charged"]
    assert balance["available"] == balance["balance"] - balance["reserved"]
    assert office.get("/v2/payments/balances").json()["available"]["amount"] == balance["balance"]


def test_budgets_pay_for_jobs_too(office, take_scene):
    usage = office.get(f"/v2/budgets/{BUDGET}/usage").json()
    assert usage == {"budgetId": BUDGET, "consumedCredits": 100 * len(CHARGED)}
    taken = 100 * (len(CHARGED) + len(RESERVED))
    scene, path = take_scene(), f"/v2/orders?workspaceId={office.workspace_id}"
    body = office.order_body(scene.id, budgetId=BUDGET)
    price = office.post("/v2/orders/estimate", body).json()["summary"]["totalCredits"]
    office.post("/sandbox/access", {"budgets": [{"id": BUDGET, "spendLimit": taken + price - 1}]})
    assert office.post(path, body).status_code == 403
    office.post("/sandbox/access", {"budgets": [{"id": BUDGET, "spendLimit": taken + price}]})
    placed = office.post(path, body)
    assert placed.status_code == 201
    office.post(f"/v2/orders/{placed.json()['results'][0]['id']}/cancellation")
    office.post("/sandbox/access", {"budgets": [{"id": BUDGET, "spendLimit": None}]})


def test_an_archive_order_is_charged_when_it_is_fulfilled_and_only_then(start_sandbox, take_scene):
    sandbox = start_sandbox(speed=1)
    for fate in ("fulfilled", "failed", "placement_failed"):
        sandbox.post("/sandbox/fates", {"kind": "order", "fate": fate})
    ids = [sandbox.place(take_scene().id) for _ in range(3)]

    def look():
        ledger = sandbox.get("/sandbox/ledger").json()
        return ledger["balance"], [next(one for one in ledger["orders"] if one["id"] == each) for each in ids]

    balance, orders = look()
    prices = [order["credits"] for order in orders]
    assert [order["charges"] for order in orders] == [[], [], []]
    assert (balance["charged"], balance["reserved"]) == (0, sum(prices))
    sandbox.post("/sandbox/clock", {"advance": 600})
    balance, orders = look()
    assert [order["status"] for order in orders] == ["FULFILLED", "FAILED_PERMANENTLY", "PLACEMENT_FAILED"]
    assert [[charge["credits"] for charge in order["charges"]] for order in orders] == [prices[:1], [], []]
    assert orders[0]["charges"][0]["at"] == sandbox.get(f"/v2/orders/{ids[0]}").json()["updatedAt"]
    assert (balance["charged"], balance["reserved"]) == (prices[0], prices[2])
    sandbox.post(f"/v2/orders/{ids[2]}/cancellation")
    assert look()[0]["reserved"] == 0
    assert {order["type"] for order in orders} == {"ARCHIVE"}
