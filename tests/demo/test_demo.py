"""The demo as a person runs it: real processes, killed in the middle, started again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pystac
import pytest

PROJECT = Path(__file__).resolve().parents[2]
PARTITIONS = 2
"""One day at two AOIs: enough for a kill between the first file and the last."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


class Demo:
    def __init__(self, folder: Path):
        self.folder = folder
        self.output = folder.with_suffix(".out")

    def start(self):
        command = [sys.executable, "-m", "up42_pipelines.cli", "demo", "--days", "1", "--folder", str(self.folder)]
        command += ["--seed", "375"]  # no order stumbles on that day, which would only take longer
        with self.output.open("w") as out:
            self.process = subprocess.Popen(
                [*command, "--project", str(PROJECT)], stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    def child(self, name: str) -> int | None:
        try:
            return json.loads((self.folder / "children.json").read_text())[name]["pid"]
        except (OSError, ValueError, KeyError):
            return None

    def orders(self) -> int:
        """Orders that Dagster knows to be placed: their JSON is in the lake."""
        return len(list(self.folder.glob("lake/assets/orders/*/*.json")))

    def end(self, seconds: float = 240) -> tuple[int, str]:
        code = self.process.wait(seconds)
        return code, self.output.read_text()


@pytest.fixture
def demo(tmp_path):
    demo = Demo(tmp_path / "demo")
    yield demo
    if demo.process.poll() is None:
        os.killpg(demo.process.pid, signal.SIGTERM)
        demo.process.wait(30)


def ledger_of(start_sandbox_on, folder: Path) -> list[dict]:
    sandbox = start_sandbox_on(folder / "sandbox")
    try:
        return sandbox.ledger()
    finally:
        sandbox.stop()


def test_whatever_is_killed_it_completes_and_buys_each_thing_once(demo, wait_for, start_sandbox_on):
    demo.start()
    wait_for(lambda: demo.orders() == PARTITIONS and _files(demo.folder), 120)
    orphans = [demo.child("sandbox"), demo.child("daemon")]
    os.kill(demo.process.pid, signal.SIGKILL)
    demo.process.wait()
    assert all(_alive(pid) for pid in orphans)
    os.kill(orphans[0], signal.SIGKILL)
    landed = _files(demo.folder)

    demo.start()
    wait_for(lambda: demo.child("daemon") not in (None, orphans[1]), 120)
    assert not any(_alive(pid) for pid in orphans)  # two daemons would disturb each other
    code, said = demo.end()
    assert code == 0, said
    bought = ledger_of(start_sandbox_on, demo.folder)
    assert len(bought) == PARTITIONS
    assert len({order["displayName"] for order in bought}) == PARTITIONS
    assert (demo.folder / "overview.png").read_bytes().startswith(b"\x89PNG")
    catalog = pystac.Catalog.from_file(str(demo.folder / "lake" / "catalog.json"))
    assert len(list(catalog.get_items(recursive=True))) >= PARTITIONS
    assert landed.items() <= _files(demo.folder).items()  # nothing was fetched twice


def test_outside_of_a_checkout_it_says_so(tmp_path):
    command = [sys.executable, "-m", "up42_pipelines.cli", "demo", "--project", str(tmp_path)]
    said = subprocess.run([*command, "--folder", str(tmp_path / "demo")], capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "workspace.yaml does not exist" in said.stdout.replace("\n", " ")


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """The files of committed items, and what would change if they were written again."""
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.glob("lake/collections/*/*/*")
        if path.is_file() and path.suffix != ".json" and (path.parent / f"{path.parent.name}.json").is_file()
    }


def _alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
