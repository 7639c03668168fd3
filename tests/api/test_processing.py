"""Processing: what the calls say on the wire, and what the records mean."""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest

from up42_pipelines.api import Cost, Job, JobSort, JobStatus, Process, Processing, Sort
from up42_pipelines.errors import (
    AnswerLost,
    ApiError,
    InvalidRequest,
    LegalBlock,
    NotAuthorized,
    NotFound,
    RateLimited,
    ServerProblem,
    UnexpectedAnswer,
)

PROCESS = "/v2/processing/processes/pansharpening"
EXECUTION, VALIDATION, COST = f"{PROCESS}/execution", f"{PROCESS}/validation", f"{PROCESS}/cost"
JOBS = "/v2/processing/jobs"
INPUTS = {"title": "sharper", "item": "https://up42.example/v2/assets/stac/collections/c/items/i"}


def job_body(job_id="j-1", **changes):
    return {
        "processID": "pansharpening",
        "jobID": job_id,
        "accountID": "a",
        "workspaceID": "w",
        "definition": {"inputs": INPUTS},
        "results": None,
        "creditConsumption": None,
        "status": "created",
        "created": "2026-01-02T03:04:05.123456789Z",
        "updated": "2026-01-02T03:04:06.5Z",
        "started": None,
        "finished": None,
        **changes,
    }


def page_of(*job_ids, following=None):
    links = [{"rel": "self", "href": JOBS}, *([{"rel": "next", "href": following}] if following else [])]
    return (200, {"jobs": [job_body(job_id) for job_id in job_ids], "links": links}, {})


@pytest.fixture
def processing(transport):
    return Processing(transport, lambda: "w")


class TestProcesses:
    def test_list_over_several_pages(self, script, processing):
        first = {
            "processes": [{"id": "a"}, {"id": "c"}],
            "links": [{"rel": "next", "href": "/v2/processing/processes?page=1"}],
        }
        script.on("/v2/processing/processes", (200, first, {}), (200, {"processes": [{"id": "b", "title": "B"}]}, {}))
        assert [(process.id, process.title) for process in processing.processes()] == [
            ("a", None),
            ("c", None),
            ("b", "B"),
        ]
        assert [one["query"] for one in script.requests("/v2/processing/processes")] == ["", "page=1"]

    def test_a_list_that_is_not_offered(self, processing):
        with pytest.raises(NotFound):
            list(processing.processes())

    def test_one(self, script, processing):
        parameters = [
            {"name": "eula-id", "value": ["e-1"]},
            {"name": "price", "value": [{"credits": 4, "unit": "SQ_KM"}, {"credits": 0.5}]},
        ]
        body = {"id": "pansharpening", "additionalParameters": {"parameters": parameters}, "keywords": ["sharp"]}
        script.on(PROCESS, (200, body, {}))
        process = processing.process("pansharpening")
        assert process.eula_id == "e-1"
        assert [(price.credits, price.unit) for price in process.prices] == [(4, "SQ_KM"), (0.5, None)]
        assert process.raw["keywords"] == ["sharp"]

    @pytest.mark.parametrize(
        "parameters",
        [
            None,
            {},
            {"parameters": None},
            {"parameters": [{"name": "x", "value": [1]}]},
            {"parameters": [{"name": "eula-id", "value": []}, {"name": "price", "value": []}]},
            {"parameters": [{"name": "eula-id", "value": None}, {"name": "price"}]},
            {"parameters": ["price", None]},
        ],
    )
    def test_without_licence_and_price(self, parameters):
        process = Process.parse({"id": "p", "additionalParameters": parameters})
        assert (process.eula_id, process.prices) == (None, ())

    def test_values_that_come_alone(self):
        parameters = [{"name": "eula-id", "value": "e-1"}, {"name": "price", "value": {"credits": 4}}]
        process = Process.parse({"id": "p", "additionalParameters": {"parameters": parameters}})
        assert process.eula_id == "e-1"
        assert [price.credits for price in process.prices] == [4]

    def test_unknown(self, script, processing):
        for ask in (
            processing.process,
            processing.job,
            processing.eula,
            lambda name: processing.validate(name, INPUTS),
            lambda name: processing.cost(name, INPUTS),
            lambda name: processing.execute(name, INPUTS),
        ):
            with pytest.raises(NotFound):
                ask("../x?y")
        asked = {one["path"] for one in script.asked if "/realms/" not in one["path"]}
        below = "/v2/processing/processes/..%2Fx%3Fy"
        assert asked == {
            below,
            f"{below}/validation",
            f"{below}/cost",
            f"{below}/execution",
            f"{JOBS}/..%2Fx%3Fy",
            "/v2/eulas/..%2Fx%3Fy",
        }

    @pytest.mark.parametrize("accepted", [True, False])
    def test_eula(self, script, processing, accepted):
        script.on("/v2/eulas/e-1", (200, {"isAccepted": accepted}, {}))
        assert processing.eula("e-1").is_accepted is accepted

    def test_a_eula_that_says_nothing_is_not_accepted(self, script, processing):
        script.on("/v2/eulas/e-1", (200, {"id": "e-1"}, {}))
        with pytest.raises(UnexpectedAnswer, match="isAccepted"):
            processing.eula("e-1")


class TestValidate:
    @pytest.mark.parametrize("answer", [(200, b"", {}), (204, b"", {}), (200, {}, {})])
    def test_valid(self, script, processing, answer):
        script.on(VALIDATION, answer)
        assert processing.validate("pansharpening", INPUTS) == ()
        [request] = script.requests(VALIDATION)
        assert (request["method"], json.loads(request["body"])) == ("POST", {"inputs": INPUTS})

    @pytest.mark.parametrize("more", [{}, {"errors": None}, {"errors": []}])
    def test_schema(self, script, processing, more):
        told = "data.inputs must contain ['item'] properties"
        script.on(VALIDATION, (400, {"title": "Bad Request", "status": 400, "schema-error": told, **more}, {}))
        [problem] = processing.validate("pansharpening", {})
        assert (problem.name, problem.message) == ("InvalidSchema", told)

    def test_meaning(self, script, processing):
        errors = [
            {"name": "InvalidTitle", "message": "too long"},
            {"name": "MissingPanchromaticAsset", "message": "no", "item": "i"},
            {"message": "nameless"},
            "in words",
        ]
        script.on(VALIDATION, (422, {"title": "Unprocessable Entity", "status": 422, "errors": errors}, {}))
        problems = processing.validate("pansharpening", INPUTS)
        assert [(problem.name, problem.message) for problem in problems] == [
            ("InvalidTitle", "too long"),
            ("MissingPanchromaticAsset", "no"),
            (None, "nameless"),
            (None, "in words"),
        ]
        assert problems[1].raw["item"] == "i"

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            ((400, {"title": "Bad Request", "status": 400, "detail": "the body is not JSON"}, {}), InvalidRequest),
            ((400, b"<html>gateway</html>", {}), InvalidRequest),
            ((422, {"title": "Unprocessable Entity", "status": 422, "errors": []}, {}), InvalidRequest),
            ((403, {"title": "Forbidden"}, {}), NotAuthorized),
            ((404, {"title": "no such process"}, {}), NotFound),
            ((451, {"title": "EULA is not accepted"}, {}), LegalBlock),
            ((429, {}, {}), RateLimited),
            ((500, {"title": "T", "errors": [{"name": "Crash", "message": "M"}]}, {}), ServerProblem),
        ],
    )
    def test_what_is_no_judgement_of_the_inputs_is_raised(self, script, processing, answer, error):
        script.on(VALIDATION, answer)
        with pytest.raises(error):
            processing.validate("pansharpening", INPUTS)

    def test_is_tried_again(self, script, processing):
        script.on(VALIDATION, (503, {}, {}), "drop", (200, b"", {}))
        assert processing.validate("pansharpening", INPUTS) == ()
        assert [json.loads(one["body"]) for one in script.requests(VALIDATION)] == [{"inputs": INPUTS}] * 3


class TestCost:
    def test_price(self, script, processing):
        body = {"pricingStrategy": "area", "totalCredits": 63, "totalSize": 15.8, "unit": "SQ_KM"}
        script.on(COST, (503, {}, {}), (200, body, {}))
        cost = processing.cost("pansharpening", INPUTS)
        assert (cost.pricing_strategy, cost.total_credits, cost.total_size, cost.unit) == ("area", 63, 15.8, "SQ_KM")
        assert [json.loads(one["body"]) for one in script.requests(COST)] == [{"inputs": INPUTS}] * 2

    def test_it_compares_with_numbers_and_costs(self):
        cost, same, less = (Cost(total_credits=credits) for credits in (63, 63, 62.5))
        assert cost <= 63
        assert not cost < 63
        assert cost < 63.5
        assert cost >= 63
        assert not cost > 63
        assert cost > 62
        assert less < cost
        assert not cost <= less
        assert cost >= same
        assert not cost > same
        assert not less >= cost
        assert max([less, cost]) is cost

    def test_nothing_is_a_price(self, script, processing):
        script.on(COST, (200, {"pricingStrategy": "none", "totalCredits": 0}, {}))
        cost = processing.cost("pansharpening", INPUTS)
        assert (cost.total_credits, cost.total_size, cost.unit) == (0, None, None)

    def test_no_price_is_not_nothing(self, script, processing):
        script.on(COST, (200, {"pricingStrategy": "area"}, {}))
        with pytest.raises(UnexpectedAnswer, match="totalCredits"):
            processing.cost("pansharpening", INPUTS)

    def test_inputs_that_do_not_fit(self, script, processing):
        errors = [{"name": "InvalidTitle", "message": "too long"}]
        script.on(COST, (422, {"title": "Unprocessable Entity", "errors": errors}, {}))
        with pytest.raises(InvalidRequest, match="InvalidTitle: too long"):
            processing.cost("pansharpening", INPUTS)


class TestExecute:
    @pytest.mark.parametrize(
        ("options", "query"),
        [({}, {"workspaceId": "w"}), ({"budget_id": "b-1"}, {"workspaceId": "w", "budgetId": "b-1"})],
    )
    @pytest.mark.parametrize("status", [200, 201])
    def test_on_the_wire(self, script, processing, options, query, status):
        script.on(EXECUTION, (status, job_body(), {}))
        job = processing.execute("pansharpening", INPUTS, **options)
        assert (job.id, job.status, job.is_final) == ("j-1", JobStatus.CREATED, False)
        [request] = script.requests(EXECUTION)
        assert (request["method"], json.loads(request["body"])) == ("POST", {"inputs": INPUTS})
        assert dict(parse_qsl(request["query"])) == query

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            ((503, {"title": "busy"}, {}), ServerProblem),
            ((500, {}, {"Retry-After": "0"}), ServerProblem),
            ((429, {"title": "slow down"}, {"Retry-After": "0"}), RateLimited),
            ((307, b"", {"Location": EXECUTION}), ApiError),
            ((451, {"title": "EULA is not accepted"}, {}), LegalBlock),
            ((422, {"title": "T", "errors": [{"name": "InvalidTitle", "message": "M"}]}, {}), InvalidRequest),
            ((200, b"<html>", {}), UnexpectedAnswer),
            ((201, {"status": "created"}, {}), UnexpectedAnswer),
            ("drop", AnswerLost),
            ("hang", AnswerLost),
        ],
    )
    def test_is_sent_once_whatever_the_answer(self, script, processing, answer, error):
        script.on(EXECUTION, answer, (200, job_body(), {}))
        with pytest.raises(error):
            processing.execute("pansharpening", INPUTS)
        assert len(script.requests(EXECUTION)) == 1


class TestJob:
    def test_fields(self):
        results = {"collection": "https://up42.example/v2/assets/stac/collections/c-9", "errors": None}
        job = Job.parse(
            job_body(
                status="captured",
                results=results,
                creditConsumption={"credits": 63},
                started="2026-01-02T03:05:00Z",
                finished="2026-01-02T03:06:00.000001Z",
            )
        )
        assert (job.id, job.process_id, job.account_id, job.workspace_id) == ("j-1", "pansharpening", "a", "w")
        assert (job.inputs, job.title, job.credits) == (INPUTS, "sharper", 63)
        assert (job.collection_id, job.errors) == ("c-9", ())
        assert job.created == datetime(2026, 1, 2, 3, 4, 5, 123456, UTC)
        assert job.updated == datetime(2026, 1, 2, 3, 4, 6, 500000, UTC)
        assert (job.finished - job.started).total_seconds() == 60.000001
        assert all(moment.utcoffset().total_seconds() == 0 for moment in (job.created, job.started, job.finished))

    def test_what_is_not_there_yet(self):
        job = Job.parse(job_body())
        assert (job.results, job.collection_id, job.errors, job.credits) == (None, None, (), None)
        assert (job.started, job.finished) == (None, None)

    def test_only_what_must_be(self):
        job = Job.parse({"jobID": "j", "processID": "p", "status": "running"})
        assert (job.inputs, job.title, job.workspace_id, job.created) == ({}, None, None, None)

    @pytest.mark.parametrize("missing", ["jobID", "processID", "status"])
    def test_what_must_be(self, missing):
        with pytest.raises(UnexpectedAnswer, match=missing):
            Job.parse({key: value for key, value in job_body().items() if key != missing})

    def test_nulls(self):
        job = Job.parse(job_body(definition=None, results={"collection": None, "errors": None}, creditConsumption={}))
        assert (job.inputs, job.collection_id, job.errors, job.credits) == ({}, None, (), None)

    def test_nothing_charged_is_not_unknown(self):
        assert Job.parse(job_body(creditConsumption={"credits": 0})).credits == 0

    def test_why_it_failed(self):
        errors = [{"name": "DataFault", "message": "no pixels"}, {"name": "Other", "code": 7}]
        job = Job.parse(job_body(status="failed", results={"collection": None, "errors": errors}))
        assert [(problem.name, problem.message) for problem in job.errors] == [
            ("DataFault", "no pixels"),
            ("Other", None),
        ]

    def test_reasons_in_words_do_not_lose_the_job(self):
        job = Job.parse(job_body(status="failed", results={"collection": None, "errors": ["no pixels", None]}))
        assert [(problem.name, problem.message) for problem in job.errors] == [(None, "no pixels"), (None, "None")]

    @pytest.mark.parametrize("url", ["https://x.example/v2/assets/stac/collections/c-9/", "/collections/c-9", "c-9"])
    def test_collection_id_is_the_last_part_of_the_url(self, url):
        assert Job.parse(job_body(results={"collection": url})).collection_id == "c-9"

    @pytest.mark.parametrize(
        ("status", "final", "successful", "failure"),
        [
            ("created", False, False, False),
            ("licensed", False, False, False),
            ("unlicensed", True, False, True),
            ("valid", False, False, False),
            ("invalid", True, False, True),
            ("accepted", False, False, False),
            ("rejected", True, False, True),
            ("running", False, False, False),
            ("successful", True, True, False),
            ("captured", True, True, False),
            ("failed", True, False, True),
            ("released", True, False, True),
        ],
    )
    def test_what_a_status_means(self, status, final, successful, failure):
        job = Job.parse(job_body(status=status))
        assert isinstance(job.status, JobStatus)
        assert (job.is_final, job.is_successful, job.status.is_failure) == (final, successful, failure)
        assert job.status.meaning

    def test_all_statuses_are_in_that_table(self):
        [table] = [mark for mark in self.test_what_a_status_means.pytestmark if mark.name == "parametrize"]
        assert {row[0] for row in table.args[1]} == {status.value for status in JobStatus}

    def test_an_unknown_status_is_carried_and_not_final(self):
        job = Job.parse(job_body(status="archived"))
        assert (job.status, job.is_final, job.is_successful) == ("archived", False, False)
        assert not isinstance(job.status, JobStatus)

    def test_by_id(self, script, processing):
        script.on(f"{JOBS}/j-1", (503, {}, {}), (200, job_body(status="running"), {}))
        assert processing.job("j-1").status is JobStatus.RUNNING


class TestJobs:
    def test_filters_on_the_wire(self, script, processing):
        script.on(JOBS, page_of())
        options = {
            "process_ids": ["pansharpening", "upsampling-ns"],
            "status": ["captured", JobStatus.SUCCESSFUL],
            "job_ids": ["j-1", "j-2"],
            "min_duration_s": 0,
            "max_duration_s": 60,
            "sort": JobSort.credits.asc,
            "page_size": 7,
        }
        assert list(processing.jobs(**options)) == []
        assert list(processing.jobs()) == []
        full, bare = [dict(parse_qsl(one["query"], strict_parsing=True)) for one in script.requests(JOBS)]
        assert full == {
            "workspaceId": "w",
            "processId": "pansharpening,upsampling-ns",
            "status": "captured,successful",
            "ids": "j-1,j-2",
            "minDuration": "0",
            "maxDuration": "60",
            "limit": "7",
            "sort": "creditConsumption.credits,asc",
        }
        assert bare == {"workspaceId": "w", "limit": "100", "sort": "created,desc"}

    @pytest.mark.parametrize(
        ("sort", "written"),
        [
            (JobSort.process_id.asc, "processID,asc"),
            (JobSort.status.desc, "status,desc"),
            (JobSort.created.asc, "created,asc"),
            (JobSort.credits.desc, "creditConsumption.credits,desc"),
            (Sort("updated").desc, "updated,desc"),
        ],
    )
    def test_sorts_on_the_wire(self, script, processing, sort, written):
        script.on(JOBS, page_of())
        assert list(processing.jobs(sort=sort)) == []
        assert dict(parse_qsl(script.requests(JOBS)[0]["query"]))["sort"] == written

    @pytest.mark.parametrize("absolute", [False, True])
    def test_next_links(self, script, processing, absolute):
        base = script.url if absolute else ""
        script.on(
            JOBS,
            page_of("a", "b", following=f"{base}{JOBS}?token=1&sort=created%2Cdesc"),
            page_of("c", following=f"{base}{JOBS}?token=2"),
            page_of("d"),
        )
        assert [job.id for job in processing.jobs(page_size=2)] == ["a", "b", "c", "d"]
        asked = script.requests(JOBS)
        assert [one["query"] for one in asked[1:]] == ["token=1&sort=created%2Cdesc", "token=2"]
        assert {one["headers"]["Authorization"] for one in asked} == {"Bearer token-1"}

    def test_a_link_to_another_host_gets_no_token(self, script, processing):
        script.on(
            JOBS, page_of("a", following=f"{script.url.replace('127.0.0.1', 'localhost')}{JOBS}?x=1"), page_of("b")
        )
        assert [job.id for job in processing.jobs()] == ["a", "b"]
        assert ["Authorization" in one["headers"] for one in script.requests(JOBS)] == [True, False]

    def test_jobs_that_appear_meanwhile_push_others_along(self, script, processing):
        script.on(
            JOBS, page_of("c", "b", following=f"{JOBS}?p=1"), page_of("b", "a", following=f"{JOBS}?p=2"), page_of()
        )
        assert [job.id for job in processing.jobs(page_size=2)] == ["c", "b", "a"]

    def test_a_page_that_brings_nothing_new_does_not_end_the_list(self, script, processing):
        script.on(
            JOBS,
            page_of("b", "a", following=f"{JOBS}?p=1"),
            page_of("b", "a", following=f"{JOBS}?p=2"),
            page_of("z"),
        )
        assert [job.id for job in processing.jobs(page_size=2)] == ["b", "a", "z"]

    def test_links_in_a_circle_end(self, script, processing):
        script.on(JOBS, page_of("a", following=f"{JOBS}?p=1"), page_of("b", following=f"{JOBS}?p=1"))
        assert [job.id for job in processing.jobs()] == ["a", "b"]

    def test_pages_are_fetched_as_they_are_consumed(self, script, processing):
        script.on(JOBS, page_of("a", following=f"{JOBS}?p=1"), page_of("b"))
        found = processing.jobs()
        assert script.requests(JOBS) == []
        assert next(found).id == "a"
        assert len(script.requests(JOBS)) == 1
        assert [job.id for job in found] == ["b"]

    @pytest.mark.parametrize("body", [{"jobs": []}, {"jobs": [], "links": None}])
    def test_empty(self, script, processing, body):
        script.on(JOBS, (200, body, {}))
        assert list(processing.jobs()) == []

    @pytest.mark.parametrize("body", [[], {}, {"jobs": None}, {"message": "maintenance"}])
    def test_no_page(self, script, processing, body):
        """Or a job that was bought would count as not there, and be bought again."""
        script.on(JOBS, (200, body, {}))
        with pytest.raises(UnexpectedAnswer, match=r"no page|no list of jobs"):
            list(processing.jobs())
