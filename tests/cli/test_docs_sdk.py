"""docs/from-the-sdk.md names every function of UP42's Python SDK, and each of its lines runs and gives what it says."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from up42_pipelines.api import Job, JobStatus
from up42_pipelines.cli import main

PROJECT = Path(__file__).resolve().parents[2]
SEEDS = PROJECT.parent / "shared" / "seeds"
PAGE = (PROJECT / "docs" / "from-the-sdk.md").read_text()
PROGRAM = "up42-pipelines"

FUNCTIONS = {
    "up42": """
        authenticate create_webhook draw_aoi get_block_coverage get_block_details get_blocks get_credits_balance
        get_credits_history get_example_aoi get_webhook_events get_webhooks initialize_asset initialize_catalog
        initialize_job initialize_jobcollection initialize_jobtask initialize_order initialize_project
        initialize_storage initialize_tasking initialize_webhook initialize_workflow read_vector_file validate_manifest
    """,
    "Catalog": """
        construct_order_parameters construct_parameters construct_search_parameters download_quicklooks estimate_order
        get_collections get_data_product_schema get_data_products map_quicklooks place_order plot_coverage
        plot_quicklooks search
    """,
    "Tasking": "construct_order_parameters get_collections get_data_product_schema get_data_products place_order",
    "Storage": "get_assets get_orders pystac_client",
    "Order": "estimate get_assets place track_status info status is_fulfilled",
    "Asset": "download update_metadata info stac_info",
    "Project": """
        create_workflow get_jobs get_project_settings get_workflows update_project_settings info max_concurrent_jobs
    """,
    "Workflow": """
        add_workflow_tasks construct_parameters construct_parameters_parallel delete estimate_job get_compatible_blocks
        get_jobs get_parameters_info get_workflow_tasks run_job run_jobs_parallel test_job test_jobs_parallel
        update_name info workflow_tasks max_concurrent_jobs
    """,
    "Job": """
        cancel_job download_quicklooks download_results get_credits get_jobtasks get_jobtasks_results_json get_logs
        get_results_json map_quicklooks map_results plot_quicklooks plot_results track_status
        upload_results_to_bucket info status is_succeeded
    """,
    "JobTask": "download_quicklooks download_results get_results_json map_results plot_quicklooks plot_results info",
    "JobCollection": "apply download_results map_results plot_results info status",
    "Webhook": "delete trigger_test_events update info",
}
"""What the functionality page lists, by class."""

STORAGE_PAGE = {
    "Storage": {"pystac_client.get_collections()"},
    "Asset": {".stac_items()", "stac_items[0].get_assets()"},
}
"""What the storage page uses beyond that."""

PROCESSING = {
    "Cost": "A data class that compares the cost of a process",
    "DetectionTreesSpacept": "processing_templates.DetectionTreesSpacept(",
    "Job": "A data class that represents a job",
    "Job.all()": "Job.all(",
    "Job.collection": "Job.collection(",
    "Job.get()": "Job.get(",
    "Job.track()": "Job.track(",
    "JobMetadata": "A dictionary class that contains job metadata",
    "JobResults": "JobResults",
    "JobSorting": "JobSorting",
    "JobStatus": "JobStatus",
    "JobTemplate": "A class for job templates",
    "JobTemplate.cost": "template.cost",
    "JobTemplate.errors": "template.errors",
    "JobTemplate.execute()": "job.execute()",
    "JobTemplate.is_valid": "job.is_valid",
    "MultiItemJobTemplate": "require multiple STAC items",
    "SingleItemJobTemplate": "require one STAC item",
    "UnfinishedJob": "An exception class that is raised when a job hasn",
    "ValidationError": "ValidationError",
}
"""What the page of the processing classes documents, and where. What it has no names for is called as in up42-py."""

CALLS = {
    "Create a download URL",
    "Download an asset",
    "Get asset metadata",
    "Get assets",
    "Get specific STAC items",
    "Update asset metadata",
}
"""What the page of the storage API calls."""


@dataclass(frozen=True)
class Row:
    section: str
    name: str
    line: str
    gives: str


def steps() -> Iterator[str | Row]:
    """Python blocks and rows of tables, as they come."""
    section, block = "", None
    for line in PAGE.splitlines():
        if line.startswith("```"):
            if block is not None:
                yield "\n".join(block)
            block = [] if line == "```python" else None
        elif block is not None:
            block.append(line)
        elif line.startswith("## "):
            section = line.removeprefix("## ")
        elif cells := re.fullmatch(r"\| (.+?) \| `([^`]+)` \| (.+) \|", line):
            yield Row(section, cells[1].strip("`"), cells[2], cells[3])


ROWS = [step for step in steps() if isinstance(step, Row)]


def named(section: str) -> list[str]:
    return [row.name for row in ROWS if row.section == section]


def every_name() -> dict[str, set[str]]:
    listed = {section: {f".{name}()" for name in names.split()} for section, names in FUNCTIONS.items()}
    for section, names in STORAGE_PAGE.items():
        listed[section] |= names
    return listed | {"Processing": set(PROCESSING), "Calls of the storage API": CALLS}


def test_every_function_has_a_row_and_only_those():
    assert {section: set(named(section)) for section in dict.fromkeys(row.section for row in ROWS)} == every_name()
    assert len(ROWS) == len({(row.section, row.name) for row in ROWS})


def test_no_row_of_a_table_was_overlooked():
    lines = [
        line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| up42-py", "| call"))
    ]
    tables = PAGE[PAGE.index("## up42") :].splitlines()
    assert len([line for line in lines if line in tables and "---" not in line]) == len(ROWS)


class TestTheLists:
    """The lists above are those of the documents they are of."""

    @staticmethod
    def seed(number: str) -> str:
        if not SEEDS.is_dir():
            pytest.skip("the documents that name the functions are not beside this checkout")
        [file] = SEEDS.glob(f"{number}_*.txt")
        return file.read_text()

    def test_functionality(self):
        lists = re.findall(r"see also (\w+) reference:\n((?:• \.\w+\(\)(?:\n|$))+)", self.seed("002"))
        found = {section: re.findall(r"\.(\w+)\(\)", names) for section, names in lists}
        found["Webhook"] = found.pop("Webhooks")
        assert found == {section: names.split() for section, names in FUNCTIONS.items()}

    def test_storage_page(self):
        used = set(
            re.findall(r"(?<![\w\"])(?:storage|up42|asset|assets\[0\]|orders\[0\]|item_list)\.(\w+)", self.seed("000"))
        )
        known = {name for names in FUNCTIONS.values() for name in names.split()}
        assert used - known == {"stac_items", "href"}  # the second is pystac's
        assert "up42_pystac_client.get_collections()" in self.seed("000")
        assert "stac_items[0].get_assets()" in self.seed("000")

    def test_processing_page(self):
        text = self.seed("003")
        assert [name for name, mention in PROCESSING.items() if mention not in text] == []
        assert len(re.findall(r"\b(?:data|enumeration|dictionary|exception)? ?class (?:that|for)", text)) == 11
        assert set(re.findall(r"\bJob\.(\w+)\(", text)) == {"all", "collection", "get", "track"}

    def test_statuses_and_attributes_of_jobs(self):
        text = self.seed("003")
        statuses = re.findall(r"^([A-Z]+) \| .* \| ([a-z]+) \|$", text, flags=re.MULTILINE)
        assert dict(statuses) == {status.name: status.value for status in JobStatus}
        attributes = text[text.index("A data class that represents a job") :].partition("\nFunctions\n")[0]
        names = set(re.findall(r"^(\w+) \|", attributes, flags=re.MULTILINE)) - {"Attribute"}
        assert {name for name in names if not (name in Job.model_fields or hasattr(Job, name))} == {"collection_url"}

    def test_calls_of_the_storage_api(self):
        text = self.seed("001")
        assert set(re.findall(r"[Cc]all the ([A-Z][\w ]+?) endpoint", text)) == CALLS


class Reader:
    """Somebody who works through the page, in a folder of their own."""

    def __init__(self, run, url: str) -> None:
        self._run, self._url = run, url
        self._names: dict[str, Any] = {}

    def problem_of(self, step: str | Row) -> str | None:
        """What is wrong with a block or a row; None when it does what it says."""
        try:
            if isinstance(step, str):
                exec(step.replace("http://127.0.0.1:8042", self._url), self._names)
                return None
            return self._of_command(step) if step.line.startswith(PROGRAM) else self._of_line(step)
        except Exception as error:  # noqa: BLE001 - all rows are to be told of
            return f"{type(error).__name__}: {error}"

    def close(self) -> None:
        if "client" in self._names:
            self._names["client"].transport.close()

    def _of_command(self, row: Row) -> str | None:
        names = {"item": self._names["items"][0], **self._names}
        line = re.sub(
            r"\$(\w+)", lambda id_: "memory://bucket" if id_[1] == "BUCKET" else names[id_[1].lower()].id, row.line
        )
        said = self._run(shlex.split(line)[1:], env={"UP42_LAKE_URL": "lake"})
        return None if said.code == 0 and said.stdout.strip() else f"exit code {said.code}: {said.stdout}{said.stderr}"

    def _of_line(self, row: Row) -> str | None:
        promise = re.match(r"(several )?`(\w+)`", row.gives)
        if promise is None:
            return "does not say what it gives"
        value = eval(row.line, self._names)
        one = next(iter(value), None) if promise[1] else value
        if promise[2] not in {base.__name__ for base in type(one).__mro__}:
            return f"gives {one!r:.200}"
        return None if one else f"gives an empty {one!r}"


def test_every_line_runs_and_gives_what_it_says(shop, start_sandbox, cli_of, tmp_path, monkeypatch):
    mine = type(shop)(start_sandbox("--speed", "5000"))
    for kind, fate in {"order": "fulfilled", "job": "successful"}.items():
        mine.control("fates", {"kind": kind, "fate": fate, "times": 20})
    shutil.copytree(PROJECT / "assets_defs" / "aois", tmp_path / "assets_defs" / "aois")
    monkeypatch.chdir(tmp_path)
    reader = Reader(cli_of(mine), mine.url)
    problems = [f"{step}\n    {problem}" for step in steps() if (problem := reader.problem_of(step))]
    reader.close()
    mine.client.transport.close()
    assert not problems, "\n".join(problems)


def test_the_commands_exist():
    names = {row.line.split()[1] for row in ROWS if row.line.startswith(PROGRAM)}
    assert names <= set(main.commands)


def test_links_point_to_files():
    for target in re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", PAGE):
        assert (PROJECT / "docs" / target).is_file(), target
