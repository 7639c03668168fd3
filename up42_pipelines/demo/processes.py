"""Child processes of a demo: started in groups of their own, logged to files, stopped for certain."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from up42_pipelines.errors import Up42Error

_STOP_S = 8.0
_REGISTER = "children.json"


class Children:
    """The processes of one demo; leaving the context stops them with all their descendants.

    Their process groups are written down, so that the next demo can end what a killed one left running: two daemons
    on one instance, or two sandboxes on one state, would disturb each other.

    Args:
        folder: where the register is kept.
        logs: where each child's output goes.
    """

    def __init__(self, folder: Path, logs: Path) -> None:
        self._register, self._logs = folder / _REGISTER, logs
        self._running: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        self._end_leftovers()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in reversed(list(self._running)):
            self.stop(name)
        self._register.unlink(missing_ok=True)

    def start(
        self, name: str, module: Sequence[str], *, env: Mapping[str, str], cwd: Path, first_line: bool = False
    ) -> str:
        """Start `python -m <module> ...`; with `first_line`, wait for it on stdout and return it.

        Raises:
            Up42Error: the process ended before its first line.
        """
        log = (self._logs / f"{name}.log").open("w")
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
            [sys.executable, "-m", *module],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if first_line else log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        log.close()
        self._running[name] = child
        register = {n: {"pid": c.pid, "born": _born(c.pid)} for n, c in self._running.items()}
        self._register.write_text(json.dumps(register))
        if not first_line:
            return ""
        assert child.stdout is not None  # noqa: S101 - asked for above
        line = child.stdout.readline().strip()
        if not line:
            raise Up42Error(f"The {name} did not start: {self.last_words(name)}")
        return line

    def ended(self) -> str | None:
        """Which child has ended by itself, and how; None while all run."""
        for name, child in self._running.items():
            code = child.poll()
            if code is not None:
                return f"The {name} ended unexpectedly (exit code {code}): {self.last_words(name)}"
        return None

    def last_words(self, name: str) -> str:
        """The end of a child's log."""
        path = self._logs / f"{name}.log"
        lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
        return f"{lines[-1] if lines else 'no output'} (see {path})"

    def wait(self, name: str) -> int:
        """Wait until a child ends."""
        return self._running[name].wait()

    def stop(self, name: str) -> None:
        """End a child and its descendants: politely first, then for certain."""
        child = self._running.pop(name)
        _signal_group(child.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(_STOP_S)
        _signal_group(child.pid, signal.SIGKILL)
        child.wait()
        if child.stdout is not None:
            child.stdout.close()

    def _end_leftovers(self) -> None:
        try:
            left = json.loads(self._register.read_text())
        except (OSError, ValueError):
            return  # no demo was killed, or so early that it had started nothing
        for child in left.values():
            pid, born = child["pid"], child["born"]
            if born is None or born != _born(pid):
                continue
            _signal_group(pid, signal.SIGKILL)
            deadline = time.monotonic() + _STOP_S
            while born == _born(pid) and time.monotonic() < deadline:
                time.sleep(0.05)
        self._register.unlink(missing_ok=True)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _born(pid: int) -> float | None:
    """When a running process started, which tells it from a stranger with a recycled id; None when it is gone."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None
