"""Tasking: lists, decisions and records on the wire."""

import json
from urllib.parse import parse_qsl

import pytest

from up42_pipelines.api import (
    Coverage,
    Decision,
    FeasibilityStudy,
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
