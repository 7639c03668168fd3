"""What the README shows runs."""

import re
import runpy
import shlex
import subprocess
from pathlib import Path

import pytest

from up42_pipelines.api import Credentials, Hosts, Up42Client
from up42_pipelines.assets.dry_run import forecast_partitions
from up42_pipelines.cli import main

PROJECT = Path(__file__).resolve().parents[1]
PYTHON = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(), flags=re.DOTALL)
MAKE = set(re.findall(r"^make ([a-z-]+)", (PROJECT / "README.md").read_text(), flags=re.MULTILINE))


def test_the_pipeline_defines_what_the_text_says(tmp_path, monkeypatch):
    (tmp_path / "aois").mkdir()
    (tmp_path / "aois" / "berlin.geojson").write_bytes((PROJECT / "assets_defs/aois/berlin.geojson").read_bytes())
    (tmp_path / "block.py").write_text(PYTHON[0])
    monkeypatch.chdir(tmp_path)
    repository = runpy.run_path("block.py")["defs"].get_repository_def()
    jobs = {f"harbours_{job}" for job in ("ingest", "approve", "deliver", "audit", "dry_run")}
    assert jobs <= {job.name for job in repository.get_all_jobs()}
    assert {schedule.name for schedule in repository.schedule_defs} == {"harbours_daily", "harbours_audit_daily"}
    assert [sensor.name for sensor in repository.sensor_defs] == ["harbours_order_status_sensor"]


def test_the_pipeline_has_something_to_buy(sandbox, tmp_path, monkeypatch):
    (tmp_path / "aois").mkdir()
    (tmp_path / "aois" / "berlin.geojson").write_bytes((PROJECT / "assets_defs/aois/berlin.geojson").read_bytes())
    (tmp_path / "block.py").write_text(PYTHON[0])
    monkeypatch.chdir(tmp_path)
    pipeline = runpy.run_path("block.py")["pipeline"]
    client = Up42Client(Credentials(username="sandbox@example.com", password="sandbox"), Hosts.of(api_url=sandbox.url))
    [forecast] = forecast_partitions(pipeline, client, ["berlin|2026-06-01"])
    client.transport.close()
    assert forecast.credits > 0
    assert not forecast.problems


def test_the_workflow_defines_what_the_text_says(tmp_path, monkeypatch):
    (tmp_path / "aois").mkdir()
    (tmp_path / "aois" / "berlin.geojson").write_bytes((PROJECT / "assets_defs/aois/berlin.geojson").read_bytes())
    workflow = next(block for block in PYTHON if "build_workflow" in block)
    (tmp_path / "block.py").write_text(PYTHON[0] + workflow)
    monkeypatch.chdir(tmp_path)
    repository = runpy.run_path("block.py")["defs"].get_repository_def()
    collecting = {f"enhance_{step}_collect" for step in ("sharp", "colour", "buildings")}
    assert {"enhance_start", "enhance_dry_run"} | collecting <= {job.name for job in repository.get_all_jobs()}
    assert "enhance_job_status_sensor" in {sensor.name for sensor in repository.sensor_defs}


def test_the_client_does_what_the_text_says(sandbox, capsys):
    at_home = f'Hosts.of(api_url="{sandbox.url}")'
    block = next(block for block in PYTHON if "Up42Client" in block)
    block = block.replace('Hosts.of("eu")', at_home).replace("me@example.com", "sandbox@example.com")
    exec(block.replace('password="..."', 'password="sandbox"'), {})
    assert "credits left" in capsys.readouterr().out


def test_the_commands_exist():
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"demo", "test"} <= MAKE <= targets


@pytest.mark.parametrize("target", ["demo", "dev"])
def test_make_gives_the_command_line_what_it_takes(target):
    said = subprocess.run(
        ["make", "--just-print", target, "IMAGERY=docs", "PORT=3001", "WHAT=processing"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    line = next(line for line in said.splitlines() if "bin/up42-pipelines" in line)
    name, *options = shlex.split(line)[1:]
    main.commands[name].make_context(name, options)


@pytest.mark.parametrize("environment", [".venv-sdk", ".venv-stac"])
def test_make_test_makes_the_judges_environments(environment):
    """Without them their tests skip, and nobody would notice."""
    said = subprocess.run(
        ["make", "--just-print", "--always-make", "test"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    assert re.search(rf"pip sync .*--python {re.escape(environment)}/bin/python", said)


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md"])
def test_links_point_to_files(document):
    text = (PROJECT / document).read_text()
    for target in re.findall(r"\]\((?!https?://|#)([^)]+)\)", text):
        assert (PROJECT / target).exists(), target


def test_every_module_is_in_the_architecture():
    text = (PROJECT / "ARCHITECTURE.md").read_text()
    modules = {path.stem for path in (PROJECT / "up42_pipelines").rglob("*.py")} - {"__init__", "__main__"}
    assert {module for module in modules if f"`{module}`" not in text} == set()
