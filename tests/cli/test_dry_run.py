"""`estimate --partitions`: a pipeline's dry run from the command line."""

import json
import sys
from pathlib import Path

import dagster as dg
import pytest
from rich.progress import Progress

from up42_pipelines.assets import dry_run
from up42_pipelines.cli import dry_run as command

AOI_FILE = Path(__file__).resolve().parents[2] / "assets_defs" / "aois" / "berlin.geojson"
DEFINITIONS = """
import dagster as dg

from up42_pipelines.assets import Pipeline
from up42_pipelines.assets.dry_run import dry_run_job
from up42_pipelines.partitions import date_by_aoi
from up42_pipelines.resources import Up42Resource

AOIS = {aois!r}


def pipeline(name):
    return Pipeline(
        name=name,
        aois=AOIS,
        partitions=date_by_aoi(AOIS, start_date="2026-06-01"),
        collection="sandbox-optical",
        data_product="analytic",
        bytes_per_pixel=8,
    )


elsewhere = Up42Resource(username="nobody", password="wrong", api_url="http://127.0.0.1:9")
defs = dg.Definitions(jobs=[dry_run_job(pipeline(name), elsewhere) for name in {names!r}])
"""


@pytest.fixture
def code_location(tmp_path, monkeypatch):
    """`code_location(*names, **aois)`: a module in the working directory with these pipelines; its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = []

    def make(*names, **aois):
        made.append(f"pipelines_{tmp_path.name}_{len(made)}")
        text = DEFINITIONS.format(names=names or ("daily",), aois={"berlin": str(AOI_FILE), **aois})
        (tmp_path / f"{made[-1]}.py").write_text(text)
        return made[-1]

    yield make
    for name in made:
        sys.modules.pop(name, None)


def test_partitions_and_totals_are_printed_and_nothing_is_bought(cli, shop, code_location):
    before = shop.sandbox.ledger()
    said = cli(f"estimate --partitions 2026-06-01..2026-06-02 -m {code_location()}")
    assert said.code == 0, said.stderr
    assert said.stderr == ""
    assert said.lines == [
        "pipeline    daily",
        "partitions  2, of which 0 with problems",
        "scenes      2 found, 1 chosen",
        "orders      1, of which 0 exist already",
        "price       76 credits (0.76 EUR)",
        "expected    6.7 MB, uncompressed",
        "",
        "partitions",
        "partition          scenes  chosen  orders  existing  credits  expected, uncompressed  problems",
        "berlin|2026-06-01       2       1       1         0       76                  6.7 MB         -",
        "berlin|2026-06-02       0       0       0         0        0                 0 bytes         -",
    ]
    assert shop.sandbox.ledger() == before


def test_json_has_the_same(cli, code_location):
    document = cli(["estimate", "--partitions", "berlin|2026-06-01", "-m", code_location(), "--json"]).json
    [row] = document["partitions"]
    assert (row["partition"], row["scenes_found"], row["credits"]) == ("berlin|2026-06-01", 2, 76)
    assert row["expected_bytes"] == document["totals"]["expected_bytes"] == pytest.approx(7.5615e6 / 9 * 8, rel=1e-4)
    assert (document["pipeline"], row["problems"]) == ("daily", [])


def test_a_partition_with_a_problem_is_named_the_others_are_told_and_the_code_is_1(cli, code_location, tmp_path):
    (tmp_path / "broken.geojson").write_text("{")
    module = code_location(broken=str(tmp_path / "broken.geojson"))
    said = cli(f"estimate --partitions 2026-06-01 -m {module}")
    assert said.code == 1
    assert "partitions  2, of which 1 with problems" in said.lines
    assert said.lines[-2:] == [
        "berlin|2026-06-01       2       1       1         0       76                  6.7 MB         -",
        "broken|2026-06-01       -       -       0         0        0                 0 bytes         1",
    ]
    assert said.stderr.startswith("error: broken|2026-06-01: ")
    assert "broken.geojson: json" in said.stderr
    again = cli(f"estimate --partitions 2026-06-01 -m {module} --json")
    assert again.code == 1
    assert [len(row["problems"]) for row in again.json["partitions"]] == [0, 1]


def test_the_account_is_the_command_line_s(cli, shop, code_location):
    arguments = f"estimate --partitions 2026-06-01 -m {code_location()}"
    nowhere = {"UP42_API_URL": "http://127.0.0.1:9"}
    assert cli(f"--api-url {shop.url} {arguments}", env=nowhere).code == 0
    said = cli(arguments, env={"UP42_PASSWORD": "wrong"})
    assert (said.code, said.stdout) == (1, "")
    assert said.stderr.startswith("error: ")
    assert "Invalid user credentials" in said.stderr
    assert said.stderr.count("\n") == 1
    assert cli(arguments, env={"UP42_PASSWORD": None}).code == 2


def test_one_of_several_pipelines_is_chosen(cli, code_location):
    module = code_location("hourly", "daily")
    asked = cli(f"estimate --partitions 2026-06-01 -m {module}")
    assert (asked.code, asked.stdout) == (2, "")
    assert "with --pipeline: daily, hourly" in asked.stderr
    assert "pipeline    hourly" in cli(f"estimate --partitions 2026-06-01 -m {module} --pipeline hourly").lines
    missing = cli(f"estimate --partitions 2026-06-01 -m {module} --pipeline weekly")
    assert missing.code == 2
    assert "has no pipeline 'weekly'; it has: daily, hourly" in missing.stderr


def test_a_code_location_without_pipelines_is_told(cli, code_location, tmp_path):
    module = code_location()
    (tmp_path / f"{module}.py").write_text("import dagster as dg\ndefs = dg.Definitions()\n")
    said = cli(f"estimate --partitions 2026-06-01 -m {module}")
    assert said.code == 2
    assert f"{module} holds no pipeline with a dry run" in said.stderr


def test_progress_is_shown_partition_by_partition(cli, code_location, monkeypatch):
    progress = Progress(disable=True)
    monkeypatch.setattr(command, "_progress", lambda: progress)
    assert cli(f"estimate --partitions 2026-06-01..2026-06-03 -m {code_location()}").code == 0
    [task] = progress.tasks
    assert (task.completed, task.total, task.description) == (3, 3, "berlin|2026-06-03")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "Missing --collection, --product, --scene; or give --partitions"),
        ("--scene x", "Missing --collection, --product; or"),
        ("--partitions 2026-06-01 --scene x", "One order or a pipeline?"),
        ("--pipeline daily", "belong to --partitions"),
        ("-m somewhere", "belong to --partitions"),
        ("--partitions 2026-06-01 -m nowhere.definitions", "There is no module nowhere.definitions here"),
        ("--partitions 2026-06-01 -m json", "json holds 0 Definitions instead of one"),
        ("--pipeline optical_archive --partitions 2026-06-02..2026-06-01", "ends before it begins"),
        ("--pipeline optical_archive --partitions ''", "Which partitions?"),
        ("--partitions 2026-06-01", "Choose a pipeline of assets_defs.definitions with --pipeline: bundle_archive, op"),
    ],
)
def test_asked_wrongly(cli, arguments, words):
    said = cli(f"estimate {arguments}")
    assert (said.code, said.stdout) == (2, "")
    assert words in said.stderr


def test_a_module_that_misses_another_one_says_which(cli, code_location, tmp_path):
    module = code_location()
    (tmp_path / f"{module}.py").write_text("import no_such_library")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        cli(f"estimate --partitions 2026-06-01 -m {module}")


def test_an_interrupt_ends_it_with_130(cli, code_location, monkeypatch):
    def interrupted(*_):
        raise dg.DagsterExecutionInterruptedError

    monkeypatch.setattr(dry_run, "forecast_partitions", interrupted)
    said = cli(f"estimate --partitions 2026-06-01 -m {code_location()}")
    assert (said.code, said.stdout) == (130, "")


def test_the_error_is_one_document_with_json(cli, code_location):
    said = cli(f"estimate --partitions 2026-05-01 -m {code_location()} --json")
    assert (said.code, said.stdout) == (2, "")
    assert json.loads(said.stderr)["error"]["type"] == "ConfigurationError"
