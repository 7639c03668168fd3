"""`up42-pipelines dev`: the sandbox and the Dagster UI, until somebody stops them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from up42_pipelines.demo.processes import Children
from up42_pipelines.demo.run import SHOWS, open_sandbox, settings
from up42_pipelines.demo.workplace import Workplace


def run_dev(*, project: Path, folder: Path, port: int, imagery: Path | None, seed: int | None, console: Console) -> int:
    """Serve the Dagster UI on `http://127.0.0.1:<port>` with a sandbox behind it; returns the UI's exit code.

    State is kept in `folder`: a second start shows the same orders, runs and lake.
    """
    place = Workplace(folder=folder, project=project)
    place.prepare(fresh_instance=False)
    with Children(folder, place.logs) as children:
        url, _, places = open_sandbox(
            children, place, imagery=imagery, seed=SHOWS["archive"].seed if seed is None else seed
        )
        place = replace(place, settings=settings(places, imagery=imagery is not None))
        command = ["dagster", "dev", "-w", str(place.workspace_yaml), "-h", "127.0.0.1", "-p", str(port)]
        children.start("dagster", command, env=place.environment(url), cwd=project)
        console.print(f"sandbox (not UP42) at {url}, lake {place.lake}, logs {place.logs}")
        console.print(f"Dagster UI at http://127.0.0.1:{port} in a few seconds; stop with Ctrl-C")
        return children.wait("dagster")
