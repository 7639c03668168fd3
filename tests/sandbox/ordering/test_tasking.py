"""Tasking orders from the order form to the last delivery, with the decisions in between.

The sandboxes run at the speed of life, and time passes when a test lets it pass: nothing else happens meanwhile.
"""

import threading

import pytest
import requests
from shapely.geometry import shape
from shapely.ops import unary_union

from up42_pipelines.sandbox.catalog import products

NOWHERE = "00000000-0000-4000-8000-000000000000"
PRODUCT = products.TASKING.products[0]
WINDOW = {"acquisitionStart": "2026-07-01T00:00:00Z", "acquisitionEnd": "2026-07-31T00:00:00Z"}
STUDIES, QUOTATIONS = "/v2/tasking/feasibility-studies", "/v2/tasking/quotation"


class Desk:
    """Somebody who orders from a sandbox and answers what it asks."""

    def __init__(self, sandbox, aoi):
        self.sandbox, self.aoi = sandbox, aoi

    def body(self, *, geometries=None, name="harbour watch", product=PRODUCT, extra=None, **params):
        features = [{"type": "Feature", "properties": {}, "geometry": one} for one in geometries or [self.aoi]]
        collection = {"type": "FeatureCollection", "features": features}
        body = {"dataProduct": product.id, "displayName": name, "params": {**WINDOW, **params}}
        return {**body, "featureCollection": collection, **(extra or {})}

    def post(self, **options):
        return self.sandbox.post(f"/v2/orders?workspaceId={self.sandbox.workspace_id}", self.body(**options))

    def place(self, **options):
        answer = self.post(**options)
        assert (answer.status_code, answer.json()["errors"]) == (201, []), answer.text
        return answer.json()["results"][0]["id"]

    def decide(self, fate):
        answer = self.sandbox.post("/sandbox/fates", {"kind": "order", "fate": fate})
        assert answer.status_code == 200, answer.text

    def order(self, order_id):
        return self.sandbox.get(f"/v2/orders/{order_id}").json()

    def standing(self, order_id):
        order = self.order(order_id)
        return order["status"], order["orderDetails"]["subStatus"]

    def sleep(self, seconds):
        assert self.sandbox.post("/sandbox/clock", {"advance": seconds}).status_code == 200

    def listed(self, path, **query):
        return self.sandbox.get(path, params=query).json()["content"]

    def study(self, order_id):
        """Wait for the study: it takes one to three minutes."""
        self.sleep(180)
        (study,) = self.listed(STUDIES, orderId=order_id)
        return study

    def quotation(self, order_id):
        """Accept the first option of the study and wait for the quotation: one to three minutes more."""
        assert self.accept(self.study(order_id)).status_code == 200
        self.sleep(180)
        (quotation,) = self.listed(QUOTATIONS, orderId=order_id)
        return quotation

    def watch(self, order_id, *ends):
        """Look every twenty seconds until an order has ended; returns each standing with how much was delivered."""
        seen = []
        while True:
            standing = self.standing(order_id)
            covered = self.sandbox.get(f"/v2/coverage/orders/{order_id}").json()["covered"]["percentage"]
            look = (*standing, covered)
            seen += [look] if look not in seen else []
            if look[0] in ends:
                return seen
            self.sleep(20)

    def accept(self, study, option=0):
        return self.patch(f"{STUDIES}/{study['id']}", {"acceptedOptionId": study["options"][option]["id"]})

    def answer(self, quotation, decision):
        return self.patch(f"{QUOTATIONS}/{quotation['id']}", {"decision": decision})

    def patch(self, path, body):
        return self.sandbox.http.patch(self.sandbox.url + path, json=body)

    def balance(self):
        return self.sandbox.get("/v2/payments/balances").json()["available"]["amount"]

    def ledger(self, order_id):
        return next(one for one in self.sandbox.get("/sandbox/ledger").json()["orders"] if one["id"] == order_id)


@pytest.fixture(scope="module")
def desk(start_sandbox, aoi):
    return Desk(start_sandbox(speed=1), aoi)


def test_an_order_shows_what_was_asked_for_and_the_forms_defaults(desk, aoi):
    order_id = desk.place(
        name="harbour", displayName="in the params", cloudCoverage=10, extraDescription="piers", extra={"tags": ["a"]}
    )
    order = desk.order(order_id)
    assert (order["type"], order["status"], order["displayName"]) == ("TASKING", "CREATED", "harbour")
    assert (order["dataProductId"], order["tags"], order["budgetId"]) == (PRODUCT.id, ["a"], None)
    assert order["orderDetails"] == {
        **WINDOW,
        "geometry": aoi,
        "extraDescription": "piers",
        "subStatus": "FEASIBILITY_WAITING_UPLOAD",
        "acquisitionMode": "mono",
        "maxCloudCover": 10,
        "maxIncidenceAngle": 30,
        "geometricProcessing": "ortho",
    }
    assert desk.ledger(order_id)["geometry"] == aoi
    stereo = desk.order(desk.place(acquisitionMode="stereo", minBH=0.3, maxBH=0.5))["orderDetails"]
    assert (stereo["acquisitionMode"], stereo["minBH"], stereo["maxBH"]) == ("stereo", 0.3, 0.5)
    assert desk.listed(STUDIES, orderId=order_id) == []


def test_an_accepted_order_is_paid_and_arrives_piece_by_piece(desk, aoi):
    before = desk.balance()
    desk.decide("in_parts")
    order_id = desk.place(cloudCoverage=7)
    assert desk.listed(STUDIES, orderId=order_id) == []
    study = desk.study(order_id)
    assert desk.standing(order_id) == ("CREATED", "FEASIBILITY_WAITING_RESPONSE")
    assert desk.order(order_id)["updatedBy"]["type"] == "INTERNAL"
    assert (study["type"], study["decision"], study["decisionOption"]) == ("MANUAL", "NOT_DECIDED", None)
    assert (study["decisionAt"], study["decisionById"], study["decisionByType"]) == (None, None, None)
    option = {"id", "createdAt", "updatedAt", "studyId", "description"}
    assert [set(one) for one in study["options"]] == [option, option]

    decided = desk.accept(study, option=1).json()
    assert (decided["decision"], decided["decisionOption"]) == ("ACCEPTED", study["options"][1])
    assert decided["decisionAt"] == decided["updatedAt"] > decided["createdAt"]
    assert (decided["decisionById"], decided["decisionByType"]) == (desk.sandbox.workspace_id, "USER")
    assert desk.standing(order_id) == ("CREATED", "QUOTATION_WAITING_UPLOAD")
    assert desk.order(order_id)["updatedBy"]["type"] == "USER"
    assert desk.listed(QUOTATIONS, orderId=order_id) == []
    desk.sleep(180)
    (quotation,) = desk.listed(QUOTATIONS, orderId=order_id)
    assert desk.standing(order_id) == ("CREATED", "QUOTATION_WAITING_RESPONSE")
    assert f"{quotation['creditsPrice']} credits" in study["options"][1]["description"]
    assert (desk.balance(), desk.ledger(order_id)["charges"]) == (before, [])

    accepted = desk.answer(quotation, "ACCEPTED").json()
    assert accepted["decision"] == "ACCEPTED"
    assert desk.balance() == before - quotation["creditsPrice"]
    assert desk.ledger(order_id)["charges"] == [{"at": accepted["decisionAt"], "credits": quotation["creditsPrice"]}]
    seen = desk.watch(order_id, "FULFILLED")
    assert {sub_status for _, sub_status, _ in seen} == {"QUOTATION_ACCEPTED"}
    assert any(status == "BEING_FULFILLED" and 0 < covered < 100 for status, _, covered in seen)
    assert [covered for *_, covered in seen] == sorted(covered for *_, covered in seen)
    assert seen[-1] == ("FULFILLED", "QUOTATION_ACCEPTED", 100)
    assert desk.balance() == before - quotation["creditsPrice"]

    desk.sleep(120)  # until the last STAC item is made
    items = desk.sandbox.items_of(order_id)
    assert len(items) == len(desk.listed("/v2/assets", search=order_id)) > 1
    for item in items:
        assert WINDOW["acquisitionStart"] <= item["properties"]["datetime"] <= WINDOW["acquisitionEnd"]
        assert item["properties"]["eo:cloud_cover"] <= 7
        assert item["properties"]["up42-product:collection_name"] == "sandbox-tasking"
    assert len({item["properties"]["datetime"] for item in items}) == len(items)
    taken = unary_union([shape(item["geometry"]) for item in items])
    assert taken.symmetric_difference(shape(aoi)).area < 1e-12


def test_a_rejected_order_ends_canceled_and_costs_nothing(desk):
    before, order_id = desk.balance(), desk.place()
    rejected = desk.answer(desk.quotation(order_id), "REJECTED").json()
    assert rejected["decision"] == "REJECTED"
    assert desk.standing(order_id) == ("CREATED", "QUOTATION_REJECTED")
    desk.sleep(30)
    assert desk.standing(order_id) == ("CANCELED", "QUOTATION_REJECTED")
    assert desk.balance() == before
    assert desk.ledger(order_id)["credits"] is None


def test_decisions_and_what_follows_survive_a_kill(start_sandbox, aoi):
    desk = Desk(start_sandbox(speed=1), aoi)

    def kill():
        desk.sandbox.kill()
        desk.sandbox = start_sandbox(desk.sandbox.state, speed=1)

    desk.decide("fulfilled")
    order_id = desk.place()
    kill()
    quotation = desk.quotation(order_id)
    kill()
    assert desk.answer(quotation, "ACCEPTED").status_code == 200
    kill()
    assert desk.watch(order_id, "FULFILLED")[-1] == ("FULFILLED", "QUOTATION_ACCEPTED", 100)
    desk.sleep(120)
    (item,) = desk.sandbox.items_of(order_id)
    assert desk.sandbox.data_of(item)[:2] == b"II"
    assert item["properties"]["title"] == "SBT_20260719T232811_bqekdq9t_0_ANALYTIC"  # by the seed
    assert desk.ledger(order_id)["charges"][0]["credits"] == quotation["creditsPrice"]


@pytest.mark.parametrize("older", [False, True])
def test_refusals_have_up42s_bodies(desk, older):
    studies = "/v2/tasking/feasibility" if older else STUDIES
    missing = desk.patch(f"{studies}/{NOWHERE}", {"acceptedOptionId": NOWHERE})
    assert missing.status_code == 404
    title = f"Resource (FeasibilityStudy) not found with Id='{NOWHERE}'."
    assert missing.json() == {"status": 404, "title": title, "detail": {}}
    study = desk.study(desk.place())
    unknown = desk.patch(f"{studies}/{study['id']}", {"acceptedOptionId": NOWHERE})
    assert (unknown.status_code, unknown.json()["title"]) == (400, "Bad Request")
    answers = [
        desk.patch(f"{studies}/{study['id']}", {"acceptedOptionId": study["options"][0]["id"]}) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 405]
    title = "Resource (FeasibilityStudy) is write-protected."
    assert answers[1].json() == {"status": 405, "title": title, "detail": {}}

    missing = desk.answer({"id": NOWHERE}, "ACCEPTED")
    assert (missing.status_code, missing.json()) == (
        404,
        {"status": 404, "title": "Resource does not exist.", "detail": {}},
    )
    desk.sleep(180)
    (quotation,) = desk.listed(QUOTATIONS, orderId=study["orderId"])
    assert desk.answer(quotation, "NOT_DECIDED").status_code == 400
    answers = [desk.answer(quotation, "REJECTED"), desk.answer(quotation, "ACCEPTED")]
    assert [answer.status_code for answer in answers] == [200, 405]
    title = "Resource (Quotation) is write-protected."
    assert answers[1].json() == {"status": 405, "title": title, "detail": {}}


def test_of_decisions_at_the_same_moment_exactly_one_wins(desk):
    quotations = [desk.quotation(desk.place()) for _ in range(10)]
    before, decisions, start = desk.balance(), ("ACCEPTED", "REJECTED") * 2, threading.Barrier(4)
    answers = []

    def decide(decision):
        with requests.Session() as http:
            http.headers.update(desk.sandbox.http.headers)
            for quotation in quotations:
                start.wait()
                url = f"{desk.sandbox.url}{QUOTATIONS}/{quotation['id']}"
                answer = http.patch(url, json={"decision": decision}, timeout=10)
                answers.append((quotation["id"], answer.status_code, decision))

    deciders = [threading.Thread(target=decide, args=(one,)) for one in decisions]
    for decider in deciders:
        decider.start()
    for decider in deciders:
        decider.join()
    spent = 0
    for quotation in quotations:
        mine = [(status, decision) for quotation_id, status, decision in answers if quotation_id == quotation["id"]]
        assert sorted(status for status, _ in mine) == [200, 405, 405, 405]
        (winner,) = [decision for status, decision in mine if status == 200]
        (decided,) = desk.listed(QUOTATIONS, id=quotation["id"])
        assert decided["decision"] == winner
        spent += quotation["creditsPrice"] if winner == "ACCEPTED" else 0
    assert before - desk.balance() == spent


def test_a_quotation_that_cannot_be_paid_stays_open(start_sandbox, aoi):
    poor = Desk(start_sandbox(speed=1), aoi)
    order_id = poor.place()
    quotation = poor.quotation(order_id)
    missing = quotation["creditsPrice"] - 1 - poor.balance()
    assert poor.sandbox.post("/sandbox/access", {"credits": missing}).status_code == 200
    refused = poor.answer(quotation, "ACCEPTED")
    assert (refused.status_code, refused.json()["title"]) == (403, "Insufficient credits")
    assert poor.standing(order_id) == ("CREATED", "QUOTATION_WAITING_RESPONSE")
    assert poor.listed(QUOTATIONS, id=quotation["id"]) == [quotation]
    assert poor.balance() == quotation["creditsPrice"] - 1
    poor.sandbox.post("/sandbox/access", {"credits": 1})
    assert poor.answer(quotation, "ACCEPTED").status_code == 200
    assert poor.balance() == 0
    # Asking costs nothing, even when the account is in debt.
    poor.sandbox.post("/sandbox/access", {"credits": -5})
    assert poor.post().status_code == 201


def test_a_quotation_is_paid_by_the_orders_budget(desk):
    tight = {"name": "tight", "spendLimit": 1}
    budget = desk.sandbox.post("/sandbox/access", {"budgets": [tight]}).json()["budgets"][-1]
    order_id = desk.place(extra={"budgetId": budget["id"]})
    quotation = desk.quotation(order_id)
    refused = desk.answer(quotation, "ACCEPTED")
    assert (refused.status_code, refused.json()["title"]) == (403, "Budget exceeded")
    assert desk.listed(QUOTATIONS, id=quotation["id"]) == [quotation]
    wider = {"id": budget["id"], "spendLimit": quotation["creditsPrice"]}
    desk.sandbox.post("/sandbox/access", {"budgets": [wider]})
    assert desk.answer(quotation, "ACCEPTED").status_code == 200
    usage = desk.sandbox.get(f"/v2/budgets/{budget['id']}/usage").json()
    assert usage == {"budgetId": budget["id"], "consumedCredits": quotation["creditsPrice"]}


def test_an_order_can_be_canceled_until_its_quotation_is_accepted(desk):
    early = desk.place()
    desk.sandbox.post(f"/v2/orders/{early}/cancellation")
    desk.sleep(180)
    assert desk.standing(early) == ("CANCELED", "FEASIBILITY_WAITING_UPLOAD")
    assert desk.listed(STUDIES, orderId=early) == []

    waiting = desk.place()
    study = desk.study(waiting)
    canceled = desk.sandbox.post(f"/v2/orders/{waiting}/cancellation")
    assert canceled.json() == {"orderId": waiting, "status": "CANCELED"}
    assert desk.standing(waiting) == ("CANCELED", "FEASIBILITY_WAITING_RESPONSE")
    assert desk.order(waiting)["updatedBy"]["type"] == "USER"
    assert desk.accept(study).status_code == 405

    quoted = desk.place()
    quotation = desk.quotation(quoted)
    assert desk.sandbox.post(f"/v2/orders/{quoted}/cancellation").status_code == 200
    assert desk.answer(quotation, "ACCEPTED").status_code == 405
    assert desk.standing(quoted)[0] == "CANCELED"

    desk.decide("placement_failed")
    accepted = desk.place()
    assert desk.answer(desk.quotation(accepted), "ACCEPTED").status_code == 200
    assert desk.watch(accepted, "PLACEMENT_FAILED")[-1] == ("PLACEMENT_FAILED", "QUOTATION_ACCEPTED", 0)
    refused = desk.sandbox.post(f"/v2/orders/{accepted}/cancellation")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        f"order {accepted} is PLACEMENT_FAILED, QUOTATION_ACCEPTED",
    )


def test_studies_and_quotations_are_filtered_sorted_and_paged(desk):
    orders = [desk.place() for _ in range(3)]
    quotations = [desk.quotation(order_id) for order_id in orders]
    desk.answer(quotations[0], "ACCEPTED")
    desk.answer(quotations[1], "REJECTED")
    undecided = desk.place()
    study = desk.study(undecided)

    def orders_of(path, **query):
        return {one["orderId"] for one in desk.listed(path, size=1000, **query)}

    assert orders_of(STUDIES, decision="NOT_DECIDED") >= {undecided}
    assert not orders_of(STUDIES, decision="ACCEPTED") & {undecided}
    assert orders_of(STUDIES, decision=["NOT_DECIDED", "ACCEPTED"]) >= {undecided, *orders}
    assert orders_of("/v2/tasking/feasibility", id=study["id"]) == {undecided}
    assert orders_of(STUDIES, workspaceId=desk.sandbox.workspace_id) >= {undecided, *orders}
    assert orders_of(STUDIES, workspaceId=NOWHERE) == orders_of(QUOTATIONS, workspaceId=NOWHERE) == set()
    assert orders_of(QUOTATIONS, decision="REJECTED") >= {orders[1]}
    assert not orders_of(QUOTATIONS, decision=["NOT_DECIDED", "ACCEPTED"]) & {orders[1]}
    assert orders_of(QUOTATIONS, id=quotations[2]["id"], orderId=orders[2]) == {orders[2]}
    assert orders_of(QUOTATIONS, id=quotations[2]["id"], orderId=orders[0]) == set()

    for path, fields in (
        (STUDIES, ("createdAt", "updatedAt", "decisionAt")),
        (QUOTATIONS, ("createdAt", "updatedAt", "decisionAt", "creditsPrice")),
    ):
        for field in fields:
            upward = [one[field] or "" for one in desk.listed(path, sort=f"{field},asc", size=1000)]
            assert upward == sorted(upward)
        newest = desk.listed(path, size=2)
        assert newest == desk.listed(path, size=1000, sort="createdAt,desc")[:2]
        page = desk.sandbox.get(path, params={"size": 2, "page": 1}).json()
        assert (page["number"], page["size"], page["first"]) == (1, 2, False)
        for query in ("decision=MAYBE", "orderId=a", "id=a", "workspaceId=a", "sort=price"):
            assert desk.sandbox.get(f"{path}?{query}").status_code == 400
    assert desk.sandbox.get(f"{STUDIES}?decision=REJECTED").status_code == 400


def test_there_is_no_estimate(desk, aoi):
    answer = desk.sandbox.post("/v2/orders/estimate", desk.body(geometries=[aoi, None]))
    assert answer.status_code == 200
    assert (answer.json()["results"], answer.json()["summary"]["totalCredits"]) == ([], 0)
    messages = [(error["index"], error["message"]) for error in answer.json()["errors"]]
    assert messages == [(0, "Price estimation is not available"), (1, "Geometry is not valid")]


def test_a_hole_is_not_paid_for_whichever_way_it_turns(desk, aoi):
    outline = aoi["coordinates"][0]
    hole = [[13.365, 52.502], [13.385, 52.502], [13.385, 52.516], [13.365, 52.516], [13.365, 52.502]]
    told = [
        desk.study(desk.place(geometries=[{"type": "Polygon", "coordinates": rings}]))["options"][0]["description"]
        for rings in ([outline], [outline, hole], [outline, hole[::-1]])
    ]
    whole, *holed = (float(text.split(": ")[1].split(" km²")[0]) for text in told)
    assert holed[0] == holed[1] == pytest.approx(0.48 * whole, rel=0.01)


def test_features_fail_one_by_one(desk, aoi):
    huge = {"type": "Polygon", "coordinates": [[[0, 0], [2.1, 0], [2.1, 1], [0, 0]]]}
    polar = {"type": "Polygon", "coordinates": [[[0, 79], [1, 79], [1, 80.5], [0, 79]]]}
    tiny = {"type": "Polygon", "coordinates": [[[0, 0], [0.0001, 0], [0.0001, 0.0001], [0, 0]]]}
    answer = desk.post(geometries=[huge, aoi, polar, tiny, None, aoi], name="batch").json()
    assert [error["index"] for error in answer["errors"]] == [0, 2, 3, 4]
    names = [desk.order(line["id"])["displayName"] for line in answer["results"]]
    assert names == ["batch 2", "batch 6"]


@pytest.mark.parametrize(
    "params",
    [
        {"cloudCoverage": 21},
        {"cloudCoverage": "low"},
        {"incidenceAngle": 4},
        {"acquisitionMode": "tristereo"},
        {"geometricProcessing": "none"},
        {"minBH": 0.3},
        {"acquisitionStart": "2026-07-01"},
        {"acquisitionStart": "next week"},
        {"acquisitionEnd": "2026-06-30T00:00:00Z"},
        {"acquisitionEnd": WINDOW["acquisitionStart"]},
        {"acquisitionEnd": None},
        {"geometry": {}},
        {"id": "SBX_x"},
    ],
)
def test_params_must_match_the_form(desk, params):
    answer = desk.post(**params)
    assert answer.status_code == 400
    assert "order parameters errors: params" in answer.json()["detail"]


def test_orders_are_listed_by_type_and_sub_status(desk):
    waiting, accepted = desk.place(), desk.place()
    desk.study(waiting)
    desk.answer(desk.quotation(accepted), "ACCEPTED")
    both = f"{waiting},{accepted}"

    def found(**query):
        return {order["id"] for order in desk.listed("/v2/orders", orderIds=both, **query)}

    assert found(type="TASKING") == {waiting, accepted}
    assert found(type="ARCHIVE") == set()
    assert found(subStatus="FEASIBILITY_WAITING_RESPONSE") == {waiting}
    assert found(subStatus=["FEASIBILITY_WAITING_RESPONSE", "QUOTATION_ACCEPTED"]) == {waiting, accepted}
    assert found(subStatus="QUOTATION_REJECTED") == set()


@pytest.mark.parametrize(
    ("fate", "end", "parts"),
    [
        ("fulfilled", "FULFILLED", 1),
        ("stumbles", "FULFILLED", 1),
        ("failed", "FAILED_PERMANENTLY", 0),
        ("untransformed", "FULFILLED", 0),
        ("unfinished", "FULFILLED", 0),
    ],
)
def test_a_fate_decided_at_the_placement_comes_after_the_acceptance(desk, fate, end, parts):
    desk.decide(fate)
    order_id = desk.place()
    assert desk.sandbox.get("/sandbox/fates").json() == {"fates": []}
    assert desk.answer(desk.quotation(order_id), "ACCEPTED").status_code == 200
    statuses = [status for status, *_ in desk.watch(order_id, end)]
    assert ("PLACEMENT_FAILED" in statuses) == (fate == "stumbles")
    desk.sleep(120)
    assert len(desk.sandbox.items_of(order_id)) == parts
    extraction = {one["geospatialMetadataExtractionStatus"] for one in desk.listed("/v2/assets", search=order_id)}
    without_items = {"untransformed": {"FAILED"}, "unfinished": {"IN_PROGRESS"}, "failed": set()}
    assert extraction == without_items.get(fate, {"SUCCESSFUL"})
