"""The sandbox is judged by a client that nobody here wrote: UP42's official SDK, unmodified but for the host."""

import json
import os
import subprocess
from pathlib import Path

import pytest

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
def seen(sandbox, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdk")
    environment = {"PATH": os.environ["PATH"], "UP42_DISABLE_VERSION_CHECK": "true", "HOME": str(folder)}
    said = subprocess.run(
        [PYTHON, Path(__file__).with_name("scenario.py"), sandbox.url, folder],
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
