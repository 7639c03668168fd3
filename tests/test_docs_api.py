"""docs/api.md lists every endpoint, once, with a function that exists and a test that calls it."""

import re
from pathlib import Path

import pytest

from up42_pipelines.api import Credentials, Hosts, Up42Client
from up42_pipelines.sandbox import app
from up42_pipelines.sandbox.routing import ApiRoute

PROJECT = Path(__file__).resolve().parents[1]
CONTRACT = PROJECT.parent / "shared" / "reference" / "up42-api.md"
PAGE = (PROJECT / "docs" / "api.md").read_text()
OFFERED, NOT_OFFERED = PAGE.split("## Not offered")
OLDER_NAMES = {"/v2/tasking/feasibility"}
ONLY_SERVED = {
    ("/realms/public/protocol/openid-connect/userinfo", "POST"),  # OpenID Connect asks for it, no client here
    ("/v2/assets/stac/search", "GET"),  # these two are stac-api-validator's
    ("/v2/assets/stac/conformance", "GET"),
}
MARKS = {"SDK", "SDK<", "DOC", "SEEN", "INFERRED"}


def rows():
    for line in OFFERED.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 5 and cells[0].startswith("`/"):
            yield cells


def shape(path: str) -> str:
    """A path without the names of its parameters."""
    return re.sub(r"\{[^}]*\}", "{}", path).rstrip("/")


def endpoints() -> set[tuple[str, str]]:
    return {(shape(path.strip("`")), method) for path, methods, *_ in rows() for method in methods.split(", ")}


def test_every_route_of_the_sandbox_is_in_the_table_and_the_other_way_round():
    served = {
        (shape(route.path), method)
        for part in app._PARTS
        for route in part.ROUTES
        if isinstance(route, ApiRoute)
        and not route.path.startswith(("/sandbox", "/storage"))
        and not any(f"{route.path}/".startswith(f"{name}/") for name in OLDER_NAMES)
        for method in route.methods - {"HEAD"}
    }
    served = {(path, method) for path, method in served if not path.startswith("/v2/catalog/")}
    listed = {(path, method) for path, method in endpoints() if not path.startswith("/v2/catalog/...")}
    assert listed - served == set()
    assert served - listed == ONLY_SERVED


@pytest.mark.parametrize(("path", "method", "evidence", "here", "test"), list(rows()), ids=lambda cell: cell[:60])
def test_each_line_names_a_function_and_a_test_that_calls_it(path, method, evidence, here, test):
    assert evidence in MARKS
    source = (PROJECT / test.strip("`")).read_text()
    client = Up42Client(Credentials(username="u", password="p"), Hosts.of(api_url="http://127.0.0.1:9"))
    for name in re.findall(r"`client\.([\w.]+)", here):
        parts = name.split(".")
        owner = client
        for part in parts[:-1]:
            if part == "stac":
                break  # from here on it is pystac-client's
            owner = getattr(owner, part)
        else:
            assert hasattr(type(owner), parts[-1]), f"there is no client.{name}"
        assert re.search(rf"\b{parts[-1]}\b", source), f"{test} never calls {parts[-1]}"


def test_every_function_of_the_client_is_named():
    client = Up42Client(Credentials(username="u", password="p"), Hosts.of(api_url="http://127.0.0.1:9"))
    parts = {name: part for name, part in vars(client).items() if not name.startswith("_") and name != "transport"}
    parts["storage.assets"] = client.storage.assets
    names = {f"{part}.{name}" for part, owner in parts.items() for name in vars(type(owner)) if name[0] != "_"}
    assert {name for name in names if f"`client.{name}`" not in OFFERED} == set()


def test_every_endpoint_of_the_contract_is_offered_or_refused():
    if not CONTRACT.is_file():
        pytest.skip("the contract is not beside this checkout")
    text = CONTRACT.read_text()
    text = text[text.index("## 1. Authentication") : text.index("## 10. Legacy v1")]
    named = {
        shape(re.sub(r"\?.*", "", path))
        for path in re.findall(r"(?:GET|POST|PATCH|PUT|DELETE)(?:\|\w+)* `?(?:https://[\w.]+)?(/[\w/{}\-.]+)", text)
    }
    assert len(named) > 40
    known = {path for path, _ in endpoints()}
    refused = {shape(path) for path in re.findall(r"`(/[^`]+)`", NOT_OFFERED)}
    unknown = {path for path in named if path not in known | refused and not path.startswith("/v2/catalog")}
    assert unknown == set()
