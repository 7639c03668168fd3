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
        self._register.write_text(json.dumps({n: c.pid for n, c in self._running.items()}))
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
            return
        for pid in left.values():
            if _is_ours(int(pid)):
                _signal_group(int(pid), signal.SIGKILL)
                deadline = time.monotonic() + _STOP_S
                while _is_ours(int(pid)) and time.monotonic() < deadline:
                    time.sleep(0.05)
        self._register.unlink(missing_ok=True)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _is_ours(pid: int) -> bool:
    """True when the process with this id is (still) one of a demo's, not a stranger with a recycled id."""
    listed = subprocess.run(  # noqa: S603
        ["ps", "-o", "command=", "-p", str(pid)],  # noqa: S607 - ps of the system
        capture_output=True,
        text=True,
        check=False,
    )
    return "up42_pipelines" in listed.stdout or "dagster" in listed.stdout
