"""Tasking: decisions on the wire, and whole orders at the sandbox, from the form to the last delivery."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from shapely import unary_union
from shapely.geometry import box, shape

from up42_pipelines.api import (
    Coverage,
    Decision,
    FeasibilityStudy,
    OrderStatus,
    OrderSubStatus,
    Quotation,
    QuotationSort,
    Sort,
    StudySort,
    Tasking,
)
from up42_pipelines.errors import (
    AlreadyDecided,
    AnswerLost,
    ApiError,
    InvalidParams,
    InvalidRequest,
    NotAuthorized,
    NotFound,
    RateLimited,
    ServerProblem,
    UnexpectedAnswer,
)

STUDIES, QUOTATIONS = "/v2/tasking/feasibility-studies", "/v2/tasking/quotation"
EMPTY = (200, {"content": [], "totalPages": 0}, {})
OPTION = {
    "id": "opt-1",
    "createdAt": "2026-02-01T10:00:00.000000Z",
    "updatedAt": "2026-02-01T10:00:00.000000Z",
    "studyId": "s-1",
    "description": "Twice a week, 45 degrees",
}
UNDECIDED = {
    "accountId": "a",
    "workspaceId": "w",
    "orderId": "o-1",
    "createdAt": "2026-02-01T10:00:00.000000Z",
    "updatedAt": "2026-02-01T10:00:00.000000Z",
    "decision": "NOT_DECIDED",
    "decisionById": None,
    "decisionByType": None,
    "decisionAt": None,
}
STUDY = {**UNDECIDED, "id": "s-1", "type": "MANUAL", "options": [OPTION], "decisionOption": None}
QUOTATION = {**UNDECIDED, "id": "q-1", "creditsPrice": 45000}
DECIDED = {"decision": "ACCEPTED", "decisionById": "w", "decisionByType": "USER", "decisionAt": "2026-02-02T00:00:00Z"}


@pytest.fixture
def tasking(transport):
    return Tasking(transport, lambda: "w")


@pytest.fixture(params=["option", "accept", "reject"])
def decide(request, tasking):
    """Each of the three decisions, with the path it is sent to and a good answer."""
    calls = {
        "option": (lambda: tasking.choose_option("s-1", "opt-1"), f"{STUDIES}/s-1", STUDY | DECIDED),
        "accept": (lambda: tasking.accept_quotation("q-1"), f"{QUOTATIONS}/q-1", QUOTATION | DECIDED),
        "reject": (lambda: tasking.reject_quotation("q-1"), f"{QUOTATIONS}/q-1", QUOTATION | DECIDED),
    }
    return calls[request.param]


class TestListsOnTheWire:
    def test_all_filters(self, script, tasking):
        script.on(STUDIES, EMPTY)
        script.on(QUOTATIONS, EMPTY)
        decision = ["ACCEPTED", Decision.NOT_DECIDED]
        assert list(tasking.studies(study_id="s-1", order_id="o-1", decision=decision)) == []
        assert list(tasking.quotations(quotation_id="q-1", order_id="o-1", decision=decision)) == []
        for path, own_id in ((STUDIES, "s-1"), (QUOTATIONS, "q-1")):
            [request] = script.requests(path)
            assert sorted(parse_qsl(request["query"])) == sorted(
                [
                    ("workspaceId", "w"),
                    ("id", own_id),
                    ("orderId", "o-1"),
                    ("decision", "ACCEPTED"),
                    ("decision", "NOT_DECIDED"),
                    ("sort", "createdAt,desc"),
                    ("page", "0"),
                    ("size", "100"),
                ]
            )

    def test_no_filters(self, script, tasking):
        script.on(STUDIES, EMPTY)
        script.on(QUOTATIONS, EMPTY)
        assert [*tasking.studies(), *tasking.quotations()] == []
        bare = {"workspaceId": "w", "sort": "createdAt,desc", "page": "0", "size": "100"}
        assert [dict(parse_qsl(script.requests(path)[0]["query"])) for path in (STUDIES, QUOTATIONS)] == [bare, bare]

    @pytest.mark.parametrize(
        ("sort", "written"),
        [
            (StudySort.created_at.asc, "createdAt,asc"),
            (StudySort.updated_at.desc, "updatedAt,desc"),
            (StudySort.decided_at.desc, "decisionAt,desc"),
            (QuotationSort.created_at.desc, "createdAt,desc"),
            (QuotationSort.updated_at.asc, "updatedAt,asc"),
            (QuotationSort.decided_at.asc, "decisionAt,asc"),
            (QuotationSort.credits_price.desc, "creditsPrice,desc"),
            (Sort("rank"), "rank,asc"),
        ],
    )
    def test_sorts(self, script, tasking, sort, written):
        script.on(STUDIES, EMPTY)
        script.on(QUOTATIONS, EMPTY)
        assert [*tasking.studies(sort=sort), *tasking.quotations(sort=sort)] == []
        for path in (STUDIES, QUOTATIONS):
            assert dict(parse_qsl(script.requests(path)[0]["query"]))["sort"] == written

    def test_pages_are_fetched_as_they_are_consumed(self, script, tasking):
        pages = [(200, {"content": [{**STUDY, "id": name}], "totalPages": 2}, {}) for name in ("s-1", "s-2")]
        script.on(STUDIES, *pages)
        found = tasking.studies()
        assert script.requests(STUDIES) == []
        assert next(found).id == "s-1"
        assert len(script.requests(STUDIES)) == 1
        assert [study.id for study in found] == ["s-2"]


class TestDecisionsOnTheWire:
    def test_choose_option(self, script, tasking):
        script.on(f"{STUDIES}/s-1", (200, STUDY | DECIDED | {"decisionOption": OPTION}, {}))
        study = tasking.choose_option("s-1", "opt-1")
        assert (study.decision, study.decision_option.id, study.is_open) == (Decision.ACCEPTED, "opt-1", False)
        [request] = script.requests(f"{STUDIES}/s-1")
        assert (request["method"], json.loads(request["body"])) == ("PATCH", {"acceptedOptionId": "opt-1"})

    @pytest.mark.parametrize("decision", ["ACCEPTED", "REJECTED"])
    def test_quotation(self, script, tasking, decision):
        script.on(f"{QUOTATIONS}/q-1", (200, QUOTATION | DECIDED | {"decision": decision}, {}))
        decide = {"ACCEPTED": tasking.accept_quotation, "REJECTED": tasking.reject_quotation}[decision]
        assert decide("q-1").decision is Decision(decision)
        [request] = script.requests(f"{QUOTATIONS}/q-1")
        assert (request["method"], json.loads(request["body"])) == ("PATCH", {"decision": decision})

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            ((503, {"title": "busy"}, {}), ServerProblem),
            ((500, {}, {"Retry-After": "0"}), ServerProblem),
            ((429, {"title": "slow down"}, {"Retry-After": "0"}), RateLimited),
            ((307, b"", {"Location": "/v2/tasking/quotation"}), ApiError),
            ((403, {"title": "Insufficient credits"}, {}), NotAuthorized),
            ((404, {"status": 404, "title": "Resource does not exist.", "detail": {}}, {}), NotFound),
            (
                (405, {"status": 405, "title": "Resource (Quotation) is write-protected.", "detail": {}}, {}),
                AlreadyDecided,
            ),
            ((200, b"<html>", {}), UnexpectedAnswer),
            ("drop", AnswerLost),
            ("hang", AnswerLost),
        ],
    )
    def test_are_sent_once_whatever_the_answer(self, script, decide, answer, error):
        call, path, good = decide
        script.on(path, answer, (200, good, {}))
        with pytest.raises(error):
            call()
        assert len(script.requests(path)) == 1

    def test_a_refused_token_is_no_decision(self, script, decide):
        call, path, good = decide
        script.on(path, (401, {"title": "token expired"}, {}), (200, good, {}))
        assert not call().is_open
        assert [one["headers"]["Authorization"] for one in script.requests(path)] == [
            "Bearer token-1",
            "Bearer token-2",
        ]

    def test_a_decision_that_stands_is_explained(self, script, tasking):
        body = {"status": 405, "title": "Resource (FeasibilityStudy) is write-protected.", "detail": {}}
        script.on(f"{STUDIES}/s-1", (405, body, {}))
        with pytest.raises(AlreadyDecided, match=r"write-protected.*list it to see who decided"):
            tasking.choose_option("s-1", "opt-1")

    def test_ids_cannot_leave_their_place_in_the_path(self, script, tasking):
        for ask in (
            lambda name: tasking.choose_option(name, "o"),
            tasking.accept_quotation,
            tasking.reject_quotation,
            tasking.coverage,
        ):
            with pytest.raises(NotFound):
                ask("../x?y")
        paths = [one["path"].removesuffix("/..%2Fx%3Fy") for one in script.asked if "/realms/" not in one["path"]]
        assert paths == [STUDIES, QUOTATIONS, QUOTATIONS, "/v2/coverage/orders"]


class TestRecords:
    def test_study(self):
        study = FeasibilityStudy.parse(STUDY)
        assert (study.id, study.order_id, study.type, study.is_open) == ("s-1", "o-1", "MANUAL", True)
        [option] = study.options
        assert (option.id, option.study_id, option.description) == ("opt-1", "s-1", "Twice a week, 45 degrees")
        assert (study.decision_option, study.decision_at, study.decision_by_type) == (None, None, None)

    def test_decided_study(self):
        study = FeasibilityStudy.parse(STUDY | DECIDED | {"decisionOption": OPTION})
        assert (study.is_open, study.decision_option.id, study.decision_by_id) == (False, "opt-1", "w")
        assert study.decision_at.isoformat() == "2026-02-02T00:00:00+00:00"

    def test_study_without_options(self):
        assert FeasibilityStudy.parse(STUDY | {"options": None}).options == ()

    @pytest.mark.parametrize(
        ("decision", "is_open"),
        [("NOT_DECIDED", True), (None, True), ("ACCEPTED", False), ("REJECTED", False), ("WITHDRAWN", False)],
    )
    def test_quotation(self, decision, is_open):
        quotation = Quotation.parse(QUOTATION | {"decision": decision})
        assert (quotation.credits_price, quotation.order_id, quotation.is_open) == (45000, "o-1", is_open)
        assert isinstance(quotation.decision, Decision) == (decision != "WITHDRAWN")

    @pytest.mark.parametrize(
        ("record", "body", "missing"),
        [
            (Quotation, QUOTATION, "creditsPrice"),
            (Quotation, QUOTATION, "orderId"),
            (FeasibilityStudy, STUDY, "id"),
            (Coverage, {"covered": {"sqKmArea": 1, "percentage": 1}, "remainder": {}}, "remainder"),
        ],
    )
    def test_what_must_be(self, record, body, missing):
        with pytest.raises(UnexpectedAnswer, match=missing):
            record.parse({key: value for key, value in body.items() if key != missing})

    @pytest.mark.parametrize("kind", ["Polygon", "MultiPolygon", "FeatureCollection"])
    def test_coverage_in_any_geojson(self, script, tasking, kind):
        covered = {"sqKmArea": 78.5, "percentage": 85.0, "geometry": {"type": kind}}
        body = {"covered": covered, "remainder": {"sqKmArea": 13.9, "percentage": 15.0, "geometry": None}}
        script.on("/v2/coverage/orders/o-1", (503, {}, {}), (200, body, {}))
        coverage = tasking.coverage("o-1")
        assert (coverage.covered.sq_km_area, coverage.covered.percentage) == (78.5, 85)
        assert (coverage.covered.geometry, coverage.remainder.geometry) == ({"type": kind}, None)
        assert coverage.remainder.percentage == 15


# --- at the sandbox: nothing happens until a test lets time pass ------------------------------------------------------

AREA = box(12.40, 41.85, 12.46, 41.90)
HALF = box(12.40, 41.85, 12.43, 41.90)
NOBODY = str(uuid.UUID(int=1))


@pytest.fixture(scope="module")
def client(paused):
    client = paused.client()
    yield client
    client.transport.close()


@pytest.fixture(scope="module")
def let_pass(steer):
    """Advance the sandbox's clock, seconds."""
    return lambda seconds: steer("clock", advance=seconds)


@pytest.fixture(scope="module")
def task(client, steer, order_input):
    """`task(fate=None, area=AREA, **params)`: places a tasking order, after checking its form, and returns its id."""
    [collection] = client.catalog.collections(type="TASKING")
    form = client.catalog.order_form(collection.data_product("analytic").id)
    where = {"collection": collection.name, "product": "analytic"}
    first = datetime.now(UTC) + timedelta(days=3)

    def task(fate="fulfilled", area=AREA, **changes):
        params = {
            "acquisitionStart": first.isoformat(),
            "acquisitionEnd": (first + timedelta(days=20)).isoformat(),
            "cloudCoverage": 10,
            **changes,
        }
        form.check(params)
        steer("fates", kind="order", fate=fate)
        order = order_input(client, area, scene=None, params=params, **where)
        [line] = client.orders.place(order).results
        return line.id

    return task


@pytest.fixture
def offered(client, task, let_pass):
    """Places an order and lets time pass until there is its study."""

    def offered(*args, **options):
        order_id = task(*args, **options)
        let_pass(180)
        [study] = client.tasking.studies(order_id=order_id)
        return study

    return offered


@pytest.fixture
def priced(client, offered, let_pass):
    """The same until there is its quotation."""

    def priced(*args, **options):
        study = offered(*args, **options)
        client.tasking.choose_option(study.id, study.options[0].id)
        let_pass(180)
        [quotation] = client.tasking.quotations(order_id=study.order_id)
        return quotation

    return priced


def credits_of(paused, order_id):
    [entry] = [one for one in paused.ledger() if one["id"] == order_id]
    return sum(charge["credits"] for charge in entry["charges"])


class TestForm:
    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"cloudCoverage": 60}, "cloudCoverage"),
            ({"cloudcover": 10}, "cloudcover"),
            ({"acquisitionMode": "tri"}, "acquisitionMode: 'tri' is none of 'mono', 'stereo'"),
            ({"acquisitionStart": "tomorrow"}, "acquisitionStart"),
        ],
    )
    def test_is_checked_before_anything_is_sent(self, task, paused, changes, told):
        before = len(paused.ledger())
        with pytest.raises(InvalidParams, match=told):
            task(**changes)
        assert len(paused.ledger()) == before


class TestLife:
    """One order each, from its placement to its end."""

    def test_to_the_last_delivery(self, client, task, let_pass, paused):
        tasking, orders = client.tasking, client.orders
        order_id = task("in_parts")
        order = orders.get(order_id)
        assert (order.type, order.status) == ("TASKING", OrderStatus.CREATED)
        assert (order.sub_status, order.waits_for_user) == (OrderSubStatus.FEASIBILITY_WAITING_UPLOAD, False)
        assert shape(order.aoi).equals(AREA)
        assert list(tasking.studies(order_id=order_id)) == []

        let_pass(180)
        order = orders.get(order_id)
        assert (order.sub_status, order.waits_for_user) == (OrderSubStatus.FEASIBILITY_WAITING_RESPONSE, True)
        [study] = tasking.studies(order_id=order_id)
        assert (study.is_open, study.workspace_id, study.type) == (True, client.workspace_id, "MANUAL")
        assert {option.study_id for option in study.options} == {study.id}
        assert all(option.description for option in study.options)
        option = study.options[-1]

        chosen = tasking.choose_option(study.id, option.id)
        assert (chosen.id, chosen.is_open, chosen.decision, chosen.decision_option.id) == (
            study.id,
            False,
            Decision.ACCEPTED,
            option.id,
        )
        assert (chosen.decision_by_id, chosen.decision_by_type) == (client.workspace_id, "USER")
        assert chosen.decision_at > study.created_at
        assert orders.get(order_id).sub_status is OrderSubStatus.QUOTATION_WAITING_UPLOAD
        assert list(tasking.quotations(order_id=order_id)) == []

        let_pass(180)
        assert orders.get(order_id).sub_status is OrderSubStatus.QUOTATION_WAITING_RESPONSE
        [quotation] = tasking.quotations(order_id=order_id)
        assert quotation.is_open
        assert quotation.credits_price > 0
        assert credits_of(paused, order_id) == 0

        accepted = tasking.accept_quotation(quotation.id)
        assert (accepted.decision, accepted.credits_price) == (Decision.ACCEPTED, quotation.credits_price)
        assert credits_of(paused, order_id) == quotation.credits_price
        assert orders.get(order_id).sub_status is OrderSubStatus.QUOTATION_ACCEPTED

        percent = []
        while not (order := orders.get(order_id)).is_final:
            percent.append(tasking.coverage(order_id).covered.percentage)
            let_pass(60)
        assert order.is_fulfilled
        assert percent == sorted(percent)
        assert percent[0] == 0
        assert 0 < percent[-1] < 100
        coverage = tasking.coverage(order_id)
        assert (coverage.covered.percentage, coverage.remainder.percentage) == (100, 0)
        assert coverage.covered.sq_km_area == pytest.approx(27.6, abs=1)
        let_pass(120)
        items = client.storage.items_of_order(order_id)
        assert len(items) >= 2
        delivered = unary_union([shape(item.geometry) for item in items])
        assert delivered.buffer(1e-6).covers(AREA)

    def test_rejected(self, client, priced, let_pass, paused):
        quotation = priced()
        rejected = client.tasking.reject_quotation(quotation.id)
        assert (rejected.decision, rejected.is_open) == (Decision.REJECTED, False)
        let_pass(60)
        order = client.orders.get(quotation.order_id)
        assert (order.status, order.sub_status) == (OrderStatus.CANCELED, OrderSubStatus.QUOTATION_REJECTED)
        assert not order.waits_for_user
        assert credits_of(paused, order.id) == 0
        assert client.tasking.coverage(order.id).covered.percentage == 0

    def test_given_up(self, client, priced, let_pass):
        quotation = priced("failed")
        client.tasking.accept_quotation(quotation.id)
        let_pass(2000)
        assert client.orders.get(quotation.order_id).status is OrderStatus.FAILED_PERMANENTLY

    def test_cancelled_while_it_waits(self, client, offered):
        study = offered()
        assert client.orders.cancel(study.order_id) == "CANCELED"
        order = client.orders.get(study.order_id)
        assert (order.is_final, order.waits_for_user) == (True, False)
        with pytest.raises(AlreadyDecided):
            client.tasking.choose_option(study.id, study.options[0].id)


class TestTwice:
    def test_study(self, client, offered):
        study = offered()
        first, second = study.options
        client.tasking.choose_option(study.id, first.id)
        for option in (first, second):
            with pytest.raises(AlreadyDecided, match="write-protected"):
                client.tasking.choose_option(study.id, option.id)
        [kept] = client.tasking.studies(study_id=study.id)
        assert kept.decision_option.id == first.id

    @pytest.mark.parametrize("first", ["accept_quotation", "reject_quotation"])
    def test_quotation(self, client, priced, paused, first):
        quotation = priced()
        decided = getattr(client.tasking, first)(quotation.id)
        for decide in (client.tasking.accept_quotation, client.tasking.reject_quotation):
            with pytest.raises(AlreadyDecided, match="write-protected"):
                decide(quotation.id)
        assert next(client.tasking.quotations(quotation_id=quotation.id)).decision == decided.decision
        price = quotation.credits_price if first == "accept_quotation" else 0
        assert credits_of(paused, quotation.order_id) == price


class TestUnknown:
    def test_study(self, client):
        with pytest.raises(NotFound, match=NOBODY):
            client.tasking.choose_option(NOBODY, NOBODY)

    def test_option_of_another_study(self, client, offered):
        one, other = offered(), offered()
        with pytest.raises(InvalidRequest, match="acceptedOptionId"):
            client.tasking.choose_option(one.id, other.options[0].id)
        assert next(client.tasking.studies(study_id=one.id)).is_open

    def test_quotation(self, client):
        for decide in (client.tasking.accept_quotation, client.tasking.reject_quotation):
            with pytest.raises(NotFound, match="does not exist"):
                decide(NOBODY)

    def test_order(self, client):
        with pytest.raises(NotFound, match=NOBODY):
            client.tasking.coverage(NOBODY)


@pytest.fixture(scope="module")
def listed(client, task, let_pass):
    """Studies and quotations of three orders in the order of their making; the decisions fell in another order.

    Quotations: the first accepted last, the second rejected, the third, the cheapest, open. A fourth order has only a
    study, which is open.
    """
    tasking = client.tasking
    studies, quotations = [], []
    for area in (AREA, AREA.buffer(0.01).envelope, HALF):
        order_id = task(area=area)
        let_pass(180)
        studies += tasking.studies(order_id=order_id)
    for number in (1, 0, 2):
        tasking.choose_option(studies[number].id, studies[number].options[0].id)
        let_pass(180)
    for study in studies:
        quotations += tasking.quotations(order_id=study.order_id)
    tasking.reject_quotation(quotations[1].id)
    let_pass(1)
    tasking.accept_quotation(quotations[0].id)
    order_id = task()
    let_pass(180)
    studies += tasking.studies(order_id=order_id)
    return [study.id for study in studies], [quotation.id for quotation in quotations]


class TestLists:
    """What the fixture made, told apart from what other tests made by its ids."""

    @pytest.mark.parametrize(
        ("decision", "numbers"),
        [
            ([], [0, 1, 2, 3]),
            ([Decision.ACCEPTED], [0, 1, 2]),
            (["NOT_DECIDED"], [3]),
            (["ACCEPTED", Decision.NOT_DECIDED], [0, 1, 2, 3]),
        ],
    )
    def test_studies_by_decision(self, client, listed, decision, numbers):
        ids, _ = listed
        found = client.tasking.studies(decision=decision)
        assert sorted(ids.index(study.id) for study in found if study.id in ids) == numbers

    @pytest.mark.parametrize(
        ("decision", "numbers"),
        [
            ([], [0, 1, 2]),
            (["ACCEPTED"], [0]),
            ([Decision.REJECTED, "NOT_DECIDED"], [1, 2]),
            (["ACCEPTED", "REJECTED", "NOT_DECIDED"], [0, 1, 2]),
        ],
    )
    def test_quotations_by_decision(self, client, listed, decision, numbers):
        _, ids = listed
        found = client.tasking.quotations(decision=decision)
        assert sorted(ids.index(quotation.id) for quotation in found if quotation.id in ids) == numbers

    def test_by_id_and_order(self, client, listed):
        study_ids, quotation_ids = listed
        [study] = client.tasking.studies(study_id=study_ids[1])
        [quotation] = client.tasking.quotations(quotation_id=quotation_ids[1])
        assert study.id == study_ids[1]
        assert [one.id for one in client.tasking.studies(order_id=study.order_id)] == [study.id]
        assert [one.id for one in client.tasking.quotations(order_id=study.order_id)] == [quotation.id]
        assert list(client.tasking.studies(study_id=study.id, order_id=NOBODY)) == []
        assert list(client.tasking.quotations(quotation_id=quotation.id, decision=["ACCEPTED"])) == []
        assert list(client.tasking.studies(study_id=NOBODY)) == list(client.tasking.quotations(order_id=NOBODY)) == []

    @pytest.mark.parametrize(
        ("sort", "numbers"),
        [
            (StudySort.created_at, [0, 1, 2, 3]),
            (StudySort.decided_at, [3, 1, 0, 2]),
            (StudySort.updated_at, [1, 0, 2, 3]),
        ],
    )
    def test_studies_sorted(self, client, listed, sort, numbers):
        ids, _ = listed
        for direction, expected in ((sort.asc, numbers), (sort.desc, numbers[::-1])):
            found = client.tasking.studies(sort=direction)
            assert [ids.index(study.id) for study in found if study.id in ids] == expected

    @pytest.mark.parametrize(
        ("sort", "numbers"),
        [
            (QuotationSort.created_at, [1, 0, 2]),
            (QuotationSort.decided_at, [2, 1, 0]),
            (QuotationSort.updated_at, [2, 1, 0]),
            (QuotationSort.credits_price, [2, 0, 1]),
        ],
    )
    def test_quotations_sorted(self, client, listed, sort, numbers):
        _, ids = listed
        for direction, expected in ((sort.asc, numbers), (sort.desc, numbers[::-1])):
            found = client.tasking.quotations(sort=direction)
            assert [ids.index(quotation.id) for quotation in found if quotation.id in ids] == expected

    def test_newest_first_when_not_said(self, client, listed):
        study_ids, quotation_ids = listed
        assert [one.id for one in client.tasking.studies() if one.id in study_ids] == study_ids[::-1]
        made = [one.created_at for one in client.tasking.quotations() if one.id in quotation_ids]
        assert made == sorted(made, reverse=True)

    @pytest.mark.usefixtures("listed")
    def test_of_another_workspace(self, paused):
        stranger = paused.client(workspace_id=NOBODY)
        assert [*stranger.tasking.studies(), *stranger.tasking.quotations()] == []
        stranger.transport.close()

    def test_refused(self, client):
        with pytest.raises(InvalidRequest, match="sort must be one of"):
            list(client.tasking.studies(sort=QuotationSort.credits_price))
        with pytest.raises(InvalidRequest, match="decision must be one of"):
            list(client.tasking.studies(decision=[Decision.REJECTED]))
