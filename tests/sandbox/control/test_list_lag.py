"""Lists that show what was placed only after a while, as UP42's may."""

import time
from itertools import pairwise

import pytest

from up42_pipelines.sandbox.control.fault_rules import FaultOrder

HOUR = 3600
ORDERS, JOBS = "/v2/orders", "/v2/processing/jobs"


@pytest.fixture(scope="module")
def late(start_sandbox):
    """A sandbox whose clock the tests move on: nothing that a test placed is young when the next one begins."""
    return start_sandbox()


@pytest.fixture
def lag(late):
    """`lag(seconds, **rule)`: from now on lists are so late, or as often as the rule says."""

    def lag(seconds, **rule):
        fault = {"kind": "list_lag", "seconds": seconds, "times": None, **rule}
        answer = late.post("/sandbox/faults", {"faults": [fault]})
        assert answer.status_code == 200, answer.text

    yield lag
    late.http.delete(f"{late.url}/sandbox/faults").raise_for_status()
    advance(late, HOUR)


@pytest.fixture(scope="module")
def scene(take_scene):
    return take_scene()


@pytest.fixture(scope="module")
def start_job(late, take_scene):
    """`start_job(title)`: the id of a new job."""
    [item] = late.wait_for_items(late.place(take_scene().id))
    inputs = {"item": next(link["href"] for link in item["links"] if link["rel"] == "self")}
    path = f"/v2/processing/processes/true-color-conversion/execution?workspaceId={late.workspace_id}"
    return lambda title: late.post(path, {"inputs": {**inputs, "title": title}}).json()["jobID"]


def advance(sandbox, seconds):
    sandbox.post("/sandbox/clock", {"advance": seconds}).raise_for_status()


def order_pages(sandbox, **query):
    """Every page of a list of orders, up to the one that says that it is the last."""
    pages = []
    while not pages or not pages[-1]["last"]:
        query["page"] = len(pages)
        pages.append(sandbox.get(ORDERS, params=query).json())
    return pages


def listed_orders(sandbox, tag):
    return [row["id"] for page in order_pages(sandbox, tags=tag) for row in page["content"]]


def listed_jobs(sandbox, **query):
    """Ids of all jobs over pages."""
    ids, path = [], f"{JOBS}?{'&'.join(f'{name}={value}' for name, value in query.items())}"
    while path:
        page = sandbox.get(path).json()
        ids += [job["jobID"] for job in page["jobs"]]
        path = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)
    return ids


@pytest.mark.parametrize("sort", ["createdAt,desc", "createdAt,asc", "status,asc"])
def test_pages_and_totals_are_those_of_the_orders_that_are_shown(late, lag, scene, sort):
    tag = f"pages of {sort.replace(',', ' ')}"
    old = [late.place(scene.id, tags=[tag]) for _ in range(5)]
    advance(late, HOUR)
    young = [late.place(scene.id, tags=[tag]) for _ in range(2)]
    lag(HOUR)
    pages = order_pages(late, tags=tag, size=2, sort=sort)
    assert sorted(row["id"] for page in pages for row in page["content"]) == sorted(old)
    assert {(page["totalElements"], page["totalPages"]) for page in pages} == {(5, 3)}
    assert [page["numberOfElements"] for page in pages] == [2, 2, 1]
    advance(late, HOUR)
    pages = order_pages(late, tags=tag, size=2, sort=sort)
    assert sorted(row["id"] for page in pages for row in page["content"]) == sorted(old + young)
    assert {(page["totalElements"], page["totalPages"]) for page in pages} == {(7, 4)}


def test_an_order_that_is_not_listed_is_there_all_the_same(late, lag, scene):
    lag(HOUR)
    late.post("/sandbox/fates", {"kind": "order", "fate": "fulfilled"}).raise_for_status()
    order_id = late.place(scene.id, tags=["unlisted"], name="unlisted")
    for query in ({}, {"tags": "unlisted"}, {"displayName": "unlisted"}, {"orderIds": order_id}):
        assert order_id not in [row["id"] for row in late.get(ORDERS, params=query).json()["content"]]
    assert late.get(f"{ORDERS}/{order_id}").json()["id"] == order_id
    ledger = late.get("/sandbox/ledger").json()
    assert [one["tags"] for one in ledger["orders"] if one["id"] == order_id] == [["unlisted"]]
    assert late.wait_for_end(order_id) == "FULFILLED"
    ledger = late.get("/sandbox/ledger").json()
    [order] = [one for one in ledger["orders"] if one["id"] == order_id]
    assert sum(charge["credits"] for charge in order["charges"]) == order["credits"] > 0


def test_jobs_are_listed_late_too(late, lag, start_job):
    old = [start_job(f"old {number}") for number in range(3)]
    advance(late, HOUR)
    young = start_job("young")
    lag(HOUR)
    for sort in ("created,desc", "created,asc", "status,asc"):
        found = listed_jobs(late, limit=2, sort=sort)
        assert len(set(found)) == len(found)
        assert {*old, young} & {*found} == {*old}
    assert listed_jobs(late, ids=young) == []
    assert late.get(f"{JOBS}/{young}").json()["definition"]["inputs"]["title"] == "young"
    assert young in [one["id"] for one in late.get("/sandbox/ledger").json()["jobs"]]
    advance(late, HOUR)
    assert {*old, young} <= {*listed_jobs(late, limit=2)}


@pytest.mark.parametrize("seconds", [0.3, 0.6])
def test_seconds_are_real_ones(late, lag, scene, await_true, seconds):
    tag = f"real {seconds}"
    lag(seconds)
    asked = time.monotonic()
    order_id = late.place(scene.id, tags=[tag])
    await_true(lambda: listed_orders(late, tag) == [order_id])
    assert time.monotonic() - asked >= seconds


def test_the_list_is_right_again_when_the_rule_is_used_up(late, lag, scene):
    order_id = late.place(scene.id, tags=["once"])
    lag(HOUR, times=1)
    assert late.get(f"{ORDERS}/{order_id}").status_code == 200
    assert late.post(f"{ORDERS}/estimate", late.order_body(scene.id)).status_code == 200
    assert listed_orders(late, "once") == []
    assert listed_orders(late, "once") == [order_id]


def test_of_two_rules_the_longer_lag_counts(late, lag, scene):
    late.place(scene.id, tags=["two rules"])
    for seconds in (0, HOUR, 0):
        lag(seconds)
    assert listed_orders(late, "two rules") == []


def test_a_path_names_one_of_the_lists(late, lag, scene, start_job):
    order_id, job_id = late.place(scene.id, tags=["one list"]), start_job("one list")
    lag(HOUR, path=JOBS)
    assert listed_orders(late, "one list") == [order_id]
    assert listed_jobs(late, ids=job_id) == []


def test_other_requests_are_not_met():
    [rule] = FaultOrder.model_validate({"faults": [{"kind": "list_lag", "seconds": 1}]}).faults
    assert rule.matches("GET", ORDERS)
    assert rule.matches("GET", JOBS)
    others = [("POST", ORDERS), ("GET", f"{ORDERS}/1"), ("GET", f"{JOBS}/1"), ("GET", "/v2/assets"), ("HEAD", ORDERS)]
    assert not any(rule.matches(*other) for other in others)


def test_what_is_listed_stays_listed(late, lag, scene, await_true):
    """As the lag ends for one order after the other, each page shows the oldest ones, without a gap."""
    lag(0.2)
    placed, seen = [late.place(scene.id, tags=["one by one"]) for _ in range(4)], []

    def all_are_listed():
        seen.append(listed_orders(late, "one by one")[::-1])
        return len(seen[-1]) == len(placed)

    await_true(all_are_listed)
    assert all(found == placed[: len(found)] for found in seen)
    assert all(len(before) <= len(after) for before, after in pairwise(seen))
