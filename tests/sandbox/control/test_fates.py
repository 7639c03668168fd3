"""What happens to the next orders is decided by the test, not by chance."""

import pytest


@pytest.fixture(scope="module")
def loom(start_sandbox):
    """A sandbox at the speed of life; time passes when a test lets it pass."""
    return start_sandbox(speed=1)


@pytest.fixture(autouse=True)
def no_fates(loom):
    loom.http.delete(f"{loom.url}/sandbox/fates")


def decide(sandbox, fate, **options):
    answer = sandbox.post("/sandbox/fates", {"kind": "order", "fate": fate, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


def history(sandbox, order_id, *ends):
    """Look every five seconds until an order has ended; returns its statuses."""
    seen = []
    while True:
        status = sandbox.status(order_id)
        seen += [status] if status not in seen else []
        if status in ends:
            return seen
        sandbox.post("/sandbox/clock", {"advance": 5})


@pytest.mark.parametrize(
    ("fate", "end", "stumbled", "parts"),
    [
        ("fulfilled", "FULFILLED", False, 1),
        ("in_parts", "FULFILLED", False, 2),
        ("stumbles", "FULFILLED", True, 1),
        ("failed", "FAILED_PERMANENTLY", False, 0),
    ],
)
def test_an_order_meets_its_fate_whatever_chance_had_in_mind(loom, take_scene, fate, end, stumbled, parts):
    # Left to chance, this one would stumble, fail or arrive otherwise.
    scene = take_scene(ends="FAILED_PERMANENTLY") if fate != "failed" else take_scene(parts=2)
    decide(loom, fate)
    order_id = loom.place(scene.id)
    seen = history(loom, order_id, "FULFILLED", "FAILED_PERMANENTLY")
    assert seen[-1] == end
    assert ("PLACEMENT_FAILED" in seen) == stumbled
    loom.post("/sandbox/clock", {"advance": 120})
    assert len(loom.items_of(order_id)) == parts
    charges = next(one["charges"] for one in loom.get("/sandbox/ledger").json()["orders"] if one["id"] == order_id)
    assert len(charges) == (end == "FULFILLED")


def test_a_failed_placement_stays_until_it_is_canceled(loom, take_scene):
    decide(loom, "placement_failed")
    order_id = loom.place(take_scene().id)
    history(loom, order_id, "PLACEMENT_FAILED")
    loom.post("/sandbox/clock", {"advance": 86400})
    assert loom.status(order_id) == "PLACEMENT_FAILED"
    answer = loom.post(f"/v2/orders/{order_id}/cancellation")
    assert answer.json() == {"orderId": order_id, "status": "CANCELED"}
    assert loom.status(order_id) == "CANCELED"


def test_nothing_comes_of_an_order_that_was_canceled(loom, take_scene):
    decide(loom, "stumbles")
    order_id = loom.place(take_scene().id)
    history(loom, order_id, "PLACEMENT_FAILED")
    assert loom.post(f"/v2/orders/{order_id}/cancellation").status_code == 200
    loom.post("/sandbox/clock", {"advance": 86400})
    assert loom.status(order_id) == "CANCELED"
    assert loom.get(f"/v2/assets?search={order_id}").json()["content"] == loom.items_of(order_id) == []
    assert loom.get(f"/v2/coverage/orders/{order_id}").json()["covered"]["sqKmArea"] == 0
    (entry,) = [one for one in loom.get("/sandbox/ledger").json()["orders"] if one["id"] == order_id]
    assert entry["charges"] == []


def test_fates_are_used_up_in_their_order_by_what_is_bought(loom, take_scene):
    decide(loom, "failed", times=2)
    decide(loom, "in_parts")
    listed = loom.post("/sandbox/fates", {"kind": "job", "fate": "running"}).json()["fates"]
    assert listed == [
        {"kind": "order", "fate": "failed"},
        {"kind": "order", "fate": "failed"},
        {"kind": "order", "fate": "in_parts"},
        {"kind": "job", "fate": "running"},
    ]
    scene = take_scene()
    loom.post("/v2/orders/estimate", loom.order_body(scene.id))
    loom.post(f"/v2/orders?workspaceId={loom.workspace_id}", loom.order_body("SBX_unknown"))
    assert loom.get("/sandbox/fates").json()["fates"] == listed
    loom.place(scene.id)
    assert loom.get("/sandbox/fates").json()["fates"] == listed[1:]
    assert loom.http.delete(f"{loom.url}/sandbox/fates").json() == {"fates": []}


def test_fates_survive_a_restart(start_sandbox, take_scene):
    one = start_sandbox(speed=1)
    decide(one, "placement_failed")
    one.kill()
    again = start_sandbox(one.state, speed=1)
    order_id = again.place(take_scene().id)
    assert history(again, order_id, "PLACEMENT_FAILED", "PLACED")[-1] == "PLACEMENT_FAILED"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "order"},
        {"kind": "order", "fate": "successful"},
        {"kind": "job", "fate": "fulfilled"},
        {"kind": "parcel", "fate": "failed"},
        {"kind": ["order"], "fate": "failed"},
        {"kind": "order", "fate": ["failed"]},
        {"kind": "order", "fate": "failed", "times": 0},
        {"kind": "order", "fate": "failed", "times": 1001},
        {"kind": "order", "fate": "failed", "times": True},
        {"kind": "order", "fate": "failed", "count": 2},
    ],
)
def test_fates_that_do_not_exist_are_refused(loom, body):
    answer = loom.post("/sandbox/fates", body)
    assert (answer.status_code, answer.json()["title"]) == (400, "Bad Request")
    assert loom.get("/sandbox/fates").json() == {"fates": []}


@pytest.mark.parametrize(("fate", "status"), [("untransformed", "FAILED"), ("unfinished", "IN_PROGRESS")])
def test_what_is_delivered_may_become_no_item(loom, take_scene, fate, status):
    decide(loom, fate)
    order_id = loom.place(take_scene().id)
    assert history(loom, order_id, "FULFILLED", "FAILED_PERMANENTLY")[-1] == "FULFILLED"
    [asset] = loom.get(f"/v2/assets?search={order_id}").json()["content"]
    assert asset["geospatialMetadataExtractionStatus"] == "IN_PROGRESS"
    loom.post("/sandbox/clock", {"advance": 86_400})
    [asset] = loom.get(f"/v2/assets?search={order_id}").json()["content"]
    assert asset["geospatialMetadataExtractionStatus"] == status
    assert loom.items_of(order_id) == []
    signed = loom.post(f"/v2/assets/{asset['id']}/download-url").json()["url"]
    assert loom.http.get(signed).content.startswith(b"PK")
