"""The long form of the chaos suite, `make chaos N=1000`. Fails if anything was bought twice, lost, or above a ceiling.

First the paths, killed or stalled at each of their points; then what the seed draws; then the races. Each worker has a
sandbox of its own, because faults are a sandbox's, and plays one schedule after the other.
"""

from __future__ import annotations

import argparse
import multiprocessing
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.chaos.play import Round, play
from tests.chaos.schedule import PATHS, Schedule, drawn, killed_at, path, race, stalled_at, written_ahead
from tests.chaos.shops import Shop, open_shop
from tests.conftest import SandboxProcess

_FORK = multiprocessing.get_context("fork")


def main() -> int:
    """Play what is asked for and print the figures; 0 if all of them are."""
    options = _options()
    console = Console(highlight=False, markup=False, soft_wrap=True)
    return max([_play(what, options, console) for what in options.what])


def _play(what: str, options: argparse.Namespace, console: Console) -> int:
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        shops = []
        for number in range(options.workers):
            sandbox = SandboxProcess(folder / f"sandbox-{number}", "--speed", "0.01")  # nothing is delivered meanwhile
            stack.callback(sandbox.kill)
            shops.append(open_shop(sandbox, what))
        schedules = _schedules(options, shops[0], folder)
        console.print(f"{len(schedules)} rounds of {what}, seed {options.seed}")
        rounds = _play_all(schedules, shops, folder, what, options.seed, console)
    console.print(f"seed {options.seed}, {time.monotonic() - began:.0f} s")
    for name, figure in _figures(rounds).items():
        console.print(f"{name:24}{figure:6}")
    return 0 if rounds and all(one.verdict.is_clean for one in rounds) else 1


def _options() -> argparse.Namespace:
    every = (*PATHS, "stalled")
    parser = argparse.ArgumentParser(description=__doc__)
    both = "orders", "jobs"
    parser.add_argument("--what", nargs="+", default=both, choices=both, help="is bought (both)")
    parser.add_argument("--schedules", type=int, default=1000, help="how many the seed draws (1000)")
    parser.add_argument("--races", type=int, default=200, help="how many races of 8 processes on one key (200)")
    parser.add_argument("--paths", nargs="*", default=every, choices=every, help="gone along point by point (all)")
    parser.add_argument("--near", action="store_true", help="only points from the write-ahead of what spends on")
    parser.add_argument("--every", type=int, default=1, help="only each n-th point (1)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of what is drawn (a random one)")
    parser.add_argument("--workers", type=int, default=6, help="how many play at the same time (6)")
    parser.add_argument("--only", help="name of a single schedule")
    return parser.parse_args()


def _schedules(options: argparse.Namespace, shop: Shop, folder: Path) -> list[Schedule]:
    """All that is to be played. How many points a path has shows when it is gone along undisturbed."""

    def points_of(schedule: Schedule) -> tuple[str, ...]:
        undisturbed = play(schedule, shop, folder / f"{schedule.name}-0", pipeline=f"{schedule.name}_0")
        if not undisturbed.verdict.is_clean:
            raise SystemExit(f"{schedule}: {undisturbed.verdict.sentences}\n{undisturbed.log}")
        return undisturbed.points

    plain = points_of(path("plain", trade=shop.trade))
    schedules = []
    for name in options.paths:
        if options.only and not options.only.startswith(name):
            continue
        one = path("plain" if name == "stalled" else name, plain, trade=shop.trade)
        points = plain if one.name == "plain" else points_of(one)
        first = written_ahead(points, shop.trade) if options.near else 1
        gone_along = range(first, len(points) + 1, options.every)
        schedules += (stalled_at(point) if name == "stalled" else killed_at(one, point) for point in gone_along)
    schedules += (drawn(options.seed, number, plain=plain, trade=shop.trade) for number in range(options.schedules))
    schedules += (race(number) for number in range(options.races))
    return [one for one in schedules if options.only in (None, one.name)]


def _play_all(
    schedules: Sequence[Schedule], shops: Sequence[Shop], folder: Path, what: str, seed: int, console: Console
) -> list[Round]:
    """Let the workers take one schedule after the other, and tell at once what fails."""
    taken, results = _FORK.Value("i", 0), _FORK.SimpleQueue()
    workers = [_FORK.Process(target=_work, args=(schedules, shop, folder, seed, taken, results)) for shop in shops]
    for worker in workers:  # before the progress bar makes a thread: a fork takes only one along
        worker.start()
    rounds: list[Round] = []
    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(schedules))
        while len(rounds) < len(schedules):
            one = results.get()
            if isinstance(one, str):
                raise SystemExit(one)
            rounds.append(one)
            if not one.verdict.is_clean:
                _print_failure(one, what, seed, console)
            failed = sum(not each.verdict.is_clean for each in rounds)
            progress.update(task, advance=1, description=f"{failed} failed")
    for worker in workers:
        worker.join()
    return rounds


def _work(schedules: Sequence[Schedule], shop: Shop, folder: Path, seed: int, taken: Any, results: Any) -> None:
    while True:
        with taken.get_lock():
            number, taken.value = taken.value, taken.value + 1
        if number >= len(schedules):
            return
        one = schedules[number]
        try:
            results.put(play(one, shop, folder / one.name, pipeline=f"chaos_{seed}_{one.name}".replace("-", "_")))
        except Exception as error:
            results.put(f"Schedule {one.name} could not be played: {error!r}")
            raise


def _print_failure(one: Round, what: str, seed: int, console: Console) -> None:
    console.print(f"\nFAILED: {one.schedule}\n{one.log}")
    for sentence in one.verdict.sentences:
        console.print(f"* {sentence}")
    console.print(f"Again: python -m tests.chaos.run --what {what} --seed {seed} --only {one.schedule.name}\n")


def _figures(rounds: Sequence[Round]) -> dict[str, int]:
    """The three figures that matter, that everybody came to an end, and what there was to see it by."""
    verdicts = [one.verdict for one in rounds]
    races = sum(one.schedule.together for one in rounds)
    drawn = sum(one.schedule.name.isdecimal() for one in rounds)
    return {
        "bought twice": sum(one.duplicates for one in verdicts),
        "lost": sum(one.lost for one in verdicts),
        "credits over ceilings": sum(one.over for one in verdicts),
        "left unfinished": sum(one.stuck for one in verdicts),
        "points of paths": len(rounds) - drawn - races,
        "schedules drawn": drawn,
        "races": races,
        "bought": sum(one.bought for one in rounds),
        "kills": sum(one.kills for one in rounds),
        "restarts": sum(one.restarts for one in rounds),
    }


if __name__ == "__main__":
    sys.exit(main())
