"""Licences and restricted collections, and the call with which a test changes them."""

import pytest

from up42_pipelines.sandbox.account import account
from up42_pipelines.sandbox.catalog import products
from up42_pipelines.sandbox.core import chance
from up42_pipelines.sandbox.processing import processes

NOWHERE = "00000000-0000-4000-8000-000000000000"
EULA = products.OPTICAL.products[0].eula_id
OTHER_EULA = products.OPTICAL.products[1].eula_id


@pytest.fixture(scope="module")
def gated(start_sandbox):
    """A sandbox whose access the tests change, and change back."""
    return start_sandbox(speed=1)


@pytest.fixture
def change(gated):
    yield lambda body: gated.post("/sandbox/access", body)
    gated.post("/sandbox/access", {"eulas": {EULA: True}, "collections": {"sandbox-optical": True}})


def test_licences_are_accepted_from_the_start(sandbox):
    for eula_id in (
        EULA,
        products.TASKING.products[0].eula_id,
        chance.name_uuid("eula", "process", processes.PROCESSES[0].id),
    ):
        assert sandbox.get(f"/v2/eulas/{eula_id}").json() == {"id": eula_id, "isAccepted": True}
    for eula_id in (NOWHERE, "nonsense"):
        assert sandbox.get(f"/v2/eulas/{eula_id}").status_code == 404


def test_without_its_licence_a_data_product_cannot_be_ordered(gated, change, take_scene):
    scene, path = take_scene(), f"/v2/orders?workspaceId={gated.workspace_id}"
    shown = change({"eulas": {EULA: False}}).json()
    assert (shown["eulas"][EULA], shown["eulas"][OTHER_EULA]) == (False, True)
    assert gated.get(f"/v2/eulas/{EULA}").json() == {"id": EULA, "isAccepted": False}
    before = len(gated.get("/sandbox/ledger").json()["orders"])
    refused = gated.post(path, gated.order_body(scene.id))
    assert refused.status_code == 451
    assert set(refused.json()) == {"status", "title", "detail"}
    assert (refused.json()["status"], refused.json()["detail"]) == (451, None)
    assert refused.json()["title"].startswith(f"EULA {EULA} is not accepted.")
    assert len(gated.get("/sandbox/ledger").json()["orders"]) == before
    assert gated.post("/v2/orders/estimate", gated.order_body(scene.id)).status_code == 200
    assert gated.post(path, gated.order_body(scene.id, product="display")).status_code == 201
    change({"eulas": {EULA: True}})
    assert gated.post(path, gated.order_body(scene.id)).status_code == 201


def test_a_restricted_collection_cannot_be_ordered_from(gated, change, take_scene):
    scene, path = take_scene(), f"/v2/orders?workspaceId={gated.workspace_id}"
    shown = change({"collections": {"sandbox-optical": False}}).json()
    assert shown["collections"] == {"sandbox-optical": False, "sandbox-tasking": True}
    refused = gated.post(path, gated.order_body(scene.id, product="display"))
    assert refused.status_code == 451
    start = f"Access to collection sandbox-optical is restricted for account {account.ACCOUNT_ID}."
    assert refused.json()["title"].startswith(start)
    assert (refused.json()["status"], refused.json()["detail"]) == (451, None)
    change({"collections": {"sandbox-optical": True}})
    assert gated.post(path, gated.order_body(scene.id, product="display")).status_code == 201


def test_credits_are_added_and_taken(gated, change):
    before = gated.get("/v2/payments/balances").json()["available"]["amount"]
    change({"credits": 250})
    shown = change({"credits": -50}).json()["credits"]
    assert shown["balance"] == gated.get("/v2/payments/balances").json()["available"]["amount"] == before + 200
    assert shown["available"] == shown["balance"] - shown["reserved"]


def test_budgets_are_added_and_changed(change):
    before = change({}).json()["budgets"]
    added = change({"budgets": [{"name": "new", "spendLimit": 7}]}).json()["budgets"][-1]
    assert (added["name"], added["status"], added["spendLimit"]) == ("new", "ACTIVE", 7)
    changed = change({"budgets": [{"id": added["id"], "status": "INACTIVE", "spendLimit": None}]}).json()["budgets"]
    assert (changed[-1]["name"], changed[-1]["status"], "spendLimit" in changed[-1]) == ("new", "INACTIVE", False)
    assert changed[-1]["updatedAt"] > changed[-1]["createdAt"]
    assert changed[:-1] == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"eula": {}}, 400),
        ({"eulas": {NOWHERE: False}}, 400),
        ({"eulas": {EULA: "no"}}, 400),
        ({"eulas": [EULA]}, 400),
        ({"collections": {"phr": False}}, 400),
        ({"credits": 1.5}, 400),
        ({"credits": True}, 400),
        ({"credits": 10**13}, 400),
        ({"budgetEnforcement": "yes"}, 400),
        ({"budgets": {}}, 400),
        ({"budgets": [{}]}, 400),
        ({"budgets": [{"name": ""}]}, 400),
        ({"budgets": [{"name": "x", "spendLimit": -1}]}, 400),
        ({"budgets": [{"name": "x", "status": "OPEN"}]}, 400),
        ({"budgets": [{"name": "x", "limit": 1}]}, 400),
        ({"budgets": [{"name": "x", "validityPeriod": {"startDate": "2026-01-01"}}]}, 400),
        ({"budgets": [{"id": NOWHERE, "name": "x"}]}, 404),
        ([], 400),
    ],
)
def test_what_cannot_be_done_changes_nothing(gated, change, body, status):
    before = gated.get("/sandbox/access").json()
    if isinstance(body, dict) and "credits" not in body:
        body = {"credits": 1, **body}  # would be seen if half of the body were done
    answer = change(body)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert gated.get("/sandbox/access").json() == before
