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


def test_a_users_scenario(start_sandbox, tmp_path):
    sandbox = start_sandbox("--speed", "5000", "--seed", "3")
    environment = {"PATH": os.environ["PATH"], "UP42_DISABLE_VERSION_CHECK": "true", "HOME": str(tmp_path)}
    said = subprocess.run(
        [PYTHON, Path(__file__).with_name("scenario.py"), sandbox.url, tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-3000:]
    seen = json.loads(said.stdout.splitlines()[-1])
    assert seen["collections"] == ["sandbox-optical"]
    assert seen["scenes"] > 5
    assert seen["quicklook"] > 1000
    assert "no-such-collection" in seen["invalid search"]
    assert {order["id"] for order in sandbox.ledger()} == set(seen["orders"])
    assert "FULFILLED" in seen["statuses"]
    assert seen["downloaded"].endswith(".tiff")
    assert seen["magic"] in ("49492a00", "49492b00")  # a TIFF arrived under the name it was given
