import re
import shutil

import pytest
import requests
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator

from up42_pipelines.sandbox import app
from up42_pipelines.sandbox.control import openapi
from up42_pipelines.sandbox.routing import route as declare

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def document(sandbox):
    return requests.get(f"{sandbox.url}/sandbox/openapi.json").json()


@pytest.fixture(scope="module")
def operations(document):
    """Every operation by method and path."""
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_the_document_is_openapi_3_1_and_for_the_page_3_0(sandbox, document):
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()
    older = requests.get(f"{sandbox.url}/sandbox/docs/openapi.json").json()
    assert older == {**document, "openapi": "3.0.3"}
    OpenAPIV30SpecValidator(older).validate()


def test_every_route_is_described(operations):
    routes = [route for part in app._PARTS for route in part.ROUTES]
    expected = {(method, route.path_format) for route in routes for method in route.methods - {"HEAD"}}
    assert set(operations) == expected
    assert all(operation["summary"] for operation in operations.values())


def test_parameters_examples_and_locks_are_those_of_the_routes(operations):
    for part in app._PARTS:
        for route in part.ROUTES:
            for method in route.methods - {"HEAD"}:
                operation = operations[method, route.path_format]
                named = {(one["in"], one["name"]) for one in operation["parameters"]}
                places = {("path", name) for name in re.findall(r"{(\w+)}", route.path_format)}
                assert named == places | {("query", name) for name in route.query}
                assert ("security" in operation) == (not route.public)
                content = operation.get("requestBody", {}).get("content", {})
                assert [entry["example"] for entry in content.values()] == [route.example] * (route.example is not None)


def test_a_route_is_described_from_what_it_declares():
    def handler(call):
        """Change `one`.

        In detail.
        """

    example = {"a": None}
    described = openapi.document(
        [declare("/x/{one}", handler, ["PATCH"], query=("page",), example=example), declare("/x/{one}", handler)]
    )
    (methods,) = described["paths"].values()
    assert list(methods) == ["patch", "get"]
    operation = methods["patch"]
    assert (operation["summary"], operation["description"]) == ("Change one", "In detail.")
    assert [(one["in"], one["name"], one["required"]) for one in operation["parameters"]] == [
        ("path", "one", True),
        ("query", "page", False),
    ]
    assert operation["requestBody"]["content"]["application/merge-patch+json"]["example"] == example
    assert operation["security"] == methods["get"]["security"]
    assert "requestBody" not in methods["get"]


def test_calls_are_grouped_by_module_and_the_sandboxs_own_set_apart(document, operations):
    about = {tag["name"]: tag["description"] for tag in document["tags"]}
    assert {tag for operation in operations.values() for tag in operation["tags"]} == set(about)
    assert "STAC API" in about["stac"]
    assert "not UP42's" in about["sandbox"]
    for (_, path), operation in operations.items():
        assert (operation["tags"] == ["sandbox"]) == path.startswith("/sandbox/")


def test_the_examples_of_the_controls_work(start_sandbox, operations):
    running = start_sandbox()
    for path in ("/sandbox/clock", "/sandbox/faults"):
        example = operations["POST", path]["requestBody"]["content"]["application/json"]["example"]
        assert running.post(path, example).status_code == 200


def test_a_token_can_be_had_where_the_document_says(sandbox, document):
    (scheme,) = document["components"]["securitySchemes"].values()
    form = {"grant_type": "password", "username": "sandbox@example.com", "password": "sandbox", "client_id": "up42-sdk"}
    url = sandbox.url + scheme["flows"]["password"]["tokenUrl"]
    assert requests.post(url, data=form).json()["token_type"] == "Bearer"


def test_the_page_loads_nothing_from_elsewhere(sandbox):
    answer = requests.get(f"{sandbox.url}/sandbox/docs")
    assert answer.headers["Content-Type"].startswith("text/html")
    loaded = re.findall(r"""(?:src|href|url|validatorUrl)\s*[=:]\s*["']([^"']*)""", answer.text)
    assert {"./swagger-ui.css", "./swagger-ui-bundle.js", "./openapi.json"} <= set(loaded)
    assert "validatorUrl: null" in answer.text
    for url in loaded:
        assert re.fullmatch(r"\./[\w.-]+", url)
        assert requests.get(f"{answer.url}{url}").status_code == 200
    styles = requests.get(f"{answer.url}swagger-ui.css").text
    assert all(url.startswith("data:") for url in re.findall(r"""url\(["']?([^"')]*)""", styles))
    assert requests.get(f"{answer.url}__init__.py").status_code == 404


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_person_can_log_in_and_try_a_call(sandbox):
    from playwright.sync_api import sync_playwright

    asked = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{sandbox.url}/sandbox/docs")
        page.click("button.authorize")
        page.fill("#oauth_username", "sandbox@example.com")
        page.fill("#oauth_password", "sandbox")
        page.click(".auth-btn-wrapper button.authorize")
        page.get_by_role("button", name="Logout").wait_for()
        page.click(".auth-btn-wrapper .btn-done")
        operation = page.locator("#operations-orders-get_v2_orders")
        operation.locator(".opblock-summary").click()
        operation.get_by_role("button", name="Try it out").click()
        operation.get_by_role("button", name="Execute").click()
        operation.locator(".live-responses-table .response-col_status", has_text="200").wait_for()
        browser.close()
    assert f"{sandbox.url}/v2/orders" in [url.partition("?")[0] for url in asked]
    assert [url for url in asked if not url.startswith((f"{sandbox.url}/", "data:"))] == []
