"""Samples in fresh processes, rounds that interleave the contenders, ratios by round.

Nothing but the standard library is imported here: Linux counts the memory of the process that starts another towards
the other's peak, until it runs its own program. So the harness has to be small, and its size is a floor under every
peak (`floor_bytes`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.peers import versions

REPOSITORY = Path(__file__).resolve().parent.parent
MB = 1_000_000
_FOLDER = f"up42-benchmarks-{os.getuid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do the work.

    Attributes:
        argv: the command; what `benchmarks.work.work` prints is read from its stdout.
        env: added to this process's environment.
        rounds: take part in the first so many rounds only; None for all.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    rounds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one process took.

    Attributes:
        wall_s: of the work. Programs that do not time themselves (curl, aria2c): of the process.
        cpu_s: user and system time of the work, children included; otherwise as `wall_s`.
        process_wall_s: of the process, its start and imports included.
        process_cpu_s: likewise.
        rss_bytes: largest resident memory of the process and of each of its children.
        notes: what the process and the check of its output say besides.
    """

    wall_s: float
    cpu_s: float
    process_wall_s: float
    process_cpu_s: float
    rss_bytes: int
    notes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A threshold for a figure of `of`: beside `beside`, as a ratio by round; without it, for the figure itself.

    Attributes:
        figure: a field of `Sample`, or a note.
        at_least: for ratios of time, how many times faster `of` is.
        at_most: for everything that should be small: ratio `of` / `beside`, or the figure itself.
        scale: what the figure itself is divided by to be shown in `unit`.
    """

    of: str
    figure: str
    beside: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    unit: str = "x"
    scale: float = 1

    def values(self, samples: Mapping[str, Sequence[Sample]]) -> list[float]:
        """One value per round in which all took part."""
        ours = [_figure(sample, self.figure) / self.scale for sample in samples[self.of]]
        if self.beside is None:
            return ours
        theirs = [_figure(sample, self.figure) / self.scale for sample in samples[self.beside]]
        paired = zip(ours, theirs, strict=False)
        return [b / a if self.at_least is not None else a / b for a, b in paired]

    def holds(self, median: float) -> bool:
        """Whether a median keeps the threshold."""
        return (self.at_least is None or median >= self.at_least) and (self.at_most is None or median <= self.at_most)


def in_memory() -> Path:
    """A folder in memory, if there is one: what is measured is not the disk."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    return memory / _FOLDER if os.access(memory, os.W_OK) else on_disk()


def on_disk() -> Path:
    """A folder for temporary files, usually on a disk."""
    return Path(tempfile.gettempdir()) / _FOLDER


def options(description: str | None, *cases: str, folder: Path | None = None) -> argparse.ArgumentParser:
    """What all benchmarks understand; `folder` is where they work unless told otherwise, in memory when None."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=cases)
    parser.add_argument("--quick", action="store_true", help="tiny inputs, one round: only shows that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples and figures there")
    default = folder or in_memory()
    parser.add_argument("--folder", type=Path, default=default, help=f"for inputs and outputs ({default})")
    return parser


def play(
    contenders: Sequence[Contender],
    *,
    rounds: int,
    prepare: Callable[[], None],
    check: Callable[[Contender], Mapping[str, Any]],
    warm_up: bool = True,
) -> dict[str, list[Sample]]:
    """A B C, A B C, ...: what slows the machine down for a while slows all of them.

    Args:
        contenders: in their order within a round.
        rounds: measured ones.
        prepare: before each sample: removes the output of the one before.
        check: after each sample: raises when the output is wrong; what it returns becomes notes.
        warm_up: one round before, not measured, of those who take part in all.
    """
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in contenders}
    for number in range(-1 if warm_up else 0, rounds):
        for contender in contenders:
            if contender.rounds is not None and not 0 <= number < contender.rounds:
                continue
            prepare()
            taken = run(contender)
            notes = check(contender)
            if number >= 0:
                samples[contender.name].append(_noted(taken, notes))
            label = f"round {number + 1}" if number >= 0 else "warm-up"
            figures = f"{taken.wall_s:8.2f} s {taken.cpu_s:7.2f} CPU s {taken.rss_bytes / MB:6.0f} MB"
            say(f"{label:8} {contender.name:36} {figures}")
    prepare()
    return samples


def run(contender: Contender, *, timeout_s: float = 900) -> Sample:
    """Start the process, wait for it, and read what it took."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own commands
            contender.argv, stdout=out, stderr=err, env={**os.environ, **contender.env}, cwd=REPOSITORY
        )
        alarm = threading.Timer(timeout_s, process.kill)
        alarm.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            alarm.cancel()
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            err.seek(0)
            raise SystemExit(f"{contender.name} failed with {process.returncode}:\n{err.read()[-4000:]}")
        out.seek(0)
        said = _last_line(out.read())
    cpu_s = usage.ru_utime + usage.ru_stime
    return Sample(
        wall_s=said.get("wall_s", wall_s),
        cpu_s=said.get("cpu_s", cpu_s),
        process_wall_s=wall_s,
        process_cpu_s=cpu_s,
        rss_bytes=usage.ru_maxrss * 1024,
        notes=said.get("notes", {}),
    )


@contextmanager
def serving(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Any:
    """A server in its own process that prints its address as its first line; ended afterwards."""
    process = subprocess.Popen(  # noqa: S603 - our own commands
        argv,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
        cwd=REPOSITORY,
        start_new_session=True,
    )
    try:
        address = process.stdout.readline().strip() if process.stdout else ""
        if not address:
            raise SystemExit(f"{' '.join(argv)} did not start")
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def python(module: str, *arguments: str | Path | float) -> list[str]:
    """The command that runs one of our modules in this interpreter."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def child(module: str, *arguments: str | Path | float) -> str:
    """Run one of our modules to its end, for what needs more memory than this process may have; its stdout."""
    done = subprocess.run(python(module, *arguments), check=True, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)  # noqa: S603
    return done.stdout.strip()


class Report:
    """What a benchmark found, judged."""

    def __init__(self, name: str, title: str, *, quick: bool, configuration: Mapping[str, Any]) -> None:
        self._head = {
            "benchmark": name,
            "title": title,
            "quick": quick,
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine(),
            "versions": versions(),
            "configuration": dict(configuration),
        }
        self._samples: dict[str, list[Sample]] = {}
        self._promises: list[dict[str, Any]] = []
        self._load = os.getloadavg()

    def add(self, samples: Mapping[str, Sequence[Sample]], promises: Sequence[Promise]) -> None:
        """Samples by contender, and what was promised of them."""
        self._samples |= {name: list(taken) for name, taken in samples.items()}
        for promise in promises:
            values = promise.values(samples)
            median = statistics.median(values)
            verdict = None if self._head["quick"] else promise.holds(median)
            self._promises.append(
                asdict(promise)
                | {"values": values, "median": median, "least": min(values), "most": max(values), "holds": verdict}
            )

    def document(self) -> dict[str, Any]:
        """All of it, as JSON."""
        samples = {name: [asdict(sample) for sample in taken] for name, taken in self._samples.items()}
        load = {"before": self._load, "after": os.getloadavg()}
        floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return self._head | {"load_average": load, "floor_bytes": floor, "samples": samples, "promises": self._promises}

    def finish(self, path: Path | None) -> int:
        """Show the tables, write the JSON; 1 when a promise was not kept."""
        from benchmarks.report import show  # rich, not before the last sample

        document = self.document()
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{json.dumps(document, indent=2)}\n")
        show(document)
        return int(any(promise["holds"] is False for promise in self._promises))


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    cpu = next((line.partition(": ")[2] for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "")
    memory = next((int(line.split()[1]) * 1024 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "cpu": cpu or platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": memory,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def say(line: str) -> None:
    """Progress, for the person who waits."""
    sys.stderr.write(f"{line}\n")


def _figure(sample: Sample, name: str) -> float:
    return float(sample.notes[name] if name in sample.notes else getattr(sample, name))


def _noted(sample: Sample, notes: Mapping[str, Any]) -> Sample:
    return Sample(**{**asdict(sample), "notes": {**sample.notes, **notes}})


def _last_line(text: str) -> dict[str, Any]:
    lines = text.strip().splitlines()
    try:
        said = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return said if isinstance(said, dict) and "wall_s" in said else {}


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
