import pytest


@pytest.mark.parametrize("path", ["/", "/v2/nothing", "/v2/orders/", "/sandbox/nothing", "/docs"])
def test_unknown_paths_are_404_problems(sandbox, path):
    answer = sandbox.get(path)
    assert answer.status_code == 404
    assert answer.json()["status"] == 404
    assert answer.json()["title"]


@pytest.mark.parametrize("path", ["/workspaces/x/orders", "/orders/schema/nonsense", "/webhooks/nothing"])
def test_unknown_paths_of_v1_are_404_in_its_envelope(sandbox, path):
    answer = sandbox.get(path)
    assert answer.status_code == 404
    body = answer.json()
    assert (body["data"], body["error"]["code"]) == (None, 404)
    assert body["error"]["message"]


@pytest.mark.parametrize("path", ["/v2/orders", "/v2/nothing", "/storage/nothing", "/catalog/x/image/y/quicklook"])
def test_every_answer_says_who_gives_it(sandbox, path):
    assert sandbox.get(path).headers["Server"] == "up42-sandbox"


def test_other_parts_write_errors_in_their_own_way(sandbox):
    bucket = sandbox.get("/storage/nothing")
    assert (bucket.status_code, "<Error><Code>NotFound</Code>" in bucket.text) == (404, True)
    keycloak = sandbox.get("/realms/public/nothing")
    assert (keycloak.status_code, sorted(keycloak.json())) == (404, ["error", "error_description"])


def test_a_wrong_method_is_a_405_problem(sandbox):
    answer = sandbox.http.delete(sandbox.url + "/v2/orders")
    assert (answer.status_code, answer.json()["status"]) == (405, 405)


@pytest.mark.parametrize(
    "path", ["/v2/orders/estimate", "/v2/orders", "/v2/assets/stac/search", "/catalog/hosts/sandbox-host/stac/search"]
)
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"limit": NaN}', b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"],
    ids=["empty", "cut", "list", "null", "binary", "nan", "deep", "huge-number"],
)
def test_bodies_that_are_not_json_objects_are_400(sandbox, path, body):
    answer = sandbox.http.post(f"{sandbox.url}{path}?workspaceId={sandbox.workspace_id}", data=body)
    assert answer.status_code == 400, answer.text
    problem = answer.json()
    assert (problem.get("status") or problem["error"]["code"]) in (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/orders/{}"),
        ("PATCH", "/v2/orders/{}"),
        ("POST", "/v2/orders/{}/cancellation"),
        ("GET", "/v2/assets/{}"),
        ("GET", "/v2/assets/{}/metadata"),
        ("POST", "/v2/assets/{}/download-url"),
        ("GET", "/v2/assets/stac/collections/{}"),
        ("GET", "/v2/assets/stac/collections/{}/items"),
    ],
)
@pytest.mark.parametrize(
    "identifier", ["nonsense", "00000000-0000-4000-8000-000000000000", "%00", "1;DROP TABLE orders"]
)
def test_ids_that_lead_nowhere_are_404(sandbox, method, path, identifier):
    answer = sandbox.http.request(method, sandbox.url + path.format(identifier), json={})
    assert answer.status_code == 404, answer.text
    assert answer.json()["status"] == 404


@pytest.mark.parametrize("body", ['{"limit": 1, "ids": ["\\ud800"]}', '{"limit": 1e999}', '{"limit": NaN}', "[1", "[]"])
@pytest.mark.parametrize("path", ["/v2/assets/stac/search", "/v2/catalog/search", "/v2/orders/estimate"])
def test_a_body_that_could_not_be_answered_or_stored_again_is_400(sandbox, path, body):
    answer = sandbox.http.post(f"{sandbox.url}{path}", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "the body" in answer.json()["detail"]
