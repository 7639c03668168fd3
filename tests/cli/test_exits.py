"""Exit codes, what goes where, and what a program sees of an error."""

import json
import subprocess
import sys

import pytest

from up42_pipelines import __version__

HEAVY = ("dagster", "rasterio", "pystac_client", "up42_pipelines.api", "up42_pipelines.lake")


def test_data_on_stdout_and_nothing_else(cli):
    said = cli("credits")
    assert (said.code, said.stderr) == (0, "")
    assert said.stdout.startswith("available  ")


@pytest.mark.parametrize(
    ("arguments", "env", "code", "words"),
    [
        ("orders show 00000000-0000-4000-8000-000000000000", {}, 1, "404"),
        ("credits", {"UP42_PASSWORD": "wrong"}, 1, "Check UP42_USERNAME and UP42_PASSWORD"),
        ("credits", {"UP42_PASSWORD": ""}, 2, "No UP42 password"),
        ("credits", {"UP42_API_URL": "ftp://example.com"}, 2, "is not a base URL"),
        ("--region mars credits", {}, 2, "Unknown UP42 region 'mars'"),
        ("--region eu --api-url http://127.0.0.1:9 credits", {}, 2, "give --region or --api-url"),
        ("orders list --limit 0", {}, 2, "--limit"),
        ("orders nonsense", {}, 2, "nonsense"),
    ],
)
def test_errors_are_one_line_on_stderr_without_a_traceback(cli, arguments, env, code, words):
    said = cli(arguments, env=env)
    assert (said.code, said.stdout) == (code, "")
    assert words in said.stderr
    assert "Traceback" not in said.stderr
    if said.stderr.startswith("error: "):
        assert said.stderr.count("\n") == 1


def test_with_json_an_error_is_json_on_stderr(cli):
    said = cli("orders show 00000000-0000-4000-8000-000000000000 --json")
    assert (said.code, said.stdout) == (1, "")
    error = json.loads(said.stderr)["error"]
    assert (error["type"], error["status"]) == ("NotFound", 404)
    assert "00000000-0000-4000-8000-000000000000" in error["message"]


def test_with_json_wrong_usage_is_json_too(cli):
    said = cli("orders list --json --nonsense")
    assert (said.code, said.stdout) == (2, "")
    assert "--nonsense" in json.loads(said.stderr)["error"]["message"]


def test_text_from_the_server_steers_neither_rich_nor_the_terminal(cli, shop):
    shop.order("[bold]red[/] \x1b[31malert\x07")
    line = next(line for line in cli("orders list").lines if "alert" in line)
    assert line.endswith("[bold]red[/] �[31malert�")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["orders", "list", "--help"], ["doctor", "--help"]])
def test_asking_for_help_imports_nothing_heavy(arguments):
    program = (
        "import sys\n"
        "from up42_pipelines.cli import main\n"
        "try: main()\n"
        f"finally: print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    said = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert said.stdout
    assert said.stderr.strip() == "[]"


def test_the_version(cli):
    assert cli("--version").stdout == f"up42-pipelines, version {__version__}\n"
