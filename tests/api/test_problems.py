"""Error bodies of every generation become one tree of errors, and nothing that the server said is lost."""

import json
import pickle

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from up42_pipelines import errors
from up42_pipelines.api.problems import error_of, legacy_error_of
from up42_pipelines.errors import (
    AlreadyDecided,
    ApiError,
    InvalidRequest,
    LegalBlock,
    NotAuthorized,
    NotFound,
    RateLimited,
    ServerProblem,
    Up42Error,
)

URL = "https://api.up42.com/v2/orders"
EULA = "5e0c1111-2222-4333-8444-555555555555"
QUICK = settings(derandomize=True, max_examples=150, deadline=None, database=None)


def answer(status, body, *, url=URL, method="GET", **headers):
    """What the transport hands over; `body` is bytes, or anything else as JSON."""
    response = requests.Response()
    response.status_code, response.url = status, url
    response._content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    response.request = requests.Request(method, url).prepare()
    return response


def kind_of(status):
    known = {400: InvalidRequest, 401: NotAuthorized, 403: NotAuthorized, 404: NotFound, 422: InvalidRequest}
    known |= {429: RateLimited, 451: LegalBlock}
    return ServerProblem if status >= 500 else known.get(status, ApiError)


WORDS = st.from_regex(r"[A-Za-z][A-Za-z0-9 ,:'/_-]{0,20}[a-z]", fullmatch=True)
STATUSES = st.integers(400, 599) | st.sampled_from([400, 401, 403, 404, 405, 409, 422, 429, 451, 500, 503, 300, 304])


SHAPES = {
    "v1": lambda a, b, _: ({"data": None, "error": {"code": 7, "message": a, "details": b}}, [a, b]),
    "v1 of words": lambda a, b, c: ({"data": None, "error": {"code": c, "message": a, "details": b}}, [a, b]),
    "v1 search": lambda a, b, _: ({"data": {}, "error": {"code": 422, "message": a, "details": {"why": b}}}, [a, b]),
    "v1 short": lambda a, *_: ({"error": {"message": a}}, [a]),
    "v1 code only": lambda a, *_: ({"error": {"code": a, "message": None, "details": {}}}, [a]),
    "v2": lambda a, b, c: ({"title": a, "status": 418, "detail": b, "type": c}, [a, b]),
    "v2 with an object": lambda a, b, _: ({"title": a, "detail": {"why": b}}, [a, b]),
    "v2 without detail": lambda a, *_: ({"title": a, "detail": {}}, [a]),
    "v2 without title": lambda a, *_: ({"title": "", "detail": a}, [a]),
    "glossary": lambda a, b, _: ({"code": 404, "message": a, "details": b}, [a, b]),
    "glossary with a list": lambda a, b, _: ({"code": 404, "message": a, "details": [b]}, [a, b]),
    "schema error": lambda a, b, _: ({"title": a, "schema-error": b}, [a, b]),
    "schema error and detail": lambda a, b, c: ({"title": a, "detail": b, "schema-error": c}, [a, b, c]),
    "errors": lambda a, b, c: ({"title": a, "errors": [{"name": b, "message": c}]}, [a, b, c]),
    "odd errors": lambda a, b, c: (
        {"title": a, "errors": [{"message": b}, c, {"field": b}, 5]},
        [a, b, c, "field", "5"],
    ),
    "errors in words": lambda a, b, c: ({"title": a, "detail": b, "errors": c}, [a, b, c]),
    "Keycloak": lambda a, b, _: ({"error": b, "error_description": a}, [a]),
    "Spring": lambda a, b, c: ({"error": a, "message": b, "path": c, "status": 1}, [a, b]),
    "STAC": lambda a, b, _: ({"code": b, "description": a}, [a]),
    "JSON text": lambda a, *_: (a, [a]),
    "text": lambda a, *_: (a.encode(), [a]),
    "HTML": lambda a, *_: (f"<html><h1>{a}</h1></html>".encode(), [a]),
    "empty": lambda *_: (b"", []),
    "garbage": lambda *_: (b"\xff\xfe\x00", []),
    "empty object": lambda *_: ({}, []),
    "nulls": lambda *_: ({"title": None, "detail": None, "errors": None, "error": None, "message": None}, []),
    "list": lambda a, *_: ([a], []),
    "number": lambda *_: (5, []),
    "null": lambda *_: (None, []),
}
"""Bodies, and which words of the server must be found again."""


class TestAnyError:
    @pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
    def test_has_its_class_its_status_its_body_and_the_words_of_the_server(self, shape):
        @given(STATUSES, st.lists(WORDS, min_size=3, max_size=3, unique=True))
        @settings(derandomize=True, max_examples=15, deadline=None, database=None)
        def check(status, words):
            body, told = shape(*words)
            error = error_of(answer(status, body))
            assert type(error) is kind_of(status)
            assert error.status == status
            assert error.title
            if not isinstance(body, bytes):
                assert error.body == body
            assert f"GET {URL}: {status} " in str(error)
            assert all(word in str(error) for word in told)
            copy = pickle.loads(pickle.dumps(error))
            assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))

        check()

    @pytest.mark.parametrize("nothing", [None, {}, [], ""])
    def test_nothing_is_not_shown(self, nothing):
        for body in ({"title": "T", "detail": nothing}, {"error": {"message": "T", "details": nothing}}):
            error = error_of(answer(404, body))
            assert (error.title, error.detail, str(error)) == ("T", None, f"GET {URL}: 404 T.")

    @QUICK
    @given(
        st.integers(400, 599) | st.integers(400, 599).map(str) | st.sampled_from(["INVALID_ARGUMENT", 7, 1000, None]),
        WORDS,
        WORDS,
    )
    def test_also_inside_a_success(self, code, message, details):
        body = {"data": None, "error": {"code": code, "message": message, "details": details}}
        error = legacy_error_of(answer(200, body), body)
        status = int(code) if str(code).isdigit() and 400 <= int(code) < 600 else 200
        assert (type(error), error.status, error.body) == (kind_of(status), status, body)
        assert (error.title, error.detail) == (message, details)

    @pytest.mark.parametrize(
        "body",
        [
            {"data": {"id": 1}, "error": None},
            {"data": None, "error": None},
            {"data": {"id": 1}, "error": {"message": "a warning"}},
            {"results": [{"index": 0, "id": "o-1"}], "error": {"message": "a warning"}},
            {"jobID": "j-1", "error": "a warning"},
            {"error": None},
            {},
            [],
            "error",
            None,
        ],
    )
    def test_a_success_is_none(self, body):
        assert legacy_error_of(answer(200, body), body) is None

    @pytest.mark.parametrize("error", ["broken", {"message": None}, {}])
    def test_an_error_of_few_words_inside_a_success(self, error):
        found = legacy_error_of(answer(200, {"error": error}), {"error": error})
        assert type(found) is ApiError
        assert str(found).startswith(f"GET {URL}: 200 ")


class TestMessage:
    @pytest.mark.parametrize(
        ("body", "headers", "message"),
        [
            (
                {"title": "Resource not found.", "detail": "Look elsewhere."},
                {},
                f"GET {URL}: 404 Resource not found. Look elsewhere.",
            ),
            ({"title": "T", "detail": "T"}, {"X_Request_Id": "r-1"}, f"GET {URL}: 404 T. request id r-1."),
            (b"", {}, f"GET {URL}: 404 no reason given."),
            ({"error": "Not Found", "message": "No order o-1"}, {}, f"GET {URL}: 404 Not Found. No order o-1."),
            (
                {"title": "T", "errors": [{"name": "N", "message": "M"}, {"name": "O"}, "P"]},
                {},
                f"GET {URL}: 404 T. N: M; O; P.",
            ),
        ],
    )
    def test_says_what_happened_to_what(self, body, headers, message):
        assert str(error_of(answer(404, body, **headers))) == message

    def test_a_page_of_html_is_cut(self):
        error = error_of(answer(502, b"<html>" + b"x" * 10_000))
        assert len(str(error)) < 500
        assert len(error.body) > 10_000

    @pytest.mark.parametrize("name", ["X_Request_Id", "X_Correlation_Id", "traceparent"])
    def test_request_ids_of_proxies(self, name):
        assert error_of(answer(500, {}, **{name: "abc"})).request_id == "abc"
        assert error_of(answer(500, {})).request_id is None

    @pytest.mark.parametrize(
        ("status", "advice"),
        [(401, "may use this workspace"), (403, "role or plan"), (429, "concurrent"), (451, "Accept the EULA")],
    )
    def test_tells_what_to_do(self, status, advice):
        assert advice in str(error_of(answer(status, {"title": "T"})))

    def test_leaves_out_the_query(self):
        assert "secret" not in str(error_of(answer(500, {}, url=f"{URL}?token=secret")))


class TestLegalBlocks:
    @pytest.mark.parametrize(
        ("body", "eula", "collection", "advice"),
        [
            (
                {
                    "status": 451,
                    "title": f"EULA {EULA} is not accepted. See console.up42.com/settings.",
                    "detail": None,
                },
                EULA,
                None,
                f"Accept EULA {EULA} in the UP42 console",
            ),
            (
                {"status": 451, "title": "Access to collection phr is restricted for account 1. Ask.", "detail": None},
                None,
                "phr",
                "Request access to collection phr in the UP42 console",
            ),
            (f"EULA {EULA.upper()} is not accepted".encode(), EULA.upper(), None, "Accept EULA"),
            (b"<html>Unavailable For Legal Reasons</html>", None, None, "Accept the EULA or request access"),
            (b"", None, None, "Accept the EULA or request access"),
            ({"title": "EULA some-thing is not accepted"}, None, None, "Accept the EULA or request access"),
        ],
    )
    def test_name_what_is_missing(self, body, eula, collection, advice):
        error = error_of(answer(451, body, method="POST"))
        assert isinstance(error, LegalBlock)
        assert (error.eula_id, error.collection) == (eula, collection)
        assert advice in str(error)

    def test_other_errors_have_the_usual_advice_even_if_they_speak_of_eulas(self):
        error = error_of(answer(403, {"title": f"EULA {EULA} is not accepted."}))
        assert type(error) is NotAuthorized
        assert "role or plan" in str(error)


class TestAlreadyDecided:
    @pytest.mark.parametrize("path", ["feasibility-studies/1", "feasibility/1", "quotation/1"])
    def test_is_what_405_means_for_tasking(self, path):
        body = {"status": 405, "title": "Resource (Quotation) is write-protected.", "detail": {}}
        error = error_of(answer(405, body, url=f"https://api.up42.com/v2/tasking/{path}?x=1", method="PATCH"))
        assert type(error) is AlreadyDecided
        assert "write-protected. A decision stands for good" in str(error)

    @pytest.mark.parametrize(
        ("status", "url", "kind"),
        [
            (405, "https://api.up42.com/v2/orders/1/cancellation", ApiError),
            (405, "https://api.up42.com/v2/orders?x=/v2/tasking/", ApiError),
            (404, "https://api.up42.com/v2/tasking/quotation/1", NotFound),
            (409, "https://api.up42.com/v2/tasking/quotation/1", ApiError),
        ],
    )
    def test_nothing_else_is(self, status, url, kind):
        assert type(error_of(answer(status, {"title": "T"}, url=url))) is kind


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (errors.IncompleteDeletion(unknown=["x"], left_over={"c": {"b", "a"}}), "collection c also holds a, b"),
        (errors.InvalidParams(data_product_id="p", problems=("id is missing",)), "data product p: id is missing"),
        (errors.AoiRejected(source="a.geojson", feature=None, rule="r", reason="why"), "a.geojson: r: why"),
        (errors.BudgetExceeded("too dear"), "too dear"),
    ],
)
def test_errors_of_ours_travel_too(error, told):
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, Up42Error)
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))
    assert told in str(copy)
