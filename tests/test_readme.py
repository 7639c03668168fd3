"""What the README shows runs."""

import re
import runpy
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PYTHON = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(), flags=re.DOTALL)
MAKE = set(re.findall(r"^make ([a-z-]+)", (PROJECT / "README.md").read_text(), flags=re.MULTILINE))


def test_the_pipeline_defines_what_the_text_says(tmp_path, monkeypatch):
    (tmp_path / "aois").mkdir()
    (tmp_path / "aois" / "berlin.geojson").write_bytes((PROJECT / "assets_defs/aois/berlin.geojson").read_bytes())
    (tmp_path / "block.py").write_text(PYTHON[0])
    monkeypatch.chdir(tmp_path)
    repository = runpy.run_path("block.py")["defs"].get_repository_def()
    assert {"harbours_ingest", "harbours_deliver"} <= {job.name for job in repository.get_all_jobs()}
    assert [schedule.name for schedule in repository.schedule_defs] == ["harbours_daily"]
    assert [sensor.name for sensor in repository.sensor_defs] == ["harbours_order_status_sensor"]


def test_the_commands_exist():
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"demo", "test"} <= MAKE <= targets


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md"])
def test_links_point_to_files(document):
    text = (PROJECT / document).read_text()
    for target in re.findall(r"\]\((?!https?://|#)([^)]+)\)", text):
        assert (PROJECT / target).exists(), target


def test_every_module_is_in_the_architecture():
    text = (PROJECT / "ARCHITECTURE.md").read_text()
    modules = {path.stem for path in (PROJECT / "up42_pipelines").rglob("*.py")} - {"__init__", "__main__"}
    assert {module for module in modules if f"`{module}`" not in text} == set()
