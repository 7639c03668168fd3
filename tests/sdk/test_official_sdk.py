"""The sandbox, and what we send, judged by a client that nobody here wrote: UP42's official SDK, but for the host."""

import json
import os
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from tests.sdk.recording import recording
from up42_pipelines.api import Credentials, Hosts, Up42Client
from up42_pipelines.errors import OrderRefused
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.processing.purchase import JobPurchase, PlannedJob
from up42_pipelines.processing.templates import TEMPLATES, AnyProcess, GreyWeight
from up42_pipelines.uptime import uptime_s

PROJECT = Path(__file__).resolve().parents[2]
PYTHON = PROJECT / ".venv-sdk" / "bin" / "python"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.is_file(), reason="the SDK's own environment is made by `make test`"),
]


@pytest.fixture(scope="module")
def sandbox(start_sandbox):
    return start_sandbox("--speed", "5000", "--seed", "3")


@pytest.fixture(scope="module")
def recorder(sandbox):
    with recording(sandbox.url) as recorder:
        yield recorder


@pytest.fixture(scope="module")
def seen(recorder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdk")
    environment = {"PATH": os.environ["PATH"], "UP42_DISABLE_VERSION_CHECK": "true", "HOME": str(folder)}
    said = subprocess.run(
        [PYTHON, Path(__file__).with_name("scenario.py"), recorder.url, folder],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-3000:]
    return json.loads(said.stdout.splitlines()[-1])


def test_the_scenario_uses_every_public_name_of_the_sdk(seen):
    assert seen["unused"] == []


def test_glossary_and_search(seen):
    assert seen["collections"] == ["sandbox-optical", "sandbox-tasking"]
    assert seen["scenes"] == seen["catalogue"] > 5
    assert seen["quicklook"] > 1000
    assert "no-such-collection" in seen["invalid search"]


def test_orders(seen, sandbox):
    ledger = {order["id"]: order for order in sandbox.ledger()}
    assert set(seen["orders"]) <= set(ledger)
    assert all(ledger[order_id]["status"] == "FULFILLED" for order_id in seen["orders"])
    assert "CANCELED" in seen["cancellation"]
    assert (seen["budgets"], seen["enforced"]) == (3, False)


def test_storage(seen):
    assert seen["downloaded"].endswith(".tiff")
    assert seen["magic"] in ("49492a00", "49492b00")  # a TIFF arrived under the name it was given
    assert seen["archive magic"] == "PK"
    assert seen["deletion"] == "deleted"


def test_job_templates(seen):
    judged = seen["templates"]
    assert len(judged) == 16
    assert judged.pop("pansharpening") == ["MissingPanchromaticAsset"]
    assert set(map(tuple, judged.values())) == {()}


def test_tasking(seen):
    assert seen["tasking"] == {"ACCEPTED": "FULFILLED", "REJECTED": "CANCELED"}


TITLE = "sdk sends"


@pytest.fixture(scope="module")
def theirs(seen, recorder):
    """What the SDK's templates sent, by case."""
    cases, case = {}, None
    for one in recorder.asked:
        if one.path == "/sandbox/health":
            case = dict(one.query)["case"]
            cases[case] = []
        elif case != "end" and is_about_jobs(one):
            cases.setdefault(case, []).append(one)
    return cases


@pytest.fixture(scope="module")
def ours(recorder):
    """`ours(case)`: what we send to buy the same job."""
    account = Credentials(username="sandbox@example.com", password="sandbox")
    client = Up42Client(account, Hosts.of(api_url=recorder.url))

    def send(case):
        planned = PlannedJob(
            workspace_id=client.workspace_id,
            workflow="sdk",
            step="sends",
            partition="a|b",
            process_id=case["process_id"],
            inputs=template(case).inputs(case["items"]),
        )
        purchase = JobPurchase(planned, client.processing, client.account)
        before = len(recorder.asked)
        with suppress(OrderRefused):
            purchase.place(purchase.price(), not_after=uptime_s() + 60)
        return [with_their_title(one) for one in recorder.asked[before:] if is_about_jobs(one)]

    yield send
    client.transport.close()


def template(case):
    options = dict(case["options"])
    if weights := options.pop("grey_weights", None):
        options["grey_weights"] = tuple(GreyWeight(**weight) for weight in weights)
    if case["process_id"] not in TEMPLATES:
        return AnyProcess(process_id=case["process_id"])
    return TEMPLATES[case["process_id"]](**options)


def is_about_jobs(one):
    return one.path.startswith(("/v2/processing/", "/v2/eulas/"))


def with_their_title(one):
    """The only difference: our titles carry the key and tell the price, which is 0 as long as it is not known."""
    if one.body is None:
        return one
    assert JobTitle.read(one.body["inputs"]["title"])
    return replace(one, body={"inputs": {**one.body["inputs"], "title": TITLE}})


def test_our_templates_send_what_the_sdks_send(seen, theirs, ours):
    paths = []
    for number, case in enumerate(seen["sent"]):
        their = theirs[str(number)]
        assert ours(case) == their, case
        paths.append([one.path.rsplit("/", 1)[-1] for one in their if one.method == "POST"])
    assert {case["process_id"] for case in seen["sent"]} == {*TEMPLATES, "no-such-process"}
    bought = ["validation", "cost", "execution"]
    judged = [(case["errors"], sent) for case, sent in zip(seen["sent"], paths, strict=True)]
    assert [sent for errors, sent in judged if not errors] == [bought] * 18
    assert sorted((errors, sent) for errors, sent in judged if errors) == [
        (["MissingPanchromaticAsset"], ["validation"]),
        (["ProcessNotFound"], []),
    ]


def test_without_a_licence_both_stop_before_the_inputs(seen, theirs, ours, sandbox):
    eula = seen["unlicensed"]["eula"]
    access = f"{sandbox.url}/sandbox/access"
    requests.post(access, json={"eulas": {eula: False}}, timeout=10).raise_for_status()
    our = ours({"process_id": "detection-trees-spacept", "items": [seen["unlicensed"]["item"]], "options": {}})
    requests.post(access, json={"eulas": {eula: True}}, timeout=10).raise_for_status()
    assert our == theirs["unlicensed"]
    assert [one.path for one in our] == ["/v2/processing/processes/detection-trees-spacept", f"/v2/eulas/{eula}"]
