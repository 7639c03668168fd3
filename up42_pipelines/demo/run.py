"""The demo itself: a sandbox, a Dagster daemon, a backfill, and somebody watching until everything has arrived."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import dagster as dg
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from up42_pipelines.api import Credentials, Hosts, Up42Client
from up42_pipelines.assets.workflow import ProcessingPipeline
from up42_pipelines.demo.places import (
    IMAGERY_COLLECTION,
    IMAGERY_PRODUCT,
    LONGEST_DAYS,
    Places,
    imagery_places,
    ready_places,
)
from up42_pipelines.demo.processes import Children
from up42_pipelines.demo.report import prove, steps_table, table
from up42_pipelines.demo.standing import Observer, Standing, State
from up42_pipelines.demo.steps import StepObserver, StepStanding, StepState
from up42_pipelines.demo.workplace import SANDBOX_PASSWORD, SANDBOX_USER, Workplace
from up42_pipelines.errors import AnswerLost, ConfigurationError, Unreachable, Up42Error
from up42_pipelines.lake import Lake

SPEED = 60.0
_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """What a demo shows.

    Attributes:
        pipeline: name of the ingestion pipeline that is backfilled.
        seed: of the sandbox's chances, so that they make a good show.
        longest_s: when it is given up, seconds.
        workflow: module and function of `assets_defs` that makes the workflow on top of it; None for none.
        settings: environment variables.
    """

    pipeline: str
    seed: int
    longest_s: float
    workflow: tuple[str, str] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


SHOWS = {
    # Every partition finds a clear scene that covers it, one order stumbles, and three arrive in two parts.
    "archive": Show(pipeline="optical_archive", seed=2506, longest_s=300.0),
    # Clear skies, and every order is delivered.
    "processing": Show(
        pipeline="bundle_archive",
        seed=6686,
        longest_s=1800.0,
        workflow=("assets_defs.enhanced_imagery", "enhanced_imagery"),
        settings={"UP42_PROCESS_ON_DELIVERY": "1"},
    ),
}


def run_demo(
    *,
    project: Path,
    folder: Path,
    imagery: Path | None,
    seed: int | None,
    console: Console,
    days: int = LONGEST_DAYS,
    what: str = "archive",
) -> int:
    """Run the demo and say whether all is well: 0 when nothing is missing or invalid, 1 otherwise.

    Orders that UP42 itself gives up (the sandbox does, now and then) are shown, and are no fault of the demo.

    Args:
        project: the checkout.
        folder: where lake, sandbox state, Dagster instance, logs and overview are kept.
        imagery: folder of rasters that the sandbox sells; None for synthetic imagery.
        seed: of the sandbox's chances; the show's own when None.
        console: where to show it.
        days: how many are backfilled; all of them when a folder is sold.
        what: a key of `SHOWS`.

    Raises:
        ConfigurationError: processing needs the sandbox's own imagery.
    """
    show = SHOWS[what]
    if show.workflow is not None and imagery is not None:
        raise ConfigurationError("The workflow sharpens bundles, which an imagery folder does not hold: leave it out.")
    started = time.monotonic()
    place = Workplace(folder=folder, project=project)
    place.prepare(fresh_instance=True)
    with Children(folder, place.logs) as children:
        url, client, places = open_sandbox(
            children, place, imagery=imagery, seed=show.seed if seed is None else seed, days=days
        )
        place = replace(place, settings={**settings(places, imagery=imagery is not None), **show.settings})
        console.print(f"sandbox at {url}, backfill of {len(places.partition_keys)} partitions, lake {place.lake}")
        environment = place.environment(url)
        with dg.DagsterInstance.from_config(str(place.dagster_home)) as instance:
            command = ["dagster", "job", "backfill", "--job", f"{show.pipeline}_ingest", "--noprompt"]
            submit = _submit([*command, "--partitions", ",".join(places.partition_keys)], place, environment)
            daemon = ["dagster._daemon", "run", "-w", str(place.workspace_yaml)]
            children.start("daemon", daemon, env=environment, cwd=project)
            collection = IMAGERY_COLLECTION if imagery else "sandbox-optical"
            lake = Lake(str(place.lake))
            observer = Observer(instance, client, lake, pipeline=show.pipeline, collection=collection)
            steps = StepObserver(instance, client, lake, _workflow(show, project)) if show.workflow else None
            standings, step_standings = _watch(observer, steps, places, children, submit, console, show.longest_s)
    from up42_pipelines.demo.overview import save_overview, save_steps_overview  # matplotlib, once all has arrived

    proof = prove(standings, step_standings)
    if steps is None:
        save_overview(standings, folder / "overview.png", columns=len(places.days))
    else:
        save_steps_overview(lake, standings, step_standings, folder / "overview.png")
    console.print(*_tables(standings, step_standings))
    features = f"{proof.features} detected features, " if steps else ""
    console.print(
        f"{proof.cogs} COGs opened lazily and valid, {features}{proof.items} STAC items valid, "
        f"overview in {folder / 'overview.png'}, {time.monotonic() - started:.0f} s"
        if not proof.problems
        else "\n".join(f"[bold red]problem:[/] {problem}" for problem in proof.problems)
    )
    return 1 if proof.problems else 0


def open_sandbox(
    children: Children, place: Workplace, *, imagery: Path | None, seed: int, days: int = LONGEST_DAYS
) -> tuple[str, Up42Client, Places]:
    """Start the sandbox as a process of its own: its base URL, a client for it, and where to look for scenes."""
    command = ["up42_pipelines.cli", "sandbox", "--port", "0", "--state", str(place.sandbox)]
    command += ["--speed", str(SPEED), "--seed", str(seed)]
    command += ["--imagery", str(imagery.resolve())] if imagery else []
    url = children.start("sandbox", command, env=place.environment(""), cwd=place.project, first_line=True)
    client = Up42Client(Credentials(username=SANDBOX_USER, password=SANDBOX_PASSWORD), Hosts.of(api_url=url))
    places = imagery_places(client, place.folder / "aois") if imagery else ready_places(place.project, days)
    return url, client, places


def settings(places: Places, *, imagery: bool) -> dict[str, str]:
    """The pipeline's environment for a demo."""
    chosen = {
        "UP42_AOIS": str(places.folder.resolve()),
        "UP42_START_DATE": f"{min(places.days):%Y-%m-%d}",
        "UP42_SENSOR_INTERVAL_S": "5",
    }
    if imagery:
        chosen |= {
            "UP42_COLLECTION": IMAGERY_COLLECTION,
            "UP42_DATA_PRODUCT": IMAGERY_PRODUCT,
            "UP42_MAX_SCENES": "1000",
        }
    return chosen


def _submit(command: Sequence[str], place: Workplace, environment: dict[str, str]) -> subprocess.Popen[str]:
    """The backfill as a user submits it, beside the daemon's own start, which takes as long."""
    with (place.logs / "backfill.log").open("w") as log:
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", *command, "-w", str(place.workspace_yaml)],
            env=environment,
            cwd=place.project,
            stdout=log,
            stderr=log,
            text=True,
        )


def _workflow(show: Show, project: Path) -> ProcessingPipeline:
    """The workflow as the code location has it; names and steps are all that is needed of it here."""
    module, function = show.workflow or ("", "")
    if str(project) not in sys.path:
        sys.path.insert(0, str(project))
    made: ProcessingPipeline = getattr(importlib.import_module(module), function)()
    return made


def _tables(standings: Sequence[Standing], steps: Sequence[StepStanding]) -> list[Table]:
    return [table(standings), *([steps_table(steps)] if steps else [])]


def _watch(
    observer: Observer,
    step_observer: StepObserver | None,
    places: Places,
    children: Children,
    submit: subprocess.Popen[str],
    console: Console,
    longest_s: float,
) -> tuple[list[Standing], list[StepStanding]]:
    deadline = time.monotonic() + longest_s
    standings: list[Standing] = []
    steps: list[StepStanding] = []
    told: dict[str, str] = {}
    with Live(console=console, refresh_per_second=2, transient=True) as live:
        while time.monotonic() < deadline:
            _require_alive(children)
            if submit.poll():
                raise Up42Error(f"The backfill could not be submitted: {children.last_words('backfill')}")
            try:
                standings = observer.look(places.partition_keys)
                steps = step_observer.look(standings) if step_observer else []
            except (Unreachable, AnswerLost):
                _require_alive(children)  # a sandbox that has just died explains it better
                raise
            live.update(Group(*_tables(standings, steps)))
            if not console.is_terminal:
                _tell_changes(standings, steps, told, console)
            settled = [one.state.is_settled for one in standings] + [one.state.is_settled for one in steps]
            if submit.poll() == 0 and all(settled):
                break
            time.sleep(_PAUSE_S)
    submit.wait()
    return standings, steps


def _require_alive(children: Children) -> None:
    if (trouble := children.ended()) is not None:
        raise Up42Error(f"{trouble} Run the demo again: it continues, and buys nothing twice.")


def _tell_changes(
    standings: Sequence[Standing], steps: Sequence[StepStanding], told: dict[str, str], console: Console
) -> None:
    named = [(one.key, one.state) for one in standings] + [(f"{one.key} {one.step}", one.state) for one in steps]
    for name, state in named:
        if state not in (State.QUEUED, StepState.PENDING) and told.get(name) != state:
            told[name] = state
            console.print(f"  {name}: {state}", highlight=False)
