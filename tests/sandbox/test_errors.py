import pytest


@pytest.mark.parametrize("path", ["/", "/v2/nothing", "/workspaces/x/orders", "/v2/orders/", "/docs"])
def test_unknown_paths_are_404_problems(sandbox, path):
    answer = sandbox.get(path)
    assert answer.status_code == 404
    assert answer.json()["status"] == 404
    assert answer.json()["title"]


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
