"""Every benchmark from end to end, with inputs so small that the figures mean nothing."""

import json

import pytest

from benchmarks import peers
from benchmarks.harness import Contender, python, run

pytestmark = pytest.mark.slow
# Of each script, and of each server and link, one.
# The others run with `python -m benchmarks.run FOLDER --quick`; all of them here would take half a minute.
CASES = [("download", "loopback"), ("stac", "index")]


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_it_runs(case, tmp_path):
    script, name = case
    programs = {"download": ("nginx", "curl", "aria2c", "openssl"), "stream": ("nginx", "openssl")}.get(script, ())
    if missing := [program for program in programs if peers.find(program) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if script == "download" and not peers.SDK_PYTHON.exists():
        pytest.skip("up42-py is not installed: make .venv-sdk/.synced")
    found = tmp_path / "found.json"
    options = ["--quick", "--json", found, "--folder", tmp_path / "work"]
    run(Contender(name="-".join(case), argv=python(f"benchmarks.{script}", name, *options)))
    document = json.loads(found.read_text())
    assert document["benchmark"] == "-".join(case)
    assert document["quick"]
    assert all(samples and all(sample["wall_s"] > 0 for sample in samples) for samples in document["samples"].values())
    assert all(promise["holds"] is None and promise["median"] > 0 for promise in document["promises"])
    assert not list((tmp_path / "work").iterdir())
